"""Every learned method is stored, read back and run by its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from majorant.files.archive import write_archive
from majorant.learned.families import FAMILIES, as_solver, make_network, method_of, settings_from
from majorant.learned.stored import KIND, VERSION, read_weights, write_weights
from majorant.problem import DamagedFile, MajorantError
from majorant.weights import shipped

SIZES: dict[str, dict[str, Any]] = {
    "mm-net": {"hidden": 4},
    "r-mm-net": {"hidden": 4, "positive": False},
    "4dvarnet": {"hidden": 4},
    "meta-curvature": {"n_times": 5},
    "modgrad": {"n_times": 5, "context": 9},
}


def made(name: str) -> Any:
    settings = FAMILIES[name].settings(n_sources=12, prior_hidden=3, **SIZES[name])
    return make_network(settings, torch.Generator().manual_seed(0))


def written(name: str, folder: Path) -> tuple[Path, Any]:
    network, path = made(name), folder / f"{name}.safetensors"
    write_weights(path, network, name=name, source_space="abc", recipe={}, metrics={})
    return path, network


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_of_every_method_come_back(name: str, tmp_path: Path) -> None:
    path, network = written(name, tmp_path)
    found, card = read_weights(path)
    assert card.name == name == method_of(found.settings)
    assert found.settings == network.settings
    for key, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)


@pytest.mark.parametrize("name", FAMILIES)
def test_only_mm_net_is_guarded_unless_asked(name: str) -> None:
    assert (as_solver(made(name)).guard.test == "off") == (name != "mm-net")


@pytest.mark.parametrize(
    "change", [{"n_sources": 10**9}, {"surprise": 1}, {"iterations": "2"}, {"prior_kernels": [2]}]
)
def test_settings_beyond_reason_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(MajorantError, match="no ModGrad's"):
        settings_from("modgrad", {"prior_kernels": [3, 3, 3], **change})


def test_a_card_that_promises_what_is_not_there_is_refused_before_it_is_built(
    tmp_path: Path,
) -> None:
    """A matrix of 40,000 by 40,000 would take 6 GB."""
    path, network = written("meta-curvature", tmp_path)
    _, card = read_weights(path)
    wrong = {**card.to_dict(), "settings": {**card.settings, "n_sources": 40_000}}
    write_archive(path, dict(network.state_dict()), wrong, kind=KIND, version=VERSION)
    with pytest.raises(DamagedFile, match="another size"):
        read_weights(path)
    other = {**card.to_dict(), "name": "oracle"}
    write_archive(path, dict(network.state_dict()), other, kind=KIND, version=VERSION)
    with pytest.raises(DamagedFile, match="oracle"):
        read_weights(path)


def test_packaged_weights_are_found_by_method_and_kind_of_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    shipped._packaged.cache_clear()
    path, _ = written("modgrad", tmp_path)
    path.rename(tmp_path / "modgrad-sereega.safetensors")
    path, _ = written("4dvarnet", tmp_path)
    path.rename(tmp_path / "4dvarnet-nmm.safetensors")
    assert shipped.domains("modgrad") == ("sereega",)
    assert shipped.domains("4dvarnet") == ("nmm",)
    assert shipped.domains("mm-net") == ()
    solver = shipped.trained("4dvarnet", "nmm", sfreq=500.0)
    assert solver.sfreq == 500.0
    assert method_of(solver.network.settings) == "4dvarnet"
    with pytest.raises(MajorantError, match="no weights"):
        shipped.trained("mm-net")
    with pytest.raises(MajorantError, match="phantom"):
        shipped.trained("mm-net", "phantom")
    with pytest.raises(MajorantError, match="oracle"):
        shipped.domains("oracle")
    shipped._packaged.cache_clear()
