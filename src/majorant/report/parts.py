"""Pieces that pages share: openings, facts, cautions, tables, figures, tabs, citations.

Their HTML stands in ``templates/parts.html.jinja``, which escapes every text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from majorant.report.figures import Drawing
from majorant.report.pictures import Still
from majorant.report.templating import template

__all__ = [
    "MOST_TABS",
    "HeatCell",
    "Section",
    "StackRow",
    "cautions",
    "citations",
    "colour_bar",
    "copied",
    "facts",
    "figure",
    "folded",
    "lead",
    "link",
    "opening",
    "paragraphs",
    "shared_cautions",
    "stack",
    "steps",
    "table",
    "tabs",
]

MOST_TABS = 8
_DOI = re.compile(r"\b(doi:\s?|arXiv:)(\S*[^\s.,;)])", re.IGNORECASE)


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    key : str
        Identifier, the target of links.
    title : str
        Heading; plain text.
    body : Markup
        HTML; anything that is not markup is escaped.
    """

    key: str
    title: str
    body: Markup

    def html(self) -> Markup:
        """Return the section element."""
        return _macros().section(self)


@dataclass(frozen=True)
class StackRow:
    """One estimate among others, on the same views.

    Attributes
    ----------
    name : str
        Whose it is.
    says : tuple of str
        Below the name, line by line.
    pictures : tuple of Still
    """

    name: str
    says: tuple[str, ...]
    pictures: tuple[Still, ...]


@dataclass(frozen=True)
class HeatCell:
    """A number on its colour.

    Attributes
    ----------
    text : str
        The number; an empty cell has none.
    beside, below : str
        Behind it, and in a line below it.
    strong : bool
        Whether the line below stands out.
    tint, ink : str
        Colours of the ground and of the text on it; a cell without a number has none.
    """

    text: str = ""
    beside: str = ""
    below: str = ""
    strong: bool = False
    tint: str = ""
    ink: str = ""


def _macros() -> Any:
    return template("parts")


def opening(name: str, origin: str, says: str, also: str, *, before: str = "") -> Markup:
    """Return the heading, with words before the name, where it comes from, and what is found."""
    return _macros().opening(name, origin, says, also, before)


def facts(pairs: Iterable[tuple[str, ...]]) -> Markup:
    """Return names with their values, the numbers of a page at a glance.

    A third text says in small what the value is.
    """
    return _macros().facts([(*pair, "")[:3] for pair in pairs])


def cautions(texts: Sequence[str], title: str = "What may mislead") -> Markup:
    """Return a list of cautions in plain sight; nothing where there are none."""
    return _macros().cautions(texts, title)


def shared_cautions(own: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the cautions of several estimates, those of all once, the others with their names."""
    texts = dict.fromkeys(text for said in own.values() for text in said)
    who = {text: [name for name in own if text in own[name]] for text in texts}
    said = [text for text in texts if len(who[text]) == len(own)]
    return said + [f"{', '.join(who[t])}: {t}" for t in texts if len(who[t]) < len(own)]


def paragraphs(*texts: str) -> Markup:
    """Return plain texts as paragraphs."""
    return _macros().paragraphs(texts)


def lead(text: str) -> Markup:
    """Return what a reader should know before the pictures below it."""
    return _macros().lead(text)


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    numeric: Sequence[int] = (),
    kind: str = "full",
) -> Markup:
    """Return a table; all cells are escaped, the first of a row is its heading.

    Parameters
    ----------
    heads : sequence of str
        Empty ones leave the head of the table out.
    rows : sequence of sequence of str
    caption : str
    numeric : sequence of int
        Columns whose numbers stand below one another.
    kind : str
        CSS classes.
    """
    return _macros().table(heads, rows, caption, numeric, kind)


def folded(summary: str, body: Markup) -> Markup:
    """Return what few look at, behind one line that opens it."""
    return _macros().folded(summary, body)


def link(address: str, text: str) -> Markup:
    """Return a link."""
    return _macros().link(address, text)


def figure(drawing: Drawing) -> Markup:
    """Return a line plot with its legend above and its caption below."""
    svg = Markup(drawing.svg)  # matplotlib's own, its texts escaped
    return _macros().figure(drawing.key, svg, drawing.caption, drawing.legend)


def colour_bar(ramp: str, ticks: Sequence[str], label: str, kind: str = "") -> Markup:
    """Return a colour bar with its ticks, and what it shows below.

    Parameters
    ----------
    ramp : str
        A CSS gradient.
    ticks : sequence of str
        Evenly spaced from the left to the right end; plain text.
    label : str
        Quantity and unit; plain text.
    kind : {"", "key"}
        "key" where it is wider and stands beside others.
    """
    return _macros().colour_bar(ramp, ticks, label, kind)


def tabs(key: str, legend: str, panels: Sequence[tuple[str, Markup]], first: int = 0) -> Markup:
    """Return panels of which one shows at a time, chosen by radio buttons, without a script.

    Parameters
    ----------
    key : str
        Identifier, unique on the page.
    legend : str
        What is chosen; plain text.
    panels : sequence of (str, Markup)
        Label (plain text) and HTML; at most eight.
    first : int
        The one that shows.
    """
    assert len(panels) <= MOST_TABS
    return _macros().tabs(key, legend, panels, first)


def stack(views: Sequence[str], rows: Sequence[StackRow]) -> Markup:
    """Return estimates below one another, one column a view."""
    return _macros().stack(views, rows)


def steps(texts: Sequence[str]) -> Markup:
    """Return what was decided, in order."""
    return _macros().steps(texts)


def copied(text: str) -> Markup:
    """Return a text that one click selects, such as a command."""
    return _macros().copied(text)


def citations(texts: Iterable[str]) -> Markup:
    """Return citations, each once, with DOIs and arXiv numbers as links."""
    return _macros().citations([_linked(text) for text in dict.fromkeys(texts)])


def _linked(citation: str) -> list[tuple[str, str]]:
    """Return the pieces of a citation with the address of each, or none."""
    pieces, end = [], 0
    for match in _DOI.finditer(citation):
        arxiv = match[1].lower().startswith("arxiv")
        base = "https://arxiv.org/abs/" if arxiv else "https://doi.org/"
        pieces += [(citation[end : match.start()], ""), (match[0], base + match[2])]
        end = match.end()
    return [*pieces, (citation[end:], "")]
