"""What a stream is made of, wherever it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Chunk", "Chunks"]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive samples of all channels.

    Attributes
    ----------
    data : array, shape (n_channels, n)
        V, channels in the order that was agreed on.
    times : array, shape (n,)
        When each sample was taken, s, by the clock that the latency is measured with.
    sfreq : float
        Hz, as the stream declares it.
    session : int
        Goes up with every new connection.
    arrived : float or None
        When the first of them arrived, s; None is when they are handed over.
    """

    data: NDArray[np.float64]
    times: NDArray[np.float64]
    sfreq: float
    session: int = 0
    arrived: float | None = None


Chunks = Iterator[Chunk | None]
"""A stream; None says that nothing has come for a moment, so that silence is noticed."""
