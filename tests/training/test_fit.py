"""Training: exact resume, frozen recipes, losses, what is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from majorant.files.archive import read_archive
from majorant.forward.leadfield import Leadfield
from majorant.learned.directions import both_directions, doubled
from majorant.learned.stored import read_weights
from majorant.learned.unrolled import MMNetwork
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.training.bilevel import bilevel_loss, distance, unroll
from majorant.training.checkpoint import KIND, VERSION
from majorant.training.command import TrainingRequest, train
from majorant.training.fit import BEST, CONFIG, Trainer
from majorant.training.loop import LAST, LOG
from majorant.training.presets import FAST, UNROLLED, Recipe, preset

SMALL = Recipe(
    "small",
    replace(FAST, prior_hidden=6, hidden=5, iterations=3),
    n_train=60,
    epochs=2,
    batch=16,
    rate=3e-3,
    prior_rate=3e-3,
    schedule="cosine",
    warmup=2,
    deep=0.5,
    short=2,
    lengthen=0.5,
    average=0.9,
    validate_every=8,
    n_validation=10,
    log_every=2,
    save_every=1,
)


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return read_archive(folder / LAST, kind=KIND, version=VERSION)[0]


@pytest.mark.parametrize(("stops", "bfloat16"), [((3,), False), ((1, 4, 5), True)])
def test_a_run_that_is_stopped_and_continued_gives_the_same_bits(
    path: Leadfield, tmp_path: Path, stops: tuple[int, ...], bfloat16: bool
) -> None:
    recipe = replace(SMALL, bfloat16=bfloat16)
    whole = Trainer(recipe, path, tmp_path / "whole").run()
    for k, stop in enumerate(stops):
        Trainer(recipe, path, tmp_path / "parts", resume=k > 0).run(until=stop)
    parts = Trainer(recipe, path, tmp_path / "parts", resume=True).run()
    first, second = tensors(whole.folder), tensors(parts.folder)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert whole.metrics == parts.metrics
    assert whole.step == recipe.steps == 8


def test_a_kill_between_checkpoints_loses_steps_not_bits(path: Leadfield, tmp_path: Path) -> None:
    recipe = replace(SMALL, save_every=4)

    class Killed(Exception):
        pass

    def kill(line: dict[str, object]) -> None:
        if line["step"] == 6:
            raise Killed

    with pytest.raises(Killed):
        Trainer(recipe, path, tmp_path / "parts", report=kill).run()
    Trainer(recipe, path, tmp_path / "whole").run()
    Trainer(recipe, path, tmp_path / "parts", resume=True).run()
    first, second = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert all(torch.equal(first[key], second[key]) for key in first)
    steps = [entry["step"] for entry in entries(tmp_path / "parts")]
    assert steps == sorted(steps)


def test_the_run_folder_holds_what_it_should(path: Leadfield, tmp_path: Path) -> None:
    outcome = Trainer(SMALL, path, tmp_path).run()
    names = {path.name for path in tmp_path.iterdir()}
    assert {CONFIG, LOG, LAST, BEST, "best.json", "curves.png"} <= names
    config = json.loads((tmp_path / CONFIG).read_text())
    held = Recipe.from_dict(config["recipe"])
    assert held == replace(SMALL, network=replace(SMALL.network, n_sources=path.n_locations))
    _, card = read_weights(tmp_path / BEST)
    assert card.metrics["validation"] == outcome.metrics
    assert outcome.metrics["violations"] == 0
    card.require(path.geometry)
    assert [e["step"] for e in entries(tmp_path) if "loss" in e] == [2, 4, 6, 8]


def test_a_recipe_is_frozen_once_set(path: Leadfield, tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match="no run to continue"):
        Trainer(SMALL, path, tmp_path / "none", resume=True)
    Trainer(SMALL, path, tmp_path / "run").run(until=1)
    with pytest.raises(MajorantError, match="holds a run already"):
        Trainer(SMALL, path, tmp_path / "run")
    with pytest.raises(MajorantError, match="frozen"):
        Trainer(replace(SMALL, rate=1e-2), path, tmp_path / "run", resume=True)


def test_training_lowers_the_loss(path: Leadfield, tmp_path: Path) -> None:
    sized = replace(SMALL.network, prior_hidden=16, hidden=8)
    recipe = replace(SMALL, network=sized, n_train=800, epochs=1, short=0, validate_every=100)
    Trainer(recipe, path, tmp_path).run()
    losses = [entry["truth"] for entry in entries(tmp_path) if "truth" in entry]
    assert losses[-1] < 0.7 * losses[0]


def test_a_run_may_start_from_other_weights(path: Leadfield, tmp_path: Path) -> None:
    first = Trainer(SMALL, path, tmp_path / "first").run()
    weights = first.folder / BEST
    second = Trainer(SMALL, path, tmp_path / "second", initial=weights)
    held, card = read_weights(weights)
    state = second.network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in held.state_dict().items())
    assert json.loads((tmp_path / "second" / CONFIG).read_text())["initial"] == card.sha256
    twice = Trainer(
        replace(SMALL, network=doubled(SMALL.network)), path, tmp_path / "twice", initial=weights
    )
    assert isinstance(held, MMNetwork)
    expected = both_directions(held).state_dict()
    state = twice.network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in expected.items())
    wide = replace(SMALL, network=replace(SMALL.network, prior_hidden=7))
    with pytest.raises(MajorantError, match=r"numbers and the network of this recipe .* its own"):
        Trainer(wide, path, tmp_path / "wide", initial=weights)


def test_the_outer_losses_are_those_of_the_two_versions() -> None:
    g = torch.Generator().manual_seed(0)
    network = MMNetwork(replace(FAST, n_sources=9, prior_hidden=4, hidden=3, iterations=2), g)
    operator = MatrixOperator(torch.randn(4, 9, generator=g))
    problem = Problem(operator, torch.randn(3, 4, 5, generator=g))
    iterates = unroll(network, problem, network.geometry(operator, torch.float32))
    assert len(iterates) == 2
    truth, last = torch.randn(3, 9, 5, generator=g), iterates[-1]
    for version, judged in ((1, truth), (2, last)):
        loss = bilevel_loss(network, iterates, truth, version=version)
        expected = distance(truth, last) + distance(judged, network.prior(judged))
        torch.testing.assert_close(loss.total, expected.mean())
    deep = bilevel_loss(network, iterates, truth, deep=2.0)
    plain = bilevel_loss(network, iterates, truth)
    torch.testing.assert_close(deep.total - plain.total, 2.0 * distance(truth, iterates[0]).mean())
    weak = bilevel_loss(network, iterates, 3.0 * last, support=1.0)
    torch.testing.assert_close(
        weak.total, bilevel_loss(network, iterates, 3.0 * last).total, atol=1e-6, rtol=0
    )
    plain.total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_presets_are_the_published_protocol_and_ours() -> None:
    paper = preset("paper")
    assert paper.steps == 500 * 250
    assert (paper.batch, paper.rate, paper.prior_rate, paper.clip) == (32, 5e-5, 2.5e-5, 0.5)
    assert (paper.network.iterations, paper.network.start) == (10, "noise")
    continued = ["refine", "support", "finish", "polish"]
    assert list(UNROLLED) == ["paper", "cpu", *continued, "table", "scan", "general", "tiny"]
    assert preset("scan").network.start == "scan"
    continued += ["scan"]
    seeds = [(preset(name).seed, preset(name).data_seed) for name in ("cpu", *continued, "general")]
    assert len(set(seeds)) == len(seeds)  # nobody trains on the samples of the stage before
    with pytest.raises(MajorantError, match="no preset"):
        preset("huge")
    with pytest.raises(MajorantError, match="cannot train"):
        train(TrainingRequest(solver="mne"))
    for name in (*continued, "general"):
        with pytest.raises(MajorantError, match=f"'{name}' continues from weights"):
            train(TrainingRequest(preset=name))
