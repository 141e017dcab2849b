"""Champagne beside MNE's gamma map, per iteration, in the same run.

Ours learns a noise variance per sensor beside the source variances, under its guard, with the
certificate; theirs learns source variances alone. Both keep every source. Theirs is measured with
the threads it finds and with one, and the faster of the two counts: its small products can lose
more to threads than they win.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import torch

from majorant.problem import MatrixOperator, Problem
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

Row = tuple[str, float, float, float]
"""What was measured, ours and theirs in milliseconds per iteration and problem, and the ratio."""

N_SENSORS, N_TIMES, SHORT, LONG = 64, 50, 2, 12


def _problem(n_batch: int, n_sources: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A lead field, and data (n_batch, n_sensors, n_times) of its first five sources."""
    rng = np.random.default_rng(seed)
    lead = rng.standard_normal((N_SENSORS, n_sources))
    data = lead[:, :5] @ rng.standard_normal((n_batch, 5, N_TIMES))
    return lead, data + 0.5 * rng.standard_normal(data.shape)


def _ours(lead: np.ndarray, data: np.ndarray, dtype: torch.dtype) -> Callable[[int], None]:
    operator = MatrixOperator(torch.as_tensor(lead, dtype=dtype))
    problem = Problem(operator, torch.as_tensor(data, dtype=dtype))
    solver = Champagne(tol=0.0)

    def run(iterations: int) -> None:
        solve(problem, solver, max_iter=iterations)

    return run


def _theirs(lead: np.ndarray, data: np.ndarray, threads: int | None) -> Callable[[int], None]:
    from mne.inverse_sparse._gamma_map import _gamma_map_opt
    from threadpoolctl import threadpool_limits

    def run(iterations: int) -> None:
        with threadpool_limits(threads, "blas"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "\\s*Convergence NOT reached")
            for sample in data:
                _, active = _gamma_map_opt(
                    sample, lead, 1.0, maxit=iterations, tol=0.0, update_mode=2, verbose="ERROR"
                )
                if len(active) < lead.shape[1]:
                    raise RuntimeError("the reference pruned sources; take fewer iterations")

    return run


def per_iteration(
    runs: Sequence[Callable[[int], None]], problems: int, repeats: int = 9
) -> list[float]:
    """Milliseconds per iteration and problem: long runs less short ones, taken in turns.

    The median of ``repeats``, so that neither the start nor a busy moment of the machine counts.
    """
    spent: list[list[float]] = [[] for _ in runs]
    for repeat in range(repeats + 1):
        for run, times in zip(runs, spent, strict=True):
            begin = time.perf_counter()
            run(SHORT)
            middle = time.perf_counter()
            run(LONG)
            difference = (time.perf_counter() - middle) - (middle - begin)
            if repeat:
                times.append(1e3 * difference / (LONG - SHORT) / problems)
    return [statistics.median(times) for times in spent]


def champagne_rows() -> list[Row]:
    """Measure everything; takes about ten seconds."""
    rows: list[Row] = []

    def compare(names: Sequence[str], runs: Sequence[Callable[[int], None]], theirs, count) -> None:
        *ours, free, single = per_iteration([*runs, *theirs], count)
        reference = min(free, single)
        rows.extend((n, t, reference, reference / t) for n, t in zip(names, ours, strict=True))

    lead, data = _problem(1, 5124)
    compare(
        ["Champagne 64 x 5,124, float64", "Champagne 64 x 5,124, float32"],
        [_ours(lead, data, torch.float64), _ours(lead, data, torch.float32)],
        [_theirs(lead, data, None), _theirs(lead, data, 1)],
        1,
    )
    lead, data = _problem(16, 994)
    alone = [_ours(lead, sample[None], torch.float64) for sample in data]

    def one_by_one(iterations: int) -> None:
        for run in alone:
            run(iterations)

    compare(
        [
            "Champagne 64 x 994, 16 one by one",
            "Champagne 64 x 994, 16 as a batch, float64",
            "Champagne 64 x 994, 16 as a batch, float32",
        ],
        [one_by_one, _ours(lead, data, torch.float64), _ours(lead, data, torch.float32)],
        [_theirs(lead, data, None), _theirs(lead, data, 1)],
        16,
    )
    return rows
