"""What was tried for the fast recipe: short runs that differ in one thing each.

    python -m benchmarks.recipes            # every variant, 250 steps each
    python -m benchmarks.recipes width 100  # one variant, 100 steps

Rows are the table of ``docs/training.md``: the guarded solver on 100 validation samples, and the
processor time of the run.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.training.fit import LOG, Trainer
from majorant.training.presets import Recipe, preset

BATCH = 16


def base(steps: int) -> Recipe:
    """The fast recipe at the size of the paper's prior, shortened; four iterations throughout."""
    recipe = preset("cpu")
    return replace(
        recipe,
        name="variant",
        network=replace(recipe.network, prior_hidden=128, iterations=4, start="sloreta"),
        n_train=BATCH * steps,
        batch=BATCH,
        epochs=1,
        rate=4e-3,
        prior_rate=4e-3,
        warmup=100,
        clip=1.0,
        average=0.0,
        short=0,
        lengthen=0.0,
        validate_every=10 * steps,
        n_validation=100,
        save_every=10 * steps,
    )


VARIANTS: Mapping[str, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = MappingProxyType(
    {
        "base": ("the base", {}, {}),
        "noise": ("start from noise", {"start": "noise"}, {}),
        "minimum-norm": ("start from the minimum norm", {"start": "minimum-norm"}, {}),
        "gram": ("Gram-structured step", {"step": "gram"}, {}),
        "width": ("prior with 256 hidden channels", {"prior_hidden": 256}, {}),
        "cells": ("cells with 96 channels", {"hidden": 96}, {}),
        "eight": ("eight iterations", {"iterations": 8}, {}),
        "last": ("loss of the last iterate only", {}, {"deep": 0.0}),
        "slow": ("learning rate 1e-3", {}, {"rate": 1e-3, "prior_rate": 1e-3}),
        "rate": ("256 Hz", {"rate": 256.0}, {}),
        "float32": ("float32", {}, {"bfloat16": False}),
        "lengths": ("2 to 8 iterations, drawn every step", {}, {"lengths": (2, 8)}),
        "late": ("guard in the second half", {}, {"guard": "late"}),
        "on": ("guard from the start", {}, {"guard": "on"}),
        "warm": ("from its own estimate of up to 8 steps", {}, {"warm": 8}),
        "focus": ("24 samples around the peak in the first half", {}, {"focus": 24}),
    }
)
"""By name: words, changes of the network, changes of the recipe."""


def run(name: str, steps: int = 250) -> str:
    """Train one variant and return its row.

    Raises
    ------
    MajorantError
        If there is no such variant.
    """
    if name not in VARIANTS:
        raise MajorantError(f"there is no variant {name!r}; choose one of {', '.join(VARIANTS)}")
    words, of_network, of_recipe = VARIANTS[name]
    recipe = base(steps)
    recipe = replace(recipe, network=replace(recipe.network, **of_network), **of_recipe)
    loss, m, seconds = short_run(recipe)
    return (
        f"| {words} | {loss:.3f} | {m['LE']:.1f} | {m['AUC']:.2f} | {m['PSNR']:.1f} | "
        f"{seconds:.0f} |"
    )


def short_run(recipe: Recipe) -> tuple[float, Mapping[str, float], float]:
    """Train by a recipe in a folder that goes away.

    Returns
    -------
    loss : float
        The last one that was logged.
    metrics : mapping of str to float
        On the validation samples.
    seconds : float
        Processor time.

    Raises
    ------
    MajorantError
        If the training came apart.
    """
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        outcome = Trainer(recipe, Leadfield.template_small(), Path(folder)).run()
        seconds = time.process_time() - began
        entries = map(json.loads, (Path(folder) / LOG).read_text().splitlines())
        losses = [entry["truth"] for entry in entries if entry.get("truth") is not None]
    return losses[-1] if losses else math.nan, outcome.metrics, seconds


def main(arguments: Sequence[str]) -> None:
    """Print the table; arguments: [variant or all] [steps]."""
    names = list(VARIANTS) if not arguments or arguments[0] == "all" else [arguments[0]]
    steps = int(arguments[1]) if len(arguments) > 1 else 250
    torch.set_num_threads(1)
    print("| variant | loss | LE | AUC | PSNR | s |\n|---|---|---|---|---|---|")
    for name in names:
        print(run(name, steps), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
