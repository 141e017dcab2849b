"""Champagne beside MNE's gamma map, per iteration, in the same run.

Ours learns a noise variance per sensor beside the source variances, under its guard, with the
certificate; theirs learns source variances alone. Both keep every source. Each runs with the
threads it finds or with one, whichever a short trial shows to be faster: small products can lose
more to threads than they win.

The last rows are the default, which ends: processor time on one thread from the data to the
converged estimate, beside a limit of ours; ``python -m benchmarks.speed_champagne`` says how
its evidence compares with that of thousands of plain steps.

Two lengths of data: 421 times, an evoked response like that of MNE's sample recording, and 50, a
short window. Ours reduces the former to as many columns as sensors, once, which costs nothing.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch

from majorant.problem import MatrixOperator, Problem, Status
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

Row = tuple[str, float, float, float]
"""What was measured, ours and theirs in milliseconds per iteration and problem, and the ratio."""

Run = Callable[[int], None]
"""Solve every problem for a number of iterations."""

N_SENSORS = 64
LENGTHS = (421, 50)
"""Time points."""
END_LIMIT = 500.0
"""Milliseconds of processor time in which the default should converge."""

SHORT, LONG = 2, 12
"""Iterations of the runs whose difference is the time of an iteration."""


def _problems(n_batch: int, n_sources: int, n_times: int) -> tuple[np.ndarray, np.ndarray]:
    """A lead field, and data (n_batch, n_sensors, n_times) of its first five sources."""
    rng = np.random.default_rng(0)
    lead = rng.standard_normal((N_SENSORS, n_sources))
    data = lead[:, :5] @ rng.standard_normal((n_batch, 5, n_times))
    return lead, data + 0.5 * rng.standard_normal(data.shape)


@contextmanager
def _torch_threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(before if count is None else count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _ours(lead: np.ndarray, data: np.ndarray, dtype: torch.dtype, one_by_one: bool = False) -> Run:
    operator = MatrixOperator(torch.as_tensor(lead, dtype=dtype))
    y = torch.as_tensor(data, dtype=dtype)
    problems = [Problem(operator, part) for part in (y.split(1) if one_by_one else (y,))]
    solver = Champagne("cb", tol=0.0)

    def run(iterations: int, threads: int | None) -> None:
        with _torch_threads(threads):
            for problem in problems:
                solve(problem, solver, max_iter=iterations)

    return _at_its_best(run)


def _theirs(lead: np.ndarray, data: np.ndarray) -> Run:
    from mne.inverse_sparse._gamma_map import _gamma_map_opt
    from threadpoolctl import threadpool_limits

    def run(iterations: int, threads: int | None) -> None:
        with threadpool_limits(threads, "blas"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "\\s*Convergence NOT reached")
            for sample in data:
                _, active = _gamma_map_opt(
                    sample, lead, 1.0, maxit=iterations, tol=0.0, update_mode=2, verbose="ERROR"
                )
                if len(active) < lead.shape[1]:
                    raise RuntimeError("the reference pruned sources; take fewer iterations")

    return _at_its_best(run)


def _at_its_best(run: Callable[[int, int | None], None]) -> Run:
    """Fix the number of threads by a short trial."""
    spent: dict[int | None, float] = {}
    for threads in (None, 1):
        run(1, threads)
        begin = time.perf_counter()
        run(SHORT, threads)
        spent[threads] = time.perf_counter() - begin
    best = min(spent, key=lambda threads: spent[threads])
    return lambda iterations: run(iterations, best)


def per_iteration(runs: Sequence[Run], problems: int, repeats: int = 9) -> list[float]:
    """Milliseconds per iteration and problem: long runs less short ones, taken in turns.

    The fastest of ``repeats`` of either, so that neither the start counts nor busy moments of the
    machine, which only ever add: a difference of two that were disturbed may be negative.
    """
    spent: list[list[tuple[float, float]]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, times in zip(runs, spent, strict=True):
            begin = time.perf_counter()
            run(SHORT)
            middle = time.perf_counter()
            run(LONG)
            times.append((middle - begin, time.perf_counter() - middle))
    fastest = [tuple(map(min, zip(*times, strict=True))) for times in spent]
    return [1e3 * (long - short) / (LONG - SHORT) / problems for short, long in fastest]


def evoked_like(n_times: int = 150) -> Problem:
    """Two to three patches at 5 dB on the template's 5,124 vertices, 64 electrodes; float64."""
    from majorant.forward.leadfield import average_reference
    from majorant.forward.template import template_leadfield
    from majorant.simulate.sparse import SparseLike, SparseSettings
    from majorant.training.sbl import referenced

    full = template_leadfield("biosemi64", space="ico4", fixed=True)
    settings = SparseSettings((2, 3), n_times=n_times, snr_db=(5.0, 5.0))
    data = SparseLike(referenced(full), 5, "validation", settings, dtype=torch.float64)
    basis = average_reference(full.n_sensors)
    return Problem(MatrixOperator(basis @ full.gain), basis @ data.batch([0]).y)


