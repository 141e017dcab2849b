"""Alternating projections: which patch explains most of what the others leave.

The score of patch p given the topographies S of the others is ``|U_p'QY|^2 / (U_p'QU_p)``, the
largest generalised eigenvalue where a patch has several directions. With ``C = YY'`` and ``Q = I -
S A S'`` it needs ``U s`` and ``U C s`` for the topographies s at hand, which are kept: a patch that
stays costs no product with the dictionary. Scores are in single precision; what is taken is decided
in double.

Source: Ziskind and Wax (1988), doi:10.1109/29.7543; Adler et al. (2024),
doi:10.1016/j.bspc.2023.105796.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from majorant.solvers.scan.dictionary import Dictionary
from majorant.solvers.scan.likelihood import Found, Likelihood, Sources
from majorant.solvers.scan.number import Order
from majorant.solvers.scan.pencil import (
    CLOSE,
    Others,
    best_direction,
    explained,
    symmetric,
    top_values,
)

__all__ = ["Products", "Search"]

GAIN = 1e-3
"""What a patch must explain more than the one before it, as a share of what is left unexplained, to
replace it: far below what the criterion charges for a patch, and enough to end the sweeps soon."""


@dataclass(frozen=True, eq=False)
class Products:
    """Products of the dictionary with the topographies at hand.

    Attributes
    ----------
    sources : Sources
    seen : Tensor, shape (n_batch, n_most, n_sensors), float64
        Their topographies ``s``.
    plain, moved : Tensor, shape (n_batch, n_most, n_orient, n_patches), float32
        ``U s`` and ``U C s``.
    """

    sources: Sources
    seen: Tensor
    plain: Tensor
    moved: Tensor


class Search:
    """Scores of all patches for the data of a problem.

    Parameters
    ----------
    likelihood : Likelihood
    n_most : int
        Patches at most.
    head_error : float
        Share of a topography's power that is wrong: what lies no farther off the others is not
        told from them. Two patches whose difference is of that size take the head's errors, or
        what ails one electrode, for currents that are large and cancel.
    """

    def __init__(self, likelihood: Likelihood, n_most: int, head_error: float = 0.0) -> None:
        self.likelihood, self.n_most = likelihood, n_most
        self.close = max(CLOSE, head_error)
        self.dictionary: Dictionary = likelihood.dictionary
        y = likelihood.sample.y
        self.moment = y @ y.mT
        self._quick = self.moment.to(torch.float32)
        self._alone = torch.stack([self._outer(moment) for moment in self._quick])

    def products(self) -> Products:
        """Of no topographies at all."""
        n_batch, group = len(self.moment), self.dictionary.n_orient
        empty = Sources.none(n_batch, self.n_most, group)
        shape = (n_batch, self.n_most, group, self.dictionary.basis.n_patches)
        return Products(
            empty,
            self.moment.new_zeros(n_batch, self.n_most, self.moment.shape[1]),
            self._quick.new_zeros(shape),
            self._quick.new_zeros(shape),
        )

    def renewed(self, kept: Products, sources: Sources) -> Products:
        """Products for other topographies; what is the same is not worked out again."""
        same = kept.sources.index == sources.index
        same &= (kept.sources.direction == sources.direction).all(2)
        rows, places = (~same).nonzero(as_tuple=True)
        if len(rows) == 0:
            return kept
        every = sources.topographies(self.dictionary)
        seen = every[rows, places].to(torch.float32)
        moved = (self._quick[rows] @ seen[:, :, None])[:, :, 0]
        both = torch.cat([seen, moved]) @ self.dictionary.quick.mT
        both = both.unflatten(1, kept.plain.shape[2:])
        kept.plain[rows, places], kept.moved[rows, places] = both.chunk(2)
        return Products(sources, every, kept.plain, kept.moved)

    def others(self, kept: Products, rows: Tensor, there: Tensor) -> Others:
        """The projector off some of the topographies at hand, ``there`` (n, n_most), of samples."""
        return Others.of(kept.seen[rows], there, self.moment[rows])

    def scores(self, kept: Products, rows: Tensor, others: Others) -> Tensor:
        """Score of every patch given some of the topographies at hand.

        Parameters
        ----------
        kept : Products
        rows : Tensor, shape (n,), int64
            Samples.
        others : Others
            Of these samples.

        Returns
        -------
        Tensor, shape (n, n_patches), float32
            Power explained; 0 where a patch lies too close to the others.
        """
        alone = self._alone[rows]
        taken = others.inverse.diagonal(dim1=1, dim2=2).any(0).nonzero()
        if len(taken) == 0:
            return top_values(alone, None)
        width = int(taken.max()) + 1
        inverse, middle = others.inverse[:, :width, :width], others.middle[:, :width, :width]
        plain = kept.plain[rows, :width].flatten(2)
        part = inverse.to(plain.dtype) @ plain
        shift = torch.baddbmm(
            kept.moved[rows, :width].flatten(2), middle.to(plain.dtype), part, beta=-2.0
        )
        plain, part, shift = (
            t.unflatten(2, (self.dictionary.n_orient, -1)) for t in (plain, part, shift)
        )
        return top_values(alone + symmetric(part, shift), symmetric(part, plain), self.close)

    def _outer(self, moment: Tensor) -> Tensor:
        """``U C U'`` of every patch, as :func:`symmetric` orders it."""
        atoms, group = self.dictionary.quick, self.dictionary.n_orient
        own = atoms.unflatten(0, (group, -1))
        moved = (atoms @ moment).unflatten(0, (group, -1))
        return torch.stack(
            [(own[i] * moved[j]).sum(1) for i in range(group) for j in range(i, group)]
        )


