"""What learned corrections and their gate cost, beside the plain step of convex bounding.

All runs are the same loop with the same guard of the package; they take turns, so a busy moment of
the machine hits all of them.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

from majorant.bench.sbl_methods import calibrain_map
from majorant.bench.speed_champagne import Row, per_iteration
from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.majorants.guard import Guard
from majorant.networks.corrections import CorrectionKind
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.base import IterativeSolver
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.weights.sbl import unfolded_sbl

N_SENSORS, N_SOURCES, N_TIMES = 63, 5124, 50
BATCH, LAYERS = 32, 10


def problem(n_batch: int, seed: int = 0) -> Problem:
    """Five sources of 5,124 seen by 63 sensors, in float32."""
    draw = torch.Generator().manual_seed(seed)
    lead = torch.randn(N_SENSORS, N_SOURCES, generator=draw)
    y = lead[:, :5] @ torch.randn(n_batch, 5, N_TIMES, generator=draw)
    return Problem(MatrixOperator(lead), y + 0.5 * torch.randn(y.shape, generator=draw))


def _runner(case: Problem, solver: IterativeSolver) -> Callable[[int], None]:
    def run(iterations: int) -> None:
        solve(case, solver, max_iter=iterations)

    return run


def _network(kind: CorrectionKind, mode: Mode, guard: Guard | None = None) -> UnfoldedSBL:
    """Shared weights, so that any number of layers is corrected; not zero, so that gates bind.

    The network is the packaged one; a bias alone, for the gate alone, is a tenth of its limit, so
    that noise variances do not run into their floor.
    """
    if kind == "mlp":
        return unfolded_sbl(mode, guard=guard)
    solver = UnfoldedSBL(kind, mode, shared=True, guard=guard)
    with torch.no_grad():
        for weight in solver.corrections.parameters():
            weight.fill_(0.1)
    return solver


def unfolded_rows(n_batch: int = 4) -> list[Row]:
    """Milliseconds per layer and problem: ours, those of the plain step, and plain over ours."""
    case = problem(n_batch)
    names = ("Unfolded, gate alone", "Unfolded, theta and MLP", "Unfolded, gate and MLP")
    runs = [
        _runner(case, Champagne(tol=0.0, guard=Guard("off", window=1))),
        _runner(case, _network("bias", "gated")),
        _runner(case, _network("mlp", "theta")),
        _runner(case, _network("mlp", "gated")),
    ]
    plain, *ours = per_iteration(runs, n_batch)
    return [(name, t, plain, plain / t) for name, t in zip(names, ours, strict=True)]


def batch_seconds(repeats: int = 3) -> float:
    """Seconds for 32 problems of 63 x 5,124 in ten layers; the fastest of some runs."""
    case, solver = problem(BATCH), _network("mlp", "gated")
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        solve(case, solver, max_iter=LAYERS)
        spent.append(time.perf_counter() - begin)
    return min(spent)


def calibrain_rows(n_sources: int = 994, iterations: int = 10) -> list[Row]:
    """Milliseconds per problem for ten layers, ours and calibrain's; empty where it is missing.

    Calibrain makes the posterior covariance in every iteration, ours only what the rules need.
    """
    found = calibrain_map()
    if found is None:
        return []
    case = problem(1)
    matrix = case.operator.matrix()
    assert matrix is not None
    lead = matrix[:, :n_sources].double()
    small = Problem(MatrixOperator(lead.float()), case.y)
    solver, y = _network("mlp", "gated"), case.y[0].double().numpy()

    def ours() -> None:
        solve(small, solver, max_iter=iterations)

    def theirs() -> None:
        found(lead.numpy(), y, max_iter=iterations, tol=0.0, track_history=False)

    spent: list[list[float]] = [[], []]
    for _ in range(5):
        for run, times in zip((ours, theirs), spent, strict=True):
            begin = time.perf_counter()
            run()
            times.append(1e3 * (time.perf_counter() - begin))
    mine, other = (statistics.median(times) for times in spent)
    return [(f"Unfolded, one problem of 63 x {n_sources}, ten layers", mine, other, other / mine)]
