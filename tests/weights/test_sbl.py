"""The packaged unfolded solver: its weights, and the factors on its posterior deviations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from majorant.metrics.calibration import coverage_by_thirds, recalibrate_by_thirds
from majorant.networks.corrections import Corrections, CorrectionSettings
from majorant.problem import DamagedFile, MatrixOperator, Problem
from majorant.solvers.loop import solve
from majorant.weights.sbl import unfolded_sbl, widening_of


@pytest.fixture
def problem() -> Problem:
    draw = torch.Generator().manual_seed(0)
    lead = torch.randn(8, 18, generator=draw) * torch.linspace(0.5, 2.0, 18)
    return Problem(MatrixOperator(lead, 3), torch.randn(2, 8, 5, generator=draw))


def stored(folder: Path, card: dict[str, Any]) -> Path:
    network = Corrections(CorrectionSettings(layers=2))
    return network.save(folder / "own.safetensors", {"mode": "gated", **card})


def test_the_card_widens_deviations_by_thirds(problem: Problem, tmp_path: Path):
    factors = (1.0, 2.0, 3.0)
    path = stored(tmp_path, {"recalibration": {"factors": factors}})
    wide = solve(problem, unfolded_sbl(weights=path)).variance
    raw = solve(problem, unfolded_sbl(weights=path, recalibrated=False)).variance
    assert wide is not None
    assert raw is not None
    ratio = (wide / raw).sqrt().unflatten(1, (6, 3))
    matrix = problem.operator.matrix()
    assert matrix is not None
    order = (-matrix.square().sum(0).unflatten(0, (6, 3)).sum(1)).argsort()
    for third, factor in zip(order.tensor_split(3), factors, strict=True):
        torch.testing.assert_close(ratio[:, third], torch.full((2, 2, 3), factor))


@pytest.mark.parametrize("held", [{"factors": [1.0]}, {"factors": [1.0, -2.0, 1.0]}, {}])
def test_a_card_with_other_factors_is_refused(held: dict[str, Any]):
    with pytest.raises(DamagedFile, match="factors"):
        widening_of({"recalibration": held})


def test_factors_by_thirds_make_every_third_cover():
    draw = torch.Generator().manual_seed(0)
    truth = torch.randn(40, 30, 20, generator=draw)
    truth[:, 10:20] *= 3.0
    mean, variance = torch.zeros_like(truth), torch.ones(40, 30)
    depth = torch.arange(30.0)
    found = recalibrate_by_thirds(truth[:20], mean[:20], variance[:20], depth)
    factor = torch.tensor([one.factor for one in found]).repeat_interleave(10)
    after = coverage_by_thirds(truth[20:], mean[20:], variance[20:] * factor**2, depth)
    assert found[1].factor == pytest.approx(3.0, rel=0.1)
    assert all(abs(share - 0.9) < 0.02 for share in after)
