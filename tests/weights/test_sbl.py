"""The packaged unfolded solver: its weights, and the floors of its posterior deviations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from majorant.networks.corrections import Corrections, CorrectionSettings
from majorant.problem import DamagedFile, MajorantError, MatrixOperator, Problem
from majorant.solvers.floors import Floors
from majorant.solvers.loop import solve
from majorant.weights.floors import shipped_floors
from majorant.weights.sbl import Packaged, basis_of, floors_of, unfolded_sbl, weights_at


@pytest.fixture
def problem() -> Problem:
    draw = torch.Generator().manual_seed(0)
    lead = torch.randn(8, 18, generator=draw) * torch.linspace(0.5, 2.0, 18)
    return Problem(MatrixOperator(lead, 3), torch.randn(2, 8, 5, generator=draw))


def stored(folder: Path, card: dict[str, Any]) -> Path:
    network = Corrections(CorrectionSettings(layers=2))
    return network.save(folder / "own.safetensors", {"mode": "gated", **card})


def test_the_card_gives_deviations_their_floors(problem: Problem, tmp_path: Path):
    floors = Floors((), (), (((0.1, 0.2, 0.3),),))
    path = stored(tmp_path, {"recalibration": floors.to_card()})
    wide = solve(problem, unfolded_sbl(weights=path))
    raw = solve(problem, unfolded_sbl(weights=path, recalibrated=False))
    assert wide.variance is not None
    assert wide.floor is not None
    assert raw.variance is not None
    assert raw.floor is None
    torch.testing.assert_close(wide.floor, floors.variance(problem, raw.estimate))
    torch.testing.assert_close(wide.variance, raw.variance + wide.floor)


def test_floors_of_version_0_1_are_left_out():
    assert floors_of({"recalibration": {"floors": [0.1, 0.2, 0.3]}}) is None
    assert floors_of({}) is None


@pytest.mark.parametrize("name", ["everyday", "mlp", "layers", "attention"])
def test_packaged_weights_come_with_floors(name: Packaged):
    own = unfolded_sbl(correction=name).floors
    assert own is not None
    assert own == shipped_floors(f"unfolded-{name}")
    assert unfolded_sbl(correction=name, recalibrated=False).floors is None


def test_floors_come_with_scan_and_champagne_and_with_packaged_weights():
    assert shipped_floors("auto") == shipped_floors("scan") is not None
    assert shipped_floors("champagne") not in (None, shipped_floors("scan"))
    for name in ("sloreta", "mm-net", "mean", "unfolded-sbl"):
        assert shipped_floors(name) is None


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
