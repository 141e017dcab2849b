"""Regions of the interactive page: a thousand at most, whatever the source space.

A page that stored every location at every time would be tens of megabytes. Estimates on regions
stay as they are, few locations become a region each, and many are gathered into the template's 994
regions, of which each shows its strongest location: a time course on the page is that of a
location, with its own band, and not a mean that no location has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import dijkstra

from majorant.findings.facts import SourceMaps
from majorant.report.spread import REACH, neighbours

__all__ = ["Cells", "cells"]

FEW = 1300
"""Locations up to which each is a region of its own."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Which region every vertex belongs to, and which location stands for it.

    Attributes
    ----------
    vertex : array, shape (2, n_vertices)
        Region of every vertex, -1 for none.
    location : array, shape (n_regions,)
        Index into the locations of the estimate.
    """

    vertex: NDArray[np.int64]
    location: NDArray[np.int64]

    def of(self, maps: SourceMaps, location: int) -> int:
        """Return the region in which a location lies."""
        if maps.parcels is not None:
            return location
        return int(self.vertex[maps.hemisphere[location], maps.vertices[location]])


def cells(
    maps: SourceMaps, faces: NDArray[np.integer], parcels: NDArray[np.integer] | None = None
) -> Cells:
    """Divide the cortex into regions.

    Parameters
    ----------
    maps : SourceMaps
    faces : array, shape (2, n_faces, 3)
        Triangles of both hemispheres.
    parcels : array or None, shape (2, n_vertices)
        Regions into which many locations are gathered, -1 for none; None takes the template's.
    """
    strength = np.abs(maps.values).max(axis=1)
    if maps.parcels is not None:
        return Cells(np.asarray(maps.parcels, dtype=np.int64), np.arange(len(strength)))
    n_vertices = int(faces.max()) + 1
    site, of_site = np.unique(maps.hemisphere * n_vertices + maps.vertices, return_inverse=True)
    nearest = np.concatenate(
        [_nearest(site - side * n_vertices, faces[side], n_vertices) for side in (0, 1)]
    )
    if len(site) <= FEW:
        label, wanted = np.arange(len(site)), nearest
    else:
        table = _completed(_template_parcels() if parcels is None else parcels, faces)
        label = table[site]
        wanted = np.where(np.isin(table, label), table, label[np.clip(nearest, 0, None)])
        wanted = np.where(nearest >= 0, wanted, -1)
    labels = label[of_site]
    shown = np.intersect1d(np.unique(labels), wanted)
    order = np.argsort(strength, kind="stable")
    strongest = dict(zip(labels[order].tolist(), order.tolist(), strict=True))
    number = {int(name): i for i, name in enumerate(shown)}
    vertex = np.array([number.get(int(name), -1) for name in wanted], dtype=np.int64)
    location = np.array([strongest[int(name)] for name in shown], dtype=np.int64)
    return Cells(vertex.reshape(2, n_vertices), location)


def _completed(parcels: NDArray[np.integer], faces: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return regions in which vertices without one belong to the nearest, shape (2 n_vertices,)."""
    sides = []
    for table, triangles in zip(np.asarray(parcels), faces, strict=True):
        labelled = np.flatnonzero(table >= 0)
        source = _sources(labelled, triangles, len(table))[1]
        sides.append(table[source])
    return np.concatenate(sides).astype(np.int64)


def _nearest(
    site: NDArray[np.integer], faces: NDArray[np.integer], n_vertices: int
) -> NDArray[np.int64]:
    """Return which site is nearest to every vertex of a hemisphere, -1 beyond reach."""
    here = np.flatnonzero((site >= 0) & (site < n_vertices))
    if here.size == 0:
        return np.full(n_vertices, -1, dtype=np.int64)
    hops, source = _sources(site[here], faces, n_vertices)
    at = np.full(n_vertices, -1, dtype=np.int64)
    at[site[here]] = here
    return np.where(hops <= REACH, at[source], -1)


def _sources(
    vertices: NDArray[np.integer], faces: NDArray[np.integer], n_vertices: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return edges to the nearest of some vertices, and which that is, for every vertex."""
    hops, _, source = dijkstra(
        neighbours(n_vertices, faces),
        indices=vertices,
        unweighted=True,
        min_only=True,
        return_predecessors=True,
    )
    return hops, np.clip(source, 0, None).astype(np.int64)


def _template_parcels() -> NDArray[np.int64]:
    """Return the template's regions, shape (2, 10242)."""
    from majorant.forward.leadfield import Leadfield

    parcels = Leadfield.template_small().parcels
    assert parcels is not None
    return parcels.numpy()
