"""Whether the error of a head, treated as noise, helps: `python benchmarks/head_error.py [n]`.

Sources on heads that nobody believes (validation part), n of each cell at four sites, imaged by the
scan and unfolded SBL: as they are; whitened by ``I + f P S``, with ``S`` the pooled
covariance of topography errors over a bank of other heads (training part), ``P`` the signal's power
of the sample and f = 1 or 3; and by the mean of the estimates on the believed head and on some of
the bank's. Prints means, and differences from "as they are" with 95 % intervals of the pairs.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from majorant import registry
from majorant.bench.everyday_set import space_of
from majorant.forward.leadfield import Leadfield
from majorant.forward.template_bank import template_bank
from majorant.forward.topography_errors import topography_errors
from majorant.linalg import spd_power
from majorant.metrics.everyday import FineMesh, Judge, Truth
from majorant.problem import MatrixOperator, Problem
from majorant.simulate.everyday import Everyday, EverydaySettings, World
from majorant.simulate.everyday.heads import world_of
from majorant.simulate.everyday.stream import EverydayBatch
from majorant.solvers.base import Solver
from majorant.solvers.loop import solve

CELLS: Mapping[str, EverydaySettings] = {
    "vertex": EverydaySettings(shapes=("vertex",), n_sources=(1, 2, 3)),
    "one patch": EverydaySettings(shapes=("ball", "grown"), n_sources=(1,)),
    "2-3 patches": EverydaySettings(shapes=("ball", "grown"), n_sources=(2, 3)),
    "any 4-6": EverydaySettings(n_sources=(4, 5, 6)),
}
SITES, BANK, OTHERS = 4, 12, 3
FACTORS = (1.0, 3.0)
FIGURES = ("le", "cosine", "found", "ghosts")
SEED = 515


def directed(x: Tensor) -> Tensor:
    """Scale to unit norm."""
    return x / x.norm().clamp_min(1e-300)


def whitened(operator: MatrixOperator, y: Tensor, errors: Tensor, factor: float) -> Problem:
    """Pose one sample with the head's error among its noise."""
    n, n_times = y.shape
    power = max(float(y.square().sum()) / n_times - n, 0.0)
    white = spd_power(torch.eye(n, dtype=torch.float64) + factor * power * errors, -0.5)
    lead = white @ operator.matrix().double()
    return Problem(MatrixOperator(lead, 1, operator.geometry), (white @ y)[None])


def estimates(
    solver: Solver, batch: EverydayBatch, errors: Tensor, others: list[MatrixOperator]
) -> Iterator[tuple[str, int, Tensor]]:
    """Yield way, sample and estimate."""
    believed = MatrixOperator(batch.operator.matrix().double(), 1, batch.operator.geometry)
    y = batch.y.double()
    plain = solve(Problem(believed, y), solver).estimate
    elsewhere = [solve(Problem(other, y), solver).estimate for other in others]
    for k in range(len(y)):
        yield "as it is", k, plain[k]
        yield "mean over heads", k, sum((directed(x[k]) for x in elsewhere), directed(plain[k]))
        for factor in FACTORS:
            posed = whitened(believed, y[k], errors, factor)
            yield f"f = {factor:g}", k, solve(posed, solver).estimate[0]


def scores(n: int) -> Mapping[tuple[str, str], list[dict[str, float]]]:
    """Score every solver in every way; lists are in the same order of samples."""
    bank = template_bank("biosemi64")
    world: World = world_of(bank, [bank.ch_names] * SITES, SEED, "validation")
    leads: list[Leadfield] = [head.leadfield for head in bank.draw(BANK, 7, split="train")]
    mesh = FineMesh(world.cortex.positions.numpy(), world.cortex.regions.numpy())
    solvers = {name: registry.make(name) for name in ("scan", "unfolded-sbl")}
    out: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    for cell, settings in CELLS.items():
        data = Everyday(
            world, SEED, part="validation", settings=replace(settings, n_times=(50,)), seeds=1500
        )
        for site in range(SITES):
            session = data.session(site)
            white, batch = session.whitener.double(), session.batch(range(n))
            errors = topography_errors(bank.believed, leads, rows=white).pooled
            others = [
                MatrixOperator(white @ lead.gain, 1, batch.operator.geometry)
                for lead in leads[:OTHERS]
            ]
            judge = Judge(space_of(bank.believed), session.sfreq)
            truths = [
                Truth.of(mesh, dense.double().numpy(), course.double().numpy())
                for dense, course in zip(batch.dense(), batch.courses, strict=True)
            ]
            for name, solver in solvers.items():
                for way, k, x in estimates(solver, batch, errors, others):
                    score = judge.score(truths[k], x.numpy())
                    out[name, way].append({**score, "sources": len(truths[k].members)})
            print(f"{cell}, site {site + 1} of {SITES}", file=sys.stderr, flush=True)
    return out


def main(n: int) -> None:
    """Print the tables of docs/head-error.md."""
    torch.set_num_threads(1)
    found = scores(n)
    print("| solver | way | " + " | ".join(FIGURES) + " | le, one source |")
    print("|---|---|" + "---|" * (len(FIGURES) + 1))
    for (name, way), rows in found.items():
        base = found[name, "as it is"]
        one = [k for k, row in enumerate(rows) if row["sources"] == 1]
        chosen = [(figure, range(len(rows))) for figure in FIGURES] + [("le", one)]
        cells = []
        for figure, index in chosen:
            own = np.array([rows[k][figure] for k in index])
            apart = own - np.array([base[k][figure] for k in index])
            half = 1.96 * apart.std(ddof=1) / len(apart) ** 0.5
            told = f"{own.mean():.2f}"
            if way != "as it is":
                told += f" ({apart.mean():+.2f} ± {half:.2f})"
            cells.append(told)
        print(f"| {name} | {way} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
