"""Templates of the pages: HTML stands in ``templates/``, and whatever goes into it is escaped.

Every text that a template shows is made calm (no control or bidirectional characters) and escaped,
whoever wrote it; only what a template drew itself, or what was said to be markup, stands as it is.
A name that a template does not know is an error, never an empty place.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from majorant.words import calm

__all__ = ["drawn", "template"]

SUFFIX = ".html.jinja"


def template(name: str) -> Any:
    """Return the macros of a template; each returns Markup.

    Parameters
    ----------
    name : str
        Of the file in ``templates/``, without its ending.
    """
    return _environment().get_template(name + SUFFIX).module


def drawn(name: str, **shown: Any) -> str:
    """Return a whole template as text.

    Parameters
    ----------
    name : str
        Of the file in ``templates/``, without its ending.
    **shown
        What it shows.
    """
    return _environment().get_template(name + SUFFIX).render(**shown)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FunctionLoader(_text),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_calm,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _text(name: str) -> str:
    return resources.files("majorant.report").joinpath("templates", name).read_text("utf-8")


def _calm(value: Any) -> Any:
    """Return what a template shows, before it is escaped: markup as it is, all else calm."""
    return value if isinstance(value, Markup) else calm(value)
