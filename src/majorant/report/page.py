"""`report.html` of one estimate: its sections, drawn one after the other, in the frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

from majorant.files.write import write_file
from majorant.findings.facts import Findings
from majorant.forward.surfaces import Surfaces
from majorant.forward.template import template_surfaces
from majorant.report.cells import cells
from majorant.report.cortex import Cortex
from majorant.report.frame import framed
from majorant.report.live import explorer, worth_exploring
from majorant.report.parts import Section
from majorant.report.payload import Explored
from majorant.report.sections import header, sections

__all__ = ["render_page", "write_page"]

CORTEX_HEIGHT = 440


def render_page(
    content: Findings,
    progress: Callable[[str], None] | None = None,
    *,
    height: int = CORTEX_HEIGHT,
) -> str:
    """Return the page as a string of HTML.

    Parameters
    ----------
    content : Findings
    progress : callable, optional
        Called with the title of each section once it is drawn.
    height : int
        Pixels of a picture of the cortex; the default is sharp on dense screens.
    """
    surfaces, parts = template_surfaces(), []
    live = worth_exploring(content)
    drawn = _live(content, surfaces) if live else ()
    for section in chain(drawn, sections(content, Cortex(surfaces, height))):
        parts.append(section)
        if progress is not None:
            progress(section.title)
    title = f"{content.title} · source estimate"
    return framed(title, header(content), parts, surfaces if live else None)


def _live(content: Findings, surfaces: Surfaces) -> Iterator[Section]:
    drawn = explorer(Explored.of(content), cells(content.sources, surfaces.faces), surfaces)
    yield Section("explore", "Explore", drawn)


def write_page(
    content: Findings, path: str | Path, progress: Callable[[str], None] | None = None
) -> None:
    """Write `report.html`, whole or not at all.

    Parameters
    ----------
    content : Findings
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