@dataclass(frozen=True)
class Sweep:
    """One sweep of alternating projections, and one more patch where they rest.

    Attributes
    ----------
    search : Search
    order : Order
    """

    search: Search
    order: Order

    def __call__(self, state: Found, energy: Tensor, kept: Products) -> tuple[Found, Products]:
        """The state after the sweep, and the products that belong to it."""
        state, grow = self._judged(state, energy)
        sources, kept = self._grown(state.now, self.search.renewed(kept, state.now), grow)
        # Where no patch explains anything more, that is the end.
        state = replace(state, done=state.done | (grow & (sources.count == state.now.count)))
        # A patch that was just chosen given the others is settled; the others no longer are.
        added = sources.there & ~state.now.there
        settled = torch.where(added.any(1)[:, None], added, state.settled)
        open_ = sources.there & ~state.done[:, None]
        for place in range(int(sources.count.max())):
            rows = (open_ & ~settled)[:, place].nonzero()[:, 0]
            if len(rows):
                sources, kept, changed = self._replaced(sources, kept, place, rows)
                settled[changed] = False
                settled[rows, place] = True
        return replace(state, now=sources, settled=settled), kept

    def _judged(self, state: Found, energy: Tensor) -> tuple[Found, Tensor]:
        """Compare the sets at rest, end the samples that are done, say which are to grow."""
        rests = state.still & ~state.done
        count = state.now.count
        if not rests.any():
            return state, rests
        value = self.order.criterion(self.search.likelihood, state.now)
        better = rests & (value < state.criterion)
        best = state.now.where(better, state.best)
        waited = count - best.count >= self.order.patience
        full = (count >= self.search.n_most) | self.search.likelihood.exhausted(energy)
        done = state.done | (rests & (waited | full))
        criterion = torch.where(better, value, state.criterion)
        return replace(state, best=best, criterion=criterion, done=done), rests & ~done

    def _grown(self, sources: Sources, kept: Products, grow: Tensor) -> tuple[Sources, Products]:
        """Add the patch that explains most of what is left."""
        rows = grow.nonzero()[:, 0]
        if len(rows) == 0:
            return sources, kept
        others = self.search.others(kept, rows, sources.there[rows])
        patch = self.search.scores(kept, rows, others).argmax(1)
        _, power, left = others.pencil(self.search.dictionary.atoms[patch][:, None])
        close = self.search.close
        way = best_direction(power, left, close)
        wins = explained(power, left, way, close)[:, 0] > 0
        rows, patch, way = rows[wins], patch[wins], way[wins, 0]
        sources = sources.placed(rows, sources.count[rows], patch, way)
        return sources, self.search.renewed(kept, sources)

    def _replaced(
        self, sources: Sources, kept: Products, place: int, rows: Tensor
    ) -> tuple[Sources, Products, Tensor]:
        """The best patch for one place of some samples; which of them changed."""
        there = sources.there[rows]
        there[:, place] = False
        others = self.search.others(kept, rows, there)
        patch = self.search.scores(kept, rows, others).argmax(1)
        both = torch.stack([sources.index[rows, place], patch], 1)
        _, power, left = others.pencil(self.search.dictionary.atoms[both])
        close = self.search.close
        way = best_direction(power[:, 1], left[:, 1], close)
        ways = torch.stack([sources.direction[rows, place], way], 1)
        # What is there counts in full, however close others have come: the energy must not rise.
        now = explained(power[:, 0], left[:, 0], ways[:, 0])
        then = explained(power[:, 1], left[:, 1], ways[:, 1], close)
        # Of data that are all explained, rounding is left.
        least = 1e-12 * self.order.measured
        wins = then > now + GAIN * (others.left() - now).clamp_min(least)
        rows, patch, way = rows[wins], patch[wins], way[wins]
        sources = sources.placed(rows, torch.full_like(rows, place), patch, way)
        return sources, self.search.renewed(kept, sources), rows
