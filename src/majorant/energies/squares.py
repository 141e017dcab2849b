"""Whitened squares with a Tikhonov term, for any linear operator, matrix-free or not.

``u(x) = |W (L x - y)|^2 / 2 + weight^2 sum_i x_i^2 / r_i / 2``, with ``W' W`` the inverse of the
noise covariance and ``r`` the relative prior variance of the columns (uniform unless given).

Source: Tikhonov regularisation; its minimiser is the minimum-norm estimate with
``lambda = weight``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor

from majorant.energies.base import Energy
from majorant.energies.cosine import SIZE_LIMIT, SourceState
from majorant.energies.lengths import inverse, norm
from majorant.energies.rounding import SAFETY, roundoff, widened
from majorant.errors import MajorantError
from majorant.linalg import ENERGY_DTYPE, spd_power, spectral_norm_bound, squared_norm, total
from majorant.problem import MatrixOperator, Problem


class SquaresEnergy(Energy[SourceState]):
    """Half the squared norm of the whitened residual, plus a Tikhonov term.

    Parameters
    ----------
    problem : Problem
        Operator, data, noise (None stands for whitened data) and source prior.
    weight : float
        Of the Tikhonov term, as ``lambda`` in ``lambda^2 |x|^2 / 2``.

    Raises
    ------
    MajorantError
        If the weight is negative, or a prior variance or a noise variance is zero.
    """

    name = "Tikhonov energy"

    def __init__(self, problem: Problem, weight: float = 0.0) -> None:
        if not weight >= 0:
            raise MajorantError(f"the Tikhonov weight is {weight}; it may not be negative")
        prior = problem.source_prior
        if prior is not None and bool((prior == 0).any()):
            raise MajorantError(
                f"{int((prior == 0).sum())} columns have prior variance 0, which pins them to 0; "
                "drop these columns from the lead field"
            )
        self.problem, self.weight = problem, float(weight)
        self.precision = weight**2 * (1.0 if prior is None else 1.0 / prior[:, None])
        self.whitener = _whitener(problem.noise)
        self._size_y = norm(self.whiten(problem.y))
        self._norm = self._bound_norm()

    def whiten(self, residual: Tensor) -> Tensor:
        """``W r``, in the dtype of ``r``; (n_batch, n_sensors, n_times)."""
        if self.whitener is None:
            return residual
        w = self.whitener.to(residual)
        return w @ residual if w.ndim == 2 else w[:, None] * residual

    def norm_bound(self) -> Tensor:
        """Upper bound of ``|W L R^(1/2)|``, shape () or (n_batch,), float64."""
        return self._norm

    def _bound_norm(self) -> Tensor:
        matrix, prior = self.problem.operator.matrix(), self.problem.source_prior
        if matrix is not None:
            wide = self.whiten_rows(matrix.to(ENERGY_DTYPE))
            root = 1.0 if prior is None else prior.to(ENERGY_DTYPE).sqrt()
            return spectral_norm_bound(wide * root)
        bound = self.problem.operator.norm_bound().to(ENERGY_DTYPE)
        if self.whitener is not None:
            w = self.whitener
            bound = bound * (w.abs().max() if w.ndim == 1 else spectral_norm_bound(w))
        return bound if prior is None else bound * prior.to(ENERGY_DTYPE).max().sqrt()

    def whiten_rows(self, matrix: Tensor) -> Tensor:
        """``W L`` for a matrix (..., n_sensors, n_columns)."""
        if self.whitener is None:
            return matrix
        w = self.whitener.to(matrix)
        return w @ matrix if w.ndim == 2 else w[:, None] * matrix

    def value(self, state: SourceState) -> Tensor:
        """Energy per sample, float64, shape (n_batch,)."""
        return self._value(state.x, self._residual(state.x))

    def value_and_grad(self, state: SourceState) -> tuple[Tensor, SourceState]:
        """Energy per sample and its gradient ``L'W'W(Lx - y) + weight^2 x / r``."""
        white = self._residual(state.x)
        grad = self.problem.operator.adjoint(self._unwhiten(white))
        if self.weight:
            grad = grad + self._penalty(state.x)
        return self._value(state.x, white), SourceState(grad)

    def exact(self, state: SourceState, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Energy of some samples in float64 from its definition, and what rounding is left in it.

        A matrix-free operator is what it computes, in the precision of the problem.
        """
        wide = self._wide
        point = SourceState(state.x.to(ENERGY_DTYPE))
        energy = wide.value(point)
        return energy[chosen], wide.doubt(point, energy)[chosen]

    @cached_property
    def _wide(self) -> SquaresEnergy:
        problem, matrix = self.problem, self.problem.operator.matrix()
        operator = (
            widened(problem.operator, problem.y.dtype)
            if matrix is None
            else MatrixOperator(matrix.to(ENERGY_DTYPE), problem.operator.n_orient)
        )
        y = problem.y.to(ENERGY_DTYPE)
        return SquaresEnergy(replace(problem, operator=operator, y=y), self.weight)

    def doubt(self, state: SourceState, energy: Tensor) -> Tensor:
        """How far rounding may have moved an energy, float64, (n_batch,).

        A residual errs by ``u (|W L|_F |x| + |W y|)``, and half its square accordingly.
        """
        lost = SAFETY * roundoff(state.x) * (self._reach * norm(state.x) + self._size_y)
        return lost * (torch.sqrt(2.0 * energy.clamp_min(0)) + lost)

    @cached_property
    def _reach(self) -> Tensor:
        """``|W L|_F``; nothing of an operator that is what it computes."""
        matrix = self.problem.operator.matrix()
        if matrix is None:
            return torch.zeros((), dtype=ENERGY_DTYPE)
        white = self.whiten_rows(matrix)
        return torch.linalg.vector_norm(white, dim=(-2, -1), dtype=ENERGY_DTYPE)

    def gap(self, gradient: Tensor) -> Tensor | None:
        """Duality gap: how far the energy lies above its minimum at most, float64, (n_batch,).

        With the residual as the dual variable it is ``<g, R g> / (2 weight^2)``; None without a
        Tikhonov term, where no residual is feasible.
        """
        if not self.weight:
            return None
        wide, prior = gradient.to(ENERGY_DTYPE), self.problem.source_prior
        scaled = wide if prior is None else wide * prior.to(wide)[:, None]
        return total(wide * scaled) / (2.0 * self.weight**2)

    def hessian(self, v: Tensor) -> Tensor:
        """The Hessian times ``v``, which does not depend on the state; like ``v``."""
        operator = self.problem.operator
        bent = operator.adjoint(self._unwhiten(self.whiten(operator.apply(v))))
        return bent + self._penalty(v) if self.weight else bent

    def admissible(self, origin: SourceState, proposed: SourceState) -> SourceState:
        """Shorten steps longer than ``SIZE_LIMIT`` times ``max(|x|, |W y| / |W L|)``."""
        step = proposed.x - origin.x
        scale = self._size_y * inverse(self._norm.to(step.device))
        length, limit = norm(step), SIZE_LIMIT * torch.maximum(norm(origin.x), scale)
        long = length > limit
        if not bool(long.any()):
            return proposed
        factor = torch.where(long, limit * inverse(length), 1.0).to(step.dtype)
        return SourceState(origin.x + factor[:, None, None] * step).where(long, proposed)

    def _penalty(self, x: Tensor) -> Tensor:
        precision = self.precision
        return x * (precision.to(x) if isinstance(precision, Tensor) else precision)

    def _residual(self, x: Tensor) -> Tensor:
        return self.whiten(self.problem.operator.apply(x) - self.problem.y.to(x.dtype))

    def _unwhiten(self, white: Tensor) -> Tensor:
        """``W' r``."""
        if self.whitener is None or self.whitener.ndim == 1:
            return self.whiten(white)
        return self.whitener.to(white).mT @ white

    def _value(self, x: Tensor, white: Tensor) -> Tensor:
        energy = 0.5 * squared_norm(white)
        if not self.weight:
            return energy
        wide = x.to(ENERGY_DTYPE)
        return energy + 0.5 * (wide * self._penalty(wide)).flatten(1).sum(1)


def _whitener(noise: Tensor | None) -> Tensor | None:
    """``C^(-1/2)``: variances or a matrix; None for the identity."""
    if noise is None:
        return None
    wide = noise.to(ENERGY_DTYPE)
    smallest = wide.min() if wide.ndim == 1 else torch.linalg.eigvalsh(wide)[0]
    if not bool(smallest > 0):
        raise MajorantError(
            f"the noise covariance has a variance of {float(smallest):.1e}; it has to be positive: "
            "project the lost rank out of data and lead field, or regularise it"
        )
    return wide.rsqrt() if wide.ndim == 1 else spd_power(wide, -0.5)
