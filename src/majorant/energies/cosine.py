"""The cosine energy: data and prior as angles, with closed-form gradients, per sample.

``u(x) = d(L x, y) + weight d(x, Phi(x))`` with ``d(a, b) = 1 - cos(a, b)`` over the whole
(rows x times) array of one sample. ``d`` is computed as half the squared distance of the unit
vectors, in float64, because ``1 - cos`` loses what a guard has to decide to cancellation.

Where a vector is zero its cosine is defined as 0 and its gradient as 0: no NaN arises. A prior
that overflows says nothing: its output counts as zero, so the energy is finite for any weights.

Source: the MM-Net paper (arXiv 2026), equations 2, 8 and 13. A Tikhonov term replaces ``L`` by
``[L; eps I]`` and ``y`` by ``[y; 0]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from majorant.energies.base import Energy, State
from majorant.linalg import ENERGY_DTYPE, squared_norm
from majorant.networks.autoencoder import Autoencoder, Pass
from majorant.problem import MajorantError, Problem

SIZE_LIMIT = 10.0
"""A step may be at most this many times as long as the point it starts from."""


@dataclass(frozen=True)
class SourceState(State):
    """Source amplitudes.

    Attributes
    ----------
    x : Tensor, shape (n_batch, n_columns, n_times)
    """

    x: Tensor

    def finite(self) -> Tensor:
        """Which samples are finite, bool, shape (n_batch,)."""
        return torch.isfinite(self.x).flatten(1).all(1)

    def where(self, chosen: Tensor, other: SourceState) -> SourceState:
        """Take the samples in ``chosen`` from here and the rest from ``other``."""
        return SourceState(torch.where(chosen[:, None, None], self.x, other.x))

    def toward(self, target: SourceState, fraction: float) -> SourceState:
        """Go ``fraction`` of the straight line to ``target``."""
        return SourceState(self.x + fraction * (target.x - self.x))


@dataclass(frozen=True)
class CosinePoint:
    """The energy at one point, with everything its gradient and its bounds are made of.

    Norms and cosines have shape (n_batch,) and are float64; the inverse of a zero norm is kept
    as 0, which makes every gradient through it vanish.

    Attributes
    ----------
    x : Tensor, shape (n_batch, n_columns, n_times)
    energy, fidelity, prior : Tensor, shape (n_batch,)
        ``u``, ``d(L x, y)`` and ``d(x, Phi(x))``.
    gradient : Tensor, like ``x``
        Of ``u``.
    cos_data : Tensor
        ``cos(L x, y)``.
    norm_data : Tensor
        ``|L x|`` (with a Tikhonov term ``sqrt(|L x|^2 + eps^2 |x|^2)``).
    norm_x : Tensor
    cos_prior, norm_phi : Tensor
        ``cos(x, Phi(x))`` and ``|Phi(x)|``; 0 without a prior.
    kept : Pass or None
        The network's forward pass.
    slope_phi : Tensor or None, like ``x``
        Gradient of ``d(x, p)`` with respect to ``p`` at ``p = Phi(x)``.
    """

    x: Tensor
    energy: Tensor
    fidelity: Tensor
    prior: Tensor
    gradient: Tensor
    cos_data: Tensor
    norm_data: Tensor
    norm_x: Tensor
    cos_prior: Tensor
    norm_phi: Tensor
    kept: Pass | None
    slope_phi: Tensor | None

    @property
    def state(self) -> SourceState:
        """The point as a state."""
        return SourceState(self.x)


class _Norm(torch.autograd.Function):
    """Norm of every sample in float64, with a backward pass in the dtype of the array."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(x, dim=_axes(x), dtype=ENERGY_DTYPE)
        ctx.save_for_backward(x, size)
        return size

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, size = ctx.saved_tensors
        return x * _like(grads[0] * inverse(size), x)


