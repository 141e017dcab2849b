"""What a guard does in training: windows at use against guards in training, and long runs.

    python -m benchmarks.guarded training [steps] [samples]  # windows x guard in training
    python -m benchmarks.guarded beyond [steps] [samples]    # more steps than were trained

The networks are trained here, at equal numbers of samples, from one start: 500 steps of 16 samples
each take some ten minutes on one core together. Classical MM minimises the energy of the same prior
from the same start with as many gradients.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.rows_guarded import Run, score
from majorant.forward.leadfield import Leadfield
from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.mm import ClassicalMM, SameAs
from majorant.training.fit import Trainer
from majorant.training.presets import Recipe, preset

STEPS, SAMPLES = 500, 100
ITERATIONS = 10
WINDOWS = (0, 1, 2, 5, 10)
"""Windows of the guard at use; 0 stands for none."""
MULTIPLES = (1, 2, 5, 10)
"""Lengths at use, in lengths of the training."""
GUARDS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "trained free": {},
        "guarded late": {"guard": "late", "guard_after": 0.6},
        "guarded throughout": {"guard": "on"},
    }
)
LENGTHS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "ten steps": {},
        "ten steps, guarded": {"guard": "on"},
        "random lengths": {"lengths": (4, 20)},
        "random lengths, guarded": {"lengths": (4, 20), "guard": "on"},
        "warm starts, guarded": {"warm": 20, "guard": "on"},
    }
)


def recipe(steps: int, changes: Mapping[str, Any]) -> Recipe:
    """Return the quick recipe with ten iterations, shortened, and with changes."""
    quick = preset("tiny")
    return replace(
        quick,
        name="guarded",
        network=replace(quick.network, iterations=ITERATIONS),
        n_train=quick.batch * steps,
        lengthen=0.6,
        validate_every=steps,
        n_validation=20,
        save_every=steps,
        **changes,
    )


def guards(steps: int, n: int, head: Leadfield) -> Iterator[Run]:
    """Every guard in training under every window at use."""
    data = SereegaLike(head, n, part="test")
    for words, network in trained(GUARDS, steps, head):
        for window in WINDOWS:
            solver = MMNet(network, sfreq=data.sfreq, guard=_guard(window))
            yield score(f"{words}, {_words(window)}", data, solver)
        free = MMNet(network, sfreq=data.sfreq)
        classical = ClassicalMM(SameAs(free, "gram"), max_iter=ITERATIONS)
        yield score(f"{words}, classical MM on its energy", data, classical)


def beyond(steps: int, n: int, head: Leadfield) -> Iterator[Run]:
    """Every way of training, run for more steps than it was trained for, free and guarded."""
    data = SereegaLike(head, n, part="test")
    for words, network in trained(LENGTHS, steps, head):
        for times in MULTIPLES:
            for window in (0, 2):
                solver = MMNet(network, sfreq=data.sfreq, guard=_guard(window))
                length = times * ITERATIONS
                name = f"{words}, {length} steps, {_words(window)}"
                yield score(name, data, solver, max_iter=length)


def trained(
    ways: Mapping[str, Mapping[str, Any]], steps: int, head: Leadfield
) -> Iterator[tuple[str, Any]]:
    """Train a network in every way, one after the other."""
    with _bar(len(ways) * steps) as advance, tempfile.TemporaryDirectory() as folder:
        for number, (words, changes) in enumerate(ways.items()):
            place = Path(folder) / str(number)
            trainer = Trainer(recipe(steps, changes), head, place, report=lambda _: advance())
            trainer.run()
            yield words, trainer.solver().network


def _guard(window: int) -> Guard:
    return Guard(window=window) if window else Guard("off", window=1)


def _words(window: int) -> str:
    return f"window {window}" if window else "no guard"


@contextmanager
def _bar(total: int) -> Iterator[Any]:
    """A bar on standard error; the table goes to standard output."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr)
    with Progress(console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("training", total=total)
        yield lambda: bar.advance(task)
