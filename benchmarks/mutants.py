"""Which small mistakes the tests would notice: one line is changed at a time, and its tests run.

    python -m benchmarks.mutants                 # all of them; minutes on one core
    python -m benchmarks.mutants guard windows   # those whose name holds one of the words
    python -m benchmarks.mutants --list

Each mutant is a change of one line in a copy of the package; the tests named beside it should fail.
Those that pass are printed as survivors, with the share killed. A mutant whose line is not found
once is an error: the list has to follow the code. Every mutant runs in a process forked from one
that has imported torch and nothing of the package, so that it costs its tests and little else.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "majorant"
LIST = Path(__file__).with_name("mutants.toml")
LIMIT = 300
"""Seconds of processor time a mutant may take; a test that never ends has noticed."""


@dataclass(frozen=True)
class Mutant:
    """A change of one line.

    Attributes
    ----------
    name : str
        What is wrong with it.
    file : str
        Below the package.
    old, new : str
        ``old`` stands in the file once.
    tests : str
        Files of tests, and perhaps ``-k words``, from the root.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str


def mutants() -> tuple[Mutant, ...]:
    """The list."""
    with LIST.open("rb") as file:
        return tuple(Mutant(**row) for row in tomllib.load(file)["mutant"])


def line_of(mutant: Mutant) -> int:
    """How often the line of a mutant stands in its file."""
    return (SOURCE / mutant.file).read_text().count(mutant.old)


def killed(mutant: Mutant) -> bool:
    """Run the tests of a mutant in a process of its own; whether they fail."""
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT))
        os._exit(_run(mutant))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0


def _run(mutant: Mutant) -> int:
    """The exit status of pytest on a copy of the package with one line changed."""
    import pytest

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "majorant"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / mutant.file
        file.write_text(file.read_text().replace(mutant.old, mutant.new, 1))
        sys.path[:0] = [folder, str(ROOT)]
        os.chdir(ROOT)
        own = mutant.tests.split(" -k ")
        words = ["-k", own[1].strip("'")] if len(own) > 1 else []
        quiet = ["-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            return int(pytest.main([*quiet, *own[0].split(), *words]))


def main(arguments: list[str]) -> int:
    """Print every mutant with its fate, and the share killed."""
    every = mutants()
    chosen = [m for m in every if not arguments or any(word in m.name for word in arguments)]
    if "--list" in arguments:
        for mutant in every:
            print(f"{mutant.file}: {mutant.name}")
        return 0
    lost = [m.name for m in chosen if line_of(m) != 1]
    if lost:
        print(f"the lines of these mutants do not stand once in their files: {', '.join(lost)}")
        return 2
    import torch

    torch.set_num_threads(1)
    survivors = []
    for k, mutant in enumerate(chosen, 1):
        begun, dead = time.monotonic(), killed(mutant)
        if not dead:
            survivors.append(mutant.name)
        took, fate = time.monotonic() - begun, "killed" if dead else "SURVIVED"
        print(f"{k}/{len(chosen)} {fate} {mutant.name} ({mutant.file}), {took:.0f} s", flush=True)
    share = 1.0 - len(survivors) / max(1, len(chosen))
    print(f"killed {len(chosen) - len(survivors)} of {len(chosen)} ({share:.0%})")
    if survivors:
        print("survivors: " + "; ".join(survivors))
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
