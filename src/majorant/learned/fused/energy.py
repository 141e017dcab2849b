"""The cosine energy, in as few passes over the arrays as there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, CosinePoint, Slope
from majorant.learned.fused import kernels
from majorant.learned.fused.kernels import Array
from majorant.learned.fused.rows import Product, Rows, parts, rows_first, together
from majorant.learned.unrolled import MMNetwork
from majorant.networks.autoencoder import Autoencoder, Pass, Prior
from majorant.problem import Operator, Problem


class Layers:
    """Lead field and network as the products of a gradient read them.

    Parameters
    ----------
    operator : Operator
        With a matrix, (n_sensors, n_columns).
    network : MMNetwork
        One that :func:`majorant.learned.fused.suits`.
    """

    def __init__(self, operator: Operator, network: MMNetwork) -> None:
        prior, lead = network.prior, operator.matrix()
        assert lead is not None
        (first, middle, last), state = prior.weights, network.curvature.encode_state.weight
        (self.n_sensors, self.n_columns), self.eps2 = lead.shape, float(prior.eps**2)
        self.taps, self.hidden = int(middle.shape[2]), (int(first.shape[0]), int(last.shape[1]))
        self.n_joined = self.n_sensors + self.hidden[0]
        self.see = Product(torch.cat([lead, first[:, :, 0], state[:, :, 0]]))
        self.middle = Product(middle.permute(0, 2, 1).flatten(1))
        self.last = Product(last[:, :, 0])
        self.last_back = Product(last[:, :, 0].T)
        self.middle_back = Product(middle.flip(2).permute(1, 2, 0).flatten(1))
        self.see_back = Product(torch.cat([lead.T, first[:, :, 0].T], 1))

    def slopes(self, n_rows: int) -> tuple[Array, Array]:
        """Room for the slopes of both non-linearities."""
        one, two = self.hidden
        return np.empty((n_rows, one), np.float32), np.empty((n_rows, two), np.float32)


class Room:
    """What is written and read again within a look and its way back.

    Parameters
    ----------
    layers : Layers
    n_rows : int
    """

    def __init__(self, layers: Layers, n_rows: int) -> None:
        (width_1, width_2), taps = layers.hidden, layers.taps
        self.wide_1 = Rows.empty(n_rows, taps * width_1)
        self.bent = Rows.empty(n_rows, width_2)
        self.into = Rows.empty(n_rows, layers.n_columns)
        self.wide_2 = Rows.empty(n_rows, taps * width_2)
        self.joined = Rows.empty(n_rows, layers.n_joined)


@dataclass(slots=True)
class Look:
    """A forward pass of some samples through lead field and prior, rows first.

    Attributes
    ----------
    x : array, shape (n_rows, n_columns)
    y : array, shape (n_rows, n_sensors), float64
        The data, of norm 1 or 0.
    seen : array, shape (n_rows, n_sensors + n_hidden + n_code)
        ``L x``, what enters the first non-linearity, and what the network's step reads of ``x``.
    before : array, shape (n_rows, n_hidden)
        What enters the second one.
    slopes : tuple of array, each (n_rows, n_hidden)
        ``s'`` of both.
    p : array, shape (n_rows, n_columns)
        ``Phi(x)``.
    numbers : array, shape (n_batch, n_numbers), float64
        Norms, cosines and distances, as :mod:`majorant.learned.fused.kernels` keeps them.
    """

    x: Array
    y: Array
    seen: Array
    before: Array
    slopes: tuple[Array, Array]
    p: Array
    numbers: Array


class Back(NamedTuple):
    """The way back of a look, rows first.

    Attributes
    ----------
    gradient : array, shape (n_rows, n_columns)
    first, second : array, shape (n_rows, n_hidden)
        What arrived at the non-linearities.
    """

    gradient: Array
    first: Array
    second: Array


@dataclass(frozen=True)
class FusedPoint(CosinePoint):
    """A point with the passes through it, part by part.

    Attributes
    ----------
    home : FusedEnergy
    looks : list of Look
    numbers : array, shape (n_batch, n_numbers), float64
        Those of all looks.
    """

    home: FusedEnergy
    looks: list[Look]
    numbers: Array

    @cached_property
    def backs(self) -> list[Back]:
        """The ways back from the looks."""
        return [self.home.backward(look) for look in self.looks]

    @property
    def entered(self) -> tuple[Tensor, ...]:
        """Norms of what entered the non-linearities, where it lies."""
        return self.home.entered(self.looks, len(self.x))

    @property
    def steepness(self) -> Tensor:
        """Norm of the gradient, as it was summed on the way back."""
        assert self.backs
        return torch.from_numpy(self.numbers[:, kernels.NORM_SLOPE])


class FusedEnergy(CosineEnergy):
    """The cosine energy, in as few passes over the arrays as there are.

    One energy is for one solve at a time: every look writes into the same room.

    Parameters
    ----------
    problem : Problem
        One that :func:`majorant.learned.fused.suits`.
    prior : Autoencoder
        Of three layers, the outer ones pointwise in time.
    weight : float
        Of the prior.
    layers : Layers
        Of the problem's lead field and the prior.
    wide : callable or None
        Gives the prior in float64.
    """

    def __init__(
        self,
        problem: Problem,
        prior: Autoencoder,
        weight: float,
        layers: Layers,
        wide: Callable[[], Prior] | None = None,
    ) -> None:
        super().__init__(problem, prior, weight, wide=wide)
        self.n_times, self._layers = problem.n_times, layers
        rows = rows_first(problem.y).numpy()
        self._y = np.empty(rows.shape)
        kernels.unit(rows, self.n_times, self._y)
        self._rooms: dict[int, Room] = {}

    def among(self, rows: Tensor) -> FusedEnergy:
        """Return the energy of some samples, by number."""
        made, width = super().among(rows), self.problem.operator.n_sensors
        made._y = self._y.reshape(-1, self.n_times, width)[rows.numpy()].reshape(-1, width)
        return made

    def evaluate(self, x: Tensor) -> FusedPoint:
        """Energy, its parts, and the gradient when it is asked for."""
        n_batch, points, numbers = len(x), rows_first(x), np.empty((len(x), kernels.NUMBERS))
        looks = [
            self.look(Rows(points[rows]), rows, numbers[samples], exact=True)
            for samples, rows in parts(n_batch, self.n_times)
        ]
        u, d, h, c, a, n, k, p, _ = torch.from_numpy(numbers).unbind(1)
        first = slice(self._layers.n_sensors, self._layers.n_joined)

        def sloping() -> Slope:
            whole = [together(part, n_batch) for part in zip(*point.backs, strict=True)]
            return Slope(whole[0], tuple(whole[1:]))

        def passed() -> Pass:
            before = (
                together([look.seen[:, first] for look in looks], n_batch),
                together([look.before for look in looks], n_batch),
            )
            slopes = tuple(together([look.slopes[i] for look in looks], n_batch) for i in (0, 1))
            return Pass(together([look.p for look in looks], n_batch), before, slopes)

        found = (x, u, d, h, c, a, n, k, p, passed, sloping)
        point = FusedPoint(*found, home=self, looks=looks, numbers=numbers)
        return point

    def entered(self, looks: list[Look], n_batch: int) -> tuple[Tensor, Tensor]:
        """Norms of what entered both non-linearities, (n_batch,), float64."""
        first = slice(self._layers.n_sensors, self._layers.n_joined)

        def sizes(rows: Array) -> Array:
            return np.einsum("ij,ij->i", rows, rows).astype(np.float64)

        one = np.concatenate([sizes(look.seen[:, first]) for look in looks])
        two = np.concatenate([sizes(look.before) for look in looks])
        return tuple(
            torch.from_numpy(np.sqrt(rows.reshape(n_batch, -1).sum(1))) for rows in (one, two)
        )  # pyright: ignore[reportReturnType]

    def look(self, x: Rows, rows: slice, numbers: Array, exact: bool) -> Look:
        """Run forward.

        Parameters
        ----------
        x : Rows, width n_columns
        rows : slice
            Which rows of the batch these are.
        numbers : array, shape (n_batch, n_numbers)
            Filled.
        exact : bool
            Take cosines from distances, as an energy must.
        """
        layers, n_times, held, y = self._layers, self.n_times, x.array, self._y[rows]
        room, (slope_1, slope_2) = self._room(len(held)), layers.slopes(len(held))
        seen, wide = layers.see(x.tensor), room.wide_1
        kernels.bend(seen, layers.n_sensors, layers.eps2, n_times, slope_1, wide.array)
        before, bent = layers.middle(wide.tensor), room.bent
        kernels.bend(before, 0, layers.eps2, n_times, slope_2, bent.array)
        p = layers.last(bent.tensor)
        look = Look(held, y, seen, before, (slope_1, slope_2), p, numbers)
        if kernels.angles(seen, y, held, p, self.weight, exact, numbers):
            self._silence(look)
            kernels.angles(seen, y, held, p, self.weight, exact, numbers)
        return look

    def backward(self, look: Look) -> Back:
        """Gradient, and what arrived at the non-linearities; rows first."""
        layers, room, (slope_1, slope_2) = self._layers, self._room(len(look.x)), look.slopes
        kernels.aim(look.x, look.p, look.numbers, room.into.array)
        second = layers.last_back(room.into.tensor)
        kernels.weigh(second, slope_2, self.n_times, room.wide_2.array)
        first, joined = layers.middle_back(room.wide_2.tensor), room.joined.array
        kernels.join(look.seen, look.y, first, slope_1, self.weight, look.numbers, joined)
        gradient = layers.see_back(room.joined.tensor)
        kernels.finish(look.x, look.p, self.weight, look.numbers, gradient)
        return Back(gradient, first, second)

    def _room(self, n_rows: int) -> Room:
        if n_rows not in self._rooms:
            self._rooms[n_rows] = Room(self._layers, n_rows)
        return self._rooms[n_rows]

    def _silence(self, look: Look) -> None:
        """A prior that overflows says nothing: zeros for these samples, as without it."""
        lost = np.repeat(~np.isfinite(look.numbers[:, kernels.NORM_PHI]), self.n_times)
        first = slice(self._layers.n_sensors, self._layers.n_joined)
        look.seen[lost, first] = look.before[lost] = look.p[lost] = 0.0
        look.slopes[0][lost] = look.slopes[1][lost] = 0.5
