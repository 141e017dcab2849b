"""Champagne: the evidence never rises, and its rules are those of the books."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from majorant.energies import gaussian
from majorant.energies.variances import LogVariance, Variances, log_ratio, update
from majorant.majorants.evidence import EvidenceMajorant, at_evidence
from majorant.majorants.guard import Guard
from majorant.problem import Problem, Status
from majorant.solvers.base import IterativeSolver, Memoryless, Reading
from majorant.solvers.champagne import RULES, Champagne
from majorant.solvers.loop import solve

from .bayes import BATCH, EVERY, SENSORS, random_problems


@dataclass(frozen=True)
class TooLong(Memoryless[Variances]):
    """Steps of the rule, made longer."""

    factor: float

    def rule(self, surrogate) -> Variances:
        return at_evidence(surrogate).moved(
            lambda log, z, a, served: update(log, log_ratio(a, z), share=0.5 * self.factor)
        )


@dataclass(frozen=True)
class Broken(IterativeSolver[Variances]):
    """Champagne with a proposal of the test's own."""

    own: Memoryless[Variances]
    inner: Champagne = field(default_factory=lambda: Champagne("cb", tol=0.0))
    max_iter: int = 30
    guard: Guard = field(default_factory=lambda: Guard("energy", window=1, sufficient=0.0))

    def majorant(self, problem: Problem) -> EvidenceMajorant:
        return self.inner.majorant(problem)

    def start(self, problem: Problem) -> Variances:
        return self.inner.start(problem)

    def proposal(self, problem: Problem) -> Memoryless[Variances]:
        return self.own

    def converged(self, before, after) -> Tensor:
        return self.inner.converged(before, after)

    def read(self, problem: Problem, surrogate) -> Reading:
        return self.inner.read(problem, surrogate)


@pytest.mark.parametrize("setting", EVERY, ids=lambda s: "-".join(s.values()))
def test_the_evidence_cost_never_rises(setting) -> None:
    problem, solver = random_problems(), Champagne(**setting, tol=0.0, max_iter=200)
    free, kept = solve(problem, solver, guard="off"), solve(problem, solver)
    assert free.certificate.energy.shape == (201, BATCH)
    size = free.certificate.energy[:-1].abs().clamp_min(1.0)
    matrices = "full" in setting.values() or "block" in setting.values()
    rise = float((free.certificate.energy.diff(dim=0) / size).max())
    assert rise <= (1e-8 if matrices else 1e-11)
    assert free.certificate.holds()
    assert bool((kept.certificate.energy.diff(dim=0) <= 0).all())
    assert int(kept.certificate.refused.sum()) == 0
    apart = (free.certificate.energy[-1] - kept.certificate.energy[-1]).abs()
    assert bool((apart <= 1e-6 * SENSORS).all())


FLOORED = [s for s in EVERY if s["orientation"] != "block" or s["noise"] in ("diagonal", "full")]


@pytest.mark.parametrize("setting", FLOORED, ids=lambda s: "-".join(s.values()))
def test_the_evidence_cost_never_rises_where_floors_bind(setting, monkeypatch) -> None:
    monkeypatch.setattr(gaussian, "GAMMA_FLOOR", {torch.float64: 0.3})
    monkeypatch.setattr(gaussian, "NOISE_FLOOR", 0.3)
    problem, solver = random_problems(), Champagne(**setting, tol=0.0, max_iter=200)
    solution, start = solve(problem, solver, guard="off"), solver.start(problem)
    energy = solution.certificate.energy
    rise = float((energy.diff(dim=0) / energy[:-1].abs().clamp_min(1.0)).max())
    assert rise <= (1e-8 if "full" in setting.values() else 1e-11)
    end, floor = solution.state, math.log(0.3) + 1e-9
    if setting["orientation"] != "block":
        assert float((end.log_gamma <= start.log_gamma + floor).double().mean()) > 0.5
    if setting["noise"] in ("diagonal", "scalar"):
        assert float((end.log_noise <= start.log_noise + floor).double().mean()) > 0.5


@pytest.mark.parametrize("rule", ["cb", "em", "mackay"])
def test_it_never_rises_in_single_precision_with_both_floors_active(rule) -> None:
    problem = random_problems(times=3, dtype=torch.float32)
    solver = Champagne(rule=rule, orientation="fixed", tol=0.0, max_iter=400)
    for guard in ("off", "energy"):
        solution = solve(problem, solver, guard=guard)
        assert solution.certificate.holds()
        assert int(solution.certificate.refused.sum()) == 0
        start, end = solver.start(problem), solution.state
        at_noise_floor = end.log_noise <= start.log_noise - 2.999 * math.log(10)
        assert bool(at_noise_floor.any())
        if rule == "mackay":
            assert bool((end.log_gamma <= start.log_gamma - 19.999 * math.log(10)).any())


