"""``majorant bench train``: how fast training is, and how much of the machine it uses.

    majorant bench train                                    # the fast recipe on this processor
    majorant bench train --preset paper --device cuda --batch 256

Samples a second of whole training steps, the arithmetic of their matrix products a second, and what
share that is of the largest product rate measured on the same device in the same minute and
precision. Beside it, the same network written with double backward in eager mode. The arithmetic
is that of the closed form for all rows, so work done twice counts for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from benchmarks.training_step import BATCH, Ways
from majorant.training.budget import under_budget
from majorant.training.command import launched
from majorant.training.compiled import worth_it
from majorant.training.presets import Recipe, recipe_for

SQUARE = {"cpu": 1024}
LARGE = 8192
"""Sides of the square products that measure the peak: this, and smaller ones on the CPU."""
PEAK_SECONDS = 1.0


@dataclass(frozen=True)
class Rate:
    """How fast a way of training is.

    Attributes
    ----------
    way : str
    ms : float
        Of a step.
    samples : float
        A second.
    gflops : float
        Arithmetic of the closed form's matrix products, GFLOP/s.
    peak_share : float
        Of what the device's products reach.
    mebibytes : float
        What the graph holds at its largest.
    speedup : float
        Over double backward.
    """

    way: str
    ms: float
    samples: float
    gflops: float
    peak_share: float
    mebibytes: float
    speedup: float


def peak_gflops(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the rate of large square matrix products, GFLOP/s: the best of many."""
    n = SQUARE.get(device.type, LARGE)
    a = torch.ones(n, n, device=device, dtype=dtype)
    best, end = float("inf"), time.perf_counter() + PEAK_SECONDS
    while time.perf_counter() < end or best == float("inf"):
        began = time.perf_counter()
        torch.matmul(a, a)
        if device.type != "cpu":
            torch.accelerator.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2.0 * n**3 / best / 1e9


def rates(recipe: Recipe, device: torch.device, compiled: bool | None = None) -> list[Rate]:
    """Measure every way of a recipe's training step.

    Parameters
    ----------
    recipe : Recipe
    device : torch.device
    compiled : bool or None
        Whether to measure the compiled step; None does so on accelerators.
    """
    ways = Ways(recipe, device, worth_it(device, compiled))
    peak = peak_gflops(device, torch.bfloat16 if recipe.bfloat16 else torch.float32)
    costs = list(ways.costs())
    work, slow = ways.operations() / 1e9, costs[-1].seconds
    return [
        Rate(
            cost.name,
            1e3 * cost.seconds,
            recipe.batch / cost.seconds,
            work / cost.seconds,
            work / cost.seconds / peak,
            cost.mebibytes,
            slow / cost.seconds,
        )
        for cost in costs
    ]


def run(
    preset: str = "cpu",
    *,
    method: str = "mm-net",
    device: str = "cpu",
    batch: int | None = None,
    threads: int = 1,
    compiled: bool | None = None,
    show: bool = True,
) -> list[dict[str, Any]]:
    """Measure and print; return the rows.

    Parameters
    ----------
    preset, method : str
        What is trained; ``paper`` is measured as it trains under a budget.
    device : {"cpu", "cuda", "auto"}
    batch : int or None
        None takes 16 on the CPU, and elsewhere that of the recipe.
    threads : int
        Of torch, on the CPU; set back afterwards.
    compiled : bool or None
        Whether to measure the compiled step; None does so on CUDA.
    show : bool
        Whether to print the table.
    """
    where = launched(device)[1]
    recipe = under_budget(recipe_for(preset, method), where)
    recipe = replace(recipe, batch=batch or (BATCH if where.type == "cpu" else recipe.batch))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        rows = rates(recipe, where, compiled)
    finally:
        torch.set_num_threads(before)
    if show:
        _print(rows, recipe, where)
    return [asdict(row) for row in rows]


def _print(rows: Sequence[Rate], recipe: Recipe, device: torch.device) -> None:
    from rich.console import Console
    from rich.table import Table

    words = "bfloat16" if recipe.bfloat16 else "float32"
    title = f"Training {recipe.method}, {recipe.name}, {recipe.batch} samples, {device}, {words}"
    table = Table(title=title, caption="share: of the matrix-product peak measured here")
    for name in ("step", "ms", "samples/s", "GFLOP/s", "share", "MiB", "times"):
        table.add_column(name, justify="left" if name == "step" else "right")
    for row in rows:
        table.add_row(
            row.way,
            f"{row.ms:.0f}",
            f"{row.samples:.1f}",
            f"{row.gflops:.3g}",
            f"{100 * row.peak_share:.0f} %",
            f"{row.mebibytes:.0f}",
            f"{row.speedup:.2f}",
        )
    Console().print(table)
