"""The one loop: it asks for logs, validations and checkpoints when they are due, and stops in time;
and the one registry: every recipe has a name of its own kind."""

from __future__ import annotations

import math
import sys

import pytest
import torch
from torch import Tensor

from majorant import pace
from majorant.errors import MajorantError
from majorant.training.command import _progress
from majorant.training.growth import LayerwiseSettings
from majorant.training.loop import Rhythm, carry_out
from majorant.training.presets import Recipe
from majorant.training.recipes import CONTINUED, RECIPES, find_recipe, presets_of
from majorant.training.shared import SharedRecipe


class Course:
    """Counts what it is asked for; its loss is the number of the step."""

    def __init__(self, steps: int, ends: int | None = None) -> None:
        self.step, self.steps, self.ends = 0, steps, ends
        self.asked: list[tuple[str, int]] = []
        self.losses: list[float] = []

    def update(self) -> Tensor:
        self.step += 1
        return torch.tensor([float(self.step), 0.0])

    def log(self, losses: Tensor, seconds: float) -> None:
        self.asked.append(("log", self.step))
        self.losses.append(float(losses[0]))

    def validate(self) -> dict[str, float]:
        self.asked.append(("validate", self.step))
        return {"score": 1.0}

    def save(self) -> None:
        self.asked.append(("save", self.step))

    def late(self, deadline: float, taken: float) -> bool:
        return self.step == self.ends

    def at(self, what: str) -> list[int]:
        return [step for name, step in self.asked if name == what]


def test_everything_is_done_when_it_is_due_and_at_the_end() -> None:
    course, lines = Course(7), []
    carry_out(course, Rhythm(log=2, validate=3, save=4), report=lines.append)
    assert course.at("log") == [2, 4, 6, 7]
    assert course.at("validate") == [3, 6, 7]
    assert course.at("save") == [4, 7]
    assert course.losses == [1.5, 3.5, 5.5, 7.0]
    assert [line["step"] for line in lines] == list(range(1, 8))
    assert "score" in lines[2]
    assert "score" not in lines[3]


@pytest.mark.parametrize("look", [True, False])
def test_a_run_whose_time_is_up_keeps_what_it_has(look: bool) -> None:
    course = Course(9, ends=2)
    carry_out(course, Rhythm(100, 100, 100, look=look), deadline=0.0)
    assert course.step == 2
    assert course.at("save") == [2]
    assert course.at("validate") == ([2] if look else [])


def test_without_a_deadline_nothing_is_late_and_a_run_may_stop_at_a_step() -> None:
    course = Course(9, ends=2)
    carry_out(course, Rhythm(100, 100, 100), until=5)
    assert course.step == 5
    assert course.at("save") == [5]
    carry_out(course, Rhythm(100, 100, 100), until=math.inf)  # type: ignore[arg-type]
    assert course.step == 9


def test_a_checkpoint_is_due_after_a_pause_whatever_the_step() -> None:
    course = Course(3)
    carry_out(course, Rhythm(100, 100, 100, pause=-1.0))
    assert course.at("save") == [1, 2, 3]


def test_every_recipe_is_named_by_its_solver_and_found_there() -> None:
    assert {name.split("/")[0] for name in RECIPES} == {
        *("mm-net", "r-mm-net", "4dvarnet", "meta-curvature", "modgrad", "unfolded-sbl")
    }
    kinds = {"unfolded-sbl/tiny": LayerwiseSettings, "mm-net/shared": SharedRecipe}
    for name, kind in {**kinds, "modgrad/tiny": Recipe}.items():
        assert isinstance(find_recipe(*name.split("/")), kind)
    assert set(CONTINUED) <= set(presets_of("mm-net"))
    with pytest.raises(MajorantError, match=r"no preset .patchs. of unfolded-sbl .did you mean"):
        find_recipe("unfolded-sbl", "patchs")


def test_a_training_whose_results_are_piped_says_how_far_it_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whether standard output is a terminal does not matter: progress goes to the other one."""
    monkeypatch.setattr(pace, "FIRST", 0.0)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    with _progress(2, quiet=False) as report:
        assert report is not None
        report({"step": 1, "steps": 2})
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("train: 50 %")
