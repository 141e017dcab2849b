"""What limits the accuracy: runs that differ in one thing each, against the same base, in pairs.

    python -m benchmarks.ablation                    # every variant, 500 steps each
    python -m benchmarks.ablation spectral,hard 100  # two variants, 100 steps
    python -m benchmarks.ablation all 500 300 rows.json

Every row is judged on the same validation samples under the guard. Samples differ far more from
each other than networks do, so what is given beside the means is the difference to the base sample
by sample, with a 95 % bootstrap interval: a variant wins where the interval keeps off zero.
"""

from __future__ import annotations

import copy
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from benchmarks.recipes import base
from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield
from majorant.learned.mmnet import MMNet
from majorant.metrics.localisation import Localisation, Scores, bootstrap
from majorant.simulate.dataset import Batch, SereegaLike, SereegaSettings
from majorant.solvers.loop import solve
from majorant.training.fit import Trainer

STEPS, SAMPLES, AT_ONCE = 500, 300, 100
SIZES = ((1, STEPS), (2, SAMPLES))
"""Steps and samples: where they stand among the arguments, and their defaults."""
METRICS = {"LE": "le", "AUC": "auc", "PSNR": "psnr"}


class Hard(SereegaLike):
    """Of every two samples the one whose patch the electrodes see less of: deep ones, medial ones.

    The data are divided by their largest value, so the smaller divisor is the weaker source.
    """

    def __init__(self, leadfield: Leadfield, n: int) -> None:
        super().__init__(leadfield, n)
        self.pool = SereegaLike(leadfield, 2 * n)

    def batch(self, index: Tensor | Sequence[int] | range, epoch: int = 0) -> Batch:
        """Make samples; see :meth:`SimulatedPairs.batch`."""
        first = torch.as_tensor(index, dtype=torch.int64).flatten()
        one, two = (self.pool.batch(2 * first + k, epoch) for k in (0, 1))
        weaker = two.scale < one.scale
        return Batch(
            **{
                name: torch.where(weaker.view(-1, *(1,) * (value.ndim - 1)), other, value)
                for (name, value), other in zip(vars(one).items(), vars(two).values(), strict=True)
            }
        )


class Curriculum(SereegaLike):
    """5 to 20 dB in the first half of the steps, then the signal-to-noise ratio of the task."""

    def __init__(self, leadfield: Leadfield, n: int, steps: int) -> None:
        super().__init__(leadfield, n)
        self.easy = SereegaLike(leadfield, n, settings=SereegaSettings(snr_db=(5.0, 20.0)))
        self.half = steps // 2

    def turn(self, step: int) -> SereegaLike:
        """Easy samples first."""
        return self.easy if step < self.half else self


@dataclass(frozen=True)
class Variant:
    """What is different.

    Attributes
    ----------
    words : str
    network, recipe : mapping
        Entries of the network's settings and of the recipe.
    data : {"", "hard", "curriculum"}
        Which training samples.
    use : {"", "twice", "minimum-norm", "both"}
        How the base, which is not trained anew, is used: for twice as many iterations, from the
        minimum norm, or from both starts with the mean of the two directions.
    """

    words: str
    network: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    data: str = ""
    use: str = ""


VARIANTS: Mapping[str, Variant] = MappingProxyType(
    {
        "base": Variant("the base"),
        "again": Variant("the base, other start and order of training", recipe={"seed": 7}),
        "noise": Variant("start from noise", network={"start": "noise"}),
        "minimum-norm": Variant("start from the minimum norm", network={"start": "minimum-norm"}),
        "six": Variant("six iterations", network={"iterations": 6}),
        "eight": Variant("eight iterations", network={"iterations": 8}),
        "gram": Variant("Gram-structured step", network={"step": "gram"}),
        "width": Variant("prior with 256 channels", network={"prior_hidden": 256}),
        "cells": Variant("cells with 96 channels", network={"hidden": 96}),
        "spectral": Variant("prior's layers held to a norm of 4", recipe={"spectral": 4.0}),
        "last": Variant("loss of the last iterate only", recipe={"deep": 0.0}),
        "support": Variant("loss of compressed amplitudes added", recipe={"support": 0.5}),
        "hard": Variant("weak sources twice as often", data="hard"),
        "curriculum": Variant("5 to 20 dB in the first half", data="curriculum"),
        "average": Variant("moving average of weights, 0.98", recipe={"average": 0.98}),
        "lengths": Variant("2 to 8 iterations, drawn every step", recipe={"lengths": (2, 8)}),
        "on": Variant("guard in training", recipe={"guard": "on"}),
        "twice": Variant("the base, used for eight iterations", use="twice"),
        "other": Variant("the base, used from the minimum norm", use="minimum-norm"),
        "both": Variant("the base, mean of two starts", use="both"),
    }
)


