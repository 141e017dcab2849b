"""The guard's studies: rows as they are printed, and a guard that leaves no rises."""

from __future__ import annotations

from itertools import islice

import pytest
from benchmarks import guarded, guarded_training
from benchmarks.recipes import VARIANTS, base

from majorant.forward.leadfield import Leadfield
from majorant.training.presets import Recipe


def test_every_window_stands_beside_classical_mm(path: Leadfield) -> None:
    rows = list(islice(guarded_training.guards(2, 3, path), 6))
    assert [row.name.split(", ")[1] for row in rows] == [
        *("no guard", "window 1", "window 2", "window 5", "window 10"),
        "classical MM on its energy",
    ]
    assert all(row.violations == 0 for row in rows[1:])
    assert all(str(row).count("|") == guarded.HEADER.splitlines()[0].count("|") for row in rows)


def test_studies_differ_in_what_they_say(path: Leadfield) -> None:
    for ways in (guarded_training.GUARDS, guarded_training.LENGTHS):
        recipes = [guarded_training.recipe(10, changes) for changes in ways.values()]
        assert len({str(recipe.to_dict()) for recipe in recipes}) == len(recipes)
    rows = list(islice(guarded_training.beyond(1, 2, path), 4))
    assert [row.name for row in rows[2:]] == [
        "ten steps, 20 steps, no guard",
        "ten steps, 20 steps, window 2",
    ]


@pytest.mark.parametrize("name", VARIANTS)
def test_variants_are_recipes(name: str) -> None:
    _, _, of_recipe = VARIANTS[name]
    fields = Recipe.__dataclass_fields__
    assert set(of_recipe) <= set(fields)
    assert base(10).steps == 10
