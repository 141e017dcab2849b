"""What learned corrections and their gate cost, beside the plain step of convex bounding.

All runs are the same loop, on one thread; they take turns and the time is that of the processor, so
a busy machine hits all of them and no waiting counts. The ratio is the median over turns.

``python -m benchmarks.speed_unfolded [BATCH]`` prints the rows; ``... memory mlp`` takes one
step of training and prints the peak of memory, which we want below 4 GiB.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from benchmarks.speed import own_peak_mib
from benchmarks.speed_champagne import Row
from majorant.bench.sbl_methods import calibrain_map
from majorant.forward.template import template_leadfield
from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.majorants.guard import Guard
from majorant.networks.corrections import CorrectionKind, Corrections, CorrectionSettings
from majorant.problem import MatrixOperator, Problem
from majorant.simulate.sparse import SparseLike
from majorant.solvers.base import IterativeSolver
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.training.growth import LayerwiseSettings
from majorant.training.layerwise import Layerwise
from majorant.training.sbl import referenced
from majorant.weights.sbl import unfolded_sbl

N_SENSORS, N_SOURCES, N_TIMES = 63, 5124, 50
BATCH, LAYERS = 32, 10
SHORT, LONG = 2, LAYERS
"""Layers of the runs whose difference is the time of a layer; all are corrected."""


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
    """Weights that are not zero, so that gates bind.

    The network is the packaged one; a bias alone, for the gate alone, is a tenth of its limit, so
    that noise variances do not run into their floor.
    """
    if kind != "bias":
        return unfolded_sbl(mode, correction=kind, guard=guard)
    solver = UnfoldedSBL(kind, mode, shared=True, guard=guard)
    with torch.no_grad():
        for weight in solver.corrections.parameters():
            weight.fill_(0.1)
    return solver


def unfolded_rows(n_batch: int = 16, turns: int = 9) -> list[Row]:
    """Milliseconds per layer and problem: ours, those of the plain step, and plain over ours.

    Parameters
    ----------
    n_batch : int
        Problems solved at once: of few, the calls of operations cost more than what they do.
    turns : int
    """
    case = problem(n_batch)
    names = {
        "Unfolded, gate alone": _network("bias", "gated"),
        "Unfolded, theta and MLP": _network("mlp", "theta"),
        "Unfolded, gate and MLP": _network("mlp", "gated"),
        "Unfolded, gate and attention": _network("attention", "gated"),
    }
    plain = _runner(case, Champagne("cb", tol=0.0, guard=Guard("off", window=1)))
    runs = [_runner(case, solver) for solver in names.values()]
    with _one_thread():
        rows = [
            (name, *_beside(plain, run, _layer_seconds, turns, n_batch))
            for name, run in zip(names, runs, strict=True)
        ]
        whole = _beside(plain, runs[2], _whole_seconds, turns, n_batch)
    rows.append(("Unfolded, gate and MLP, ten layers with their start", *whole))
    return rows


def _beside(
    plain: Callable[[int], None],
    ours: Callable[[int], None],
    seconds: Callable[[Callable[[int], None]], float],
    turns: int,
    n_batch: int,
) -> tuple[float, float, float]:
    """Milliseconds a problem of ours, those of the plain run, and plain over ours."""
    pairs = [(seconds(plain), seconds(ours)) for _ in range(turns)]
    ratio = statistics.median(theirs / own for theirs, own in pairs)
    own = 1e3 * statistics.median(own for _, own in pairs) / n_batch
    return own, ratio * own, ratio


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _layer_seconds(run: Callable[[int], None]) -> float:
    """Processor time of a layer: a long run less a short one, so that the start does not count."""
    marks = [time.process_time()]
    for layers in (SHORT, LONG):
        run(layers)
        marks.append(time.process_time())
    first, begin, last = marks
    return ((last - begin) - (begin - first)) / (LONG - SHORT)


def _whole_seconds(run: Callable[[int], None]) -> float:
    """Processor time of all layers and of what is read of the problem before them."""
    begin = time.process_time()
    run(LONG)
    return time.process_time() - begin


def batch_seconds(repeats: int = 3) -> float:
    """Seconds for 32 problems of 63 x 5,124 in ten layers; the fastest of some runs."""
    case, solver = problem(BATCH), _network("mlp", "gated")
    spent = []
    for _ in range(repeats):
        begin = time.perf_counter()
        solve(case, solver, max_iter=LAYERS)
        spent.append(time.perf_counter() - begin)
    return min(spent)


def training_mib(kind: CorrectionKind) -> float:
    """Peak of memory, MiB, of a Python that takes one step of training as a run takes it.

    On 32 problems of 63 x 5,124 in ten layers.
    """
    full = template_leadfield("biosemi64", space="ico4", fixed=True)
    head = referenced(full.pick(full.ch_names[:N_SENSORS]))
    settings = LayerwiseSettings(
        CorrectionSettings(kind, LAYERS), batch=BATCH, validation=1, save_every=1, deep=0.0
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Layerwise(settings, [SparseLike(head, 0)], folder, Corrections(settings.correction))
        run.run(minutes=0.0)
    return own_peak_mib()


def calibrain_rows(n_sources: int = 994, iterations: int = 10, turns: int = 7) -> list[Row]:
    """Milliseconds per problem for ten layers, ours and calibrain's; empty where it is missing.

    Calibrain makes the posterior covariance in every iteration, ours only what the rules need.
    Processor time on one thread, in turns.
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

    from threadpoolctl import threadpool_limits

    spent: list[list[float]] = [[], []]
    with threadpool_limits(1), _one_thread():
        for _ in range(turns):
            for run, times in zip((ours, theirs), spent, strict=True):
                begin = time.process_time()
                run()
                times.append(1e3 * (time.process_time() - begin))
    mine, other = (statistics.median(times) for times in spent)
    return [(f"Unfolded, one problem of 63 x {n_sources}, ten layers", mine, other, other / mine)]


if __name__ == "__main__":
    if sys.argv[1:2] == ["memory"]:
        for asked in sys.argv[2:]:
            print(
                f"{asked}: {training_mib('attention' if asked == 'attention' else 'mlp'):,.0f} MiB"
            )
        sys.exit()
    for what, mine, plain, faster in unfolded_rows(int(sys.argv[1]) if len(sys.argv) > 1 else 16):
        print(f"{what}: {mine:.2f} ms beside {plain:.2f}, {1.0 / faster:.2f} times")
    for what, mine, other, faster in calibrain_rows():
        print(f"{what}: {mine:.1f} ms beside {other:.1f} of calibrain, {faster:.1f} times faster")
