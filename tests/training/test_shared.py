"""Training with weights shared over sources: it lowers its loss, resumes exactly, reads back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from majorant.errors import DamagedFile, MajorantError
from majorant.files.archive import write_archive
from majorant.forward.leadfield import Leadfield
from majorant.learned.shared.network import SharedNetwork, SharedSettings
from majorant.learned.shared.sight import ball_scan
from majorant.learned.shared.solver import SharedMMNet
from majorant.learned.shared.stored import KIND, VERSION, read_shared, write_shared
from majorant.learned.unfolded import UnfoldedSBL
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.loop import solve
from majorant.training.pools import KEPT, estimated, pools
from majorant.training.shared import SharedRecipe, shared_loss, train_shared

SMALL = SharedSettings(hidden=8, memory=2, channels=3, iterations=2)
UNFOLDED = UnfoldedSBL(layers=2, basis="patches")
RECIPE = SharedRecipe(network=SMALL, steps=6, batch=4, validate_every=3)


def tensors(head: Leadfield, seed: int) -> dict[str, Tensor]:
    """One head, twelve samples of one small patch each."""
    g = torch.Generator().manual_seed(seed)
    near = torch.cdist(head.positions, head.positions) < 0.03
    spaces = near[torch.randint(head.n_locations, (12, 1), generator=g)].float()
    times = torch.randn(12, 1, 20, generator=g)
    gain = (head.gain / head.gain.norm(dim=0).mean()).float()
    signal = torch.einsum("ns,bks,bkt->bnt", gain, spaces, times)
    y = signal + 0.1 * signal.std() * torch.randn(signal.shape, generator=g)
    return {"gain.0": gain, "y.0": y, "spaces.0": spaces.half(), "times.0": times}


@pytest.fixture(scope="module")
def few(sphere: Leadfield) -> Leadfield:
    return sphere.subset(range(0, 300, 3))


def makers(head: Leadfield) -> dict:  # type: ignore[type-arg]
    def of(seed: int):  # type: ignore[no-untyped-def]
        return lambda: (estimated(tensors(head, seed), head, UNFOLDED, quiet), head)

    return {"train-one": of(0), "validation-one": of(1)}


def quiet(_: str) -> None:
    return


def test_a_run_that_is_stopped_goes_on_to_the_same_weights(few: Leadfield, tmp_path: Path) -> None:
    steps: list[int] = []
    whole = train_shared(
        RECIPE,
        tmp_path / "whole",
        makers(few),
        say=quiet,
        report=lambda line: steps.append(line["step"]),
    )
    assert steps == [1, 2, 3, 4, 5, 6]
    train_shared(RECIPE, tmp_path / "cut", makers(few), minutes=0.0, say=quiet)
    found = train_shared(RECIPE, tmp_path / "cut", resume=True, say=quiet)
    assert whole["step"] == found["step"] == 6
    assert whole["metrics"]["off"] == found["metrics"]["off"]
    one, two = (read_shared(tmp_path / d / "best.safetensors")[0] for d in ("whole", "cut"))
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
    with pytest.raises(MajorantError, match="holds a run already"):
        train_shared(RECIPE, tmp_path / "cut", say=quiet)
    with pytest.raises(MajorantError, match="no samples for train"):
        train_shared(RECIPE, tmp_path / "empty", say=quiet)


def test_whole_windows_are_solved_before_they_are_turned(few: Leadfield) -> None:
    held = tensors(few, 0)
    made = estimated(held, few, UNFOLDED, quiet)
    y = held["y.0"].flatten(0, 1).double()
    turn = torch.linalg.lstsq(y, made["y.0"].flatten(0, 1).double()).solution
    assert torch.allclose(turn.mT @ turn, torch.eye(KEPT).double(), atol=1e-4)
    # Of evenly active balls, which the packaged network was trained with.
    whole = solve(
        Problem(MatrixOperator(held["gain.0"], 1, few.geometry), held["y.0"]), ball_scan()
    )
    expected = whole.estimate.double() @ turn
    expected = expected / expected.abs().amax((1, 2), keepdim=True)
    found = made["estimates.0"][:, 0].double()
    found = found / found.abs().amax((1, 2), keepdim=True)
    assert torch.allclose(found, expected, atol=2e-3)


def test_training_lowers_the_loss(few: Leadfield) -> None:
    (pool,) = pools(estimated(tensors(few, 0), few, UNFOLDED, quiet), few)
    network = SharedNetwork(SMALL, torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-2)
    given, truth = pool.given(torch.arange(12))
    assert truth.shape[2] == given.y.shape[2] == KEPT
    losses = []
    for _ in range(25):
        loss = shared_loss(network, given, truth)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_weights_come_back_and_what_is_wrong_is_refused(tmp_path: Path) -> None:
    network = SharedNetwork(SMALL, torch.Generator().manual_seed(0))
    path = tmp_path / "w.safetensors"
    card = write_shared(path, network, recipe={"steps": 1}, metrics={"off": 0.5})
    assert card.source_space == "any"
    assert path.with_suffix(".json").exists()
    read, again = read_shared(path)
    assert again.sha256 == card.sha256
    given = Problem(MatrixOperator(torch.randn(5, 9)), torch.randn(1, 5, 3))
    ours, theirs = (solve(given, SharedMMNet(net)).estimate for net in (network, read))
    assert torch.equal(ours, theirs)
    held = {name: value.clone() for name, value in network.state_dict().items()}
    for settings in (replace(SMALL, hidden=9), replace(SMALL, iterations=10**6)):
        info = {**card.to_dict(), "settings": {**card.settings, **vars(settings)}}
        write_archive(path, held, info, kind=KIND, version=VERSION)
        with pytest.raises(DamagedFile):
            read_shared(path)
    with pytest.raises(MajorantError, match="no weights"):
        read_shared(tmp_path / "none.safetensors")
