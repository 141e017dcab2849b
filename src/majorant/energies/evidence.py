"""The evidence cost of Type-II learning: value and closed-form gradient from one Cholesky factor.

With ``Y = L X + E``, sources ``N(0, Gamma)``, noise ``N(0, Lambda)``, ``Sigma = L Gamma L' +
Lambda``, ``C = Y Y' / T`` and ``W = Sigma^-1`` the cost is ``F = log det Sigma + tr(W C)``: the
log evidence is ``-T/2 (F + n log 2 pi)``. Its derivatives are ``z - a`` for a source variance and
``w - b`` for a noise variance, with

    z_n = L_n' W L_n,   a_n = mean_t (L_n' W y_t)^2,   w_m = W_mm,   b_m = mean_t (W y_t)_m^2,

and ``0 < gamma z < 1``, ``0 < lambda w <= 1``, ``sum gamma z + sum lambda w = n``. ``F`` sees the
data only through ``Y Y'``, so more times than sensors are replaced by as many columns as sensors.

Source: Wipf et al. (2010), doi:10.1016/j.neuroimage.2009.06.083, for the cost and gamma; Cai et
al. (2021), doi:10.1016/j.neuroimage.2020.117411, for learning the noise with it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from majorant.energies.base import Energy
from majorant.energies.gaussian import GaussianModel, squared
from majorant.energies.variances import Covariance, LogVariance, Variances
from majorant.linalg import ENERGY_DTYPE, log_determinant

AT_ONCE = 64
"""Sensors whose noise is followed at once."""
ROUNDING = 8.0
"""Safety factor of the estimated rounding of the cost."""


@dataclass(frozen=True)
class Statistics:
    """What every rule is made of, in the shapes of the state: sums over what a variance serves.

    Attributes
    ----------
    z, a : Tensor, shape (n_batch, n) or (n_batch, n_locations, 3, 3)
        Derivative of the log-determinant with respect to a source variance, and minus that of the
        data fit; problem dtype (blocks: float64).
    w, b : Tensor, shape (n_batch, n_sensors), (n_batch, 1) or (n_batch, 1, n_sensors, n_sensors)
        The same for the noise.
    """

    z: Tensor
    a: Tensor
    w: Tensor
    b: Tensor


class Evidence:
    """The model at one state: one Cholesky factor, and all that follows from it.

    Attributes
    ----------
    state : Variances
    value : Tensor, shape (n_batch,), float64
        The cost ``F``; NaN where ``Sigma`` is not positive definite.
    """

    def __init__(self, model: GaussianModel, state: Variances) -> None:
        self._model, self.state = model, state
        self._sigma = model.covariance(state)
        factor, info = torch.linalg.cholesky_ex(self._sigma)
        eye = torch.eye(factor.shape[-1], dtype=factor.dtype, device=factor.device)
        self._inverse_factor = torch.linalg.solve_triangular(factor, eye, upper=False)
        self._white = self._inverse_factor @ model.data
        fit = self._white.square().sum((1, 2)) / model.n_times
        value = log_determinant(factor) + fit
        if model.units is not None:
            value = value + 2.0 * model.n_sensors * model.units.data.log()
        self.value = torch.where(info > 0, torch.nan, value)

    @cached_property
    def _dual(self) -> Tensor:
        """``W R``, shape (n_batch, n_sensors, at most n_sensors)."""
        return self._inverse_factor.mT @ self._white

    @cached_property
    def _sensor_slopes(self) -> tuple[Tensor, Tensor]:
        """``w`` and ``b`` per sensor, float64."""
        w = self._inverse_factor.square().sum(1)
        return w, self._dual.square().sum(2) / self._model.n_times

    @cached_property
    def rounding(self) -> Tensor:
        """Estimate of the rounding of ``value``, shape (n_batch,).

        A backward error of ``eps sqrt(Sigma_ii Sigma_jj)`` moves ``F`` to first order by at most
        ``eps sum Sigma_mm (w_m + b_m)`` times a number that grows slowly with the size. A full
        covariance that its rule has made nearly singular is known only to the root of ``eps`` in
        the directions it has lost; what they could add to ``F`` is at most that root times ``n``.
        """
        w, b = self._sensor_slopes
        eps, state = torch.finfo(ENERGY_DTYPE).eps, self.state
        spread = (self._sigma.diagonal(dim1=1, dim2=2) * (w + b)).sum(1)
        full = isinstance(state.gamma, Covariance) or isinstance(state.noise, Covariance)
        lost = math.sqrt(eps) * self._model.n_sensors if full else 0.0
        return (ROUNDING * eps * spread + lost).detach()

    @cached_property
    def statistics(self) -> Statistics:
        """``z, a, w, b``; the one product with the lead field is made here."""
        model = self._model
        rows = torch.cat([self._inverse_factor, self._dual.mT / math.sqrt(model.n_times)], 1)
        rows = rows.to(model.lead.dtype)
        parts = [self._squares(rows @ model.lead[..., c]) for c in model.chunks(rows.shape[1])]
        z, a = (torch.cat(x, 1) for x in zip(*parts, strict=True))
        return Statistics(z, a, *self._noise_statistics())

    def _squares(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Sum the squares of ``seen`` over its first ``n_sensors`` rows, and over the others.

        Per column, or per location: their sum if it has one variance, a matrix if it has a block.
        """
        model, n = self._model, self._model.n_sensors
        if model.orientation == "block":
            both = seen.to(ENERGY_DTYPE).unflatten(2, (-1, model.group)).transpose(1, 2)
            return both[:, :, :n].mT @ both[:, :, :n], both[:, :, n:].mT @ both[:, :, n:]
        square = squared(seen)
        z, a = square[:, :n].sum(1), square[:, n:].sum(1)
        if model.orientation == "tied":
            z, a = z.unflatten(1, (-1, model.group)), a.unflatten(1, (-1, model.group))
            return z.sum(2), a.sum(2)
        return z, a

    def _noise_statistics(self) -> tuple[Tensor, Tensor]:
        part = self.state.noise
        if isinstance(part, LogVariance):
            w, b = (x.to(part.log.dtype) for x in self._sensor_slopes)
            if part.log.shape[1] == 1:
                w, b = w.sum(1, keepdim=True), b.sum(1, keepdim=True)
            return w, b
        w = self._inverse_factor.mT @ self._inverse_factor
        return w[:, None], (self._dual @ self._dual.mT / self._model.n_times)[:, None]

    def mean(self, y: Tensor) -> Tensor:
        """Posterior mean of the sources for data (n_batch, n_sensors, n_times), A m."""
        model = self._model
        wide = y.to(ENERGY_DTYPE)
        if model.units is not None:
            wide = wide / model.units.data[:, None, None]
        dual = self._inverse_factor.mT @ (self._inverse_factor @ wide)
        projected = model.lead.mT @ dual.to(model.lead.dtype)
        gamma = self.state.gamma
        if isinstance(gamma, Covariance):
            blocks = gamma.matrix.to(projected.dtype)
            x = (blocks @ projected.unflatten(1, (-1, model.group))).flatten(1, 2)
        else:
            x = projected * model.spread(gamma).to(projected.dtype)[:, :, None]
        if model.scale is not None:
            x = x * model.scale[:, None]
        if model.expanded is not None:
            expanded = model.expanded.to(x.dtype)
            x = torch.stack([torch.sparse.mm(expanded, own) for own in x])
        return x if model.units is None else x * model.units.sources.to(x)[:, None, None]

    def variance(self) -> Tensor:
        """Posterior variance of every column, shape (n_batch, n_columns), float64, (A m)^2."""
        model, gamma = self._model, self.state.gamma
        seen = self._inverse_factor.to(model.lead.dtype) @ model.lead
        if isinstance(gamma, Covariance):
            both = seen.to(ENERGY_DTYPE).unflatten(2, (-1, model.group)).transpose(1, 2)
            left = gamma.matrix - gamma.matrix @ (both.mT @ both) @ gamma.matrix
            variance = left.diagonal(dim1=2, dim2=3).flatten(1)
        else:
            prior = model.spread(gamma).to(model.lead.dtype)
            if model.expanded is None:
                variance = prior * (1 - prior * squared(seen).sum(1))
            else:
                variance = _expanded_variance(model.expanded, prior, seen)
        variance = variance.clamp_min(0).to(ENERGY_DTYPE)
        if model.scale is not None:
            variance = variance * model.scale.square()
        # In single precision squares of 1e30 have no place, so the dtype is not the problem's.
        return variance if model.units is None else variance * model.units.sources.square()[:, None]

    def by_noise(self) -> Tensor:
        """Variance that noise alone gives ``mean``, shape (n_batch, n_columns), float64, (A m)^2.

        ``diag(K S K')`` with the learned covariance ``S`` of the noise; the weights ``K`` of the
        mean are what they are, though they were learned from the data.
        """
        noise = self._model.noise_covariance(self.state.noise)
        root = torch.diag_embed(noise.sqrt()) if noise.ndim == 2 else _root(noise)
        if self._model.units is not None:
            root = root * self._model.units.data[:, None, None]
        first, *rest = (
            self.mean(part).to(ENERGY_DTYPE).square().sum(2) for part in root.split(AT_ONCE, dim=2)
        )
        return sum(rest, start=first)

    def noise_variance(self) -> Tensor:
        """Noise variance of every sensor, shape (n_batch, n_sensors), float64."""
        noise = self._model.noise_covariance(self.state.noise)
        noise = noise if noise.ndim == 2 else noise.diagonal(dim1=1, dim2=2)
        units = self._model.units
        return noise if units is None else noise * units.data.square()[:, None]

    def log_evidence(self) -> Tensor:
        """Log evidence ``-T/2 (F + n log 2 pi)``, shape (n_batch,), float64."""
        model = self._model
        return -0.5 * model.n_times * (self.value + model.n_sensors * math.log(2 * math.pi))


