"""The frame of every page: one file that opens offline, in light or dark, and prints.

It loads nothing, and runs nothing but its own script: a content security policy in its head forbids
all else, and knows the script by its hash, so that not even a hostile channel name could.
"""

from __future__ import annotations

import hashlib
import html
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from importlib import resources

from markupsafe import Markup

from majorant import __version__
from majorant.forward.surfaces import Surfaces
from majorant.report.parts import Section
from majorant.report.payload import safe_json, surface_data
from majorant.report.templating import drawn, template

__all__ = ["as_frame", "framed"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"
_STYLES = ("page.css", "tabs.css", "sheet.css")
_SCRIPTS = ("decode", "paint", "scene", "slices", "head", "chart", "save", "explorer")
"""The parts of the script, in order."""


def framed(
    title: str, header: Markup, sections: Sequence[Section], surfaces: Surfaces | None = None
) -> str:
    """Return a page around its sections.

    Parameters
    ----------
    title : str
        Of the window; plain text, untrusted.
    header : Markup
        Within the header element.
    sections : sequence of Section
    surfaces : Surfaces, optional
        The cortex that explorers among the sections share; without it the page runs no script.
    """
    scripts = () if surfaces is None else _scripts()
    allowed = "".join(f" '{_hash(text)}'" for text in scripts)
    styles = (*_STYLES, "explorer.css") if scripts else _STYLES
    folder = resources.files("majorant.report")
    return drawn(
        "frame",
        title=title,
        header=header,
        sections=sections,
        policy=Markup(f"{_POLICY}; script-src{allowed}" if scripts else _POLICY),
        style=Markup("".join(folder.joinpath(name).read_text("utf-8") for name in styles)),
        surface="" if surfaces is None else Markup(safe_json(surface_data(surfaces))),
        scripts=scripts,
        version=__version__,
    )


@cache
def _scripts() -> tuple[Markup, ...]:
    """Return the scripts of a page with an explorer: three.js, and its own."""
    folder = resources.files("majorant.report")
    library = folder.joinpath("vendor", "three.min.js").read_text("utf-8")
    parts = [folder.joinpath("script", f"{name}.js").read_text("utf-8") for name in _SCRIPTS]
    own = f'(() => {{\n"use strict";\n{"".join(parts)}}})();\n'
    return Markup(library), Markup(own)


@cache
def _hash(text: str) -> str:
    """Return the hash by which the policy of a page lets a script run."""
    return f"sha256-{b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}"


def as_frame(page: str, title: str, height: int = 900) -> str:
    """Return a page as a frame that stands within another page and cannot reach it.

    Parameters
    ----------
    page : str
        As :func:`framed` makes it.
    title : str
        For those who hear the page.
    height : int
        Pixels; the frame scrolls.
    """
    whole = Markup(html.escape(page, quote=True))  # as it is: its scripts are known by their hash
    return str(template("parts").inner_frame(whole, title, height))
