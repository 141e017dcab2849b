"""Pools of samples for MM-Net with shared weights: made once, kept in a file.

A pool is some samples of every head: whitened data, and their sources as maps and courses. Of a
recording it keeps eight samples spread over the window, for energy and network do not know in which
order samples come, nor at which rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from majorant.energies.lengths import inverse, norm
from majorant.forward.leadfield import Leadfield
from majorant.learned.shared.neighbourhoods import Neighbourhoods
from majorant.learned.shared.network import StartKind
from majorant.learned.shared.sight import Sight
from majorant.learned.shared.solver import first
from majorant.problem import MatrixOperator, Problem
from majorant.simulate.dataset import Part
from majorant.simulate.everyday.stream import Everyday
from majorant.simulate.everyday.world import World
from majorant.simulate.general import GeneralSettings, OneHead
from majorant.simulate.heads import HeadRange, SimulatedHead
from majorant.simulate.patches import PatchSettings
from majorant.solvers.loop import solve
from majorant.solvers.scan import Scan

Heads = Callable[[int, int, HeadRange], list[SimulatedHead]]
"""Makes a number of heads from a seed and a range."""

Maker = Callable[[], tuple[dict[str, Tensor], Leadfield]]
"""Makes a pool: its tensors, and a lead field of its sources."""

SCANNED = 16
"""Samples that are scanned at once."""

SILENT = 0.02
"""Samples are left out of windows in which their truth has less power, relative to its mean."""


def _grown(*orders: int) -> PatchSettings:
    return PatchSettings(orders=orders, growth="random", shapes=2)


@dataclass(frozen=True)
class RegionSettings:
    """What pools of whole regions are made of.

    Attributes
    ----------
    n_heads, per_head : int
        Heads, and samples of each.
    head_seed : int
    patches : tuple of PatchSettings
        Heads take them in turn.
    electrodes : tuple of int
        Fewest and most of a cap.
    """

    n_heads: int = 10
    per_head: int = 48
    head_seed: int = 5
    patches: tuple[PatchSettings, ...] = (
        _grown(0, 1, 2, 3, 4, 5),
        PatchSettings(orders=(0, 1, 2, 3)),
        _grown(0, 1, 2, 3),
        PatchSettings(orders=(0, 1)),
    )
    electrodes: tuple[int, int] = (24, 128)


@dataclass(frozen=True, eq=False)
class Pool:
    """Samples of one head.

    Attributes
    ----------
    sight : Sight
        Of the lead field that is believed.
    y : Tensor, shape (n, n_sensors, n_times)
    spaces : Tensor, shape (n, n_patches, n_sources)
    times : Tensor, shape (n, n_patches, n_times)
    scans : Tensor, shape (n, n_sources, n_times)
        What the patch scan makes of the data.
    """

    sight: Sight
    y: Tensor
    spaces: Tensor
    times: Tensor
    scans: Tensor

    def window(
        self, chosen: Tensor, samples: Tensor, start: StartKind
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return data of norm 1, truth and start of some samples; those silent there left out."""
        y = self.y[chosen][:, :, samples]
        truth = self.truth(chosen)
        x = truth[:, :, samples]
        heard = _power(x) > SILENT * _power(truth)
        y = _normed(y[heard])
        scanned = self.scans[chosen][heard][:, :, samples].float()
        return y, x[heard], first(self.sight, y, start, scanned)

    def truth(self, chosen: Tensor) -> Tensor:
        """Return the sources of some samples, (n, n_sources, n_times)."""
        return self.spaces[chosen].float().mT @ self.times[chosen]


