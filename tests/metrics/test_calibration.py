"""Coverage and noise recovery, on cases worked out by hand and on matched models."""

from __future__ import annotations

import pytest
import torch

from majorant.energies.evidence import EvidenceEnergy
from majorant.energies.gaussian import GaussianModel
from majorant.majorants.evidence import EvidenceMajorant
from majorant.metrics.calibration import (
    coverage,
    coverage_by_thirds,
    covered,
    log_correlation,
    recalibrate,
)
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

WIDTH = 1.6448536269514722


def test_the_edge_of_the_interval():
    truth = torch.tensor([[[0.999 * WIDTH * 2, 1.001 * WIDTH * 2, 0.0]]])
    inside = covered(truth, torch.zeros_like(truth), torch.tensor([[4.0]]))
    assert inside.tolist() == [[[True, False, True]]]


def test_a_variance_of_zero_holds_only_what_is_exact():
    truth = torch.tensor([[[0.0, 1e-9]]])
    assert covered(truth, torch.zeros_like(truth), torch.zeros(1, 1)).tolist() == [[[True, False]]]


def test_a_factor_widens():
    truth = torch.tensor([[[3.0, 1.0]]])
    mean, variance = torch.zeros_like(truth), torch.ones(1, 1)
    assert coverage(truth, mean, variance) == 0.5
    assert coverage(truth, mean, variance, factor=2.0) == 1.0


def test_normal_errors_are_covered_as_often_as_promised():
    draw = torch.Generator().manual_seed(0)
    truth = torch.randn(20, 30, 50, generator=draw)
    mean, variance = torch.zeros_like(truth), torch.ones(20, 30)
    assert coverage(truth, mean, variance, 0.9) == pytest.approx(0.9, abs=0.01)
    assert coverage(truth, mean, variance, 0.5) == pytest.approx(0.5, abs=0.01)


def test_recalibration_undoes_a_wrong_width():
    draw = torch.Generator().manual_seed(1)
    truth = torch.randn(20, 30, 50, generator=draw)
    mean, variance = torch.zeros_like(truth), torch.full((20, 30), 0.25)
    fitted = recalibrate(truth, mean, variance)
    assert fitted.factor == pytest.approx(2.0, abs=0.02)
    fresh = torch.randn(20, 30, 50, generator=draw)
    assert coverage(fresh, mean, variance, factor=fitted.factor) == pytest.approx(0.9, abs=0.01)


def test_thirds_go_from_shallow_to_deep():
    truth = torch.zeros(1, 6, 2)
    mean = torch.tensor([0.0, 0.0, 9.0, 0.0, 9.0, 9.0])[None, :, None].expand(1, 6, 2)
    depth = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    thirds = coverage_by_thirds(truth, mean, torch.ones(1, 6), depth)
    assert thirds == (1.0, 0.5, 0.0)
    turned = coverage_by_thirds(truth, mean, torch.ones(1, 6), -depth)
    assert turned == (0.0, 0.5, 1.0)


def test_the_posterior_of_a_known_model_is_calibrated():
    """Sources and noise drawn from the model at the variances that are given."""
    draw = torch.Generator().manual_seed(2)
    lead = torch.randn(8, 12, generator=draw, dtype=torch.float64)
    x = torch.randn(40, 12, 30, generator=draw, dtype=torch.float64)
    y = lead @ x + 0.5 * torch.randn(40, 8, 30, generator=draw, dtype=torch.float64)
    noise = torch.full((8,), 0.25, dtype=torch.float64)
    solver = Champagne(noise="given", max_iter=0)
    problem = Problem(MatrixOperator(lead), y, noise=noise)
    bound = EvidenceMajorant(EvidenceEnergy(GaussianModel(problem, noise="given")))
    state = bound.energy.model.start
    exact = type(state)(type(state.gamma)(torch.zeros_like(state.log_gamma)), state.noise)
    reading = solver.read(problem, bound.at(exact))
    assert coverage(x, reading.estimate, reading.variance) == pytest.approx(0.9, abs=0.01)
    far = solve(problem, solver)
    assert far.variance is not None


def test_log_correlation():
    truth = torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 4.0], [1.0, 2.0, 4.0]])
    estimate = torch.tensor([[3.0, 6.0, 12.0], [4.0, 2.0, 1.0], [5.0, 5.0, 5.0]])
    assert log_correlation(truth, estimate).tolist() == pytest.approx([1.0, -1.0, 0.0])


def test_nothing_to_judge_is_refused():
    truth, nowhere = torch.zeros(1, 2, 2), torch.zeros(1, 2, dtype=torch.bool)
    with pytest.raises(MajorantError, match="no coverage"):
        coverage(truth, truth, torch.ones(1, 2), where=nowhere)
    with pytest.raises(MajorantError, match="nothing can be fitted"):
        recalibrate(truth, truth, torch.ones(1, 2), where=nowhere)
    with pytest.raises(MajorantError, match="level 1"):
        coverage(truth, truth, torch.ones(1, 2), level=1.0)
