"""Champagne: the evidence never rises, samples are alone, and sources and noise are found."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from majorant.energies import gaussian
from majorant.energies.variances import LogVariance, Variances, log_ratio, update
from majorant.majorants.evidence import EvidenceMajorant, at_evidence
from majorant.majorants.guard import Guard
from majorant.problem import MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.base import IterativeSolver, Memoryless, Reading
from majorant.solvers.champagne import RULES, Champagne
from majorant.solvers.loop import solve

SENSORS, COLUMNS, BATCH = 8, 24, 50

EVERY = [
    {"rule": rule, "noise": noise, "orientation": orientation}
    for rule in ("cb", "em", "mackay")
    for noise in ("diagonal", "scalar", "given", "full")
    for orientation in ("fixed", "tied", "block")
    if rule == "cb" or (noise != "full" and orientation != "block")
]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_problems(
    times: int = 12, dtype: torch.dtype = torch.float64, low: float = -2.0
) -> Problem:
    """Fifty problems: correlated columns, data of 10^low to 1e2, from no noise to much."""
    lead = normal(BATCH, SENSORS, COLUMNS) + 2 * normal(BATCH, SENSORS, 1, seed=1)
    x = normal(BATCH, COLUMNS, times, seed=2) * (normal(BATCH, COLUMNS, 1, seed=3) > 1)
    noise = torch.linspace(0, 1, BATCH).double()[:, None, None] * normal(
        BATCH, SENSORS, times, seed=4
    )
    scale = 10 ** torch.linspace(low, 2, BATCH).double().roll(7)[:, None, None]
    y = scale * (lead @ x + noise * normal(BATCH, SENSORS, 1, seed=5).exp())
    return Problem(MatrixOperator(lead.to(dtype), 3), y.to(dtype))


def easy(
    seed: int = 0, batch: int = 4, times: int = 40, n: int = 24
) -> tuple[Problem, Tensor, Tensor]:
    """Three sources of ninety among sensors that differ in noise; with the truth."""
    lead = normal(n, 90, seed=seed)
    x = torch.zeros(batch, 90, times).double()
    for i in range(batch):
        places = torch.randperm(90, generator=torch.Generator().manual_seed(seed + i))[:3]
        x[i, places] = normal(3, times, seed=seed + 10 + i) + 1.0
    variance = 0.3 * (1.5 * normal(batch, n, seed=seed + 50)).exp()
    y = lead @ x + variance.sqrt()[..., None] * normal(batch, n, times, seed=seed + 60)
    return Problem(MatrixOperator(lead), y), x, variance


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
    inner: Champagne = field(default_factory=lambda: Champagne(tol=0.0))
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
    problem, solver = random_problems(times=5), Champagne(orientation="fixed")
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
    each = Champagne(orientation="fixed", noise="diagonal").majorant(problem)
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


@pytest.mark.parametrize(("tol", "stops_apart"), [(1e-5, False), (1e-4, True)])
def test_batch_mates_and_their_order_do_not_matter(tol, stops_apart) -> None:
    problem, _, _ = easy(batch=5)
    solver = Champagne(max_iter=150, tol=tol)
    together = solve(problem, solver)
    backwards = solve(replace(problem, y=problem.y.flip(0)), solver)
    moves = (together.certificate.energy.diff(dim=0) != 0).sum(0)
    assert (len(set(moves.tolist())) > 1) is stops_apart
    for i in range(5):
        alone = solve(replace(problem, y=problem.y[i : i + 1]), solver)
        scale = float(alone.estimate.abs().max())
        for other in (together.estimate[i], backwards.estimate[4 - i]):
            assert float((alone.estimate[0] - other).abs().max()) < 1e-12 * scale
        assert alone.status[0] == together.status[i] == backwards.status[4 - i]


def test_a_converged_sample_stays_where_it_is() -> None:
    problem, _, _ = easy(batch=4)
    solution = solve(problem, Champagne(rule="mackay", tol=1e-4), keep_trace=True)
    assert set(solution.status) == {Status.CONVERGED}
    energy = solution.certificate.energy
    for i in range(4):
        moves = (energy[1:, i] != energy[:-1, i]).nonzero()[:, 0]
        last = int(moves.max()) + 1
        final = solution.trace[-1].log_gamma[i]
        assert torch.equal(solution.trace[last].log_gamma[i], final)
        change = energy[last - 1, i] - energy[last, i]
        assert 0 <= float(change) < 1e-4 * 24
        assert bool((energy[: last - 1, i].diff().abs() >= 1e-4 * 24).all())


@pytest.mark.parametrize("setting", EVERY, ids=lambda s: "-".join(s.values()))
def test_the_scale_of_the_data_is_the_scale_of_the_estimate(setting) -> None:
    problem, solver = random_problems(), Champagne(**setting, tol=0.0, max_iter=20)
    c = 1e-6
    noise = (c * c) * torch.eye(SENSORS).double()
    small = replace(problem, y=c * problem.y, noise=noise)
    one, other = solve(problem, solver), solve(small, solver)
    apart = (other.estimate / c - one.estimate).abs().amax((1, 2))
    matrices = "full" in setting.values() or "block" in setting.values()
    assert bool((apart <= (1e-5 if matrices else 1e-8) * problem.y.abs().amax((1, 2))).all())
    shift = 2 * SENSORS * math.log(c)
    torch.testing.assert_close(other.certificate.energy, one.certificate.energy + shift)


def test_the_order_of_sensors_and_of_sources_does_not_matter() -> None:
    problem, _, _ = easy()
    order = torch.Generator().manual_seed(1)
    rows, columns = (torch.randperm(n, generator=order) for n in (24, 90))
    lead = problem.operator.matrix()[rows][:, columns]
    shuffled = Problem(MatrixOperator(lead), problem.y[:, rows])
    solver = Champagne(tol=0.0, max_iter=50)
    one, other = solve(problem, solver), solve(shuffled, solver)
    torch.testing.assert_close(other.estimate, one.estimate[:, columns])
    torch.testing.assert_close(other.state.log_noise, one.state.log_noise[:, rows])


@pytest.mark.parametrize("rule", ["cb", "mackay"])
def test_sources_are_found_and_noise_is_told_from_them(rule) -> None:
    problem, truth, variance = easy(times=80)
    solution = solve(problem, Champagne(rule=rule, max_iter=500))
    power = solution.estimate.square().sum(2)
    for i in range(problem.n_batch):
        expected = set(truth[i].square().sum(1).topk(3).indices.tolist())
        assert set(power[i].topk(3).indices.tolist()) == expected
        learned = torch.tensor(solution.details["noise_variance"][i]).double().log()
        both = torch.stack([learned, variance[i].log()])
        assert float(torch.corrcoef(both)[0, 1]) > 0.8
    error = (solution.estimate - truth).square().sum() / truth.square().sum()
    assert float(error) < 0.05


def test_posterior_intervals_cover_the_truth() -> None:
    problem, truth, _ = easy(batch=8)
    solution = solve(problem, Champagne(max_iter=300))
    assert solution.variance is not None
    active = truth.abs().sum(2) > 0
    deviation = (solution.estimate - truth)[active] / solution.variance[active].sqrt()[:, None]
    assert 0.85 < float((deviation.abs() < 1.96).double().mean()) < 0.99


def test_log_evidence_prefers_the_right_noise_model() -> None:
    problem, _, _ = easy(times=60)
    each, one = (
        torch.tensor(solve(problem, Champagne(noise=noise)).details["log_evidence"])
        for noise in ("diagonal", "scalar")
    )
    assert bool((each > one + 10).all())


def test_zero_data_give_zeros_and_say_so() -> None:
    problem = random_problems()
    y = problem.y.clone()
    y[3] = 0
    for setting in ({}, {"noise": "full", "orientation": "block"}, {"noise": "given"}):
        solution = solve(replace(problem, y=y), Champagne(**setting), max_iter=5)
        assert solution.status[3] is Status.NO_DATA
        assert bool((solution.estimate[3] == 0).all())
        assert bool((solution.variance[3] == 0).all())
        assert bool(torch.isfinite(solution.estimate).all())
        assert bool(torch.isfinite(solution.certificate.energy).all())


@pytest.mark.parametrize("orientation", ["fixed", "tied", "block"])
def test_one_time_point_is_enough(orientation) -> None:
    solution = solve(random_problems(times=1), Champagne(orientation=orientation, max_iter=100))
    assert solution.certificate.holds()
    assert int(solution.certificate.refused.sum()) == 0
    assert bool(torch.isfinite(solution.estimate).all())


def test_a_loose_orientation_keeps_its_ratio_where_the_variance_is_tied() -> None:
    loose = torch.tensor([0.2, 0.2, 1.0]).double().repeat(COLUMNS // 3)
    problem = replace(random_problems(times=1), source_prior=loose)
    tied = solve(problem, Champagne(orientation="tied"), max_iter=30)
    scaled = MatrixOperator(problem.operator.matrix() * loose.sqrt(), 3)
    plain = solve(replace(problem, operator=scaled, source_prior=None), Champagne(), max_iter=30)
    torch.testing.assert_close(tied.estimate, plain.estimate * loose.sqrt()[:, None])
    torch.testing.assert_close(tied.variance, plain.variance * loose)


def test_three_columns_are_tied_unless_asked_otherwise() -> None:
    problem = random_problems()
    assert Champagne().start(problem).log_gamma.shape == (BATCH, COLUMNS // 3)
    fixed = Champagne(orientation="fixed").start(problem)
    assert fixed.log_gamma.shape == (BATCH, COLUMNS)
    single = Problem(MatrixOperator(problem.operator.matrix()), problem.y)
    assert Champagne(orientation="block").start(single).log_gamma.shape == (BATCH, COLUMNS)


def test_blocks_do_not_depend_on_the_axes() -> None:
    problem = random_problems()
    turn = torch.linalg.qr(normal(COLUMNS // 3, 3, 3, seed=9)).Q
    lead = problem.operator.matrix().unflatten(2, (-1, 3))
    turned = torch.einsum("bngi,gij->bngj", lead, turn).flatten(2)
    other = replace(problem, operator=MatrixOperator(turned, 3))
    for orientation in ("block", "tied"):
        solver = Champagne(orientation=orientation, tol=0.0, max_iter=15)
        one, two = solve(problem, solver).estimate, solve(other, solver).estimate
        back = torch.einsum("bgjt,gij->bgit", two.unflatten(1, (-1, 3)), turn).flatten(1, 2)
        torch.testing.assert_close(one, back, rtol=1e-6, atol=1e-6 * float(one.abs().max()))


def test_what_does_not_go_together_is_refused_in_one_sentence() -> None:
    for options, words in (
        ({"rule": "ecm"}, "rule 'ecm' is unknown"),
        ({"noise": "blue"}, "noise 'blue' is unknown"),
        ({"orientation": "loose"}, "orientation 'loose' is unknown"),
        ({"rule": "em", "noise": "full"}, "no form for full noise"),
        ({"rule": "mackay", "orientation": "block"}, "no form for block orientation"),
        ({"tol": -1.0}, "tolerance of -1.0"),
    ):
        with pytest.raises(MajorantError, match=words):
            Champagne(**options)
    with pytest.raises(MajorantError, match="at least 8, a shrinkage above 0"):
        solve(random_problems(times=4), Champagne(noise="full"))
    kept = solve(random_problems(times=4), Champagne(noise="full", shrinkage=0.1), max_iter=50)
    assert kept.certificate.holds()


def test_a_lost_rank_is_said_at_the_start() -> None:
    lead, y = normal(6, 20), normal(1, 6, 9, seed=1)
    referenced = Problem(
        MatrixOperator((lead - lead.mean(0)) * 1e9),
        (y - y.mean(1, keepdim=True)) * 1e9,
        torch.full((6,), 1e-12).double(),
    )
    with pytest.raises(MajorantError, match="average reference"):
        solve(referenced, Champagne(noise="given"))


def test_a_start_in_logarithms_is_the_start_of_the_certificate() -> None:
    problem, solver = random_problems(), Champagne(max_iter=0)
    solution = solve(problem, solver)
    assert isinstance(solution.state.gamma, LogVariance)
    assert torch.equal(solution.state.log_gamma, solver.start(problem).log_gamma)
    assert set(solution.status) == {Status.LIMIT}
    assert solution.certificate.kind == "global"