class _Dot(torch.autograd.Function):
    """Inner product of every sample in float64, with a backward pass in the arrays' dtype."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return (a * b).sum(dim=_axes(a), dtype=ENERGY_DTYPE)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        scale = _like(grads[0], a)
        return (
            b * scale if ctx.needs_input_grad[0] else None,
            a * scale if ctx.needs_input_grad[1] else None,
        )


def norm(x: Tensor) -> Tensor:
    """Euclidean norm of every sample, summed in float64, shape (n_batch,)."""
    return cast(Tensor, _Norm.apply(x))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of every sample, summed in float64, shape (n_batch,)."""
    return cast(Tensor, _Dot.apply(a, b))


def inverse(size: Tensor) -> Tensor:
    """Return ``1 / size``, and 0 where ``size`` is 0."""
    return torch.where(size > 0, 1.0 / torch.where(size > 0, size, 1.0), 0.0)


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return ``1 - cos(a, b)`` per sample, free of cancellation; 1 where a vector is zero.

    Parameters
    ----------
    a, b : Tensor, shape (n_batch, ...)

    Returns
    -------
    Tensor, shape (n_batch,), float64
    """
    a, b = (v.flatten(1).to(ENERGY_DTYPE) for v in (a, b))
    size_a, size_b = norm(a), norm(b)
    apart = a * inverse(size_a)[:, None] - b * inverse(size_b)[:, None]
    return torch.where((size_a == 0) | (size_b == 0), 1.0, 0.5 * (apart * apart).sum(1))


class CosineEnergy(Energy[SourceState]):
    """The cosine energy of a batch of problems.

    Parameters
    ----------
    problem : Problem
        The operator and the data, (n_batch, n_sensors, n_times); whitened data are unitless.
    prior : Autoencoder or None
        The manifold prior; None leaves the data term alone.
    weight : float
        Of the prior (``lambda``); 1 in the paper.
    tikhonov : float
        ``eps`` of the Tikhonov term, in the units of the lead field; 0 in the paper.

    Raises
    ------
    MajorantError
        If a weight is negative, or the prior is made for another number of sources.
    """

    name = "cosine energy"

    def __init__(
        self,
        problem: Problem,
        prior: Autoencoder | None = None,
        weight: float = 1.0,
        tikhonov: float = 0.0,
    ) -> None:
        if not (weight >= 0 and tikhonov >= 0):
            raise MajorantError(
                f"weight {weight} and tikhonov {tikhonov} were given; neither may be negative"
            )
        if prior is not None and prior.n_sources != problem.operator.n_columns:
            raise MajorantError(
                f"the prior network is made for {prior.n_sources} sources and the lead field has "
                f"{problem.operator.n_columns}; image on the source space it was trained on"
            )
        self.problem, self.prior = problem, prior
        self.weight, self.tikhonov = float(weight), float(tikhonov)
        size = norm(problem.y)
        self._size_y = size
        self._unit_y = problem.y * _like(inverse(size), problem.y)

    def value(self, state: SourceState) -> Tensor:
        """Energy per sample, float64, shape (n_batch,)."""
        data = self._fidelity(state.x, self.problem.operator.apply(state.x))
        if self.prior is None:
            return data
        return data + self.weight * cosine_distance(state.x, self._phi(self.prior, state.x).output)

    def value_and_grad(self, state: SourceState) -> tuple[Tensor, SourceState]:
        """Energy per sample and its gradient."""
        point = self.evaluate(state.x)
        return point.energy, SourceState(point.gradient)

    def admissible(self, origin: SourceState, proposed: SourceState) -> SourceState:
        """Shorten steps longer than ``SIZE_LIMIT`` times the norm of their origin."""
        step = proposed.x - origin.x
        length, limit = norm(step), SIZE_LIMIT * norm(origin.x)
        long = (length > limit) & (limit > 0)
        if not bool(long.any()):
            return proposed
        scale = torch.where(long, limit * inverse(length), 1.0)
        short = origin.x + _like(scale, step) * step
        return SourceState(short).where(long, proposed)

    def gradient(self, x: Tensor) -> Tensor:
        """The closed-form gradient alone, differentiable once more; for training."""
        grad, _ = self._slopes(x, self.problem.operator.apply(x))
        return grad

    def evaluate(self, x: Tensor) -> CosinePoint:
        """Energy, gradient and their parts, from one forward pass.

        Parameters
        ----------
        x : Tensor, shape (n_batch, n_columns, n_times)
        """
        a = self.problem.operator.apply(x)
        grad, parts = self._slopes(x, a)
        fidelity = self._fidelity(x, a)
        if parts.kept is None:
            prior, energy = torch.zeros_like(fidelity), fidelity
        else:
            prior = cosine_distance(x, parts.kept.output)
            energy = fidelity + self.weight * prior
        return CosinePoint(
            x,
            energy,
            fidelity,
            prior,
            grad,
            parts.cos_data,
            parts.norm_data,
            parts.norm_x,
            parts.cos_prior,
            parts.norm_phi,
            parts.kept,
            parts.slope_phi,
        )

    def _fidelity(self, x: Tensor, a: Tensor) -> Tensor:
        """``d(L_e x, y_e)``, free of cancellation."""
        y = self.problem.y
        if not self.tikhonov:
            return cosine_distance(a, y)
        extra = self.tikhonov**2 * squared_norm(x)
        size = torch.sqrt(squared_norm(a) + extra)
        a, y = a.to(ENERGY_DTYPE), y.to(ENERGY_DTYPE)
        apart = a * _like(inverse(size), a) - y * _like(inverse(self._size_y), y)
        half = 0.5 * (squared_norm(apart) + extra * inverse(size) ** 2)
        return torch.where((size == 0) | (self._size_y == 0), 1.0, half)

    @staticmethod
    def _phi(prior: Autoencoder, x: Tensor) -> Pass:
        """The network's pass, with zeros for the samples in which it overflows.

        Whether there are any is asked only where the answer waits for no device.
        """
        kept = prior.trace(x)
        lost = ~torch.isfinite(norm(kept.output))
        at_hand = x.device.type == "cpu" and not torch.compiler.is_compiling()
        if at_hand and not bool(lost.any()):
            return kept
        mask = lost[:, None, None]
        return Pass(
            kept.output.masked_fill(mask, 0.0),
            tuple(z.masked_fill(mask, 0.0) for z in kept.before),
        )

    def _slopes(self, x: Tensor, a: Tensor) -> tuple[Tensor, _Parts]:
        """Gradient of the energy in the dtype of ``x``; norms and cosines in float64."""
        unit_y = self._unit_y.to(x.dtype)
        size_x = norm(x)
        size_a = norm(a)
        if self.tikhonov:
            size_a = torch.sqrt(size_a**2 + (self.tikhonov * size_x) ** 2)
        over_a = inverse(size_a)
        cos = dot(a, unit_y) * over_a
        residual = unit_y * _like(over_a, a) - a * _like(cos * over_a**2, a)
        grad = -self.problem.operator.adjoint(residual)
        if self.tikhonov:
            grad = grad + x * _like(self.tikhonov**2 * cos * over_a**2, x)
        zero = torch.zeros_like(cos)
        if self.prior is None:
            return grad, _Parts(cos, size_a, size_x, zero, zero, None, None)
        kept = self._phi(self.prior, x)
        p = kept.output
        size_p = norm(p)
        over_x, over_p = inverse(size_x), inverse(size_p)
        both = over_x * over_p
        cos_prior = dot(x, p) * both
        slope_p = p * _like(cos_prior * over_p**2, p) - x * _like(both, p)
        slope_x = x * _like(cos_prior * over_x**2, x) - p * _like(both, x)
        of_prior = slope_x + self.prior.pullback(kept, slope_p)
        grad = grad + (of_prior if self.weight == 1.0 else self.weight * of_prior)
        return grad, _Parts(cos, size_a, size_x, cos_prior, size_p, kept, slope_p)


@dataclass(frozen=True)
class _Parts:
    cos_data: Tensor
    norm_data: Tensor
    norm_x: Tensor
    cos_prior: Tensor
    norm_phi: Tensor
    kept: Pass | None
    slope_phi: Tensor | None


def _axes(x: Tensor) -> tuple[int, ...]:
    """Every axis but the first."""
    return tuple(range(1, x.ndim))


def _like(scale: Tensor, x: Tensor) -> Tensor:
    """One number per sample, (n_batch,), to the dtype and the number of axes of ``x``."""
    return scale.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