def test_steps_four_times_too_long_rise_but_not_under_the_guard() -> None:
    problem, broken = random_problems(), Broken(TooLong(4.0))
    free = solve(problem, broken, guard="off").certificate
    assert int(free.violations.sum()) > BATCH
    for test in ("energy", "surrogate"):
        kept = solve(problem, broken, guard=test).certificate
        assert kept.holds()
        assert bool((kept.energy.diff(dim=0) <= 0).all())
        assert int(kept.refused.sum()) > 0
        assert int((kept.halvings + kept.fallbacks).sum()) >= int(kept.refused.sum())
        assert bool((kept.energy[-1] < kept.energy[0]).all())
        assert float((kept.energy[-1] - free.energy[-1]).median()) <= 0


def test_twice_the_length_is_mackay_and_safe_thrice_is_not_safe_by_the_bound() -> None:
    problem = random_problems()
    for factor, safe in ((2.0, True), (3.0, False)):
        certificate = solve(problem, Broken(TooLong(factor)), guard="surrogate").certificate
        assert (int(certificate.refused.sum()) == 0) is safe


def test_the_bound_accepts_every_classical_step() -> None:
    problem = random_problems()
    for rule in RULES:
        solver = Champagne(rule=rule, tol=0.0, max_iter=60)
        solution = solve(problem, solver, guard="surrogate")
        assert solution.certificate.holds()
        assert int(solution.certificate.refused.sum()) == 0


@pytest.mark.parametrize("setting", EVERY, ids=lambda s: "-".join(s.values()))
def test_the_guard_alters_no_bit_of_a_classical_rule(setting) -> None:
    problem, solver = random_problems(low=0.0), Champagne(**setting, tol=0.0)
    solution = solve(problem, solver, max_iter=6)
    assert bool((solution.certificate.energy.diff(dim=0) < 0).all())
    majorant, rule = solver.majorant(problem), solver.proposal(problem)
    state = solver.start(problem)
    for _ in range(6):
        state = majorant.energy.admissible(state, rule.rule(majorant.at(state)))
    expected = majorant.at(state).evidence
    assert torch.equal(solution.estimate, expected.mean(problem.y))
    assert torch.equal(solution.certificate.energy[-1], expected.value)


def test_the_rules_are_what_the_books_say() -> None:
    problem, solver = random_problems(times=5), Champagne("cb", orientation="fixed")
    here = solver.majorant(problem).at(solver.start(problem))
    s, gamma, noise = here.statistics, here.state.log_gamma.exp(), here.state.log_noise.exp()
    books = {
        "em": (gamma + gamma**2 * (s.a - s.z), noise + noise**2 * (s.b - s.w)),
        "cb": (gamma * (s.a / s.z).sqrt(), noise * (s.b / s.w).sqrt()),
        "mackay": (gamma * s.a / s.z, noise * s.b / s.w),
    }
    for name, (sources, sensors) in books.items():
        moved = RULES[name]().rule(here)
        torch.testing.assert_close(moved.log_gamma.exp(), sources)
        torch.testing.assert_close(moved.log_noise.exp(), sensors)


def test_one_variance_for_all_sensors_uses_their_sums() -> None:
    problem = random_problems(times=5)
    each = Champagne("cb", orientation="fixed", noise="diagonal").majorant(problem)
    s = each.at(each.energy.model.start).statistics
    lam = each.energy.model.start.log_noise.exp()
    books = {
        "em": (lam + lam**2 * (s.b - s.w)).mean(1),
        "cb": ((lam**2 * s.b).sum(1) / s.w.sum(1)).sqrt(),
        "mackay": (lam**2 * s.b).sum(1) / (lam[:, 0] * s.w.sum(1)),
    }
    for name, expected in books.items():
        one = Champagne(rule=name, orientation="fixed", noise="scalar")
        here = one.majorant(problem).at(one.start(problem))
        moved = RULES[name]().rule(here).log_noise.exp()
        torch.testing.assert_close(moved[:, 0], expected)


def test_full_noise_takes_the_geometric_mean() -> None:
    problem = random_problems()
    solver = Champagne(noise="full")
    here = solver.majorant(problem).at(solver.start(problem))
    s, old = here.statistics, here.state.noise.matrix
    new = here.minimiser().noise.matrix
    torch.testing.assert_close(new @ s.w @ new, old @ s.b @ old, rtol=1e-6, atol=1e-9)


def test_a_start_in_logarithms_is_the_start_of_the_certificate() -> None:
    problem, solver = random_problems(), Champagne(max_iter=0)
    solution = solve(problem, solver)
    assert isinstance(solution.state.gamma, LogVariance)
    assert torch.equal(solution.state.log_gamma, solver.start(problem).log_gamma)
    assert set(solution.status) == {Status.LIMIT}
    assert solution.certificate.kind == "global"
