"""A page of one's own sections: the frame that audits and comparisons share.

One file that loads nothing and runs no script; tabs are radio buttons and need none.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version

from majorant.report.parts import Section
from majorant.words import escape

__all__ = ["colour_bar", "render_sheet", "tabs"]

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'"
MOST_TABS = 8


def render_sheet(title: str, header: str, sections: Sequence[Section]) -> str:
    """Return a page as a string of HTML.

    Parameters
    ----------
    title : str
        Of the window; plain text.
    header : str
        HTML, within the header element.
    sections : sequence of Section
    """
    folder = resources.files("majorant.report")
    style = "".join(
        folder.joinpath(n).read_text("utf-8") for n in ("page.css", "tabs.css", "sheet.css")
    )
    links = "".join(f'<li><a href="#{s.key}">{escape(s.title)}</a></li>' for s in sections)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f'<header>\n{header}</header>\n<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
        f"<main>\n{''.join(section.html() for section in sections)}</main>\n"
        f"<footer>Made by Majorant {version('majorant')}. This page is one file; it loads nothing "
        "and runs no script.</footer>\n</body>\n</html>\n"
    )


def tabs(key: str, legend: str, panels: Sequence[tuple[str, str]], first: int = 0) -> str:
    """Return panels of which one shows at a time, chosen by radio buttons.

    Parameters
    ----------
    key : str
        Identifier, unique on the page.
    legend : str
        What is chosen; plain text.
    panels : sequence of (str, str)
        Label (plain text) and HTML; at most eight.
    first : int
        The one that shows.
    """
    if len(panels) == 1:
        return panels[0][1]
    assert len(panels) <= MOST_TABS
    inputs = "".join(
        f'<input type="radio" name="{key}" id="{key}-{i}" class="tab tab{i}"'
        f'{" checked" if i == first else ""}><label for="{key}-{i}">{escape(label)}</label>'
        for i, (label, _) in enumerate(panels)
    )
    bodies = "".join(f'<div class="panel panel{i}">{b}</div>' for i, (_, b) in enumerate(panels))
    return (
        f'<div class="tabs" role="group" aria-label="{escape(legend)}">'
        f'<span class="choose">{escape(legend)}</span>{inputs}'
        f'<div class="panels">{bodies}</div></div>\n'
    )


def colour_bar(ramp: str, ticks: Sequence[str], label: str) -> str:
    """Return a colour bar with its ticks above and what it shows below.

    Parameters
    ----------
    ramp : str
        A CSS gradient.
    ticks : sequence of str
        Evenly spaced from the left to the right end; plain text.
    label : str
        Quantity and unit; plain text.
    """
    marks = "".join(f"<span>{escape(tick)}</span>" for tick in ticks)
    alt = f"Colour bar from {ticks[0]} to {ticks[-1]}, {label}"
    return (
        f'<div class="bar key" role="img" aria-label="{escape(alt)}"><div class="ramp" '
        f'style="background:{ramp}"></div><div class="ticks">{marks}</div>'
        f"<div>{escape(label)}</div></div>\n"
    )
