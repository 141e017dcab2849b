"""Which mean of unlike solvers? Estimates are saved once, and any mean is judged in seconds.

    python -m benchmarks.everyday_means save out/means --n 4          # validation, 12 cells
    python -m benchmarks.everyday_means judge out/means scan+sloreta scan+unfolded-sbl+sloreta
    python -m benchmarks.everyday_means judge out/means scan*2+sloreta@0.2
    python -m benchmarks.everyday_means save out/means --all scan scan:head_error=0:penalty=.5

Estimates are those of `SourceImager` with its defaults, vectors on the 5,124 vertices (regions are
spread over theirs, along the normals), each divided by its norm before they are averaged with the
weights given. ``@0.2`` leaves out locations whose norm over time is below a fifth of the largest:
the transport counts mass, and diffuse members have most of theirs far away. Truths and heads are
those of the validation part, so that a choice made here may be tested on the test part. What was
saved already is not made again.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.bench.everyday import TablePlan, Worker
from majorant.bench.everyday_doors import SolverDoor
from majorant.bench.everyday_set import (
    Cell,
    Recorded,
    Site,
    pairs,
    regions_of_template,
    space_of,
    to_regions,
)
from majorant.metrics.everyday import NAMES, Judge
from majorant.simulate.everyday.parts import Part

SOLVERS = ("sloreta", "scan", "unfolded-sbl", "champagne", "mm-net")
PART: Part = "validation"


def pieces(plan: TablePlan) -> Iterator[tuple[Site, Cell]]:
    """The samples of the run, a cell at a site at a time."""
    return pairs(plan.test, plan.cells)


def place(folder: Path, site: Site, cell: Cell, solver: str) -> Path:
    """Where the estimates of a solver are kept."""
    return folder / f"{site.name} {cell.name} {solver}.npy".replace(" ", "_")


def vectors(door: SolverDoor, evoked: Any) -> NDArray[np.float16]:
    """The estimate of unit norm as vectors, (n_locations, 3, n_times)."""
    door.imager.apply(evoked)
    estimate = door.imager.solution_.estimate[0].double().numpy()
    if door.leadfield.kind == "regions":
        estimate = along_normals(estimate)
    estimate = estimate.reshape(-1, 3, estimate.shape[1])
    # Half precision has no room for small numbers: the largest is 1.
    return (estimate / max(np.abs(estimate).max(), 1e-300)).astype(np.float16)


def along_normals(estimate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Regions on the 5,124 vertices; the third of a vertex's columns is its normal."""
    parcels = regions_of_template().parcels
    assert parcels is not None
    region = parcels[:, :2562].reshape(-1).numpy()
    out = np.zeros((len(region), 3, estimate.shape[1]))
    out[:, 2] = np.where((region >= 0)[:, None], estimate[region], 0.0)
    return out.reshape(-1, estimate.shape[1])


def save(folder: Path, plan: TablePlan, solvers: list[str]) -> None:
    """Save what is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    worker = Worker(plan)
    for site, cell in pieces(plan):
        for solver in solvers:
            path = place(folder, site, cell, solver)
            if path.exists():
                continue
            made = worker.recorded(site, cell)
            door = door_of(worker, site, solver, made)
            np.save(path, np.stack([vectors(door, evoked) for evoked in made.evoked]))
            print(path.name, flush=True)


def door_of(worker: Worker, site: Site, solver: str, made: Recorded) -> SolverDoor:
    """A solver, with options where its name has them: ``scan:head_error=0:penalty=.5``."""
    name, *words = solver.split(":")
    options = {key: float(value) for key, value in (word.split("=") for word in words)}
    if options:
        return SolverDoor(name, made.info, made.noise_cov, **options)
    door = worker.door(site, name, made)
    assert isinstance(door, SolverDoor)
    return door


def mean_of(folder: Path, site: Site, cell: Cell, recipe: str) -> NDArray[np.float64]:
    """A mean such as ``scan*2+sloreta@0.2``, as lengths, (n_samples, n_locations, n_times)."""
    total: Any = 0.0
    members, _, least = recipe.partition("@")
    for member in members.split("+"):
        solver, _, weight = member.partition("*")
        one = np.load(place(folder, site, cell, solver)).astype(np.float64)
        norm = np.linalg.norm(one.reshape(len(one), -1), axis=1)[:, None, None, None]
        total = total + float(weight or 1) * one / np.maximum(norm, 1e-300)
    lengths = np.linalg.norm(total, axis=2)
    size = np.linalg.norm(lengths, axis=2, keepdims=True)
    return np.where(size >= float(least or 0) * size.max(axis=1, keepdims=True), lengths, 0.0)


def judge(folder: Path, plan: TablePlan, recipes: list[str]) -> None:
    """Print a table: a row for every mean, figures over all cells, and the worst regret in EMD."""
    worker, found = Worker(plan), {recipe: {} for recipe in recipes}
    for site, cell in pieces(plan):
        made = worker.recorded(site, cell)
        own = judge_of(worker, cell, float(made.info["sfreq"]))
        for recipe in recipes:
            values = mean_of(folder, site, cell, recipe)
            if cell.family:
                home = space_of(template_space(worker)).home
                values = np.stack([to_regions(v, home, worker.test.mesh) for v in values])
            scores = [own.score(t, v) for t, v in zip(made.truths, values, strict=True)]
            found[recipe].setdefault(cell.name, []).extend(
                [[score[name] for name in NAMES] for score in scores]
            )
    means = {r: {c: np.mean(s, axis=0) for c, s in cells.items()} for r, cells in found.items()}
    best = {c: min(means[r][c][0] for r in recipes) for c in next(iter(means.values()))}
    print("| mean of | " + " | ".join(NAMES) + " | worst EMD regret |")
    print("|---|" + "---:|" * (len(NAMES) + 1))
    for recipe, cells in sorted(means.items(), key=lambda item: np.mean([*item[1].values()], 0)[0]):
        row = [f"{x:.2f}" for x in np.mean([*cells.values()], axis=0)]
        worst = max(cells[c][0] / best[c] for c in cells)
        print(f"| {recipe} | " + " | ".join([*row, f"{worst:.2f}"]) + " |")


def template_space(worker: Worker) -> Any:
    """The 5,124 vertices of the template, as any lead field on them has them."""
    from majorant.bench.everyday_set import CAPS, template

    return template(CAPS["32"]).believed


def judge_of(worker: Worker, cell: Cell, sfreq: float) -> Judge:
    """Families are judged on regions, all else on the 5,124 vertices."""
    return worker.judge(regions_of_template() if cell.family else template_space(worker), sfreq)


def main() -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=["save", "judge"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", help="Solvers to save, or means to judge.")
    parser.add_argument("--n", type=int, default=4)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--all", action="store_true", help="All 52 cells.")
    given = parser.parse_intermixed_args()
    plan = TablePlan(given.n, given.seed, quick=not given.all, sites=2, part=PART)
    if given.what == "save":
        save(given.folder, plan, given.names or list(SOLVERS))
    else:
        judge(given.folder, plan, given.names or list(SOLVERS))


if __name__ == "__main__":
    main()
