"""How the command line speaks: what it does as it goes, a bar where one waits, tables at the end.

What it does as it goes is said on standard error, and only where a terminal listens or
``MAJORANT_VERBOSE`` is set; everything said stands in ``summary.json``, too. A job that takes long
says in a pipe or a log now and then how far it is. Standard output holds
what was asked for: tables and colours in a terminal, in a pipe plain lines with tabs.
"""

from __future__ import annotations

import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from majorant.pace import FIRST, Pace, spell


def _held_open() -> None:
    """Put nothing where a standard stream is closed: the next file opened would take its place."""
    for number, mode in enumerate(("r", "w", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        name = ("stdin", "stdout", "stderr")[number]
        if getattr(sys, name) is None:
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
    # A name that is no UTF-8 is shown by its bytes, and ends nothing.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


_held_open()
# A line of a pipe is never broken: what reads it counts on whole lines.
out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False)
VERBOSE = "MAJORANT_VERBOSE"
STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """Return text from outside without what steers a terminal; names of files may hold anything."""
    return STEERS.sub("\N{REPLACEMENT CHARACTER}", text)


def tell(text: str, style: str = "") -> None:
    """Print a line of what was found, on standard output, as it is."""
    out.print(plain(text), style=style, soft_wrap=True, markup=False)


def hushed() -> None:
    """Let standard output end in nothing, so that leaving says no more of it."""
    with suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.close(nothing)


def complain(mistake: str) -> None:
    """Say a mistake as one sentence."""
    line = Text("Error: ", style="bold red")
    line.append(plain(mistake), style="not bold default")
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
        self._start = time.perf_counter()
        self._speaks = not quiet and listened()

    def seconds(self) -> float:
        """How long the job takes so far."""
        return time.perf_counter() - self._start

    def step(self, title: str) -> None:
        """Begin a step."""
        if self._speaks:
            err.print(Text(plain(title), style="bold"))

    def say(self, sentence: str) -> None:
        """Say what was decided."""
        if self._speaks:
            err.print(Padding(Text(plain(sentence), style="dim"), (0, 0, 0, 2)))

    def foretell(self, seconds: float, what: str) -> None:
        """Say at the start about how long it will take; in a pipe, if that is long."""
        if not self.quiet and (self._speaks or seconds >= FIRST):
            said = f"{what}: about {spell(max(seconds, 1.0))}"
            err.print(Text(plain(said), style="dim"), soft_wrap=True)

    @contextmanager
    def waiting(self, title: str) -> Iterator[Callable[[int, int], None]]:
        """Show a bar in a terminal, else say lines now and then; yields what moves it."""
        if self.quiet:
            yield lambda done, total: None
            return
        if not err.is_terminal:
            yield Pace(title, lambda line: err.print(Text(plain(line)), soft_wrap=True))
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
    title, columns = plain(title), [plain(name) for name in columns]
    rows = [[plain(cell) for cell in row] for row in rows]
    if not out.is_terminal:
        for row in ((title,), columns, *rows):
            _with_tabs(row)
        return
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for k, name in enumerate(columns):
        numeric = all(_is_number(row[k]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    out.print(table)


def show_line(cells: Sequence[str]) -> None:
    """Print one line of a result as soon as it is known; in a pipe with tabs between the cells."""
    if out.is_terminal:
        tell("; ".join(cells))
    else:
        _with_tabs([plain(cell) for cell in cells])


def _with_tabs(cells: Sequence[str]) -> None:
    """Write a line at once, past the console, which would make spaces of tabs."""
    out.file.write("\t".join(cells) + "\n")
    out.file.flush()


def _is_number(cell: str) -> bool:
    return cell.replace("-", "").replace("−", "").replace(".", "").strip("% ").isdigit()
