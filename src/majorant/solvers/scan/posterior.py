"""From patches to an estimate: the mean over all patches that would do, given the others.

The likelihood of one place, the others held, is ``exp(score_p / (2 v))`` over patches p, ``v`` the
variance of what is no source along the place's course: noise, and the head's error (``number.py``),
which for a strong source is most of it. Patches that overlap are no independent alternatives, so
noise counts ``1 / tau`` times; but of a weak source that alone would say that it may be anywhere,
and it was found because it explains what no patch elsewhere does: the logarithm of the likelihood
falls by :data:`SHARP` at least from the best patch to one that explains nothing. The estimate is
the mean over patches of their courses, and the variance what the mixture spreads: that of where the
patch is, and that of its course. What noise alone makes of the estimate, the patches being what
they are, is told apart: a source that surely exists is at no single place for sure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from majorant.linalg import squared_norm
from majorant.solvers.scan.number import Doubt
from majorant.solvers.scan.pencil import Others, best_direction, explained
from majorant.solvers.scan.search import Products, Search

__all__ = ["posterior"]

RARE = 1e-3
"""Patches less likely than this, relative to the likeliest, are left out."""

SHARP = 80.0
"""Fall of the logarithm of the likelihood from the best patch to none, at least."""

SINGLE = 1e-5
"""Rounding of the scores of the search, as a share of the data's power."""


@dataclass(frozen=True, eq=False)
class _Place:
    """The likely patches of one place of one sample.

    Attributes
    ----------
    patch : array, shape (n,)
    weight : Tensor, shape (n,)
    currents : Tensor, shape (n, n_orient)
        Amplitudes that make the patch's topography along its best direction.
    rows : Tensor, shape (n, n_sensors)
        From data to the course along that topography.
    spread : Tensor, shape (n,)
        Variance of the course for unit noise.
    """

    patch: np.ndarray
    weight: Tensor
    currents: Tensor
    rows: Tensor
    spread: Tensor


@dataclass(frozen=True, eq=False)
class _Mean:
    """The mean over the patches of a place, on the locations that they hold.

    Attributes
    ----------
    columns : Tensor, shape (n,), int64
    kernel : Tensor, shape (n, n_sensors)
        From white data to these columns.
    variance : Tensor, shape (n,)
    noise : Tensor, shape (n,)
        Deviation that noise alone gives the length of the column's location.
    """

    columns: Tensor
    kernel: Tensor
    variance: Tensor
    noise: Tensor


