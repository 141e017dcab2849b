"""The fine mesh on which sources live, and every patch that may grow on it.

A patch is the beginning of a list: the vertices around a seed in the order in which something that
spreads along the mesh reaches them. Spreading at an even pace makes geodesic balls. Where every
edge takes a random time of its own (first-passage percolation; Hammersley and Welsh, 1965) it makes
connected shapes with arms and bays. The lists are tabulated once for the seeds that a part owns, so
thousands of patches can be drawn a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from torch import Tensor

from majorant.problem import MajorantError
from majorant.simulate.everyday.parts import PARTS, Part, owned

REACH_MM = 21.0
"""How far from its seed a patch may reach along the mesh."""
MOST = 320
"""Vertices of the largest patch."""
ROUGHNESS = 0.9
"""Deviation of the logarithm of the times that edges take where a patch grows at random."""
BLOCK = 256
VERTICES = 1
"""Kind of numbered thing, see :func:`majorant.simulate.everyday.parts.owned`."""


@dataclass(frozen=True, eq=False)
class FineCortex:
    """The mesh that makes data.

    Attributes
    ----------
    positions : Tensor, shape (n_vertices, 3), float64
        Metres, on the cortex as it is believed: a deformed cortex has the same vertices.
    normals : Tensor, shape (n_vertices, 3), float64
        Unit vectors, outward.
    edges : Tensor, shape (n_edges, 2), int64
    hemisphere : Tensor, shape (n_vertices,), int64
        0 left, 1 right.
    regions : Tensor, shape (n_vertices,), int64
        Region of every vertex; -1 where there is no cortex (the medial wall), so no source either.
    """

    positions: Tensor
    normals: Tensor
    edges: Tensor
    hemisphere: Tensor
    regions: Tensor

    def __post_init__(self) -> None:
        if len(self.edges) == 0:
            raise MajorantError("the mesh has no edges, so patches cannot grow; give its edges")

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return int(self.positions.shape[0])

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return int(self.regions.max()) + 1

    @cached_property
    def lengths(self) -> Tensor:
        """Length of every edge, metres."""
        i, j = self.edges.T
        return (self.positions[i] - self.positions[j]).norm(dim=1)

    def seeds(self, part: Part) -> Tensor:
        """Vertices that patches of a part may grow from, int64."""
        mine = owned(part, self.n_vertices, VERTICES)
        return (mine & (self.regions >= 0)).nonzero()[:, 0]

    def mirrored(self, seeds: Tensor) -> Tensor:
        """For every seed, the position in ``seeds`` of the one nearest its mirror image.

        Parameters
        ----------
        seeds : Tensor, shape (n_seeds,), int64
            Of one part, so that a mirrored source never has a seed of another.
        """
        places = self.positions[seeds].numpy()
        nearest = KDTree(places).query(places * np.array([-1.0, 1.0, 1.0]))[1]
        return torch.as_tensor(np.asarray(nearest), dtype=torch.int64)


@dataclass(frozen=True, eq=False)
class Lists:
    """The patches of the seeds of a part, as lists to be cut off.

    Attributes
    ----------
    seeds : Tensor, shape (n_seeds,), int64
    members : Tensor, shape (n_shapes, n_seeds, n_members), int16
        Vertices in the order in which they are reached, the seed first; shape 0 is the ball.
    reached : Tensor, shape (n_shapes, n_seeds, n_members), float16
        When they are reached: mm for the ball, arbitrary units for the others; infinite beyond the
        end of a list.
    """

    seeds: Tensor
    members: Tensor
    reached: Tensor

    @classmethod
    def grow(cls, cortex: FineCortex, part: Part, shapes: int, most: int | None = None) -> Lists:
        """Tabulate the patches of a part.

        Parameters
        ----------
        cortex : FineCortex
        part : {"train", "validation", "test"}
            Random shapes of a part are its own.
        shapes : int
            Random shapes of every seed, beside the ball.
        most : int, optional
            Seeds that are tabulated at most, spread over the cortex; None is all of them.
        """
        seeds = cortex.seeds(part)
        if len(seeds) == 0:
            raise MajorantError("no vertex of this mesh belongs to the part; use a denser mesh")
        if most is not None and most < len(seeds):
            step = torch.arange(most, dtype=torch.float64) * (len(seeds) / most)
            seeds = seeds[step.long()]
        paces = [np.ones(len(cortex.edges))]
        for shape in range(shapes):
            generator = np.random.default_rng([77, PARTS.index(part), shape])
            paces.append(np.exp(ROUGHNESS * generator.standard_normal(len(cortex.edges))))
        made = [_reached(cortex, seeds, pace) for pace in paces]
        return cls(seeds, *(torch.stack(parts) for parts in zip(*made, strict=True)))


def _reached(
    cortex: FineCortex, seeds: Tensor, pace: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[Tensor, Tensor]:
    """Members of every seed and when they are reached, nearest first."""
    n = cortex.n_vertices
    i, j = cortex.edges.numpy().T
    time = 1e3 * cortex.lengths.numpy() * pace
    graph = csr_array((np.r_[time, time], (np.r_[i, j], np.r_[j, i])), shape=(n, n))
    inside = (cortex.regions >= 0).numpy()
    most = min(MOST, n)
    members = np.zeros((len(seeds), most), dtype=np.int16 if n < 2**15 else np.int32)
    reached = np.full((len(seeds), most), np.inf, dtype=np.float16)
    # Random paces reach farther along quick edges: the limit only bounds the work.
    for start in range(0, len(seeds), BLOCK):
        chosen = seeds[start : start + BLOCK].numpy()
        away = dijkstra(graph, directed=False, indices=chosen, limit=REACH_MM)
        away[:, ~inside] = np.inf
        for row, distance in enumerate(away, start):
            near = np.flatnonzero(np.isfinite(distance))
            near = near[np.argsort(distance[near], kind="stable")][:most]
            members[row, : len(near)] = near
            reached[row, : len(near)] = distance[near]
    return torch.from_numpy(members), torch.from_numpy(reached)