def _root(matrix: Tensor) -> Tensor:
    """``R`` with ``R R'`` the matrix, which may have lost directions."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp_min(0.0).sqrt()[:, None, :]


def _expanded_variance(expanded: Tensor, prior: Tensor, seen: Tensor) -> Tensor:
    """Diagonal of ``E (Gamma - Gamma S'S Gamma) E'``, shape (n_batch, n_own_columns), float64."""
    wide, square = prior.to(ENERGY_DTYPE), expanded * expanded
    total = torch.sparse.mm(square, wide.mT).mT
    known = [
        torch.sparse.mm(expanded, (s.to(ENERGY_DTYPE) * p).mT).square().sum(1)
        for s, p in zip(seen, wide, strict=True)
    ]
    return total - torch.stack(known)


class EvidenceEnergy(Energy[Variances]):
    """The evidence cost ``F = log det Sigma + tr(W C)`` of a batch of problems.

    Parameters
    ----------
    model : GaussianModel
    """

    name = "evidence cost"

    def __init__(self, model: GaussianModel) -> None:
        self.model = model

    def value(self, state: Variances) -> Tensor:
        """Cost per sample, float64, shape (n_batch,)."""
        return self.at(state).value

    def value_and_grad(self, state: Variances) -> tuple[Tensor, Variances]:
        """Cost and its gradient with respect to what the state holds.

        ``gamma (z - a)`` and ``lambda (w - b)`` for logarithms of variances, ``Z - A`` and
        ``W - B`` for full covariances.
        """
        evidence = self.at(state)
        s = evidence.statistics
        grad = Variances(state.gamma.gradient(s.z, s.a), state.noise.gradient(s.w, s.b))
        return evidence.value, grad

    def admissible(self, origin: Variances, proposed: Variances) -> Variances:
        """Clip to the box, which is fixed by the start and widened to ``origin``."""
        return self.model.within(origin, proposed)

    def at(self, state: Variances) -> Evidence:
        """Factor the model at a state."""
        return Evidence(self.model, state)
