"""Neighbourhoods of sources at several scales, measured in millimetres, as fixed sparse averages.

A network that knows no source by its number sees a source and what lies around it. An average is a
row of weights that fall with distance as a Gaussian and sum to one; distances are those along the
edges of a surface, or straight lines where sources have no edges. Scales are lengths, not hops, so
what was learned on 994 regions holds on 20,484 vertices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array, vstack
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from torch import Tensor

from majorant.geometry import SourceGeometry

SCALES = (0.009, 0.018, 0.030)
"""Standard deviations of the averages, m."""

REACH = 1.75
"""Standard deviations at which an average ends."""


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """Averages over the neighbours of every source.

    Attributes
    ----------
    rows : csr_array, shape (n_scales * n_sources, n_sources), float32
        All averages, one scale below the other; rows sum to one.
    columns : csr_array
        The transpose of ``rows``.
    n_scales : int
    bounds : tuple of float
        Upper bounds of the spectral norm of every average.
    """

    rows: Any
    columns: Any
    n_scales: int
    bounds: tuple[float, ...]

    @classmethod
    def of(
        cls,
        geometry: SourceGeometry | None,
        n_sources: int,
        scales: tuple[float, ...] = SCALES,
    ) -> Neighbourhoods:
        """Prepare the averages of a source space.

        Parameters
        ----------
        geometry : SourceGeometry or None
            None leaves every source alone: its averages are itself.
        n_sources : int
        scales : tuple of float
            Standard deviations, m.
        """
        limit = REACH * max(scales)
        near = None if geometry is None else _distances(geometry, limit)
        parts = [_average(near, n_sources, scale) for scale in scales]
        rows = csr_array(vstack(parts)).astype(np.float32)
        # |M|^2 <= |M|_1 |M|_inf; rows sum to one but for the rounding of float32
        bounds = tuple(float(np.sqrt(part.sum(0).max())) * (1.0 + 1e-6) for part in parts)
        return cls(rows, csr_array(rows.T), len(scales), bounds)

    def average(self, x: Tensor) -> Tensor:
        """Return all averages of ``x`` (n_batch, n_sources, k): (n_batch, n_scales, n_sources, k).

        Differentiable in ``x``.
        """
        n_batch, n_sources, k = x.shape
        flat = x.transpose(0, 1).reshape(n_sources, -1)
        found = _multiply(self.rows, self.columns, flat)
        found = found.reshape(self.n_scales, n_sources, n_batch, k)
        return found.permute(2, 0, 1, 3).contiguous()

    def gather(self, v: Tensor) -> Tensor:
        """Return the adjoint, from (n_batch, n_scales, n_sources, k) to (n_batch, n_sources, k)."""
        n_batch, _, n_sources, k = v.shape
        flat = v.permute(1, 2, 0, 3).reshape(self.n_scales * n_sources, -1)
        found = _multiply(self.columns, self.rows, flat)
        return found.reshape(n_sources, n_batch, k).transpose(0, 1)


class _Multiply(torch.autograd.Function):
    """A product with a constant sparse matrix, whose transpose takes the gradient back."""

    @staticmethod
    def forward(ctx: Any, matrix: Any, transpose: Any, x: Tensor) -> Tensor:
        ctx.both = (transpose, matrix)
        return torch.from_numpy(matrix @ x.detach().numpy()).to(x)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[None, None, Tensor]:
        transpose, matrix = ctx.both
        return None, None, _multiply(transpose, matrix, upstream[0].contiguous())


def _multiply(matrix: Any, transpose: Any, x: Tensor) -> Tensor:
    found: Any = _Multiply.apply(matrix, transpose, x)
    return found


def _distances(geometry: SourceGeometry, limit: float) -> Any:
    """Distances up to ``limit`` metres, sparse; a source's own is left out."""
    place, n = geometry.positions.numpy(), geometry.n_locations
    if len(geometry.edges) == 0:
        tree = KDTree(place)
        found = tree.sparse_distance_matrix(tree, limit, output_type="coo_matrix")
        return csr_array((found.data, (found.row, found.col)), shape=(n, n))
    i, j = geometry.edges.numpy().T
    length = np.maximum(np.linalg.norm(place[i] - place[j], axis=1), 1e-6)
    graph = csr_array((length, (i, j)), shape=(n, n))
    parts = []
    for first in range(0, n, 512):
        chosen = np.arange(first, min(first + 512, n))
        dense = dijkstra(graph, directed=False, indices=chosen, limit=limit)
        row, column = np.nonzero(np.isfinite(dense) & (dense > 0))
        parts.append(csr_array((dense[row, column], (row, column)), shape=(len(chosen), n)))
    return csr_array(vstack(parts))


def _average(near: Any, n_sources: int, scale: float) -> Any:
    """The average at one scale: a matrix whose rows sum to one."""
    alone = diags_array(np.ones(n_sources)).tocsr()
    if near is None:
        return csr_array(alone)
    weight = near.copy()
    weight.data = np.where(near.data <= REACH * scale, np.exp(-0.5 * (near.data / scale) ** 2), 0.0)
    weight = csr_array(weight + alone)
    weight.eliminate_zeros()
    return csr_array(diags_array(1.0 / weight.sum(1)).tocsr() @ weight)
