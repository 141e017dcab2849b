"""``torch.compile`` around one iteration of the unrolled solver, where there is a compiler.

Compiling fuses what lies between the matrix products. It needs a compiler of the device at run
time; where there is none, or it fails, training goes on without, and says so in one line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from majorant.training.bilevel import Iteration, iterate


def worth_it(device: torch.device, asked: bool | None) -> bool:
    """Whether to compile: as asked, or on accelerators.

    Parameters
    ----------
    device : torch.device
    asked : bool or None
    """
    return device.type != "cpu" if asked is None else asked


@cache
def _compiled() -> Iteration:
    return torch.compile(iterate)


def compiled_iteration(
    trial: Callable[[Iteration], object], say: Callable[[str], None] = print
) -> Iteration:
    """Return the compiled iteration, or the plain one where it cannot be compiled.

    Parameters
    ----------
    trial : callable
        Takes a step forward and backward with the iteration it is given; it compiles both.
    say : callable
        Takes the one line that tells of a failure.
    """
    try:
        made = _compiled()
        trial(made)
    # The compiler's own errors are RuntimeErrors; a missing tool is an OSError or an ImportError.
    # What it made asserts how arrays are laid out in memory.
    except (RuntimeError, OSError, ImportError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        say(f"not compiled, training goes on without: {reason[:160]}")
        return iterate
    return made
