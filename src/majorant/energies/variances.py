"""Variances as the state of Type-II learning: of sources and of noise, held as logarithms.

Every rule of this family multiplies a variance by a positive number, so the state holds
logarithms and a rule adds to them (:func:`update`). The classical rules and the learned ones call
the same function, so a network without corrections repeats its classical parent bit for bit.

Where a location has a full 3 x 3 covariance, or the noise a full matrix, the part is a
:class:`Covariance` instead. Both kinds of part know the piece of the convex bound that belongs to
them (``majorants/evidence.py``): with ``z`` the derivative of the log-determinant and ``a`` minus
the derivative of the data fit, a variance that goes from ``v`` to ``rho v`` changes the evidence
cost by at most ``v (rho - 1)(z - a / rho)``, and a covariance from ``V`` to ``V'`` by at most
``tr(Z (V' - V)) + tr(V'^-1 V A V) - tr(A V)``.

Source: convex bounding as in Wipf et al. (2010) and Cai et al. (2021); the geometric mean of full
covariances as in Hashemi et al. (2021), arXiv:2107.10859 ("FUN learning").
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from majorant.energies.base import State
from majorant.linalg import ENERGY_DTYPE, geometric_mean, psd_part


def log_ratio(a: Tensor, z: Tensor) -> Tensor:
    """``log q = log(a / z)``; 0 where both vanish, as for a column of zeros."""
    tiny = torch.finfo(a.dtype).tiny
    return a.clamp_min(tiny).log() - z.clamp_min(tiny).log()


def update(
    log_variance: Tensor,
    log_q: Tensor,
    share: float | Tensor = 0.5,
    correction: Tensor | None = None,
) -> Tensor:
    """Add a share of ``log q`` to logarithms of variances: the one update of this family.

    Parameters
    ----------
    log_variance, log_q : Tensor, shape (n_batch, n)
    share : float or Tensor
        0.5 is convex bounding, 1 is MacKay; any share between 0 and 1 cannot raise the evidence
        cost.
    correction : Tensor or None, shape (n_batch, n)
        Added last, so that zeros change nothing.

    Returns
    -------
    Tensor, shape (n_batch, n)
    """
    moved = log_variance + share * log_q
    return moved if correction is None else moved + correction


class Part(ABC):
    """The variances of the sources, or those of the noise; immutable, per sample."""

    @abstractmethod
    def finite(self) -> Tensor:
        """Which samples are finite, bool, shape (n_batch,)."""

    @abstractmethod
    def where(self, chosen: Tensor, other: Self) -> Self:
        """Take the samples in ``chosen`` (n_batch,) from here and the rest from ``other``."""

    @abstractmethod
    def toward(self, target: Self, fraction: float) -> Self:
        """Go part of the way; the bound is convex along the way."""

    @abstractmethod
    def within(self, origin: Self, low: Tensor, high: Tensor) -> Self:
        """Clip to the box ``[low, high]`` (logarithms, (n_batch, 1)), widened to ``origin``."""

    @abstractmethod
    def change(self, proposed: Self, z: Tensor, a: Tensor) -> Tensor:
        """Upper bound of the change of the cost, float64, shape (n_batch,)."""

    @abstractmethod
    def slope(self, proposed: Self, z: Tensor, a: Tensor) -> Tensor:
        """Change of the cost to first order, float64, shape (n_batch,)."""

    @abstractmethod
    def bounding(self, z: Tensor, a: Tensor) -> Self:
        """The minimiser of :meth:`change`: the convex-bounding rule."""

    @abstractmethod
    def gradient(self, z: Tensor, a: Tensor) -> Self:
        """Gradient of the cost with respect to what this part holds."""


@dataclass(frozen=True)
class LogVariance(Part):
    """Variances held as logarithms.

    Attributes
    ----------
    log : Tensor, shape (n_batch, n)
        Natural logarithm of the variances; ``n`` is 1 where one number serves all.
    """

    log: Tensor

    def finite(self) -> Tensor:
        """Which samples are finite, bool, shape (n_batch,): their sum says it."""
        return torch.isfinite(self.log.sum(1))

    def where(self, chosen: Tensor, other: LogVariance) -> LogVariance:
        """Take the samples in ``chosen`` from here and the rest from ``other``."""
        return LogVariance(torch.where(chosen[:, None], self.log, other.log))

    def toward(self, target: LogVariance, fraction: float) -> LogVariance:
        """Go part of the way in logarithms."""
        return LogVariance(self.log + fraction * (target.log - self.log))

    def within(self, origin: LogVariance, low: Tensor, high: Tensor) -> LogVariance:
        """Clip to the box, widened where ``origin`` lies outside."""
        bottom, top = torch.minimum(origin.log, low), torch.maximum(origin.log, high)
        return LogVariance(self.log.maximum(bottom).minimum(top))

    def change(self, proposed: LogVariance, z: Tensor, a: Tensor) -> Tensor:
        """``sum v (z (e^d - 1) + a (e^-d - 1))`` with ``d`` the step in logarithms."""
        step = (proposed.log - self.log).to(ENERGY_DTYPE)
        variance = self.log.to(ENERGY_DTYPE).exp()
        return (variance * (z * torch.expm1(step) + a * torch.expm1(-step))).sum(1)

    def slope(self, proposed: LogVariance, z: Tensor, a: Tensor) -> Tensor:
        """``sum v (z - a) d`` with ``d`` the step in logarithms."""
        step = (proposed.log - self.log).to(ENERGY_DTYPE)
        return (self.log.to(ENERGY_DTYPE).exp() * (z - a) * step).sum(1)

    def bounding(self, z: Tensor, a: Tensor) -> LogVariance:
        """``v sqrt(a / z)``."""
        return LogVariance(update(self.log, log_ratio(a, z)))

    def gradient(self, z: Tensor, a: Tensor) -> LogVariance:
        """``v (z - a)``: with respect to the logarithm."""
        return LogVariance(self.log.exp() * (z - a))


@dataclass(frozen=True)
class Covariance(Part):
    """Full covariances: one 3 x 3 block per location, or one matrix of the sensors.

    Attributes
    ----------
    matrix : Tensor, shape (n_batch, n, d, d), float64
        Positive semi-definite; ``n`` is 1 and ``d`` the number of sensors for noise.
    """

    matrix: Tensor

    def finite(self) -> Tensor:
        """Which samples are finite, bool, shape (n_batch,)."""
        return torch.isfinite(self.matrix).flatten(1).all(1)

    def where(self, chosen: Tensor, other: Covariance) -> Covariance:
        """Take the samples in ``chosen`` from here and the rest from ``other``."""
        return Covariance(torch.where(chosen[:, None, None, None], self.matrix, other.matrix))

    def toward(self, target: Covariance, fraction: float) -> Covariance:
        """Go part of the straight line; both ends and what lies between are semi-definite."""
        return Covariance(self.matrix + fraction * (target.matrix - self.matrix))

    def within(self, origin: Covariance, low: Tensor, high: Tensor) -> Covariance:
        """Drop negative eigenvalues; full covariances have no other box."""
        return Covariance(psd_part(self.matrix))

    def change(self, proposed: Covariance, z: Tensor, a: Tensor) -> Tensor:
        """``tr(Z (V' - V)) + tr(V'^-1 V A V) - tr(A V)``; infinite where ``V'`` loses what fits.

        Directions in which ``V'`` and ``V A V`` both vanish up to rounding count as absent.
        """
        old, new = self.matrix, proposed.matrix
        fit = old @ a @ old
        values, vectors = torch.linalg.eigh(torch.nan_to_num(new))
        seen = (vectors * (fit @ vectors)).sum(-2)
        unit = old.shape[-1] * torch.finfo(old.dtype).eps
        lost = values <= unit * values[..., -1:].clamp_min(0)
        absent = seen <= unit * fit.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True)
        part = torch.where(lost, torch.where(absent, 0.0, torch.inf), seen / values)
        total = (z * (new - old)).sum((-2, -1)) - (a * old).sum((-2, -1)) + part.sum(-1)
        return total.sum(1)

    def slope(self, proposed: Covariance, z: Tensor, a: Tensor) -> Tensor:
        """``tr((Z - A)(V' - V))``: along the straight line."""
        return ((z - a) * (proposed.matrix - self.matrix)).flatten(1).sum(1)

    def bounding(self, z: Tensor, a: Tensor) -> Covariance:
        """Geometric mean of ``Z^-1`` and ``V A V``."""
        return Covariance(geometric_mean(z, self.matrix @ a @ self.matrix))

    def gradient(self, z: Tensor, a: Tensor) -> Covariance:
        """``Z - A``."""
        return Covariance(z - a)


@dataclass(frozen=True)
class Variances(State):
    """Hyperparameters of a batch of problems: what Type-II learning learns.

    Attributes
    ----------
    gamma : Part
        Of the sources: one per column or per location (:class:`LogVariance`), or one block per
        location (:class:`Covariance`); (A m)^2, relative to the source prior where there is one.
    noise : Part
        Of the sensors: one per sensor or one for all, or a matrix; V^2, or unitless once whitened.
    """

    gamma: Part
    noise: Part

    @property
    def log_gamma(self) -> Tensor:
        """Logarithms of the source variances, shape (n_batch, n)."""
        return log_of(self.gamma)

    @property
    def log_noise(self) -> Tensor:
        """Logarithms of the noise variances, shape (n_batch, n_sensors) or (n_batch, 1)."""
        return log_of(self.noise)

    def finite(self) -> Tensor:
        """Which samples are finite, bool, shape (n_batch,)."""
        return self.gamma.finite() & self.noise.finite()

    def where(self, chosen: Tensor, other: Variances) -> Variances:
        """Take the samples in ``chosen`` (n_batch,) from here and the rest from ``other``."""
        return Variances(
            self.gamma.where(chosen, other.gamma), self.noise.where(chosen, other.noise)
        )

    def toward(self, target: Variances, fraction: float) -> Variances:
        """Go part of the way to ``target``: in logarithms; full covariances on straight lines."""
        return Variances(
            self.gamma.toward(target.gamma, fraction), self.noise.toward(target.noise, fraction)
        )


def log_of(part: Part) -> Tensor:
    """Logarithms that a part holds, shape (n_batch, n); full covariances hold none (TypeError)."""
    if not isinstance(part, LogVariance):
        raise TypeError(f"a {type(part).__name__} holds no logarithms of variances")
    return part.log
