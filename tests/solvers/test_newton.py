"""Champagne's Newton steps: where plain iteration would end, sooner, and under the same guard."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from majorant.energies.evidence import EvidenceEnergy
from majorant.energies.gaussian import GaussianModel
from majorant.majorants.evidence import EvidenceMajorant
from majorant.problem import MatrixOperator, Problem, Status
from majorant.solvers import newton
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

from .bayes import easy, normal, random_problems


@pytest.mark.parametrize(
    ("noise", "orientation"),
    [("diagonal", "fixed"), ("scalar", "tied"), ("given", "fixed")],
)
def test_it_ends_where_plain_iteration_ends(noise, orientation) -> None:
    """MacKay's thousand steps are about two thousand of convex bounding."""
    problem = easy(batch=2)[0] if orientation == "fixed" else grouped()
    found = solve(problem, Champagne("newton", noise, orientation))
    plain = solve(problem, Champagne("mackay", noise, orientation, tol=0.0), max_iter=1000)
    assert set(found.status) == {Status.CONVERGED}
    assert found.certificate.energy.shape[0] < 100
    assert found.certificate.holds()
    apart = found.certificate.energy[-1] - plain.certificate.energy[-1]
    assert float(apart.max()) < 1e-5 * problem.operator.n_sensors
    miss = (found.estimate - plain.estimate).flatten(1).norm(dim=1)
    assert bool((miss < 0.02 * plain.estimate.flatten(1).norm(dim=1)).all())


def grouped() -> Problem:
    """Two of thirty locations of three columns each."""
    lead = normal(24, 90, seed=1)
    x = torch.zeros(3, 90, 30).double()
    x[:, 6:9], x[:, 60:63] = normal(3, 3, 30, seed=2), normal(3, 3, 30, seed=3)
    return Problem(MatrixOperator(lead, 3), lead @ x + 0.5 * normal(3, 24, 30, seed=4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_cost_never_rises_on_any_problem(dtype) -> None:
    for times in (1, 12):
        problem = random_problems(times=times, dtype=dtype)
        for orientation in ("fixed", "tied"):
            for noise in ("diagonal", "scalar"):
                solver = Champagne("newton", noise, orientation, max_iter=60)
                certificate = solve(problem, solver).certificate
                assert bool((certificate.energy.diff(dim=0) <= 0).all())


def test_it_is_the_guard_that_keeps_leaps_from_raising_the_cost(monkeypatch) -> None:
    """Hostile leaps beyond every bound rise freely without the guard, and never under it."""

    def leap(part: newton._Part, worthwhile: float) -> torch.Tensor:
        return part.start + 2.0 * normal(len(part.start), seed=len(part.start))

    monkeypatch.setattr(newton._Part, "descend", leap)
    problem, solver = random_problems(), Champagne("newton", tol=0.0, max_iter=45)
    assert int(solve(problem, solver, guard="off").certificate.violations.sum()) > 100
    kept = solve(problem, solver).certificate
    assert bool((kept.energy.diff(dim=0) <= 0).all())
    assert int(kept.refused.sum()) > 100


def test_the_gradient_is_that_of_the_cost_and_the_information_its_average() -> None:
    problem = easy(batch=1)[0]
    model = GaussianModel(problem)
    here = EvidenceMajorant(EvidenceEnergy(model)).at(model.start)
    state = here.state
    log, noise = state.log_gamma[0], state.log_noise[0]
    kept = torch.arange(0, 90, 7)
    part = newton._Part.of(here.model, 0, log, kept, noise, state)
    place = part._at(part.start)
    assert place is not None
    assert place.value == pytest.approx(float(here.energy), rel=1e-12)

    def cost(x: torch.Tensor) -> torch.Tensor:
        sigma = (part.columns * x.exp()) @ part.columns.mT + part.rest
        fit = (torch.linalg.solve(sigma, part.data) * part.data).sum() / part.n_times
        return torch.logdet(sigma) + fit

    gradient, information, _ = place.slopes()
    exact = torch.autograd.functional.jacobian(cost, part.start)
    torch.testing.assert_close(gradient, exact, rtol=1e-8, atol=1e-8)
    assert float(torch.linalg.eigvalsh(information).min()) > -1e-10
    # (observed + expected) / 2, in the variances themselves: 2 K M - K K and K K.
    v, k = (
        part.start.exp(),
        part.columns.mT
        @ torch.linalg.solve(
            (part.columns * part.start.exp()) @ part.columns.mT + part.rest, part.columns
        ),
    )
    observed = torch.autograd.functional.hessian(cost, part.start) - torch.diag(exact)
    expected = v[:, None] * v * k.square()
    torch.testing.assert_close(information, (observed + expected) / 2, rtol=1e-7, atol=1e-9)


def test_a_source_that_died_too_early_comes_back() -> None:
    problem = easy(batch=1)[0]
    solver = Champagne(max_iter=200)
    ended = solve(problem, solver)
    largest = int(ended.state.log_gamma[0].argmax())
    model = solver.majorant(problem).energy.model
    dead = ended.state.log_gamma.clone()
    dead[0, largest] -= 60.0
    state = replace(ended.state, gamma=type(ended.state.gamma)(dead))
    majorant, rule = solver.majorant(problem), solver.proposal(problem)
    here = majorant.at(state)
    assert float(newton.missed(here.evidence, model).max()) > 0.1
    assert not bool(solver.converged(here, here).any())
    for _ in range(3):
        here, _ = rule.advance(majorant, here, newton.FIRST, 1)
    assert float(here.energy - ended.certificate.energy[-1]) < 1e-4


def test_batch_mates_change_nothing() -> None:
    problem = easy(batch=3)[0]
    together = solve(problem, Champagne())
    for i in range(3):
        alone = solve(replace(problem, y=problem.y[i : i + 1]), Champagne())
        torch.testing.assert_close(alone.estimate[0], together.estimate[i], rtol=1e-4, atol=1e-6)


def test_the_limit_is_said_plainly() -> None:
    solution = solve(easy()[0], Champagne(max_iter=5))
    assert set(solution.status) == {Status.LIMIT}


def test_full_matrices_take_convex_bounding() -> None:
    problem = random_problems()
    for setting in ({"noise": "full"}, {"orientation": "block"}):
        own, plain = (solve(problem, Champagne(r, **setting), max_iter=5) for r in (None, "cb"))
        assert torch.equal(own.estimate, plain.estimate)
