"""The guard: whatever proposes, the energy does not rise; without the guard it does."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import pytest
import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.energies.lengths import norm
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.cosine import CosineMajorant
from majorant.majorants.guard import Guard
from majorant.majorants.quadratic import Curvature, QuadraticSurrogate, ScalarCurvature
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MajorantError, MatrixOperator, Problem, Solution, Status
from majorant.solvers.base import IterativeSolver, Proposal, Reading
from majorant.solvers.loop import solve
from majorant.solvers.mm import ClassicalMM, Cosine

from .conftest import build
from .hostile import WEIGHTS, network
from .proposals import (
    HOSTILE,
    Rule,
    Subject,
    along_gradient,
    at_random,
    constant,
    each,
    nothing,
    rng,
)


def never_rises(out: Solution) -> bool:
    """No computed energy above the one before it: not by one bit."""
    u = out.certificate.energy
    return bool((u[1:] <= u[:-1]).all()) and out.certificate.holds()


@pytest.mark.parametrize(("dtype", "iterations"), [(torch.float32, 1000), (torch.float64, 300)])
def test_for_any_weights_no_returned_energy_rises(dtype: torch.dtype, iterations: int) -> None:
    energy, x = build(1, len(WEIGHTS), dtype=dtype)
    subject = Subject(energy, x, each([network(w, energy, x).rule for w in WEIGHTS]))
    out = subject.run(max_iter=iterations)
    u = out.certificate.energy
    assert u.shape == (iterations // 2 + 1, len(WEIGHTS))
    assert never_rises(out)
    assert (u[-1] < u[0] - 0.05).all()  # and it moves
    wide = CosineEnergy(
        Problem(MatrixOperator(_matrix(energy).double()), energy.problem.y.double()),
        _double(energy.prior),
    )
    again = torch.stack([wide.value(SourceState(s.x.double())) for s in out.trace])
    assert (again[1:] <= again[:-1] + 1e-6 * again[:-1].clamp_min(1)).all()  # in float64
    free = subject.run(guard="off", max_iter=60)  # the same without the guard
    broken = torch.tensor([s is Status.NOT_FINITE for s in free.status])
    assert ((free.certificate.violations > 0) | broken).all()
    assert int((free.certificate.violations > 0).sum()) >= 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("test", ["energy", "descent", "majorant"])
def test_hostile_proposals_of_every_kind_at_once(
    test: Literal["energy", "descent", "majorant"], dtype: torch.dtype
) -> None:
    energy, x = build(2, len(HOSTILE), dtype=dtype)
    subject = Subject(energy, x, each([*HOSTILE.values()]))
    out = subject.run(guard=test, max_iter=200)
    assert never_rises(out)
    assert (out.certificate.energy[-1] < out.certificate.energy[0] - 0.02).all()
    assert torch.isfinite(out.estimate).all()
    free = subject.run(guard="off", max_iter=200)
    assert not free.certificate.holds() or Status.NOT_FINITE in free.status


def test_an_adversary_that_optimises_its_proposal_raises_nothing() -> None:
    energy, x = build(3, 4)

    def worst(s: QuadraticSurrogate, step: int) -> Tensor:
        z = (s.state.x + 1e-2 * s.gradient).detach()
        for _ in range(5):
            g = energy.gradient(z)
            z = z + 0.3 * g * (norm(z) / norm(g).clamp_min(1e-300))[:, None, None]
        return z

    for window in (1, 2, 5):
        out = Subject(energy, x, worst).run(max_iter=100, guard=Guard(window=window))
        assert out.certificate.energy.shape[0] == -(-100 // window) + 1
        assert never_rises(out)
        assert (out.certificate.refused == out.certificate.energy.shape[0] - 1).all()
    assert not Subject(energy, x, worst).run(max_iter=50, guard="off").certificate.holds()


def test_the_counts_are_of_what_happened() -> None:
    energy, x = build(4, 3)
    rules = [constant(torch.nan), along_gradient(-1e-3), along_gradient(0.5)]
    out = Subject(energy, x, each(rules)).run(max_iter=40)
    c = out.certificate
    assert c.refused.tolist() == [20, 0, 20]
    assert c.fallbacks.tolist() == [20, 0, 20]
    assert c.halvings.tolist() == [0, 0, 80]  # NaN cannot be halved
    assert c.guard == "energy, window 2"
    assert (c.bound, c.kind) == ("version 2", "local")
    assert "40 refused" in c.sentence()


def test_a_network_that_proposes_nan_is_classical_majorisation_minimisation() -> None:
    energy, x = build(5, 3)
    dead = Subject(energy, x, constant(torch.nan), bound="gram").run(max_iter=60)
    classical = ClassicalMM(Cosine(energy.prior, bound="gram"), tolerance=-1.0)
    alive = solve(energy.problem, _From(classical, x), max_iter=30)
    assert torch.equal(dead.trace[-1].x, alive.state.x)


@dataclass(frozen=True)
class _From(IterativeSolver[SourceState]):
    """Classical MM from a given point."""

    inner: ClassicalMM
    x: Tensor
    max_iter: int = 10
    guard: Guard = field(default=Guard(window=1))

    def majorant(self, problem: Problem) -> Majorant[SourceState]:
        return self.inner.majorant(problem)

    def start(self, problem: Problem) -> SourceState:
        return SourceState(self.x)

    def proposal(self, problem: Problem) -> Proposal[SourceState, None]:
        return self.inner.proposal(problem)

    def converged(self, before: Surrogate[SourceState], after: Surrogate[SourceState]) -> Tensor:
        return self.inner.converged(before, after)

    def read(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Reading:
        return Reading(surrogate.state.x)


@pytest.mark.parametrize("rule", [nothing, along_gradient(-1e-9)], ids=["nothing", "next to it"])
def test_the_gradient_tends_to_zero_even_if_the_network_stands_still(rule: Rule) -> None:
    energy, x = build(6, 3, gain=0.3, weight=0.1)

    def relative_gradient(out: Solution) -> Tensor:
        point = energy.evaluate(out.estimate)
        return norm(point.gradient) * point.norm_x

    before = norm(energy.evaluate(x).gradient) * norm(x)
    moved = Subject(energy, x, rule, bound="gram").run(max_iter=600)
    assert (relative_gradient(moved) < 0.01 * before).all()
    # without sufficient decrease it descends, if at all, and arrives nowhere
    stuck = Subject(energy, x, rule, bound="gram").run(max_iter=600, guard="descent")
    assert never_rises(stuck)
    assert (relative_gradient(stuck) > 0.5 * before).all()


def test_the_sum_of_what_was_promised_is_bounded_by_what_was_won() -> None:
    energy, x = build(7, 4)
    guard = Guard(sufficient=1e-2, window=1)
    rules = [nothing, at_random(0.3), along_gradient(0.3), along_gradient(-0.3)]
    subject = Subject(energy, x, each(rules), guard=guard)
    out = subject.run(max_iter=300)
    majorant = CosineMajorant(energy, "v2")
    promised = sum(majorant.at(s).promise() for s in out.trace[:-1])
    u = out.certificate.energy
    assert (guard.sufficient * promised <= (u[0] - u[-1]) + 1e-9).all()  # t_k = 1 here


def test_less_is_asked_of_a_shorter_analytic_step() -> None:
    """Armijo's rule: by a bound that is far too low, steps pass whatever share is asked for."""

    class TooLow(CosineMajorant):
        def at(self, state: SourceState) -> QuadraticSurrogate:
            own = super().at(state)
            return replace(own, bend=lambda: _weaker(own.curvature), least=None)

    def _weaker(curvature: Curvature) -> Curvature:
        return ScalarCurvature(1e-4 / curvature.step_limit().flatten())

    @dataclass(frozen=True)
    class Trusting(Subject):
        def majorant(self, problem: Problem) -> Majorant[SourceState]:
            return TooLow(self.energy, self.bound)

    energy, x = build(14, 4, prior=False)
    guard = Guard(sufficient=0.5, window=1)
    out = Trusting(energy, x, nothing, bound="global", guard=guard).run(max_iter=20)
    u = out.certificate.energy
    promised = torch.stack([TooLow(energy, "global").at(s).promise() for s in out.trace[:-1]])
    assert never_rises(out)
    assert (out.certificate.fallbacks == 20).all()  # each of them passed, if short enough
    assert (u[:-1] - u[1:] < guard.sufficient * promised).all()  # and none won what the whole must


