"""Every learned method trains by the same engine, at the same cost, on both kinds of data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from majorant.forward.leadfield import Leadfield
from majorant.learned.families import FAMILIES
from majorant.learned.stored import read_weights
from majorant.problem import MajorantError
from majorant.training import command
from majorant.training.fit import BEST, CONFIG, Outcome, Trainer
from majorant.training.presets import UNROLLED, Recipe, preset, recipe_for

COST = ("n_train", "epochs", "batch", "rate", "prior_rate", "schedule", "clip", "short")


@pytest.mark.parametrize("name", UNROLLED)
@pytest.mark.parametrize("data", ["sereega", "nmm"])
def test_recipes_cost_the_same_and_come_back_from_json(name: str, data: str) -> None:
    for method in FAMILIES:
        recipe = recipe_for(name, method, data)
        assert recipe.method == method
        assert Recipe.from_dict(recipe.to_dict()) == recipe
        own = {"n_train"} if (name, data) == ("table", "nmm") else set()
        own |= {"rate", "prior_rate"} if method == "modgrad" else set()
        same = [key for key in COST if key not in own]
        assert all(getattr(recipe, key) == getattr(preset(name), key) for key in same)
        for key in ("prior_hidden", "prior_kernels", "iterations", "start"):
            assert getattr(recipe.network, key) == getattr(preset(name).network, key)
    own = preset(name).data
    assert recipe_for(name, data=own).to_dict() == preset(name).to_dict()
    assert ("data" in preset(name).to_dict()) == (own != "sereega")


def test_the_paper_preset_is_as_published() -> None:
    assert recipe_for("paper", "meta-curvature").network.n_times == 64
    assert recipe_for("paper", "modgrad", "nmm").network.n_times == 500
    for method in ("meta-curvature", "modgrad"):
        network = recipe_for("paper", method).network
        assert (network.step, network.relative) == (1e-3, False)
    assert recipe_for("paper", "4dvarnet").network.descent == 1e-3
    assert recipe_for("cpu", "modgrad", "nmm").crop == 128
    assert recipe_for("paper", "modgrad", "nmm").crop is None


@pytest.mark.parametrize("method", ["4dvarnet", "meta-curvature", "modgrad"])
def test_a_few_steps_write_weights_that_can_be_used(
    path: Leadfield, tmp_path: Path, method: str
) -> None:
    recipe = recipe_for("tiny", method, "nmm")
    network = replace(recipe.network, prior_hidden=4, iterations=2)
    network = replace(network, **({"hidden": 3} if method == "4dvarnet" else {}))
    small = replace(recipe, network=network, n_train=32, n_validation=6, crop=100, short=0)
    outcome = Trainer(small, path, tmp_path).run()
    assert outcome.step == 2
    assert outcome.metrics["n"] == 6
    found, card = read_weights(tmp_path / BEST)
    assert card.name == method
    assert card.recipe["data"] == "nmm"
    assert found.settings.n_sources == 10


def test_another_seed_is_another_run_and_goes_on_as_itself(
    path: Leadfield, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = recipe_for("tiny")
    small = replace(tiny, network=replace(tiny.network, prior_hidden=4, hidden=3), n_train=32)
    small = replace(small, n_validation=4, short=0)
    monkeypatch.setattr(command, "recipe_for", lambda *_: small)

    def run(folder: str, **options: Any) -> Outcome:
        asked = command.TrainingRequest(folder=tmp_path / folder, **options)
        return command.train(asked, leadfield=path, quiet=True)

    seven, eight = (run(str(seed), seed=seed) for seed in (7, 8))
    assert json.loads((seven.folder / CONFIG).read_text())["recipe"]["data_seed"] == 7
    assert seven.metrics != eight.metrics
    assert run("7", resume=True).metrics == seven.metrics
    with pytest.raises(MajorantError, match="frozen and differs"):
        run("7", resume=True, seed=8)


def test_unknown_names_are_one_sentence() -> None:
    with pytest.raises(MajorantError, match="oracle"):
        recipe_for("tiny", "oracle")
    with pytest.raises(MajorantError, match="phantom"):
        recipe_for("tiny", "mm-net", "phantom")
