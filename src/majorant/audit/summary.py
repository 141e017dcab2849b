"""From the scores of single patches to what can be said: means with intervals, maps, tables.

Intervals are 95 % percentile bootstraps over patches; everything shares the resamples, so that
differences between solvers, caps and levels are paired. A map's value at a location is the mean of
the patches around it, weighted by a Gaussian of the distance along the cortex that is as wide as
takes in the sixth nearest of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.atlas.gyri import LOBE_OF
from majorant.audit.cap import Cap
from majorant.audit.heads import AuditHead
from majorant.audit.jobs import AuditJob
from majorant.audit.judge import METRICS
from majorant.audit.regions import Expected
from majorant.audit.settings import AuditSettings

__all__ = [
    "Audit",
    "Change",
    "Estimate",
    "Group",
    "averaged",
    "cortex_maps",
    "resampled",
    "shared",
]

RESAMPLES, MAP_RESAMPLES = 2000, 300
NEIGHBOURS, NARROWEST_MM = 6, 10.0
ENOUGH = 5
"""Patches below which nothing is said of a place."""
ERROR, MISSED, FALSE = range(3)


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval of a difference leaves zero out."""
        return self.low > 0 or self.high < 0


def resampled(seed: int, n: int) -> NDArray[np.float64]:
    """How often each of n patches is drawn in every resample, (n_resamples, n)."""
    generator = np.random.default_rng([seed, 3])
    return generator.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float)


def averaged(counts: NDArray[np.float64], values: NDArray[np.float64]) -> Estimate:
    """Mean of patches and its interval, by how often each was drawn."""
    total = counts.sum(axis=1)
    means = (counts @ values)[total > 0] / total[total > 0]
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(values.mean()), float(low), float(high))


def shared(errors: NDArray[np.float64], goal: float) -> Estimate:
    """Share of patches found within a goal in mm, %, with Wilson's 95 % interval.

    A bootstrap would call it certain wherever all were found, or none.
    """
    found = errors <= goal
    n, p, z = len(found), float(found.mean()), 1.96
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    return Estimate(100.0 * p, 100.0 * float(low), 100.0 * float(high))


@dataclass(frozen=True, eq=False)
class Group:
    """Some of the patches: a lobe, a third of the depths, or a gyrus of either side.

    Attributes
    ----------
    kind : {"lobe", "depth", "all", "gyrus"}
    name : str
    rows : array of bool, shape (n_patches,)
    """

    kind: str
    name: str
    rows: NDArray[np.bool_]

    @property
    def enough(self) -> bool:
        """Whether there are patches enough to speak of them."""
        return int(self.rows.sum()) >= ENOUGH


@dataclass(frozen=True)
class Change:
    """What another cap or another number of trials would give, on the same patches.

    Attributes
    ----------
    job : AuditJob
    error, within : Estimate
        There: mm, and share found within the goal, %.
    error_gain, within_gain : Estimate
        Paired difference from the audited cap, mm and percentage points; negative errors and
        positive shares are gains.
    """

    job: AuditJob
    error: Estimate
    within: Estimate
    error_gain: Estimate
    within_gain: Estimate


