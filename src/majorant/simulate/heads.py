"""Many heads at once: what a solver for any cap and any person is trained on.

A head is a pair of lead fields of the same electrodes: the one that the solver believes, and the
one that makes the data, with another skull and electrodes that sit elsewhere than assumed. Both are
whitened by the covariance that sensor noise and resting cortex have together, as real recordings
are: what a solver meets is white, and its lead field is not that of the textbook any more.

Caps are drawn as people build them: any number of electrodes, spread over the head, with a few
missing.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield, average_reference
from majorant.linalg import spd_power
from majorant.problem import MajorantError
from majorant.randomness import takes_rng


@dataclass(frozen=True)
class HeadRange:
    """What heads are drawn from.

    Attributes
    ----------
    electrodes : tuple of int
        Fewest and most; log-uniform between.
    skulls : tuple of float
        Conductivities of the skull that the data are made with, S/m; the solver believes 0.006.
    moved_mm : float
        Standard deviation of every coordinate of an electrode about its place, mm.
    missing : float
        Largest share of the electrodes of a cap that are left out.
    rest : tuple of float
        Power of resting cortex relative to that of the sensors' own noise; one of them is drawn.
    """

    electrodes: tuple[int, int] = (19, 128)
    skulls: tuple[float, ...] = (0.0041, 0.006, 0.009)
    moved_mm: float = 4.0
    missing: float = 0.1
    rest: tuple[float, ...] = (0.0, 0.3, 1.0, 3.0)

    def __post_init__(self) -> None:
        low, high = self.electrodes
        if not 8 <= low <= high:
            raise MajorantError(
                f"caps of {low} to {high} electrodes were asked for; give at least 8, low to high"
            )


@dataclass(frozen=True, eq=False)
class SimulatedHead:
    """One head.

    Attributes
    ----------
    believed, true : Leadfield
        Of the same white sensors; only ``believed`` is shown to solvers.
    """

    believed: Leadfield
    true: Leadfield


class HeadMaker(ABC):
    """Where lead fields come from: every electrode that caps are drawn from, on one head.

    Attributes
    ----------
    place : Tensor, shape (n_electrodes, 3)
        On the scalp, metres.
    textbook : Leadfield
        What solvers believe, of all these electrodes.
    """

    place: Tensor
    textbook: Leadfield

    @abstractmethod
    def true(self, place: Tensor, skull: float) -> Leadfield:
        """Return the lead field of the electrodes at other places, with another skull, S/m."""


Heads = Callable[[int, int], list[SimulatedHead]]
"""Makes a number of heads from a seed."""


@takes_rng
def draw_heads(
    maker: HeadMaker, n: int, seed: int, settings: HeadRange | None = None
) -> list[SimulatedHead]:
    """Draw heads.

    Parameters
    ----------
    maker : HeadMaker
        See :class:`majorant.head.simulated.TemplateHeads`.
    n : int
    seed : int
    settings : HeadRange, optional
    """
    settings = settings or HeadRange()
    generator = torch.Generator().manual_seed(seed)
    place = maker.place
    moved = place + 1e-3 * settings.moved_mm * torch.randn(
        place.shape, generator=generator, dtype=place.dtype
    )

    @cache
    def true(skull: float) -> Leadfield:
        return maker.true(moved, skull)

    return [_head(maker.textbook, true, place, settings, generator) for _ in range(n)]


def _head(
    textbook: Leadfield,
    true: Callable[[float], Leadfield],
    place: Tensor,
    settings: HeadRange,
    generator: torch.Generator,
) -> SimulatedHead:
    """Draw a cap, a skull and a level of rest."""
    u = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    low, high = (math.log(count) for count in settings.electrodes)
    count = round(math.exp(low + (high - low) * u[0]))
    index = spread_out(place, min(count, len(place)), generator)
    kept = max(settings.electrodes[0], round(len(index) * (1.0 - settings.missing * u[1])))
    index = index[torch.randperm(len(index), generator=generator)[:kept]]
    names = [textbook.ch_names[i] for i in index.tolist()]
    skull = settings.skulls[int(torch.randint(len(settings.skulls), (), generator=generator))]
    rest = settings.rest[int(torch.randint(len(settings.rest), (), generator=generator))]
    reference = average_reference(len(names))
    believed = textbook.pick(names).transformed(reference)
    seen = true(skull).pick(names).transformed(reference)
    white = whitener(seen.gain, rest)
    return SimulatedHead(believed.transformed(white), seen.transformed(white))


def whitener(gain: Tensor, rest: float) -> Tensor:
    """Whiten sensor noise and resting cortex together.

    Parameters
    ----------
    gain : Tensor, shape (n_sensors, n_locations)
    rest : float
        Power of resting cortex at the sensors relative to that of their own, white noise.

    Returns
    -------
    Tensor, shape (n_sensors, n_sensors)
    """
    n = gain.shape[0]
    cortex = gain @ gain.mT
    covariance = torch.eye(n, dtype=gain.dtype) + rest * n / cortex.trace() * cortex
    return spd_power(covariance, -0.5)


def spread_out(place: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Choose points far from each other: each next one is the farthest from those before.

    Parameters
    ----------
    place : Tensor, shape (n_points, 3)
    count : int
    generator : torch.Generator
        Draws the first.

    Returns
    -------
    Tensor, shape (count,), int64
    """
    chosen = [int(torch.randint(len(place), (), generator=generator))]
    distance = (place - place[chosen[0]]).norm(dim=1)
    while len(chosen) < count:
        chosen.append(int(distance.argmax()))
        distance = torch.minimum(distance, (place - place[chosen[-1]]).norm(dim=1))
    return torch.tensor(chosen)
