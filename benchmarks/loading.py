"""What share of a training step is spent in making data: the limit is 5 %.

    python -m benchmarks.loading            # the preset cpu, every kind of data
    python -m benchmarks.loading table

Samples are made on the fly, between steps and by the same thread, so the trainer is idle exactly
while they are made. Processor time of whole steps, data included, and of the data alone, in turns.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from majorant.forward.leadfield import Leadfield
from majorant.head.simulated import template_heads
from majorant.simulate.heads import SimulatedHead
from majorant.training.engine import Engine
from majorant.training.fit import simulated
from majorant.training.presets import WINDOW_MS, recipe_for

BATCH, TURNS, HEADS = 16, 7, 2
"""Two heads are enough for general data: a batch has one, and any number costs the same."""


def data_share(engine: Engine, turns: int = TURNS) -> tuple[float, float]:
    """Measure a training engine's steps and the making of their data.

    Parameters
    ----------
    engine : Engine
        Steps are taken.
    turns : int
        Medians are over these; one before them does not count.

    Returns
    -------
    step_ms, share : float
        Processor time of a step, data included, and the share of the data in it.
    """
    steps, loads = [], []
    for _ in range(turns + 1):
        index, epoch = torch.arange(engine.recipe.batch) % len(engine.train), engine.step
        began = time.process_time()
        batch = engine.train.turn(engine.step).batch(index, epoch)
        batch.sources(engine.down)
        loads.append(time.process_time() - began)
        began = time.process_time()
        engine.update()
        steps.append(time.process_time() - began)
    step = statistics.median(steps[1:])
    return 1e3 * step, statistics.median(loads[1:]) / step


def few_heads(n: int, seed: int) -> list[SimulatedHead]:
    """Draw at most two heads of the template."""
    return template_heads(min(n, HEADS), seed)


def main(arguments: Sequence[str]) -> None:
    """Print the table; arguments: [preset]."""
    torch.set_num_threads(1)
    name, head = arguments[0] if arguments else "cpu", Leadfield.template_small()
    print("| data | ms a step | share of making data |\n|---|---|---|")
    for kind in WINDOW_MS:
        recipe = replace(recipe_for(name, data=kind), batch=BATCH, short=0)
        data = simulated(recipe, head, "train", 64 * BATCH, heads=few_heads)
        ms, share = data_share(Engine(recipe, data))
        print(f"| {kind} | {ms:.0f} | {100 * share:.1f} % |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
