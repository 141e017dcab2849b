"""What the guard is tried on: a solver whose proposals come from a rule, and hostile rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from benchmarks.reference import CountedMajorant
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.energies.lengths import norm
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.cosine import CosineMajorant
from majorant.majorants.guard import Guard
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.problem import Problem, Solution
from majorant.solvers.base import IterativeSolver, Proposal, Reading
from majorant.solvers.loop import solve

Rule = Callable[[QuadraticSurrogate, int], Tensor]
"""From a bound and the number of the step to the point proposed."""


@dataclass(frozen=True)
class Obey(Proposal[SourceState, int]):
    """Proposes what a rule says."""

    rule: Rule

    def begin(self, problem: Problem, surrogate: Surrogate[SourceState]) -> int:
        return 0

    def propose(self, surrogate: Surrogate[SourceState], memory: int) -> tuple[SourceState, int]:
        assert isinstance(surrogate, QuadraticSurrogate)
        return SourceState(self.rule(surrogate, memory)), memory + 1


@dataclass(frozen=True)
class Subject(IterativeSolver[SourceState]):
    """A solver whose proposals come from a rule."""

    energy: CosineEnergy
    x: Tensor
    rule: Rule
    bound: str = "v2"
    max_iter: int = 1000
    guard: Guard = field(default=Guard())
    tally: list[CountedMajorant] = field(default_factory=list)

    def majorant(self, problem: Problem) -> Majorant[SourceState]:
        self.tally.append(CountedMajorant(CosineMajorant(self.energy, self.bound)))
        return self.tally[-1]

    def start(self, problem: Problem) -> SourceState:
        return SourceState(self.x)

    def proposal(self, problem: Problem) -> Obey:
        return Obey(self.rule)

    def converged(self, before: Surrogate[SourceState], after: Surrogate[SourceState]) -> Tensor:
        return torch.zeros_like(before.energy, dtype=torch.bool)

    def read(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Reading:
        return Reading(surrogate.state.x)

    def run(self, **options: object) -> Solution:
        return solve(self.energy.problem, self, keep_trace=True, **options)  # pyright: ignore


def rng(step: int) -> torch.Generator:
    return torch.Generator().manual_seed(step)


def at_random(size: float) -> Rule:
    """Anywhere, ``size`` times the norm of ``x`` away."""

    def rule(s: QuadraticSurrogate, step: int) -> Tensor:
        x = s.state.x
        noise = torch.randn(x.shape[1:], generator=rng(step), dtype=torch.float64).to(x)
        return x + size * noise * (norm(x) / norm(noise[None])).to(x)[:, None, None]

    return rule


def along_gradient(size: float) -> Rule:
    """``size`` times the norm of ``x`` up the gradient, or down if negative."""

    def rule(s: QuadraticSurrogate, step: int) -> Tensor:
        length = (norm(s.state.x) / norm(s.gradient).clamp_min(1e-300)).to(s.gradient)
        return s.state.x + size * length[:, None, None] * s.gradient

    return rule


def constant(value: float) -> Rule:
    return lambda s, step: torch.full_like(s.state.x, value)


def nothing(s: QuadraticSurrogate, step: int) -> Tensor:
    return s.state.x


def each(rules: list[Rule]) -> Rule:
    """One rule for each sample of the batch."""

    def rule(s: QuadraticSurrogate, step: int) -> Tensor:
        return torch.stack([r(s, step)[i] for i, r in enumerate(rules)])

    return rule


HOSTILE: dict[str, Rule] = {
    "random, near": at_random(0.1),
    "random, far": at_random(5.0),
    "random, 1e20": at_random(1e20),
    "uphill": along_gradient(0.3),
    "far uphill": along_gradient(1e12),
    "overshooting": along_gradient(-2.5),
    "zero": constant(0.0),
    "nan": constant(torch.nan),
    "inf": constant(torch.inf),
    "1e38": constant(1e38),
}
