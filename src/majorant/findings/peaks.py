"""Peaks: local maxima of an estimate over space and time, and where in the brain they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from majorant.findings.facts import Peak
from majorant.forward.cortex import lobe
from majorant.head.places import Places
from majorant.metrics.peaks import PeakSettings, list_peaks, local_maxima

__all__ = ["PeakSettings", "find_peaks", "local_maxima", "peak_at"]


def find_peaks(
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    places: Places,
    settings: PeakSettings | None = None,
) -> tuple[Peak, ...]:
    """List the peaks of an estimate, strongest first.

    By the rule of :func:`majorant.metrics.peaks.list_peaks`, which benchmarks judge by as well.

    Parameters
    ----------
    values : array, shape (n_locations, n_times)
        Signed, or lengths.
    times : array, shape (n_times,)
        s.
    places : Places
    settings : PeakSettings, optional
    """
    kept = list_peaks(values, times, places.mni, places.edges, settings)
    return tuple(peak_at(values, times, places, s, t, settings) for s, t in kept)


def peak_at(
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    places: Places,
    s: int,
    t: int,
    settings: PeakSettings | None = None,
) -> Peak:
    """Describe one location at one time as a peak."""
    settings = settings or PeakSettings()
    energy = values[:, t] ** 2
    near = np.linalg.norm(places.mni - places.mni[s], axis=1) <= settings.radius_mm
    total = float(energy.sum())
    x, y, z = (float(v) for v in places.mni[s])
    return Peak(
        time=float(times[t]),
        hemisphere="left" if places.hemisphere[s] == 0 else "right",
        lobe=lobe((x, y, z)),
        mni=(x, y, z),
        location=int(s),
        amplitude=float(values[s, t]),
        share=float(energy[near].sum()) / total if total > 0 else 0.0,
    )
