"""Weights files: what is written comes back, and what is wrong is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from majorant.files.archive import write_archive
from majorant.forward.leadfield import Leadfield
from majorant.learned.stored import KIND, VERSION, read_weights, tensor_hash, write_weights
from majorant.learned.unrolled import MMNetwork
from majorant.problem import DamagedFile, MajorantError
from majorant.training.presets import FAST
from majorant.weights.shipped import load

SETTINGS = replace(FAST, n_sources=12, prior_hidden=4, hidden=3)


def written(folder: Path) -> tuple[Path, MMNetwork]:
    network = MMNetwork(SETTINGS, torch.Generator().manual_seed(0))
    path = folder / "w.safetensors"
    write_weights(path, network, name="mm-net", source_space="abc", recipe={}, metrics={"LE": 1})
    return path, network


def test_weights_come_back_with_their_card(tmp_path: Path) -> None:
    path, network = written(tmp_path)
    found, card = read_weights(path)
    assert found.settings == SETTINGS
    for key, value in network.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)
    assert (card.name, card.metrics, card.sfreq) == ("mm-net", {"LE": 1}, 128.0)
    assert json.loads(path.with_suffix(".json").read_text())["sha256"] == card.sha256


def test_half_precision_is_half_the_size(tmp_path: Path) -> None:
    path, network = written(tmp_path)
    small = tmp_path / "h.safetensors"
    write_weights(
        small, network, name="mm-net", source_space="abc", recipe={}, metrics={}, half=True
    )
    found, _ = read_weights(small)
    for key, value in network.state_dict().items():
        assert found.state_dict()[key].dtype is torch.float32
        torch.testing.assert_close(found.state_dict()[key], value, rtol=1e-3, atol=1e-6)
    assert small.stat().st_size < path.stat().st_size


@pytest.mark.parametrize("cut", [3, 100, 2000])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    path, _ = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DamagedFile):
        read_weights(path)


def test_an_altered_file_is_refused(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(DamagedFile, match="sha256"):
        read_weights(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden": 5}, "another size"),
        ({"hidden": 10**9}, "no MM-Net's"),
        ({"hidden": "3"}, "no MM-Net's"),
        ({"prior_kernels": [1, 3]}, "no MM-Net's"),
        ({"surprise": 1}, "no MM-Net's"),
    ],
)
def test_a_card_of_another_size_is_refused(
    tmp_path: Path, change: dict[str, object], words: str
) -> None:
    path, network = written(tmp_path)
    _, card = read_weights(path)
    wrong = {**card.to_dict(), "settings": {**card.settings, **change}}
    write_archive(path, dict(network.state_dict()), wrong, kind=KIND, version=VERSION)
    with pytest.raises(DamagedFile, match=words):
        read_weights(path)


def test_nan_and_missing_entries_are_refused(tmp_path: Path) -> None:
    path, network = written(tmp_path)
    _, card = read_weights(path)
    tensors = dict(network.state_dict())
    tensors["curvature.decode_1.weight"] = torch.full_like(
        tensors["curvature.decode_1.weight"], torch.nan
    )
    bad = {**card.to_dict(), "sha256": tensor_hash(tensors)}
    write_archive(path, tensors, bad, kind=KIND, version=VERSION)
    with pytest.raises(DamagedFile, match="NaN"):
        read_weights(path)
    write_archive(path, tensors, {"name": "mm-net"}, kind=KIND, version=VERSION)
    with pytest.raises(DamagedFile, match="card"):
        read_weights(path)
    with pytest.raises(MajorantError, match="no weights"):
        read_weights(tmp_path / "none.safetensors")


def test_weights_of_another_solver_are_refused(tmp_path: Path) -> None:
    path, _ = written(tmp_path)
    assert load(path, "mm-net")[1].name == "mm-net"
    with pytest.raises(MajorantError, match="r-mm-net was asked for"):
        load(path, "r-mm-net")


def test_the_fingerprint_is_of_the_sources_not_of_the_sensors(sphere: Leadfield) -> None:
    few = sphere.pick(list(sphere.ch_names[:4]))
    assert few.geometry.fingerprint == sphere.geometry.fingerprint
    assert sphere.subset(range(5)).geometry.fingerprint != sphere.geometry.fingerprint
    moved = replace(sphere, positions=sphere.positions + 1e-3)
    assert moved.geometry.fingerprint != sphere.geometry.fingerprint
