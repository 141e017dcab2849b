"""Patches of cortex on the fine mesh: where they lie, how far they reach, what is seen of them.

A patch is a Gaussian of the distance along the cortex, cut off at two standard deviations, as wide
as makes the area above half its maximum the one that was asked for. Its current per area is the
same for all patches, so a patch on a wall that faces away, or deep down, is seen less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from majorant.audit.heads import AuditHead

__all__ = ["Patches", "balanced", "centres", "grow"]

REACH = 0.08
"""Metres along the cortex beyond which no patch reaches."""
BLOCK = 64


@dataclass(frozen=True, eq=False)
class Patches:
    """Patches, one per row.

    Attributes
    ----------
    vertex : array, shape (n_patches,)
        Centre.
    seen : Tensor, shape (n_patches, n_electrodes), float64
        Potentials at unit current density, average reference, arbitrary unit.
    core : array of bool, shape (n_patches, n_locations)
        Locations that hold some of the cortex above half the maximum.
    share : array, shape (n_patches, n_locations)
        Share of that cortex in each; rows sum to one.
    area : array, shape (n_patches,)
        Of that cortex, cm².
    """

    vertex: NDArray[np.int64]
    seen: Tensor
    core: NDArray[np.bool_]
    share: NDArray[np.float32]
    area: NDArray[np.float64]


def balanced(near: NDArray[np.float64], n: int, seed: int) -> NDArray[np.int64]:
    """Locations for `n` patches: evenly spread, every location once before any comes twice.

    Parameters
    ----------
    near : array, shape (n_locations, n_locations)
        Distances along the cortex; infinite between hemispheres.
    n : int
    seed : int
        Of the first location of every round.

    Returns
    -------
    array, shape (n,)
        Every beginning is spread evenly as well.
    """
    far = np.where(np.isfinite(near), near, 2.0 * near[np.isfinite(near)].max())
    generator = np.random.default_rng([seed, 1])
    rounds: list[NDArray[np.int64]] = []
    while sum(map(len, rounds)) < n:
        rounds.append(_farthest(far, int(generator.integers(len(far)))))
    return np.concatenate(rounds)[:n]


def _farthest(far: NDArray[np.float64], first: int) -> NDArray[np.int64]:
    order = np.empty(len(far), dtype=np.int64)
    order[0], left = first, far[first].copy()
    left[first] = -1.0
    for i in range(1, len(far)):
        best = int(left.argmax())
        order[i] = best
        left = np.minimum(left, far[best])
        left[order[: i + 1]] = -1.0
    return order


def centres(head: AuditHead, locations: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """A random vertex of every location, shape (n_patches,); the same for the same row and seed."""
    generator = np.random.default_rng([seed, 2])
    draws = generator.random(len(locations))
    order = np.argsort(head.home, kind="stable")
    sizes = np.bincount(head.home[head.home >= 0], minlength=head.believed.n_locations)
    starts = np.count_nonzero(head.home < 0) + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    inside = np.floor(draws * sizes[locations]).astype(np.int64)
    return order[starts[locations] + inside]


def grow(head: AuditHead, vertex: NDArray[np.int64], extent: float) -> Patches:
    """Grow a patch around every vertex.

    Parameters
    ----------
    head : AuditHead
    vertex : array of int, shape (n_patches,)
    extent : float
        Area above half the maximum, cm².
    """
    n = len(head.vertices)
    i, j = head.edges.T
    length = np.linalg.norm(head.vertices[i] - head.vertices[j], axis=1)
    graph = csr_array((length, (i, j)), shape=(n, n))
    cortex = head.home >= 0
    gain = (head.gain - head.gain.mean(dim=0)).numpy()
    n_locations = head.believed.n_locations
    seen, core, area = [], [], []
    for start in range(0, len(vertex), BLOCK):
        chosen = vertex[start : start + BLOCK]
        away = dijkstra(graph, directed=False, indices=chosen, limit=REACH)
        away[:, ~cortex] = np.inf
        for row in away:
            near = np.flatnonzero(np.isfinite(row))
            weight, inside = _profile(row[near], head.area[near], extent)
            seen.append(gain[:, near] @ (weight * head.area[near]))
            held = np.bincount(
                head.home[near[inside]], head.area[near[inside]], minlength=n_locations
            )
            core.append(held)
            area.append(held.sum())
    held = np.array(core)
    return Patches(
        vertex=vertex,
        seen=torch.from_numpy(np.array(seen)),
        core=held > 0,
        share=(held / held.sum(axis=1, keepdims=True)).astype(np.float32),
        area=np.array(area),
    )


def _profile(
    distance: NDArray[np.float64], area: NDArray[np.float64], extent: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Amplitudes of the vertices near a centre, and which are above half the maximum."""
    order = np.argsort(distance, kind="stable")
    total = np.cumsum(area[order])
    # The centre always belongs to the core, however coarse the mesh.
    last = max(int(np.searchsorted(total, extent, side="right")) - 1, 0)
    half = max(float(distance[order[last]]), 1e-3)
    weight = np.exp(-math.log(2) * (distance / half) ** 2)
    return np.where(weight >= math.exp(-2.0), weight, 0.0), distance <= half
