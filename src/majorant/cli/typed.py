"""What was typed, as a page repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def typed(arguments: Sequence[str]) -> str:
    """Return the command, fit to be shared: of far files the names, not where they lie.

    Parameters
    ----------
    arguments : sequence of str
        As in ``sys.argv``.
    """
    return shlex.join(["majorant", *map(_near, arguments[1:])])


def _near(word: str) -> str:
    far = word.startswith(("~", "..")) or Path(word).is_absolute()
    return Path(word).name if far else word
