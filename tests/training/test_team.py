"""Two processes take the steps that one takes on the joined batch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from majorant.forward.archive import read_archive
from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.training.checkpoint import KIND, VERSION
from majorant.training.fit import LAST, Trainer
from majorant.training.team import Alone, Processes

sys.path.insert(0, str(Path(__file__).parent))
from pair import RECIPE


def test_two_processes_equal_the_joined_batch(path: Leadfield, tmp_path: Path) -> None:
    Trainer(RECIPE, path, tmp_path / "one").run()
    path.save(tmp_path / "head.safetensors")
    folder = Path(__file__).parent
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import pair; pair.member"
    members = [
        subprocess.Popen([sys.executable, "-c", f"{code}({rank}, {str(tmp_path)!r})"])
        for rank in range(2)
    ]
    assert [member.wait(timeout=300) for member in members] == [0, 0]
    one, two = (
        read_archive(tmp_path / name / LAST, kind=KIND, version=VERSION)[0]
        for name in ("one", "pair")
    )
    assert RECIPE.steps == 10
    names = [name for name in one if name.startswith("network.")]
    assert names
    apart = max(float((one[name] - two[name]).abs().max()) for name in names)
    assert 0 < apart < 1e-6


def test_shares_cover_the_batch_with_their_weight() -> None:
    index = torch.arange(7)
    team = [Processes(rank, 2) for rank in range(2)]
    assert sorted(torch.cat([t.share(index) for t in team]).tolist()) == index.tolist()
    assert sum(t.weight(len(t.share(index)), 7) for t in team) / 2 == 1.0
    assert torch.equal(Alone().share(index), index)
    with pytest.raises(MajorantError, match="no process group"):
        Processes.joined()


def test_a_batch_too_small_to_share_is_refused(path: Leadfield, tmp_path: Path) -> None:
    few = replace(RECIPE, n_train=1)
    with pytest.raises(MajorantError, match="cannot be shared"):
        Trainer(few, path, tmp_path, team=Processes(1, 2)).run()
