"""Localisation metrics: where the maximum lies, when, and how well the map is ranked and shaped.

All are computed per sample at the time ``t*`` at which the true source is strongest at its seed,
and none changes when an estimate is multiplied by a positive number.

Source: the evaluation of the MM-Net paper (Table I) and its public reference implementation.

What is not an estimate has a defined score. A value that is not finite is an error, never a score.
A map that is zero at ``t*`` localises nothing: it is scored as the expectation of a blind guess
(mean distance over the zone, mean difference over time, area 50) with a normalised map of zeros,
and counted in ``Scores.empty``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.forward.leadfield import MAX_DENSE, Leadfield
from majorant.problem import MajorantError
from majorant.randomness import takes_rng

ZONE_HOPS = 7
"""Mesh edges around the true seed within which the maximum is looked for (the paper's zone)."""

PSNR_FLOOR = 1e-12
"""Mean squared errors are raised to this, so that an exact estimate scores 120 dB, not infinity."""


@dataclass(frozen=True)
class Interval:
    """A mean over samples and its 95 % interval.

    Attributes
    ----------
    mean, low, high : float
        The interval is the percentile bootstrap of the mean: metrics are skewed, and a normal
        interval would reach below zero.
    n : int
        Samples.
    """

    mean: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Scores:
    """Metrics of a batch, every one of shape (n_batch,), float64.

    Attributes
    ----------
    le : Tensor
        Localisation error, mm: from the true seed to the maximum within the zone.
    le_cortex : Tensor
        The same with the maximum over the whole cortex, mm.
    te : Tensor
        Time error, ms: between the peaks at the true seed and at the maximum within the zone.
    nmse : Tensor
        Mean squared difference of the two maps at ``t*``, each divided by its largest magnitude.
    psnr : Tensor
        Peak signal-to-noise ratio over space and time, dB, with the paper's range
        ``min(truth) - max(estimate)``.
    psnr_unit : Tensor
        The same with the range 1.
    auc : Tensor
        Area under the ROC curve at ``t*``, times 100.
    empty : Tensor, bool
        Estimates that are zero everywhere at ``t*``.
    """

    le: Tensor
    le_cortex: Tensor
    te: Tensor
    nmse: Tensor
    psnr: Tensor
    psnr_unit: Tensor
    auc: Tensor
    empty: Tensor

    @classmethod
    def cat(cls, parts: Sequence[Scores]) -> Scores:
        """Join batches."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    @takes_rng
    def summary(self, resamples: int = 2000, seed: int = 0) -> dict[str, Interval]:
        """Return mean and 95 % interval of every metric, by name.

        Parameters
        ----------
        resamples : int
            Bootstrap resamples of the samples; all metrics share them.
        seed : int
            Of the resampling.
        """
        names = [f.name for f in dataclasses.fields(self) if f.name != "empty"]
        values = torch.stack([getattr(self, name).cpu() for name in names], dim=1)
        return dict(zip(names, bootstrap(values, resamples, seed), strict=True))


@takes_rng
def bootstrap(values: Tensor, resamples: int = 2000, seed: int = 0) -> list[Interval]:
    """Return the mean of every column and its 95 % percentile bootstrap interval.

    Parameters
    ----------
    values : Tensor, shape (n_samples, n_columns)
    resamples : int
    seed : int
    """
    n = len(values)
    if n == 0:
        raise MajorantError("there are no samples to summarise; score at least one")
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randint(n, (resamples, n), generator=generator)
    means = torch.stack([column[chosen].mean(dim=1) for column in values.T], dim=1)
    edges = torch.quantile(means, torch.tensor([0.025, 0.975], dtype=means.dtype), dim=0)
    return [
        Interval(mean=m, low=low, high=high, n=n)
        for m, low, high in zip(values.mean(dim=0).tolist(), *edges.tolist(), strict=True)
    ]


class Localisation:
    """Judge of estimates on one source space.

    Parameters
    ----------
    leadfield : Leadfield
        Its positions (metres) and neighbours are used.
    sfreq : float
        Sampling rate of the estimates, Hz.
    zone_hops : int
        Radius of the zone, in mesh edges.
    """

    def __init__(self, leadfield: Leadfield, sfreq: float, zone_hops: int = ZONE_HOPS) -> None:
        if len(leadfield.edges) == 0:
            raise MajorantError(
                "the lead field has no edges, so there is no zone around a source; build it with "
                "edges=..."
            )
        self.leadfield, self.sfreq, self.zone_hops = leadfield, sfreq, zone_hops
        small = leadfield.n_locations <= MAX_DENSE
        self._near = leadfield.hops() <= zone_hops if small else None

    def zone(self, seed: Tensor) -> Tensor:
        """Return the locations in the zone of every seed, (n_batch, n_locations), bool."""
        if self._near is not None:
            return self._near[seed.cpu()].to(seed.device)
        hops = self.leadfield.hops(sources=seed.tolist())
        return (hops <= self.zone_hops).to(seed.device)

    def distance(self, seed: Tensor) -> Tensor:
        """Return the distance of all locations from every seed in mm, (n_batch, n_locations)."""
        positions = self.leadfield.positions.to(seed.device)
        return 1000.0 * (positions[None] - positions[seed][:, None]).norm(dim=2)

    def score(self, truth: Tensor, estimate: Tensor, seed: Tensor) -> Scores:
        """Judge a batch.

        Parameters
        ----------
        truth, estimate : Tensor, shape (n_batch, n_locations, n_times)
            In any unit, each its own.
        seed : Tensor, shape (n_batch,), int64
            The true seed.

        Raises
        ------
        MajorantError
            If shapes disagree, an estimate is not finite, or a truth is zero at its seed or
            nowhere zero at its peak.
        """
        self._check(truth, estimate, seed)
        truth, estimate = truth.detach(), estimate.detach()
        peak = at(truth, seed).abs().argmax(dim=1)
        true_map, map_ = (_column(x, peak).abs() for x in (truth, estimate))
        zone, distance = self.zone(seed), self.distance(seed)
        found, blind = _argmax_within(map_, zone)
        everywhere = torch.ones_like(zone)
        found_cortex, empty = _argmax_within(map_, everywhere)
        error = torch.where(blind, _mean_within(distance, zone), at(distance, found))
        error_cortex = torch.where(
            empty, _mean_within(distance, everywhere), at(distance, found_cortex)
        )
        psnr, psnr_unit = peak_snr(truth, estimate)
        return Scores(
            le=error.double(),
            le_cortex=error_cortex.double(),
            te=self._time_error(estimate, peak, found, blind),
            nmse=normalised_error(_column(truth, peak), _column(estimate, peak)),
            psnr=psnr,
            psnr_unit=psnr_unit,
            auc=100.0 * roc_area(true_map > 0, map_),
            empty=empty,
        )

    def _time_error(self, estimate: Tensor, peak: Tensor, found: Tensor, blind: Tensor) -> Tensor:
        later = at(estimate, found).abs().argmax(dim=1)
        times = torch.arange(estimate.shape[2], device=estimate.device)
        guess = (times[None] - peak[:, None]).abs().double().mean(dim=1)
        samples = torch.where(blind, guess, (later - peak).abs().double())
        return samples * (1000.0 / self.sfreq)

    def _check(self, truth: Tensor, estimate: Tensor, seed: Tensor) -> None:
        n = self.leadfield.n_locations
        if truth.shape != estimate.shape or truth.ndim != 3 or truth.shape[1] != n:
            raise MajorantError(
                f"truth and estimate have shapes {tuple(truth.shape)} and {tuple(estimate.shape)};"
                f" expected the same (batch, {n}, times) for both"
            )
        if tuple(seed.shape) != (len(truth),):
            raise MajorantError(
                f"seeds have shape {tuple(seed.shape)}; expected ({len(truth)},), one per sample"
            )
        bad = ~torch.isfinite(estimate).flatten(1).all(dim=1)
        if bool(bad.any()):
            raise MajorantError(
                f"the estimates of samples {bad.nonzero().flatten().tolist()[:8]} hold NaN or "
                "infinite values; a metric of them would mean nothing"
            )
        if not bool((at(truth, seed) != 0).any(dim=1).all()):
            raise MajorantError("a true source is zero at its seed; give the seed of the patch")


def at(x: Tensor, location: Tensor) -> Tensor:
    """Return row ``location[b]`` of sample b: shape (n_batch, ...)."""
    return x[torch.arange(len(x), device=x.device), location]


def _column(x: Tensor, time: Tensor) -> Tensor:
    """Return the map at ``time[b]`` of sample b, (n_batch, n_locations)."""
    return x[torch.arange(len(x), device=x.device), :, time]


def _argmax_within(map_: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the strongest location inside the mask, and whether all of it is zero."""
    strongest, where = torch.where(mask, map_, -1.0).max(dim=1)
    return where, strongest <= 0


def _mean_within(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, values, 0.0).sum(dim=1) / mask.sum(dim=1)


def _normalised(x: Tensor) -> Tensor:
    """Divide every sample by its largest magnitude, in float64; zero stays zero."""
    wide = x.double()
    largest = wide.flatten(1).abs().amax(dim=1).reshape(-1, *[1] * (x.ndim - 1))
    return wide / torch.where(largest > 0, largest, 1.0)


def normalised_error(truth: Tensor, estimate: Tensor) -> Tensor:
    """Return the mean squared difference of maps, each divided by its largest magnitude.

    Parameters
    ----------
    truth, estimate : Tensor, shape (n_batch, n_locations)
        Signed maps at one time. A map of zeros stays one.

    Returns
    -------
    Tensor, shape (n_batch,), float64
    """
    return (_normalised(truth) - _normalised(estimate)).square().mean(dim=1)


def peak_snr(truth: Tensor, estimate: Tensor) -> tuple[Tensor, Tensor]:
    """Return the peak signal-to-noise ratio over space and time, dB.

    ``10 log10(R^2 / MSE)`` of the two arrays divided by their largest magnitudes, for the paper's
    ``R = min(truth) - max(estimate)`` and for ``R = 1``. Both ``R^2`` and the error are raised to
    1e-12; for an estimate of zeros ``R`` is 1.

    Parameters
    ----------
    truth, estimate : Tensor, shape (n_batch, n_locations, n_times)

    Returns
    -------
    paper, unit : Tensor, shape (n_batch,), float64
    """
    a, b = _normalised(truth).flatten(1), _normalised(estimate).flatten(1)
    error = (a - b).square().mean(dim=1).clamp_min(PSNR_FLOOR)
    span = (a.amin(dim=1) - b.amax(dim=1)).square().clamp_min(PSNR_FLOOR)
    span = torch.where((b == 0).all(dim=1), 1.0, span)
    return 10.0 * torch.log10(span / error), -10.0 * torch.log10(error)


def roc_area(positive: Tensor, score: Tensor) -> Tensor:
    """Return the exact area under the ROC curve, equal scores counting one half.

    Parameters
    ----------
    positive : Tensor, shape (n_batch, n_locations), bool
        At least one of them true and one false in every sample.
    score : Tensor, shape (n_batch, n_locations)

    Returns
    -------
    Tensor, shape (n_batch,), float64
        The probability that a positive outranks a negative, in [0, 1].

    Raises
    ------
    MajorantError
        If a sample has no positive or no negative.
    """
    hits = positive.sum(dim=1)
    misses = positive.shape[1] - hits
    if not bool(((hits > 0) & (misses > 0)).all()):
        raise MajorantError(
            "a sample is active everywhere or nowhere at its peak; a ROC curve needs both classes"
        )
    ordered = score.sort(dim=1).values
    below = torch.searchsorted(ordered, score, right=False)
    up_to = torch.searchsorted(ordered, score, right=True)
    rank = (below + up_to + 1).double() / 2.0
    wins = torch.where(positive, rank, 0.0).sum(dim=1) - (hits * (hits + 1)).double() / 2.0
    return wins / (hits * misses).double()
