"""Tables of Markdown pages: where they stand, which cells are figures, what they say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NUMBER", "ROOT", "Table", "pages", "place", "plain", "tables_in", "value", "values"]

ROOT = Path(__file__).resolve().parents[1]
NUMBER = re.compile(r"[-−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?|[-−]?\.\d+")
_FIGURE = re.compile(r"[*~(<>±+\-−]*\.?\d")
_RULE = re.compile(r"[|\s:\-]+")


@dataclass(frozen=True)
class Table:
    """A table of a page.

    Attributes
    ----------
    doc : str
        The page, from the root; empty for what a command printed.
    section : str
        Heading that it stands under.
    nth : int
        How many stand before it in that section.
    head : tuple of str
        Names of its columns.
    rows : tuple of tuple of str
    """

    doc: str
    section: str
    nth: int
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def figures(self) -> int:
        """Cells that begin with a number, the first column aside."""
        return sum(bool(_FIGURE.match(cell)) for row in self.rows for cell in row[1:])


def pages() -> tuple[str, ...]:
    """README and the pages of the documentation."""
    docs = sorted((ROOT / "docs").glob("*.md"))
    return ("README.md", *(f"docs/{file.name}" for file in docs))


def tables_in(text: str, doc: str = "") -> Iterator[Table]:
    """The tables of a text, in their order."""
    section, block, seen = "", [], Counter[str]()
    for line in (*text.splitlines(), ""):
        if line.startswith("|"):
            block.append(tuple(cell.strip() for cell in line.strip().strip("|").split("|")))
            continue
        if len(block) > 1:
            rows = tuple(row for row in block[1:] if not _RULE.fullmatch("|".join(row)))
            yield Table(doc, section, seen[section], block[0], rows)
            seen[section] += 1
        block = []
        if line.startswith("#"):
            section = line.lstrip("# ").strip()


def plain(cell: str) -> str:
    """A cell without its marks, to be compared with another."""
    return re.sub(r"[\s*`]+", " ", cell).strip().lower()


def value(text: str) -> float:
    """A number as people write it."""
    return float(text.replace(",", "").replace("−", "-").rstrip("."))


def values(cell: str) -> tuple[float, ...]:
    """The numbers of a cell; what was published elsewhere is none of ours."""
    return tuple(value(found) for found in NUMBER.findall(re.sub(r"\(paper [^)]*\)", "", cell)))


def place(cell: str) -> tuple[float, ...]:
    """Half a unit of the last place of every number of a cell."""
    out = []
    for found in NUMBER.findall(re.sub(r"\(paper [^)]*\)", "", cell)):
        digits, _, power = found.partition("e")
        behind = len(digits.partition(".")[2])
        out.append(0.5 * 10.0 ** (int(power or 0) - behind))
    return tuple(out)
