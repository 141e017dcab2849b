"""``majorant bench everyday``: every solver on what people record, cell by cell.

    majorant bench everyday --quick                          # 12 cells, below ten minutes
    majorant bench everyday --n 100 --out out/everyday       # all 52 cells

What is done is written to ``parts.jsonl`` in the folder as it is done, a line for a cell's samples
at a site by one solver, so a run that was stopped goes on where it was. The folder then holds
``everyday.md``, ``everyday.csv``, ``everyday.json`` and ``everyday.png``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from queue import Empty
from typing import Any

from majorant.bench import everyday_doors as doors
from majorant.bench import everyday_rows as tables
from majorant.bench.everyday_set import (
    Cell,
    Recorded,
    Site,
    TestSet,
    chosen_cells,
    regions_of_template,
    space_of,
    to_regions,
)
from majorant.errors import MajorantError
from majorant.extras import needed
from majorant.metrics.everyday import Judge
from majorant.randomness import takes_rng
from majorant.simulate.everyday.parts import Part

__all__ = ["TablePlan", "run_everyday"]

Say = Callable[[str], None]
PARTS, PLAN = "parts.jsonl", "plan.json"
AGAINST = "sloreta"
"""What paired differences are taken to."""


@takes_rng
@dataclass(frozen=True)
class TablePlan:
    """What is run.

    Attributes
    ----------
    n : int
        Samples of a cell.
    seed : int
    quick : bool
    sites : int
        Heads of every kind and cap.
    part : {"train", "validation", "test"}
    """

    n: int = 100
    seed: int = 2027
    quick: bool = False
    sites: int = 4
    part: Part = "test"

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cells of the run."""
        return chosen_cells(self.quick)

    @property
    def test(self) -> TestSet:
        """The samples of the run."""
        return TestSet(self.seed, self.n, 1 if self.quick else self.sites, self.part)


@dataclass(frozen=True)
class TablePiece:
    """One solver on the samples of a cell at a site."""

    site: Site
    cell: Cell
    solver: str

    @property
    def key(self) -> tuple[str, str, str]:
        """As it stands in the file."""
        return self.site.name, self.cell.name, self.solver


def run_everyday(
    plan: TablePlan, solvers: list[str] | None, out: Path, *, jobs: int = 1, say: Say | None = None
) -> dict[str, Any]:
    """Run, or go on with, the everyday bench.

    Parameters
    ----------
    plan : TablePlan
    solvers : list of str or None
        Names of the registry, and references; None is all of them.
    out : Path
        Folder; made where there is none.
    jobs : int
        Processes.
    say : callable, optional
        Takes a line of progress, with the time left.

    Returns
    -------
    dict
        What ``everyday.json`` holds.

    Raises
    ------
    MajorantError
        If a solver is unknown, the folder holds another run, or POT is not installed.
    """
    names = doors.known(solvers)
    needed("ot")
    _begin(out, plan)
    pieces = list(_pieces(plan, names))
    done = {_key(line) for line in _lines(out)}
    left = [piece for piece in pieces if piece.key not in done]
    clock = _Clock(len(left), say)
    with (out / PARTS).open("a", encoding="utf-8") as file:
        for piece, line in _worked(plan, left, jobs):
            file.write(json.dumps(line) + "\n")
            file.flush()
            clock.tick(piece)
    return _report(plan, names, out)


def _pieces(plan: TablePlan, names: Sequence[str]) -> Iterator[TablePiece]:
    test = plan.test
    for site in test.sites(plan.cells):
        for name in names:
            for cell in test.at(site, plan.cells):
                if name not in doors.SINGLE or cell.count == 1:
                    yield TablePiece(site, cell, name)


def _begin(out: Path, plan: TablePlan) -> None:
    """Make the folder, or see that it holds this run."""
    out.mkdir(parents=True, exist_ok=True)
    path, mine = out / PLAN, json.dumps(asdict(plan), indent=1)
    if path.exists() and path.read_text(encoding="utf-8") != mine:
        raise MajorantError(
            f"{out} holds another run of the everyday bench ({path}); give another folder, or the "
            "same settings to go on"
        )
    path.write_text(mine, encoding="utf-8")


def _lines(out: Path) -> list[dict[str, Any]]:
    """What is done; a last line that was cut off is left out."""
    path = out / PARTS
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole, encoding="utf-8")
    return [json.loads(line) for line in whole.splitlines()]


def _key(line: dict[str, Any]) -> tuple[str, str, str]:
    return line["site"], line["cell"], line["solver"]


def _worked(
    plan: TablePlan, left: list[TablePiece], jobs: int
) -> Iterator[tuple[TablePiece, dict[str, Any]]]:
    """Do what is left, site by site and solver by solver."""
    groups: dict[tuple[Site, str], list[TablePiece]] = {}
    for piece in left:
        groups.setdefault((piece.site, piece.solver), []).append(piece)
    if jobs == 1:
        worker = Worker(plan)
        for group in groups.values():
            for piece in group:
                yield piece, worker.work(piece)
        return
    context = get_context("spawn")
    lines: Any = context.Queue()
    with ProcessPoolExecutor(jobs, context, _start, (plan, lines)) as pool:
        futures = [pool.submit(_work, group) for group in groups.values()]
        by_key = {piece.key: piece for piece in left}
        while by_key:
            try:
                line = lines.get(timeout=1.0)
            except Empty:
                for future in futures:
                    if future.done():
                        future.result()
                continue
            yield by_key.pop(_key(line)), line


