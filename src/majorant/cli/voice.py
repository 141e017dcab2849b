"""How the command line speaks: what it does as it goes, a bar where one waits, tables at the end.

What it does as it goes is said on standard error, and only where a terminal listens or
``MAJORANT_VERBOSE`` is set; everything said stands in ``summary.json``, too. Standard output holds
what was asked for: tables and colours in a terminal, in a pipe plain lines with tabs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

# A line of a pipe is never broken: what reads it counts on whole lines.
out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False)
VERBOSE = "MAJORANT_VERBOSE"


def complain(mistake: str) -> None:
    """Say a mistake as one sentence."""
    line = Text("Error: ", style="bold red")
    line.append(mistake, style="not bold default")
    err.print(line, soft_wrap=True)


def listened() -> bool:
    """Whether anybody reads what is said on the way."""
    return err.is_terminal or bool(os.environ.get(VERBOSE))


class Voice:
    """Speaks while a job runs; quiet where nobody listens.

    Parameters
    ----------
    quiet : bool
        Say nothing but mistakes.

    Attributes
    ----------
    quiet : bool
        Whether results, too, are kept back: what the user asked for.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._speaks = not quiet and listened()

    def step(self, title: str) -> None:
        """Begin a step."""
        if self._speaks:
            err.print(Text(title, style="bold"))

    def say(self, sentence: str) -> None:
        """Say what was decided."""
        if self._speaks:
            err.print(Padding(Text(sentence, style="dim"), (0, 0, 0, 2)))

    @contextmanager
    def waiting(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """Show a bar where there is a terminal; yields what moves it (done, total)."""
        if self.quiet or not err.is_terminal:
            yield lambda done, total: None
            return
        columns = (TextColumn("  {task.description}"), BarColumn(), TimeElapsedColumn())
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def timed() -> Iterator[Callable[[], float]]:
    """Yield a function that tells the seconds since the start."""
    start = time.perf_counter()
    yield lambda: time.perf_counter() - start


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; columns whose entries are numbers are right-aligned.

    In a pipe: the title, the columns' names and the rows, with tabs between the cells.
    """
    if not out.is_terminal:
        for row in ((title,), columns, *rows):
            out.out("\t".join(row), highlight=False)
        return
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for k, name in enumerate(columns):
        numeric = all(_is_number(row[k]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)


def _is_number(cell: str) -> bool:
    return cell.replace("-", "").replace("−", "").replace(".", "").strip("% ").isdigit()
