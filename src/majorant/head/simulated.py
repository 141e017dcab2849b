"""Heads for the general simulations, from the template: any cap of the extended 10-20 system."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.forward.template import template_alignment, template_leadfield
from majorant.randomness import takes_rng
from majorant.simulate.everyday import World
from majorant.simulate.heads import HeadMaker, HeadRange, SimulatedHead, draw_heads

MONTAGE = "standard_1005"
"""The electrodes that caps are drawn from."""
LOWEST = -0.020
"""Electrodes further below the origin of the head, m, sit on neck and cheeks; no cap has them."""
HEADS, CAPS, BANK_SEED = 24, (19, 128), 70
"""Heads of everyday data, fewest and most electrodes of their caps, and the seed of the draw."""


class TemplateHeads(HeadMaker):
    """The template's 994 regions, seen by every electrode of the extended system above the neck.

    The first lead field of a skull takes some ten seconds; later ones are read from the cache.

    Parameters
    ----------
    progress : callable, optional
        Takes a line of text for every step that takes time.
    """

    def __init__(self, progress: Callable[[str], None] | None = None) -> None:
        where = template_alignment(MONTAGE, progress=progress)
        place = torch.as_tensor(where.positions)
        keep = (place[:, 2] > LOWEST).nonzero()[:, 0]
        self.names = [where.ch_names[i] for i in keep.tolist()]
        self.place, self.progress = place[keep], progress
        self.textbook = template_leadfield(MONTAGE, ch_names=self.names, progress=progress)

    def true(self, place: Tensor, skull: float) -> Leadfield:
        """Return the lead field of the electrodes at other places, with another skull, S/m."""
        shifted = {name: place[i].numpy() for i, name in enumerate(self.names)}
        return template_leadfield(shifted, conductivity=(0.3, skull, 0.3), progress=self.progress)


@takes_rng
def template_heads(n: int, seed: int, settings: HeadRange | None = None) -> list[SimulatedHead]:
    """Draw heads from the template; see :func:`majorant.simulate.heads.draw_heads`."""
    return draw_heads(TemplateHeads(), n, seed, settings)


def everyday_world() -> World:
    """Draw heads for everyday data from the template's bank, each with a cap of its own.

    On 1,284 vertices: what the unfolded solver is trained on. Takes a minute of one core, and some
    more for shapes of the skull that the cache does not hold yet.
    """
    from majorant.forward.template_bank import template_bank
    from majorant.simulate.everyday.heads import bank_world

    bank = template_bank(MONTAGE, space="ico3")
    return bank_world(bank, HEADS, BANK_SEED, "train", electrodes=CAPS)
