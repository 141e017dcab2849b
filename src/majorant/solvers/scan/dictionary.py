"""The dictionary of the scan: what white sensors see of every patch, ready for any data.

A topography has unit length; with three columns per location a patch has an orthonormal basis of
the topographies of all its directions. Directions that the sensors hardly see (radial ones in MEG)
are left out. What was prepared is kept in an explicit :class:`Shelf` of bounded size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from majorant.forward.patches import PatchBasis, patch_basis
from majorant.geometry import SourceGeometry
from majorant.linalg import ENERGY_DTYPE, spd_power
from majorant.problem import MajorantError, Problem

__all__ = ["Dictionary", "Shapes", "Shelf"]

DEAF = 1e-12
"""Patches whose topography is shorter than this share of the longest one's are not seen at all."""

UNSEEN = 1e-3
"""Directions of a patch whose power at the sensors is below this share of the strongest one's."""


@dataclass(frozen=True, eq=False)
class Dictionary:
    """Topographies of patches.

    Attributes
    ----------
    basis : PatchBasis
    atoms : Tensor, shape (n_patches, n_orient, n_sensors), float64
        Orthonormal topographies of a patch, whitened; zero where a direction is not seen.
    currents : Tensor, shape (n_patches, n_orient, n_orient), float64
        ``currents[p] @ c`` are the amplitudes along the directions of patch p that make the
        topography ``c @ atoms[p]``, A m for whitened data in one.
    turns : Tensor or None, shape (n_locations, n_orient, n_orient)
        From the directions that patches share to the columns of a location; None where the two
        are the same.
    quick : Tensor, shape (n_orient * n_patches, n_sensors), float32
        The atoms, direction by direction, for searching.
    whitener : Tensor or None, shape (n_sensors, n_sensors)
        None where the problem's data are white.
    """

    basis: PatchBasis
    atoms: Tensor
    currents: Tensor
    turns: Tensor | None
    quick: Tensor
    whitener: Tensor | None

    @property
    def n_orient(self) -> int:
        """Directions of a patch."""
        return int(self.atoms.shape[1])

    @property
    def rank(self) -> int:
        """How many topographies can be told apart, at most."""
        return int(self.atoms.shape[2])

    @classmethod
    def build(cls, problem: Problem, basis: PatchBasis) -> Dictionary:
        """Prepare a dictionary; ``basis`` is that of the operator's geometry."""
        matrix = _matrix(problem)
        whitener = _whitener(problem.noise)
        if whitener is not None:
            matrix = whitener @ matrix
        if problem.source_prior is not None:
            matrix = matrix * (problem.source_prior > 0)
        n_orient, geometry = problem.operator.n_orient, problem.operator.geometry
        # One factor for all: lengths of 1e-20 have no square in single precision.
        largest = matrix.abs().max().clamp_min(torch.finfo(ENERGY_DTYPE).tiny)
        columns = (matrix / largest).mT.unflatten(0, (-1, n_orient))
        turns = None if geometry is None else geometry.axes
        if turns is not None and n_orient > 1:
            columns = torch.einsum("pon,poc->pcn", columns, turns)
        sums = basis.topographies(columns)
        atoms, currents = _orthonormal(sums)
        return cls(
            basis,
            atoms,
            currents / largest,
            turns if n_orient > 1 else None,
            atoms.transpose(0, 1).flatten(0, 1).to(torch.float32),
            whitener,
        )


@dataclass(frozen=True)
class Shapes:
    """What patches a dictionary holds, see :func:`majorant.forward.patches.patch_basis`.

    Attributes
    ----------
    radii_mm : tuple of float
    falloff, spacing : float
    """

    radii_mm: tuple[float, ...]
    falloff: float
    spacing: float

    def basis(self, geometry: SourceGeometry, n_locations: int) -> PatchBasis:
        """The patches of a source space."""
        return patch_basis(geometry, n_locations, self.radii_mm, self.falloff, self.spacing)


@dataclass(frozen=True, eq=False)
class _Kept:
    """A dictionary and what it was made of."""

    problem: Problem
    shapes: Shapes
    dictionary: Dictionary

    def serves(self, problem: Problem, shapes: Shapes) -> bool:
        own = self.problem
        return (
            own.operator is problem.operator
            and self.shapes == shapes
            and _same(own.noise, problem.noise)
            and _same(own.source_prior, problem.source_prior)
        )


@dataclass(eq=False)
class Shelf:
    """The dictionaries of the last operators, and the patches of the last source spaces.

    Attributes
    ----------
    size : int
        How many are kept at most. A dictionary of 64 electrodes and 5,124 vertices takes some
        25 MB, one of 20,484 vertices some 70 MB.
    """

    size: int = 2
    _dictionaries: list[_Kept] = field(default_factory=list, repr=False)
    _bases: dict[tuple[str, Shapes], PatchBasis] = field(default_factory=dict, repr=False)

    def dictionary(self, problem: Problem, shapes: Shapes) -> Dictionary:
        """Return the dictionary of a problem, prepared where it is not at hand."""
        for kept in self._dictionaries:
            if kept.serves(problem, shapes):
                return kept.dictionary
        _matrix(problem)
        made = Dictionary.build(problem, self._basis(problem, shapes))
        bare = Problem(problem.operator, problem.y[:1, :, :1], problem.noise, problem.source_prior)
        self._dictionaries.insert(0, _Kept(bare, shapes, made))
        del self._dictionaries[self.size :]
        return made

    def _basis(self, problem: Problem, shapes: Shapes) -> PatchBasis:
        geometry, n = problem.operator.geometry, problem.operator.n_locations
        if geometry is None:
            return patch_basis(None, n)
        key = _print(geometry), shapes
        if key not in self._bases:
            while len(self._bases) >= self.size:
                del self._bases[next(iter(self._bases))]
            self._bases[key] = shapes.basis(geometry, n)
        return self._bases[key]


def _print(geometry: SourceGeometry) -> str:
    return f"{geometry.fingerprint} {len(geometry.edges)}"


def _same(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and torch.equal(one, other)


def _matrix(problem: Problem) -> Tensor:
    matrix = problem.operator.matrix()
    if matrix is None:
        raise MajorantError(
            "the operator is matrix-free, and the scan compares the topographies of all patches; "
            "give the lead field as MatrixOperator(matrix)"
        )
    if matrix.ndim == 3:
        raise MajorantError(
            f"there are {len(matrix)} lead fields, and the scan prepares its patches for one; "
            "solve the samples of every lead field for themselves"
        )
    return matrix.to(ENERGY_DTYPE)


def _whitener(noise: Tensor | None) -> Tensor | None:
    if noise is None:
        return None
    full = torch.diag(noise) if noise.ndim == 1 else noise
    return spd_power(full.to(ENERGY_DTYPE), -0.5)


def _orthonormal(sums: Tensor) -> tuple[Tensor, Tensor]:
    """Orthonormal topographies of every patch, and what currents make them."""
    tiny = torch.finfo(sums.dtype).tiny
    if sums.shape[1] == 1:
        length = sums.norm(dim=2, keepdim=True)
        seen = length > max(tiny, DEAF * float(length.max()))
        inverse = torch.where(seen, 1.0 / length.clamp_min(tiny), 0.0)
        return sums * inverse, inverse
    values, vectors = torch.linalg.eigh(sums @ sums.mT)
    seen = values > UNSEEN * values[:, -1:]
    seen &= values > max(tiny, DEAF**2 * float(values.max()))
    inverse = torch.where(seen, values.clamp_min(tiny).rsqrt(), 0.0)
    currents = vectors * inverse[:, None, :]
    return currents.mT @ sums, currents