def make_pools(
    heads: Heads, recipe: RegionSettings, part: Part, say: Callable[[str], None] = print
) -> tuple[dict[str, Tensor], Leadfield]:
    """Simulate the samples of all heads: tensors for a file, and a lead field of their sources.

    Parameters
    ----------
    heads : callable
        Makes heads from a number and a seed.
    recipe : RegionSettings
    part : {"train", "validation"}
        Validation is 40 samples on 64 electrodes of a head that is in no training.
    say : callable
    """
    train = part == "train"
    drawn = (
        heads(recipe.n_heads, recipe.head_seed, HeadRange(electrodes=recipe.electrodes))
        if train
        else heads(1, 77, HeadRange(electrodes=(64, 64), skulls=(0.0075,), missing=0.0))
    )
    held: dict[str, Tensor] = {}
    for k, head in enumerate(drawn):
        patch = recipe.patches[k % len(recipe.patches)] if train else _grown(0, 1, 2, 3, 4)
        settings = GeneralSettings(n_times=32 if train else 75, patch=patch)
        number = recipe.head_seed + k if train else 77
        data = OneHead(head, 100_000, number, part=part, settings=settings)
        n, width = (recipe.per_head if train else 40), 8
        batch, generator = data.batch(range(n)), torch.Generator().manual_seed(k)
        stride = settings.n_times // width
        chosen = torch.arange(width)[None] * stride
        chosen = chosen + torch.randint(stride, (n, 1), generator=generator)
        at = chosen[:, None]
        held[f"gain.{k}"] = head.believed.gain.to(torch.float32)
        held[f"y.{k}"] = batch.y.gather(2, at.expand(-1, batch.y.shape[1], -1))
        held[f"spaces.{k}"] = batch.spaces.to(torch.float16)
        held[f"times.{k}"] = batch.times.gather(2, at.expand(-1, batch.times.shape[1], -1))
        say(f"head {k + 1} of {len(drawn)}: {batch.y.shape[1]} channels, {n} samples")
    return held, drawn[0].believed


def make_everyday_pools(
    world: World, number: int, seed: int, part: Part, say: Callable[[str], None] = print
) -> tuple[dict[str, Tensor], Leadfield]:
    """Simulate everyday data on all heads of a world; see :func:`make_pools`.

    Parameters
    ----------
    world : World
        One column per location.
    number : int
        Samples of each head.
    seed : int
    part : {"train", "validation"}
    say : callable
    """
    data, held = Everyday(world, seed, part=part, seeds=4000), {}
    for k in range(len(world.heads)):
        batch = data.session(k).batch(range(number))
        n_times = batch.y.shape[2]
        samples = torch.arange(n_times // 12, n_times, n_times // 8)[:8]
        maps, largest = batch.maps(), batch.maps().abs().amax(2, keepdim=True).clamp_min(1e-30)
        held[f"gain.{k}"] = _matrix(batch.operator)
        held[f"y.{k}"] = batch.y[:, :, samples].to(torch.float32)
        held[f"spaces.{k}"] = (maps / largest).to(torch.float16)
        held[f"times.{k}"] = (batch.courses * largest)[:, :, samples].to(torch.float32)
        say(f"head {k + 1} of {len(world.heads)}: {batch.y.shape[1]} channels, {number} samples")
    return held, world.heads[0].believed


def on_regions(world: World) -> World:
    """Return a world of vertices with the regions of its cortex as what is believed.

    Parameters
    ----------
    world : World
        Its believed lead fields are of vertices of the template.
    """
    parcels = Leadfield.template_small().parcels
    assert parcels is not None
    heads = tuple(replace(h, believed=h.believed.regions(parcels)) for h in world.heads)
    return replace(world, heads=heads, home=world.cortex.regions)


def pools(held: dict[str, Tensor], space: Leadfield) -> list[Pool]:
    """Read pools from tensors."""
    near = Neighbourhoods.of(space.geometry, space.n_locations)
    count = sum(name.startswith("gain.") for name in held)
    return [
        Pool(
            Sight.of(held[f"gain.{k}"].double(), near),
            *(held[f"{name}.{k}"] for name in ("y", "spaces", "times", "scans")),
        )
        for k in range(count)
    ]


def scanned(
    held: dict[str, Tensor], space: Leadfield, say: Callable[[str], None] = print
) -> dict[str, Tensor]:
    """Return a pool's tensors with what the patch scan makes of its data."""
    solver, made = Scan(), dict(held)
    for k in range(sum(name.startswith("gain.") for name in held)):
        operator = MatrixOperator(held[f"gain.{k}"], 1, space.geometry)
        parts = [
            solve(Problem(operator, y), solver).estimate for y in held[f"y.{k}"].split(SCANNED)
        ]
        found = torch.cat(parts)
        size = found.abs().amax((1, 2), keepdim=True).clamp_min(1e-30)
        whole = torch.isfinite(size)
        made[f"scans.{k}"] = torch.where(whole, found / size, 0.0).to(torch.float16)
        say(f"head {k + 1} scanned")
    return made


def _power(x: Tensor) -> Tensor:
    return x.flatten(1).square().mean(1)


def _normed(y: Tensor) -> Tensor:
    return y * inverse(norm(y)).to(y.dtype)[:, None, None]


def _matrix(operator: MatrixOperator) -> Tensor:
    return operator.matrix().to(torch.float32)
