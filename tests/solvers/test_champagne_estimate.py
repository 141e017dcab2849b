"""Champagne: sources and noise are found, and what cannot be is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from majorant.problem import MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

from .bayes import BATCH, COLUMNS, easy, normal, random_problems


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
    tied = solve(problem, Champagne("cb", orientation="tied"), max_iter=30)
    scaled = MatrixOperator(problem.operator.matrix() * loose.sqrt(), 3)
    plain = solve(
        replace(problem, operator=scaled, source_prior=None), Champagne("cb"), max_iter=30
    )
    torch.testing.assert_close(tied.estimate, plain.estimate * loose.sqrt()[:, None])
    torch.testing.assert_close(tied.variance, plain.variance * loose)


def test_three_columns_are_tied_unless_asked_otherwise() -> None:
    problem = random_problems()
    assert Champagne().start(problem).log_gamma.shape == (BATCH, COLUMNS // 3)
    fixed = Champagne(orientation="fixed").start(problem)
    assert fixed.log_gamma.shape == (BATCH, COLUMNS)
    single = Problem(MatrixOperator(problem.operator.matrix()), problem.y)
    assert Champagne(orientation="block").start(single).log_gamma.shape == (BATCH, COLUMNS)


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
