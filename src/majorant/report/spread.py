"""From the locations of an estimate to every vertex of the drawn surface.

Regions colour all their vertices. Values at vertices are carried to the vertices in between so
that each of these equals the mean of its neighbours (the discrete harmonic extension): constants
stay constant, nothing exceeds the values it comes from, and vertices farther than `REACH` edges
from any location stay empty. Where locations share a vertex, it shows the strongest.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import SuperLU, splu

from majorant.findings.facts import SourceMaps

__all__ = ["REACH", "neighbours", "spread"]

REACH = 6
"""Edges of fsaverage5 within which an empty vertex is filled: ico2 and denser close their gaps."""


def spread(
    maps: SourceMaps, values: NDArray[np.float64], faces: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Carry values from locations to vertices.

    Parameters
    ----------
    maps : SourceMaps
        Whose locations the values belong to.
    values : array, shape (n_locations, n_maps)
        In the unit of `maps`.
    faces : array, shape (2, n_faces, 3)
        Triangles of both hemispheres.

    Returns
    -------
    array, shape (2, n_vertices, n_maps)
        NaN where the estimate says nothing.
    """
    n_vertices = int(faces.max()) + 1
    if maps.parcels is not None:
        parcels = np.asarray(maps.parcels)
        return np.where(parcels[..., None] >= 0, values[parcels], np.nan)
    full = np.full((2, n_vertices, values.shape[1]), np.nan)
    for side in (0, 1):
        here = np.flatnonzero(maps.hemisphere == side)
        for column, mapped in enumerate(values[here].T):
            # Of locations that share a vertex, the strongest is written last and shows.
            order = np.argsort(np.abs(mapped), kind="stable")
            full[side, maps.vertices[here][order], column] = mapped[order]
        fill_between(full[side], faces[side])
    return full


def fill_between(values: NDArray[np.float64], faces: NDArray[np.integer]) -> None:
    """Fill empty rows within reach, in place, by the harmonic extension of the others.

    Parameters
    ----------
    values : array, shape (n_vertices, n_maps)
        NaN rows are empty.
    faces : array, shape (n_faces, 3)
    """
    known = ~np.isnan(values).any(axis=1)
    if known.all() or not known.any():
        return
    triangles = np.ascontiguousarray(faces, dtype=np.int64)
    wanted, outer, factors = _extension(known.tobytes(), triangles.tobytes())
    if outer is not None and factors is not None:
        values[wanted] = factors.solve(outer @ values[known])


@lru_cache(maxsize=4)
def _extension(
    known: bytes, faces: bytes
) -> tuple[NDArray[np.int64], csr_array | None, SuperLU | None]:
    """Rows to fill, what they take from the known ones, and the factors that solve for them.

    They depend on the mesh and on where values are known: every map of a page shares them.
    """
    given = np.frombuffer(known, dtype=bool)
    graph = neighbours(len(given), np.frombuffer(faces, dtype=np.int64).reshape(-1, 3))
    hops = dijkstra(graph, indices=np.flatnonzero(given), unweighted=True, min_only=True)
    wanted = np.flatnonzero(~given & (hops <= REACH))
    if not wanted.size:
        return wanted, None, None
    rows = graph[wanted]
    inner, outer = rows[:, wanted], rows[:, np.flatnonzero(given)]
    degree = inner.sum(axis=1) + outer.sum(axis=1)
    return wanted, outer, splu((diags_array(degree) - inner).tocsc())


def neighbours(n: int, faces: NDArray[np.integer]) -> csr_array:
    """Return the mesh's adjacency, ones for neighbours, shape (n, n)."""
    i, j = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    both = (np.concatenate([i, j]), np.concatenate([j, i]))
    graph = csr_array((np.ones(2 * len(i)), both), shape=(n, n))
    graph.data[:] = 1.0  # an edge of two triangles is met twice
    return graph
