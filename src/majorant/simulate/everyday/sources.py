"""Drawing sources: seeds, patches and strengths of whole batches, by keys.

A source is a short list of vertices with weights (or of regions, for the families of whole
regions), so a truth of 20,484 vertices takes a few kilobytes until somebody asks for all of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.simulate import streams
from majorant.simulate.everyday.cortex import FineCortex, Lists
from majorant.simulate.everyday.parts import Part, owned
from majorant.simulate.everyday.settings import EverydaySettings
from majorant.simulate.patches import PatchBank

REGIONS = 2
"""Kind of numbered thing, see :func:`majorant.simulate.everyday.parts.owned`."""
TRIES = 6
"""Seeds that are drawn for a source, of which the first that lies apart is taken."""


@dataclass(frozen=True)
class ActiveSources:
    """Sources of a batch.

    Attributes
    ----------
    members : Tensor, shape (n_batch, n_sources, n_members), int64
        Vertices of the fine mesh, or regions.
    weights : Tensor, shape (n_batch, n_sources, n_members), float32
        1 at the strongest vertex of a source; 0 where a list is padded.
    seeds : Tensor, shape (n_batch, n_sources), int64
        Seed vertices or regions; -1 beyond the number of a sample.
    width_mm : Tensor, shape (n_batch, n_sources)
        0 for single vertices, NaN for whole regions.
    regions : bool
        Whether members are regions.
    """

    members: Tensor
    weights: Tensor
    seeds: Tensor
    width_mm: Tensor
    regions: bool

    @property
    def active(self) -> Tensor:
        """Which sources there are, bool, shape (n_batch, n_sources)."""
        return self.seeds >= 0


class VertexSources:
    """Draws single vertices, balls and grown patches on the fine mesh.

    Parameters
    ----------
    cortex : FineCortex
    lists : Lists
        Of the part.
    """

    def __init__(self, cortex: FineCortex, lists: Lists) -> None:
        self.lists = lists
        self._mirror = cortex.mirrored(lists.seeds)
        self._place = cortex.positions[lists.seeds].float()

    def draw(self, key: Tensor, settings: EverydaySettings) -> ActiveSources:
        """Draw the sources of samples.

        Parameters
        ----------
        key : Tensor, shape (n_batch,), int64
        settings : EverydaySettings
        """
        most, n = max(settings.n_sources), len(self.lists.seeds)
        # One hash for all that is drawn: small batches are mostly overhead.
        u = streams.uniform(key, 2 + (TRIES + 4) * most)
        active = _counts(u[:, 0], settings)
        tries = _integers(u[:, 2 : 2 + TRIES * most], n).unflatten(1, (most, TRIES))
        seed = self._apart(tries, u[:, 1] <= settings.mirrored, 1e-3 * settings.apart_mm)
        kind, width, falloff, grown = u[:, 2 + TRIES * most :].unflatten(1, (4, most)).unbind(1)
        shapes = torch.tensor([("vertex", "ball", "grown").index(s) for s in settings.shapes])
        kind = shapes[_integers(kind, len(shapes))]
        low, high = settings.width_mm
        width = torch.where(kind == 0, 0.0, low * (high / low) ** width)
        ball = self.lists.reached[0][seed].float()
        count = (ball <= 0.5 * width[..., None]).sum(-1).clamp_min(1)
        # Patches that grow at random take as many vertices as the ball of their width has.
        offered = len(self.lists.members) - 1
        shape = torch.where(kind == 2, 1 + _integers(grown, max(offered, 1)), 0)
        longest = int(count.max())
        members = self.lists.members[shape, seed][..., :longest].long()
        reached = self.lists.reached[shape, seed][..., :longest].float()
        inside = (torch.arange(longest) < count[..., None]) & reached.isfinite()
        far = torch.where(inside, reached, 0.0).amax(-1, keepdim=True).clamp_min(1e-6)
        share = torch.where(inside, reached, 0.0) / far
        weights = torch.exp(-2.0 * falloff[..., None] * share.square())
        weights = torch.where(inside & active[..., None], weights, 0.0)
        return ActiveSources(
            torch.where(inside, members, self.lists.seeds[seed][..., None]),
            weights,
            torch.where(active, self.lists.seeds[seed], -1),
            width,
            False,
        )

    def _apart(self, tries: Tensor, mirrored: Tensor, limit: float) -> Tensor:
        """Positions in the list of seeds, apart from each other, (n_batch, n_sources)."""
        taken = [tries[:, 0, 0]]
        each = torch.arange(len(tries))
        for k in range(1, tries.shape[1]):
            others = self._place[torch.stack(taken, 1)]
            apart = (self._place[tries[:, k]][:, :, None] - others[:, None]).norm(dim=-1)
            fits = (apart >= limit).all(-1)
            first = torch.where(fits.any(1), fits.int().argmax(1), 0)
            chosen = tries[each, k, first]
            if k == 1:
                chosen = torch.where(mirrored, self._mirror[taken[0]], chosen)
            taken.append(chosen)
        return torch.stack(taken, 1)


class RegionSources:
    """Draws whole regions, within some steps of one or grown over as many.

    Parameters
    ----------
    bank : PatchBank
        Every region as a location.
    part : {"train", "validation", "test"}
        Its seed regions are its own.
    """

    def __init__(self, bank: PatchBank, part: Part) -> None:
        self.bank = bank
        self.seeds = owned(part, bank.n_locations, REGIONS).nonzero()[:, 0]

    def draw(self, key: Tensor, settings: EverydaySettings) -> ActiveSources:
        """Draw the sources of samples; see :meth:`VertexSources.draw`."""
        most = max(settings.n_sources)
        u = streams.uniform(streams.fork(key, 1), 1 + most)
        active = _counts(u[:, 0], settings)
        pick = streams.distinct_integers(streams.fork(key, 2), most, len(self.seeds))
        seed = self.seeds[pick]
        row = _integers(u[:, 1:], len(self.bank.orders))
        weights = self.bank.amplitudes[row, seed].float()
        return ActiveSources(
            self.bank.members[seed],
            torch.where(active[..., None], weights, 0.0),
            torch.where(active, seed, -1),
            torch.full(seed.shape, torch.nan),
            True,
        )


def _integers(u: Tensor, n: int) -> Tensor:
    """Turn uniform numbers in (0, 1] into whole ones from 0 to ``n - 1``."""
    return (u * n).long().clamp_max(n - 1)


def _counts(u: Tensor, settings: EverydaySettings) -> Tensor:
    """Which sources a sample has, bool, (n_batch, n_sources)."""
    counts = torch.tensor(settings.n_sources)
    drawn = counts[_integers(u, len(counts))]
    return torch.arange(max(settings.n_sources)) < drawn[:, None]
