"""What was typed, as a page repeats it and a record keeps it: fit to be shared."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path


def typed(arguments: Sequence[str]) -> str:
    """Return the command in one line; see :func:`shared`."""
    return shlex.join(shared(arguments))


def shared(arguments: Sequence[str]) -> list[str]:
    """Return the words of the command: of files the names, not where they lie.

    Parameters
    ----------
    arguments : sequence of str
        As in ``sys.argv``.
    """
    return ["majorant", *map(_without_place, arguments[1:])]


def _without_place(word: str) -> str:
    option, equals, value = word.rpartition("=")
    place = Path(value).expanduser()
    far = value.startswith("..") or place.is_absolute() or place.exists()
    return f"{option}{equals}{place.name}" if far and place.name else word
