"""Quadratic bounds: ``Q(x + d) = u(x) + <d, g> + <d, P d> / 2`` with a curvature ``P``.

A :class:`Curvature` knows two things about its ``P``: the form ``<d, P d>`` and the solution of
``P d = g``. Scalar, diagonal, Gram-structured and matrix-free curvatures differ in nothing else.

Source: the MM-Net paper (arXiv 2026), section 2; ``docs/guarantees.md``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from majorant.energies.cosine import SURE, CosinePoint, SourceState
from majorant.energies.lengths import norm
from majorant.linalg import squared_norm, total
from majorant.majorants.base import Surrogate
from majorant.majorants.spectral import expand
from majorant.problem import ThinSVD


class Curvature(ABC):
    """A symmetric positive definite ``P`` per sample; infinite where no bound is known."""

    @abstractmethod
    def form(self, step: Tensor) -> Tensor:
        """``<d, P d>`` for ``d`` of shape (n_batch, n_columns, n_times); float64, (n_batch,)."""

    @abstractmethod
    def solve(self, gradient: Tensor) -> Tensor:
        """``P^-1 g``, like ``g``; zero where ``P`` is infinite."""

    @abstractmethod
    def dual(self, gradient: Tensor) -> Tensor:
        """``<g, P^-1 g>``, twice the decrease at the minimiser; float64, (n_batch,)."""

    @abstractmethod
    def step_limit(self) -> Tensor:
        """The largest ``p`` for which ``Diag(1/p) >= P``; broadcasts to the shape of ``x``."""


@dataclass(frozen=True)
class ScalarCurvature(Curvature):
    """``P = mu I``.

    Attributes
    ----------
    mu : Tensor, shape (n_batch,), float64
    """

    mu: Tensor

    def form(self, step: Tensor) -> Tensor:
        """``mu |d|^2``."""
        return self.mu * squared_norm(step)

    def solve(self, gradient: Tensor) -> Tensor:
        """``g / mu``."""
        return gradient * self.step_limit().to(gradient.dtype)

    def dual(self, gradient: Tensor) -> Tensor:
        """``|g|^2 / mu``."""
        return squared_norm(gradient) / self.mu

    def step_limit(self) -> Tensor:
        """``1 / mu``, shape (n_batch, 1, 1)."""
        return 1.0 / self.mu[:, None, None]


@dataclass(frozen=True)
class DiagonalCurvature(Curvature):
    """``P = Diag(d)``.

    Attributes
    ----------
    diagonal : Tensor, float64, broadcasts to (n_batch, n_columns, n_times)
    """

    diagonal: Tensor

    def form(self, step: Tensor) -> Tensor:
        """Sum of ``d_i step_i^2``."""
        wide = step.to(self.diagonal.dtype)
        return total(self.diagonal * wide * wide)

    def solve(self, gradient: Tensor) -> Tensor:
        """``g / d``, element by element."""
        return gradient * self.step_limit().to(gradient.dtype)

    def dual(self, gradient: Tensor) -> Tensor:
        """Sum of ``g_i^2 / d_i``."""
        return total(gradient * self.solve(gradient))

    def step_limit(self) -> Tensor:
        """``1 / d``."""
        return 1.0 / self.diagonal


@dataclass(frozen=True)
class GramCurvature(Curvature):
    """``P = alpha L'L + beta I``, solved with the thin singular value decomposition of ``L``.

    Attributes
    ----------
    alpha, beta : Tensor, shape (n_batch,), float64
        With ``beta = 0``, ``P^-1`` is the pseudo-inverse: the gradient lies in the range of ``L'``.
    svd : ThinSVD
    """

    alpha: Tensor
    beta: Tensor
    svd: ThinSVD

    def form(self, step: Tensor) -> Tensor:
        """``alpha |L d|^2 + beta |d|^2``."""
        seen = self.svd.s[..., None] * (self.svd.vh @ step.to(self.svd.vh.dtype))
        return self.alpha * squared_norm(seen) + self.beta * squared_norm(step)

    def solve(self, gradient: Tensor) -> Tensor:
        """Divide by ``alpha s^2 + beta`` in the row space of ``L`` and by ``beta`` outside."""
        vh = self.svd.vh.to(gradient.dtype)
        outside, difference = self._inverse()
        correction = (difference[:, None].to(vh.dtype) * (gradient.mT @ vh.mT)) @ vh
        return expand(outside.to(gradient.dtype), gradient) * gradient + correction.mT

    def dual(self, gradient: Tensor) -> Tensor:
        """The same without the way back from the row space."""
        row = gradient.mT @ self.svd.vh.to(gradient.dtype).mT
        outside, difference = self._inverse()
        inside = total(difference[:, None] * row * row)
        return (outside * squared_norm(gradient) + inside).clamp_min(0)

    def _inverse(self) -> tuple[Tensor, Tensor]:
        """``P^-1`` outside the row space of ``L``, and what it has more inside."""
        inside = 1.0 / (self.alpha[:, None] * self.svd.s**2 + self.beta[:, None])
        outside = torch.where(self.beta > 0, 1.0 / self.beta, 0.0)
        return outside, inside - outside[:, None]

    def step_limit(self) -> Tensor:
        """``1 / (alpha |L|^2 + beta)``, shape (n_batch, 1, 1)."""
        return 1.0 / (self.alpha * self.svd.s[..., 0] ** 2 + self.beta)[:, None, None]


@dataclass(frozen=True)
class OperatorCurvature(Curvature):
    """A curvature known by its products, solved by conjugate gradients.

    Whatever the number of iterations, the solution minimises the quadratic over a subspace, so
    the decrease it promises, ``<g, solve(g)> / 2``, is the true one.

    Attributes
    ----------
    product : callable
        ``d -> P d`` for (n_batch, n_columns, n_times).
    mu : Tensor, shape (n_batch,)
        An upper bound of ``|P|``.
    n_iter : int
    tolerance : float
        Relative residual at which a sample stops.
    """

    product: Callable[[Tensor], Tensor]
    mu: Tensor
    n_iter: int = 50
    tolerance: float = 1e-6

    def form(self, step: Tensor) -> Tensor:
        """``<d, P d>``."""
        return total(step * self.product(step))

    def solve(self, gradient: Tensor) -> Tensor:
        """Conjugate gradients from zero; finished samples stand still."""
        solution = torch.zeros_like(gradient)
        residual, direction = gradient, gradient
        size = squared_norm(residual)
        enough = self.tolerance**2 * size
        for _ in range(self.n_iter):
            busy = (size > enough) & torch.isfinite(self.mu)
            if not bool(busy.any()):
                break
            bent = self.product(direction)
            length = torch.where(busy, size / total(direction * bent), 0.0)
            step = expand(length.to(gradient.dtype), gradient)
            solution = torch.where(expand(busy, step), solution + step * direction, solution)
            residual = torch.where(expand(busy, step), residual - step * bent, residual)
            size, before = squared_norm(residual), size
            ratio = torch.where(busy, size / before, 0.0)
            direction = residual + expand(ratio.to(gradient.dtype), gradient) * direction
        return solution

    def dual(self, gradient: Tensor) -> Tensor:
        """``<g, d>`` with what conjugate gradients found."""
        return total(gradient * self.solve(gradient))

    def step_limit(self) -> Tensor:
        """``1 / mu``, shape (n_batch, 1, 1)."""
        return 1.0 / self.mu[:, None, None]


@dataclass(frozen=True)
class QuadraticSurrogate(Surrogate[SourceState]):
    """A quadratic bound at one state; slope and curvature are computed when first asked for.

    Attributes
    ----------
    state : SourceState
    energy : Tensor, shape (n_batch,), float64
    tilt : callable
        Computes the gradient, like ``state.x``.
    bend : callable
        Computes the curvature.
    point : CosinePoint or None
        The cosine energy's own record of the evaluation, for proposals that look at its parts.
    least : Tensor or None, shape (n_batch,), float64
        What no eigenvalue of the curvature is below, where that is known beforehand.
    doubting : callable or None
        Estimates how far rounding may have moved the energy; None where it has not.
    exactly : callable or None
        Computes the energy of the samples that are marked in float64 from its definition, with the
        doubt that is left; None where that is how it was computed.
    measured : callable
        Whether the curvature can be had without measuring norms first, which takes long.
    gaping : callable or None
        Duality gap from the gradient; None where the energy is not convex.
    """

    state: SourceState
    energy: Tensor
    tilt: Callable[[], Tensor]
    bend: Callable[[], Curvature]
    point: CosinePoint | None = None
    least: Tensor | None = None
    doubting: Callable[[], Tensor] | None = None
    exactly: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    measured: Callable[[], bool] = lambda: True
    gaping: Callable[[Tensor], Tensor | None] | None = None

    @cached_property
    def doubt(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How far the energy may lie from its definition."""
        return torch.zeros_like(self.energy) if self.doubting is None else self.doubting()

    def settled(self, chosen: Tensor, *, again: bool = False) -> QuadraticSurrogate:
        """The same, with the energy of some samples computed in float64 from its definition."""
        if not again:
            chosen = chosen & ~(self.doubt <= SURE)
        if self.exactly is None or not bool(chosen.any()):
            return self
        energy, doubt = self.energy.clone(), self.doubt.clone()
        energy[chosen], doubt[chosen] = self.exactly(chosen)
        return self.restated(energy, doubt)

    def restated(self, energy: Tensor, doubt: Tensor | float) -> QuadraticSurrogate:
        """The same, with energies that are known better than a new look would know them."""
        known = torch.as_tensor(doubt, dtype=energy.dtype).expand_as(energy)
        made = replace(self, energy=energy, doubting=lambda: known)
        kept = {name: vars(self)[name] for name in ("gradient", "curvature") if name in vars(self)}
        vars(made).update(kept)
        return made

    def steepness(self) -> Tensor:
        """Norm of the gradient."""
        return norm(self.gradient) if self.point is None else self.point.steepness

    def stationarity(self) -> Tensor:
        """``|g|^2 / mu``; with the least curvature for ``mu`` where no other is at hand."""
        size = self.steepness()
        if self.least is not None and not self.measured():
            return size * size / self.least
        return size * size * self.curvature.step_limit().flatten(1).amin(1)

    def gap(self) -> Tensor | None:
        """Duality gap, where the energy is convex."""
        return None if self.gaping is None else self.gaping(self.gradient)

    @cached_property
    def gradient(self) -> Tensor:
        """The gradient of the energy, like ``state.x``."""
        return self.tilt()

    @cached_property
    def curvature(self) -> Curvature:
        """The curvature ``P``."""
        return self.bend()

    def change(self, proposed: SourceState) -> Tensor:
        """``<d, g> + <d, P d> / 2`` with ``d = proposed - state``."""
        step = proposed.x - self.state.x
        return total(step * self.gradient) + 0.5 * self.curvature.form(step)

    def slope(self, proposed: SourceState) -> Tensor:
        """``<d, g>``."""
        return total((proposed.x - self.state.x) * self.gradient)

    def minimiser(self) -> SourceState:
        """``x - P^-1 g``."""
        return SourceState(self.state.x - self.curvature.solve(self.gradient))

    def promise(self) -> Tensor:
        """``<g, P^-1 g> / 2``."""
        return 0.5 * self.curvature.dual(self.gradient)

    def promise_limit(self) -> Tensor:
        """``|g|^2 / (2 least)``: no curvature has to be computed for it."""
        if self.least is None:
            return self.promise()
        size = self.steepness()
        return size * size * 0.5 / self.least
