"""Minimum norm and its statistics: MNE, dSPM, sLORETA.

All three share the kernel ``K = R L' M^-1``, ``M = L R L' + lambda^2 C`` (``solvers/tikhonov.py``).
dSPM divides by the noise that the kernel lets through, ``K C K'``; sLORETA by the variance that its
own model expects, ``K M K' / lambda^2``. Scales and conventions are those of MNE-Python, to which
the results are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from majorant.linalg import ENERGY_DTYPE, pseudo_power
from majorant.problem import Problem
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import Kernel, KernelSolver
from majorant.solvers.tikhonov import (
    Tikhonov,
    Whitened,
    check_settings,
    prior_scale,
    reciprocal_root,
)


def minimum_norm(problem: Problem, snr: float, rank: int | None, normalise: bool) -> Tikhonov:
    """Solve the normal equations for the prior of a problem (uniform where it has none)."""
    white = Whitened.of(problem)
    prior = problem.source_prior
    if prior is None:
        prior = torch.ones(white.gain.shape[-1])
    prior = prior.to(white.gain.device, ENERGY_DTYPE)
    scale = prior_scale(white, prior, rank)
    if normalise:
        prior = prior * scale[..., None]
    return Tikhonov.of(white, prior, snr**-2)


def pooled(variance: Tensor, n_orient: int) -> Tensor:
    """Sum variances (..., n_columns) over the columns of each location."""
    return variance.unflatten(-1, (-1, n_orient)).sum(-1)


@final
@dataclass(frozen=True)
class MinimumNorm(KernelSolver):
    """Minimum-norm estimate: the smallest sources that explain the data.

    Parameters
    ----------
    snr : float
        Signal-to-noise ratio of amplitudes; the regularisation is ``lambda^2 = 1 / snr^2``.
        3 suits averages, 1 single trials (MNE-Python's habit).
    rank : int or None
        Rank of the sensors, to which ``trace(L R L')`` is scaled. None takes their number, which is
        right where a lost rank was projected out; give ``n - 1`` for ``n`` sensors that are merely
        average-referenced.
    normalise : bool
        Whether to scale the prior so. False takes ``source_prior`` for variances in (A m)^2.

    Notes
    -----
    Hämäläinen & Ilmoniemi (1994), Med Biol Eng Comput 32:35-42.
    """

    abilities = Abilities(linear=True, snr=True, depth=0.8)

    snr: float = 3.0
    rank: int | None = None
    normalise: bool = True

    def __post_init__(self) -> None:
        check_settings(self.snr, self.rank)

    def kernel(self, problem: Problem) -> Kernel:
        """Return the kernel, in A m per unit of the data."""
        return minimum_norm(problem, self.snr, self.rank, self.normalise).finish(problem, "Am")


@final
@dataclass(frozen=True)
class DSPM(KernelSolver):
    """Dynamic statistical parametric map: minimum norm divided by its noise.

    The noise of a location's columns is pooled, ``w = tr(K C K')^-1/2`` over its columns, as in
    MNE-Python.

    Parameters
    ----------
    snr, rank, normalise
        As for :class:`MinimumNorm`.

    Notes
    -----
    Dale et al. (2000), Neuron 26:55-67.
    """

    abilities = Abilities(linear=True, snr=True, depth=0.8)

    snr: float = 3.0
    rank: int | None = None
    normalise: bool = True

    def __post_init__(self) -> None:
        check_settings(self.snr, self.rank)

    def kernel(self, problem: Problem) -> Kernel:
        """Return the kernel, in standard deviations of the noise per unit of the data."""
        solved = minimum_norm(problem, self.snr, self.rank, self.normalise)
        n_orient = problem.operator.n_orient
        norm = reciprocal_root(pooled(solved.kernel.square().sum(-1), n_orient))
        weights = norm.repeat_interleave(n_orient, dim=-1)
        return solved.finish(problem, "dSPM", weights, noise_norm=norm)


@final
@dataclass(frozen=True)
class SLORETA(KernelSolver):
    """Standardised low-resolution tomography: minimum norm divided by its expected variance.

    For fixed orientation a single source without noise is found exactly, whatever the prior.

    Parameters
    ----------
    snr, rank, normalise
        As for :class:`MinimumNorm`.
    joint : bool
        How the three columns of a location are standardised. False pools their variances into one
        factor, as MNE-Python does; the exactness then holds for fixed orientation only. True
        multiplies by the inverse root of their 3 x 3 covariance, as the paper does: exact for
        free and loose orientation too.

    Notes
    -----
    Pascual-Marqui (2002), Methods Find Exp Clin Pharmacol 24D:5-12.
    """

    abilities = Abilities(linear=True, snr=True)

    snr: float = 3.0
    rank: int | None = None
    normalise: bool = True
    joint: bool = False

    def __post_init__(self) -> None:
        check_settings(self.snr, self.rank)

    def kernel(self, problem: Problem) -> Kernel:
        """Return the kernel, in units of the expected standard deviation."""
        solved = minimum_norm(problem, self.snr, self.rank, self.normalise)
        n_orient = problem.operator.n_orient
        if self.joint and n_orient > 1:
            rows = solved.kernel.unflatten(-2, (-1, n_orient))
            variance = rows @ solved.weighted.unflatten(-2, (-1, n_orient)).mT
            weights = pseudo_power(variance / solved.lambda2, -0.5)
            return solved.finish(problem, "sLORETA", weights)
        variance = (solved.kernel * solved.weighted).sum(-1) / solved.lambda2
        norm = reciprocal_root(pooled(variance, n_orient))
        weights = norm.repeat_interleave(n_orient, dim=-1)
        return solved.finish(problem, "sLORETA", weights, noise_norm=norm)