def test_the_strict_form_accepts_only_curvatures_that_majorise_at_the_new_point() -> None:
    energy, x = build(8, 4)
    for gamma in (0.5, 1.0, 1.9):
        subject = Subject(
            energy,
            x,
            lambda s, step, gamma=gamma: (
                s.state.x - gamma * 0.8 * (norm(s.state.x) ** 2)[:, None, None] * s.gradient
            ),
        )
        out = subject.run(max_iter=40, guard=Guard("majorant", window=1, gamma=gamma))
        states = [SourceState(s.x) for s in out.trace]
        moved = 0
        for before, after in pairwise(states):
            here = energy.evaluate(before.x)
            slope = ((after.x - before.x) * here.gradient).flatten(1).sum(1)
            change = energy.value(after) - here.energy
            assert (change <= (1 - gamma / 2) * slope + 1e-12).all()
            moved += int((slope < 0).sum())
        assert moved > 80
        if gamma > 1:
            assert int(out.certificate.refused.sum()) > 0


def test_a_test_by_a_bound_that_is_none_is_counted_and_the_lowest_point_returned() -> None:
    energy, x = counterexample()
    subject = Subject(energy, x, lambda s, step: s.minimiser().x, max_iter=1)
    out = subject.run(guard=Guard("surrogate", window=1))
    assert out.certificate.energy[1] > out.certificate.energy[0] + 0.5
    assert out.certificate.violations.tolist() == [1]  # nothing is hidden
    assert torch.equal(out.estimate, x)  # the lowest accepted iterate
    assert out.certificate.kind == "local"
    assert never_rises(subject.run(guard="energy"))
    sure = replace(subject, bound="global", max_iter=50)
    assert never_rises(sure.run(guard=Guard("surrogate", window=1)))


