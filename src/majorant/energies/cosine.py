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

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from majorant.energies.base import Energy, State
from majorant.energies.lengths import (
    CACHED,
    apart,
    difference,
    dot,
    finite,
    inverse,
    like,
    looks,
    norm,
)
from majorant.energies.rounding import SAFETY, carried, roundoff, widened
from majorant.linalg import ENERGY_DTYPE
from majorant.networks.autoencoder import Gain, Pass, Prior
from majorant.problem import MajorantError, MatrixOperator, Problem

SIZE_LIMIT = 10.0
"""A step may be at most this many times as long as the point it starts from."""

ROWS = 128
"""Samples times time points that are computed together in float64: reading the weights of a prior
takes as long as multiplying some fifty rows by them."""

SURE = 1e-9
"""Rounding below this is not looked at more closely."""


@dataclass(frozen=True)
class SourceState(State):
    """Source amplitudes.

    Attributes
    ----------
    x : Tensor, shape (n_batch, n_columns, n_times)
    whole : Tensor or None, shape (n_batch,), bool
        Which samples are finite, where that is known.
    """

    x: Tensor
    whole: Tensor | None = None

    def finite(self) -> Tensor:
        """Which samples are finite, bool, shape (n_batch,)."""
        return finite(self.x) if self.whole is None else self.whole

    def where(self, chosen: Tensor, other: SourceState) -> SourceState:
        """Take the samples in ``chosen`` from here and the rest from ``other``."""
        return SourceState(torch.where(chosen[:, None, None], self.x, other.x))

    def toward(self, target: SourceState, fraction: float) -> SourceState:
        """Go ``fraction`` of the straight line to ``target``."""
        return SourceState(self.x + fraction * (target.x - self.x))


@dataclass(frozen=True)
class Slope:
    """The gradient at a point, and what was found on the way to it.

    Attributes
    ----------
    gradient : Tensor, shape (n_batch, n_columns, n_times)
    arrived : tuple of Tensor, each (n_batch, n_hidden, n_times)
        What the gradient of ``d(x, p)`` in ``p = Phi(x)`` is on the way back: pulled back to what
        leaves the network's non-linearities, first layer first; empty without a prior.
    """

    gradient: Tensor
    arrived: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class CosinePoint:
    """The energy at one point, with everything its gradient and its bounds are made of.

    The gradient costs as much as the energy again and is computed when it is first asked for: a
    point that is only tried, and the last one of a solve, never need it. Norms and cosines have
    shape (n_batch,) and are float64; the inverse of a zero norm is kept as 0, which makes every
    gradient through it vanish.

    Attributes
    ----------
    x : Tensor, shape (n_batch, n_columns, n_times)
    energy, fidelity, prior : Tensor, shape (n_batch,)
        ``u``, ``d(L x, y)`` and ``d(x, Phi(x))``.
    cos_data : Tensor
        ``cos(L x, y)``.
    norm_data : Tensor
        ``|L x|`` (with a Tikhonov term ``sqrt(|L x|^2 + eps^2 |x|^2)``).
    norm_x : Tensor
    cos_prior, norm_phi : Tensor
        ``cos(x, Phi(x))`` and ``|Phi(x)|``; 0 without a prior.
    passed : callable
        Gives the network's forward pass, None without a prior.
    sloping : callable
        Computes the gradient.
    """

    x: Tensor
    energy: Tensor
    fidelity: Tensor
    prior: Tensor
    cos_data: Tensor
    norm_data: Tensor
    norm_x: Tensor
    cos_prior: Tensor
    norm_phi: Tensor
    passed: Callable[[], Pass | None]
    sloping: Callable[[], Slope]

    @cached_property
    def slope(self) -> Slope:
        """The gradient of ``u``, with its parts."""
        return self.sloping()

    @property
    def gradient(self) -> Tensor:
        """Gradient of ``u``, like ``x``."""
        return self.slope.gradient

    @property
    def steepness(self) -> Tensor:
        """Norm of the gradient, float64, (n_batch,)."""
        return norm(self.gradient)

    @property
    def kept(self) -> Pass | None:
        """The network's forward pass."""
        return self.passed()

    @property
    def entered(self) -> tuple[Tensor, ...]:
        """Norms of what entered the prior's non-linearities, first layer first."""
        kept = self.kept
        return () if kept is None else tuple(norm(z) for z in kept.before)

    @property
    def state(self) -> SourceState:
        """The point as a state; a norm in float64 is finite where numbers of float32 are."""
        known = self.x.dtype != ENERGY_DTYPE
        return SourceState(self.x, torch.isfinite(self.norm_x) if known else None)


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """Return ``1 - cos(a, b)`` per sample, free of cancellation; 1 where a vector is zero.

    Parameters
    ----------
    a, b : Tensor, shape (n_batch, ...)

    Returns
    -------
    Tensor, shape (n_batch,), float64
    """
    return apart(a, b)[2]


