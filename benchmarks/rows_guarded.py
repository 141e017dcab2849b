"""Rows of the guard's tables: a solver on a data set, with what the guard did."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from majorant.metrics.localisation import Localisation, Scores
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.base import IterativeSolver, Solver
from majorant.solvers.loop import solve

BATCH = 50


@dataclass(frozen=True)
class Run:
    """One row: means over samples.

    Attributes
    ----------
    name : str
    le, auc, psnr : float
        mm, times 100, dB.
    energy : float
        Final energy; NaN for solvers with another one.
    refused : float
        Share of the windows whose proposal was not taken as it came.
    violations : int
    ms : float
        Per sample.
    """

    name: str
    le: float
    auc: float
    psnr: float
    energy: float
    refused: float
    violations: int
    ms: float

    def __str__(self) -> str:
        energy = "-" if math.isnan(self.energy) else f"{self.energy:.4f}"
        return (
            f"| {self.name} | {self.le:.2f} | {self.auc:.2f} | {self.psnr:.1f} | "
            f"{energy} | {100 * self.refused:.1f} % | {self.violations} | {self.ms:.1f} |"
        )


HEADER = (
    "| solver | LE | AUC | PSNR | final energy | refused | rises | ms |\n"
    "|---|---|---|---|---|---|---|---|"
)


def score(name: str, data: SereegaLike, solver: Solver, *, max_iter: int | None = None) -> Run:
    """Solve all samples of a data set and judge them."""
    judge, scores = Localisation(data.leadfield, data.sfreq), []
    energy, refused, windows, rises, seconds = 0.0, 0, 0, 0, 0.0
    solve(data.problem(data.batch([0])), solver, max_iter=max_iter)  # what is made once
    for batch in data.batches(BATCH):
        began = time.perf_counter()
        solution = solve(data.problem(batch), solver, max_iter=max_iter)
        seconds += time.perf_counter() - began
        estimate = solution.estimate.to(batch.y.dtype)
        scores.append(judge.score(batch.x, estimate, batch.seed))
        held = solution.certificate
        energy += float(held.energy[-1].sum()) if isinstance(solver, IterativeSolver) else math.nan
        refused += int(held.refused.sum())
        windows += (held.energy.shape[0] - 1) * len(batch)
        rises += int(held.violations.sum())
    joined = Scores.cat(scores)
    le, auc, psnr = (float(v.mean()) for v in (joined.le, joined.auc, joined.psnr))
    n = len(data)
    share = refused / max(windows, 1)
    return Run(name, le, auc, psnr, energy / n, share, rises, 1e3 * seconds / n)
