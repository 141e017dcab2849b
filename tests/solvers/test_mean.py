"""The mean of solvers: its disagreement never rises, and no member can hide a violation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from majorant import registry
from majorant.energies.cosine import SourceState
from majorant.majorants.base import Surrogate
from majorant.majorants.guard import Guard
from majorant.problem import MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.base import Kernel, KernelSolver
from majorant.solvers.champagne import Champagne, ConvexBounding
from majorant.solvers.linear import SLORETA, MinimumNorm
from majorant.solvers.loop import solve
from majorant.solvers.mean import Disagreement, Mean, ToMean
from majorant.solvers.scan import Scan
from majorant.testing import tiny_problem


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    dot = (a * b).flatten(1).sum(1)
    return dot / (a.flatten(1).norm(dim=1) * b.flatten(1).norm(dim=1))


MEMBERS = {"scan": Scan(), "sloreta": SLORETA(snr=3.0), "mne": MinimumNorm(snr=3.0)}


def test_the_energy_is_the_mean_disagreement_and_falls_to_its_least() -> None:
    problem = tiny_problem(n_batch=3)
    weights = (0.5, 0.2, 0.3)
    solution = solve(problem, Mean(MEMBERS, weights), keep_trace=True)
    energy, x = solution.certificate.energy, solution.estimate
    assert energy.shape[0] == 3
    assert bool((energy[1:] <= energy[:-1]).all())
    parts = [solve(problem, member).estimate for member in MEMBERS.values()]
    own = sum(w * (1 - cosine(x, part)) for w, part in zip(weights, parts, strict=True))
    assert torch.allclose(energy[-1], torch.as_tensor(own), atol=1e-12)
    for part in parts:
        theirs = sum(w * (1 - cosine(part, p)) for w, p in zip(weights, parts, strict=True))
        assert bool((energy[-1] <= torch.as_tensor(theirs) + 1e-12).all())
    seen = problem.operator.apply(x)
    residual = ((problem.y - seen) * seen).flatten(1).sum(1)
    assert float(residual.abs().max()) < 1e-9 * float(problem.y.square().sum())
    assert solution.unit == "Am"
    assert solution.status == (Status.CONVERGED,) * 3
    assert set(solution.details["members"]) == set(MEMBERS)


def test_the_variance_is_that_of_the_mixture() -> None:
    problem = tiny_problem(n_batch=2)
    members = {"scan": Scan(), "mne": MinimumNorm(snr=3.0)}
    solution = solve(problem, Mean(members))
    scan, mne = (solve(problem, member) for member in members.values())
    assert solution.variance is not None
    assert scan.variance is not None
    for b in range(2):
        one, two = (own.estimate[b] / own.estimate[b].norm() for own in (scan, mne))
        size = solution.estimate[b].norm() / (0.5 * (one + two)).norm()
        apart = (0.5 * size * (one - two)).square().mean(1)
        own = 0.5 * scan.variance[b] * (size / scan.estimate[b].norm()) ** 2
        assert torch.allclose(solution.variance[b], apart + own, rtol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_no_direction_disagrees_less_whatever_the_members_are(seed: int) -> None:
    members = [normal(4, 6, 3, seed=100 * seed + k) for k in range(1 + seed % 5)]
    if seed % 3 == 0:
        members.append(-members[0])  # two that contradict each other
    if seed % 4 == 0:
        members.append(torch.zeros(4, 6, 3, dtype=torch.float64))
    weights = torch.rand(len(members), generator=torch.Generator().manual_seed(seed)) + 0.01
    energy = Disagreement(members, weights.double() / weights.sum().double())
    nearest = energy.value(SourceState(energy.nearest()))
    least = energy.value(SourceState(energy.mean))
    assert bool((nearest <= 1 + 1e-12).all())
    assert bool((least <= nearest + 1e-12).all())
    for k in range(20):
        other = energy.mean + 10.0 ** -(k % 5) * normal(4, 6, 3, seed=999 + k)
        assert bool((least <= energy.value(SourceState(other)) + 1e-12).all())


def test_the_gradient_is_that_of_the_energy() -> None:
    energy = Disagreement([normal(2, 5, 3), normal(2, 5, 3, seed=1)], torch.tensor([0.3, 0.7]))
    x = normal(2, 5, 3, seed=2).requires_grad_(True)
    (expected,) = torch.autograd.grad(energy.value(SourceState(x)).sum(), x)
    _, gradient = energy.value_and_grad(SourceState(x.detach()))
    assert torch.allclose(gradient.x, expected, atol=1e-12)


@dataclass(frozen=True)
class Away(ToMean):
    def rule(self, surrogate: Surrogate[SourceState]) -> SourceState:
        return SourceState(-super().rule(surrogate).x)


@dataclass(frozen=True)
class Contrary(Mean):
    def proposal(self, problem: Problem) -> ToMean:
        return Away()


def test_a_step_away_from_the_mean_is_refused_and_counted_where_nobody_guards() -> None:
    problem = tiny_problem(n_batch=2)
    free = solve(problem, Contrary(MEMBERS), guard="off").certificate
    assert int(free.violations.sum()) > 0
    guarded = solve(problem, Contrary(MEMBERS)).certificate
    assert guarded.holds()
    assert int(guarded.refused.sum()) > 0


class Uphill(ConvexBounding):
    def rule(self, surrogate):  # type: ignore[no-untyped-def]
        own = surrogate
        return own.state.toward(super().rule(surrogate), -2.0)


@dataclass(frozen=True)
class Broken(Champagne):
    def proposal(self, problem: Problem) -> Uphill:
        return Uphill()


def test_a_member_cannot_hide_a_violation() -> None:
    problem = tiny_problem()
    broken = Broken(max_iter=4, guard=Guard("off", window=1))
    alone = solve(problem, broken).certificate
    assert not alone.holds()
    together = solve(problem, Mean({"mne": MinimumNorm(snr=3.0), "broken": broken})).certificate
    assert torch.equal(together.violations, alone.violations)


@dataclass(frozen=True)
class Turned(KernelSolver):
    """Minimum norm of the other sign."""

    def kernel(self, problem: Problem) -> Kernel:
        kernel = MinimumNorm(snr=3.0).kernel(problem)
        return replace(kernel, matrix=-kernel.matrix)


def test_directions_that_explain_nothing_are_said() -> None:
    solution = solve(tiny_problem(), Mean({"turned": Turned()}))
    assert solution.status == (Status.NO_SOURCE,)
    assert float(solution.estimate.abs().max()) == 0


def test_what_makes_no_mean_is_said() -> None:
    with pytest.raises(MajorantError, match="no members"):
        Mean({})
    for weights in ((1.0,), (1.0, 0.0, 1.0), (1.0, -1.0, 2.0)):
        with pytest.raises(MajorantError, match="give one positive number for each"):
            Mean(MEMBERS, weights)
    with pytest.raises(MajorantError, match="mean has no member 'mnee'"):
        registry.make("mean", members=("mnee",), weights=None)
    assert list(registry.make("mean", members=("scan", "sloreta"), weights=(2, 1)).members) == [
        "scan", "sloreta",
    ]  # fmt: skip


def test_the_mean_lies_between_its_members() -> None:
    problem = Problem(MatrixOperator(normal(9, 30)), normal(1, 9, 12, seed=5))
    x = solve(problem, registry.make("mean")).estimate
    for name in ("scan", "unfolded-sbl"):
        assert float(cosine(x, solve(problem, registry.make(name)).estimate)) > 0.3
