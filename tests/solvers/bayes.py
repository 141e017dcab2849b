"""Problems and settings that the tests of Champagne share."""

from __future__ import annotations

import torch
from torch import Tensor

from majorant.problem import MatrixOperator, Problem

SENSORS, COLUMNS, BATCH = 8, 24, 50

EVERY = [
    {"rule": rule, "noise": noise, "orientation": orientation}
    for rule in ("cb", "em", "mackay")
    for noise in ("diagonal", "scalar", "given", "full")
    for orientation in ("fixed", "tied", "block")
    if rule == "cb" or (noise != "full" and orientation != "block")
]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def random_problems(
    times: int = 12, dtype: torch.dtype = torch.float64, low: float = -2.0
) -> Problem:
    """Fifty problems: correlated columns, data of 10^low to 1e2, from no noise to much."""
    lead = normal(BATCH, SENSORS, COLUMNS) + 2 * normal(BATCH, SENSORS, 1, seed=1)
    x = normal(BATCH, COLUMNS, times, seed=2) * (normal(BATCH, COLUMNS, 1, seed=3) > 1)
    noise = torch.linspace(0, 1, BATCH).double()[:, None, None] * normal(
        BATCH, SENSORS, times, seed=4
    )
    scale = 10 ** torch.linspace(low, 2, BATCH).double().roll(7)[:, None, None]
    y = scale * (lead @ x + noise * normal(BATCH, SENSORS, 1, seed=5).exp())
    return Problem(MatrixOperator(lead.to(dtype), 3), y.to(dtype))


def easy(
    seed: int = 0, batch: int = 4, times: int = 40, n: int = 24
) -> tuple[Problem, Tensor, Tensor]:
    """Three sources of ninety among sensors that differ in noise; with the truth."""
    lead = normal(n, 90, seed=seed)
    x = torch.zeros(batch, 90, times).double()
    for i in range(batch):
        places = torch.randperm(90, generator=torch.Generator().manual_seed(seed + i))[:3]
        x[i, places] = normal(3, times, seed=seed + 10 + i) + 1.0
    variance = 0.3 * (1.5 * normal(batch, n, seed=seed + 50)).exp()
    y = lead @ x + variance.sqrt()[..., None] * normal(batch, n, times, seed=seed + 60)
    return Problem(MatrixOperator(lead), y), x, variance
