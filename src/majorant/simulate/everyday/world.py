"""Heads that everyday data come from: what is believed, and what is.

Whoever has heads makes a :class:`World` of them, as :mod:`majorant.simulate.everyday.heads` does of
a bank. Everything in it is a tensor, so data are made on machines without MNE.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.geometry import SourceGeometry
from majorant.problem import MajorantError
from majorant.simulate.everyday.cortex import FineCortex


@dataclass(frozen=True, eq=False)
class EverydayHead:
    """A cap on a head.

    Attributes
    ----------
    believed : Leadfield
        What a solver is given, V/(A m) against infinity, a row for every electrode.
    seen : Tensor, shape (n_vertices, n_electrodes), float32
        What the electrodes see, as they sit on the head as it is, of a dipole along the true normal
        of every vertex of the fine mesh, V/(A m).
    """

    believed: Leadfield
    seen: Tensor

    def __post_init__(self) -> None:
        if self.seen.ndim != 2 or self.seen.shape[1] != self.believed.n_sensors:
            raise MajorantError(
                f"the true head has shape {tuple(self.seen.shape)}; expected (vertices, "
                f"{self.believed.n_sensors}) for the electrodes of the believed one"
            )


@dataclass(frozen=True, eq=False)
class World:
    """Heads that share a cortex and a source space.

    Attributes
    ----------
    cortex : FineCortex
    heads : tuple of EverydayHead
        Their believed lead fields have the same locations.
    home : Tensor, shape (n_vertices,), int64
        Location of the believed source space that every vertex belongs to, -1 where there is none;
        see :func:`majorant.simulate.sparse.homes`.
    region_space : Leadfield or None
        Regions as locations, for sources of whole regions.
    """

    cortex: FineCortex
    heads: tuple[EverydayHead, ...]
    home: Tensor
    region_space: Leadfield | None = None

    def __post_init__(self) -> None:
        if not self.heads:
            raise MajorantError("there are no heads to simulate on; give at least one")
        if len(self.home) != self.cortex.n_vertices:
            raise MajorantError(
                f"home has {len(self.home)} entries for {self.cortex.n_vertices} vertices"
            )

    @cached_property
    def geometry(self) -> SourceGeometry:
        """Where the believed sources are: one record for all heads."""
        return self.heads[0].believed.geometry

    @cached_property
    def region_positions(self) -> Tensor:
        """Mean position of every region, metres, (n_regions, 3)."""
        return self.by_region(self.cortex.positions, mean=True)

    def by_region(self, values: Tensor, *, mean: bool = False) -> Tensor:
        """Sum (or average) values of vertices, first axis, over regions."""
        inside = self.cortex.regions >= 0
        labels = self.cortex.regions[inside]
        out = values.new_zeros(self.cortex.n_regions, *values.shape[1:])
        out.index_add_(0, labels, values[inside])
        if not mean:
            return out
        count = torch.bincount(labels, minlength=len(out)).clamp_min(1)
        return out / count.reshape(-1, *[1] * (values.ndim - 1))
