"""What ``majorant train`` runs: names to recipe, a progress bar, one sentence at the end."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from majorant.errors import MajorantError, nearest
from majorant.forward.leadfield import Leadfield
from majorant.learned.families import FAMILIES
from majorant.pace import Pace
from majorant.randomness import takes_rng
from majorant.simulate.dataset import SimulatedPairs
from majorant.simulate.heads import Heads
from majorant.training.budget import (
    STARTUP,
    fit_budget,
    parse_budget,
    solving_seconds,
    under_budget,
)
from majorant.training.compiled import worth_it
from majorant.training.engine import Engine
from majorant.training.fit import CONFIG, Outcome, RunSite, Trainer, read_config, simulated, sized
from majorant.training.loop import Report
from majorant.training.presets import WINDOW_MS, Recipe, recipe_for
from majorant.training.recipes import CONTINUED, find_recipe
from majorant.training.team import Alone, Team, launch

SOLVERS = tuple(FAMILIES)
DATA = tuple(WINDOW_MS)
DEVICES = ("auto", "cpu", "cuda")
LARGEST_BATCH = 65_536
"""Samples a step; their gradients would not help each other any more."""


def check_asked(seed: int | None, batch: int | None, folder: str | os.PathLike[str] | None) -> None:
    """Refuse what no machine holds, and a run folder that is none.

    Raises
    ------
    MajorantError
        Naming it.
    """
    if seed is not None and not 0 <= seed < 2**63:
        raise MajorantError(f"the seed is {seed}; give a whole number from 0 to 2^63 - 1")
    if batch is not None and not 1 <= batch <= LARGEST_BATCH:
        raise MajorantError(f"{batch} samples a step were asked for; expected 1 to {LARGEST_BATCH}")
    if folder is not None and os.path.lexists(folder) and not os.path.isdir(folder):
        raise MajorantError(f"{os.fspath(folder)} is there and is no folder; give another --folder")


@takes_rng
@dataclass(frozen=True, kw_only=True)
class TrainingRequest:
    """What is asked of a training.

    Attributes
    ----------
    solver : {"mm-net", "r-mm-net", "4dvarnet", "meta-curvature", "modgrad"}
    data : {"sereega", "nmm", "general"}
    preset : str
        The recipe is that of ``solver/preset`` in :data:`majorant.training.recipes.RECIPES`.
    folder : path or None
        Run folder; None takes ``runs/SOLVER-DATA-PRESET``.
    resume : bool
        Continue the run of that folder, with the schedule it was given.
    initial : path or None
        Weights to start from; presets that continue others need them
        (:data:`majorant.training.recipes.CONTINUED`).
    budget : str or None
        Wall-clock time, as ``"20min"``: a new run fits its schedule to it, and any run ends within
        it, with a checkpoint.
    batch : int or None
        Samples of a step; None takes the preset's. A GPU takes a hundred as fast as sixteen.
    checkpointing : bool
        Recompute iterations in the backward pass; an eighth of the memory, a third more time.
    seed : int or None
        Of start, order and samples; None takes the preset's. A run that goes on from weights of the
        same preset sees new samples under another seed only.
    """

    solver: str = "mm-net"
    data: str = "sereega"
    preset: str = "tiny"
    folder: str | os.PathLike[str] | None = None
    resume: bool = False
    initial: str | os.PathLike[str] | None = None
    budget: str | None = None
    batch: int | None = None
    checkpointing: bool = False
    seed: int | None = None

    @property
    def place(self) -> Path:
        """The run folder."""
        own = Path("runs") / f"{self.solver}-{self.data}-{self.preset}"
        return own if self.folder is None else Path(self.folder)

    @property
    def own(self) -> dict[str, Any]:
        """What changes the preset's recipe."""
        return {} if self.batch is None else {"batch": self.batch}

    def recipe(self) -> Recipe:
        """The recipe of the names, with what was asked for; those that continue want weights."""
        found = _recipe(
            self.solver, self.data, self.preset, self.initial is not None or self.resume
        )
        if self.seed is not None:
            found = replace(found, seed=self.seed, data_seed=self.seed)
        found = replace(found, **self.own)
        return replace(found, checkpointing=True) if self.checkpointing else found


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What a training runs on.

    Attributes
    ----------
    device : {"cpu", "cuda", "auto"}
        Where data are made and the network is trained; ``"auto"`` takes CUDA where there is one.
    devices, nodes : int
        Processes on every node, and nodes, that share every batch; more than one process needs the
        extra ``distributed``.
    compiled : bool or None
        Whether iterations are compiled; None does so on CUDA, where all data have one head.
    threads : int or None
        Threads of torch; None takes one for the small recipes, which gain little from more and
        then give the same bits on any number of cores, and leaves them as they are for ``paper``.
        Set back afterwards.
    """

    device: str = "cpu"
    devices: int = 1
    nodes: int = 1
    compiled: bool | None = None
    threads: int | None = None


def train(
    request: TrainingRequest,
    hardware: Hardware | None = None,
    *,
    leadfield: Leadfield | None = None,
    heads: Heads | None = None,
    began: float | None = None,
    quiet: bool = False,
) -> Outcome:
    """Train a solver of the MM-Net family on simulations.

    Parameters
    ----------
    request : TrainingRequest
    hardware : Hardware or None
        None is one process on the CPU.
    leadfield : Leadfield or None
        None takes the packaged template, 994 regions and 90 electrodes.
    heads : callable or None
        Makes the heads that general data are simulated on.
    began : float or None
        Reading of ``time.monotonic`` from which the budget counts; None counts from the call.
    quiet : bool
        No progress bar.

    Returns
    -------
    Outcome

    Raises
    ------
    MajorantError
        If a name is unknown, the folder holds another run, a recipe that continues others is given
        no weights, or the budget holds no step.
    """
    began = time.monotonic() if began is None else began
    hardware = hardware or Hardware()
    check_asked(request.seed, request.batch, request.folder)
    recipe = request.recipe()
    seconds = None if request.budget is None else parse_budget(request.budget)
    team, where = launched(hardware.device, hardware.devices, hardware.nodes)
    quiet = quiet or team.rank > 0
    compiled = hardware.compiled
    if compiled is None and request.data == "general":
        compiled = False  # every cap has its own number of electrodes, and would be a graph
    with _threads(hardware.threads, request.preset):
        head = leadfield or Leadfield.template_small()
        site = RunSite(where, team, worth_it(where, compiled), say=_speaker(quiet))
        closing = 0.0
        if request.resume:
            recipe = _frozen(request.place, recipe, request.seed is not None)
        elif seconds is not None:
            _refuse_taken(request.place)
            base = sized(replace(under_budget(recipe, where), **request.own), head)
            made = partial(simulated, leadfield=head, device=where, heads=heads)
            recipe, closing = _fitted(base, seconds, began, made, site)
        with _progress(recipe.steps, quiet) as report:
            trainer = Trainer(
                recipe,
                head,
                request.place,
                resume=request.resume,
                initial=None if request.initial is None else Path(request.initial),
                report=report,
                site=site,
                heads=heads,
            )
            if request.resume and seconds is not None:
                closing = recipe.n_validation * solving_seconds(trainer.recipe, trainer.valid)
            trainer.closing = closing
            deadline = None if seconds is None else began + seconds - STARTUP
            return trainer.run(deadline=deadline)


@contextmanager
def _threads(asked: int | None, preset: str) -> Iterator[None]:
    """Train with so many threads of torch, and set them back."""
    before = torch.get_num_threads()
    if asked is None and preset != "paper":
        asked = 1
    if asked is not None:
        torch.set_num_threads(asked)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _refuse_taken(place: Path) -> None:
    if (place / CONFIG).exists():
        raise MajorantError(
            f"{place} holds a run already; continue it with --resume, or give another folder"
        )


def _recipe(solver: str, data: str, preset_name: str, weighted: bool) -> Recipe:
    """The recipe of the names; those that continue others ask for weights."""
    if solver not in SOLVERS or data not in DATA:
        meant = nearest(solver, SOLVERS) if solver not in SOLVERS else nearest(data, DATA)
        raise MajorantError(
            f"cannot train {solver!r} on {data!r}{meant}; choose from {', '.join(SOLVERS)} and "
            f"{', '.join(DATA)}"
        )
    find_recipe(solver, preset_name)
    recipe = recipe_for(preset_name, solver, data)
    if preset_name in CONTINUED and not weighted:
        raise MajorantError(
            f"the preset {preset_name!r} continues from weights; give them with --initial FILE"
        )
    return recipe


def launched(device: str, devices: int = 1, nodes: int = 1) -> tuple[Team, torch.device]:
    """Start the processes of a run; return this one's place among them, and its device.

    Raises
    ------
    MajorantError
        If the device is unknown or not there, or Fabric is needed and not installed.
    """
    if device not in DEVICES:
        raise MajorantError(
            f"there is no device {device!r}{nearest(device, DEVICES)}; choose one of "
            f"{', '.join(DEVICES)}"
        )
    found = torch.cuda.is_available()
    if device == "cuda" and not found:
        raise MajorantError(
            "torch sees no CUDA device here; install a CUDA build of torch, or take --device cpu"
        )
    kind = "cuda" if found and device != "cpu" else "cpu"
    if devices * nodes > 1:
        return launch(devices, nodes, kind)
    return Alone(), torch.device(kind)


def _frozen(folder: Path, recipe: Recipe, seeded: bool) -> Recipe:
    """The recipe of a run: what was fitted to a budget, and its seed unless one is asked for.

    Whether it is the run that is meant is for the trainer to judge.
    """
    held = Recipe.from_dict(read_config(folder)["recipe"])
    asked = (recipe.name, recipe.data, recipe.method)
    if (held.name, held.data, held.method) != asked:
        return recipe
    if held.budget:
        return held
    return recipe if seeded else replace(recipe, seed=held.seed, data_seed=held.data_seed)


def _fitted(
    base: Recipe,
    seconds: float,
    began: float,
    data: Callable[..., SimulatedPairs],
    site: RunSite,
) -> tuple[Recipe, float]:
    """The recipe with a schedule for the budget, and what a validation takes."""
    valid = data(base, part="validation", n=base.n_validation)

    def engine(of: Recipe) -> Engine:
        train = data(of, part="train", n=of.n_train)
        return Engine(of, train, team=site.team, compiled=site.compiled, say=site.say)

    made, closing = fit_budget(base, seconds, began, engine, valid)
    site.say(f"{made.steps} steps of {made.batch} samples fit into {seconds:.0f} s")
    return made, closing


def _speaker(quiet: bool) -> Callable[[str], None]:
    """What tells of the compiler and the budget: on standard error, results go to the other."""
    return (lambda _: None) if quiet else partial(print, file=sys.stderr)


@contextmanager
def _progress(steps: int, quiet: bool) -> Iterator[Report | None]:
    """A bar with loss, localisation error and violations; in a pipe lines, now and then.

    Either on standard error, whatever becomes of standard output: what is piped is the result.
    """
    if quiet:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    if not sys.stderr.isatty():
        pace = Pace("train", lambda line: print(line, file=sys.stderr, flush=True))
        yield lambda line: pace(line["step"], line["steps"])
        return
    with Progress(
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("", total=steps)
        seen: dict[str, Any] = {}

        def report(line: dict[str, Any]) -> None:
            seen.update(line)
            words = [f"loss {seen['loss']:.3f}"] if "loss" in seen else []
            if "LE" in seen:
                words.append(f"LE {seen['LE']:.1f} mm, {seen['violations']} violations")
            bar.update(task, completed=line["step"], description=", ".join(words))

        yield report
