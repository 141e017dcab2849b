"""Averaged spikes: when they begin and peak, and what a reader of such a report asks.

The onset is where the global field power has risen half of the way from its baseline to the peak:
at the peak itself the activity has often spread, and half-way up its place was nearest to what
surgery found (Lantz et al. 2003, J. Clin. Neurophysiol. 20:311).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from majorant.errors import MajorantError
from majorant.findings.facts import Peak, SpikeMoment
from majorant.findings.names import named
from majorant.findings.peaks import peak_at
from majorant.head.places import Places

__all__ = ["CLEAR", "NO_DEVICE", "rising_flank", "spike_moment"]

NO_DEVICE = (
    "Majorant is research software and no medical device: nothing here may be the ground of a "
    "diagnosis or a treatment."
)
AROUND = 0.1
"""s: how far from the marks the peak of the field is looked for."""
HALF = 0.5
"""Share of the rise at which a spike begins."""
CLEAR = 3.0
"""Standard deviations of the baseline's field power below which there is no spike."""


def rising_flank(
    data: NDArray[np.float64], times: NDArray[np.float64], baseline: tuple[float, float]
) -> tuple[int, int, float]:
    """Find onset and peak of an average.

    Parameters
    ----------
    data : array, shape (n_channels, n_times)
        V, average reference.
    times : array, shape (n_times,)
        s; the marks are at 0.
    baseline : (float, float)
        Of the field power, s.

    Returns
    -------
    onset, peak : int
        Samples. The onset is the last one, before the peak, from which on the field power stays
        above half of its rise.
    ratio : float
        Field power of the peak over its standard deviation in the baseline, its mean taken off.

    Raises
    ------
    MajorantError
        If the window does not hold the marks, or nothing rises.
    """
    power = data.std(axis=0)
    near = np.flatnonzero(np.abs(times) <= AROUND)
    quiet = (times >= baseline[0] - 1e-9) & (times <= baseline[1] + 1e-9)
    if not len(near) or quiet.sum() < 3:
        raise MajorantError(
            f"spikes are looked for within {1e3 * AROUND:.0f} ms of the marks, after a baseline; "
            "give a window with tmin and tmax that holds both"
        )
    level, scatter = float(power[quiet].mean()), float(power[quiet].std())
    peak = int(near[power[near].argmax()])
    half = level + HALF * (power[peak] - level)
    below = np.flatnonzero(power[:peak] < half)
    onset = int(below[-1]) + 1 if len(below) else 0
    ratio = float((power[peak] - level) / max(scatter, np.finfo(float).tiny))
    return onset, peak, ratio


def spike_moment(
    word: str,
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    sample: int,
    explained: float,
    places: Places,
    names: Sequence[str] | None,
) -> SpikeMoment:
    """Describe where an estimate is strongest at onset or peak.

    Parameters
    ----------
    word : {"onset", "peak"}
    values : array, shape (n_locations, n_times)
        The estimate of the moment alone.
    times : array, shape (n_times,)
        s.
    sample : int
        Of `times`.
    explained : float
        Share of the variance explained then.
    places : Places
    names : sequence of str or None
        Region of every location.
    """
    strongest = int(np.abs(values[:, sample]).argmax())
    place: Peak = peak_at(values, times, places, strongest, sample)
    if names is not None:
        (place,) = named((place,), names)
    return SpikeMoment(word, place, explained, values[:, sample])
