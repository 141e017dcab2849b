"""The exact majorant of whitened squares: the energy is quadratic, and so is its bound.

``u(x + d) = u(x) + <d, g> + <d, H d> / 2`` holds with equality for every step, so a curvature
``P >= H`` is a global majorant: ``H`` itself (by singular values, or by conjugate gradients where
the operator is matrix-free), or a multiple of the prior precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from majorant.energies.cosine import SourceState
from majorant.energies.squares import SquaresEnergy
from majorant.errors import MajorantError
from majorant.linalg import ENERGY_DTYPE, thin_svd
from majorant.majorants.base import Majorant
from majorant.majorants.quadratic import (
    Curvature,
    GramCurvature,
    OperatorCurvature,
    QuadraticSurrogate,
    ScalarCurvature,
)
from majorant.problem import BoundKind


@dataclass(frozen=True)
class ScaledCurvature(Curvature):
    """``R^(-1/2) P R^(-1/2)`` for a diagonal prior ``R``.

    Attributes
    ----------
    inner : Curvature
    root : Tensor, shape (n_columns, 1)
        ``R^(1/2)``.
    """

    inner: Curvature
    root: Tensor

    def form(self, step: Tensor) -> Tensor:
        """``<R^(-1/2) d, P R^(-1/2) d>``."""
        return self.inner.form(step / self.root.to(step))

    def solve(self, gradient: Tensor) -> Tensor:
        """``R^(1/2) P^-1 R^(1/2) g``."""
        root = self.root.to(gradient)
        return root * self.inner.solve(root * gradient)

    def dual(self, gradient: Tensor) -> Tensor:
        """The inner one of ``R^1/2 g``."""
        return self.inner.dual(self.root.to(gradient) * gradient)

    def step_limit(self) -> Tensor:
        """The inner limit times ``R``."""
        return self.inner.step_limit() * self.root**2


class SquaresMajorant(Majorant[SourceState]):
    """A global majorant of a :class:`SquaresEnergy`.

    Parameters
    ----------
    energy : SquaresEnergy
    bound : {"scalar", "gram", "operator"}
        A multiple of the prior precision; the exact Hessian by singular values; the exact Hessian
        by conjugate gradients, which is what a matrix-free operator has.

    Raises
    ------
    MajorantError
        If the bound is unknown, or needs a matrix and there is none.
    """

    kind: BoundKind = "global"

    def __init__(
        self, energy: SquaresEnergy, bound: Literal["scalar", "gram", "operator"] = "scalar"
    ) -> None:
        if bound not in ("scalar", "gram", "operator"):
            raise MajorantError(
                f"there is no bound {bound!r} of squares; choose 'scalar', 'gram' or 'operator'"
            )
        self.energy: SquaresEnergy = energy
        self.name = {
            "scalar": "largest eigenvalue",
            "gram": "exact Hessian, Gram-structured",
            "operator": "exact Hessian, conjugate gradients",
        }[bound]
        self._curvature = self._build(bound)

    def at(self, state: SourceState) -> QuadraticSurrogate:
        """Evaluate the energy; the curvature is the same everywhere."""
        energy, gradient = self.energy.value_and_grad(state)
        single = self.energy.problem.y.dtype != ENERGY_DTYPE
        return QuadraticSurrogate(
            *(state, energy, lambda: gradient.x, lambda: self._curvature),
            doubting=lambda: self.energy.doubt(state, energy),
            exactly=(lambda chosen: self.energy.exact(state, chosen)) if single else None,
            gaping=self.energy.gap,
        )

    def _build(self, bound: str) -> Curvature:
        energy, problem = self.energy, self.energy.problem
        weight2 = torch.full((problem.n_batch,), energy.weight**2, dtype=torch.float64)
        weight2 = weight2.to(problem.y.device)
        root = None if problem.source_prior is None else problem.source_prior[:, None].sqrt()
        if bound == "operator":
            mu = energy.norm_bound() ** 2 + weight2
            if root is not None:
                mu = mu / root.min() ** 2
            return OperatorCurvature(energy.hessian, mu, n_iter=200, tolerance=1e-9)
        inner = self._inner(bound, weight2, root)
        return inner if root is None else ScaledCurvature(inner, root)

    def _inner(self, bound: str, weight2: Tensor, root: Tensor | None) -> Curvature:
        energy = self.energy
        if bound == "scalar":
            return ScalarCurvature(energy.norm_bound() ** 2 + weight2)
        matrix = energy.problem.operator.matrix()
        if matrix is None:
            raise MajorantError(
                "the bound 'gram' needs a matrix and the operator is matrix-free; choose 'operator'"
            )
        white = energy.whiten_rows(matrix.to(torch.float64))
        svd = thin_svd(white if root is None else white * root.mT.to(white))
        return GramCurvature(torch.ones_like(weight2), weight2, svd)
