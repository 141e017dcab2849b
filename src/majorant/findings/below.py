"""Peaks that lie below an electrode that speaks alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from majorant.findings.facts import Peak

__all__ = ["below"]


def below(
    gain: NDArray[np.float64],
    ch_names: Sequence[str],
    lone: Sequence[str],
    peaks: Sequence[Peak],
) -> tuple[str, ...]:
    """Name the electrode of some that sees a peak better than all others do.

    Parameters
    ----------
    gain : array, shape (n_channels, n_locations, n_orient)
        Lead field, referenced as the data are, V/(A m).
    ch_names : sequence of str
    lone : sequence of str
        The electrodes that are asked about.
    peaks : sequence of Peak

    Returns
    -------
    tuple of str, one for each peak
        "" where it is another electrode.
    """
    seen = [ch_names[int((gain[:, p.location] ** 2).sum(axis=1).argmax())] for p in peaks]
    return tuple(name if name in lone else "" for name in seen)
