"""Remake the numbers of the documentation and compare: ``make figures-check``.

    python -m benchmarks.figures_check                  # all of them: hours on one core
    python -m benchmarks.figures_check --at-most 5      # commands of up to five minutes
    python -m benchmarks.figures_check --only bounds    # commands or names that hold a word
    python -m benchmarks.figures_check --list
    python -m benchmarks.figures_check --again          # also what was run at this commit before
    python -m benchmarks.figures_check --kept           # run nothing: report what was run so far
    python -m benchmarks.figures_check --jobs 4         # four at a time; those that time, alone

The list is ``benchmarks/figures.toml``: commands, the numbers and whole tables that they make, and
the tables that no command makes, with the reason. What a command prints is kept in ``out/figures``
(``--folder``), and a run that was ended goes on where it stopped: a command that was run at the
same commit is not run again. What commands write, ``out/...`` and ``OUT`` on the pages, lies in a
folder of the commit there, so that none goes on from what older code left. The report is
``report.md``: what differs, what was not run.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures_tables import TableFigure
from benchmarks.pages import NUMBER, ROOT, pages, tables_in, value
from majorant.files.write import write_file

LIST = Path(__file__).with_name("figures.toml")
FOLDER = ROOT / "out" / "figures"


@dataclass(frozen=True)
class Number:
    """A number of a page.

    Attributes
    ----------
    doc : str
        The page, from the root.
    says : str
        How it stands there; the first number in it is meant.
    finds : str
        Regular expression with one group, for the output of the command.
    within : float
        How far the remade number may lie from the written one.
    """

    doc: str
    says: str
    finds: str
    within: float

    @property
    def written(self) -> float:
        """The number as it is written."""
        found = NUMBER.search(self.says)
        assert found is not None
        return value(found[0])

    def stands(self) -> bool:
        """Whether the page says so."""
        return self.says in (ROOT / self.doc).read_text()

    def remade(self, output: str) -> float | None:
        """The number in what the command printed; None where it is not found."""
        found = re.search(self.finds, output)
        return None if found is None else value(found[1])


@dataclass(frozen=True)
class Figure:
    """A command, and the numbers that it makes.

    Attributes
    ----------
    name, command : str
    minutes : float
        On one idle core, about.
    numbers : tuple of Number
    tables : tuple of TableFigure
        Both may be empty, where a page gives the command and nothing stands for what it prints.
    adds : str
        Arguments that make it write what is compared; ``{folder}`` is where outputs are kept.
    reads : tuple of str
        Files that it writes, from the root or in ``{folder}``, and that are compared as if printed.
    needs : str
        What this machine must have, where that is not the package alone.
    after : str
        Name of the figure whose files it reads.
    """

    name: str
    command: str
    minutes: float
    numbers: tuple[Number, ...]
    tables: tuple[TableFigure, ...] = ()
    adds: str = ""
    reads: tuple[str, ...] = ()
    needs: str = ""
    after: str = ""

    def file(self, folder: Path = FOLDER) -> Path:
        """Where its output is kept."""
        short = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return folder / f"{short}-{hashlib.sha256(self.command.encode()).hexdigest()[:8]}.txt"

    def arguments(self, folder: Path = FOLDER) -> list[str]:
        """The command for this interpreter, without a shell, writing into a folder.

        On a page OUT is a file of yours, and out/ a folder of yours.
        """
        whole = re.sub(r"(?<=\s)(?=OUT\.)|(?<=\s)out/", "{folder}/", f"{self.command} {self.adds}")
        first, *rest = shlex.split(whole.replace("{folder}", str(folder)))
        if first == "python":
            return [sys.executable, *rest]
        if first == "majorant":
            return [sys.executable, "-m", "majorant", *rest]
        raise ValueError(f"{self.command!r}: a command begins with python or majorant")


@dataclass(frozen=True)
class Aside:
    """A table that no command of the list remakes.

    Attributes
    ----------
    doc, section : str
    nth : int
    reason : str
    """

    doc: str
    section: str
    reason: str
    nth: int = 0


@dataclass(frozen=True)
class Kept:
    """What a command printed, when it was run.

    Attributes
    ----------
    commit, date : str
    minutes : float
    ended : bool
        Whether it ended well.
    text : str
    """

    commit: str
    date: str
    minutes: float
    ended: bool
    text: str

    @classmethod
    def read(cls, file: Path) -> Kept | None:
        """Read it, if there is one."""
        if not file.exists():
            return None
        first, _, text = file.read_text().partition("\n")
        commit, date, minutes, status = first.split()[:4]
        return cls(commit, date, float(minutes), status == "0", text)

    def write(self, file: Path) -> None:
        """Keep it; whole at once, for others that run at the same time report what is kept."""
        file.parent.mkdir(parents=True, exist_ok=True)
        status = "0" if self.ended else "1"
        write_file(file, f"{self.commit} {self.date} {self.minutes:.2f} {status}\n{self.text}")


def _listed() -> dict[str, list[dict[str, Any]]]:
    with LIST.open("rb") as file:
        return tomllib.load(file)


def figures() -> tuple[Figure, ...]:
    """The commands of the list."""
    return tuple(
        Figure(
            row["name"],
            row["command"],
            float(row["minutes"]),
            tuple(Number(**number) for number in row.get("numbers", ())),
            tuple(TableFigure(**table) for table in row.get("tables", ())),
            row.get("adds", ""),
            tuple(row.get("reads", ())),
            row.get("needs", ""),
            row.get("after", ""),
        )
        for row in _listed()["figure"]
    )


def asides() -> tuple[Aside, ...]:
    """The tables that no command of the list remakes."""
    return tuple(Aside(**row) for row in _listed()["aside"])


def run(figure: Figure, commit: str, folder: Path) -> Kept:
    """Run a command and keep what it prints; on one core, unless it is one that times."""
    begun = time.monotonic()
    made = folder / f"at-{commit[:7]}"
    made.mkdir(parents=True, exist_ok=True)
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    done = subprocess.run(
        figure.arguments(made),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **({} if figure.needs else dict.fromkeys(threads, "1"))},
    )
    minutes, text = (time.monotonic() - begun) / 60, done.stdout
    for name in figure.reads if done.returncode == 0 else ():
        text += "\n" + (ROOT / name.replace("{folder}", str(made))).read_text()
    if done.returncode != 0:
        text += done.stderr
    kept = Kept(commit, time.strftime("%Y-%m-%d"), minutes, done.returncode == 0, text)
    kept.write(figure.file(folder))
    return kept


@dataclass(frozen=True)
class Compared:
    """What came of the numbers of a command.

    Attributes
    ----------
    agree, of : int
        Numbers that agree, of how many.
    lines : tuple of str
        What does not.
    """

    agree: int
    of: int
    lines: tuple[str, ...]

    @property
    def fine(self) -> bool:
        """Whether all do, and the command ended."""
        return not self.lines


def compared(figure: Figure, kept: Kept) -> Compared:
    """Compare what a command printed with what the pages say."""
    if not kept.ended:
        last = (kept.text.strip().splitlines() or ["nothing printed"])[-1]
        return Compared(0, 0, (f"failed: {last}",))
    agree, of, lines = 0, 0, []
    for number in figure.numbers:
        found = number.remade(kept.text)
        of += 1
        if found is not None and abs(found - number.written) <= number.within:
            agree += 1
            continue
        said = "NOT FOUND" if found is None else f"DIFFERS: {found:g}"
        lines.append(f"{number.doc}: {number.written:g}: {said}")
    for table in figure.tables:
        for pair in table.pairs(kept.text):
            of += 1
            agree += pair.agrees
            if not pair.agrees:
                lines.append(f"{table.doc}, {table.section}: {pair.sentence()}")
    return Compared(agree, of, tuple(lines))


def report(chosen: tuple[Figure, ...], folder: Path) -> tuple[str, bool]:
    """What is known of every command, in Markdown, and whether all that was run agrees."""
    head, told, every = [], [], True
    for own in chosen:
        kept = Kept.read(own.file(folder))
        if kept is None:
            why = f" ({own.needs})" if own.needs else ""
            head.append(f"| {own.name} | `{own.command}` | | | not run{why} |")
            continue
        found = compared(own, kept)
        every = every and found.fine
        count = f"{found.agree} of {found.of} agree" if found.of else "ran"
        verdict = count if found.fine else f"**{count if kept.ended else found.lines[0]}**"
        when = f"{kept.commit[:7]}, {kept.date} | {kept.minutes:.1f}"
        head.append(f"| {own.name} | `{own.command}` | {when} | {verdict} |")
        if not found.fine and kept.ended:
            told += [f"\n**{own.name}**\n", *(f"- {line}" for line in found.lines)]
    lines = ["| what | command | run at | minutes | |", "|---|---|---|---|---|", *head]
    if told:
        lines += ["", "## What differs", *told]
    return "\n".join(lines) + "\n", every


def in_order(chosen: tuple[Figure, ...]) -> list[tuple[Figure, ...]]:
    """What is run one after another: a command and those that read its files; quick ones first.

    Those that need idle cores come last, so that they can be run alone.
    """

    def chain(own: Figure) -> tuple[Figure, ...]:
        rest = (one for other in chosen if other.after == own.name for one in chain(other))
        return own, *rest

    names = {one.name for one in chosen}
    chains = [chain(own) for own in chosen if own.after not in names]
    return sorted(chains, key=lambda own: (bool(own[0].needs), sum(one.minutes for one in own)))


def run_all(chosen: tuple[Figure, ...], commit: str, folder: Path, jobs: int) -> Iterator[str]:
    """Run what was not run at this commit, and say of each what came of it."""
    named = {own.name: own for own in figures()}

    def old(own: Figure) -> bool:
        before = Kept.read(own.file(folder))
        return before is None or before.commit != commit or not before.ended

    def chain(owns: tuple[Figure, ...]) -> str:
        said = []
        for own in owns:
            if not old(own) or (own.after and old(named[own.after])):
                continue  # done, or what it reads is not there
            kept = run(own, commit, folder)
            found = compared(own, kept)
            first = f"{own.name}: {own.command}\n  {kept.minutes:.1f} minutes, "
            said.append("\n  ".join((f"{first}{found.agree} of {found.of} agree", *found.lines)))
            write_file(folder / "report.md", report(chosen, folder)[0])
        return "\n".join(said)

    chains = in_order(chosen)
    together = [owns for owns in chains if not owns[0].needs]
    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(chain, together)
    yield from (chain(owns) for owns in chains if owns[0].needs)


def unaccounted() -> tuple[str, ...]:
    """Tables of figures on the pages that stand neither beside a command nor aside."""
    known = {(t.doc, t.section, t.nth) for own in figures() for t in own.tables}
    known |= {(own.doc, own.section, own.nth) for own in asides()}
    return tuple(
        f"{doc}, {table.section!r}, {table.nth}"
        for doc in pages()
        for table in tables_in((ROOT / doc).read_text(), doc)
        if table.figures > 1 and (doc, table.section, table.nth) not in known
    )


def main(arguments: list[str] | None = None) -> int:
    """Run, compare, and write the report."""
    parser = argparse.ArgumentParser(description="Remake the numbers of the documentation.")
    parser.add_argument("--only", nargs="*", default=[], help="words of names or commands")
    parser.add_argument("--at-most", type=float, default=1e9, help="minutes of a command")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--again", action="store_true", help="run also what was run before")
    parser.add_argument("--kept", action="store_true", help="report what was run, and run nothing")
    parser.add_argument("--jobs", type=int, default=1, help="commands at a time")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where outputs are kept")
    asked = parser.parse_args(arguments)
    chosen = tuple(
        own
        for own in figures()
        if (not asked.only or any(word in f"{own.name} {own.command}" for word in asked.only))
        and own.minutes <= asked.at_most
    )
    print(f"{len(chosen)} commands, about {sum(own.minutes for own in chosen) / 60:.1f} hours")
    if asked.list:
        for own in chosen:
            count = f"{len(own.numbers)} numbers, {len(own.tables)} tables"
            print(f"{own.minutes:6.1f} min  {own.command}  ({own.name}, {count})")
        return 0
    commit = (
        subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
        ).stdout.strip()
        or "unknown"
    )
    if asked.again:
        for own in chosen:
            own.file(asked.folder).unlink(missing_ok=True)
    for said in () if asked.kept else run_all(chosen, commit, asked.folder, asked.jobs):
        if said:
            print(said, flush=True)
    text, fine = report(chosen, asked.folder)
    asked.folder.mkdir(parents=True, exist_ok=True)
    write_file(asked.folder / "report.md", text)
    print(text)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
