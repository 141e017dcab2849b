"""What was typed, looked at before anything runs: a slip of the pen loads nothing numerical.

Every command's options pass here: numbers are finite, files are there and are files, a name can be
one, a solver is known. What only a reader can tell is left to the reader.
"""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from majorant.errors import MajorantError
from majorant.registry import spec

__all__ = ["check_all", "check_words", "folder_there", "known_solver", "known_solvers", "there"]

LONGEST = 255
"""Bytes of a name that file systems take."""
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_words(words: Sequence[str]) -> None:
    """Refuse empty words, which would stand for the present folder, or for nothing.

    Raises
    ------
    MajorantError
        Naming the option.
    """
    for before, word in zip(("", *words), words, strict=False):
        empty = re.fullmatch(r"(--[\w-]+)=\s*", word)
        if empty or not word.strip():
            option = empty[1] if empty else before
            what = f"the value of {option}" if option.startswith("-") else "one of the words"
            raise MajorantError(f"{what} is empty; give one, or leave it out")


def check_all(command: Any, ctx: Any) -> None:
    """Look at everything that was given to a command.

    Raises
    ------
    MajorantError
        If a number is not finite, or a path leads to no file or cannot be one.
    """
    for parameter in command.get_params(ctx):
        value = ctx.params.get(parameter.name)
        option = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name.upper()
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, float) and not math.isfinite(part):
                raise MajorantError(f"{option} is {part:g}; give a finite number")
            if isinstance(part, str | Path):
                _check_path(part, option)


def _check_path(value: str | Path, option: str) -> None:
    text = str(value)
    try:
        place = Path(text).expanduser() if text.startswith("~") else Path(text)
    except RuntimeError as error:
        raise MajorantError(
            f"{option}: there is no home folder for {text.split('/')[0]}; write the path out"
        ) from error
    long = [name for name in place.parts if len(os.fsencode(name)) > LONGEST]
    if isinstance(value, Path) and long:
        raise MajorantError(
            f"{option}: the name {long[0][:40]}... has {len(os.fsencode(long[0]))} bytes, and a "
            f"file's name has {LONGEST} at most; check the path"
        )
    try:
        kind = KINDS.get(stat.S_IFMT(place.stat().st_mode))
    except (OSError, ValueError):
        return
    if kind is not None:
        raise MajorantError(f"{option}: {text} is {kind} and no file; give a file")


def there(path: Path | None) -> Path | None:
    """Refuse a file that is not there; one that stands for many is looked for later."""
    return _there(path, "file")


def folder_there(path: Path | None) -> Path | None:
    """Refuse a folder that is not there."""
    return _there(path, "folder")


def _there(path: Path | None, what: str) -> Path | None:
    if path is None or "{" in str(path):
        return path
    try:
        found = path.expanduser().exists()
    except (OSError, RuntimeError, ValueError):
        # Said in full once everything is read, with the option that gave it.
        return path
    if not found:
        raise MajorantError(f"there is no {what} {path}; check the path")
    return path


def known_solver(name: str) -> str:
    """Refuse a solver that there is not; MajorantError names the nearest."""
    spec(name)
    return name


def known_solvers(text: str | None) -> str | None:
    """Refuse a list of solvers with one that there is not; MajorantError names the nearest."""
    for name in _listed(text):
        spec(name)
    return text


def _listed(text: str | None) -> Iterable[str]:
    return (part.strip() for part in (text or "").split(",") if part.strip())
