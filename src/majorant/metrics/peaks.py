"""Which local maxima of an estimate are listed as peaks: one rule for pages and for benchmarks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PeakSettings", "list_peaks", "local_maxima"]


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
    least: float = 0.25
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
    top = values >= max(least, np.finfo(float).tiny)
    top[:, 1:] &= values[:, 1:] >= values[:, :-1]
    top[:, :-1] &= values[:, :-1] >= values[:, 1:]
    times, places = np.nonzero(top.T)
    around = _highest_neighbour(values, edges, places, times)
    points = np.stack([places, times], axis=1)[values[places, times] >= around]
    order = np.argsort(-values[points[:, 0], points[:, 1]], kind="stable")
    return points[order]


def _highest_neighbour(
    values: NDArray[np.float64],
    edges: NDArray[np.int64],
    places: NDArray[np.int64],
    times: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Highest value among the neighbours of points, minus infinity where there are none."""
    i, j = edges.reshape(-1, 2).T
    start, stop = np.r_[i, j], np.r_[j, i]
    order = np.argsort(start, kind="stable")
    begin = np.searchsorted(start[order], np.arange(len(values) + 1))
    count = begin[places + 1] - begin[places]
    point = np.repeat(np.arange(len(places)), count)
    step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    near = stop[order][begin[places][point] + step]
    highest = np.full(len(places), -np.inf)
    np.maximum.at(highest, point, values[near, times[point]])
    return highest


def list_peaks(
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    places: NDArray[np.float64],
    edges: NDArray[np.int64],
    settings: PeakSettings | None = None,
) -> list[tuple[int, int]]:
    """List the peaks of an estimate, strongest first.

    Places come before instants: every place is listed once before any is listed at another moment,
    for the rhythm of one source would fill the list otherwise. Where the window reaches past 0 s,
    only what happens from 0 s on is listed. The first and the last sample are no maxima over time,
    only the ends of the window; each is listed once at most.

    Parameters
    ----------
    values : array, shape (n_locations, n_times)
        Signed, or lengths.
    times : array, shape (n_times,)
        s.
    places : array, shape (n_locations, 3)
        mm.
    edges : array, shape (n_edges, 2)
        Neighbours.
    settings : PeakSettings, optional

    Returns
    -------
    list of (location, time index)
    """
    settings = settings or PeakSettings()
    size = np.abs(values)
    after = times >= 0 if times[-1] > 0 else np.ones(len(times), bool)
    start = int(np.argmax(after))
    window = size[:, start:]
    if not window.max(initial=0.0) > 0:
        return []
    points = local_maxima(window, edges, settings.least * float(window.max()))
    kept: list[tuple[int, int]] = []
    ends = (start, size.shape[1] - 1) if window.shape[1] > 1 else ()
    for apart_s in (math.inf, settings.apart_s):
        for s, t in points.tolist():
            t += start
            if len(kept) == settings.most or (t in ends and any(t == other[1] for other in kept)):
                continue
            far = (_far(s, t, other, times, places, settings.apart_mm, apart_s) for other in kept)
            if all(far):
                kept.append((s, t))
    return sorted(kept, key=lambda point: -size[point])


def _far(
    s: int,
    t: int,
    other: tuple[int, int],
    times: NDArray[np.float64],
    places: NDArray[np.float64],
    apart_mm: float,
    apart_s: float,
) -> bool:
    distance = float(np.linalg.norm(places[s] - places[other[0]]))
    return distance >= apart_mm or abs(times[t] - times[other[1]]) >= apart_s
