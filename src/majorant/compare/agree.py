"""How far the maps of two solvers agree.

Solvers differ in source space and unit, so magnitudes are gathered on the 994 regions of the
template first, each the mean over its vertices. Then

- correlation: of the two maps over the regions; 1 says the same shape, whatever the unit;
- transport: the earth mover's distance between the maps, each summing to one, in mm: how far the
  activity of one lies from that of the other, on average;
- peaks: the distance between the two strongest locations, mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.leadfield import Leadfield
from majorant.metrics.transport import earth_mover

__all__ = ["Agreement", "agreement", "region_means", "region_places", "together"]

NEAR_MM = 20.0
"""Peaks no farther apart than this are at the same place."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """Agreement of all pairs at one time; all arrays have shape (n_solvers, n_solvers).

    Attributes
    ----------
    correlation : array
        NaN where a map is flat.
    transport : array
        mm.
    peaks : array
        mm.
    """

    correlation: NDArray[np.float64]
    transport: NDArray[np.float64]
    peaks: NDArray[np.float64]


def region_places() -> NDArray[np.float64]:
    """Where the template's regions lie, MNI152 mm, shape (994, 3)."""
    return mni305_to_mni152(Leadfield.template_small().positions)


def region_means(mesh: NDArray[np.float64], parcels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Mean magnitude over the vertices of every region.

    Parameters
    ----------
    mesh : array, shape (2, n_vertices)
        NaN where the estimate says nothing; a region of these alone gets 0.
    parcels : array, shape (2, n_vertices)
        Region of every vertex, -1 for none.

    Returns
    -------
    array, shape (n_regions,)
    """
    known = np.isfinite(mesh) & (parcels >= 0)
    n = int(parcels.max()) + 1
    total = np.bincount(parcels[known], np.abs(mesh[known]), minlength=n)
    return total / np.maximum(np.bincount(parcels[known], minlength=n), 1)


def agreement(
    maps: NDArray[np.float64], peaks: NDArray[np.float64], places: NDArray[np.float64]
) -> Agreement:
    """Compare all pairs of maps.

    Parameters
    ----------
    maps : array, shape (n_solvers, n_regions)
        Magnitudes, each in its own unit.
    peaks : array, shape (n_solvers, 3)
        Strongest locations, mm; NaN for a map of zeros.
    places : array, shape (n_regions, 3)
        mm.
    """
    n = len(maps)
    cost = np.linalg.norm(places[:, None] - places[None], axis=2)
    correlation, transport = np.eye(n), np.zeros((n, n))
    for i in range(n):
        for j in range(i + 1, n):
            correlation[i, j] = correlation[j, i] = _correlation(maps[i], maps[j])
            transport[i, j] = transport[j, i] = earth_mover(maps[i], maps[j], cost)
    apart = np.linalg.norm(peaks[:, None] - peaks[None], axis=2)
    return Agreement(correlation, transport, apart)


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    a, b = one - one.mean(), other - other.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else float("nan")


def together(apart: NDArray[np.float64], reach: float = NEAR_MM) -> list[int]:
    """Return the largest set of peaks that lie within reach of one of them, that one first.

    Parameters
    ----------
    apart : array, shape (n, n)
        Distances, mm; NaN where a map has no peak.
    reach : float
        mm.
    """
    near = np.nan_to_num(apart, nan=np.inf) <= reach
    centre = int(near.sum(axis=1).argmax())
    return [centre, *(int(i) for i in np.flatnonzero(near[centre]) if i != centre)]
