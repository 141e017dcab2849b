"""How many patches: an information criterion that knows that the head is never quite right.

A believed topography is off by some third of its length: the data of one source are ``(u + e) c'``,
and a criterion that takes ``e c'`` for signal explains it by further patches. But such an error
cannot be told from a sensor noise that has the course of the source. With courses ``C`` of the
patches at hand, ``c_k`` an orthonormal basis of their span over time in which their power is
``l_k = |C c_k|^2``, and ``e`` of ``n`` independent parts of variance ``h / n``, the residual ``R``
has per sensor

- the variance ``s`` of noise off the courses (``T - r`` dimensions of time), and
- ``s + h l_k / n`` along ``c_k``;

    J(C) = min over s of  n (T - r) log s + |R (I - P)|^2 / s
                          + sum_k n log(s + h l_k / n) + |R c_k|^2 / (s + h l_k / n).

At ``h = 0`` this is ``m log(|R|^2 / m) + m``, ``m = n T``, as of white noise. A patch whose course
is that of another one wins little by ``J``; one with a course of its own wins as much as ever. The
error of a head as noise: Kaipio and Somersalo, "Statistical and computational inverse problems"
(2005), section 5.8.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy.special import betaincinv
from torch import Tensor

from majorant.linalg import squared_norm
from majorant.solvers.scan.likelihood import Likelihood, Sources

__all__ = ["Doubt", "Order"]

LEAST, ROUNDS, POINTS = 1e-20, 3, 33
"""Least variance of noise, the data's being 1; grids that close in on the best one, and points."""

NEWTON, NEAR = 4, 0.05
"""Steps from the last grid point to the minimum, and how far one may go, in logarithms."""

FALSE = 0.05
"""How often noise alone may be taken for a patch, at most."""

NO_COURSE = 1e-12
"""Power along a direction of time below which, relative to the strongest, there is no course."""


@dataclass(frozen=True, eq=False)
class Doubt:
    """What patches leave unexplained, told apart as noise and as error of the head.

    Attributes
    ----------
    value : Tensor, shape (n_batch,), float64
        ``J``, minus twice the log-likelihood up to a constant.
    noise : Tensor, shape (n_batch,), float64
        ``s``, for data of mean square 1.
    """

    value: Tensor
    noise: Tensor

    @classmethod
    def of(cls, likelihood: Likelihood, sources: Sources, head_error: float) -> Doubt:
        """Judge patches.

        Parameters
        ----------
        likelihood : Likelihood
        sources : Sources
        head_error : float
            ``h``, the share of a topography's power that is wrong.
        """
        y = likelihood.sample.y
        n_sensors, n_times = y.shape[1:]
        residual = likelihood.residual(sources)
        courses = likelihood.courses(sources)
        power, basis = torch.linalg.eigh(courses @ courses.mT)
        there = power > NO_COURSE * power[:, -1:].clamp_min(torch.finfo(power.dtype).tiny)
        power = torch.where(there, power, 0.0)
        scale = torch.where(there, power.clamp_min(torch.finfo(power.dtype).tiny).rsqrt(), 0.0)
        along = (scale[:, :, None] * basis.mT) @ courses
        inside = (residual @ along.mT).square().sum(1)
        outside = (squared_norm(residual) - inside.sum(1)).clamp_min(0.0)
        free = n_sensors * (n_times - there.sum(1)).clamp_min(0).to(y.dtype)
        extra = head_error * power / n_sensors

        def judged(noise: Tensor) -> Tensor:
            own = noise[:, None] + extra[:, :, None]
            parts = n_sensors * own.log() + inside[:, :, None] / own
            parts = torch.where(there[:, :, None], parts, 0.0).sum(1)
            return free[:, None] * noise.log() + outside[:, None] / noise + parts

        def slopes(noise: Tensor) -> tuple[Tensor, Tensor]:
            """First and second derivative by the logarithm of the variance."""
            own = noise[:, None] + extra
            share, weight = noise[:, None] / own, inside / own
            first = share * (n_sensors - weight)
            second = share * (n_sensors * (1.0 - share) + weight * (2.0 * share - 1.0))
            first, second = (torch.where(there, part, 0.0).sum(1) for part in (first, second))
            return free - outside / noise + first, outside / noise + second

        noise = _polished(_least(judged, len(y)), slopes)
        return cls(judged(noise[:, None])[:, 0], noise)


def _polished(noise: Tensor, slopes: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Tensor:
    """Newton's steps from the best grid point, which is but one of many, to the minimum itself."""
    for _ in range(NEWTON):
        first, second = slopes(noise)
        step = -first / second
        near = (second > 0) & (step.abs() < NEAR)
        noise = torch.where(near, noise * step.exp(), noise).clamp_min(LEAST)
    return noise


def _least(judged: Callable[[Tensor], Tensor], n_batch: int) -> Tensor:
    """The variance in [LEAST, 10] of the smallest value, to a hundredth."""
    low = torch.full((n_batch,), math.log(LEAST), dtype=torch.float64)
    high = torch.full_like(low, math.log(10.0))
    ticks = torch.linspace(0.0, 1.0, POINTS, dtype=low.dtype)
    for _ in range(ROUNDS):
        grid = low[:, None] + ticks * (high - low)[:, None]
        values = judged(grid.exp())
        best = values.argmin(1)
        step = (high - low) / (POINTS - 1)
        middle = grid.gather(1, best[:, None])[:, 0]
        low, high = middle - step, middle + step
    return middle.exp()


@dataclass(frozen=True)
class Order:
    """The Bayesian information criterion, extended by what choosing costs.

    Each of K patches was chosen among P, which ``2 K log P`` stands for (Chen and Chen 2008,
    doi:10.1093/biomet/asn034). Where there are few times this is too little: the best of thousands
    of patches explains much of any noise. What one patch explains of white noise is a share that
    has a beta distribution with ``T / 2`` and ``(m - T) / 2``, so the best of P exceeds its upper
    ``FALSE / P`` quantile with a probability of ``FALSE`` at most; a patch must win more than that.
    Of free directions the best one counts, whose power in noise is near ``T + 2 sqrt(T)`` in the
    mean (exactly so at T = 1); this many times are put for T.

    Attributes
    ----------
    measured : int
        Numbers in the data, ``m = n T``.
    choices : int
        Patches to choose from, ``P``.
    n_times, n_orient : int
    penalty : float
        Factor of what a number costs, ``log m``.
    patience : int
        Patches beyond the best number so far that are still tried.
    head_error : float
        Share of a topography's power that is wrong.
    """

    measured: int
    choices: int
    n_times: int
    n_orient: int
    penalty: float
    patience: int
    head_error: float

    def criterion(self, likelihood: Likelihood, sources: Sources) -> Tensor:
        """``J + K max(penalty (T + 2) log m + 2 log P, -m log(1 - quantile))``, (n_batch,)."""
        value = Doubt.of(likelihood, sources, self.head_error).value
        return value + self.charge * sources.count.to(value.dtype)

    @cached_property
    def charge(self) -> float:
        """What every patch costs."""
        numbers = self.penalty * (self.n_times + 2.0 * self.n_orient) * math.log(self.measured)
        dims = self.n_times + (self.n_orient - 1.0) * math.sqrt(self.n_times)
        rest = max(self.measured - dims, 1.0)
        left = float(betaincinv(rest / 2.0, dims / 2.0, FALSE / self.choices))
        chance = -self.measured * math.log(max(left, LEAST)) if self.penalty > 0 else 0.0
        return max(numbers + 2.0 * math.log(self.choices), chance)
