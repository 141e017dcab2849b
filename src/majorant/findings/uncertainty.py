"""How far an estimate can be trusted: one standard deviation for every location.

| solver | standard deviation |
|---|---|
| linear; LCMV with its kernel held | of the noise that the kernel ``K`` lets through: ``K K'`` |
| sparse Bayesian, scan | of the posterior, widened by what simulations say was missed |
| any, resampled noise | of estimates from what the estimate predicts, plus noise drawn anew |
| any, resampled trials | of estimates from averages of trials drawn with replacement |

Data and lead field are whitened, so that noise has unit covariance. Where a location has three
columns the deviation is that of the length of its vector to first order: ``u' S u`` with the
covariance ``S`` of the columns and the direction ``u`` of the vector.

**What noise alone reaches.** If the data are noise, ``|v|^2 / u' S u <= v' S^-1 v`` (Cauchy and
Schwarz), which is chi-squared with as many degrees as columns. By Bonferroni's inequality the
ratio of length and deviation therefore exceeds the square root of the quantile at
``1 - 0.05 / (n_locations n_times)`` anywhere in one recording of twenty at most. With deviations
from draws the quantile is that of Hotelling's statistic.

None of these says anything of the errors that the solver itself makes (its bias, a template head,
what its prior rules out); docs/uncertainty.md measures what is covered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv, chdtri
from torch import Tensor

from majorant.findings.facts import Uncertainty

__all__ = ["Vectors", "from_draws", "from_kernel", "from_posterior", "noise_like", "reached"]

ERROR = 0.05
"""Share of recordings of noise in which anything may exceed what noise reaches."""
FEWEST_DRAWS = 10
"""Degrees of freedom below which draws do not say what noise reaches."""


@dataclass(frozen=True)
class Vectors:
    """Columns of an estimate as vectors at locations.

    Attributes
    ----------
    columns : Tensor, shape (n_locations, n_orient, n_times)
    """

    columns: Tensor

    @classmethod
    def of(cls, estimate: Tensor, n_orient: int) -> Vectors:
        """Group the columns (n_columns, n_times) of each location."""
        return cls(estimate.unflatten(0, (-1, n_orient)))

    def along(self, covariance: Tensor) -> NDArray[np.float64]:
        """Standard deviation of the length or signed value, shape (n_locations, n_times or 1).

        Parameters
        ----------
        covariance : Tensor, shape (n_locations, n_orient, n_orient) or (n_locations, n_orient)
            Of the columns; variances where they are independent.
        """
        n_orient, apart = self.columns.shape[1], covariance.ndim == 2
        if n_orient == 1:
            return covariance.flatten(1).clamp_min(0).sqrt().numpy()
        if apart:
            spread = (covariance[:, None] @ self._squares).squeeze(1)
        else:
            spread = (self.columns * (covariance @ self.columns)).sum(1)
        # Without a direction every one is as likely: the mean variance of the columns.
        even = covariance.flatten(1).sum(1, keepdim=True) / n_orient
        spread = torch.where(self._power > 0, spread / self._power, even)
        return spread.clamp_min(0).sqrt().numpy()

    @cached_property
    def _squares(self) -> Tensor:
        return self.columns.square()

    @cached_property
    def _power(self) -> Tensor:
        return self._squares.sum(1)


def from_kernel(kernel: Tensor, estimate: Tensor, n_orient: int) -> Uncertainty:
    """The noise that a linear solver lets through.

    Parameters
    ----------
    kernel : Tensor, shape (n_columns, rank)
        On whitened data.
    estimate : Tensor, shape (n_columns, n_times)
    n_orient : int
        Columns per location.
    """
    rows = kernel.double().unflatten(0, (-1, n_orient))
    deviation = Vectors.of(estimate.double(), n_orient).along(rows @ rows.mT)
    how = (
        "The standard deviation is that of the noise which the solver lets through, from the noise "
        "covariance in closed form: how much the estimate would differ in a repetition. It says "
        "nothing of the solver’s own blur and bias."
    )
    limit = reached(len(rows), estimate.shape[1], n_orient)
    return Uncertainty(deviation, "standard deviation from noise", how, limit)


def from_posterior(
    variance: Tensor,
    estimate: Tensor,
    n_orient: int,
    floor: Tensor | None = None,
    noise: tuple[Tensor, bool] | None = None,
) -> Uncertainty:
    """The posterior deviation of a Bayesian solver.

    Parameters
    ----------
    variance : Tensor, shape (n_columns,)
        Posterior variance, the same at all times.
    estimate : Tensor, shape (n_columns, n_times)
    n_orient : int
    floor : Tensor, optional, shape (n_columns,)
        What of it was added, so that intervals hold what the solver missed, too.
    noise : (Tensor, bool), optional
        What noise alone gives the estimate, (n_columns,), and whether the data as a whole say that
        there is a source, which they do of noise in one recording of twenty at most: then the
        noise of one place is asked about at all times, else that of every place.
    """
    vectors = Vectors.of(estimate.double(), n_orient)

    def along(columns: Tensor) -> NDArray[np.float64]:
        return vectors.along(columns.double().unflatten(0, (-1, n_orient)))

    made = Uncertainty(along(variance), "posterior standard deviation", _of_posterior(floor, noise))
    if floor is not None:
        made = replace(made, plain=along((variance - floor).clamp_min(0.0)))
    if noise is None:
        return made
    deviation, surely = noise
    places = 1 if surely else len(vectors.columns)
    limit = reached(places, estimate.shape[1], n_orient)
    return replace(made, noise=along(deviation), reached=limit)


def _of_posterior(floor: Tensor | None, noise: tuple[Tensor, bool] | None) -> str:
    """Where a posterior deviation comes from and what it leaves out."""
    if floor is not None:
        than = "the posterior alone" if noise is None else "what noise alone gives the estimate"
        return (
            "The standard deviation is that of the posterior, widened by what the solver missed in "
            "simulations on other heads: there, intervals of 90 % held nine tenths of the true "
            "currents at places that were active, and less of those of a single point. Whether "
            f"there is a source is another question: peaks are compared with {than}."
        )
    if noise is not None:
        return (
            "The standard deviation is that of the posterior, which is also over where sources "
            "are. Whether there is one is another question: peaks are compared with what noise "
            "alone gives the estimate."
        )
    return (
        "The standard deviation is that of the posterior, given the variances that the solver has "
        "learned. Locations that it has switched off have almost none, though it may be wrong "
        "about them: the band holds where a source is, not whether one is there."
    )


def from_draws(
    values: NDArray[np.float64],
    draws: Iterable[NDArray[np.float64]],
    n_orient: int = 1,
    trials: int | None = None,
) -> Uncertainty:
    """The root mean square difference between an estimate and estimates from resampled data.

    Parameters
    ----------
    values : array, shape (n_locations, n_times)
        The estimate.
    draws : iterable of array, shape (n_locations, n_times)
        Estimates from resampled data.
    n_orient : int
        Columns per location.
    trials : int, optional
        How many trials were resampled; None where noise was.
    """
    total, n = np.zeros_like(values), 0
    for drawn in draws:
        total += (drawn - values) ** 2
        n += 1
    deviation = np.sqrt(total / max(n, 1))
    if trials is None:
        how = (
            f"The standard deviation is that of {n} estimates of what this estimate predicts plus "
            "noise drawn anew, at the level of the noise covariance and with the spectrum of the "
            "residuals. A start that is computed from the data is drawn with them."
        )
        return Uncertainty(deviation, "standard deviation over resampled noise", how, draws=n)
    how = (
        f"The standard deviation is that of {n} estimates from averages of {trials} trials drawn "
        "with replacement: how much the estimate would differ with other trials. It says nothing "
        "of the solver’s own blur and bias."
    )
    n_locations, n_times = values.shape
    limit = _reached_by_trials(n_locations, n_times, n_orient, min(n, trials) - 1)
    return Uncertainty(deviation, "standard deviation over trials", how, limit, n)


def reached(n_locations: int, n_times: int, n_orient: int) -> float:
    """What the ratio of estimate and deviation stays below if the data are noise."""
    tail = ERROR / (n_locations * n_times)
    return float(np.sqrt(chdtri(n_orient, tail)))


def _reached_by_trials(n_locations: int, n_times: int, n_orient: int, degrees: int) -> float | None:
    """The same with deviations over trials; None with too few to tell."""
    if degrees < FEWEST_DRAWS + n_orient:
        return None
    tail, rest = ERROR / (n_locations * n_times), degrees - n_orient + 1
    # The quantile of F, by the beta function: scipy.stats takes a second to import.
    left = float(betaincinv(rest / 2.0, n_orient / 2.0, tail))
    return float(np.sqrt(degrees * (1.0 / left - 1.0)))


def noise_like(residual: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """Draw noise of unit variance, independent over whitened sensors, with the residuals' spectrum.

    Residuals themselves are not resampled: a solver has taken out of them just the directions in
    which it found sources.

    Parameters
    ----------
    residual : Tensor, shape (rank, n_times)
    n : int
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (n, rank, n_times), float64
    """
    n_times = residual.shape[1]
    white = torch.randn((n, *residual.shape), generator=generator, dtype=torch.float64)
    power = torch.fft.rfft(residual.double()).abs().square().mean(0)
    if n_times < 3 or not bool(power.sum() > 0):
        return white
    # All but the ends of a real spectrum stand for two frequencies.
    weight = torch.full_like(power, 2.0)
    weight[0] = 1.0
    if n_times % 2 == 0:
        weight[-1] = 1.0
    power = power * n_times / (weight * power).sum()
    return torch.fft.irfft(torch.fft.rfft(white) * power.sqrt(), n=n_times)
