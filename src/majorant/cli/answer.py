"""``--json``: one rule for every command.

``--json FILE`` writes what was found as one JSON document; ``--json -`` prints it on standard
output, and nothing else is printed there.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from majorant.errors import MajorantError

STDOUT = "-"


def check_place(place: str | None) -> str | None:
    """Refuse, before any work, a file that cannot be written."""
    if place is None or place == STDOUT:
        return place
    target = Path(place)
    folder = target.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or target.is_dir():
        raise MajorantError(
            f"{place} cannot be written; give --json a file in a folder that exists, or {STDOUT} "
            "for standard output"
        )
    return place


Json = Annotated[
    str | None,
    typer.Option(
        "--json",
        metavar="FILE|-",
        callback=check_place,
        help="Write what was found as JSON; - prints it.",
        rich_help_panel="Output",
    ),
]
"""The option ``--json`` of every command; its default is None."""


def deliver(found: Any, place: str | None) -> bool:
    """Write what was found where ``--json`` asks for it.

    Parameters
    ----------
    found : object
        Dictionaries, lists, strings and numbers.
    place : str or None
        A file, ``"-"`` for standard output, or None for nowhere.

    Returns
    -------
    bool
        Whether standard output now belongs to JSON, so that no words may go there.

    Raises
    ------
    MajorantError
        If the file cannot be written; nothing is left half-written.
    """
    if place is None:
        return False
    text = json.dumps(found, indent=2, ensure_ascii=False, default=str)
    if place == STDOUT:
        typer.echo(text)
        return True
    target = Path(place)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        part.write_text(text + "\n", encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise MajorantError(f"{target} cannot be written ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)
    return False
