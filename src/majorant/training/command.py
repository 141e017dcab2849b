"""What ``majorant train`` runs: names to recipe, a progress bar, one sentence at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from majorant.errors import MajorantError, nearest
from majorant.forward.leadfield import Leadfield
from majorant.learned.families import FAMILIES
from majorant.training.fit import Outcome, Report, Trainer
from majorant.training.presets import WINDOW_MS, recipe_for
from majorant.training.team import Alone, launch

CONTINUED = ("refine", "support", "general")
"""Presets that continue from weights."""
SOLVERS = tuple(FAMILIES)
DATA = tuple(WINDOW_MS)


def train(
    solver: str = "mm-net",
    *,
    data: str = "sereega",
    preset_name: str = "tiny",
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    initial: str | os.PathLike[str] | None = None,
    devices: int = 1,
    leadfield: Leadfield | None = None,
    threads: int | None = None,
    quiet: bool = False,
) -> Outcome:
    """Train a solver on simulations.

    Parameters
    ----------
    solver : {"mm-net", "r-mm-net", "4dvarnet", "meta-curvature", "modgrad"}
    data : {"sereega", "nmm", "general"}
    preset_name : {"paper", "cpu", "refine", "support", "table", "general", "tiny"}
        The recipe, see :mod:`majorant.training.presets`.
    folder : path or None
        Run folder; None takes ``runs/SOLVER-DATA-PRESET``.
    resume : bool
        Continue the run of that folder.
    initial : path or None
        Weights to start from; ``refine``, ``support`` and ``general`` need them.
    devices : int
        Processes that share every batch; more than one needs the extra ``distributed``.
    leadfield : Leadfield or None
        None takes the packaged template, 994 regions and 90 electrodes.
    threads : int or None
        Threads of torch; None takes one for the small recipes, which gain little from more and
        then give the same bits on any number of cores, and leaves them as they are for ``paper``.
        Set back afterwards.
    quiet : bool
        No progress bar.

    Returns
    -------
    Outcome

    Raises
    ------
    MajorantError
        If a name is unknown, the folder holds another run, or a recipe that continues others is
        given no weights.
    """
    if solver not in SOLVERS or data not in DATA:
        meant = nearest(solver, SOLVERS) if solver not in SOLVERS else nearest(data, DATA)
        raise MajorantError(
            f"cannot train {solver!r} on {data!r}{meant}; choose from {', '.join(SOLVERS)} and "
            f"{', '.join(DATA)}"
        )
    recipe = recipe_for(preset_name, solver, data)
    if preset_name in CONTINUED and initial is None and not resume:
        raise MajorantError(
            f"the preset {preset_name!r} continues from weights; give them with --initial FILE"
        )
    team, device = (Alone(), torch.device("cpu")) if devices == 1 else launch(devices)
    place = Path(folder) if folder is not None else Path("runs") / f"{solver}-{data}-{preset_name}"
    before = torch.get_num_threads()
    if threads is None and preset_name != "paper":
        threads = 1
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        with _progress(recipe.steps, quiet or team.rank > 0) as report:
            trainer = Trainer(
                recipe,
                leadfield or Leadfield.template_small(),
                place,
                resume=resume,
                initial=None if initial is None else Path(initial),
                report=report,
                device=device,
                team=team,
            )
            return trainer.run()
    finally:
        torch.set_num_threads(before)


@contextmanager
def _progress(steps: int, quiet: bool) -> Iterator[Report | None]:
    """A bar with loss, localisation error and violations."""
    if quiet:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("train"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    ) as bar:
        task = bar.add_task("", total=steps)
        seen: dict[str, Any] = {}

        def report(line: dict[str, Any]) -> None:
            seen.update(line)
            words = f"loss {seen['loss']:.3f}"
            if "LE" in seen:
                words += f", LE {seen['LE']:.1f} mm, {seen['violations']} violations"
            bar.update(task, completed=line["step"], description=words)

        yield report
