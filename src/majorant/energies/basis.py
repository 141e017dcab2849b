"""Columns of several sizes: the sources of the evidence as single locations, or as patches too.

Under ``basis="patches"`` what has a variance is a patch: a single location, or a geodesic ball of a
few sizes (:mod:`majorant.forward.patches`) whose locations are active together. With ``E`` from
patches to the columns of the lead field, ``x = E s``, the model is the one of single locations with
``L E`` for the lead field, so bound, guard and certificate are what they were. What is returned is
on the cortex again, and exact: the mean is ``E`` times the posterior mean of ``s``, and the
variance the diagonal of ``E C E'`` with the whole posterior covariance ``C``.

A ball of ``k`` locations weighs each by ``1 / sqrt(k)``: at the same variance it has the energy of
a single location. Directions of a patch are those of its columns: along the normals where a
location has one column; where it has three, x, y and z for all locations of a patch.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from majorant.forward.patches import PatchBasis, patch_basis
from majorant.geometry import SourceGeometry
from majorant.linalg import ENERGY_DTYPE
from majorant.problem import MatrixOperator, Operator, Problem

__all__ = ["RADII_MM", "Basis", "expansion", "on_patches"]

Basis = Literal["points", "patches"]

RADII_MM = (12.0, 26.0)
"""Radii of the balls, mm."""


def on_patches(problem: Problem) -> tuple[Problem, Tensor | None]:
    """Return the problem whose sources are patches, and ``E``; itself and None where none are.

    The source prior becomes part of the columns. What was made of the last operators is kept.

    Parameters
    ----------
    problem : Problem
        Its operator holds a matrix.
    """
    made = _made(problem.operator, problem.source_prior)
    if made is None:
        return problem, None
    operator, expanded = made
    return Problem(operator, problem.y, noise=problem.noise), expanded


def expansion(operator: Operator, prior: Tensor | None = None) -> Tensor | None:
    """Return ``E``, from patches to columns, sparse and in float64; None where there are none.

    There are none where nobody said where the sources are, or nothing lies next to anything.

    Parameters
    ----------
    operator : Operator
    prior : Tensor, optional, shape (n_columns,)
        Relative prior variance of every column.
    """
    geometry, group = operator.geometry, operator.n_orient
    if geometry is None:
        return None
    patches = _patches(geometry)
    if patches.n_patches == geometry.n_locations:
        return None
    members = patches.members.tocoo()
    sizes = np.asarray(patches.members.sum(axis=1)).ravel()
    at = torch.from_numpy(np.stack([members.col, members.row]).astype(np.int64))
    value = torch.from_numpy(members.data / np.sqrt(sizes[members.row]))
    if group > 1:
        at, value = _directed(at, value, geometry.axes, group)
    if prior is not None:
        value = value * prior.to("cpu", value.dtype).sqrt()[at[0]]
    shape = (geometry.n_locations * group, patches.n_patches * group)
    return torch.sparse_coo_tensor(at, value, shape, check_invariants=False).coalesce()


@lru_cache(maxsize=2)
def _made(operator: Operator, prior: Tensor | None) -> tuple[MatrixOperator, Tensor] | None:
    """The lead field of patches and ``E``, of the last operators and priors, told by identity."""
    expanded, matrix = expansion(operator, prior), operator.matrix()
    assert matrix is not None
    if expanded is None:
        return None
    expanded = expanded.to(matrix.device)
    turned = _by_rows(expanded.t().coalesce())
    fields = matrix.to(ENERGY_DTYPE)[None] if matrix.ndim == 2 else matrix.to(ENERGY_DTYPE)
    lead = torch.stack([torch.sparse.mm(turned, field.mT).mT for field in fields])
    lead = (lead[0] if matrix.ndim == 2 else lead).contiguous().to(matrix.dtype)
    return MatrixOperator(lead, operator.n_orient), _by_rows(expanded)


def _by_rows(matrix: Tensor) -> Tensor:
    """A sparse matrix row by row: its products with dense ones take a tenth of the time."""
    with warnings.catch_warnings():
        # Of the interface, which may change, and not of what is computed.
        warnings.filterwarnings("ignore", "Sparse CSR", UserWarning)
        return matrix.to_sparse_csr()


@lru_cache(maxsize=4)
def _patches(geometry: SourceGeometry) -> PatchBasis:
    """The patches of the last source spaces: they are records that never change."""
    return patch_basis(geometry, geometry.n_locations, RADII_MM)


def _directed(at: Tensor, value: Tensor, axes: Tensor | None, group: int) -> tuple[Tensor, Tensor]:
    """Places and values for several columns per location, whose directions are ``axes``."""
    if axes is None:
        each = torch.arange(group)
        places = group * at[:, :, None] + each
        return places.flatten(1), value.repeat_interleave(group)
    own, shared = torch.meshgrid(torch.arange(group), torch.arange(3), indexing="ij")
    rows = group * at[0][:, None] + own.flatten()
    columns = group * at[1][:, None] + shared.flatten()
    turned = value[:, None] * axes.to(value)[at[0]].flatten(1)
    return torch.stack([rows.flatten(), columns.flatten()]), turned.flatten()
