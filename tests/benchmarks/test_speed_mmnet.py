"""The rows of the solver: what its products are, and that every row can be made."""

from __future__ import annotations

import itertools

import pytest
import torch
from benchmarks.speed_mmnet import (
    growth_rows,
    in_turns,
    made,
    products,
    shapes,
    window_rows,
    windows,
)
from torch.utils.flop_counter import FlopCounterMode

from majorant import linalg
from majorant.solvers.loop import solve
from majorant.weights.shipped import trained


def test_the_products_are_those_of_a_solve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linalg, "_onednn", lambda: False)  # its products are not counted by torch
    problem, solver = made(200)
    found = shapes(solver.network, problem.operator.n_sensors, 16, steps=3)
    solve(problem, solver, max_iter=1)  # what is made once and kept
    counts = []
    for steps in (3, 6):
        with FlopCounterMode(display=False) as counter:
            solve(problem, solver, max_iter=steps)
        counts.append(counter.get_total_flops())
    expected = shapes(solver.network, problem.operator.n_sensors, 16, steps=6)
    grown = sum(s.operations for s in expected) - sum(s.operations for s in found)
    assert counts[1] - counts[0] == grown
    with FlopCounterMode(display=False) as counter:
        products(found)()
    assert counter.get_total_flops() == sum(s.operations for s in found)
    assert counts[0] >= sum(s.operations for s in found)


def test_runs_take_turns_each_after_one_to_warm_up_and_the_median_counts() -> None:
    ticks, order = itertools.count(), list[str]()
    runs = (lambda: order.append("a"), lambda: order.append("b"))
    assert in_turns(runs, 3, clock=lambda: float(next(ticks))) == [1e3, 1e3]
    assert order == ["a", "a", "b", "b"] * 3


def test_every_row_can_be_made() -> None:
    solver = trained("mm-net")
    rows = [*window_rows(solver, sizes=(1,)), *growth_rows(sources=(50, 100), times=(64, 128))]
    assert len(rows) == 7 + 4
    assert all(ours > 0 and theirs > 0 for _, ours, theirs, _ in rows)
    assert "0 refused" in rows[6][0]
    problem, n_rows = windows(2, solver.network)
    assert problem.y.shape[0] == 2
    assert n_rows == 2 * 16
    assert problem.y.dtype == torch.float32
