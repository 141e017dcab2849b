"""Metrics of several sources at once: how far maps lie apart, and which sources were found.

A map is the norm over time of every row of an estimate. The earth mover's distance is the least
work that turns one map into the other, both normalised to sum 1: the mean distance in mm that a
unit of estimated activity lies from where it should be. The two maps may live on different meshes.

Source: the evaluation of arXiv:2606.07196; the transport problem is solved exactly by POT
(Flamary et al., JMLR 22, 2021).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from majorant.extras import needed
from majorant.forward.leadfield import Leadfield
from majorant.metrics.localisation import Interval, bootstrap, roc_area
from majorant.problem import MajorantError
from majorant.randomness import takes_rng

SUPPORT = 1e-3
"""Entries of a map below this share of its maximum are left out of the transport."""

ACTIVE = 0.1
"""A location is active above this share of the maximum."""

REMEMBERED = 256
"""Truths whose distance from a uniform map is kept."""

REACH_MM = 20.0
"""Farthest that a found source may lie from a true one and still be it."""


@dataclass(frozen=True)
class SparseScores:
    """Metrics of a batch, every one of shape (n_batch,), float64.

    Attributes
    ----------
    emd : Tensor
        Earth mover's distance between the maps, mm.
    emd_relative : Tensor
        Divided by the distance between the truth and a uniform map: 1 says nothing was found.
    auc : Tensor
        Area under the ROC curve, in [0, 1]; positives are true entries above a tenth of the
        maximum.
    nmse : Tensor
        ``|x - x^|^2 / |x|^2`` over space and time.
    f1 : Tensor
        Of local maxima above a tenth of the maximum, matched within 20 mm.
    correlation : Tensor
        Magnitude of the correlation of time courses at the true seeds, mean over seeds; 0 where
        the estimate is flat. NaN with a single time point.
    """

    emd: Tensor
    emd_relative: Tensor
    auc: Tensor
    nmse: Tensor
    f1: Tensor
    correlation: Tensor

    @classmethod
    def cat(cls, parts: Sequence[SparseScores]) -> SparseScores:
        """Join batches."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    @takes_rng
    def summary(self, resamples: int = 2000, seed: int = 0) -> dict[str, Interval]:
        """Mean and 95 % interval of every metric, by name."""
        names = [field.name for field in dataclasses.fields(self)]
        values = torch.stack([getattr(self, name) for name in names], dim=1)
        return dict(zip(names, bootstrap(values, resamples, seed), strict=True))


