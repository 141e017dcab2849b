"""Floors of posterior deviations: what a solver may miss where its posterior is sure.

A source that was switched off by mistake has a posterior mean and deviation next to zero, and no
factor makes that interval honest. So a floor is added in quadrature. Its unit is the amplitude at
which one column of median length explains as much power as the whole estimate does (a quarter of
the data's power at least),

    sqrt(max(explained, 1/4) / T) |Y| / |L|.

In that unit what has to be added hardly depends on the level, on the number of electrodes, or on
the solver; in units of the largest estimate it does, for that is small just where much was missed.
It depends on how focal the estimate is (its largest root mean square in the same unit), on how many
locations share a source, and on the length of the columns: one number for each combination,
calibrated on simulations in which every head is another one (``benchmarks/intervals.py``).

By the theorem of :mod:`majorant.findings.regions.conformal`, with samples in the place of trials
and the values of a sample in that of its peaks, a value drawn at random from the active locations
of a new sample lies in its interval with the probability asked for, as far as the sample is like
the simulated ones. ``docs/uncertainty.md`` has what was measured, and for which sources it fails.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from majorant.linalg import ENERGY_DTYPE, squared_norm
from majorant.problem import DamagedFile, Operator, Problem

__all__ = ["Floors", "focus_of", "scale_of", "thirds_of"]

LEAST = 0.25
"""Share of the data's power that the unit is made of at least: less is what was not seen."""

Thirds = tuple[float, float, float]


@dataclass(frozen=True)
class Floors:
    """Floors in units of :func:`scale_of`.

    Attributes
    ----------
    locations : tuple of float
        Numbers of locations from which the next row counts, increasing.
    focus : tuple of float
        Values of :func:`focus_of` from which the next entry of a row counts, increasing.
    table : tuple of tuple of tuple of float
        ``len(locations) + 1`` rows of ``len(focus) + 1`` entries; an entry is of the longest third
        of the columns, the middle one and the shortest.
    """

    locations: tuple[float, ...]
    focus: tuple[float, ...]
    table: tuple[tuple[Thirds, ...], ...]

    def variance(self, problem: Problem, estimate: Tensor) -> Tensor:
        """What is added to posterior variances, float64, shape (n_batch, n_columns)."""
        row = self.table[bisect_right(self.locations, problem.operator.n_locations)]
        edges = torch.tensor(self.focus, dtype=ENERGY_DTYPE)
        entry = torch.bucketize(focus_of(problem, estimate).cpu(), edges, right=True)
        floors = torch.tensor(row, dtype=ENERGY_DTYPE)[entry].to(estimate.device)
        third = thirds_of(problem.operator).expand(len(estimate), -1)
        return (floors.gather(1, third) * scale_of(problem, estimate)[:, None]).square()

    def to_card(self) -> dict[str, Any]:
        """As a card of weights holds them."""
        return {"locations": self.locations, "focus": self.focus, "table": self.table}

    @classmethod
    def of_card(cls, held: Mapping[str, Any]) -> Floors:
        """Read them from a card.

        Raises
        ------
        DamagedFile
            If they are not numbers of 0 or more, as many as there should be.
        """
        try:
            locations, focus = (
                tuple(float(edge) for edge in held[name]) for name in ("locations", "focus")
            )
            table = tuple(
                tuple((float(a), float(b), float(c)) for a, b, c in row) for row in held["table"]
            )
        except (KeyError, TypeError, OverflowError, ValueError) as error:
            raise DamagedFile("the card's recalibration does not hold floors") from error
        numbers = [*locations, *focus, *(x for row in table for entry in row for x in entry)]
        if not all(math.isfinite(x) and x >= 0 for x in numbers):
            raise DamagedFile("the card's floors are to be numbers of 0 or more")
        if len(table) != len(locations) + 1 or {len(row) for row in table} != {len(focus) + 1}:
            raise DamagedFile("the card's floors are not as many as its edges ask for")
        return cls(locations, focus, table)


def scale_of(problem: Problem, estimate: Tensor) -> Tensor:
    """The unit of the floors, float64, shape (n_batch,); 0 for data of zero."""
    left = problem.y - problem.operator.apply(estimate.to(problem.y.dtype))
    whole = squared_norm(problem.y)
    power = torch.maximum(whole - squared_norm(left), LEAST * whole) / problem.n_times
    length = _lengths(problem.operator).median(-1).values
    return power.sqrt() / length.clamp_min(torch.finfo(ENERGY_DTYPE).tiny)


def focus_of(problem: Problem, estimate: Tensor) -> Tensor:
    """Largest root mean square of a location, in units of :func:`scale_of`, (n_batch,)."""
    square = estimate.to(ENERGY_DTYPE).square().mean(2)
    largest = square.unflatten(1, (-1, problem.operator.n_orient)).sum(2).amax(1).sqrt()
    scale = scale_of(problem, estimate)
    return torch.where(scale > 0, largest / torch.where(scale > 0, scale, 1.0), 0.0)


def thirds_of(operator: Operator) -> Tensor:
    """Third of every column by the length of its location's columns: 0 the longest, 2 the shortest.

    Returns
    -------
    Tensor, shape (n_columns,) or (n_batch, n_columns), int64
    """
    length, group = _lengths(operator), operator.n_orient
    rank = (-length).argsort(dim=-1, stable=True).argsort(dim=-1)
    sizes = [len(part) for part in torch.arange(length.shape[-1]).tensor_split(3)]
    number = torch.arange(3).repeat_interleave(torch.tensor(sizes)).to(rank.device)
    return number[rank].repeat_interleave(group, -1)


def _lengths(operator: Operator) -> Tensor:
    """Root mean square length of the columns of every location, float64."""
    matrix, group = operator.matrix(), operator.n_orient
    assert matrix is not None
    square = matrix.to(ENERGY_DTYPE).square().sum(-2)
    return square.unflatten(-1, (-1, group)).mean(-1).sqrt()
