"""Shadows: peaks that a stronger one would show by itself, without any source of their own.

A linear estimate of one point source has maxima all over the cortex. For every weaker peak the
topography of each stronger one, at its place and in its best direction, is fitted to the data of
the weaker one's moment; what the solver makes of the fit is leakage. A peak of which little is left
without it may be a shadow. ``python -m benchmarks.shadows`` counts how often that is right: it is
for standardised maps, and says nothing for minimum-norm currents, whose peaks lie elsewhere than
their sources.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.findings.facts import Peak

__all__ = ["SHADOW", "leaked"]

SHADOW = 0.85
"""Share of a peak that leakage of a stronger one explains, from which on it may be a shadow."""

APART_MM = 30.0
"""Nearer peaks are one place at two moments."""


def leaked(
    kernel: Tensor,
    gain: Tensor,
    y: Tensor,
    peaks: Sequence[Peak],
    times: NDArray[np.float64],
    n_orient: int,
) -> tuple[tuple[float, int], ...]:
    """How much of every peak a stronger one explains, and which.

    Parameters
    ----------
    kernel : Tensor, shape (n_columns, rank)
        On whitened data.
    gain : Tensor, shape (rank, n_columns)
        Whitened.
    y : Tensor, shape (rank, n_times)
        Whitened data.
    peaks : sequence of Peak
        Strongest first.
    times : array, shape (n_times,)
        s.
    n_orient : int
        Columns of a location.

    Returns
    -------
    tuple of (float, int), one for each peak
        A share from 0 to 1, and the stronger peak that explains it, from 0.
    """
    places = [np.array(peak.mni) for peak in peaks]
    found: list[tuple[float, int]] = []
    for k, peak in enumerate(peaks):
        now = y[:, int(np.abs(times - peak.time).argmin())].double()
        rows = kernel[_columns(peak, n_orient)].double()
        whole, best = float((rows @ now).norm()), (0.0, 0)
        for i in range(k):
            if whole <= 0 or np.linalg.norm(places[i] - places[k]) < APART_MM:
                continue
            source = gain[:, _columns(peaks[i], n_orient)].double()
            fit = source @ torch.linalg.lstsq(source, now[:, None]).solution[:, 0]
            share = 1.0 - float((rows @ (now - fit)).norm()) / whole
            best = max(best, (share, i))
        found.append(best)
    return tuple(found)


def _columns(peak: Peak, n_orient: int) -> slice:
    return slice(peak.location * n_orient, (peak.location + 1) * n_orient)
