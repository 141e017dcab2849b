"""One of two processes that train together; run by ``test_team.py`` in processes of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from majorant.forward.leadfield import Leadfield
from majorant.learned.unrolled import MMNetSettings
from majorant.training.fit import RunSite, Trainer
from majorant.training.presets import Recipe
from majorant.training.team import Processes, Team, launch

RECIPE = Recipe(
    "pair",
    MMNetSettings(
        prior_hidden=6,
        prior_kernels=(1, 3, 1),
        hidden=5,
        outer=1,
        iterations=2,
        start="sloreta",
        rate=128.0,
    ),
    n_train=155,
    epochs=1,
    batch=16,
    rate=1e-3,
    prior_rate=1e-3,
    validate_every=100,
    n_validation=4,
)


def member(rank: int, folder: str) -> None:
    """Train with the other process, in ``folder``; both know where to meet."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    train(Processes.joined(), folder, "pair")


def launched(folder: str) -> None:
    """Train as one of two processes that Fabric started; the second runs this file again."""
    torch.set_num_threads(1)
    team, device = launch(2, accelerator="cpu")
    assert (team.size, device.type) == (2, "cpu")
    train(team, folder, "fabric")


def train(team: Team, folder: str, name: str) -> None:
    """Take the steps of the recipe."""
    assert team.same([float(team.rank)]) == [0.0]
    head = Leadfield.load(Path(folder) / "head.safetensors")
    Trainer(RECIPE, head, Path(folder) / name, site=RunSite(team=team)).run()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    launched(sys.argv[1])
