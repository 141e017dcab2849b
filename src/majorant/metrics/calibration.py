"""Is the uncertainty honest: coverage of posterior intervals, and recovery of the noise.

A posterior interval at level ``p`` should hold the truth a share ``p`` of the time. Sparse Bayesian
learning fixes the prior variance of every location from the data, and locations that it switches
off have an interval of almost no width, so coverage is reported over all locations and over active
ones apart. A recalibration, fitted on other data, is one factor on all standard deviations; floors
are those of :mod:`majorant.solvers.floors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from majorant.problem import MajorantError


@dataclass(frozen=True)
class Recalibration:
    """A factor on standard deviations.

    Attributes
    ----------
    factor : float
    level : float
        The level it was fitted at.
    n : int
        Values it was fitted on.
    """

    factor: float
    level: float
    n: int


def covered(
    truth: Tensor, mean: Tensor, variance: Tensor, level: float = 0.9, factor: float = 1.0
) -> Tensor:
    """Say which values lie in their central posterior interval.

    Parameters
    ----------
    truth, mean : Tensor, shape (n_batch, n_locations, n_times)
        A m.
    variance : Tensor, shape (n_batch, n_locations)
        Posterior variance, the same at all times.
    level : float
        Probability of the interval, in (0, 1).
    factor : float
        On the standard deviation.

    Returns
    -------
    Tensor, shape (n_batch, n_locations, n_times), bool
    """
    return _in_deviations(truth, mean, variance) <= factor * _width(level)


def coverage(
    truth: Tensor,
    mean: Tensor,
    variance: Tensor,
    level: float = 0.9,
    factor: float = 1.0,
    where: Tensor | None = None,
) -> float:
    """Share of values that lie in their interval.

    Parameters
    ----------
    where : Tensor or None, shape (n_batch, n_locations), bool
        Locations that count; all of them by default. The others are as in :func:`covered`.

    Raises
    ------
    MajorantError
        If nothing counts.
    """
    inside = covered(truth, mean, variance, level, factor)
    chosen = inside if where is None else inside[where]
    if chosen.numel() == 0:
        raise MajorantError("no location counts, so there is no coverage; mark at least one")
    return float(chosen.double().mean())


def coverage_by_thirds(
    truth: Tensor,
    mean: Tensor,
    variance: Tensor,
    depth: Tensor,
    level: float = 0.9,
    factor: float = 1.0,
    where: Tensor | None = None,
) -> tuple[float, float, float]:
    """Coverage in each third of depth, shallow first.

    Parameters
    ----------
    depth : Tensor, shape (n_locations,)
        Any number that grows with depth: minus the norm of the column, for instance.
    """
    order = depth.argsort(stable=True)
    shares = []
    for third in order.tensor_split(3):
        mask = torch.zeros(len(depth), dtype=torch.bool)
        mask[third] = True
        chosen = mask.expand(len(truth), -1) if where is None else where & mask
        shares.append(coverage(truth, mean, variance, level, factor, chosen))
    return shares[0], shares[1], shares[2]


def recalibrate(
    truth: Tensor,
    mean: Tensor,
    variance: Tensor,
    level: float = 0.9,
    where: Tensor | None = None,
) -> Recalibration:
    """Fit the factor that makes intervals cover at their level, on data kept for it.

    Parameters
    ----------
    where : Tensor or None, shape (n_batch, n_locations), bool
        Locations that count.
    """
    ratio = _in_deviations(truth, mean, variance)
    chosen = (ratio if where is None else ratio[where]).flatten()
    if len(chosen) == 0:
        raise MajorantError("no location counts, so nothing can be fitted; mark at least one")
    rank = min(int(level * len(chosen)), len(chosen) - 1)
    factor = float(chosen.sort().values[rank]) / _width(level)
    return Recalibration(factor=factor, level=level, n=len(chosen))


def log_correlation(truth: Tensor, estimate: Tensor) -> Tensor:
    """Correlation over sensors of the logarithms of noise variances, shape (n_batch,), float64.

    Parameters
    ----------
    truth, estimate : Tensor, shape (n_batch, n_sensors)
        Positive. A flat estimate scores 0.
    """
    a, b = (x.double().log() for x in (truth, estimate))
    a, b = (x - x.mean(1, keepdim=True) for x in (a, b))
    size = a.norm(dim=1) * b.norm(dim=1)
    return torch.where(size > 1e-12, (a * b).sum(1) / size.clamp_min(1e-12), 0.0)


def _width(level: float) -> float:
    """Half the width of a central interval, in standard deviations."""
    if not 0.0 < level < 1.0:
        raise MajorantError(f"an interval of level {level} is not possible; give one in (0, 1)")
    return NormalDist().inv_cdf(0.5 + level / 2.0)


def _in_deviations(truth: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """``|truth - mean|`` in standard deviations; 0 / 0 is 0."""
    miss = (truth - mean).double().abs()
    deviation = variance.double().clamp_min(0).sqrt()[:, :, None].expand_as(miss)
    exact = miss == 0
    return torch.where(exact, 0.0, miss / torch.where(exact, 1.0, deviation))
