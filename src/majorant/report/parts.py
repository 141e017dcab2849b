"""Pieces of HTML that pages share: openings, facts, cautions, sections, tables, citations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from majorant.report.figures import Drawing
from majorant.words import escape

__all__ = ["Section", "cautions", "facts", "figure", "linked", "opening", "table"]

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
    body : str
        HTML.
    """

    key: str
    title: str
    body: str

    def html(self) -> str:
        """Return the section element."""
        label = f"{self.key}-title"
        return (
            f'<section id="{self.key}" aria-labelledby="{label}">'
            f'<h2 id="{label}">{escape(self.title)}</h2>\n{self.body}</section>\n'
        )


def opening(name: str, origin: str, says: str, also: str, *, before: str = "") -> str:
    """Return the heading, with words before the name, where it comes from, and what is found."""
    return (
        f'<h1>{escape(before)}<bdi>{escape(name)}</bdi></h1>\n<p class="origin">{escape(origin)}'
        f'</p>\n<p class="says">{escape(says)}</p>\n<p class="also">{escape(also)}</p>\n'
    )


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Return names with their values, the numbers of a page at a glance."""
    cells = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in pairs)
    return f'<dl class="facts">{cells}</dl>\n'


def cautions(texts: Sequence[str], title: str = "What may mislead") -> str:
    """Return a list of cautions in plain sight; nothing where there are none."""
    if not texts:
        return ""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return (
        '<aside class="cautions" aria-labelledby="cautions-title">'
        f'<h2 id="cautions-title">{escape(title)}</h2><ul>{items}</ul></aside>\n'
    )


def table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    numeric: Sequence[int] = (),
    kind: str = "full",
) -> str:
    """Return a table; all cells are escaped, the first of a row is its heading."""

    def cell(tag: str, text: str, column: int, scope: str = "") -> str:
        style = ' class="n"' if column in numeric else ""
        return f"<{tag}{scope}{style}>{escape(text)}</{tag}>"

    top = "".join(cell("th", text, i, ' scope="col"') for i, text in enumerate(heads))
    body = "".join(
        "<tr>"
        + cell("th", row[0], 0, ' scope="row"')
        + "".join(cell("td", text, i) for i, text in enumerate(row[1:], 1))
        + "</tr>"
        for row in rows
    )
    head = f"<thead><tr>{top}</tr></thead>" if any(heads) else ""
    return (
        f'<div class="wide"><table class="{kind}"><caption>{escape(caption)}</caption>'
        f"{head}<tbody>{body}</tbody></table></div>\n"
    )


def figure(drawing: Drawing) -> str:
    """Return a line plot with its legend above and its caption below."""
    keys = "".join(
        f'<li><i style="background:var(--{colour})"></i>{escape(name)}</li>'
        for colour, name in drawing.legend
    )
    legend = f'<ul class="legend">{keys}</ul>' if keys else ""
    return (
        f'<figure id="figure-{drawing.key}">{legend}<div class="plot">{drawing.svg}</div>'
        f"<figcaption>{escape(drawing.caption)}</figcaption></figure>\n"
    )


def linked(citation: str) -> str:
    """Return a citation with its DOI or arXiv number as a link, escaped."""
    parts, end = [], 0
    for match in _DOI.finditer(citation):
        arxiv = match[1].lower().startswith("arxiv")
        base = "https://arxiv.org/abs/" if arxiv else "https://doi.org/"
        parts.append(escape(citation[end : match.start()]))
        parts.append(f'<a href="{escape(base + match[2])}">{escape(match[0])}</a>')
        end = match.end()
    return "".join(parts) + escape(citation[end:])
