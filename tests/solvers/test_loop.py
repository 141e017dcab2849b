"""The one loop: samples are independent, counts are true, nothing is hidden.

A toy family stands in for the real ones: ``u(x) = |x - target|^2 / 2`` with its exact majorant, and
proposals that do as the test says.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import pytest
import torch
from torch import Tensor

from majorant.energies.base import Energy, State
from majorant.learned.mmnet import MMNet
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.guard import Guard
from majorant.problem import MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.base import IterativeSolver, Memoryless, Reading
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import count_rises, solve
from majorant.solvers.mm import ClassicalMM, Cosine


@dataclass(frozen=True)
class Point(State):
    x: Tensor

    def finite(self) -> Tensor:
        return torch.isfinite(self.x).flatten(1).all(1)

    def where(self, chosen: Tensor, other: Self) -> Self:
        return type(self)(torch.where(chosen[:, None, None], self.x, other.x))

    def toward(self, target: Self, fraction: float) -> Self:
        return type(self)(self.x + fraction * (target.x - self.x))


@dataclass(frozen=True)
class Distance(Energy[Point]):
    target: Tensor
    name: str = "distance"

    def value(self, state: Point) -> Tensor:
        return 0.5 * (state.x - self.target).square().flatten(1).sum(1)

    def value_and_grad(self, state: Point) -> tuple[Tensor, Point]:
        return self.value(state), Point(state.x - self.target)

    def admissible(self, origin: Point, proposed: Point) -> Point:
        return proposed


@dataclass(frozen=True)
class Exact(Surrogate[Point]):
    state: Point
    energy: Tensor
    goal: Distance

    def change(self, proposed: Point) -> Tensor:
        return self.goal.value(proposed) - self.energy

    def slope(self, proposed: Point) -> Tensor:
        residual = self.state.x - self.goal.target
        return (residual * (proposed.x - self.state.x)).flatten(1).sum(1)

    def minimiser(self) -> Point:
        return Point(self.goal.target)

    def promise(self) -> Tensor:
        return self.energy


@dataclass(frozen=True)
class Parabola(Majorant[Point]):
    energy: Distance
    name: str = "itself"
    kind: str = "global"

    def at(self, state: Point) -> Exact:
        return Exact(state, self.energy.value(state), self.energy)


@dataclass(frozen=True)
class Multiply(Memoryless[Point]):
    factor: Tensor
    target: Tensor

    def rule(self, surrogate: Surrogate[Point]) -> Point:
        return Point(self.target + self.factor[:, None, None] * (surrogate.state.x - self.target))


@dataclass(frozen=True)
class Toy(IterativeSolver[Point]):
    """Multiplies the distance to the target by a factor of its own for each sample."""

    factor: tuple[float, ...]
    max_iter: int = 6
    guard: Guard = field(default=Guard(window=1, sufficient=0.0))

    def majorant(self, problem: Problem) -> Parabola:
        return Parabola(Distance(problem.y))

    def start(self, problem: Problem) -> Point:
        return Point(torch.zeros_like(problem.y))

    def proposal(self, problem: Problem) -> Multiply:
        return Multiply(torch.tensor(self.factor, dtype=problem.y.dtype), problem.y)

    def converged(self, before: Surrogate[Point], after: Surrogate[Point]) -> Tensor:
        return after.energy < 1e-3

    def read(self, problem: Problem, surrogate: Surrogate[Point]) -> Reading:
        return Reading(surrogate.state.x)


def problem(*rows: float) -> Problem:
    y = torch.tensor(rows, dtype=torch.float64)[:, None, None].expand(-1, 2, 3).clone()
    return Problem(MatrixOperator(torch.eye(2, dtype=torch.float64)), y)


def test_each_sample_ends_for_its_own_reason() -> None:
    out = solve(problem(1.0, 1.0, 0.0), Toy((0.1, 0.9, 0.5)))
    assert out.status == (Status.CONVERGED, Status.LIMIT, Status.NO_DATA)
    assert torch.equal(out.estimate[2], torch.zeros(2, 3, dtype=torch.float64))
    assert out.certificate.energy.shape == (7, 3)
    assert out.certificate.holds()


def test_a_converged_sample_stays_where_it_is() -> None:
    alone = solve(problem(1.0), Toy((0.1,)))
    among = solve(problem(1.0, 1.0), Toy((0.1, 0.9)))
    assert torch.equal(alone.estimate[0], among.estimate[0])
    energies = among.certificate.energy[:, 0]
    assert energies[-1] == energies[-2]


@pytest.mark.parametrize("factor", [-3.0, 2.0, 1e200, float("nan"), float("inf")])
def test_a_proposal_that_would_raise_the_energy_is_replaced(factor: float) -> None:
    out = solve(problem(1.0, 1.0), Toy((factor, 0.5)))
    assert out.certificate.holds()
    assert int(out.certificate.refused[0]) >= 1
    assert int(out.certificate.halvings[0] + out.certificate.fallbacks[0]) >= 1
    assert int(out.certificate.refused[1]) == 0
    mate = solve(problem(1.0), Toy((0.5,)))
    assert torch.equal(out.estimate[1], mate.estimate[0])


def test_with_the_guard_off_the_same_proposal_raises_it_and_is_counted() -> None:
    out = solve(problem(1.0), Toy((2.0,)), guard="off")
    assert int(out.certificate.violations[0]) == 6
    assert out.certificate.guard == "off"


def test_a_sample_that_is_not_finite_is_stopped_with_a_status() -> None:
    out = solve(problem(1.0, 1.0), Toy((float("nan"), 0.9)), guard="off")
    assert out.status == (Status.NOT_FINITE, Status.LIMIT)
    assert torch.isfinite(out.estimate).all()


def test_a_window_judges_the_pair_and_not_the_step() -> None:
    @dataclass(frozen=True)
    class UpThenDown(Memoryless[Point]):
        target: Tensor

        def rule(self, surrogate: Surrogate[Point]) -> Point:
            away = surrogate.state.x - self.target
            factor = torch.where(away.abs() > 1.0, 0.1, -2.0)
            return Point(self.target + factor * away)

    @dataclass(frozen=True)
    class Overshooting(Toy):
        def proposal(self, problem: Problem) -> UpThenDown:  # type: ignore[override]
            return UpThenDown(problem.y)

    strict = solve(problem(1.0), Overshooting((1.0,)), max_iter=2)
    pair = solve(problem(1.0), Overshooting((1.0,)), max_iter=2, guard=Guard(window=2))
    assert int(strict.certificate.refused[0]) > 0
    assert int(pair.certificate.refused[0]) == 0
    assert pair.certificate.energy.shape == (2, 1)


def test_the_trace_and_the_progress_are_complete() -> None:
    seen: list[tuple[int, int]] = []
    out = solve(
        problem(1.0), Toy((0.9,)), keep_trace=True, progress=lambda a, b: seen.append((a, b))
    )
    assert len(out.trace) == 7
    assert seen[-1] == (6, 6)


def test_nonsense_is_refused() -> None:
    with pytest.raises(MajorantError, match="max_iter is -1"):
        solve(problem(1.0), Toy((0.5,)), max_iter=-1)
    with pytest.raises(MajorantError, match=r"max_iter is 2\.5"):
        solve(problem(1.0), Toy((0.5,)), max_iter=2.5)  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="the solver's guard is 'off'"):
        solve(problem(1.0), Champagne(guard="off"))  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="guard 'strict' is unknown"):
        solve(problem(1.0), Toy((0.5,)), guard="strict")  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="window of 0"):
        Guard(window=0)


def test_rises_are_counted_and_nan_is_a_rise() -> None:
    energy = torch.tensor([[1.0, 1.0], [2.0, 0.5], [1.0, float("nan")]], dtype=torch.float64)
    assert count_rises(energy).tolist() == [1, 1]


def test_solvers_stop_where_they_say() -> None:
    def at(energy: float) -> Any:
        return SimpleNamespace(energy=torch.tensor([energy], dtype=torch.float64))

    mm = ClassicalMM(Cosine())
    assert mm.converged(at(1.0), at(1.0 - 5e-10)).all()
    assert not mm.converged(at(1.0), at(1.0 - 5e-9)).any()
    net = MMNet(MMNetwork(MMNetSettings(n_sources=4, prior_hidden=2, hidden=2)))
    assert net.converged(at(0.5), at(0.5 - 5e-13)).all()
    assert not net.converged(at(0.5), at(0.5 - 1e-11)).any()
    assert Champagne().tol == 1e-6
