"""Champagne: batch mates, order, units and axes do not matter."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from majorant.problem import MatrixOperator, Problem, Status
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

from .bayes import COLUMNS, EVERY, SENSORS, easy, normal, random_problems


@pytest.mark.parametrize(("tol", "stops_apart"), [(1e-5, False), (1e-4, True)])
def test_batch_mates_and_their_order_do_not_matter(tol, stops_apart) -> None:
    problem, _, _ = easy(batch=5)
    solver = Champagne("cb", max_iter=150, tol=tol)
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
    solver = Champagne("cb", tol=0.0, max_iter=50)
    one, other = solve(problem, solver), solve(shuffled, solver)
    torch.testing.assert_close(other.estimate, one.estimate[:, columns])
    torch.testing.assert_close(other.state.log_noise, one.state.log_noise[:, rows])


def test_blocks_do_not_depend_on_the_axes() -> None:
    problem = random_problems()
    turn = torch.linalg.qr(normal(COLUMNS // 3, 3, 3, seed=9)).Q
    lead = problem.operator.matrix().unflatten(2, (-1, 3))
    turned = torch.einsum("bngi,gij->bngj", lead, turn).flatten(2)
    other = replace(problem, operator=MatrixOperator(turned, 3))
    for orientation in ("block", "tied"):
        solver = Champagne("cb", orientation=orientation, tol=0.0, max_iter=15)
        one, two = solve(problem, solver).estimate, solve(other, solver).estimate
        back = torch.einsum("bgjt,gij->bgit", two.unflatten(1, (-1, 3)), turn).flatten(1, 2)
        torch.testing.assert_close(one, back, rtol=1e-6, atol=1e-6 * float(one.abs().max()))
