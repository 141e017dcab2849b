"""`report.html`: one file that opens offline, in light or dark, and prints.

It loads nothing and runs nothing: a content security policy in its head forbids both, so that not
even a hostile channel name could.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from majorant.forward.surfaces import read_surfaces
from majorant.report.content import PageContent
from majorant.report.cortex import Cortex
from majorant.report.sections import header, sections
from majorant.report.words import escape

__all__ = ["render_page", "write_page"]

CORTEX_HEIGHT = 440
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"


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
    style = resources.files("majorant.report").joinpath("page.css").read_text("utf-8")
    parts = []
    for section in sections(content, Cortex(read_surfaces(), height)):
        parts.append(section)
        if progress is not None:
            progress(section.title)
    links = "".join(f'<li><a href="#{part.key}">{escape(part.title)}</a></li>' for part in parts)
    version = escape(content.versions.get("majorant", ""))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(content.title)} · source estimate</title>\n<style>\n{style}</style>\n"
        f'</head>\n<body>\n{header(content)}<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
        f"<main>\n{''.join(part.html() for part in parts)}</main>\n"
        f"<footer>Made by Majorant {version}. This page is one file; it loads nothing and runs no "
        "script.</footer>\n</body>\n</html>\n"
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
    target = Path(path)
    text = render_page(content, progress)
    part = target.with_name(f".{target.name}.{secrets.token_hex(6)}.part")
    try:
        with part.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
