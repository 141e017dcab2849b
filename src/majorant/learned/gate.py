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

Where no coordinate comes near the box, as in most layers, both sums are squares and need three
roots and no exponential of the new variances: ``D = sum v (sqrt z - sqrt a)^2`` and
``E_u = 4 sum v sqrt(z a) sinh(d/2)^2``. They are summed in float64 from terms that are not
negative, and ``D`` is lowered by more than their rounding.

Source: the bound of ``majorants/evidence.py``; the gate is ours.
"""

from __future__ import annotations

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
from majorant.networks.corrections import LIMIT

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
    quick = None if torch.is_grad_enabled() else _in_the_open(here, of_sources, of_sensors, kappa)
    return _near_the_box(here, of_sources, of_sensors, kappa) if quick is None else quick


def _in_the_open(
    here: EvidenceSurrogate, of_sources: Tensor, of_sensors: Tensor, kappa: float
) -> Variances | None:
    """The same where no coordinate can be clipped; None where one might."""
    s, state, model = here.statistics, here.state, here.model
    gamma = _open_account(state.gamma, s.z, s.a, of_sources, *model.gamma_box)
    if gamma is None:
        return None
    goal, move, won, cost = gamma
    if not model.learns_noise:
        tau = share_of(kappa * won, torch.zeros_like(won), cost)
        return Variances(LogVariance(goal + move * tau.to(move.dtype)[:, None]), state.noise)
    noise = _open_account(state.noise, s.w, s.b, of_sensors, *model.noise_box)
    if noise is None:
        return None
    other, shift, more, price = noise
    tau = share_of(kappa * (won + more), torch.zeros_like(won), cost + price)
    share = tau.to(move.dtype)[:, None]
    return Variances(
        LogVariance(torch.addcmul(goal, move, share)),
        LogVariance(torch.addcmul(other, shift, share)),
    )


def _open_account(
    part: Part, z: Tensor, a: Tensor, correction: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Classical logarithms, the correction, ``D`` and ``E_u``; None near the box."""
    if not isinstance(part, LogVariance):
        return None
    goal = update(part.log, log_ratio(a, z))
    lowest, highest = torch.aminmax(goal, dim=1, keepdim=True)
    if not bool(((lowest > low + LIMIT) & (highest < high - LIMIT)).all()):
        return None
    move = correction.to(goal.dtype)
    size, root, other = part.log.exp(), z.sqrt(), a.sqrt()
    exact = 1.0 - ROUNDING * torch.finfo(goal.dtype).eps
    won = exact * ((root - other).square_() * size).sum(1, dtype=ENERGY_DTYPE)
    rise = torch.sinh(0.5 * move).square_().mul_(size).mul_(root).mul_(other)
    return goal, move, won, 4.0 * rise.sum(1, dtype=ENERGY_DTYPE)


def _near_the_box(
    here: EvidenceSurrogate, of_sources: Tensor, of_sensors: Tensor, kappa: float
) -> Variances:
    """The general form: any part, any coordinate clipped, differentiable."""
    s, state, model = here.statistics, here.state, here.model
    raw = here.bounding()
    safe = model.within(state, raw)
    target = model.within(state, moved(here, safe, of_sources, of_sensors))
    pairs = [(state.gamma, raw.gamma, safe.gamma, target.gamma, s.z, s.a)]
    if model.learns_noise:
        pairs.append((state.noise, raw.noise, safe.noise, target.noise, s.w, s.b))
    accounts = torch.stack([torch.stack(_account(*pair)) for pair in pairs]).sum(0)
    won, clipped, open_ = accounts
    tau = share_of(kappa * won.clamp_min(0), clipped, open_)
    gamma, noise = _along(safe.gamma, target.gamma, tau), safe.noise
    if model.learns_noise:
        noise = _along(safe.noise, target.noise, tau)
    return Variances(gamma, noise)


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
    gamma, noise = _scaled(point.gamma, of_sources), point.noise
    if here.model.learns_noise and isinstance(noise, LogVariance):
        noise = _scaled(noise, of_sensors)
    return Variances(gamma, noise)


def _scaled(part: Part, correction: Tensor) -> Part:
    """Multiply variances by ``exp(c)``; a block keeps its shape."""
    if isinstance(part, LogVariance):
        return LogVariance(part.log + correction.to(part.log.dtype))
    assert isinstance(part, Covariance)
    return Covariance(part.matrix * correction.to(part.matrix.dtype).exp()[:, :, None, None])


def _account(
    part: Part, raw: Part, safe: Part, target: Part, z: Tensor, a: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``D``, ``E_c`` and ``E_u`` of one part, float64, shape (n_batch,) each.

    With variances ``v`` now, ``u`` after the classical step and ``t`` at the target, the bound
    falls by ``(v - u)(z - a v / u)`` and rises again by ``(t - u)(z - a v^2 / (u t))``.
    """
    if isinstance(safe, LogVariance):
        v, u, t = (log_of(p).to(ENERGY_DTYPE).exp() for p in (part, safe, target))
        shrunk = v / u
        won = ((v - u) * (z - a * shrunk)).sum(1)
        cost = (t - u) * (z - a * shrunk * (v / t))
        cut = log_of(raw) != safe.log
        if not bool(cut.any()):
            return won, torch.zeros_like(won), cost.sum(1)
        return won, torch.where(cut, cost, 0.0).sum(1), torch.where(cut, 0.0, cost).sum(1)
    assert isinstance(safe, Covariance)
    assert isinstance(target, Covariance)
    won = -part.change(safe, z, a)
    none = torch.zeros_like(won)
    if safe.matrix.shape[1] == 1:
        return won, none, none
    step = _log_scale(safe, target)
    cost = (z * safe.matrix).sum((2, 3)) * (torch.expm1(step) + torch.expm1(-step))
    return won, none, cost.sum(1)


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
