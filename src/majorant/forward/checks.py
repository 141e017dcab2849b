"""Checks at the door of the lead field: shapes, indices and values, each refused in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from majorant.problem import MajorantError

__all__ = ["as_float", "as_int", "check_indices", "check_parts"]

FARTHEST = 10.0
"""Metres from the origin, beyond which no head is."""
LARGEST = 1e30
"""Of a gain: its square must not overflow on the way."""


def as_float(array: Tensor | np.ndarray) -> Tensor:
    """Return an array as a float64 tensor."""
    return torch.as_tensor(array, dtype=torch.float64)


def as_int(array: Tensor | np.ndarray | Sequence[int]) -> Tensor:
    """Return an array as an int64 tensor."""
    return torch.as_tensor(array, dtype=torch.int64)


def check_indices(name: str, index: Tensor, low: int, high: int) -> None:
    """Raise MajorantError unless every index lies from `low` up to, not including, `high`."""
    if index.numel() and not low <= int(index.min()) <= int(index.max()) < high:
        raise MajorantError(
            f"{name} refers to {int(index.min())}..{int(index.max())}; expected {low}..{high - 1}"
        )


def check_parts(parts: Any) -> None:
    """Raise MajorantError unless the parts of a lead field fit together.

    Parameters
    ----------
    parts : Leadfield
    """
    gain, n_orient, edges = parts.gain, parts.n_orient, parts.edges
    positions, normals, vertices = parts.positions, parts.normals, parts.vertices
    hemisphere, ch_names, parcels = parts.hemisphere, parts.ch_names, parts.parcels
    n, columns = gain.shape if gain.ndim == 2 else (0, 0)
    if n == 0 or columns == 0 or n_orient not in (1, 3) or columns % n_orient:
        raise MajorantError(
            f"the gain has shape {tuple(gain.shape)} with n_orient {n_orient}; "
            "expected (sensors, locations * n_orient) with n_orient 1 or 3"
        )
    locations = columns // n_orient
    shapes = {
        "positions": (positions, (locations, 3)),
        "normals": (normals, (locations, 3)),
        "hemisphere": (hemisphere, (locations,)),
        "vertices": (vertices, (locations,)),
        "edges": (edges, (len(edges), 2)),
    }
    for name, (tensor, shape) in shapes.items():
        if tuple(tensor.shape) != shape:
            raise MajorantError(f"{name} has shape {tuple(tensor.shape)}; expected {shape}")
    for name, tensor in (("gain", gain), ("positions", positions), ("normals", normals)):
        if not bool(torch.isfinite(tensor).all()):
            raise MajorantError(f"{name} holds NaN or infinite values; mend it first")
    _check_sizes(gain, positions, normals)
    check_indices("hemisphere", hemisphere, -1, 2)
    check_indices("vertices", vertices, 0, 2**31)
    if not all(isinstance(name, str) and name for name in ch_names):
        raise MajorantError("a channel of the lead field has no name; give every row its own")
    if len(ch_names) != n or len(set(ch_names)) != n:
        raise MajorantError(
            f"{len(ch_names)} channel names ({len(set(ch_names))} distinct) for "
            f"{n} rows of gain; give every row its own name"
        )
    check_indices("edges", edges, 0, locations)
    if len(edges) and not bool((edges[:, 0] < edges[:, 1]).all()):
        raise MajorantError("edges must be pairs (i, j) with i < j")
    if parts.kind not in ("vertices", "regions") or not isinstance(parts.subject, str):
        raise MajorantError(f"kind is {parts.kind!r}; expected 'vertices' or 'regions'")
    if parcels is not None:
        if parcels.ndim != 2:
            raise MajorantError(f"parcels has shape {tuple(parcels.shape)}; expected 2-D")
        check_indices("parcels", parcels, -1, locations)


def _check_sizes(gain: Tensor, positions: Tensor, normals: Tensor) -> None:
    """Refuse numbers that are finite and mean nothing."""
    farthest = float(positions.abs().max())
    if farthest > FARTHEST:
        raise MajorantError(
            f"a source is at {farthest:.3g} m; positions are in metres, so divide millimetres by "
            "1000"
        )
    if float(gain.abs().max()) > LARGEST:
        raise MajorantError(
            f"the gain reaches {float(gain.abs().max()):.3g}; expected V/(A m), T/(A m), or a "
            "whitened lead field"
        )
    length = normals.norm(dim=1)
    if bool((length < 0.5).any()) or bool((length > 2.0).any()):
        raise MajorantError("normals are unit vectors; some have another length, so divide by it")
