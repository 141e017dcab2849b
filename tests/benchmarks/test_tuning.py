"""Tuning and loading: what is tried differs in what it says, and the shares are shares."""

from __future__ import annotations

from dataclasses import replace

import pytest
from benchmarks import tuning
from benchmarks.loading import data_share

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.training.engine import Engine
from majorant.training.fit import simulated
from majorant.training.presets import preset, recipe_for


@pytest.mark.parametrize("method", list(tuning.GRID))
def test_every_trial_changes_one_thing_of_the_recipe_that_is_kept(method: str) -> None:
    kept = tuning.shortened(method, tuning.KEPT)
    table = recipe_for("table", method)
    assert (kept.network, kept.rate, kept.steps) == (table.network, table.rate, tuning.STEPS)
    for trial in tuning.GRID[method][1:]:
        tried = tuning.shortened(method, trial)
        changed = tried.network != kept.network, tried.rate != kept.rate
        assert sum(changed) == 1, trial.words
        again = replace(tried, network=kept.network, rate=kept.rate, prior_rate=kept.prior_rate)
        assert again == kept


def test_a_trial_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "VALIDATION", 2)
    monkeypatch.setattr(tuning, "BATCH", 2)
    cells = tuning.run("4dvarnet", tuning.GRID["4dvarnet"][1], 2).strip("| ").split(" | ")
    assert cells[:2] == ["4dvarnet", "`descent` 0.1"]
    assert all(float(cell) >= 0 for cell in cells[2:])


def test_a_method_that_is_not_tuned_is_named() -> None:
    with pytest.raises(MajorantError, match="did you mean 'modgrad'"):
        tuning.shortened("modgrat", tuning.KEPT)


def test_the_share_of_making_data_is_a_share(template: Leadfield) -> None:
    tiny = preset("tiny")
    recipe = replace(tiny, batch=4, network=replace(tiny.network, prior_hidden=8, iterations=2))
    engine = Engine(recipe, simulated(recipe, template, "train", 32))
    ms, share = data_share(engine, turns=3)
    assert ms > 0
    assert 0 < share < 1
    assert engine.step == 4
