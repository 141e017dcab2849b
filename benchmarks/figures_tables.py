"""A table of a page beside what a command printed: row by row, column by column, number by number.

Rows are known by their first cells. What is compared are the columns of the same name, or, for
commands that print lines, the groups of a pattern for every column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

from benchmarks.pages import ROOT, Table, place, plain, tables_in, values

__all__ = ["Pair", "TableFigure"]


@dataclass(frozen=True)
class Pair:
    """A number as written and as remade.

    Attributes
    ----------
    where : str
        Row and column.
    written : float
    remade : float or None
    allowed : float
        How far they may lie apart.
    """

    where: str
    written: float
    remade: float | None
    allowed: float

    @property
    def agrees(self) -> bool:
        """Whether they are as near as they should be."""
        return self.remade is not None and abs(self.written - self.remade) <= self.allowed

    def sentence(self) -> str:
        """Both, with where they stand."""
        said = "NOT FOUND" if self.remade is None else f"DIFFERS: {self.remade:g}"
        return f"{self.where}: {self.written:g}: {said}"


@dataclass(frozen=True)
class TableFigure:
    """A table of a page.

    Attributes
    ----------
    doc, section : str
        The page, from the root, and the heading that the table stands under.
    nth : int
        How many stand before it there.
    keys : int
        Cells, from the first, that name a row; or, where ``key`` is given, its columns.
    key : tuple of str
        Columns that name a row, where these are not the first ones.
    within : float
        Share by which numbers may differ beyond the rounding of what is written; for ratios of
        times, and for what is drawn at random, more.
    skip : tuple of str
        Columns that are not compared: times of this machine.
    rows : tuple of str
        First cells of the rows that are compared, where the command makes only some.
    first : bool
        Compare the first number of a cell only, not its interval.
    names : mapping of str
        What rows are called in the output, where it is another name than on the page.
    columns : mapping of str
        The same of columns.
    lines : mapping of str
        Patterns of columns, for output in lines: ``{0}``, ``{1}`` are the cells that name the row,
        and every group is a number of the cell.
    """

    doc: str
    section: str
    nth: int = 0
    keys: int = 1
    key: tuple[str, ...] = ()
    within: float = 0.02
    skip: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    first: bool = False
    names: Mapping[str, str] = field(default_factory=dict[str, str])
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    lines: Mapping[str, str] = field(default_factory=dict[str, str])

    def table(self) -> Table | None:
        """The table on its page."""
        text = (ROOT / self.doc).read_text()
        at = (self.section, self.nth)
        return next((t for t in tables_in(text, self.doc) if (t.section, t.nth) == at), None)

    def pairs(self, output: str) -> Iterator[Pair]:
        """Every number of the table beside the one that was remade."""
        table = self.table()
        assert table is not None
        printed = [] if self.lines else list(tables_in(output))
        chosen = [table.head.index(name) for name in self.key] or list(range(self.keys))
        # Rows of one name may stand in several tables: those whose first columns are called alike.
        own = [plain(name) for name in table.head[: self.keys]]
        printed.sort(key=lambda t: [plain(name) for name in t.head[: self.keys]] != own)
        for row in table.rows:
            if self.rows and row[0] not in self.rows:
                continue
            named = tuple(row[k] for k in chosen)
            for k, column in enumerate(table.head):
                if k in chosen or column in self.skip or not row[k]:
                    continue
                if self.lines and column not in self.lines:
                    continue
                found = (
                    self._in_lines(output, self.lines[column], named)
                    if self.lines
                    else self._in_tables(printed, column, table.head[:k].count(column), named)
                )
                yield from self._beside(f"{', '.join(named)}, {column}", row[k], found)

    def _beside(self, where: str, cell: str, found: tuple[float, ...]) -> Iterator[Pair]:
        own = zip_longest(values(cell), place(cell), found)
        for written, unit, remade in own:
            if written is None:
                return
            yield Pair(where, written, remade, self.within * abs(written) + 1.02 * unit)
            if self.first:
                return

    def _called(self, named: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(plain(self.names.get(cell, cell)) for cell in named)

    def _in_lines(self, output: str, pattern: str, named: tuple[str, ...]) -> tuple[float, ...]:
        """Numbers of the line that a pattern finds."""
        called = [re.escape(self.names.get(cell, cell.strip("*` "))) for cell in named]
        for k, cell in enumerate(called):
            pattern = pattern.replace(f"{{{k}}}", cell)
        found = re.search(pattern, output, re.MULTILINE)
        return () if found is None else tuple(n for group in found.groups() for n in values(group))

    def _in_tables(
        self, printed: list[Table], column: str, nth: int, named: tuple[str, ...]
    ) -> tuple[float, ...]:
        """Numbers of the cell of a printed table; of several tables, the one that has both.

        ``nth`` says how many columns of that name stand before it.
        """
        called, name = self._called(named), plain(self.columns.get(column, column))
        for table in printed:
            heads = [plain(head) for head in table.head]
            places = [k for k, head in enumerate(heads) if head == name]
            if len(places) <= nth:
                continue
            if self.key:
                wanted = [plain(self.columns.get(key, key)) for key in self.key]
                if not set(wanted) <= set(heads):
                    continue
                at = [heads.index(key) for key in wanted]
            else:
                at = list(range(self.keys))
            for row in table.rows:
                if len(row) == len(heads) and tuple(plain(row[k]) for k in at) == called:
                    return values(row[places[nth]])
        return ()
