"""Regions: groups of locations whose columns are summed into one."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from majorant.errors import MajorantError
from majorant.forward import graph
from majorant.forward.checks import as_float, as_int, check_indices

if TYPE_CHECKING:
    from majorant.forward.leadfield import Leadfield

__all__ = ["sum_regions"]


def sum_regions(
    leadfield: Leadfield,
    parcels: Tensor | np.ndarray,
    weights: Tensor | np.ndarray | None = None,
) -> Leadfield:
    """Return the lead field of regions; see :meth:`majorant.forward.leadfield.Leadfield.regions`.

    Raises
    ------
    MajorantError
        If a region has no member among the locations.
    """
    table = as_int(parcels)
    if table.ndim != 2 or table.shape[0] != 2:
        raise MajorantError(f"parcels has shape {tuple(table.shape)}; expected (2, vertices)")
    check_indices("vertices", leadfield.vertices, 0, table.shape[1])
    check_indices("hemisphere", leadfield.hemisphere, 0, 2)
    labels = table[leadfield.hemisphere, leadfield.vertices]
    n_regions, n_locations = int(table.max()) + 1, leadfield.n_locations
    inside = labels >= 0
    members = torch.bincount(labels[inside], minlength=n_regions)
    if n_regions == 0 or bool((members == 0).any()):
        empty = (members == 0).nonzero().flatten().tolist()[:8]
        raise MajorantError(
            f"regions {empty} have no member among the {n_locations} locations; use a denser "
            "source space or number the regions without gaps"
        )
    factor = torch.ones(n_locations) if weights is None else torch.as_tensor(weights)
    kept = labels[inside]
    columns = (leadfield.fixed().gain * as_float(factor))[:, inside]
    gain = columns.new_zeros(leadfield.n_sensors, n_regions).index_add_(1, kept, columns)
    normal = torch.zeros(n_regions, 3, dtype=torch.float64)
    normal.index_add_(0, kept, leadfield.normals[inside])
    central = graph.nearest_to_centroid(leadfield.positions[inside], kept)
    nearest = inside.nonzero().flatten()[central]
    return dataclasses.replace(
        leadfield,
        gain=gain,
        n_orient=1,
        positions=leadfield.positions[nearest],
        normals=torch.nn.functional.normalize(normal, dim=1),
        edges=graph.contract_edges(leadfield.edges, labels),
        hemisphere=leadfield.hemisphere[nearest],
        vertices=leadfield.vertices[nearest],
        kind="regions",
        parcels=table,
    )
