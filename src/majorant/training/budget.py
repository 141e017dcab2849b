"""Fit a training run to a wall-clock budget: as many steps as there is time for, and no more.

Steps are timed after warm-up, part by part of the schedule, since a step of four iterations and one
of ten do not cost alike. The number of steps follows, and with it warm-up, cosine, moving average
and validations. From then on the recipe is frozen, and the clock has no say in what a step does.
"""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from majorant.learned.families import as_solver, make_network
from majorant.problem import MajorantError
from majorant.simulate.dataset import SimulatedPairs
from majorant.solvers.loop import solve
from majorant.training.engine import Engine
from majorant.training.presets import Recipe
from majorant.training.schedule import phases

UNITS = {"s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
STARTUP = 5.0
"""Seconds before somebody looks at the clock, and after everything is written."""
WRITING = 1.0
"""Seconds that drawing curves and writing weights may take after every validation."""
SLACK = 0.06
"""Share of the budget that is left unused, for steps that take longer than those timed."""
CHECKS = 0.1
"""Share of the budget that validations may take."""
TIMED = 0.03
"""Share of the budget that timing may take, for each part of the schedule."""
MOST_TIMED = 8
"""Steps timed of each part, at most."""
BATCH = 256
"""Batch of the published protocol under a budget on accelerators."""
SMALLEST, LARGEST = 4, 16
"""And on the CPU, where a batch costs what its samples cost: timed with the smallest."""
SQUARE = 1024
"""Size of the product by which precisions are compared on a processor."""
USEFUL_STEPS = 250
"""A larger batch than the smallest is taken only where so many steps of it fit."""


@dataclass(frozen=True)
class StepTimes:
    """What things take on this machine.

    Attributes
    ----------
    step : float
        Seconds of a step, averaged over the schedule.
    sample : float
        Seconds of solving one sample in validation.
    once : float
        Seconds that first steps take longer, in all: what is prepared once for every head.
    """

    step: float
    sample: float
    once: float = 0.0


def parse_budget(text: str) -> float:
    """Read a duration: ``"90s"``, ``"20min"``, ``"1.5h"``; return seconds.

    Raises
    ------
    MajorantError
        If it is no duration.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*", text.lower())
    if found is None or found[2] not in UNITS or float(found[1]) <= 0:
        raise MajorantError(
            f"the budget is {text!r}; give a number with its unit, as in 90s, 20min or 1h"
        )
    return float(found[1]) * UNITS[found[2]]


def process_began() -> float:
    """Reading of ``time.monotonic`` when this process began, imports and all.

    Where the system does not tell, the processor time so far is taken, which is no more.
    """
    now = time.monotonic()
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age = time.process_time()
    return now - max(age, 0.0)


def under_budget(recipe: Recipe, device: torch.device) -> Recipe:
    """Return the recipe that is fitted: presets as they are, the published one made to finish.

    The published protocol is 125,000 small steps at a small constant rate. Under a budget its
    network, energy and data stay, and the optimiser is ours: large batches, new samples throughout,
    a scaled rate with warm-up and cosine decay, a moving average, a loss on every iterate, and
    bfloat16 products where the device gains from them.
    """
    if recipe.name != "paper":
        return recipe
    return replace(
        recipe,
        batch=SMALLEST if device.type == "cpu" else BATCH,
        rate=1e-3,
        prior_rate=5e-4,
        schedule="cosine",
        warmup=500,
        deep=0.5,
        average=0.999,
        bfloat16=bfloat16_pays(device),
    )


def bfloat16_pays(device: torch.device) -> bool:
    """Whether a matrix product in bfloat16 is faster than in float32 here, by timing both.

    On an accelerator a small product takes as long as its call, whatever the precision.
    """
    seconds, size = {}, SQUARE if device.type == "cpu" else 4 * SQUARE
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(size, size, device=device, dtype=dtype)
        seconds[dtype] = _timed(lambda a=a: a @ a, device, 5)
    return seconds[torch.bfloat16] < 0.9 * seconds[torch.float32]


def measure(engine: Engine, valid: SimulatedPairs, budget: float) -> StepTimes:
    """Time the steps of a recipe, and a validation.

    The last part of the schedule comes first: it costs most, and where a step is slow for the
    budget it stands for the others. A first step prepares its head, and others of the same head do
    not: every step is taken again until it costs what it will cost, and what the first took longer
    counts once for each head, and not in every step.

    Parameters
    ----------
    engine : Engine
        Of the recipe before it is fitted; it is of no use afterwards.
    valid : SimulatedPairs
        Validation data.
    budget : float
        Seconds; no more than a share of it is spent on each part of the schedule.
    """
    began, total, seen, longer = time.monotonic(), 0.0, 0.0, []
    for share, middle in reversed(phases(engine.recipe)):
        usual, first = _steps_at(engine, int(middle * engine.recipe.steps), TIMED * budget)
        total, seen = total + share * usual, seen + share
        longer.append(first - usual)
        late = time.monotonic() - began > 2.0 * TIMED * budget
        if engine.team.same([late])[0]:
            break
    total /= seen
    # The very first step prepares more than its head.
    if engine.train.turns > 1 and len(longer) == 1:
        usual, first = _steps_at(engine, engine.step + 1, 0.0)
        longer.append(first - usual)
    once = max(longer[0], 0.0) + (engine.train.turns - 1) * max(min(longer), 0.0)
    sample = solving_seconds(engine.recipe, valid)
    step, sample, once = engine.team.same([total, sample, once])
    return StepTimes(step, sample, once)


def _steps_at(engine: Engine, step: int, room: float) -> tuple[float, float]:
    """Seconds of a step of the schedule once it is prepared, and of the first time."""

    def update() -> None:
        engine.step = step
        engine.update()

    first = _timed(update, engine.device, 1, warm=False)
    usual = _timed(update, engine.device, 1, warm=False)
    again = math.floor((room - first) / max(usual, 1e-6))
    count = int(engine.team.same([min(MOST_TIMED, again)])[0])
    if count > 0:
        usual = min(usual, _timed(update, engine.device, count, warm=False))
    return usual, first


def solving_seconds(recipe: Recipe, valid: SimulatedPairs) -> float:
    """Time solving a few validation samples with the network of a recipe; seconds a sample."""
    solver = as_solver(make_network(recipe.network), sfreq=valid.sfreq)
    n = min(4, len(valid))
    batch = valid.batch(range(n))
    return _timed(lambda: solve(valid.problem(batch), solver), valid.device, 1) / n


def fitted(recipe: Recipe, pace: StepTimes, budget: float, spent: float) -> Recipe:
    """Return the recipe with as many steps as the rest of the budget holds.

    Parameters
    ----------
    recipe : Recipe
    pace : StepTimes
    budget, spent : float
        Seconds in all, and gone.

    Raises
    ------
    MajorantError
        If there is no time for a single step.
    """
    room = CHECKS * budget
    n_validation = max(1, min(recipe.n_validation, int(room / max(pace.sample, 1e-9))))
    check = n_validation * pace.sample + WRITING
    left = budget * (1.0 - SLACK) - spent - STARTUP - 2.0 * check
    batch, per_sample = recipe.batch, pace.step / recipe.batch
    while recipe.batch == SMALLEST and batch < LARGEST:
        if left < 2 * batch * per_sample * USEFUL_STEPS:
            break
        batch *= 2
    steps = int(left / (batch * per_sample))
    if steps < 1:
        needed = spent + STARTUP + 2.0 * check + 10.0 * pace.step
        raise MajorantError(
            f"a budget of {budget:.0f} s holds no step of this recipe, which takes "
            f"{pace.step:.2g} s; give {needed / (1 - SLACK):.0f} s or more, or a smaller preset"
        )
    checks = max(1, min(20, int(room / check), steps))
    follow = min(recipe.average or 0.999, max(0.0, 1.0 - 20.0 / steps))
    return replace(
        recipe,
        n_train=steps * batch,
        epochs=1,
        batch=batch,
        schedule="cosine",
        warmup=min(recipe.warmup or 500, max(1, steps // 20)),
        average=follow,
        n_validation=n_validation,
        validate_every=-(-steps // checks),
        log_every=max(1, min(recipe.log_every, steps // 50)),
        save_every=steps,
        budget=budget,
    )


def fit_budget(
    recipe: Recipe,
    budget: float,
    began: float,
    make_engine: Callable[[Recipe], Engine],
    valid: SimulatedPairs,
) -> tuple[Recipe, float]:
    """Measure, and fit the recipe; return it, and the seconds a validation is expected to take.

    Parameters
    ----------
    recipe : Recipe
    budget : float
        Seconds.
    began : float
        Reading of ``time.monotonic`` when the budget began.
    make_engine : callable
        Makes an engine of a recipe.
    valid : SimulatedPairs
    """
    engine = make_engine(recipe)
    setup = time.monotonic() - began
    pace = measure(engine, valid, budget)
    # The run makes data and network anew.
    spent = engine.team.same([time.monotonic() - began + setup])[0]
    made = fitted(recipe, pace, budget, spent + pace.once)
    return made, made.n_validation * pace.sample + WRITING


def _timed(
    what: Callable[[], object], device: torch.device, count: int, *, warm: bool = True
) -> float:
    """Seconds of a call, the mean of several, all of the device's work included."""
    if warm:
        what()
    _settle(device)
    began = time.monotonic()
    for _ in range(count):
        what()
    _settle(device)
    return (time.monotonic() - began) / count


def _settle(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize()
