"""A volume as a source space: a grid in a ball, three columns and one variance for each place.

The magnetometers are those of :mod:`majorant.bench.sbl_meg`. Sources are dipoles of one direction
each, drawn at random, on a grid of 7 mm; solvers see every second place of it in every direction,
with sensors where they are not. A radial dipole is silent, so one direction in three is lost.

No network was trained on a volume, or with more than one column for a place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.bench.sbl_meg import MOVED_MM, MU, RADIUS_MM, helmet
from majorant.bench.sbl_methods import Method, SparseOutcome
from majorant.bench.sbl_points import Point, SparseBench, score
from majorant.forward.leadfield import Leadfield
from majorant.metrics.transport import SparseJudge
from majorant.problem import MatrixOperator, Problem
from majorant.simulate.sparse import Setting, SparseBatch, SparseLike, SparseSettings

BALL_MM, STEP_MM = 75.0, 7.0


@dataclass
class FreeLike(SparseLike):
    """Samples of fixed dipoles, solved for with three columns for each place.

    Attributes
    ----------
    free : Tensor or None, shape (n_sensors, 3 n_locations)
        What a solver may see.
    """

    free: Tensor | None = None

    def problem(self, batch: SparseBatch, setting: Setting = "joint") -> Problem:
        """The problem of a batch; the noise is learned, whatever the setting."""
        assert self.free is not None
        return Problem(MatrixOperator(self.free.to(self.dtype), 3), batch.y)


def volume_data(seed: int, like: SparseLike | None = None, ball_mm: float = BALL_MM) -> FreeLike:
    """Build test samples in a ball.

    Parameters
    ----------
    seed : int
        Of the samples.
    like : SparseLike or None
        Whose settings are taken.
    ball_mm : float
        Radius of the ball.
    """
    draw = np.random.default_rng(0)
    reach = int(ball_mm // STEP_MM)
    steps = np.stack(np.meshgrid(*3 * [np.arange(-reach, reach + 1)], indexing="ij"), 3)
    steps = steps.reshape(-1, 3)
    steps = steps[np.linalg.norm(steps, axis=1) * STEP_MM <= ball_mm]
    steps = steps[np.any(steps != 0, axis=1)]
    places: NDArray[np.float64] = 1e-3 * STEP_MM * steps.astype(np.float64)
    towards = draw.standard_normal(places.shape)
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    sensors = 1e-3 * RADIUS_MM * helmet()
    moved = sensors + 1e-3 * MOVED_MM * draw.standard_normal(sensors.shape)
    every = np.flatnonzero((steps % 2 == 0).all(axis=1))
    dense = (_gain(places, moved) * towards).sum(2)
    free = _gain(places[every], sensors)
    fixed = (free * towards[every]).sum(2)
    generating = _leadfield(dense, steps, np.arange(len(steps)), towards, 1)
    inverting = _leadfield(fixed, steps[every], every, towards[every], 2)
    return FreeLike(
        inverting,
        seed,
        part="test",
        settings=SparseSettings() if like is None else like.settings,
        generating=generating,
        free=torch.as_tensor(free.reshape(len(sensors), -1)),
    )


def volume(bench: SparseBench) -> list[Point]:
    """The row of figure 3 for a volume: joint noise, and the same networks.

    Lengths have no sign, so time courses are not compared.
    """
    data = volume_data(bench.data.seed, bench.data)
    there = replace(bench, data=data, judge=SparseJudge(data.leadfield, data.generating))
    methods = {name: lengths_of(method) for name, method in bench.methods(few=True).items()}
    points = score(there, data, methods, "3")
    return [replace(p, setting="volume") for p in points if p.metric != "correlation"]


def lengths_of(method: Method) -> Method:
    """A method that answers with the length of the three components of every place."""

    def run(problem: Problem, setting: Setting) -> SparseOutcome:
        outcome = method(problem, setting)
        length = outcome.estimate.unflatten(1, (-1, 3)).norm(dim=2)
        return replace(outcome, estimate=length, is_current=False)

    return run


def _gain(places: NDArray[np.float64], sensors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Radial fields of dipoles along x, y and z, shape (n_sensors, n_places, 3), T/(A m)."""
    apart = np.linalg.norm(sensors[:, None] - places[None], axis=2)
    size = np.linalg.norm(sensors, axis=1)[:, None]
    turned = np.cross(sensors[:, None], places[None])
    return MU * turned / (size * apart**3)[:, :, None]


def _leadfield(
    gain: NDArray[np.float64],
    steps: NDArray[np.int64],
    numbers: NDArray[np.int64],
    towards: NDArray[np.float64],
    stride: int,
) -> Leadfield:
    """A grid as a lead field: places one stride apart are neighbours."""
    number = {tuple(step): i for i, step in enumerate(steps.tolist())}
    edges = [
        (i, number[beside])
        for place, i in number.items()
        for axis in range(3)
        if (beside := (*place[:axis], place[axis] + stride, *place[axis + 1 :])) in number
    ]
    return Leadfield.from_arrays(
        torch.as_tensor(gain),
        positions=torch.as_tensor(1e-3 * STEP_MM * steps),
        normals=torch.as_tensor(towards),
        edges=torch.tensor([sorted(edge) for edge in edges]),
        hemisphere=torch.zeros(len(steps), dtype=torch.int64),
        vertices=torch.as_tensor(numbers),
    )
