"""Pools of samples for MM-Net with shared weights: made once, kept in a file.

A pool is some samples of every head: whitened data, their sources as maps and courses, and what
patch scan and unfolded solver make of the data, each on the whole window, as at use. Windows have
several lengths. Energy and network do not know in which order samples come: long windows are turned
onto a few orthonormal mixtures of their samples, of which each is as like the window as another.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from majorant.energies.lengths import inverse, norm
from majorant.forward.leadfield import Leadfield
from majorant.learned.shared.neighbourhoods import Neighbourhoods
from majorant.learned.shared.network import Given
from majorant.learned.shared.sight import Sight, ball_scan
from majorant.problem import MatrixOperator, Problem
from majorant.simulate.dataset import Part
from majorant.simulate.everyday.settings import EverydaySettings
from majorant.simulate.everyday.stream import Everyday
from majorant.simulate.everyday.world import World
from majorant.simulate.general import GeneralSettings, OneHead
from majorant.simulate.heads import HeadRange, SimulatedHead
from majorant.simulate.patches import PatchSettings
from majorant.solvers.base import Solver
from majorant.solvers.loop import solve

Heads = Callable[[int, int, HeadRange], list[SimulatedHead]]
"""Makes a number of heads from a seed and a range."""

Maker = Callable[[], tuple[dict[str, Tensor], Leadfield]]
"""Makes a pool: its tensors, and a lead field of its sources."""

AT_ONCE = 16
"""Samples that are solved at once."""

WINDOW, LENGTHS = 75, (75, 75, 32, 75, 12, 75, 4)
"""Samples of a simulated window, and those that are seen of it; heads take them in turn."""

KEPT = 16
"""Mixtures of samples that are kept of a window after it was solved."""


def _grown(*orders: int) -> PatchSettings:
    return PatchSettings(orders=orders, growth="random", shapes=2)


VALIDATED = (
    PatchSettings(orders=(1, 2, 3)),
    PatchSettings(orders=(1, 2, 3), growth="random"),
    PatchSettings(orders=(0,)),
    PatchSettings(orders=(4, 5), growth="random"),
)
"""Patches of the heads of validation."""


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

    n_heads: int = 25
    per_head: int = 40
    head_seed: int = 5
    patches: tuple[PatchSettings, ...] = (
        _grown(0, 1, 2, 3, 4, 5),
        PatchSettings(orders=(0, 1, 2, 3)),
        _grown(1, 2, 3),
        _grown(4, 5),
        PatchSettings(orders=(0,)),
    )
    electrodes: tuple[int, int] = (24, 128)


@dataclass(frozen=True, eq=False)
class Pool:
    """Samples of one head.

    Attributes
    ----------
    sight : Sight
        Of the lead field that is believed.
    y : Tensor, shape (n, n_sensors, k)
    spaces : Tensor, shape (n, n_patches, n_sources)
    times : Tensor, shape (n, n_patches, k)
    estimates : Tensor, shape (n, 2, n_sources, k)
        What patch scan and unfolded solver make of the data.
    """

    sight: Sight
    y: Tensor
    spaces: Tensor
    times: Tensor
    estimates: Tensor

    def given(self, chosen: Tensor) -> tuple[Given, Tensor]:
        """Return what the network sees of some samples, and their truth."""
        y = self.y[chosen]
        y = y * inverse(norm(y)).to(y.dtype)[:, None, None]
        return Given.of(self.sight, y, self.estimates[chosen].float()), self.truth(chosen)

    def truth(self, chosen: Tensor) -> Tensor:
        """Return the sources of some samples, (n, n_sources, k)."""
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
        Validation has heads of 64 electrodes that are in no training, one for balls of regions, one
        for regions grown at random, one for single regions and one for large grown ones.
    say : callable
    """
    train = part == "train"
    drawn = (
        heads(recipe.n_heads, recipe.head_seed, HeadRange(electrodes=recipe.electrodes))
        if train
        else heads(4, 77, HeadRange(electrodes=(64, 64), skulls=(0.0075,), missing=0.0))
    )
    patches = recipe.patches if train else VALIDATED
    held: dict[str, Tensor] = {}
    for k, head in enumerate(drawn):
        settings = GeneralSettings(n_times=WINDOW, patch=patches[k % len(patches)])
        number = (recipe.head_seed if train else 77) + k
        data = OneHead(head, 100_000, number, part=part, settings=settings)
        batch = data.batch(range(recipe.per_head if train else 24))
        held |= _entries(k, head.believed.gain, batch.y, batch.spaces, batch.times, train)
        say(f"head {k + 1} of {len(drawn)}: {batch.y.shape[1]} channels, {len(batch.y)} samples")
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
    settings = EverydaySettings(n_times=(WINDOW,))
    data, held = Everyday(world, seed, part=part, settings=settings, seeds=4000), {}
    for k in range(len(world.heads)):
        batch = data.session(k).batch(range(number))
        maps, largest = batch.maps(), batch.maps().abs().amax(2, keepdim=True).clamp_min(1e-30)
        times = batch.courses * largest
        gain = batch.operator.matrix()
        held |= _entries(k, gain, batch.y, maps / largest, times, part == "train")
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
            *(held[f"{name}.{k}"] for name in ("y", "spaces", "times", "estimates")),
        )
        for k in range(count)
    ]


def estimated(
    held: dict[str, Tensor],
    space: Leadfield,
    unfolded: Solver,
    say: Callable[[str], None] = print,
) -> dict[str, Tensor]:
    """Return a pool's tensors with what patch scan and unfolded solver make of its data.

    Windows of more than :data:`KEPT` samples are turned afterwards onto as many mixtures of them.
    """
    solvers, made = (ball_scan(), unfolded), dict(held)
    for k in range(sum(name.startswith("gain.") for name in held)):
        operator = MatrixOperator(held[f"gain.{k}"], 1, space.geometry)
        parts = held[f"y.{k}"].split(AT_ONCE)
        found = torch.stack(
            [
                torch.cat([solve(Problem(operator, y), solver).estimate for y in parts])
                for solver in solvers
            ],
            1,
        )
        n_times = found.shape[3]
        if n_times > KEPT:
            drawn = torch.randn(n_times, KEPT, generator=torch.Generator().manual_seed(k))
            turn = torch.linalg.qr(drawn)[0]
            found = found @ turn
            for name in (f"y.{k}", f"times.{k}"):
                made[name] = held[name] @ turn
        size = found.abs().amax((2, 3), keepdim=True).clamp_min(1e-30)
        made[f"estimates.{k}"] = torch.nan_to_num(found / size, nan=0.0).to(torch.float16)
        say(f"head {k + 1} solved")
    return made


def _entries(
    k: int, gain: Tensor, y: Tensor, spaces: Tensor, times: Tensor, cut: bool
) -> dict[str, Tensor]:
    """The tensors of a head, whole windows, or cut to a length around the strongest sample."""
    length = LENGTHS[k % len(LENGTHS)] if cut else y.shape[2]
    generator = torch.Generator().manual_seed(k)
    peak = times.square().sum(1).argmax(1)
    first = peak - torch.randint(length, peak.shape, generator=generator)
    at = first.clamp(0, y.shape[2] - length)[:, None, None] + torch.arange(length)
    return {
        f"gain.{k}": gain.to(torch.float32),
        f"y.{k}": y.to(torch.float32).gather(2, at.expand(-1, y.shape[1], -1)),
        f"spaces.{k}": spaces.to(torch.float16),
        f"times.{k}": times.to(torch.float32).gather(2, at.expand(-1, times.shape[1], -1)),
    }
