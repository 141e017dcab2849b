"""Patches of cortex: which locations are active together, and how strongly.

A patch is every location within a number of mesh edges of its seed, or a connected region of as
many that grew from it at random, with an amplitude that falls with distance as a Gaussian. All
patches of a source space are tabulated once, as indices and amplitudes (some forty numbers a seed,
never a dense matrix), so that thousands can be drawn a second.

Source: the simulations of the MM-Net paper, which follow SEREEGA (Krol et al., J. Neurosci.
Methods 309, 2018). The hop orders are estimated from the published benchmark rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.simulate import streams

GROWTH = 77
"""Seed of region growing: the shapes of a source space are always the same."""
TWO_DEVIATIONS = math.exp(-2.0)
"""Amplitude at the border of a patch whose radius is two standard deviations."""


@dataclass(frozen=True)
class PatchSettings:
    """How patches are grown.

    Attributes
    ----------
    orders : tuple of int
        Radii that are drawn from, in mesh edges from the seed.
    border : float
        Amplitude at the farthest member, in (0, 1); the seed has 1. The default makes the standard
        deviation half the largest distance, ``s = d_max / 2``; 0.5 is the variant used with
        neural-mass sources, ``s = d_max / sqrt(2 log 2)``.
    distance : {"euclidean", "geodesic"}
        In a straight line from the seed, or along the edges of the mesh.
    growth : {"ball", "random"}
        Every location within the radius, or region growing: neighbours of the patch join at random
        until it has as many members as that ball, so that patches have arms and bays.
    shapes : int
        Shapes that region growing tabulates for each seed and radius.
    """

    orders: tuple[int, ...] = (1, 2, 3)
    border: float = TWO_DEVIATIONS
    distance: Literal["euclidean", "geodesic"] = "euclidean"
    growth: Literal["ball", "random"] = "ball"
    shapes: int = 4

    def __post_init__(self) -> None:
        if not self.orders or min(self.orders) < 0 or len(set(self.orders)) != len(self.orders):
            raise MajorantError(
                f"patch orders are {self.orders}; expected different whole numbers from 0 up"
            )
        if not 0.0 < self.border < 1.0:
            raise MajorantError(
                f"the border amplitude is {self.border}; expected a number between 0 and 1"
            )
        if self.distance not in ("euclidean", "geodesic"):
            raise MajorantError(
                f"the distance is {self.distance!r}; expected 'euclidean' or 'geodesic'"
            )
        if self.growth not in ("ball", "random") or self.shapes < 1:
            raise MajorantError(
                f"the growth is {self.growth!r} in {self.shapes} shapes; expected 'ball', or "
                "'random' in at least one"
            )


@dataclass(frozen=True, eq=False)
class PatchBank:
    """Every patch of a source space, tabulated.

    Build one with :meth:`grow`. Rows are padded to the largest patch with amplitude 0.

    Attributes
    ----------
    orders : Tensor, shape (n_orders,), int64
    members : Tensor, shape (n_locations, n_members), int64
        Locations within the largest order of every seed.
    amplitudes : Tensor, shape (n_orders, n_locations, n_members), float64
        Amplitude of every member, 1 at the seed, 0 outside the patch.
    """

    orders: Tensor
    members: Tensor
    amplitudes: Tensor

    @classmethod
    def grow(cls, leadfield: Leadfield, settings: PatchSettings | None = None) -> PatchBank:
        """Tabulate the patches of a source space.

        Parameters
        ----------
        leadfield : Leadfield
            Its neighbours and positions (metres) are used, not its gain.
        settings : PatchSettings, optional

        Raises
        ------
        MajorantError
            If the lead field has no edges.
        """
        settings = settings or PatchSettings()
        if len(leadfield.edges) == 0:
            raise MajorantError(
                "the lead field has no edges, so patches cannot grow; build it with edges=..."
            )
        grown = settings.growth == "random"
        members, hops = _balls(leadfield, max(settings.orders) + grown)
        distance = _distances(leadfield, members, settings.distance)
        each = [order for order in settings.orders for _ in range(settings.shapes if grown else 1)]
        orders = torch.tensor(each, dtype=torch.int64)
        falloff = math.log(1.0 / settings.border)
        tables = []
        for shape, order in enumerate(each):
            inside = (hops >= 0) & (hops <= order)
            if grown:
                inside = _grown(leadfield, members, hops, inside.sum(1), shape)
            radius = torch.where(inside, distance, 0.0).amax(dim=1, keepdim=True)
            ratio = distance / radius.clamp_min(torch.finfo(torch.float64).tiny)
            tables.append(torch.where(inside, torch.exp(-falloff * ratio.square()), 0.0))
        return cls(orders=orders, members=members, amplitudes=torch.stack(tables))

    @property
    def n_locations(self) -> int:
        """Number of locations, and of seeds."""
        return int(self.members.shape[0])

    def to(self, device: torch.device | str, dtype: torch.dtype) -> PatchBank:
        """Return the bank on another device, its amplitudes in another precision."""
        return PatchBank(
            orders=self.orders.to(device),
            members=self.members.to(device),
            amplitudes=self.amplitudes.to(device, dtype),
        )

    def draw(self, key: Tensor, n_sources: int = 1) -> tuple[Tensor, Tensor]:
        """Draw seeds, all different within a sample and uniform over locations, and orders.

        Parameters
        ----------
        key : Tensor, shape (n_batch,), int64
            One key per sample, see :func:`majorant.simulate.streams.keys`.
        n_sources : int
            Patches per sample.

        Returns
        -------
        seed, row : Tensor, shape (n_batch, n_sources), int64
            Location of the seed, and position in ``orders``.
        """
        seed = streams.distinct_integers(streams.fork(key, 1), n_sources, self.n_locations)
        return seed, streams.integers(streams.fork(key, 2), n_sources, len(self.orders))

    def maps(self, seed: Tensor, row: Tensor) -> Tensor:
        """Return patches as maps over the source space.

        Parameters
        ----------
        seed, row : Tensor, shape (...), int64
            Location of the seed, and position in ``orders``.

        Returns
        -------
        Tensor, shape (..., n_locations)
            Amplitudes, unitless, 1 at the seed.
        """
        values = self.amplitudes[row, seed]
        dense = values.new_zeros(*seed.shape, self.n_locations)
        return dense.scatter_add_(-1, self.members[seed], values)

    def topographies(self, gain: Tensor) -> Tensor:
        """Return what the sensors see of every patch at unit amplitude.

        Parameters
        ----------
        gain : Tensor, shape (n_sensors, n_locations)

        Returns
        -------
        Tensor, shape (n_orders, n_locations, n_sensors)
            In the unit of ``gain``.
        """
        if gain.shape[1] != self.n_locations:
            raise MajorantError(
                f"the gain has {gain.shape[1]} columns for {self.n_locations} locations; patches "
                "need one column per location: take leadfield.fixed()"
            )
        columns = gain.T[self.members]
        weights = self.amplitudes.to(columns)
        return torch.einsum("skn,osk->osn", columns, weights)


def _grown(
    leadfield: Leadfield, members: Tensor, hops: Tensor, counts: Tensor, shape: int
) -> Tensor:
    """Grow a connected patch from every seed, within its ball: (n_locations, n_members) bool.

    Every seed and shape has random numbers of its own. Where the ball has no more neighbours to
    offer, the patch is smaller.
    """
    near: list[list[int]] = [[] for _ in range(leadfield.n_locations)]
    for i, j in leadfield.edges.tolist():
        near[i].append(j)
        near[j].append(i)
    key = streams.keys(GROWTH, torch.arange(leadfield.n_locations), shape)
    chance = streams.uniform(key, int(counts.max())).tolist()
    inside = torch.zeros_like(hops, dtype=torch.bool)
    for seed, (ball, reach, count) in enumerate(
        zip(members.tolist(), hops.tolist(), counts.tolist(), strict=True)
    ):
        place = {m: k for k, (m, hop) in enumerate(zip(ball, reach, strict=True)) if hop >= 0}
        patch, border = {seed}, [m for m in near[seed] if m in place]
        for u in chance[seed][: count - 1]:
            if not border:
                break
            joined = border.pop(int(u * len(border)) % len(border))
            patch.add(joined)
            fresh = (m for m in near[joined] if m in place and m not in patch)
            border = [m for m in border if m != joined] + [m for m in fresh if m not in border]
        inside[seed, [place[m] for m in patch]] = True
    return inside


def _balls(leadfield: Leadfield, order: int) -> tuple[Tensor, Tensor]:
    """Return members (n_locations, n_members) and their hops, -1 marking the padding."""
    n = leadfield.n_locations
    (i, j), self_ = leadfield.edges.numpy().T, np.arange(n)
    rows, columns = np.concatenate([i, j, self_]), np.concatenate([j, i, self_])
    near = csr_array((np.ones(len(rows), dtype=np.int32), (rows, columns)), shape=(n, n))
    ball = csr_array((np.ones(n, dtype=np.int32), (self_, self_)), shape=(n, n))
    visits = ball.copy()
    for _ in range(order):
        ball = (ball @ near).astype(bool).astype(np.int32)
        visits = visits + ball
    visits = csr_array(visits)
    visits.sort_indices()
    counts = np.diff(visits.indptr)
    row = np.repeat(np.arange(n), counts)
    column = np.arange(len(row)) - np.repeat(visits.indptr[:-1], counts)
    members = np.repeat(np.arange(n)[:, None], counts.max(), axis=1)
    hops = np.full(members.shape, -1)
    members[row, column] = visits.indices
    hops[row, column] = order + 1 - visits.data
    return torch.from_numpy(members), torch.from_numpy(hops)


def _distances(leadfield: Leadfield, members: Tensor, kind: str) -> Tensor:
    """Return the distance in metres of every member from its seed, (n_locations, n_members)."""
    if kind == "euclidean":
        return (leadfield.positions[members] - leadfield.positions[:, None]).norm(dim=-1)
    rows = [
        leadfield.metric(sources=chunk.tolist()).gather(1, members[chunk])
        for chunk in torch.arange(leadfield.n_locations).split(500)
    ]
    return torch.cat(rows)