def ended_rows() -> Iterator[tuple[str, float, float]]:
    """Milliseconds of processor time to the end, in both precisions, and the limit."""
    problem = evoked_like()
    matrix = problem.operator.matrix()
    assert matrix is not None
    for dtype in (torch.float64, torch.float32):
        own = Problem(MatrixOperator(matrix.to(dtype)), problem.y.to(dtype))
        with _torch_threads(1):
            spent = []
            for _ in range(3):
                begin = time.process_time()
                solution = solve(own, Champagne())
                spent.append(1e3 * (time.process_time() - begin))
        if set(solution.status) != {Status.CONVERGED}:
            raise RuntimeError("Champagne did not converge; its time says nothing")
        name = f"Champagne to its end, 64 x 5,124, 150 times, {str(dtype).removeprefix('torch.')}"
        yield name, statistics.median(spent), END_LIMIT


def champagne_rows() -> list[Row]:
    """Measure everything; takes half a minute on a machine that is not busy."""
    rows: list[Row] = []
    for n_times in LENGTHS:
        lead, data = _problems(1, 5124, n_times)
        what = f"Champagne 64 x 5,124, {n_times} times"
        rows += _compare(
            {
                f"{what}, float64": _ours(lead, data, torch.float64),
                f"{what}, float32": _ours(lead, data, torch.float32),
            },
            _theirs(lead, data),
            1,
        )
    for n_times in LENGTHS:
        lead, data = _problems(16, 994, n_times)
        what = f"Champagne 64 x 994, {n_times} times, 16"
        rows += _compare(
            {
                f"{what} one by one": _ours(lead, data, torch.float64, one_by_one=True),
                f"{what} as a batch, float64": _ours(lead, data, torch.float64),
                f"{what} as a batch, float32": _ours(lead, data, torch.float32),
            },
            _theirs(lead, data),
            16,
        )
    return rows


def _compare(ours: dict[str, Run], theirs: Run, problems: int) -> list[Row]:
    *times, reference = per_iteration([*ours.values(), theirs], problems)
    return [(name, t, reference, reference / t) for name, t in zip(ours, times, strict=True)]


def main(steps: int = 3000) -> None:
    """Print the time to the end, and the evidence cost there and after many plain steps."""
    for name, ours, limit in ended_rows():
        print(f"{name}: {ours:.0f} ms of processor time (limit {limit:.0f})")
    problem = evoked_like()
    ended = solve(problem, Champagne())
    plain = solve(problem, Champagne("cb", tol=0.0), max_iter=steps)
    costs = plain.certificate.energy[:, 0]
    miss = float((ended.estimate - plain.estimate).norm() / plain.estimate.norm())
    print(
        f"evidence cost: {float(ended.certificate.energy[-1, 0]):.5f} after "
        f"{ended.certificate.energy.shape[0] - 1} steps of the default, {float(costs[300]):.5f} "
        f"after 300 of convex bounding, {float(costs[-1]):.5f} after {steps}; the estimates "
        f"differ by {100 * miss:.2f} %"
    )


if __name__ == "__main__":
    main()
