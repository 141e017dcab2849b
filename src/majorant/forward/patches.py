"""Patches of several sizes over any source space: single locations up to wide geodesic balls.

A patch is a set of neighbouring locations that are active together. Balls are grown along the
edges of the source space (Dijkstra); where it has none, as volumes do, along edges between
locations that lie next to each other. Centres of wide balls are thinned: two balls of 38 mm whose
centres lie 5 mm apart are one for any sensor. Activity falls off from the middle of a patch by as
much as is asked for: evenly active up to its rim, or a Gaussian of two deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array, vstack
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from torch import Tensor

from majorant.forward.graph import unique_edges
from majorant.geometry import SourceGeometry

__all__ = ["RADII_MM", "PatchBasis", "nearest_edges", "patch_basis"]

RADII_MM = (7.0, 12.0, 18.0, 26.0, 38.0)
"""Radii of the balls, mm; single locations come first."""

SPACING = 0.35
"""Distance between the centres of balls, as a share of their radius."""

ROWS = 512
"""Locations whose distances are worked out at once, at most, which bounds the memory."""

CELL = 3.0
"""Width of the cells of space whose locations are worked out together, over the reach."""

SLACK = 1e-9
"""By how much a path may seem shorter than the straight line, by rounding; metres."""

Places = NDArray[np.float64]
"""Shape (n_locations, 3), metres."""


@dataclass(frozen=True, eq=False)
class PatchBasis:
    """Patches of one source space.

    Attributes
    ----------
    members : csr_array, shape (n_patches, n_locations), float64
        1 where a location belongs to a patch; its amplitude where patches are graded.
    centre : Tensor, shape (n_patches,), int64
        Location in the middle.
    radius : Tensor, shape (n_patches,), float64
        Metres; 0 for single locations.
    """

    members: csr_array
    centre: Tensor
    radius: Tensor

    @property
    def n_patches(self) -> int:
        """Number of patches."""
        return len(self.centre)

    @property
    def n_locations(self) -> int:
        """Number of locations."""
        return int((self.radius == 0).sum())

    def topographies(self, columns: Tensor) -> Tensor:
        """Sum the columns of every patch.

        Parameters
        ----------
        columns : Tensor, shape (n_locations, ...)
            Of every location, in any unit.

        Returns
        -------
        Tensor, shape (n_patches, ...)
        """
        flat = columns.reshape(len(columns), -1).numpy()
        return torch.from_numpy(self.members @ flat).reshape(-1, *columns.shape[1:])


def patch_basis(
    geometry: SourceGeometry | None,
    n_locations: int,
    radii_mm: Sequence[float] = RADII_MM,
    falloff: float = 0.0,
    spacing: float = SPACING,
) -> PatchBasis:
    """Build the patches of a source space.

    Parameters
    ----------
    geometry : SourceGeometry or None
        None, or one whose locations all sit in one place, knows single locations only.
    n_locations : int
    radii_mm : sequence of float
        Radii of the patches, mm: how far they reach along the edges.
    falloff : float
        Amplitudes fall as ``exp(-2 falloff (d / radius)^2)`` with the distance in a straight line:
        0 is a ball of even amplitude, 1 a Gaussian of two deviations.
    spacing : float
        Distance between centres, as a share of the radius; 0 takes every location.

    Returns
    -------
    PatchBasis
        Single locations first, then patches by size. Those of fewer than two locations are left
        out, and balls of even amplitude that are equal to the next smaller one around the same
        centre.
    """
    each = np.arange(n_locations)
    parts = [_sparse(np.ones(n_locations), each, each, n_locations)]
    centres, radii = [each], [np.zeros(n_locations)]
    graph = None if geometry is None else _graph(geometry)
    if geometry is not None and graph is not None and len(radii_mm):
        # From every location no farther than centres are thinned by; wide patches grow from the
        # few centres that are left.
        longest = 1e-3 * max(radii_mm)
        reach = spacing * longest or longest
        places = _places(geometry)
        near = _near(graph, places, each, reach)
        before = np.ones(n_locations, dtype=np.int64)
        for radius in sorted(1e-3 * r for r in radii_mm):
            chosen = _spread(_within(near, spacing * radius)) if spacing else each
            wide = radius > reach
            apart = _near(graph, places, chosen, radius) if wide else near[chosen]
            balls = _within(apart, radius)
            sizes = np.diff(balls.indptr)
            kept = sizes > (1 if falloff else before[chosen])
            before[chosen] = sizes
            parts.append(_graded(balls, chosen, places, falloff / radius**2)[np.flatnonzero(kept)])
            centres.append(chosen[kept])
            radii.append(np.full(int(kept.sum()), radius))
    return PatchBasis(
        csr_array(vstack(parts, format="csr")),
        torch.from_numpy(np.concatenate(centres)),
        torch.from_numpy(np.concatenate(radii)),
    )


def _graded(
    balls: csr_array, centres: NDArray[np.int64], places: Places, steep: float
) -> csr_array:
    """Let amplitudes fall off from the centres of balls."""
    if steep == 0:
        return balls
    centre = centres[np.repeat(np.arange(len(centres)), np.diff(balls.indptr))]
    apart = places[centre] - places[balls.indices]
    values = np.exp(-2.0 * steep * np.square(apart).sum(1))
    return csr_array((values, balls.indices, balls.indptr), shape=balls.shape)


def nearest_edges(positions: Tensor, hemisphere: Tensor | None = None) -> Tensor:
    """Join locations that lie next to each other, for source spaces without a mesh.

    Neighbours are those within 1.8 times the median distance to the nearest one: the 26 next
    points of a cubic grid. Locations of two hemispheres are not joined.

    Parameters
    ----------
    positions : Tensor, shape (n_locations, 3)
    hemisphere : Tensor, shape (n_locations,), optional
        0, 1, or -1 where neither applies.

    Returns
    -------
    Tensor, shape (n_edges, 2), int64
        Each with i < j; none where all locations sit in one place.
    """
    places = positions.to(torch.float64).numpy()
    nothing = torch.zeros(0, 2, dtype=torch.int64)
    if len(places) < 2:
        return nothing
    tree = KDTree(places)
    step = float(np.median(tree.query(places, k=2)[0][:, 1]))
    if step <= 0:
        return nothing
    edges = unique_edges(torch.from_numpy(tree.query_pairs(1.8 * step, output_type="ndarray")))
    if hemisphere is None:
        return edges
    first, second = hemisphere[edges[:, 0]], hemisphere[edges[:, 1]]
    return edges[(first == second) | (first < 0) | (second < 0)]


def _sparse(
    values: NDArray[np.float64], row: NDArray[np.int64], column: NDArray[np.int64], n: int
) -> csr_array:
    """A square sparse matrix of n rows."""
    return csr_array(coo_array((values, (row, column)), shape=(n, n)))


def _places(geometry: SourceGeometry) -> Places:
    return geometry.positions.to(torch.float64).numpy()


def _graph(geometry: SourceGeometry) -> csr_array | None:
    """Lengths of the edges, or None where nothing is next to anything."""
    edges = geometry.edges
    if len(edges) == 0:
        edges = nearest_edges(geometry.positions, geometry.hemisphere)
    if len(edges) == 0:
        return None
    places, n = _places(geometry), geometry.n_locations
    first, second = edges.numpy().T
    # Dijkstra takes a length of zero for no edge at all.
    length = np.linalg.norm(places[first] - places[second], axis=1).clip(1e-9)
    return _sparse(np.r_[length, length], np.r_[first, second], np.r_[second, first], n)


def _near(graph: csr_array, places: Places, centres: NDArray[np.int64], reach: float) -> csr_array:
    """Distances along the graph up to a reach; 1 nm is added, for zeros are not kept.

    No path within reach leaves the box around the centres that a reach widens: centres of one
    cell of space are looked at in the graph within their box alone.
    """
    cells = np.floor(places[centres] / (CELL * reach + SLACK)).astype(np.int64)
    _, cell = np.unique(cells, axis=0, return_inverse=True)
    order = np.argsort(cell, kind="stable")
    parts = [
        _distances(graph, places, rows[start : start + ROWS], centres, reach)
        for rows in np.split(order, np.cumsum(np.bincount(cell))[:-1])
        for start in range(0, len(rows), ROWS)
    ]
    row, column, apart = (np.concatenate(part) for part in zip(*parts, strict=True))
    return csr_array(coo_array((apart, (row, column)), shape=(len(centres), len(places))))


def _distances(
    graph: csr_array,
    places: Places,
    rows: NDArray[np.int64],
    centres: NDArray[np.int64],
    reach: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Row, location and distance plus 1 nm of what some centres reach."""
    own = places[centres[rows]]
    wide = reach + SLACK
    inside = (places >= own.min(0) - wide) & (places <= own.max(0) + wide)
    box = np.flatnonzero(inside.all(1))
    at = np.searchsorted(box, centres[rows])
    apart = dijkstra(graph[box][:, box], indices=at, limit=reach)
    row, column = np.nonzero(np.isfinite(apart))
    return rows[row], box[column], apart[row, column] + 1e-9


def _within(near: csr_array, radius: float) -> csr_array:
    """Ones where the distance is at most a radius, in the shape of ``near``."""
    inside = near.data <= radius + 2e-9
    before = np.r_[0, np.cumsum(inside)]
    parts = np.ones(int(before[-1])), near.indices[inside], before[near.indptr]
    return csr_array(parts, shape=near.shape)


def _spread(balls: csr_array) -> NDArray[np.int64]:
    """Locations none of which lies in the ball of one before it, and that reach all."""
    n = len(balls.indptr) - 1
    reached, chosen = np.zeros(n, dtype=bool), []
    for k in range(n):
        if not reached[k]:
            chosen.append(k)
            reached[balls.indices[balls.indptr[k] : balls.indptr[k + 1]]] = True
    return np.array(chosen, dtype=np.int64)
