"""The gate: how much of a correction the bound of the evidence can pay for, in closed form.

Write the bound along the log-step ``e`` of every coordinate as ``phi(e)``, let ``e0`` be the
classical step clipped to the box and ``d`` what the correction adds to it, clipped too.
``D = -phi(e0)`` is what the classical step wins for certain. Along ``e0 + tau d`` it gives away at
most

    tau E_c + tau^2 E_u,    E = sum_i phi_i(e0 + d) - phi_i(e0),

``E_c`` over the coordinates whose classical step was clipped (``phi`` is convex), ``E_u`` over the
others (there ``phi`` is a multiple of ``cosh`` about its minimum, and ``cosh(tau d) - 1 <=
tau^2 (cosh d - 1)``). The largest ``tau`` that keeps this at ``kappa D`` is

    tau = min(1, 2 kappa D / (E_c + sqrt(E_c^2 + 4 E_u kappa D))).

It costs no factorisation. Where nothing more can be won (``D = 0``) nothing moves.

Where the box touches no coordinate, as in most layers, both sums are squares and need no
exponential of the new variances: ``D = sum v (sqrt z - sqrt a)^2`` and
``E_u = 4 sum v sqrt(z a) sinh(d/2)^2``. They are summed in float64 from terms that are not
negative, and ``D`` is lowered by more than their rounding.

Source: the bound of ``majorants/evidence.py``; the gate is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.energies.variances import (
    Covariance,
    LogVariance,
    Part,
    Variances,
    log_of,
    log_ratio,
    update,
)
from majorant.linalg import ENERGY_DTYPE
from majorant.majorants.evidence import EvidenceSurrogate

ROUNDING = 64.0
"""Safety factor on the rounding of the short sums."""


def gated(
    here: EvidenceSurrogate, of_sources: Tensor, of_sensors: Tensor, kappa: float = 1.0
) -> Variances:
    """The classical point, and as much of the correction as the bound can pay for.

    Parameters
    ----------
    here : EvidenceSurrogate
    of_sources : Tensor, shape (n_batch, n_sources)
    of_sensors : Tensor, shape (n_batch, n_sensors)
        Corrections of the log-variances.
    kappa : float
        Share of the classical decrease that may be given away, in [0, 1].
    """
    s, state, model = here.statistics, here.state, here.model
    parts = [_account(state.gamma, s.z, s.a, of_sources, *model.gamma_box)]
    if model.learns_noise:
        # Few, and often at their floor: in the general form, so that sources need not be.
        parts.append(near_the_box(state.noise, s.w, s.b, of_sensors, *model.noise_box))
    won, clipped, open_ = parts[0].won, parts[0].clipped, parts[0].open_
    for other in parts[1:]:
        won, clipped, open_ = won + other.won, clipped + other.clipped, open_ + other.open_
    tau = share_of(kappa * won.clamp_min(0), clipped, open_)
    gone = [_along(part.safe, part.target, tau) for part in parts]
    return Variances(gone[0], gone[1] if model.learns_noise else state.noise)


@dataclass(frozen=True)
class GateAccount:
    """What one part of the variances wins and may give away.

    Attributes
    ----------
    safe, target : Part
        After the classical step, and with the whole correction; both clipped to the box.
    won, clipped, open_ : Tensor, shape (n_batch,), float64
        ``D``, ``E_c`` and ``E_u``.
    """

    safe: Part
    target: Part
    won: Tensor
    clipped: Tensor
    open_: Tensor


def _account(
    part: Part, z: Tensor, a: Tensor, correction: Tensor, low: Tensor, high: Tensor
) -> GateAccount:
    """The account in its short form where that holds."""
    short = None
    if isinstance(part, LogVariance) and not torch.is_grad_enabled():
        short = in_the_open(part, z, a, correction, low, high)
    return near_the_box(part, z, a, correction, low, high) if short is None else short


def in_the_open(
    part: LogVariance, z: Tensor, a: Tensor, correction: Tensor, low: Tensor, high: Tensor
) -> GateAccount | None:
    """The account of a part that the box does not touch; None where it does."""
    goal = update(part.log, log_ratio(a, z))
    target = goal + correction.to(goal.dtype)
    lowest, highest = torch.minimum(goal, target), torch.maximum(goal, target)
    inside = (lowest.amin(1) > low[:, 0]) & (highest.amax(1) < high[:, 0])
    if not bool(inside.all()):
        return None
    size, root, other = part.log.exp(), z.sqrt(), a.sqrt()
    exact = 1.0 - ROUNDING * torch.finfo(goal.dtype).eps
    rise = torch.sub(target, goal, out=highest).mul_(0.5).sinh_().square_()
    won = torch.sub(root, other, out=lowest).square_().mul_(size).sum(1, dtype=ENERGY_DTYPE)
    spent = rise.mul_(size).mul_(root).mul_(other).sum(1, dtype=ENERGY_DTYPE)
    return GateAccount(
        LogVariance(goal), LogVariance(target), exact * won, torch.zeros_like(won), 4.0 * spent
    )


def near_the_box(
    part: Part, z: Tensor, a: Tensor, correction: Tensor, low: Tensor, high: Tensor
) -> GateAccount:
    """The account in general: any part, any coordinate clipped, differentiable.

    With variances ``v`` now, ``u`` after the classical step and ``t`` at the target, the bound
    falls by ``(v - u)(z - a v / u)`` and rises again by ``(t - u)(z - a v^2 / (u t))``.
    """
    raw = part.bounding(z, a)
    safe = raw.within(part, low, high)
    if isinstance(safe, Covariance) and safe.matrix.shape[1] == 1:
        won = -part.change(safe, z, a)
        return GateAccount(safe, safe, won, torch.zeros_like(won), torch.zeros_like(won))
    target = scaled(safe, correction).within(part, low, high)
    if isinstance(safe, LogVariance):
        v, u, t = (log_of(p).to(ENERGY_DTYPE).exp() for p in (part, safe, target))
        shrunk = v / u
        won = ((v - u) * (z - a * shrunk)).sum(1)
        cost = (t - u) * (z - a * shrunk * (v / t))
        clipped = torch.where(log_of(raw) != safe.log, cost, 0.0).sum(1)
        return GateAccount(safe, target, won, clipped, (cost.sum(1) - clipped).clamp_min(0))
    assert isinstance(safe, Covariance)
    assert isinstance(target, Covariance)
    won = -part.change(safe, z, a)
    step = _log_scale(safe, target)
    cost = (z * safe.matrix).sum((2, 3)) * (torch.expm1(step) + torch.expm1(-step))
    return GateAccount(safe, target, won, torch.zeros_like(won), cost.sum(1))


def share_of(budget: Tensor, clipped: Tensor, open_: Tensor) -> Tensor:
    """Largest ``tau`` in [0, 1] with ``tau clipped + tau^2 open_ <= budget``, shape (n_batch,)."""
    binds = clipped + open_ > budget
    payable = binds & (budget > 0)
    inside = torch.where(payable, clipped.square() + 4.0 * open_ * budget, 1.0)
    tau = 2.0 * budget / torch.where(payable, clipped + inside.sqrt(), 1.0)
    return torch.where(payable, tau, torch.where(binds, 0.0, 1.0)).clamp(0, 1)


def moved(
    here: EvidenceSurrogate, point: Variances, of_sources: Tensor, of_sensors: Tensor
) -> Variances:
    """Add corrections to logarithms; a full matrix of the noise is not corrected."""
    gamma, noise = scaled(point.gamma, of_sources), point.noise
    if here.model.learns_noise and isinstance(noise, LogVariance):
        noise = scaled(noise, of_sensors)
    return Variances(gamma, noise)


def scaled(part: Part, correction: Tensor) -> Part:
    """Multiply variances by ``exp(c)``; a block keeps its shape."""
    if isinstance(part, LogVariance):
        return LogVariance(part.log + correction.to(part.log.dtype))
    assert isinstance(part, Covariance)
    return Covariance(part.matrix * correction.to(part.matrix.dtype).exp()[:, :, None, None])


def _along(safe: Part, target: Part, tau: Tensor) -> Part:
    """Go ``tau`` of the way in logarithms; blocks by their scale."""
    if isinstance(safe, LogVariance):
        assert isinstance(target, LogVariance)
        share = tau.to(safe.log.dtype)[:, None]
        return LogVariance(safe.log + share * (target.log - safe.log))
    assert isinstance(safe, Covariance)
    assert isinstance(target, Covariance)
    if safe.matrix.shape[1] == 1:
        return safe
    scale = (tau[:, None] * _log_scale(safe, target)).exp()
    return Covariance(safe.matrix * scale[:, :, None, None])


def _log_scale(safe: Covariance, target: Covariance) -> Tensor:
    """Logarithm of the factor between two blocks of one shape, (n_batch, n); 0 for zero blocks."""
    old, new = (p.matrix.diagonal(dim1=2, dim2=3).sum(2) for p in (safe, target))
    lost = old <= 0
    return torch.where(lost, 0.0, (torch.where(lost, 1.0, new) / torch.where(lost, 1.0, old)).log())
