"""Pieces of HTML that the sections share: headed sections, tables, figures, linked citations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from majorant.report.figures import Drawing
from majorant.report.words import escape

__all__ = ["Section", "figure", "linked", "table"]

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
