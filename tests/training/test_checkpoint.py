"""Checkpoints in several files: none too large, all of them verified, one moment or the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from majorant.problem import DamagedFile
from majorant.training.checkpoint import load_checkpoint, read_checkpoint, save_checkpoint


def trained(seed: int = 0) -> tuple[nn.Module, torch.optim.Adam, dict[str, torch.Tensor]]:
    torch.random.manual_seed(seed)
    network = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 3))
    adam = torch.optim.Adam(network.parameters(), lr=0.1)
    network(torch.ones(2, 30)).square().sum().backward()
    adam.step()
    return network, adam, {n: p.detach() + 1.0 for n, p in network.named_parameters()}


def test_what_is_cut_into_files_comes_back_whole(tmp_path: Path) -> None:
    path, (network, adam, average) = tmp_path / "last.safetensors", trained()
    save_checkpoint(path, network, adam, average, {"step": 7}, largest=1_000)
    files = sorted(tmp_path.iterdir())
    assert len(files) > 5
    assert max(f.stat().st_size for f in files) < 5_000
    other, fresh, held = trained(1)
    assert load_checkpoint(path, other, fresh, held) == {"step": 7}
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        for key, value in adam.state[a].items():
            assert torch.equal(value, fresh.state[b][key])
            assert value.shape == fresh.state[b][key].shape
    assert all(torch.equal(average[name], held[name]) for name in average)


def test_one_moment_leaves_no_files_of_another(tmp_path: Path) -> None:
    path, (network, adam, average) = tmp_path / "last.safetensors", trained()
    for step in (7, 8):
        save_checkpoint(path, network, adam, average, {"step": step}, largest=1_000)
    assert {f.name.split(".")[1] for f in tmp_path.iterdir()} == {"safetensors", "0000008"}
    save_checkpoint(path, network, adam, average, {"step": 9})
    assert [f.name for f in tmp_path.iterdir()] == ["last.safetensors"]


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    path, (network, adam, average) = tmp_path / "last.safetensors", trained()
    save_checkpoint(path, network, adam, average, {"step": 7}, largest=1_000)
    shard = next(f for f in tmp_path.iterdir() if f.name != path.name)
    held = shard.read_bytes()
    for bad in (held[:-1], held[:-1] + bytes([held[-1] ^ 1])):
        shard.write_bytes(bad)
        with pytest.raises(DamagedFile, match="restore both"):
            read_checkpoint(path)
    shard.unlink()
    with pytest.raises(DamagedFile, match=shard.name):
        read_checkpoint(path)