@dataclass(frozen=True, eq=False)
class Audit:
    """Everything that an audit found.

    Attributes
    ----------
    settings : AuditSettings
    cap : Cap
    head : AuditHead
    jobs : tuple of AuditJob
    solvers : tuple of str
    left_out : mapping
        Solvers that could not be used, and why.
    locations : array, shape (n_patches,)
        Where the patches lie.
    visible_db : array, shape (n_locations,)
        Signal-to-noise ratio of a patch there, above that of the median place.
    scores : mapping
        By job and solver: (n_levels, n_patches, 3).
    decisions : tuple of str
    regions : mapping
        By solver how large regions are, where that was asked for.
    """

    settings: AuditSettings
    cap: Cap
    head: AuditHead
    jobs: tuple[AuditJob, ...]
    solvers: tuple[str, ...]
    left_out: Mapping[str, str]
    locations: NDArray[np.int64]
    visible_db: NDArray[np.float64]
    scores: Mapping[str, Mapping[str, NDArray[np.float64]]]
    decisions: tuple[str, ...]
    regions: Mapping[str, tuple[Expected, ...]] = field(default_factory=dict)

    @cached_property
    def _counts(self) -> NDArray[np.float64]:
        """How often every patch is drawn in every resample, (n_resamples, n_patches)."""
        return resampled(self.settings.seed, len(self.locations))

    @property
    def level(self) -> float:
        """The signal-to-noise ratio that the audit speaks of, dB."""
        return self.settings.snr_levels[self.settings.planning]

    def values(self, solver: str, job: str = "audit", level: int | None = None) -> NDArray[Any]:
        """Scores of every patch at a level, (n_patches, 3)."""
        found = self.scores[job][solver]
        if level is None:
            level = self.settings.planning if job == "audit" else 0
        return found[level]

    def within(self, errors: NDArray[np.float64]) -> NDArray[np.float64]:
        """100 where a patch was found within the goal, else 0."""
        return np.where(errors <= self.settings.goal, 100.0, 0.0)

    def overlap(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of all cortex that is in the patch or marked, the share that is both, %, (n_patches,)."""
        area = self.settings.extent
        both = area * (1.0 - scores[:, MISSED] / 100.0)
        return np.asarray(100.0 * both / (area + scores[:, FALSE]), dtype=np.float64)

    def estimate(
        self, values: NDArray[np.float64], rows: NDArray[np.bool_] | None = None
    ) -> Estimate:
        """Mean over the first patches (or some of them) and its interval.

        Parameters
        ----------
        values : array, shape (n,)
            Of the first `n` patches.
        rows : array of bool, shape (n,), optional
            Which of them.
        """
        counts = self._counts[:, : len(values)]
        if rows is not None:
            counts, values = counts[:, rows], values[rows]
        return averaged(counts, values)

    def share(self, errors: NDArray[np.float64], rows: NDArray[np.bool_] | None = None) -> Estimate:
        """Share of patches found within the goal, %; see :func:`shared`."""
        return shared(errors if rows is None else errors[rows], self.settings.goal)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """All patches, those of every lobe, every third of the depths, and every gyrus."""
        lobes = np.array(self.head.lobes)[self.locations]
        depth = self.head.depth[self.locations]
        edges = np.quantile(self.head.depth, [1 / 3, 2 / 3])
        third = np.searchsorted(edges, depth)
        gyrus = np.array(self.head.regions)[self.locations]
        found = [Group("all", "whole cortex", np.ones(len(lobes), bool))]
        found += [Group("lobe", name, lobes == name) for name in dict.fromkeys(LOBE_OF.values())]
        words = (
            f"shallow third (to {edges[0]:.0f} mm)",
            f"middle third ({edges[0]:.0f} to {edges[1]:.0f} mm)",
            f"deep third (from {edges[1]:.0f} mm)",
        )
        found += [Group("depth", words[i], third == i) for i in range(3)]
        found += [Group("gyrus", name, gyrus == name) for name in LOBE_OF]
        return tuple(group for group in found if group.rows.any())

    def ranked(self) -> tuple[str, ...]:
        """Solvers, the smallest error at the level spoken of first."""
        return tuple(sorted(self.solvers, key=lambda s: self.values(s)[:, ERROR].mean()))

    def against(self, one: str, other: str) -> Estimate:
        """Paired difference of the errors of two solvers, mm."""
        return self.estimate(self.values(one)[:, ERROR] - self.values(other)[:, ERROR])

    def changes(self, solver: str) -> tuple[Change, ...]:
        """What other caps and more trials would give a solver."""
        base = self.values(solver)[:, ERROR]
        found = []
        for job in self.jobs[1:]:
            error = self.values(solver, job.key)[:, ERROR]
            same = base[: len(error)]
            found.append(
                Change(
                    job,
                    self.estimate(error),
                    self.share(error),
                    self.estimate(error - same),
                    self.estimate(self.within(error) - self.within(same)),
                )
            )
        return tuple(found)

    def curve(self, solver: str, metric: int) -> tuple[Estimate, ...]:
        """A metric at every level."""
        levels = range(len(self.settings.snr_levels))
        return tuple(self.estimate(self.values(solver, level=i)[:, metric]) for i in levels)

    def record(
        self, solver: str, level: int, rows: NDArray[np.bool_] | None = None
    ) -> dict[str, Any]:
        """Every number of a solver at a level, as plain values."""
        scores = self.values(solver, level=level)
        found = {m.key: asdict(self.estimate(scores[:, i], rows)) for i, m in enumerate(METRICS)}
        found["within"] = asdict(self.share(scores[:, ERROR], rows))
        found["overlap"] = asdict(self.estimate(self.overlap(scores), rows))
        return found


def cortex_maps(audit: Audit, solver: str) -> NDArray[np.float64]:
    """Expected scores all over the cortex.

    Returns
    -------
    array, shape (n_levels, 3, 3, n_locations)
        By level, metric, and (mean, lower end, upper end).
    """
    scores = audit.scores["audit"][solver]
    n_levels, n, n_metrics = scores.shape
    flat = scores.transpose(1, 0, 2).reshape(n, -1)
    weights = _weights(audit.head.near[:, audit.locations])
    counts = audit._counts[:MAP_RESAMPLES]
    mean = (weights @ flat) / weights.sum(axis=1, keepdims=True)
    draws = np.empty((len(counts), len(weights), flat.shape[1]), dtype=np.float32)
    for draw, count in zip(draws, counts, strict=True):
        own = weights * count
        total = own.sum(axis=1, keepdims=True)
        draw[:] = np.where(total > 1e-9, (own @ flat) / np.maximum(total, 1e-9), mean)
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    stacked = np.stack([mean, low, high])
    return stacked.reshape(3, len(weights), n_levels, n_metrics).transpose(2, 3, 0, 1)


def _weights(near: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights of the patches at every location, (n_locations, n_patches)."""
    k = min(NEIGHBOURS, near.shape[1]) - 1
    sixth = np.partition(near, k, axis=1)[:, k]
    # Where fewer can be reached along the cortex, all of these count; where none can, all do.
    reached = np.where(np.isfinite(near), near, 0.0).max(axis=1)
    width = np.maximum(np.where(np.isfinite(sixth), sixth, reached), NARROWEST_MM)[:, None]
    weights = np.exp(-0.5 * (1.5 * near / width) ** 2)
    return np.where(weights.sum(axis=1, keepdims=True) > 0, weights, 1.0)
