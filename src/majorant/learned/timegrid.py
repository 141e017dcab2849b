"""Resampling between the data's rate and a network's, exact for smooth signals and without edges.

The first ``K`` cosines (DCT-II) of a window of ``T`` samples, read on a grid of ``K``: a band limit
at half the new rate, with even continuation at the borders, so no ringing from a jump there. White
noise stays white. Going up again is interpolation, and down after up is the identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class TimeGrid:
    """The two maps of one window length.

    Attributes
    ----------
    down : Tensor, shape (n_times, n_coarse), float64
        ``y @ down`` is the window at the network's rate.
    up : Tensor, shape (n_coarse, n_times), float64
        ``x @ up`` goes back.
    """

    down: Tensor
    up: Tensor

    @classmethod
    @lru_cache(maxsize=32)
    def between(cls, n_times: int, sfreq: float, rate: float) -> TimeGrid | None:
        """Make the maps for ``n_times`` samples at ``sfreq`` Hz and a network at ``rate`` Hz.

        Returns
        -------
        TimeGrid or None
            None where there is nothing to do.
        """
        n_coarse = max(1, round(n_times * rate / sfreq))
        if n_coarse == n_times:
            return None
        fine, coarse = cosines(n_times), cosines(n_coarse)
        k = min(n_times, n_coarse)
        scale = math.sqrt(n_coarse / n_times)
        return cls(scale * fine[:k].T @ coarse[:k], coarse[:k].T @ fine[:k] / scale)


def cosines(n: int) -> Tensor:
    """Return the orthonormal DCT-II, rows are frequencies, (n, n), float64."""
    k = torch.arange(n, dtype=torch.float64)
    basis = torch.cos(math.pi / n * k[:, None] * (k[None] + 0.5)) * math.sqrt(2.0 / n)
    basis[0] /= math.sqrt(2.0)
    return basis