def counterexample() -> tuple[CosineEnergy, Tensor]:
    """The prior of docs/guarantees.md on which version 2's own step raises the energy."""
    prior = Autoencoder((2, 1, 2, 2), (1, 1, 1)).double().requires_grad_(False)
    values = ([[0.0, 10.0]], [[1.0], [0.0]], [[-1.0, 1.0], [0.1, 0.1]])
    for w, v in zip(prior.weights, values, strict=True):
        w.copy_(torch.tensor(v, dtype=torch.float64)[..., None])
    # data along x: the data term is at its minimum, and stays out of the way
    x = torch.tensor([[[1.0], [-0.5]]], dtype=torch.float64)
    problem = Problem(MatrixOperator(1e-3 * torch.eye(2, dtype=torch.float64)), x.clone())
    return CosineEnergy(problem, prior, weight=100.0), x


def test_a_refused_sample_does_not_touch_its_batch_mates() -> None:
    energy, x = build(9, len(HOSTILE))
    rules = [*HOSTILE.values()]
    whole = Subject(energy, x, each(rules)).run(max_iter=60)
    for i, rule in enumerate(rules):
        one = CosineEnergy(
            Problem(energy.problem.operator, energy.problem.y[i : i + 1]), energy.prior
        )
        alone = Subject(one, x[i : i + 1], rule).run(max_iter=60)
        assert torch.allclose(
            whole.certificate.energy[:, i], alone.certificate.energy[:, 0], rtol=0, atol=1e-12
        )
        assert whole.certificate.refused[i] == alone.certificate.refused[0]


def test_who_stays_keeps_its_state_while_a_mate_moves() -> None:
    energy, start = build(13, 2, prior=False)
    best = solve(energy.problem, ClassicalMM(Cosine(bound="gram"), max_iter=3000, tolerance=0.0))
    x = torch.stack([best.state.x[0], start[1]])

    def shimmer(s: QuadraticSurrogate, step: int) -> Tensor:  # a rise within rounding
        noise = torch.randn(s.state.x.shape, generator=rng(step), dtype=torch.float64)
        return s.state.x + 1e-8 * noise * norm(s.state.x)[:, None, None]

    out = Subject(energy, x, each([shimmer, along_gradient(-1e-3)])).run(max_iter=20)
    moved = torch.stack([(b.x != a.x).flatten(1).any(1) for a, b in pairwise(out.trace)])
    fell = out.certificate.energy[1:] < out.certificate.energy[:-1]
    assert bool((moved[:, 1] & fell[:, 1]).all())
    assert not bool((moved & ~fell).any())


def test_a_guard_that_refuses_nothing_costs_no_evaluation() -> None:
    energy, x = build(10, 4)
    subject = Subject(energy, x, along_gradient(-1e-3))
    for guard, window in (("off", 2), ("energy", 2), ("descent", 2), ("energy", 5)):
        subject.run(max_iter=30, guard=Guard(guard, window=window))  # pyright: ignore
        assert subject.tally[-1].count == 31
    refused = Subject(energy, x, along_gradient(0.5))
    refused.run(max_iter=30)
    assert refused.tally[-1].count > 31