def main(arguments: Sequence[str]) -> None:
    """Print the table; arguments: [variants or all] [steps] [samples] [file of the rows]."""
    names = list(VARIANTS)
    if arguments and arguments[0] != "all":
        names = ["base", *(name for name in arguments[0].split(",") if name != "base")]
    unknown = [name for name in names if name not in VARIANTS]
    if unknown:
        raise MajorantError(
            f"there is no variant {unknown[0]!r}; choose from {', '.join(VARIANTS)}"
        )
    steps, samples = (int(arguments[i]) if len(arguments) > i else n for i, n in SIZES)
    torch.set_num_threads(1)
    rows = []
    print("| variant | LE | AUC | PSNR | minutes |\n|---|---|---|---|---|")
    for row in study(names, steps, samples, Leadfield.template_small()):
        rows.append(asdict(row))
        print(row, flush=True)
        if len(arguments) > 3:
            Path(arguments[3]).write_text(json.dumps(rows, indent=1) + "\n")


@dataclass(frozen=True)
class Row:
    """A variant's means, and its differences to the base with their intervals.

    Attributes
    ----------
    name, words : str
    means : dict of str to float
    apart : dict of str to tuple of float
        Mean difference, and the ends of its 95 % interval; empty for the base.
    minutes : float
        Processor time of the training; 0 where nothing was trained.
    """

    name: str
    words: str
    means: Mapping[str, float]
    apart: Mapping[str, tuple[float, float, float]]
    minutes: float

    def __str__(self) -> str:
        cells = []
        for key, mean in self.means.items():
            cells.append(f"{mean:.2f}")
            if self.apart:
                middle, low, high = self.apart[key]
                cells[-1] += f" ({middle:+.2f}; {low:+.2f}, {high:+.2f})"
        spent = f"{self.minutes:.1f}" if self.minutes else "-"
        return f"| {self.words} | {' | '.join(cells)} | {spent} |"


def study(names: Sequence[str], steps: int, samples: int, leadfield: Leadfield) -> Iterator[Row]:
    """Train and judge variants in turn; the first is the base, and the others stand beside it.

    Parameters
    ----------
    names : sequence of str
        Of :data:`VARIANTS`, ``"base"`` first.
    steps, samples : int
        Of each training, and of the validation.
    leadfield : Leadfield

    Yields
    ------
    Row
    """
    held: tuple[MMNet, Tensor] | None = None
    for name in names:
        variant, began = VARIANTS[name], time.process_time()
        if variant.use and held is not None:
            solver, minutes = held[0], 0.0
        else:
            solver = trained(variant, steps, leadfield)
            minutes = (time.process_time() - began) / 60.0
        values = judged(solver, variant.use, leadfield, samples)
        if held is None:
            held = (solver, values)
        apart: dict[str, tuple[float, float, float]] = {}
        if name != names[0]:
            found = bootstrap(values - held[1])
            apart = {k: (i.mean, i.low, i.high) for k, i in zip(METRICS, found, strict=True)}
        means = dict(zip(METRICS, values.mean(0).tolist(), strict=True))
        yield Row(name, variant.words, means, apart, minutes)


def trained(variant: Variant, steps: int, leadfield: Leadfield) -> MMNet:
    """Train one variant; the solver, guarded."""
    recipe = base(steps)
    network = replace(recipe.network, **variant.network)
    recipe = replace(recipe, network=network, n_validation=8, **variant.recipe)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, leadfield, Path(folder))
        if variant.data == "hard":
            trainer.engine.train = Hard(leadfield, recipe.n_train)
        elif variant.data == "curriculum":
            trainer.engine.train = Curriculum(leadfield, recipe.n_train, steps)
        trainer.run()
        return trainer.solver()


def judged(solver: MMNet, use: str, leadfield: Leadfield, samples: int) -> Tensor:
    """Metrics of every validation sample, (n_samples, 3)."""
    data = SereegaLike(leadfield, samples, part="validation")
    judge, scores = Localisation(leadfield, data.sfreq), []
    for batch in data.batches(AT_ONCE):
        problem = data.problem(batch)
        if use == "both":
            pair = (solver, started(solver, "minimum-norm"))
            ways = torch.stack([solve(problem, one).estimate for one in pair])
            estimate = torch.nn.functional.normalize(ways.flatten(2), dim=2).mean(0)
            estimate = estimate.reshape(ways.shape[1:])
        else:
            chosen = started(solver, use) if use == "minimum-norm" else solver
            more = 2 * solver.max_iter if use == "twice" else None
            estimate = solve(problem, chosen, max_iter=more).estimate
        scores.append(judge.score(batch.x, estimate.to(batch.y.dtype), batch.seed))
    joined = Scores.cat(scores)
    return torch.stack([getattr(joined, name).double() for name in METRICS.values()], dim=1)


def started(solver: MMNet, start: str) -> MMNet:
    """The same solver from another start."""
    network = copy.deepcopy(solver.network)
    network.settings = replace(network.settings, start=start)
    return MMNet(network, sfreq=solver.sfreq, guard=solver.guard)


if __name__ == "__main__":
    main(sys.argv[1:])
