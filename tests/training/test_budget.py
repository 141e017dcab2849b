"""A run fits into its wall-clock budget, keeps its schedule, and goes on from where it stopped."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.training import budget, command, fit, loop
from majorant.training.budget import (
    StepTimes,
    bfloat16_pays,
    fitted,
    parse_budget,
    process_began,
    under_budget,
)
from majorant.training.checkpoint import read_checkpoint
from majorant.training.command import Hardware, TrainingRequest
from majorant.training.engine import Engine
from majorant.training.fit import BEST, CONFIG, Trainer
from majorant.training.loop import LAST
from majorant.training.presets import Recipe, preset


def test_durations_are_read_with_their_unit() -> None:
    found = [parse_budget(text) for text in ("90s", "2min", "20 min", "1h", "1.5h", "3m")]
    assert found == [90, 120, 1200, 3600, 5400, 180]
    for text in ("", "2", "min", "-2min", "0s", "1e3s", "2 weeks", "nan h"):
        with pytest.raises(MajorantError, match="20min"):
            parse_budget(text)


@pytest.mark.parametrize("name", ["paper", "cpu", "tiny"])
@pytest.mark.parametrize("seconds", [60.0, 1200.0, 36_000.0])
def test_the_schedule_fits_into_the_budget(name: str, seconds: float) -> None:
    base, pace = under_budget(preset(name), torch.device("cpu")), StepTimes(0.25, 0.02)
    made = fitted(base, pace, seconds, spent=4.0)
    checks = -(-made.steps // made.validate_every)
    step = pace.step * made.batch / base.batch
    used = 4.0 + made.steps * step + checks * made.n_validation * pace.sample
    assert 0.6 * seconds < used < seconds
    assert made.steps == made.steps_per_epoch
    assert made.warmup <= made.steps / 20 + 1
    assert made.schedule == "cosine"
    assert made.network == base.network
    assert Recipe.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_budget_without_a_step_is_refused() -> None:
    with pytest.raises(MajorantError, match="holds no step"):
        fitted(preset("paper"), StepTimes(30.0, 1.0), 60.0, spent=10.0)


def test_the_published_protocol_is_changed_under_a_budget_only() -> None:
    paper = preset("paper")
    cpu, cuda = (under_budget(paper, torch.device("cpu")), replace(paper))
    assert (cpu.network, cpu.data, cpu.batch) == (paper.network, paper.data, 4)
    short, long = (fitted(cpu, StepTimes(0.4, 0.1), seconds, 5.0) for seconds in (120.0, 3600.0))
    assert (short.batch, long.batch) == (4, 16)
    assert short.steps > 150
    assert cuda == paper
    assert under_budget(preset("cpu"), torch.device("cpu")) == preset("cpu")
    assert isinstance(bfloat16_pays(torch.device("cpu")), bool)


class Clock:
    """A clock that only steps and solving move."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A step takes 2 s, a validation 1 s."""
    made = Clock()
    for module in (budget, command, fit, loop):
        monkeypatch.setattr(module, "time", made)
    step, check = Engine.update, Trainer.validate

    def update(engine: Engine) -> torch.Tensor:
        made.now += 2.0
        return step(engine)

    def validate(trainer: Trainer) -> dict[str, Any]:
        made.now += 1.0
        return check(trainer)

    monkeypatch.setattr(Engine, "update", update)
    monkeypatch.setattr(Trainer, "validate", validate)
    return made


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """A preset that trains in a moment."""
    tiny = preset("tiny")
    network = replace(tiny.network, prior_hidden=6, hidden=5, iterations=3)
    recipe = replace(tiny, network=network, short=2, n_validation=6)
    monkeypatch.setattr(command, "recipe_for", lambda *_: recipe)
    return recipe


def test_a_run_ends_within_its_budget_and_goes_on(
    path: Leadfield, tmp_path: Path, small: Recipe, clock: Clock
) -> None:
    began, folder = clock.now, tmp_path / "a"
    out = command.train(TrainingRequest(folder=folder, budget="60s"), leadfield=path, quiet=True)
    assert 0.5 * 60 < clock.now - began < 60.0
    assert 10 < out.step <= out.steps
    assert (folder / BEST).is_file()
    frozen = json.loads((folder / CONFIG).read_text())
    assert frozen["recipe"]["budget"] == 60.0
    with pytest.raises(MajorantError, match="holds a run already"):
        command.train(TrainingRequest(folder=folder, budget="60s"), leadfield=path, quiet=True)
    end = command.train(TrainingRequest(folder=folder, resume=True), leadfield=path, quiet=True)
    assert end.step == end.steps == out.steps
    assert json.loads((folder / CONFIG).read_text()) == frozen


def test_a_deadline_costs_no_bits(path: Leadfield, tmp_path: Path, small: Recipe) -> None:
    recipe = replace(small, n_train=16 * 12, budget=9.0)
    whole = Trainer(recipe, path, tmp_path / "whole").run()
    cut = Trainer(recipe, path, tmp_path / "cut").run(deadline=time.monotonic())
    assert cut.step == 1
    assert (tmp_path / "cut" / BEST).is_file()
    end = command.train(
        TrainingRequest(folder=tmp_path / "cut", resume=True), leadfield=path, quiet=True
    )
    assert end.step == whole.step == 12
    first, second = (read_checkpoint(tmp_path / name / LAST)[0] for name in ("whole", "cut"))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_process_knows_when_it_began() -> None:
    assert time.process_time() - 0.1 < time.monotonic() - process_began() < 24 * 3600


def test_first_steps_that_are_slow_count_once_for_every_head(
    path: Leadfield, tmp_path: Path, small: Recipe, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step takes 2 s, and 20 s more where its head is new: so it is timed, and 16 heads paid."""
    engine = Trainer(small, path, tmp_path / "a").engine
    assert budget.measure(engine, Trainer(small, path, tmp_path / "b").valid, 600.0).once == 0.0
    usual, prepared = Engine.update, set()

    def update(engine: Engine) -> torch.Tensor:
        if engine.step % 16 not in prepared:
            prepared.add(engine.step % 16)
            clock.now += 20.0
        return usual(engine)

    monkeypatch.setattr(Engine, "update", update)
    monkeypatch.setattr(type(engine.train), "turns", 16)
    pace = budget.measure(engine, Trainer(small, path, tmp_path / "c").valid, 600.0)
    assert pace.step == pytest.approx(2.0)
    assert pace.once == pytest.approx(16 * 20.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seed": 2**100}, "the seed is"),
        ({"seed": -1}, "the seed is"),
        ({"batch": 10**12}, "samples a step"),
        ({"batch": 0}, "samples a step"),
    ],
)
def test_numbers_that_no_machine_holds_are_refused(
    path: Leadfield, tmp_path: Path, wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(MajorantError, match=said):
        command.train(TrainingRequest(folder=tmp_path / "a", **wrong), leadfield=path, quiet=True)
    (tmp_path / "file").touch()
    with pytest.raises(MajorantError, match="no folder"):
        command.train(TrainingRequest(folder=tmp_path / "file"), leadfield=path, quiet=True)


def test_devices_are_named(path: Leadfield, tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match="auto, cpu, cuda"):
        command.train(TrainingRequest(folder=tmp_path), Hardware(device="tpu"))
    if not torch.cuda.is_available():
        with pytest.raises(MajorantError, match="no CUDA device"):
            command.train(TrainingRequest(folder=tmp_path), Hardware(device="cuda"))
