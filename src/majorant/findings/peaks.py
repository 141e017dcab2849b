"""Peaks: local maxima of an estimate over space and time, and where in the brain they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from majorant.findings.facts import Peak
from majorant.forward.cortex import lobe
from majorant.head.places import Places

__all__ = ["PeakSettings", "find_peaks", "local_maxima", "peak_at"]


@dataclass(frozen=True)
class PeakSettings:
    """What counts as a peak.

    Attributes
    ----------
    most : int
        Peaks listed.
    apart_mm, apart_s : float
        Two peaks differ by at least one of these in space (mm) or time (s).
    least : float
        Share of the largest amplitude below which nothing is a peak.
    radius_mm : float
        Around a peak, for its share of the energy at that time.
    """

    most: int = 6
    apart_mm: float = 30.0
    apart_s: float = 0.040
    least: float = 0.35
    radius_mm: float = 30.0


def local_maxima(
    values: NDArray[np.float64], edges: NDArray[np.int64], least: float
) -> NDArray[np.int64]:
    """Points that no neighbour in space or time exceeds, strongest first.

    Parameters
    ----------
    values : array, shape (n_locations, n_times)
        Not negative.
    edges : array, shape (n_edges, 2)
        Neighbours in space; without any, a maximum is one over time alone.
    least : float
        Values below this are left out.

    Returns
    -------
    array, shape (n_maxima, 2)
        Location and time index.
    """
    n_locations, n_times = values.shape
    columns = np.flatnonzero(values.max(axis=0) >= max(least, np.finfo(float).tiny))
    found = []
    near = _neighbours(edges, n_locations)
    for t in columns:
        now = values[:, t]
        candidates = np.flatnonzero(now >= max(least, np.finfo(float).tiny))
        if t > 0:
            candidates = candidates[now[candidates] >= values[candidates, t - 1]]
        if t < n_times - 1:
            candidates = candidates[now[candidates] >= values[candidates, t + 1]]
        for s in candidates:
            around = near.indices[near.indptr[s] : near.indptr[s + 1]]
            if around.size == 0 or now[s] >= now[around].max():
                found.append((s, t))
    points = np.array(found, dtype=np.int64).reshape(-1, 2)
    order = np.argsort(-values[points[:, 0], points[:, 1]], kind="stable")
    return points[order]


def _neighbours(edges: NDArray[np.int64], n: int) -> csr_array:
    i, j = edges.reshape(-1, 2).T
    ones = np.ones(2 * len(i), dtype=np.int8)
    return csr_array((ones, (np.r_[i, j], np.r_[j, i])), shape=(n, n))


def find_peaks(
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    places: Places,
    settings: PeakSettings | None = None,
) -> tuple[Peak, ...]:
    """List the peaks of an estimate, strongest first.

    Where the window reaches past 0 s, only what happens from 0 s on is listed. The first and the
    last sample are no maxima over time, only the ends of the window; each is listed once at most.

    Parameters
    ----------
    values : array, shape (n_locations, n_times)
        Signed, or lengths.
    times : array, shape (n_times,)
        s.
    places : Places
    settings : PeakSettings, optional
    """
    settings = settings or PeakSettings()
    size = np.abs(values)
    after = times >= 0 if times[-1] > 0 else np.ones(len(times), bool)
    start = int(np.argmax(after))
    window = size[:, start:]
    if not window.max(initial=0.0) > 0:
        return ()
    points = local_maxima(window, places.edges, settings.least * float(window.max()))
    kept: list[tuple[int, int]] = []
    for s, t in points:
        if len(kept) == settings.most:
            break
        at_end = t in (0, window.shape[1] - 1) and any(other[1] == t + start for other in kept)
        if at_end and window.shape[1] > 1:
            continue
        if all(_distinct(s, t + start, other, times, places, settings) for other in kept):
            kept.append((int(s), int(t + start)))
    return tuple(peak_at(values, times, places, s, t, settings) for s, t in kept)


def _distinct(
    s: int,
    t: int,
    other: tuple[int, int],
    times: NDArray[np.float64],
    places: Places,
    settings: PeakSettings,
) -> bool:
    distance = float(np.linalg.norm(places.mni[s] - places.mni[other[0]]))
    return distance >= settings.apart_mm or abs(times[t] - times[other[1]]) >= settings.apart_s


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