def posterior(
    search: Search, kept: Products, tau: float, head_error: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Average over patches, place by place.

    Parameters
    ----------
    search : Search
    kept : Products
        Of the patches that were found.
    tau : float
        Temper of the likelihood, in (0, 1].
    head_error : float
        Share of a topography's power that is wrong.

    Returns
    -------
    estimate : Tensor, shape (n_batch, n_columns, n_times), float64
        A m, for the data of unit size of ``search.likelihood.sample``.
    variance : Tensor, shape (n_batch, n_columns), float64
        Mean over time.
    noise : Tensor, shape (n_batch, n_columns), float64
        At most what noise gives the length of the vector at the column's location.
    """
    y, sources = search.likelihood.sample.y, kept.sources
    n_columns = search.dictionary.basis.n_locations * search.dictionary.n_orient
    estimate = y.new_zeros(len(y), n_columns, y.shape[2])
    variance, by_noise = (y.new_zeros(len(y), n_columns) for _ in range(2))
    heard = squared_norm(y) > 0
    noise = Doubt.of(search.likelihood, sources, head_error).noise.clamp_min(1e-12)
    for place in range(int(sources.count.max())):
        rows = (heard & (sources.count > place)).nonzero()[:, 0]
        there = sources.there[rows]
        there[:, place] = False
        others = search.others(kept, rows, there)
        scores = search.scores(kept, rows, others)
        for k, b in enumerate(rows.tolist()):
            moment = search.moment[b]
            doubt = float(noise[b]) / tau, head_error / y.shape[1]
            likely = _likely(search, others.only(k), scores[k], doubt)
            mean = _averaged(search, likely, moment / y.shape[2], float(noise[b]))
            estimate[b, mean.columns] += mean.kernel @ y[b]
            variance[b, mean.columns] += mean.variance
            by_noise[b, mean.columns] += mean.noise
    return estimate, variance, by_noise.square()


def _likely(search: Search, others: Others, scores: Tensor, doubt: tuple[float, float]) -> _Place:
    """The patches that would do nearly as well as the best, with exact scores.

    ``doubt`` is the variance of noise, tempered, and what the head's error adds to it for every
    unit of power that the place explains.
    """
    power = float(others.moment.diagonal(dim1=1, dim2=2).sum())
    margin = -math.log(RARE) / _temper(doubt, float(scores.max())) + SINGLE * power
    patch = (scores >= scores.max() - margin).nonzero()[:, 0]
    off, moved, left = (part[0] for part in others.pencil(search.dictionary.atoms[patch][None]))
    way = best_direction(moved, left, search.close)
    apart = (way[:, None] @ off)[:, 0]
    share = apart.square().sum(1, keepdim=True)
    # What lies in the span of the others explains nothing, and has no course.
    won = torch.where(
        share[:, 0] > 0, explained(moved, left, way, search.close).nan_to_num(0.0), 0.0
    )
    # Scores in single precision choose whom to look at, and decide nothing.
    weight = torch.softmax(_temper(doubt, float(won.max())) * won, 0)
    kept = (weight > RARE * weight.max()) & (won > 0)
    weight, patch, way = weight[kept], patch[kept], way[kept]
    apart, share = apart[kept], share[kept]
    return _Place(
        patch.numpy(),
        weight / weight.sum(),
        (search.dictionary.currents[patch] @ way[:, :, None])[:, :, 0],
        apart / share,
        1.0 / share[:, 0],
    )


def _temper(doubt: tuple[float, float], most: float) -> float:
    """What the logarithm of the likelihood gains per power explained; ``most`` is the best's."""
    noise, wrong = doubt
    return max(0.5 / (noise + wrong * most), SHARP / max(most, SINGLE))


def _averaged(search: Search, likely: _Place, moment: Tensor, noise: float) -> _Mean:
    """The mean over the patches of one place; ``moment`` is that of the data, over time."""
    dictionary = search.dictionary
    members, group = dictionary.basis.members[likely.patch], dictionary.n_orient
    held, where = np.unique(members.indices, return_inverse=True)
    shape = (members.shape[0], len(held))
    belongs = csr_array((members.data, where, members.indptr), shape=shape).T
    power = ((likely.rows @ moment) * likely.rows).sum(1) + noise * likely.spread
    amount = likely.weight[:, None] * likely.currents
    second = (amount * power[:, None])[:, :, None] * likely.currents[:, None]
    each = torch.cat([(amount[:, :, None] * likely.rows[:, None]).flatten(1), second.flatten(1)], 1)
    both = torch.from_numpy(belongs @ each.numpy())
    kernel = both[:, : -(group**2)].unflatten(1, (group, -1))
    spread = both[:, -(group**2) :].unflatten(1, (group, group))
    places = torch.from_numpy(held).to(torch.int64)
    if dictionary.turns is not None:
        turns = dictionary.turns[places]
        kernel, spread = turns @ kernel, turns @ spread @ turns.mT
    by_noise = noise * kernel.square().sum((1, 2))
    kernel = kernel.flatten(0, 1)
    square = spread.diagonal(dim1=1, dim2=2).flatten()
    columns = (group * places[:, None] + torch.arange(group)).flatten()
    variance = (square - ((kernel @ moment) * kernel).sum(1)).clamp_min(0.0)
    return _Mean(columns, kernel, variance, by_noise.sqrt().repeat_interleave(group))
