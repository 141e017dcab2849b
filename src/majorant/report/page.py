"""`report.html`: one file that opens offline, in light or dark, and prints.

It loads nothing, and runs nothing but its own script: a content security policy in its head forbids
all else, and knows the script by its hash, so that not even a hostile channel name could.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import resources
from itertools import chain
from pathlib import Path

from majorant.files.write import write_file
from majorant.findings.facts import PageContent
from majorant.forward.surfaces import Surfaces, read_surfaces
from majorant.report.cells import cells
from majorant.report.cortex import Cortex
from majorant.report.live import live_section, script_sources, surface_block, worth_exploring
from majorant.report.parts import Section
from majorant.report.sections import header, sections
from majorant.words import escape

__all__ = ["as_frame", "framed", "render_page", "write_page"]

CORTEX_HEIGHT = 440
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"
_STYLES = ("page.css", "explorer.css", "tabs.css")


def render_page(
    content: PageContent,
    progress: Callable[[str], None] | None = None,
    *,
    height: int = CORTEX_HEIGHT,
) -> str:
    """Return the page as a string of HTML.

    Parameters
    ----------
    content : PageContent
    progress : callable, optional
        Called with the title of each section once it is drawn.
    height : int
        Pixels of a picture of the cortex; the default is sharp on dense screens.
    """
    surfaces, parts = read_surfaces(), []
    live = worth_exploring(content)
    drawn = _live(content, surfaces) if live else ()
    for section in chain(drawn, sections(content, Cortex(surfaces, height))):
        parts.append(section)
        if progress is not None:
            progress(section.title)
    return framed(content.title, header(content), parts, surfaces, content.versions, live)


def framed(
    title: str,
    top: str,
    parts: Sequence[Section],
    surfaces: Surfaces,
    versions: Mapping[str, str],
    live: bool,
) -> str:
    """Return a page around its sections.

    Parameters
    ----------
    title : str
        Untrusted.
    top : str
        HTML of the header element.
    parts : sequence of Section
    surfaces : Surfaces
        That the explorers share.
    versions : mapping
    live : bool
        Whether there is an explorer among the sections.
    """
    links = "".join(f'<li><a href="#{part.key}">{escape(part.title)}</a></li>' for part in parts)
    version = escape(versions.get("majorant", ""))
    runs = "runs no script but its own" if live else "runs no script"
    return (
        f"{_head(title, live)}"
        f'<body>\n{top}<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
        f"<main>\n{''.join(part.html() for part in parts)}</main>\n"
        f"<footer>Made by Majorant {version}. This page is one file; it loads nothing and {runs}."
        f"</footer>\n{_scripts(surfaces) if live else ''}</body>\n</html>\n"
    )


def _live(content: PageContent, surfaces: Surfaces) -> Iterator[Section]:
    yield live_section(content, cells(content.sources, surfaces.faces), surfaces)


def _head(title: str, live: bool) -> str:
    """Return the head of a page, with the policy that says what may run."""
    folder = resources.files("majorant.report")
    style = "".join(folder.joinpath(name).read_text("utf-8") for name in _STYLES)
    policy = _POLICY
    if live:
        policy += "".join(["; script-src", *(f" '{digest}'" for _, digest in script_sources())])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)} · source estimate</title>\n<style>\n{style}</style>\n</head>\n"
    )


def _scripts(surfaces: Surfaces) -> str:
    """Return the cortex and the scripts, at the end of the page."""
    own = "".join(f"<script>{text}</script>\n" for text, _ in script_sources())
    return f"{surface_block(surfaces)}{own}"


def as_frame(page: str, title: str, height: int = 900) -> str:
    """Return a page as a frame that stands within another page and cannot reach it.

    Parameters
    ----------
    page : str
        As :func:`render_page` makes it.
    title : str
        For those who hear the page.
    height : int
        Pixels; the frame scrolls.
    """
    return (
        f'<iframe sandbox="allow-scripts allow-popups" title="{escape(title)}" loading="lazy" '
        f'style="width:100%;height:{height}px;border:0" srcdoc="{html.escape(page, quote=True)}">'
        "</iframe>"
    )


def write_page(
    content: PageContent, path: str | Path, progress: Callable[[str], None] | None = None
) -> None:
    """Write `report.html`, whole or not at all.

    Parameters
    ----------
    content : PageContent
    path : str or Path
        An existing file is replaced.
    progress : callable, optional
        Called with the title of each section once it is drawn.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written to; nothing is left behind.
    """
    write_file(path, render_page(content, progress))