class CosineEnergy(Energy[SourceState]):
    """The cosine energy of a batch of problems.

    Parameters
    ----------
    problem : Problem
        The operator and the data, (n_batch, n_sensors, n_times); whitened data are unitless.
    prior : Prior or None
        The manifold prior; None leaves the data term alone.
    weight : float
        Of the prior (``lambda``); 1 in the paper.
    tikhonov : float
        ``eps`` of the Tikhonov term, in the units of the lead field; 0 in the paper.
    wide : callable or None
        Gives the prior in float64, where somebody keeps it; None makes one when it is needed.

    Raises
    ------
    MajorantError
        If a weight is negative, or the prior is made for another number of sources.
    """

    name = "cosine energy"

    def __init__(
        self,
        problem: Problem,
        prior: Prior | None = None,
        weight: float = 1.0,
        tikhonov: float = 0.0,
        wide: Callable[[], Prior] | None = None,
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
        self._widened = wide
        self._whole: tuple[CosineEnergy, Tensor] | None = None
        self._settled: list[tuple[Tensor, Tensor, tuple[Tensor, Tensor]]] = []

    @cached_property
    def _silent(self) -> Tensor:
        """Where there are no data, (n_batch,)."""
        return norm(self.problem.y) == 0

    @cached_property
    def _wide_y(self) -> Tensor:
        """The data, of norm 1, in float64."""
        wide = self.problem.y.to(ENERGY_DTYPE)
        return wide * like(inverse(norm(wide)), wide)

    @cached_property
    def _unit_y(self) -> Tensor:
        """The data, of norm 1, in their own dtype."""
        return self._wide_y.to(self.problem.y.dtype)

    def value(self, state: SourceState) -> Tensor:
        """Energy per sample, float64, shape (n_batch,)."""
        x = state.x
        data = self._data_angle(x, self.problem.operator.apply(x), norm(x)).distance
        if self.prior is None:
            return data
        return data + self.weight * cosine_distance(x, self._phi(self.prior, x).output)

    def value_and_grad(self, state: SourceState) -> tuple[Tensor, SourceState]:
        """Energy per sample and its gradient."""
        point = self.evaluate(state.x)
        return point.energy, SourceState(point.gradient)

    def admissible(self, origin: SourceState, proposed: SourceState) -> SourceState:
        """Shorten steps longer than ``SIZE_LIMIT`` times the norm of their origin."""
        size = norm(origin.x)
        # no step is longer than both of its ends together, and most ends are short
        if looks(size) and bool((norm(proposed.x) <= (SIZE_LIMIT - 1.0) * size).all()):
            return proposed
        step = proposed.x - origin.x
        length, limit = norm(step), SIZE_LIMIT * size
        long = length > limit
        if looks(long) and not bool(long.any()):
            return proposed
        long = long & (limit > 0)
        scale = torch.where(long, limit * inverse(length), 1.0)
        short = origin.x + like(scale, step) * step
        return SourceState(short).where(long, proposed)

    def exact(self, state: SourceState, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Energy of some samples in float64 from its definition, and what rounding is left in it.

        A matrix-free operator is what it computes, in the precision of the problem. The last two
        answers are kept: where the guard asks for the point that is then returned, it is asked for
        again.
        """
        for x, rows, found in self._settled:
            if x is state.x and torch.equal(rows, chosen):
                return found
        own = state.x[0]
        each = max(1, CACHED // max(1, own.numel()), ROWS // own.shape[1])
        parts = [self._exact(state.x, rows) for rows in chosen.nonzero()[:, 0].split(each)]
        energy, rounding = zip(*parts, strict=True)
        found = torch.cat(energy), torch.cat(rounding)
        self._settled = [(state.x, chosen, found), *self._settled[:1]]
        return found

    def _exact(self, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The same for a few samples, by number."""
        wide = self._wide.among(rows)
        point = wide.evaluate(x[rows].to(ENERGY_DTYPE))
        return point.energy, wide.doubt(point)

    def among(self, rows: Tensor) -> Self:
        """Return the energy of some samples, by number; what all have in common is made once."""
        operator, matrix = self.problem.operator, self.problem.operator.matrix()
        for common in ("_gains", "_lead_size"):  # before the copy, which then holds them
            getattr(self, common)
        made, own = copy.copy(self), ["_silent", "_wide_y", "_unit_y", "_wide"]
        if matrix is not None and matrix.ndim == 3:
            operator = MatrixOperator(matrix[rows], operator.n_orient, operator.geometry)
            own.append("_lead_size")
        made.problem, made._whole = Problem(operator, self.problem.y[rows]), (self, rows)
        made._settled = []
        for name in own:
            vars(made).pop(name, None)
        return made

    @cached_property
    def _wide(self) -> CosineEnergy:
        """The same energy in float64."""
        if self._whole is not None:
            whole, rows = self._whole
            return whole._wide.among(rows)
        own, matrix = self.problem.operator, self.problem.operator.matrix()
        operator = (
            widened(own, self.problem.y.dtype)
            if matrix is None
            else MatrixOperator(matrix.to(ENERGY_DTYPE))
        )
        problem = Problem(operator, self.problem.y.to(ENERGY_DTYPE))
        return CosineEnergy(problem, self._wide_prior, self.weight, self.tikhonov)

    @cached_property
    def _wide_prior(self) -> Prior | None:
        if self.prior is None:
            return None
        return self.prior.wide() if self._widened is None else self._widened()

    def doubt(self, point: CosinePoint) -> Tensor:
        """How far rounding may have moved the energy of a point, float64, (n_batch,).

        Infinite where the prior overflowed: double precision may hold what single does not.
        """
        scale = SAFETY * roundoff(point.x)
        lost = scale * self._conditioning(point)
        coarse = lost > SURE
        if point.x.dtype == ENERGY_DTYPE and looks(lost) and bool(coarse.any()):
            lost = torch.where(coarse, scale * self._componentwise(point), lost)
        if self.prior is not None and self.weight:
            error = carried(self._gains, point.norm_x, point.entered)
            lost = lost + self.weight * scale * error / point.norm_phi
        return torch.where(point.norm_x == 0, 0.0, torch.nan_to_num(lost, nan=torch.inf))

    def _conditioning(self, point: CosinePoint) -> Tensor:
        """``|L|_F |x| / |L x|``; nothing of an operator that is what it computes."""
        return self._lead_size.to(point.norm_x) * point.norm_x / point.norm_data

    def _componentwise(self, point: CosinePoint) -> Tensor:
        """``||L||x|| / |L x|``, which knows the columns that no sensor sees."""
        matrix = self.problem.operator.matrix()
        if matrix is None:
            return self._conditioning(point)
        size = norm(matrix.abs() @ point.x.abs())
        return torch.where(size == 0, 0.0, size / point.norm_data)

    @cached_property
    def _lead_size(self) -> Tensor:
        """Norm of the lead field, with the Tikhonov term's; () or (n_batch,)."""
        matrix = self.problem.operator.matrix()
        if matrix is None:
            return torch.zeros((), dtype=ENERGY_DTYPE)
        size = torch.linalg.vector_norm(matrix, dim=(-2, -1), dtype=ENERGY_DTYPE)
        return torch.sqrt(size**2 + self.tikhonov**2)

    @cached_property
    def _gains(self) -> tuple[Gain, ...]:
        return () if self.prior is None else self.prior.gains(self.problem.n_times)

    def gradient(self, x: Tensor) -> Tensor:
        """The closed-form gradient alone, differentiable once more; for training."""
        a, size_x = self.problem.operator.apply(x), norm(x)
        size_a = norm(a)
        if self.tikhonov:
            size_a = torch.sqrt(size_a**2 + (self.tikhonov * size_x) ** 2)
        over = inverse(size_a)
        cos = dot(a, self._unit_y.to(x.dtype)) * over
        data = _Angle(size_a, over, cos, 1.0 - cos)
        grad = self._data_slope(x, a, data)
        if self.prior is None:
            return grad
        kept = self._phi(self.prior, x)
        over_x, over_p = inverse(size_x), inverse(norm(kept.output))
        cos = dot(x, kept.output) * over_x * over_p
        return grad.add_(self._prior_slope(self.prior, x, kept, over_x, over_p, cos)[0])

    def evaluate(self, x: Tensor) -> CosinePoint:
        """Energy and its parts from one forward pass; the gradient follows if it is asked for.

        Parameters
        ----------
        x : Tensor, shape (n_batch, n_columns, n_times)
        """
        a = self.problem.operator.apply(x)
        if self.prior is None:
            size_x = norm(x.to(ENERGY_DTYPE))
            data, zero = self._data_angle(x, a, size_x), torch.zeros_like(size_x)
            return CosinePoint(
                *(x, data.distance, data.distance, zero),
                *(data.cos, data.size, size_x, zero, zero),
                *(lambda: None, lambda: Slope(self._data_slope(x, a, data))),
            )
        network, kept = self.prior, self._phi(self.prior, x)
        size_x, size_p, prior = apart(x, kept.output)
        data = self._data_angle(x, a, size_x)
        over_x, over_p = inverse(size_x), inverse(size_p)
        cos = 1.0 - prior

        def sloping() -> Slope:
            slope, arrived = self._prior_slope(network, x, kept, over_x, over_p, cos)
            return Slope(slope.add_(self._data_slope(x, a, data)), arrived)

        energy = data.distance + self.weight * prior
        return CosinePoint(
            *(x, energy, data.distance, prior),
            *(data.cos, data.size, size_x, cos, size_p),
            *(lambda: kept, sloping),
        )

    def _data_angle(self, x: Tensor, a: Tensor, size_x: Tensor) -> _Angle:
        """Norm of ``L_e x`` and its angle to ``y_e``, free of cancellation."""
        wide = a.to(ENERGY_DTYPE)
        size = norm(wide)
        if self.tikhonov:
            extra = (self.tikhonov * size_x) ** 2
            size = torch.sqrt(size**2 + extra)
        over = inverse(size)
        apart = norm(wide * like(over, wide) - self._wide_y) ** 2
        if self.tikhonov:
            apart = apart + extra * over**2
        distance = (0.5 * apart).masked_fill((size == 0) | self._silent, 1.0)
        return _Angle(size, over, 1.0 - distance, distance)

    @staticmethod
    def _phi(prior: Prior, x: Tensor) -> Pass:
        """The network's pass, with zeros for the samples in which it overflows."""
        kept = prior.trace(x)
        whole = finite(kept.output.detach())
        if looks(whole) and bool(whole.all()):
            return kept
        mask = ~whole[:, None, None]
        return Pass(
            kept.output.masked_fill(mask, 0.0),
            tuple(z.masked_fill(mask, 0.0) for z in kept.before),
            tuple(s.masked_fill(mask, 0.5) for s in kept.slopes),
        )

    def _data_slope(self, x: Tensor, a: Tensor, data: _Angle) -> Tensor:
        """Gradient of the data term, like ``x``."""
        own = data.cos * data.over**2
        slope = difference(a, own, self._unit_y.to(x.dtype), data.over)
        grad = self.problem.operator.adjoint(slope)
        if self.tikhonov:
            grad = grad + x * like(self.tikhonov**2 * own, x)
        return grad

    def _prior_slope(
        self,
        prior: Prior,
        x: Tensor,
        kept: Pass,
        over_x: Tensor,
        over_p: Tensor,
        cos: Tensor,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Gradient of the prior term, like ``x``, and what arrived at the non-linearities."""
        p, both = kept.output, over_x * over_p
        slope_p = difference(p, cos * over_p**2, x, both)
        pulled, arrived = prior.pullback(kept, slope_p)
        slope = difference(x, cos * over_x**2, p, both).add_(pulled)
        return slope if self.weight == 1.0 else self.weight * slope, arrived


@dataclass(frozen=True)
class _Angle:
    """Norm of a vector, its inverse, and cosine and distance to another; (n_batch,)."""

    size: Tensor
    over: Tensor
    cos: Tensor
    distance: Tensor
