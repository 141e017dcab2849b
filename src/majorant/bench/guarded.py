"""What the guard costs a trained network, and what it saves: the tables of ``docs/training.md``.

    python -m majorant.bench.guarded            # windows and lengths, 200 test samples
    python -m majorant.bench.guarded montages   # 32 to 128 other electrodes, against sLORETA

Source: simulations of SEREEGA type, the test part; metrics of :mod:`majorant.metrics.localisation`.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from majorant.forward.leadfield import Leadfield
from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard
from majorant.metrics.localisation import Localisation, Scores
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.base import IterativeSolver, Solver
from majorant.solvers.linear import SLORETA
from majorant.solvers.loop import solve
from majorant.solvers.mm import ClassicalMM, SameAs
from majorant.weights.shipped import mm_net

BATCH = 50
WINDOWS = (0, 1, 2, 5, 10)
"""0 stands for no guard."""

MONTAGES = ("biosemi32", "biosemi64", "", "biosemi128")
"""The empty name stands for the 90 electrodes of the training."""


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


def windows(weights: str, n: int, leadfield: Leadfield) -> Iterator[Run]:
    """Windows against lengths, and classical MM on the same energy with as many gradients."""
    data = SereegaLike(leadfield, n, part="test")
    trained = mm_net(weights, sfreq=data.sfreq)
    steps = trained.network.settings.iterations
    for length in (steps, 2 * steps, 5 * steps):
        for window in WINDOWS:
            if window > length:
                continue
            guard = Guard(window=window) if window else Guard("off", window=1)
            words = f"window {window}" if window else "no guard"
            solver = MMNet(trained.network, sfreq=data.sfreq, guard=guard)
            yield score(f"MM-Net, {length} steps, {words}", data, solver, max_iter=length)
        classical = ClassicalMM(SameAs(trained, "gram"), max_iter=length)
        yield score(f"classical MM, {length} steps", data, classical, max_iter=length)


def montages(weights: str, n: int, leadfield: Leadfield) -> Iterator[Run]:
    """One network on other electrodes, with sLORETA on the same data."""
    from majorant.forward.template import template_leadfield

    for name in MONTAGES:
        head = template_leadfield(name) if name else leadfield
        data = SereegaLike(head, n, part="test")
        words = f"{name or 'its own'}, {head.n_sensors} electrodes"
        yield score(f"MM-Net, {words}", data, mm_net(weights, sfreq=data.sfreq))
        yield score(f"sLORETA, {words}", data, SLORETA(snr=5.0))


def main(arguments: Sequence[str]) -> None:
    """Print a table; arguments: [windows|montages] [samples] [weights]."""
    rest = list(arguments)
    table = montages if rest and rest[0] == "montages" else windows
    rest = rest[1:] if rest and rest[0] in ("windows", "montages") else rest
    n = int(rest[0]) if rest else 200
    weights = rest[1] if len(rest) > 1 else "sereega"
    print(HEADER)
    for row in table(weights, n, Leadfield.template_small()):
        print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
