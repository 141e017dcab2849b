"""How strongly to regularise: generalised cross-validation, or the evidence.

Both look at whitened data through the eigenvectors of ``G = L R L'``, the covariance that the
source prior gives the sensors, scaled so that its mean eigenvalue is one. Then ``snr`` is what its
name says: the data of the model have covariance ``snr^2 G + I``, and ``lambda^2 = 1 / snr^2``. With
``s_i`` the eigenvalues of ``G`` and ``p_i`` the power of the data along its eigenvectors,

- generalised cross-validation minimises ``sum_i f_i^2 p_i / (sum_i f_i)^2``,
  ``f_i = lambda^2 / (s_i + lambda^2)`` (Golub, Heath & Wahba, Technometrics 21, 1979, eq. 1.4). It
  does not ask how large the noise is;
- the evidence minimises ``sum_i log(1 + snr^2 s_i) + p_i / (1 + snr^2 s_i)`` (MacKay, Neural
  Comput 4, 1992, in the basis of ``G``). It takes the noise covariance at its word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from majorant.linalg import ENERGY_DTYPE
from majorant.problem import MajorantError

__all__ = ["SNR_RANGE", "Choice", "choose_snr"]

Choice = Literal["gcv", "evidence"]

SNR_RANGE = (0.05, 50.0)
"""Ratios of amplitudes that are considered."""


def choose_snr(gain: Tensor, prior: Tensor, moment: Tensor, how: Choice) -> float:
    """Choose the signal-to-noise ratio for data of a given second moment.

    Parameters
    ----------
    gain : Tensor, shape (rank, n_columns)
        Lead field, whitened.
    prior : Tensor, shape (n_columns,)
        Relative prior variances.
    moment : Tensor, shape (rank, rank)
        ``y y' / n_times`` of the whitened data.
    how : {"gcv", "evidence"}

    Returns
    -------
    float
        Within :data:`SNR_RANGE`; its lower end for data that are zero.

    Raises
    ------
    MajorantError
        If there is no such rule, or no sensor sees any source.
    """
    if how not in get_args(Choice):
        raise MajorantError(
            f"snr is {how!r}; expected a positive ratio of amplitudes, or one of "
            f"{', '.join(get_args(Choice))}"
        )
    gain, prior = gain.to(ENERGY_DTYPE), prior.to(ENERGY_DTYPE)
    covariance = (gain * prior) @ gain.mT
    trace = covariance.diagonal().sum()
    if not bool(trace > 0):
        raise MajorantError(
            "the lead field, weighted by the source prior, is zero: no sensor sees any source"
        )
    values, vectors = torch.linalg.eigh(covariance * (len(covariance) / trace))
    values = values.clamp_min(0)
    power = (vectors * (moment.to(ENERGY_DTYPE) @ vectors)).sum(0).clamp_min(0)
    if not bool(power.sum() > 0):
        return SNR_RANGE[0]
    score = _cross_validation if how == "gcv" else _evidence
    return _lowest(lambda snr: score(snr, values, power))


def _cross_validation(snr: Tensor, values: Tensor, power: Tensor) -> Tensor:
    """The score of every ratio, shape (n,)."""
    lambda2 = snr[:, None] ** -2
    left = lambda2 / (values + lambda2)
    return (left.square() * power).sum(1) / left.sum(1).square()


def _evidence(snr: Tensor, values: Tensor, power: Tensor) -> Tensor:
    """Minus twice the log evidence per time point, up to a constant, shape (n,)."""
    variance = 1.0 + snr[:, None] ** 2 * values
    return (variance.log() + power / variance).sum(1)


def _lowest(score: Callable[[Tensor], Tensor], rounds: int = 4, points: int = 65) -> float:
    """The minimiser on a logarithmic grid that is drawn finer around it, again and again."""
    low, high = (torch.tensor(end, dtype=ENERGY_DTYPE).log() for end in SNR_RANGE)
    best = low
    for _ in range(rounds):
        grid = low + (high - low) * torch.linspace(0, 1, points, dtype=ENERGY_DTYPE)
        k = int(score(grid.exp()).argmin())
        best, low, high = grid[k], grid[max(k - 1, 0)], grid[min(k + 1, points - 1)]
    return float(best.exp())
