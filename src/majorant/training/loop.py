"""The one training loop: steps, logs, validations, checkpoints, until the end or the deadline.

What is trained, a network of the MM-Net family, weights shared over sources or a growing unfolded
solver, is a :class:`Course`: it gives losses and a plan, and knows how to validate and keep itself.
When it is asked to is decided here, once for all.

A run folder holds ``log.jsonl``, ``last.safetensors`` (a checkpoint to continue from) and the
weights that a solver loads. Whatever a step depends on is a function of its number, so a run that
is killed and continued gives the same weights bit for bit on one machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

__all__ = ["LAST", "LOG", "Course", "Report", "Rhythm", "carry_out", "write_line"]

LOG, LAST = "log.jsonl", "last.safetensors"

Report = Callable[[dict[str, Any]], None]
"""Called after every step with ``step``, ``steps``, at times ``loss``, and metrics if validated."""


class Course(Protocol):
    """What is trained, as the loop sees it.

    Attributes
    ----------
    step, steps : int
        Taken, and planned.
    """

    @property
    def step(self) -> int: ...
    @property
    def steps(self) -> int: ...

    def update(self) -> Tensor:
        """Take a step; return its losses, the one that is minimised first, shape (n_losses,)."""
        ...

    def log(self, losses: Tensor, seconds: float) -> None:
        """Note the mean losses since the last time, and the seconds of this call so far."""
        ...

    def validate(self) -> Mapping[str, Any]:
        """Judge what was learned so far, and keep it if it is worth it; return metrics."""
        ...

    def save(self) -> None:
        """Write a checkpoint, whole or not at all."""
        ...

    def late(self, deadline: float, taken: float) -> bool:
        """Whether there is no time for another step, which takes so long, and to finish."""
        ...


@dataclass(frozen=True)
class Rhythm:
    """When a run pauses for what.

    Attributes
    ----------
    log, validate, save : int
        In steps.
    pause : float
        Seconds after which a checkpoint is due in any case.
    look : bool
        Whether there is a validation when the time is up.
    """

    log: int
    validate: int
    save: int
    pause: float = float("inf")
    look: bool = True


def carry_out(
    course: Course,
    rhythm: Rhythm,
    *,
    until: int | None = None,
    deadline: float | None = None,
    report: Report | None = None,
) -> None:
    """Train to the end, to a step, or until the time is up.

    Parameters
    ----------
    course : Course
    rhythm : Rhythm
    until : int or None
        Step to stop at.
    deadline : float or None
        Reading of ``time.monotonic`` by which everything is written.
    report : callable or None
        Takes what happened after every step.
    """
    last = course.steps if until is None else min(until, course.steps)
    began = saved = turn = time.monotonic()
    losses, counted = None, 0
    while course.step < last:
        found = course.update()
        turn, taken = time.monotonic(), time.monotonic() - turn
        losses, counted = found if losses is None else losses + found, counted + 1
        line: dict[str, Any] = {"step": course.step, "steps": course.steps}
        final = course.step >= course.steps
        if course.step % rhythm.log == 0 or final:
            mean = losses / counted
            course.log(mean, time.monotonic() - began)
            losses, line["loss"] = None, float(mean[0])
            counted = 0
        late = deadline is not None and course.late(deadline, taken)
        if course.step % rhythm.validate == 0 or final or (late and rhythm.look):
            line |= course.validate()
        due = course.step % rhythm.save == 0 or time.monotonic() - saved > rhythm.pause
        if due or final or late or course.step >= last:
            course.save()
            saved = time.monotonic()
        if report is not None:
            report(line)
        if late:
            return


def write_line(folder: Path, entry: Mapping[str, Any]) -> None:
    """Append an entry to the log of a run."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(dict(entry)) + "\n")
