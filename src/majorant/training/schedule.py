"""What a step of training is, as a function of its number: rate, lengths, guard, windows.

Nothing here depends on what happened before, so a run that is continued takes the same steps.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch

from majorant.simulate import streams
from majorant.training.bilevel import Unrolling
from majorant.training.descent import Descent
from majorant.training.presets import Recipe

LENGTH, WARM = range(2)
"""What random numbers of a step are for."""


def rate_factor(recipe: Recipe, step: int) -> float:
    """Factor of the learning rates: a linear rise, then constant or a half cosine."""
    rise = min(1.0, (step + 1) / recipe.warmup) if recipe.warmup else 1.0
    if recipe.schedule == "constant":
        return rise
    return rise * 0.5 * (1.0 + math.cos(math.pi * step / recipe.steps))


def iterations(recipe: Recipe, step: int) -> int:
    """Iterations that are unrolled: drawn, few early in training, or the network's own number."""
    if recipe.lengths is not None:
        low, high = recipe.lengths
        return low + _drawn(recipe, step, LENGTH, high - low + 1)
    early = recipe.short and step < recipe.lengthen * recipe.steps
    return recipe.short if early else recipe.network.iterations


def warm(recipe: Recipe, step: int) -> int:
    """Iterations that run first without a gradient."""
    return _drawn(recipe, step, WARM, recipe.warm + 1) if recipe.warm else 0


def descent(recipe: Recipe, step: int) -> Descent | None:
    """The guard of the unrolled solver, where it acts."""
    late = recipe.guard == "late" and step >= recipe.guard_after * recipe.steps
    return Descent(recipe.guard_window) if late or recipe.guard == "on" else None


def unrolling(recipe: Recipe, step: int) -> Unrolling:
    """How far the network is unrolled in a step."""
    return Unrolling(
        iterations(recipe, step), descent(recipe, step), warm(recipe, step), recipe.checkpointing
    )


def focused(recipe: Recipe, step: int) -> bool:
    """Whether windows are cut around the peak."""
    return bool(recipe.focus) and step < recipe.widen * recipe.steps


def phases(recipe: Recipe) -> list[tuple[float, float]]:
    """Parts of a run whose steps cost alike, as (share of the run, its middle as a share)."""
    edges = {0.0, 1.0}
    for share, used in (
        (recipe.lengthen, recipe.short and recipe.lengths is None),
        (recipe.guard_after, recipe.guard == "late"),
        (recipe.widen, recipe.focus),
    ):
        if used and 0.0 < share < 1.0:
            edges.add(share)
    ordered = sorted(edges)
    return [(b - a, (a + b) / 2) for a, b in pairwise(ordered)]


def _drawn(recipe: Recipe, step: int, purpose: int, n: int) -> int:
    """A number below ``n`` that belongs to the step."""
    key = streams.keys(recipe.seed, torch.tensor([step]), purpose)
    return int(streams.integers(key, 1, n))
