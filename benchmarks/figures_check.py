"""Remake the numbers of the documentation and compare: ``make figures-check``.

    python -m benchmarks.figures_check                  # all of them: hours on one core
    python -m benchmarks.figures_check --only bounds    # commands or names that hold a word
    python -m benchmarks.figures_check --list
    python -m benchmarks.figures_check --again          # also what was run at this commit before

The list is ``benchmarks/figures.toml``. What a command prints is kept in ``out/figures``, and a run
that was ended goes on where it stopped: a command that was run at the same commit is not run again.
The report is ``out/figures/report.md``: every number as written, as remade, and whether they agree.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_name("figures.toml")
FOLDER = ROOT / "out" / "figures"
NUMBER = re.compile(r"[-−]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?|\.\d+")


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
        Empty where a page gives the command and no single number stands for what it prints.
    """

    name: str
    command: str
    minutes: float
    numbers: tuple[Number, ...]

    @property
    def file(self) -> Path:
        """Where its output is kept."""
        short = re.sub(r"[^a-z0-9]+", "-", self.name.lower()).strip("-")
        return FOLDER / f"{short}-{hashlib.sha256(self.command.encode()).hexdigest()[:8]}.txt"

    def arguments(self) -> list[str]:
        """The command for this interpreter, without a shell."""
        first, *rest = shlex.split(self.command)
        if first == "python":
            return [sys.executable, *rest]
        if first == "majorant":
            return [sys.executable, "-m", "majorant", *rest]
        raise ValueError(f"{self.command!r}: a command begins with python or majorant")


def value(text: str) -> float:
    """A number as people write it."""
    return float(text.replace(",", "").replace("−", "-").rstrip("."))


def figures() -> tuple[Figure, ...]:
    """The list."""
    with LIST.open("rb") as file:
        rows = tomllib.load(file)["figure"]
    return tuple(
        Figure(
            row["name"],
            row["command"],
            float(row["minutes"]),
            tuple(Number(**number) for number in row["numbers"]),
        )
        for row in rows
    )


def output(figure: Figure, commit: str, again: bool) -> tuple[str, bool]:
    """What the command prints, and whether it ended well; kept from before where that will do."""
    head = f"{commit} {figure.command}\n"
    if figure.file.exists() and not again:
        kept = figure.file.read_text()
        if kept.startswith(head):
            return kept.removeprefix(head), True
    begun = time.monotonic()
    done = subprocess.run(figure.arguments(), cwd=ROOT, capture_output=True, text=True, check=False)
    print(f"  {(time.monotonic() - begun) / 60:.1f} minutes, exit status {done.returncode}")
    if done.returncode == 0:
        FOLDER.mkdir(parents=True, exist_ok=True)
        figure.file.write_text(head + done.stdout)
    return done.stdout if done.returncode == 0 else done.stdout + done.stderr, done.returncode == 0


def compared(figure: Figure, text: str, ended: bool) -> Iterator[tuple[bool, str]]:
    """Whether each number agrees, with the row of the report."""
    if not ended:
        last = text.strip().splitlines()[-1:] or ["nothing printed"]
        yield False, f"| {figure.name} | `{figure.command}` | | | failed: {last[0]} |"
    elif not figure.numbers:
        yield True, f"| {figure.name} | `{figure.command}` | | | runs |"
    for number in figure.numbers if ended else ():
        found = number.remade(text)
        agrees = found is not None and abs(found - number.written) <= number.within
        verdict = "agrees" if agrees else "DIFFERS" if found is not None else "NOT FOUND"
        said = "" if found is None else f"{found:g}"
        where = f"{number.doc}: {number.written:g}"
        yield agrees, f"| {figure.name} | `{figure.command}` | {where} | {said} | {verdict} |"


def main(arguments: list[str] | None = None) -> int:
    """Run, compare, and write the report."""
    parser = argparse.ArgumentParser(description="Remake the numbers of the documentation.")
    parser.add_argument("--only", nargs="*", default=[], help="words of names or commands")
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--again", action="store_true", help="run also what was run before")
    asked = parser.parse_args(arguments)
    chosen = [
        own
        for own in figures()
        if not asked.only or any(word in f"{own.name} {own.command}" for word in asked.only)
    ]
    print(f"{len(chosen)} commands, about {sum(own.minutes for own in chosen) / 60:.1f} hours")
    if asked.list:
        for own in chosen:
            print(f"{own.minutes:6.1f} min  {own.command}  ({own.name}, {len(own.numbers)})")
        return 0
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    rows, agree = [], True
    for own in chosen:
        print(f"{own.name}: {own.command}", flush=True)
        for fine, row in compared(own, *output(own, commit, asked.again)):
            agree = agree and fine
            rows.append(row)
            print(f"  {row}", flush=True)
        FOLDER.mkdir(parents=True, exist_ok=True)
        head = f"Remade at {commit}.\n\n| what | command | as written | remade | |\n"
        head += "|---|---|---|---|---|\n"
        (FOLDER / "report.md").write_text(head + "\n".join(rows) + "\n")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
