"""Patches of several sizes over any source space: single locations up to wide geodesic balls.

A patch is a set of neighbouring locations that are active together. Balls are grown along the
edges of the source space (Dijkstra); where it has none, as volumes do, along edges between
locations that lie next to each other. Centres of wide balls are thinned: two balls of 38 mm whose
centres lie 5 mm apart are one for any sensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
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
"""Locations whose distances are worked out at once, which bounds the memory."""


@dataclass(frozen=True, eq=False)
class PatchBasis:
    """Patches of one source space.

    Attributes
    ----------
    members : csr_array, shape (n_patches, n_locations), float64
        1 where a location belongs to a patch.
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
    geometry: SourceGeometry | None, n_locations: int, radii_mm: Sequence[float] = RADII_MM
) -> PatchBasis:
    """Build the patches of a source space.

    Parameters
    ----------
    geometry : SourceGeometry or None
        None, or one whose locations all sit in one place, knows single locations only.
    n_locations : int
    radii_mm : sequence of float
        Radii of the balls, mm.

    Returns
    -------
    PatchBasis
        Single locations first, then balls by size. Balls of fewer than two locations, and those
        equal to the next smaller one around the same centre, are left out.
    """
    singles = csr_array(np.eye(1) if n_locations == 1 else _identity(n_locations))
    parts, centres, radii = [singles], [np.arange(n_locations)], [np.zeros(n_locations)]
    graph = None if geometry is None else _graph(geometry)
    if graph is not None:
        before = np.ones(n_locations, dtype=np.int64)
        for radius in sorted(1e-3 * r for r in radii_mm):
            chosen = _spread(graph, SPACING * radius)
            balls = _balls(graph, chosen, radius)
            sizes = np.diff(balls.indptr)
            kept = sizes > before[chosen]
            before[chosen] = sizes
            parts.append(balls[np.flatnonzero(kept)])
            centres.append(chosen[kept])
            radii.append(np.full(int(kept.sum()), radius))
    return PatchBasis(
        csr_array(vstack(parts, format="csr")),
        torch.from_numpy(np.concatenate(centres)),
        torch.from_numpy(np.concatenate(radii)),
    )


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


def _identity(n: int) -> coo_array:
    each = np.arange(n)
    return coo_array((np.ones(n), (each, each)), shape=(n, n))


def _graph(geometry: SourceGeometry) -> csr_array | None:
    """Lengths of the edges, or None where nothing is next to anything."""
    edges = geometry.edges
    if len(edges) == 0:
        edges = nearest_edges(geometry.positions, geometry.hemisphere)
    if len(edges) == 0:
        return None
    places, n = geometry.positions.to(torch.float64).numpy(), geometry.n_locations
    first, second = edges.numpy().T
    # Dijkstra takes a length of zero for no edge at all.
    length = np.linalg.norm(places[first] - places[second], axis=1).clip(1e-9)
    both = (np.r_[first, second], np.r_[second, first])
    return csr_array(coo_array((np.r_[length, length], both), shape=(n, n)))


def _balls(graph: csr_array, centres: np.ndarray, radius: float) -> csr_array:
    """Which locations lie within a radius of some centres, (n_centres, n_locations)."""
    parts = []
    for start in range(0, len(centres), ROWS):
        rows = centres[start : start + ROWS]
        near = np.isfinite(dijkstra(graph, indices=rows, limit=radius))
        parts.append(csr_array(near.astype(np.float64)))
    return csr_array(vstack(parts, format="csr"))


def _spread(graph: csr_array, spacing: float) -> np.ndarray:
    """Locations none of which lies within the spacing of one before it, and that reach all."""
    n = len(graph.indptr) - 1
    if spacing < float(np.median(graph.data)):
        return np.arange(n)
    near = _balls(graph, np.arange(n), spacing)
    reached, chosen = np.zeros(n, dtype=bool), []
    for k in range(n):
        if not reached[k]:
            chosen.append(k)
            reached[near.indices[near.indptr[k] : near.indptr[k + 1]]] = True
    return np.array(chosen)
