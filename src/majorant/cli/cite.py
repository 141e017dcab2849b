"""``majorant cite``: BibTeX of what a solver, or a run, rests on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from majorant.citations import about, keywords
from majorant.cli.answer import Json, deliver
from majorant.cli.screen import complete_solvers
from majorant.errors import MajorantError, nearest
from majorant.files.output import read_small_json
from majorant.registry import SOLVERS

NAMING = ("name", "method", "solver", "solvers", "test", "trained_on", "data", "family")
"""Fields of our JSON files whose values name solvers, methods and data."""
RECORDS = ("summary.json", "best.json", "config.json")
"""What a folder of ours holds."""
RELATED = {
    "unfolded": "unfolded-sbl",
    "cb": "champagne",
    "mackay": "champagne",
    "em": "champagne",
    "sbl": "unfolded-sbl",
}


def cite(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOLVER|RESULT",
            autocompletion=complete_solvers,
            help="A solver, an output folder, or a JSON file; default: the package itself.",
        ),
    ] = None,
    json: Json = None,
) -> None:
    """BibTeX of what a run used: package, solver, head, data.

    \b
    majorant cite champagne
    majorant cite out/demo >> references.bib
    majorant cite table1.json
    """
    words = {word for asked in what or () for word in _words(asked)}
    works = about(words)
    found = [{"key": work.key, "type": work.kind, **work.fields} for work in works]
    if not deliver(found, json):
        typer.echo("\n\n".join(work.text for work in works))


def _words(asked: str) -> set[str]:
    """Keywords of a solver or of a result."""
    known, name = keywords(), asked.lower().replace("_", "-")
    if name in known or name in SOLVERS:
        return {name}
    place = Path(asked)
    if place.is_dir():
        records = [place / name for name in RECORDS if (place / name).is_file()]
        if not records:
            raise MajorantError(
                f"the folder {place} holds none of {', '.join(RECORDS)}; give an output folder "
                "of majorant, or a solver"
            )
        place = records[0]
    if not place.is_file():
        raise MajorantError(
            f"there is no solver and no result {asked!r}{nearest(name, known)}; give one of "
            f"{', '.join(SOLVERS)}, an output folder, or a JSON file"
        )
    return used(_read(place))


def _read(place: Path) -> Any:
    found = read_small_json(place)
    if found is None:
        raise MajorantError(
            f"{place} cannot be read as JSON; give a summary.json, or what --json wrote"
        )
    return found


def used(document: Any) -> set[str]:
    """Say what a result of the package rests on.

    Parameters
    ----------
    document : object
        What one of our JSON files holds.

    Returns
    -------
    set of str
        Keywords of :func:`majorant.citations.about`.

    Raises
    ------
    MajorantError
        If nothing in it is known.
    """
    known = keywords()
    named = {str(value).lower() for value in _named(document)}
    words = {word for name in named for word in (name, RELATED.get(name.split("-")[0], name))}
    found = (words | {word.split()[0] for word in words if word}) & known
    if not found:
        raise MajorantError("the file names no solver that is known; give a summary.json")
    if isinstance(document, dict) and {"decisions", "levels"} & set(document):
        found.add("recording")
    if isinstance(document, dict) and _on_template(document):
        found.add("template")
    return found


def _on_template(document: dict[str, Any]) -> bool:
    """Whether a run used the template head."""
    settings = document.get("settings", {})
    image = settings.get("image", settings) if isinstance(settings, dict) else {}
    own = image if isinstance(image, dict) else {}
    return {"decisions", "levels"} & set(document) != set() and own.get("forward") is None


def _named(document: Any) -> Iterator[str]:
    """Values of the fields that name solvers, methods and data, wherever they stand."""
    # A list of what is left, and no recursion: a file may be nested as deeply as it likes.
    left = [document]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left.extend(part)
        elif isinstance(part, dict):
            for field, value in part.items():
                values = value if isinstance(value, list) else [value]
                if field in NAMING:
                    yield from (text for text in values if isinstance(text, str))
                left.append(value)
