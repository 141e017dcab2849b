"""Where the baselines of Table I are tuned: short runs that differ in one thing each.

    python -m benchmarks.tuning                     # every setting of every method, 300 steps
    python -m benchmarks.tuning meta-curvature      # one method
    python -m benchmarks.tuning 4dvarnet 100        # one method, 100 steps

Every run is the recipe ``table`` (``majorant train METHOD --preset table``), cut to 300 steps of 16
samples: a minute on one idle core. What is tried is tried for MM-Net too, where it has it, so that
no method gets more attention than another. Rows are those of ``docs/table1.md``; the best LE on
validation, never on a test set, decides what ``recipe_for`` holds.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch

from benchmarks.recipes import short_run
from majorant.errors import MajorantError, nearest
from majorant.training.presets import Recipe, recipe_for

STEPS, BATCH, VALIDATION = 300, 16, 100
HEADER = "| method | setting | loss | LE mm | PSNR dB | processor s |\n|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Trial:
    """One setting of a method.

    Attributes
    ----------
    words : str
    network : mapping of str to value
        Changes of the network's settings.
    pace : float
        Factor of both learning rates of the recipe.
    """

    words: str
    network: Mapping[str, Any] = field(default_factory=dict)
    pace: float = 1.0


KEPT = Trial("as kept")
STARTS = (
    Trial("start from noise", {"start": "noise"}),
    Trial("start from the minimum norm", {"start": "minimum-norm"}),
)
PACES = (Trial("half the learning rate", pace=0.5), Trial("twice the learning rate", pace=2.0))


def _lengths(name: str, values: Sequence[float]) -> tuple[Trial, ...]:
    return tuple(Trial(f"`{name}` {value:g}", {name: value}) for value in values)


GRID: Mapping[str, tuple[Trial, ...]] = MappingProxyType(
    {
        "meta-curvature": (KEPT, *_lengths("step", (0.1, 0.5, 1.0)), *PACES, *STARTS),
        "modgrad": (KEPT, *_lengths("step", (0.1, 0.5, 1.0)), *PACES, *STARTS),
        "4dvarnet": (KEPT, *_lengths("descent", (0.1, 1.0)), *PACES, *STARTS),
        "r-mm-net": (KEPT, *PACES, *STARTS),
        "mm-net": (KEPT, *PACES, *STARTS),
    }
)
"""What is tried; everything that a trial does not name is as kept."""


def shortened(method: str, trial: Trial, steps: int = STEPS) -> Recipe:
    """Return the recipe of a trial.

    Raises
    ------
    MajorantError
        If the method is not tuned here.
    """
    if method not in GRID:
        raise MajorantError(
            f"there is nothing to tune for {method!r}{nearest(method, GRID)}; choose from "
            f"{', '.join(GRID)}"
        )
    recipe = recipe_for("table", method)
    return replace(
        recipe,
        network=replace(recipe.network, **trial.network),
        n_train=BATCH * steps,
        batch=BATCH,
        rate=trial.pace * recipe.rate,
        prior_rate=trial.pace * recipe.prior_rate,
        warmup=min(50, steps),
        log_every=min(50, steps),
        average=0.0,
        n_validation=VALIDATION,
        validate_every=10 * steps,
        save_every=10 * steps,
    )


def run(method: str, trial: Trial, steps: int = STEPS) -> str:
    """Train one setting and return its row; one that came apart says so."""
    recipe = shortened(method, trial, steps)
    try:
        loss, m, seconds = short_run(recipe)
    except MajorantError as error:
        return f"| {method} | {trial.words} | - | - | - | {error} |"
    return (
        f"| {method} | {trial.words} | {loss:.3f} | {m['LE']:.1f} | {m['PSNR']:.1f} | "
        f"{seconds:.0f} |"
    )


def main(arguments: Sequence[str]) -> None:
    """Print the table; arguments: [method or all] [steps]."""
    names = list(GRID) if not arguments or arguments[0] == "all" else [arguments[0]]
    steps = int(arguments[1]) if len(arguments) > 1 else STEPS
    torch.set_num_threads(1)
    shortened(names[0], KEPT, steps)
    print(HEADER)
    for name in names:
        for trial in GRID[name]:
            print(run(name, trial, steps), flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except MajorantError as error:
        sys.exit(str(error))
