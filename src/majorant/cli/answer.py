"""``--json``: one rule for every command.

``--json FILE`` writes what was found as one JSON document; ``--json -`` prints it on standard
output, and nothing else is printed there.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer

from majorant.cli.voice import STEERS
from majorant.errors import MajorantError

STDOUT = "-"


def check_place(place: str | None) -> str | None:
    """Refuse, before any work, a file that cannot be written."""
    if place is None or place == STDOUT:
        return place
    from majorant.files.output import check_file

    check_file(place, option="--json")
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
    text = STEERS.sub(_coded, json.dumps(found, indent=2, ensure_ascii=False, default=str))
    if place == STDOUT:
        typer.echo(text)
        return True
    from majorant.files.output import check_file
    from majorant.files.write import write_file

    try:
        write_file(check_file(place, option="--json"), text + "\n")
    except OSError as error:
        raise MajorantError(f"{place} cannot be written ({error.strerror})") from error
    return False


def _coded(found: re.Match[str]) -> str:
    """A character that would steer a terminal, as JSON may also write it."""
    return f"\\u{ord(found[0]):04x}"
