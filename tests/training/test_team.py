"""Two processes take the steps that one takes on the joined batch."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.training.checkpoint import read_checkpoint
from majorant.training.fit import RunSite, Trainer
from majorant.training.loop import LAST
from majorant.training.team import Alone, Processes, launch

sys.path.insert(0, str(Path(__file__).parent))
from pair import RECIPE

FABRIC = importlib.util.find_spec("lightning") is not None


@pytest.fixture(scope="module")
def place(path: Leadfield, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the head, and the run of one process."""
    folder = tmp_path_factory.mktemp("team")
    path.save(folder / "head.safetensors")
    Trainer(RECIPE, path, folder / "one").run()
    return folder


def apart(place: Path, name: str) -> float:
    """Largest difference between the weights of one process and those of two."""
    one, two = (read_checkpoint(place / each / LAST)[0] for each in ("one", name))
    names = [key for key in one if key.startswith("network.")]
    assert names
    return max(float((one[key] - two[key]).abs().max()) for key in names)


def test_two_processes_equal_the_joined_batch(place: Path) -> None:
    folder = Path(__file__).parent
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import pair; pair.member"
    members = [
        subprocess.Popen([sys.executable, "-c", f"{code}({rank}, {str(place)!r})"])
        for rank in range(2)
    ]
    assert [member.wait(timeout=300) for member in members] == [0, 0]
    assert RECIPE.steps == 10
    assert 0 < apart(place, "pair") < 1e-6


@pytest.mark.skipif(not FABRIC, reason="needs Lightning; install majorant[distributed]")
def test_two_processes_of_fabric_equal_the_joined_batch(place: Path) -> None:
    script = Path(__file__).with_name("pair.py")
    command = [sys.executable, "-W", "ignore", str(script), str(place)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < apart(place, "fabric") < 1e-6


def test_without_fabric_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning.fabric", None)
    with pytest.raises(MajorantError, match=r"majorant\[distributed\]"):
        launch(2)


def test_shares_cover_the_batch_with_their_weight() -> None:
    index = torch.arange(7)
    team = [Processes(rank, 2) for rank in range(2)]
    assert sorted(torch.cat([t.share(index) for t in team]).tolist()) == index.tolist()
    assert sum(t.weight(len(t.share(index)), 7) for t in team) / 2 == 1.0
    assert torch.equal(Alone().share(index), index)
    assert Alone().same([1.0, 2.0]) == [1.0, 2.0]
    with pytest.raises(MajorantError, match="no process group"):
        Processes.joined()


def test_a_batch_too_small_to_share_is_refused(path: Leadfield, tmp_path: Path) -> None:
    few = replace(RECIPE, n_train=1)
    with pytest.raises(MajorantError, match="cannot be shared"):
        Trainer(few, path, tmp_path, site=RunSite(team=Processes(1, 2))).run()
