"""The one registry of recipes, named ``solver/preset``: what is trained, on what, how long.

Their numbers stand beside what they mean: of the MM-Net family in ``presets.py``, of weights shared
over sources in ``shared.py``, of the unfolded solver in ``growth.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from majorant.errors import MajorantError, nearest
from majorant.learned.families import FAMILIES
from majorant.training.growth import GROWN, LayerwiseSettings
from majorant.training.presets import UNROLLED, Recipe, recipe_for
from majorant.training.shared import SharedRecipe

__all__ = ["CONTINUED", "RECIPES", "UNFOLDED", "find_recipe", "presets_of"]

UNFOLDED = "unfolded-sbl"
AnyRecipe = Recipe | SharedRecipe | LayerwiseSettings

RECIPES: Mapping[str, AnyRecipe] = MappingProxyType(
    {
        **{
            f"{method}/{name}": recipe_for(name, method) for method in FAMILIES for name in UNROLLED
        },
        "mm-net/shared": SharedRecipe(),
        **{f"{UNFOLDED}/{name}": settings for name, settings in GROWN.items()},
    }
)
CONTINUED = ("refine", "support", "finish", "polish", "scan", "general")
"""Presets of the MM-Net family that continue from weights."""


def presets_of(solver: str) -> tuple[str, ...]:
    """Return the presets of a solver, empty for one that is not trained."""
    return tuple(name.split("/")[1] for name in RECIPES if name.startswith(f"{solver}/"))


def find_recipe(solver: str, preset: str) -> AnyRecipe:
    """Look a recipe up.

    Parameters
    ----------
    solver, preset : str

    Raises
    ------
    MajorantError
        If there is none of that name; the sentence lists those that exist.
    """
    found = RECIPES.get(f"{solver}/{preset}")
    if found is None:
        names = presets_of(solver)
        raise MajorantError(
            f"there is no preset {preset!r} of {solver}{nearest(preset, names)}; choose one of "
            f"{', '.join(names)}"
        )
    return found
