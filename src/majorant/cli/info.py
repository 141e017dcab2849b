"""``majorant info``: versions, solvers, and checks that can fail."""

from __future__ import annotations

import typer

from majorant.cli.answer import STDOUT, Json, deliver
from majorant.cli.screen import FAILED


def info(json: Json = None) -> None:
    """Versions, cache, solvers, and a self-check; exit status 1 if a check failed.

    \b
    majorant info
    majorant info --json -
    """
    from majorant.selfcheck import document, print_info

    found = document()
    if json != STDOUT:
        print_info(found)
    deliver(found, json)
    if not all(check["good"] for check in found["checks"]):
        raise typer.Exit(FAILED)
