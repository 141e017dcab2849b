"""Champagne that ends: MacKay's steps, then Newton's on the few variances that still matter.

Convex bounding and MacKay's rule converge linearly, and slowly where neighbouring columns share
what one of them could explain: after 300 steps at 64 sensors and 5,124 sources the cost still
falls. Here the first steps are MacKay's (variances of faint sources that shrink go ten times as far
in logarithms), which find out where the sources are. Then every step ends with damped Newton steps
over those variances whose share ``gamma z`` is not negligible, and the noise; the covariance of the
rest stands still in the meantime.

In logarithms of variances ``v``, with ``A = W^1/2 [L, I]`` and ``B`` the same against the data,
``K = A'A`` and ``M = B'B`` (``B = C^1/2 W [L, I]``), the gradient of the evidence cost is
``v (K_ii - M_ii)``, and ``H = v v' * K * M`` is the average of its expected and its observed second
derivatives (average information), positive semi-definite by Schur's product theorem. ``mu`` times
the curvature ``v (z + a)`` of the convex bound damps it: large ``mu`` is a short step of convex
bounding. A source that died too early, which the cost would have back, is brought back.

None of this is a theorem, and none need be: the steps are proposals, and the guard takes them only
where the evidence cost, recomputed with every source in it, did not rise.

Source: average information as in Gilmour, Thompson and Cullis (1995), doi:10.2307/2533274; the
share that decides which variances count is ``1 - Sigma_ii / gamma_i`` of MacKay (1992).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.energies.evidence import Evidence, Statistics
from majorant.energies.gaussian import GaussianModel
from majorant.energies.variances import LogVariance, Variances, log_of, log_ratio
from majorant.linalg import ENERGY_DTYPE, log_determinant
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.evidence import at_evidence
from majorant.solvers.base import Proposal

FIRST = 30
"""Steps of MacKay's rule before the first of Newton's: sooner means other, worse minima."""

SHRINKING, FAINT, HASTE, FURTHEST = 20, 1e-2, 10.0, 6.0
"""From this step on, sources of a share below that go so many times as far, at most that far."""

NEGLIGIBLE, MOST = 1e-5, 300
"""Sources below this share, or beyond that number, stand still during Newton's steps."""

STEPS, TRIES, LEAP = 8, 5, 4.0
"""Newton steps on end, tries of one with more and more damping, longest step in logarithms."""

DAMPING = 0.1
"""``mu`` at first; it falls by 5 with every step taken, and rises by 8 with every one refused."""


class ActiveNewton(Proposal[Variances, int]):
    """MacKay's steps, then Newton's; remembers how many steps were made.

    Parameters
    ----------
    worthwhile : float
        Decrease of the cost, per sensor, for which another step of Newton's is made.
    """

    def __init__(self, worthwhile: float) -> None:
        self.worthwhile = worthwhile

    def begin(self, problem: object, surrogate: Surrogate[Variances]) -> int:
        """No step was made."""
        return 0

    def propose(self, surrogate: Surrogate[Variances], memory: int) -> tuple[Variances, int]:
        """The next point of every sample."""
        return self._next(surrogate, memory, None), memory + 1

    def advance(
        self,
        majorant: Majorant[Variances],
        current: Surrogate[Variances],
        memory: int,
        steps: int,
        active: Tensor | None = None,
    ) -> tuple[Surrogate[Variances], int]:
        """Some steps on end; Newton's are made for the samples that move, and for no other."""
        ahead = current
        for _ in range(steps):
            point = majorant.energy.admissible(ahead.state, self._next(ahead, memory, active))
            ahead = majorant.at(point if active is None else point.where(active, current.state))
            memory += 1
        return ahead, memory

    def _next(self, surrogate: Surrogate[Variances], done: int, active: Tensor | None) -> Variances:
        here = at_evidence(surrogate)
        model, s, state = here.model, here.statistics, here.state
        log_q, log = log_ratio(s.a, s.z), state.log_gamma
        if done >= SHRINKING:
            fades = (log_q < 0) & (_share(model, log, s.z) < FAINT)
            log_q = torch.where(fades, (HASTE * log_q).clamp_min(-FURTHEST), log_q)
        sources, noise = log + log_q, state.noise
        if model.learns_noise:
            noise = LogVariance(log_of(noise) + log_ratio(s.b, s.w))
        point = model.within(state, Variances(LogVariance(sources), noise))
        if done < FIRST:
            return point
        chosen = range(len(log)) if active is None else active.nonzero()[:, 0].tolist()
        return self._by_newton(here.evidence, model, s, point, chosen)

    def _by_newton(
        self,
        evidence: Evidence,
        model: GaussianModel,
        s: Statistics,
        point: Variances,
        chosen: list[int] | range,
    ) -> Variances:
        """Newton steps from a point, sample by sample."""
        gain = missed(evidence, model)
        log = point.log_gamma.to(ENERGY_DTYPE).clone()
        learns = model.learns_noise
        noise = log_of(point.noise).to(ENERGY_DTYPE).clone() if learns else None
        limit = self.worthwhile * model.n_sensors
        for i in chosen:
            best = int(gain[i].argmax())
            if float(gain[i, best]) > limit:
                z, a = float(s.z[i, best]), float(s.a[i, best])
                log[i, best] = log[i, best].maximum(log.new_tensor((a / z - 1.0) / z).log())
            counts = log[i].exp() * s.z[i].maximum(s.a[i]).to(ENERGY_DTYPE)
            largest = counts.topk(min(MOST, len(counts))).indices
            kept = largest[counts[largest] > NEGLIGIBLE * model.columns_per_variance]
            part = _Part.of(model, i, log[i], kept, None if noise is None else noise[i], point)
            found = part.descend(0.1 * limit)
            log[i, kept] = found[: len(kept)]
            if noise is not None:
                noise[i] = found[len(kept) :]
        dtype = point.log_gamma.dtype
        return Variances(
            LogVariance(log.to(dtype)),
            point.noise if noise is None else LogVariance(noise.to(dtype)),
        )


