"""Where the columns of an operator sit: what a solver may know of its sources beside their gain.

Solvers that look at neighbours (patches, priors over neighbourhoods, features of a source) read
this record from ``problem.operator.geometry``; those that know their sources by number compare its
fingerprint. It says nothing of sensors, so every montage on the same sources has the same one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class SourceGeometry:
    """Positions and neighbours of source locations.

    Attributes
    ----------
    positions : Tensor, shape (n_locations, 3), float64
        Metres.
    edges : Tensor, shape (n_edges, 2), int64
        Neighbouring locations, i < j; empty where none are known.
    normals : Tensor or None, shape (n_locations, 3), float64
        Unit vectors, outward; None where sources have no preferred orientation.
    hemisphere : Tensor or None, shape (n_locations,), int64
        0 left, 1 right, -1 where neither applies.
    kind : {"vertices", "regions"}
    n_orient : int
        Columns per location.
    parcels : Tensor or None, shape (2, n_vertices), int64
        Regions only: the region of every surface vertex, -1 where there is none.
    axes : Tensor or None, shape (n_locations, n_orient, 3), float64
        Directions of the columns, in one frame for all; None stands for x, y and z where there
        are three.
    """

    positions: Tensor
    edges: Tensor
    normals: Tensor | None = None
    hemisphere: Tensor | None = None
    kind: str = "vertices"
    n_orient: int = 1
    parcels: Tensor | None = None
    axes: Tensor | None = None

    @property
    def n_locations(self) -> int:
        """Number of source locations."""
        return int(self.positions.shape[0])

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 of positions to 0.1 mm, orientation count and parcels."""
        digest = hashlib.sha256(f"{self.kind} {self.n_orient} ".encode())
        tenths = (self.positions * 1e4).round().to(torch.int32).contiguous()
        digest.update(tenths.numpy().tobytes())
        if self.parcels is not None:
            digest.update(self.parcels.to(torch.int16).contiguous().numpy().tobytes())
        return digest.hexdigest()