def test_points_that_are_only_tried_cost_no_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    energy, x = build(10, 4)
    taken: list[int] = []
    slope = CosineEnergy._data_slope

    def counted(self: CosineEnergy, x: Tensor, *rest: object) -> Tensor:
        taken.append(len(x))
        return slope(self, x, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(CosineEnergy, "_data_slope", counted)
    subject = Subject(energy, x, along_gradient(0.5))
    out = subject.run(max_iter=10)
    assert int(out.certificate.halvings.sum()) > 0
    assert subject.tally[-1].count > 20
    assert len(taken) <= 11  # one for each step and one for the certificate, none for the halvings


def test_halvings_look_at_the_samples_that_are_open_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    energy, x = build(10, 4)
    seen: list[int] = []
    phi = CosineEnergy._phi

    def counted(prior: Autoencoder, x: Tensor) -> object:
        seen.append(len(x))
        return phi(prior, x)

    monkeypatch.setattr(CosineEnergy, "_phi", staticmethod(counted))
    majorant = CosineMajorant(energy)
    current = majorant.at(SourceState(x))
    uphill = x + 0.5 * current.gradient
    good = current.minimiser().x
    mixed = torch.cat([good[:3], uphill[3:]])
    seen.clear()
    verdict = Guard().decide(
        majorant, current, majorant.at(SourceState(mixed)), torch.ones(4, dtype=torch.bool)
    )
    assert verdict.refused.tolist() == [0, 0, 0, 1]
    assert verdict.halvings[3] == 4
    assert seen[0] == 4  # what was proposed
    assert seen[1:-1] == [1] * (len(seen) - 2)
    assert seen[-1] == 4  # where all are now
    assert bool((verdict.surrogate.energy <= current.energy).all())


def test_a_window_of_two_lets_a_step_overshoot_that_the_next_repairs() -> None:
    energy, x = build(11, 4)
    down = along_gradient(-1e-3)

    def over_and_back(s: QuadraticSurrogate, step: int) -> Tensor:
        return s.state.x * -1.0 if step % 2 == 0 else down(s, step) * -1.0

    pairs = Subject(energy, x, over_and_back).run(max_iter=20, guard=Guard("descent", window=2))
    single = Subject(energy, x, over_and_back).run(max_iter=20, guard=Guard("descent", window=1))
    assert never_rises(pairs)
    assert never_rises(single)
    assert int(pairs.certificate.refused.sum()) < int(single.certificate.refused.sum())


def test_silent_data_stay_where_they_are() -> None:
    energy, x = build(12, 2)
    y = energy.problem.y.clone()
    y[0] = 0.0
    quiet = CosineEnergy(Problem(energy.problem.operator, y), energy.prior)
    out = Subject(quiet, x, at_random(1.0)).run(max_iter=20)
    assert out.status == (Status.NO_DATA, Status.LIMIT)
    assert torch.equal(out.estimate[0], x[0])


def test_a_rise_within_rounding_is_neither_taken_nor_refused() -> None:
    energy, _ = build(13, 2, prior=False)
    best = solve(energy.problem, ClassicalMM(Cosine(bound="gram"), max_iter=3000, tolerance=0.0))
    here = SourceState(best.state.x)
    u = energy.value(here)

    def shimmer(s: QuadraticSurrogate, step: int) -> Tensor:
        noise = torch.randn(s.state.x.shape, generator=rng(step), dtype=torch.float64)
        return s.state.x + 1e-9 * noise * norm(s.state.x)[:, None, None]

    out = Subject(energy, here.x, shimmer).run(max_iter=50)
    assert never_rises(out)
    assert int(out.certificate.refused.sum()) == 0
    assert torch.allclose(out.certificate.energy[-1], u, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test": "hope"}, "choose 'energy', 'descent', 'majorant', 'surrogate' or 'off'"),
        ({"window": 0}, "a guard window of 0 is not possible"),
        ({"test": "majorant", "window": 2}, "judges single steps and the window is 2"),
        ({"sufficient": 1.5}, r"belong in \[0, 1\)"),
        ({"gamma": 2.0}, r"belong in \[0, 1\)"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(MajorantError, match=words):
        Guard(**options)  # pyright: ignore[reportArgumentType]


def _matrix(energy: CosineEnergy) -> Tensor:
    return torch.as_tensor(energy.problem.operator.matrix())


def _double(prior: Autoencoder | None) -> Autoencoder | None:
    if prior is None:
        return None
    wide = Autoencoder((5, 6, 6, 5)).double().requires_grad_(False)
    for mine, theirs in zip(wide.weights, prior.weights, strict=True):
        mine.copy_(theirs)
    return wide
