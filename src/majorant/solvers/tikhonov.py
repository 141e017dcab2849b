"""The common ground of the linear solvers: whitening, the source prior, Tikhonov's kernel.

With noise ``C = F F'`` and source covariance ``R``, the estimate that minimises
``|F^-1 (y - L x)|^2 + lambda^2 x' R^-1 x`` is ``K y`` with ``K = R L' (L R L' + lambda^2 C)^-1``
(Hämäläinen & Ilmoniemi 1994). The algebra runs in float64 on whitened sensors, where it is well
conditioned; the residual in a :class:`~majorant.solvers.base.Kernel` is taken on the sensors as
they came, so it checks the whitening too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from majorant.linalg import ENERGY_DTYPE, cholesky
from majorant.problem import MajorantError, Operator, Problem, Status
from majorant.solvers.base import Kernel

SINGULAR = 10.0 * torch.finfo(ENERGY_DTYPE).eps
"""A covariance whose smallest eigenvalue, at unit variances, is below n times this is singular."""

STEEPEST = 1e6
"""Ratio of amplitudes beyond which, either way, its square says nothing any more."""


def check_settings(snr: float, rank: int | None) -> None:
    """Refuse a signal-to-noise ratio or a rank that means nothing.

    Raises
    ------
    MajorantError
        If ``snr`` is not a positive finite number, or ``rank`` not a positive one.
    """
    if not (math.isfinite(snr) and snr > 0):
        raise MajorantError(
            f"snr is {snr}; expected a positive finite ratio of amplitudes, 3 for an average"
        )
    if not 1.0 / STEEPEST <= snr <= STEEPEST:
        raise MajorantError(
            f"snr is {snr}; ratios of amplitudes lie between {1 / STEEPEST:g} and {STEEPEST:g}, 3 "
            "for an average"
        )
    if rank is not None and rank < 1:
        raise MajorantError(f"rank is {rank}; expected at least 1, or None for all sensors")


def dense_gain(operator: Operator, like: Tensor) -> Tensor:
    """Return the lead field (..., n_sensors, n_columns) in float64.

    A matrix-free operator is read through its adjoint, one application for all sensors.
    """
    matrix = operator.matrix()
    if matrix is None:
        probe = torch.eye(operator.n_sensors, dtype=like.dtype, device=like.device)
        matrix = operator.adjoint(probe[None])[0].mT
    return matrix.to(ENERGY_DTYPE)


def positive_definite(covariance: Tensor, what: str) -> Tensor:
    """Lower Cholesky factor of (..., n, n), refused where singular to working precision.

    The test is made at unit variances, so that sensors of different units do not look singular.

    Raises
    ------
    MajorantError
        If a matrix is not symmetric, or not positive definite.
    """
    spread = covariance.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    scale = spread[..., :, None] * spread[..., None, :]
    if bool(((covariance - covariance.mT).abs() > 1e-6 * scale).any()):
        raise MajorantError(f"{what} is not symmetric; give the covariance of the sensors")
    factor = cholesky(covariance, what)
    smallest = torch.linalg.eigvalsh(covariance / scale)[..., 0]
    if bool((smallest < SINGULAR * covariance.shape[-1]).any()):
        raise MajorantError(
            f"{what} is singular; regularise it, or project out the lost rank from data and "
            "lead field"
        )
    return factor


@dataclass(frozen=True)
class Whitened:
    """The lead field of a problem on sensors whose noise is the identity.

    Attributes
    ----------
    gain : Tensor, shape (..., n_sensors, n_columns), float64
        ``F^-1 L``.
    plain : Tensor, shape (..., n_sensors, n_columns), float64
        ``L`` as it came.
    factor : Tensor or None, shape (n_sensors, n_sensors), float64
        Lower Cholesky factor ``F`` of the noise covariance; None where that is the identity.
    """

    gain: Tensor
    plain: Tensor
    factor: Tensor | None

    @classmethod
    def of(cls, problem: Problem) -> Whitened:
        """Whiten the lead field of a problem by its noise covariance."""
        plain = dense_gain(problem.operator, problem.y)
        if problem.noise is None:
            return cls(plain, plain, None)
        noise = problem.noise.to(plain.device, ENERGY_DTYPE)
        noise = noise.diag() if noise.ndim == 1 else noise
        factor = positive_definite(noise, "the noise covariance")
        gain = torch.linalg.solve_triangular(factor, plain, upper=False)
        return cls(gain, plain, factor)

    def data(self, y: Tensor) -> Tensor:
        """Whiten data (n_batch, n_sensors, n_times), in float64."""
        y = y.to(ENERGY_DTYPE)
        if self.factor is None:
            return y
        return torch.linalg.solve_triangular(self.factor, y, upper=False)

    def unwhiten(self, kernel: Tensor) -> Tensor:
        """Let a kernel (..., n_rows, n_sensors) for whitened data read data as they came."""
        if self.factor is None:
            return kernel
        return torch.linalg.solve_triangular(self.factor, kernel, upper=False, left=False)

    def noise(self) -> Tensor:
        """Return the noise covariance, shape (n_sensors, n_sensors)."""
        if self.factor is None:
            return torch.eye(self.gain.shape[-2], dtype=self.gain.dtype, device=self.gain.device)
        return self.factor @ self.factor.mT


def weigh(weights: Tensor, rows: Tensor) -> Tensor:
    """Multiply rows by a diagonal, or the rows of each location by a block.

    Parameters
    ----------
    weights : Tensor, shape (..., n_rows) or (..., n_locations, n_orient, n_orient)
    rows : Tensor, shape (..., n_rows, n)
    """
    if weights.ndim < rows.ndim:
        return weights[..., None] * rows
    blocks = rows.unflatten(-2, (-1, weights.shape[-1]))
    return (weights @ blocks).flatten(-3, -2)


def prior_scale(white: Whitened, prior: Tensor, rank: int | None) -> Tensor:
    """Factor that makes ``trace(L R L')`` of whitened sensors equal to their rank.

    MNE-Python scales its source covariance so; the regularisation ``lambda^2 = 1 / snr^2`` then
    means the same for every unit, montage and prior.

    Parameters
    ----------
    white : Whitened
    prior : Tensor, shape (n_columns,) or (n_locations, n_orient, n_orient)
    rank : int or None
        None is the number of sensors.

    Returns
    -------
    Tensor, shape (...)

    Raises
    ------
    MajorantError
        If the rank exceeds the number of sensors, or nothing is left of the lead field.
    """
    n_sensors, columns = white.gain.shape[-2], white.gain.mT
    if rank is not None and rank > n_sensors:
        raise MajorantError(f"rank is {rank}, but there are only {n_sensors} sensors")
    trace = (columns * weigh(prior, columns)).sum((-2, -1))
    if not bool((trace > 0).all()):
        raise MajorantError(
            "the lead field, weighted by the source prior, is zero: no sensor sees any source"
        )
    return (rank or n_sensors) / trace


@dataclass(frozen=True)
class Tikhonov:
    """The minimum-norm kernel on whitened sensors, and what its statistics are made of.

    Attributes
    ----------
    white : Whitened
    prior : Tensor, shape (..., n_columns) or (..., n_locations, n_orient, n_orient)
        Source covariance ``R``.
    lambda2 : float
    weighted : Tensor, shape (..., n_columns, n_sensors)
        ``R L'``.
    kernel : Tensor, shape (..., n_columns, n_sensors)
        ``K = R L' M^-1``, with ``M = L R L' + lambda^2 I``.
    """

    white: Whitened
    prior: Tensor
    lambda2: float
    weighted: Tensor
    kernel: Tensor

    @classmethod
    def of(cls, white: Whitened, prior: Tensor, lambda2: float) -> Tikhonov:
        """Solve the normal equations for a source covariance."""
        weighted = weigh(prior, white.gain.mT)
        covariance = white.gain @ weighted
        covariance = (covariance + covariance.mT) / 2
        covariance.diagonal(dim1=-2, dim2=-1).add_(lambda2)
        factor = cholesky(covariance, "the regularised data covariance")
        kernel = torch.cholesky_solve(weighted.mT, factor).mT
        return cls(white, prior, lambda2, weighted, kernel)

    def finish(
        self,
        problem: Problem,
        unit: str,
        weights: Tensor | None = None,
        *,
        noise_norm: Tensor | None = None,
        status: tuple[Status, ...] = (Status.DIRECT,),
        details: dict[str, Any] | None = None,
    ) -> Kernel:
        """Rescale the kernel and bring it back to the sensors as they came.

        Parameters
        ----------
        problem : Problem
            Gives the dtype of the kernel.
        unit : str
        weights : Tensor or None, shape (..., n_columns) or (..., n_locations, n_orient, n_orient)
            The rescaling ``D`` of a statistic.
        noise_norm : Tensor or None, shape (..., n_locations)
        status : tuple of Status
        details : dict or None
        """
        plain, kernel = self.white.plain, self.white.unwhiten(self.kernel)
        target = weigh(self.prior, plain.mT)
        regularised = plain @ target + self.lambda2 * self.white.noise()
        if weights is not None:
            kernel, target = weigh(weights, kernel), weigh(weights, target)
        return Kernel(
            matrix=kernel.to(working_dtype(problem.y)),
            unit=unit,
            target=target,
            regularised=(regularised + regularised.mT) / 2,
            lambda2=self.lambda2,
            noise_norm=noise_norm,
            status=status,
            details={"lambda2": self.lambda2, **(details or {})},
        )


def working_dtype(y: Tensor) -> torch.dtype:
    """Return the dtype of an estimate: that of the data, where they are not integers."""
    return y.dtype if y.is_floating_point() else ENERGY_DTYPE


def reciprocal_root(variance: Tensor) -> Tensor:
    """Return ``variance^-1/2``, and 0 where the variance is 0: no sensor sees that location."""
    seen = variance > 0
    return torch.where(seen, variance, 1.0).rsqrt() * seen
