"""The floors of posterior deviations that come with the package, by solver."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from majorant.solvers.floors import Floors

FILE = Path(__file__).with_name("floors.json")


@cache
def _held() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


SAME = {"auto": "scan", "unfolded-sbl": ""}
"""Solvers that are another one, or whose weights bring floors of their own."""


@cache
def shipped_floors(name: str) -> Floors | None:
    """Return the floors of a solver or of packaged weights; None where there are none.

    Parameters
    ----------
    name : str
        Of a solver, or "unfolded-" and the name of its weights: "unfolded-everyday". Weights that
        have none of their own take those of "unfolded-everyday".
    """
    held, own = _held(), SAME.get(name, name)
    if own.startswith("unfolded-"):
        own = own if own in held else "unfolded-everyday"
    return Floors.of_card(held[own]) if own in held else None
