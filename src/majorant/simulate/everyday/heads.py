"""A world of heads from a bank: caps as people build them, on heads that are not the believed one.

The bank (:mod:`majorant.forward.bank`) draws heads whose skull, electrodes and cortex differ from
what is believed; here every one of them gets a cap of its own: any number of electrodes, spread
over the head, with a few missing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from majorant.forward.bank import HeadBank, HeadSpread
from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.simulate.everyday.cortex import FineCortex
from majorant.simulate.everyday.parts import PARTS, Part, check_part
from majorant.simulate.everyday.world import EverydayHead, World
from majorant.simulate.heads import spread_out
from majorant.simulate.sparse import homes

__all__ = ["bank_world", "fine_cortex", "world_of"]

Progress = Callable[[int, int], None] | None
FEWEST = 16
MISSING = 0.1
"""Largest share of the electrodes of a cap that are left out."""


def bank_world(
    bank: HeadBank,
    n: int,
    seed: int,
    part: Part = "train",
    *,
    electrodes: tuple[int, int] = (19, 256),
    fixed: bool = True,
    spread: HeadSpread | None = None,
    progress: Progress = None,
) -> World:
    """Draw heads from a bank, each with a cap of its own.

    Parameters
    ----------
    bank : HeadBank
        Of all electrodes that caps are drawn from, on the source space that solvers are given.
    n : int
        Heads.
    seed : int
    part : {"train", "validation", "test"}
        Its heads are its own, see the bank's splits.
    electrodes : tuple of int
        Fewest and most of a cap; log-uniform between.
    fixed : bool
        Whether solvers are given one column per location, along the believed normal.
    spread : HeadSpread, optional
        In what the heads differ.
    progress : callable, optional
        Called with (heads made, heads).
    """
    order = PARTS.index(check_part(part))
    generator = torch.Generator().manual_seed(3 * seed + order)
    place = torch.as_tensor(bank.electrodes)
    caps = []
    for _ in range(n):
        u = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        low, high = (math.log(count) for count in electrodes)
        count = min(round(math.exp(low + (high - low) * u[0])), len(place))
        index = spread_out(place, count, generator)
        kept = max(min(FEWEST, len(index)), round(len(index) * (1.0 - MISSING * u[1])))
        index = index[torch.randperm(len(index), generator=generator)[:kept]].sort().values
        caps.append([bank.ch_names[i] for i in index.tolist()])
    return world_of(bank, caps, seed, part, fixed=fixed, spread=spread, progress=progress)


def world_of(
    bank: HeadBank,
    caps: Sequence[Sequence[str]],
    seed: int,
    part: Part,
    *,
    fixed: bool = True,
    spread: HeadSpread | None = None,
    progress: Progress = None,
) -> World:
    """Draw a head from a bank for every cap, given by the names of its electrodes.

    Parameters as of :func:`bank_world`.
    """
    full = bank.believed.fixed() if fixed else bank.believed
    textbook, heads = bank.believed_fine, []
    for number, names in enumerate(caps):
        own = bank.pick(list(names))
        (drawn,) = own.draw(1, seed, split=part, spread=spread, start=number)
        seen = drawn.fine.gain.mT.to(torch.float32).contiguous()
        heads.append(EverydayHead(full.pick(list(names)), seen))
        if progress is not None:
            progress(number + 1, len(caps))
    cortex = fine_cortex(textbook)
    return World(cortex, tuple(heads), homes(textbook, full), _regions(textbook))


def fine_cortex(fine: Leadfield) -> FineCortex:
    """The mesh of a lead field of vertices, with the template's regions."""
    parcels = _parcels(fine)
    return FineCortex(
        positions=fine.positions,
        normals=fine.normals,
        edges=fine.edges,
        hemisphere=fine.hemisphere,
        regions=parcels[fine.hemisphere, fine.vertices],
    )


def _parcels(fine: Leadfield) -> torch.Tensor:
    parcels = Leadfield.template_small().parcels
    assert parcels is not None
    if int(fine.vertices.max()) >= parcels.shape[1]:
        raise MajorantError("the fine mesh is to be that of the template, fsaverage5")
    return parcels


def _regions(fine: Leadfield) -> Leadfield:
    """Regions as locations, for the patches that are made of them."""
    one = replace(fine, gain=fine.gain[:1], ch_names=fine.ch_names[:1])
    return one.regions(_parcels(fine))
