"""Floors of posterior deviations: their unit, which one counts, and that they cover."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.intervals import HALF, Judged, fitted

from majorant.problem import DamagedFile, MatrixOperator, Problem
from majorant.solvers.floors import Floors, focus_of, scale_of, thirds_of

FLOORS = Floors((5.0,), (0.5,), (((1, 2, 3), (4, 5, 6)), ((10, 20, 30), (40, 50, 60))))


def posed(orient: int = 1, locations: int = 6) -> tuple[Problem, torch.Tensor]:
    """Two samples: of the first all is explained by one location, of the second nothing is."""
    draw = torch.Generator().manual_seed(0)
    lead = torch.randn(8, orient * locations, generator=draw, dtype=torch.float64)
    size = lead.unflatten(1, (-1, orient)).square().sum((0, 2)).sqrt()
    lead *= (torch.linspace(1.0, 3.0, locations) / size).repeat_interleave(orient)
    x = torch.zeros(2, orient * locations, 5, dtype=torch.float64)
    x[0, 0] = torch.randn(5, generator=draw, dtype=torch.float64)
    other = torch.randn(8, 5, generator=draw, dtype=torch.float64)
    return Problem(MatrixOperator(lead, orient), torch.stack([lead @ x[0], other])), x


@pytest.mark.parametrize("orient", [1, 3])
def test_the_unit_is_what_one_column_needs_to_explain_as_much(orient: int) -> None:
    problem, x = posed(orient)
    matrix = problem.operator.matrix()
    assert matrix is not None
    columns = matrix.unflatten(1, (-1, orient))
    length = columns.square().sum(0).mean(1).sqrt().median()
    power = problem.y.square().sum((1, 2)) / 5
    power[1] /= 4  # nothing is explained: a quarter is what counts
    torch.testing.assert_close(scale_of(problem, x), power.sqrt() / length)
    size = x[0].square().mean(1).max().sqrt() / scale_of(problem, x)[0]
    torch.testing.assert_close(focus_of(problem, x), torch.stack([size, torch.zeros(()).double()]))


@pytest.mark.parametrize("orient", [1, 3])
def test_a_floor_is_that_of_mesh_focus_and_length(orient: int) -> None:
    for locations, row in ((6, 1), (3, 0)):
        problem, x = posed(orient, locations)
        added = FLOORS.variance(problem, x).sqrt() / scale_of(problem, x)[:, None]
        third = 2 - torch.arange(locations) * 3 // locations  # lengths increase
        torch.testing.assert_close(thirds_of(problem.operator), third.repeat_interleave(orient))
        entries = torch.tensor(FLOORS.table[row], dtype=torch.float64)
        focus = [int(value >= 0.5) for value in focus_of(problem, x)]
        wanted = torch.stack([entries[k][third] for k in focus]).repeat_interleave(orient, 1)
        torch.testing.assert_close(added, wanted)


def test_units_and_batch_mates_do_not_matter() -> None:
    problem, x = posed()
    whole = FLOORS.variance(problem, x)
    for i in range(2):
        one = FLOORS.variance(replace(problem, y=problem.y[i : i + 1]), x[i : i + 1])
        torch.testing.assert_close(one[0], whole[i])
    loud = replace(problem, y=1e20 * problem.y)
    torch.testing.assert_close(FLOORS.variance(loud, 1e20 * x), 1e40 * whole)
    silent = replace(problem, y=0.0 * problem.y)
    assert (FLOORS.variance(silent, 0.0 * x) == 0).all()


def test_a_card_gives_them_back_and_a_damaged_one_is_refused() -> None:
    card: dict[str, Any] = FLOORS.to_card()
    assert Floors.of_card(card) == FLOORS
    for broken in (
        {},
        {**card, "table": [[[1.0, -2.0, 1.0]]]},
        {**card, "table": card["table"][:1]},
        {**card, "focus": []},
        {**card, "focus": ["a"]},
        {**card, "locations": [float("nan")]},
    ):
        with pytest.raises(DamagedFile, match="floors"):
            Floors.of_card(broken)


def drawn(n: int, seed: int, size: float = 1.0) -> list[Judged]:
    """Samples that need more where they are more focal, with few or many values each."""
    rng, out = np.random.default_rng(seed), []
    for k in range(n):
        focus = rng.uniform(0.0, 1.0)
        third = rng.integers(0, 3, rng.integers(3, 30))
        needed = size * (0.1 + focus) * np.abs(rng.standard_normal((len(third), 12)))
        out.append(Judged(k, 19, 1000 if k % 2 else 5000, 0.0, focus, third, needed))
    return out


def test_fitted_floors_hold_nine_tenths_of_other_samples_one_by_one() -> None:
    floors, others = fitted(drawn(1500, 0)), drawn(1500, 1)
    assert floors.table[0][0][0] < floors.table[0][-1][0]
    held = np.array([one.held(floors) for one in others])
    assert held.mean() == pytest.approx(0.9, abs=0.02)
    focal = np.array([one.focus > 0.35 for one in others])
    assert held[focal].mean() == pytest.approx(0.9, abs=0.03)
    worse = np.mean([one.held(floors) for one in drawn(500, 2, size=2.0)])
    assert worse < 0.75  # samples that need more are covered less: what was fitted is not free
    assert pytest.approx(1.6449) == HALF