class Worker:
    """Holds what pieces share: the samples of a cell, fitted solvers, judges."""

    def __init__(self, plan: TablePlan) -> None:
        self.test = plan.test
        self._recorded: dict[tuple[str, str], Recorded] = {}
        self._door: tuple[tuple[str, str], doors.EverydayDoor] | None = None
        self._judges: dict[tuple[str, float], Judge] = {}

    def recorded(self, site: Site, cell: Cell) -> Recorded:
        """The samples of a cell at a site; those of one site are kept."""
        key = site.name, cell.name
        if key not in self._recorded:
            if any(name != site.name for name, _ in self._recorded):
                self._recorded.clear()
            self._recorded[key] = self.test.recorded(site, cell)
        return self._recorded[key]

    def door(self, site: Site, solver: str, made: Recorded) -> doors.EverydayDoor:
        """The solver, fitted at the site."""
        key = site.name, solver
        if self._door is None or self._door[0] != key:
            self._door = key, doors.door(solver, made.info, made.noise_cov)
        return self._door[1]

    def judge(self, leadfield: Any, sfreq: float) -> Judge:
        """The judge of a source space."""
        key = leadfield.geometry.fingerprint, sfreq
        if key not in self._judges:
            self._judges[key] = Judge(space_of(leadfield), sfreq)
        return self._judges[key]

    def work(self, piece: TablePiece) -> dict[str, Any]:
        """Image and judge the samples of a piece."""
        made = self.recorded(piece.site, piece.cell)
        solver = self.door(piece.site, piece.solver, made)
        sfreq = float(made.info["sfreq"])
        judge = self.judge(solver.leadfield, sfreq)
        scores = []
        for evoked, truth in zip(made.evoked, made.truths, strict=True):
            image = solver.image(evoked)
            values, own = image.values, judge
            if piece.cell.family and solver.leadfield.kind != "regions":
                own = self.judge(regions_of_template(), sfreq)
                values = to_regions(values, judge.space.home, self.test.mesh)
            tallies = {"rises": image.rises, "refused": image.refused}
            scores.append({**own.score(truth, values), "ms": image.ms, **tallies})
        site, cell, name = piece.key
        return {"site": site, "cell": cell, "solver": name, "scores": scores}


_WORKER: list[tuple[Worker, Any]] = []


def _start(plan: TablePlan, lines: Any) -> None:
    import torch

    torch.set_num_threads(1)
    _WORKER.append((Worker(plan), lines))


def _work(group: list[TablePiece]) -> None:
    """Hand every piece over as it is done, so that a killed run loses one at most a process."""
    worker, lines = _WORKER[0]
    for piece in group:
        lines.put(worker.work(piece))


class _Clock:
    """Says how far a run is and how long it will take, at most every few seconds."""

    def __init__(self, total: int, say: Say | None) -> None:
        self.total, self.say, self.start = total, say, time.monotonic()
        self.done, self.spent, self.last = 0, {}, 0.0

    def tick(self, piece: TablePiece) -> None:
        self.done += 1
        now = time.monotonic()
        if self.say is None or (now - self.last < 5.0 and self.done < self.total):
            return
        self.last = now
        left = (now - self.start) / self.done * (self.total - self.done)
        self.say(
            f"{self.done} of {self.total} pieces, about {_words(left)} left "
            f"({piece.solver}: {piece.cell.name})"
        )


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def gathered(out: Path, cells: Sequence[Cell], names: Sequence[str]) -> tables.Scores:
    """All samples by (cell, solver), sites in order."""
    lines = sorted(_lines(out), key=lambda line: int(line["site"].split("-")[2]))
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    for cell in cells:
        for name in names:
            mine = [s for x in lines if _key(x)[1:] == (cell.name, name) for s in x["scores"]]
            if mine:
                found[cell.name, name] = mine
    return found


def _report(plan: TablePlan, names: Sequence[str], out: Path) -> dict[str, Any]:
    """Write tables and picture; return what the JSON file holds."""
    from majorant.bench.everyday_plot import draw

    scores = gathered(out, plan.cells, names)
    found, also = tables.rows(scores), tables.also_rows(scores)
    regret = tables.regret_rows(found)
    focus = "auto" if "auto" in names else regret[0]["solver"]
    command = _command(plan, names)
    whole = {
        "command": command,
        "plan": asdict(plan),
        "rows": found,
        "also": also,
        "paired": tables.paired_rows(scores, AGAINST),
        "regret": regret,
    }
    (out / "everyday.json").write_text(json.dumps(whole, indent=1), encoding="utf-8")
    (out / "everyday.csv").write_text(tables.as_csv(found), encoding="utf-8")
    text = tables.as_markdown(found, also, focus, command)
    (out / "everyday.md").write_text(text, encoding="utf-8")
    (out / "everyday.png").write_bytes(draw(found, command))
    return whole


def _command(plan: TablePlan, names: Sequence[str]) -> str:
    words = [f"majorant bench everyday --n {plan.n} --seed {plan.seed} --sites {plan.sites}"]
    if plan.quick:
        words.append("--quick")
    if list(names) != doors.known(None):
        words.append(f"--solvers {','.join(names)}")
    return " ".join(words)
