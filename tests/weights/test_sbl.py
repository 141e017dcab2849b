"""The packaged unfolded solver: its weights, and the floors of its posterior deviations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from majorant.metrics.calibration import coverage_by_thirds, floors_by_thirds, with_floors
from majorant.networks.corrections import Corrections, CorrectionSettings
from majorant.problem import DamagedFile, MajorantError, MatrixOperator, Problem
from majorant.solvers.loop import solve
from majorant.weights.sbl import Packaged, basis_of, floors_of, unfolded_sbl, weights_at


@pytest.fixture
def problem() -> Problem:
    draw = torch.Generator().manual_seed(0)
    lead = torch.randn(8, 18, generator=draw) * torch.linspace(0.5, 2.0, 18)
    return Problem(MatrixOperator(lead, 3), torch.randn(2, 8, 5, generator=draw))


def stored(folder: Path, card: dict[str, Any]) -> Path:
    network = Corrections(CorrectionSettings(layers=2))
    return network.save(folder / "own.safetensors", {"mode": "gated", **card})


def test_the_card_gives_deviations_a_floor_by_thirds(problem: Problem, tmp_path: Path):
    floors = (0.1, 0.2, 0.3)
    path = stored(tmp_path, {"recalibration": {"floors": floors}})
    wide = solve(problem, unfolded_sbl(weights=path))
    raw = solve(problem, unfolded_sbl(weights=path, recalibrated=False))
    assert wide.variance is not None
    assert raw.variance is not None
    largest = raw.estimate.square().mean(2).amax(1)[:, None, None]
    added = ((wide.variance - raw.variance).unflatten(1, (6, 3)) / largest).sqrt()
    matrix = problem.operator.matrix()
    assert matrix is not None
    order = (-matrix.square().sum(0).unflatten(0, (6, 3)).sum(1)).argsort()
    for third, floor in zip(order.tensor_split(3), floors, strict=True):
        torch.testing.assert_close(
            added[:, third], torch.full((2, 2, 3), floor).double(), rtol=1e-3, atol=0
        )


@pytest.mark.parametrize("held", [{"floors": [1.0]}, {"floors": [1.0, -2.0, 1.0]}, {}])
def test_a_card_with_other_floors_is_refused(held: dict[str, Any]):
    with pytest.raises(DamagedFile, match="floors"):
        floors_of({"recalibration": held})


def test_floors_by_thirds_make_every_third_cover():
    draw = torch.Generator().manual_seed(0)
    truth = torch.randn(40, 30, 20, generator=draw)
    truth[:, 10:20] *= 3.0
    mean, variance = torch.zeros_like(truth), torch.full((40, 30), 0.5)
    mean[:, 0] = truth[:, 0]
    depth = torch.arange(30.0)
    floors = floors_by_thirds(truth[:20], mean[:20], variance[:20], depth)
    wide = with_floors(mean[20:], variance[20:], depth, floors)
    after = coverage_by_thirds(truth[20:], mean[20:], wide, depth)
    assert floors[1] > floors[2]
    assert all(abs(share - 0.9) < 0.04 for share in after)


@pytest.mark.parametrize(("name", "kind"), [("layers", "mlp"), ("attention", "attention")])
def test_larger_networks_come_with_weights_of_their_own(
    name: Packaged, kind: str, problem: Problem
):
    one, two = unfolded_sbl(correction="mlp"), unfolded_sbl(correction=name)
    assert two.corrections.settings.kind == kind
    assert not two.corrections.settings.shared
    assert two.floors is not None
    answer = solve(problem, two)
    assert answer.certificate.violations.sum() == 0
    assert not torch.equal(answer.estimate, solve(problem, one).estimate)
    with pytest.raises(MajorantError, match="no packaged weights for the correction 'bias'"):
        unfolded_sbl(correction="bias")  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="trained in mode 'gated'"):
        unfolded_sbl("theta", correction=name)


def test_weights_are_found_by_name_and_by_path(tmp_path: Path):
    assert weights_at("unfolded-gated").is_file()
    assert weights_at(tmp_path / "own.safetensors") == tmp_path / "own.safetensors"


def test_the_default_was_trained_on_patches_of_everyday_data_and_takes_them():
    default = unfolded_sbl()
    assert default.classical.basis == "patches"
    assert default.floors is not None
    assert unfolded_sbl(basis="points").classical.basis == "points"
    assert unfolded_sbl(correction="mlp").classical.basis == "points"
    assert unfolded_sbl("theta").classical.basis == "points"
    card = {"training": {"basis": "balls"}}
    with pytest.raises(DamagedFile, match="trained on 'balls'"):
        basis_of(card)
