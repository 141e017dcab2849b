"""``majorant train mm-net --preset shared``: MM-Net with weights shared over sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from majorant.cli.answer import deliver
from majorant.cli.voice import Voice, tell

if TYPE_CHECKING:
    from majorant.simulate.dataset import Part
    from majorant.simulate.everyday.world import World
    from majorant.training.pools import Maker

HEADS = {"train": (24, 70), "validation": (8, 71)}
"""Heads of the bank in each part, and their seed."""

SEEDS = {"train": 71, "validation": 72}
"""Of everyday samples."""


def shared(folder: Path, resume: bool, budget: str | None, json: str | None) -> None:
    """Train, and say what came of it."""
    from majorant.training.budget import parse_budget
    from majorant.training.shared import SharedRecipe, train_shared

    recipe, voice = SharedRecipe(), Voice()
    minutes = None if budget is None else parse_budget(budget) / 60.0
    makers = pool_makers(voice.say)
    with voice.waiting("train") as move:
        run = train_shared(
            recipe,
            folder,
            makers,
            resume=resume,
            minutes=minutes,
            say=voice.say,
            report=lambda line: move(line["step"], line["steps"]),
        )
    finished = run["step"] >= recipe.steps
    found = {"folder": str(folder), "finished": finished, **run}
    if not deliver({"solver": "mm-net", "preset": "shared", **found}, json):
        more = "" if finished else f" of {recipe.steps}; go on with --resume"
        tell(f"{folder}: {run['step']} steps{more}")


def pool_makers(say: Callable[[str], None]) -> dict[str, Maker]:
    """Return what makes the samples: whole regions, and everyday data on regions and vertices."""
    from majorant.head.simulated import template_heads
    from majorant.training.pools import (
        RegionSettings,
        estimated,
        make_everyday_pools,
        make_pools,
        on_regions,
    )
    from majorant.weights.sbl import unfolded_sbl

    settings, unfolded = RegionSettings(), unfolded_sbl(recalibrated=False)

    @cache
    def world(part: Part) -> World:
        from majorant.forward.template_bank import template_bank
        from majorant.simulate.everyday.heads import bank_world

        bank = template_bank("standard_1005", space="ico4", progress=say)
        number, seed = HEADS[part]
        return bank_world(bank, number, seed, part, electrodes=(19, 128))

    def regions(part: Part) -> Maker:
        def make():  # type: ignore[no-untyped-def]
            held, space = make_pools(template_heads, settings, part, say)
            return estimated(held, space, unfolded, say), space

        return make

    def everyday(part: Part, fine: bool, heads: int, number: int) -> Maker:
        def make():  # type: ignore[no-untyped-def]
            whole = world(part)
            few = replace(whole, heads=whole.heads[:heads])
            seed = SEEDS[part] + 10 * fine
            held, space = make_everyday_pools(
                few if fine else on_regions(few), number, seed, part, say
            )
            return estimated(held, space, unfolded, say), space

        return make

    return {
        "train-regions": regions("train"),
        "train-everyday-regions": everyday("train", False, 16, 40),
        "train-everyday-ico4": everyday("train", True, 6, 10),
        "validation-regions": regions("validation"),
        "validation-everyday-regions": everyday("validation", False, 3, 24),
        "validation-everyday-ico4": everyday("validation", True, 2, 8),
    }
