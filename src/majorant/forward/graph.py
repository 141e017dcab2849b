"""Graphs of neighbouring locations: edges from meshes, distances along edges.

Distances are breadth-first (hops) and Dijkstra (metres) searches of scipy.sparse.csgraph.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

__all__ = [
    "UNREACHABLE",
    "contract_edges",
    "distances",
    "hop_counts",
    "mesh_edges",
    "nearest_to_centroid",
    "unique_edges",
]

UNREACHABLE = 1_000_000
"""Hops between locations that no path joins (the two hemispheres): larger than any path."""


def unique_edges(pairs: Tensor) -> Tensor:
    """Return the distinct undirected edges of pairs, sorted, without loops.

    Parameters
    ----------
    pairs : Tensor, shape (n_pairs, 2), int64

    Returns
    -------
    Tensor, shape (n_edges, 2), int64
        Each with i < j.
    """
    if len(pairs) == 0:
        return pairs.reshape(0, 2)
    low, high = torch.minimum(*pairs.T), torch.maximum(*pairs.T)
    size = int(high.max()) + 1
    keys = torch.unique((low * size + high)[low != high])
    return torch.stack([keys // size, keys % size], dim=1)


def mesh_edges(faces: Tensor) -> Tensor:
    """Return the edges of a triangle mesh, shape (n_edges, 2), i < j, from (n_faces, 3)."""
    return unique_edges(torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [0, 2]]]))


def contract_edges(edges: Tensor, labels: Tensor) -> Tensor:
    """Return the edges between labels that share an edge; negative labels are left out.

    Parameters
    ----------
    edges : Tensor, shape (n_edges, 2)
    labels : Tensor, shape (n_locations,)
    """
    pairs = labels[edges]
    return unique_edges(pairs[(pairs >= 0).all(dim=1)])


def _graph(n: int, edges: Tensor, lengths: np.ndarray) -> csr_array:
    i, j = edges.numpy().T
    rows, columns = np.concatenate([i, j]), np.concatenate([j, i])
    return csr_array((np.concatenate([lengths, lengths]), (rows, columns)), shape=(n, n))


def hop_counts(n: int, edges: Tensor, sources: Sequence[int] | None = None) -> Tensor:
    """Return the least number of edges between locations.

    Parameters
    ----------
    n : int
        Number of locations.
    edges : Tensor, shape (n_edges, 2)
    sources : sequence of int, optional
        Rows to compute; all by default.

    Returns
    -------
    Tensor, shape (n_sources, n), int32
        `UNREACHABLE` where no path leads.
    """
    graph = _graph(n, edges, np.ones(len(edges)))
    hops = dijkstra(graph, directed=False, indices=sources, unweighted=True)
    hops[~np.isfinite(hops)] = UNREACHABLE
    return torch.from_numpy(hops.astype(np.int32))


def distances(positions: Tensor, edges: Tensor, sources: Sequence[int] | None = None) -> Tensor:
    """Return the lengths of the shortest paths along edges.

    Parameters
    ----------
    positions : Tensor, shape (n, 3)
        Metres.
    edges : Tensor, shape (n_edges, 2)
    sources : sequence of int, optional
        Rows to compute; all by default.

    Returns
    -------
    Tensor, shape (n_sources, n), float64
        Metres; infinite where no path leads.
    """
    lengths = (positions[edges[:, 0]] - positions[edges[:, 1]]).norm(dim=1)
    # csgraph reads a stored zero as a missing edge.
    lengths = lengths.clamp_min(torch.finfo(torch.float64).tiny)
    graph = _graph(len(positions), edges, lengths.numpy())
    return torch.from_numpy(dijkstra(graph, directed=False, indices=sources))


def nearest_to_centroid(positions: Tensor, labels: Tensor) -> Tensor:
    """Return, per label, the member nearest the members' mean position, shape (n_labels,)."""
    count = torch.bincount(labels).to(torch.float64)
    centroid = positions.new_zeros(len(count), 3).index_add_(0, labels, positions) / count[:, None]
    distance = (positions - centroid[labels]).norm(dim=1)
    order = np.lexsort((distance.numpy(), labels.numpy()))
    first = np.searchsorted(labels.numpy()[order], np.arange(len(count)))
    return torch.from_numpy(order[first])