class SparseJudge:
    """Judge of estimates with several sources.

    Parameters
    ----------
    leadfield : Leadfield
        The inverting one: positions in metres, and neighbours.
    generating : Leadfield or None
        Where the sources were made; None is the same.
    transport : bool
        Whether to solve the transport problem, which takes most of the time.
    """

    def __init__(
        self, leadfield: Leadfield, generating: Leadfield | None = None, *, transport: bool = True
    ) -> None:
        source = generating or leadfield
        self.leadfield, self.transport = leadfield, transport
        self._cost = 1e3 * torch.cdist(source.positions, leadfield.positions).numpy()
        self._between = 1e3 * torch.cdist(leadfield.positions, leadfield.positions)
        self._links = _links(leadfield)
        self._uniform: dict[bytes, float] = {}

    def score(
        self,
        truth: Tensor,
        estimate: Tensor,
        seeds: Tensor,
        dense: Tensor | None = None,
    ) -> SparseScores:
        """Judge a batch.

        Parameters
        ----------
        truth, estimate : Tensor, shape (n_batch, n_locations, n_times)
            On the inverting source space, A m.
        seeds : Tensor, shape (n_batch, n_patches), int64
            True seeds; -1 is none.
        dense : Tensor or None, shape (n_batch, n_vertices)
            Map of the truth where it was made, for the transport; None takes ``truth``.

        Raises
        ------
        MajorantError
            If shapes disagree, or something is not finite.
        """
        if truth.shape != estimate.shape or not bool(torch.isfinite(estimate).all()):
            raise MajorantError(
                f"truth has shape {tuple(truth.shape)} and the estimate {tuple(estimate.shape)}; "
                "expected the same, and finite numbers"
            )
        real, found = row_norms(truth), row_norms(estimate)
        far = self._transport(row_norms(truth) if dense is None else dense.double(), found)
        peak = real.amax(1, keepdim=True)
        return SparseScores(
            emd=far[0],
            emd_relative=far[1],
            auc=roc_area(real > ACTIVE * peak, found),
            nmse=relative_error(truth, estimate),
            f1=torch.stack([self.f1(r, f) for r, f in zip(real, found, strict=True)]),
            correlation=course_correlation(truth, estimate, seeds),
        )

    def _transport(self, real: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
        if not self.transport:
            nothing = torch.full((len(real),), torch.nan, dtype=torch.float64)
            return nothing, nothing
        pairs = [
            (earth_mover(r, f, self._cost), self._from_uniform(r))
            for r, f in zip(real.numpy(), found.numpy(), strict=True)
        ]
        emd, uniform = torch.tensor(pairs, dtype=torch.float64).T
        return emd, emd / uniform

    def _from_uniform(self, real: np.ndarray) -> float:
        """Distance of a truth from a uniform map; methods that are judged on it share it."""
        key = real.tobytes()
        if key not in self._uniform:
            if len(self._uniform) >= REMEMBERED:
                self._uniform.clear()
            self._uniform[key] = earth_mover(real, np.ones(self._cost.shape[1]), self._cost)
        return self._uniform[key]

    def maxima(self, map_: Tensor) -> Tensor:
        """Locations that are no lower than their neighbours and active; of a tie, the first."""
        i, j = self._links
        beaten = torch.zeros(len(map_), dtype=torch.bool)
        loses = (map_[i] < map_[j]) | ((map_[i] == map_[j]) & (i > j))
        beaten[i[loses]] = True
        return (~beaten & (map_ > ACTIVE * map_.max())).nonzero()[:, 0]

    def f1(self, real: Tensor, found: Tensor) -> Tensor:
        """F1 of two maps' maxima under the best one-to-one matching within reach."""
        ours, theirs = self.maxima(found), self.maxima(real)
        if len(ours) == 0 or len(theirs) == 0:
            return torch.zeros((), dtype=torch.float64)
        near = (self._between[theirs][:, ours] <= REACH_MM).double()
        rows, columns = linear_sum_assignment(near.numpy(), maximize=True)
        hits = near[rows, columns].sum()
        return 2.0 * hits / (len(ours) + len(theirs))


def row_norms(x: Tensor) -> Tensor:
    """Norm over time of every row, float64, shape (n_batch, n_locations)."""
    return x.double().norm(dim=2)


def earth_mover(real: np.ndarray, found: np.ndarray, cost: np.ndarray) -> float:
    """Earth mover's distance between two maps, in the unit of the cost.

    Parameters
    ----------
    real, found : ndarray, shape (n_real,) and (n_found,)
        Not negative; normalised here. A map of zeros counts as uniform: it says nothing.
    cost : ndarray, shape (n_real, n_found)
    """
    ot = needed("ot")
    a, b = (map_ if map_.max() > 0 else np.ones_like(map_) for map_ in (real, found))
    rows, columns = (np.flatnonzero(map_ > SUPPORT * map_.max()) for map_ in (a, b))
    p, q = a[rows] / a[rows].sum(), b[columns] / b[columns].sum()
    block = np.ascontiguousarray(cost[np.ix_(rows, columns)])
    work = ot.emd2(p, q, block, numItermax=1_000_000, center_dual=False)
    return float(np.asarray(work))


def relative_error(truth: Tensor, estimate: Tensor) -> Tensor:
    """``|x - x^|^2 / |x|^2``, float64, shape (n_batch,)."""
    real = truth.double().flatten(1)
    return (real - estimate.double().flatten(1)).square().sum(1) / real.square().sum(1)


def course_correlation(truth: Tensor, estimate: Tensor, seeds: Tensor) -> Tensor:
    """Mean magnitude of the correlation of time courses at the seeds, shape (n_batch,).

    Parameters
    ----------
    truth, estimate : Tensor, shape (n_batch, n_locations, n_times)
    seeds : Tensor, shape (n_batch, n_patches), int64
        -1 is none.
    """
    if truth.shape[2] < 2:
        return torch.full((len(truth),), torch.nan, dtype=torch.float64)
    row = torch.arange(len(truth))[:, None]
    at = seeds.clamp_min(0)
    a, b = (x[row, at].double() for x in (truth, estimate))
    a, b = (x - x.mean(2, keepdim=True) for x in (a, b))
    size = a.norm(dim=2) * b.norm(dim=2)
    value = torch.where(size > 0, (a * b).sum(2).abs() / torch.where(size > 0, size, 1.0), 0.0)
    there = seeds >= 0
    return (value * there).sum(1) / there.sum(1)


def _links(leadfield: Leadfield) -> tuple[Tensor, Tensor]:
    """Neighbours in both directions."""
    i, j = leadfield.edges.T
    return torch.cat([i, j]), torch.cat([j, i])