def _share(model: GaussianModel, log: Tensor, z: Tensor) -> Tensor:
    """``gamma z`` per column that a variance serves."""
    return log.exp() * z / model.columns_per_variance


def missed(evidence: Evidence, model: GaussianModel) -> Tensor:
    """What the cost would fall if a faint source were brought back alone, shape of ``log_gamma``.

    A source of variance near 0 lowers the cost by up to ``q - 1 - log q`` where ``q = a / z > 1``,
    at the variance ``(q - 1) / z``; 0 for sources that are not faint.
    """
    s = evidence.statistics
    log_q = log_ratio(s.a, s.z)
    faint = _share(model, evidence.state.log_gamma, s.z) < FAINT
    return torch.where((log_q > 0) & faint, torch.expm1(log_q) - log_q, 0.0)


@dataclass(frozen=True)
class _Part:
    """The evidence cost of one sample as a function of some log-variances.

    Attributes
    ----------
    start, low : Tensor, shape (n,), float64
        Log-variances of the sources that move and of the noise, and their floor.
    columns : Tensor, shape (n_sensors, n_columns), float64
        Of the sources that move; then, for noise that is learned, those of the identity.
    groups : tuple of (int, int)
        How many variances on end serve how many columns each.
    rest : Tensor, shape (n_sensors, n_sensors)
        Covariance of everything that stands still.
    data : Tensor, shape (n_sensors, at most n_sensors)
    n_times : int
    """

    start: Tensor
    low: Tensor
    columns: Tensor
    groups: tuple[tuple[int, int], ...]
    rest: Tensor
    data: Tensor
    n_times: int

    @classmethod
    def of(
        cls,
        model: GaussianModel,
        sample: int,
        log: Tensor,
        kept: Tensor,
        noise: Tensor | None,
        point: Variances,
    ) -> _Part:
        """Cut the sources ``kept`` out of the model of one sample."""
        lead, served = model.wide(sample), model.columns_per_variance
        still = torch.ones_like(log, dtype=torch.bool)
        still[kept] = False
        seen = still.repeat_interleave(served) if served > 1 else still
        others = lead[:, seen]
        variance = log[still].exp()
        variance = variance.repeat_interleave(served) if served > 1 else variance
        rest = (others * variance) @ others.mT
        at = kept[:, None] * served + torch.arange(served, device=kept.device)
        columns, groups = lead[:, at.flatten()], ((len(kept), served),)
        start, low = log[kept], model.gamma_box[0][sample].expand(len(kept))
        if noise is None:
            given = model.noise_covariance(point.noise)[sample]
            rest = rest + (given if given.ndim == 2 else torch.diag(given))
        else:
            eye = torch.eye(model.n_sensors, dtype=lead.dtype, device=lead.device)
            columns = torch.cat([columns, eye], 1)
            groups = (*groups, (len(noise), model.n_sensors // len(noise)))
            start = torch.cat([start, noise])
            low = torch.cat([low, model.noise_box[0][sample].expand(len(noise))])
        return cls(start, low.to(start), columns, groups, rest, model.data[sample], model.n_times)

    def descend(self, worthwhile: float) -> Tensor:
        """Log-variances after some damped Newton steps, none of which raised the cost."""
        here, mu = self._at(self.start), DAMPING
        if here is None:
            return self.start
        for _ in range(STEPS):
            gradient, hessian, damping = here.slopes()
            free = (here.log > self.low + 1e-9) | (gradient < 0)
            found = None
            for _ in range(TRIES):
                found = self._tried(here, free * gradient, hessian, free, mu * damping)
                if found is not None:
                    break
                mu = max(8.0 * mu, 1e-2)
            if found is None:
                break
            won, here, mu = here.value - found.value, found, max(mu / 5.0, 1e-4)
            if won < worthwhile:
                break
        return here.log

    def _tried(
        self, here: _Place, gradient: Tensor, hessian: Tensor, free: Tensor, damping: Tensor
    ) -> _Place | None:
        """The place one step leads to; None where the cost would not fall."""
        largest = damping.max().clamp_min(torch.finfo(damping.dtype).tiny)
        matrix = hessian * (free[:, None] & free)
        matrix.diagonal().add_(damping + torch.where(free, 1e-12, 1.0) * largest)
        factor, info = torch.linalg.cholesky_ex(matrix)
        if int(info) > 0:
            return None
        step = torch.cholesky_solve(gradient[:, None], factor)[:, 0].clamp(-LEAP, LEAP)
        trial = self._at((here.log - step).maximum(self.low))
        return trial if trial is not None and trial.value < here.value else None

    def _at(self, log: Tensor) -> _Place | None:
        """Cost and factor at some log-variances; None where they are not finite."""
        variance = self.spread(log.exp())
        sigma = (self.columns * variance) @ self.columns.mT + self.rest
        factor, info = torch.linalg.cholesky_ex(sigma)
        if int(info) > 0:
            return None
        white = torch.linalg.solve_triangular(factor, self.data, upper=False)
        value = float(log_determinant(factor) + white.square().sum() / self.n_times)
        return _Place(self, log, value, factor, white) if math.isfinite(value) else None

    def spread(self, variance: Tensor) -> Tensor:
        """Variance of every column."""
        parts = variance.split([count for count, _ in self.groups])
        return torch.cat(
            [v.repeat_interleave(k) for v, (_, k) in zip(parts, self.groups, strict=True)]
        )

    def gathered(self, x: Tensor, dim: int) -> Tensor:
        """Sums over the columns that a variance serves."""
        if all(served == 1 for _, served in self.groups):
            return x
        parts = x.split([count * served for count, served in self.groups], dim)
        sums: list[Tensor] = [
            p.unflatten(dim, group).sum(dim + 1)
            for p, group in zip(parts, self.groups, strict=True)
        ]
        return torch.cat(sums, dim)


@dataclass(frozen=True)
class _Place:
    """Where the part stands: its log-variances, the cost, and what the cost was made of."""

    part: _Part
    log: Tensor
    value: float
    factor: Tensor
    white: Tensor

    def slopes(self) -> tuple[Tensor, Tensor, Tensor]:
        """Gradient, average information, and curvature of the convex bound, in logarithms."""
        part = self.part
        dual = torch.linalg.solve_triangular(self.factor.mT, self.white, upper=True)
        seen = torch.linalg.solve_triangular(self.factor, part.columns, upper=False)
        held = (dual.mT @ part.columns) / math.sqrt(part.n_times)
        information = (seen.mT @ seen).mul_(held.mT @ held)
        for dim in (0, 1):
            information = part.gathered(information, dim)
        z, a = (part.gathered(x.square().sum(0), 0) for x in (seen, held))
        variance = self.log.exp()
        information = information.mul_(variance[:, None]).mul_(variance)
        return variance * (z - a), information, variance * (z + a)
