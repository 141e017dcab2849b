"""eLORETA: the source covariance under which minimum norm finds a single source exactly.

The covariance ``R`` solves ``R_i = (L_i' (L R L' + lambda^2 I)^-1 L_i)^-1/2`` at every location
(Pascual-Marqui 2007), by fixed-point iteration. Scales, orientation prior,
tolerance and iteration limit are those of MNE-Python, to which the results are equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import final

import torch
from torch import Tensor

from majorant.linalg import ENERGY_DTYPE, pseudo_power
from majorant.problem import MajorantError, Problem, Status
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import Kernel, KernelSolver
from majorant.solvers.tikhonov import (
    Tikhonov,
    Whitened,
    check_settings,
    prior_scale,
    reciprocal_root,
    weigh,
)


@dataclass(frozen=True)
class Weights:
    """The fixed point, as far as it was followed.

    Attributes
    ----------
    covariance : Tensor, shape (n_columns,) or (n_locations, 3, 3)
        ``R``, scaled so that ``trace(L R L')`` is the rank.
    iterations : int
    change : float
        Relative change of ``R`` in the last iteration.
    """

    covariance: Tensor
    iterations: int
    change: float


@final
@dataclass(frozen=True)
class ELORETA(KernelSolver):
    """Exact low-resolution tomography.

    A single source without noise is found exactly where orientation is fixed or free; a loose prior
    or equal weights give that up for smoother orientations.

    Depth weighting has no effect: only the relative variances of the columns within a location
    (the orientation prior) are kept of ``source_prior``.

    Parameters
    ----------
    snr : float
        Signal-to-noise ratio of amplitudes; ``lambda^2 = 1 / snr^2``.
    rank : int or None
        Rank of the sensors; None takes their number (see
        :class:`~majorant.solvers.linear.MinimumNorm`).
    eps : float
        The iteration stops when ``R`` changes by less than this, relatively.
    max_iter : int
        Iteration limit; where it is reached, the status of the solution says so.
    force_equal : bool
        One weight per location instead of a 3 x 3 block. Use it with loose orientation: blocks undo
        most of the orientation prior. (MNE-Python's ``None`` acts as False.)

    Notes
    -----
    Pascual-Marqui (2007), arXiv:0710.3341. A block whose smallest eigenvalues vanish (a radial
    source and MEG) is inverted on its range.
    """

    abilities = Abilities(linear=True, snr=True)

    snr: float = 3.0
    rank: int | None = None
    eps: float = 1e-6
    max_iter: int = 20
    force_equal: bool = False

    def __post_init__(self) -> None:
        check_settings(self.snr, self.rank)
        if not (isinstance(self.max_iter, Integral) and self.max_iter >= 1 and self.eps > 0):
            raise MajorantError(
                f"eps is {self.eps} and max_iter is {self.max_iter}; expected a positive tolerance "
                "and at least one iteration"
            )

    def kernel(self, problem: Problem) -> Kernel:
        """Return the kernel, in A m per unit of the data."""
        white, lambda2 = Whitened.of(problem), self.snr**-2
        spread = orientation_spread(problem).to(white.gain.device)
        if white.gain.ndim == 2:
            found = [self._weights(white, spread, lambda2)]
            covariance = found[0].covariance
        else:
            pairs = zip(white.gain, white.plain, strict=True)
            each = [Whitened(gain, plain, white.factor) for gain, plain in pairs]
            found = [self._weights(one, spread, lambda2) for one in each]
            covariance = torch.stack([one.covariance for one in found])
        met = [one.change < self.eps for one in found]
        return Tikhonov.of(white, covariance, lambda2).finish(
            problem,
            "Am",
            status=tuple(Status.CONVERGED if m else Status.LIMIT for m in met),
            details={
                "iterations": max(one.iterations for one in found),
                "max_iter": self.max_iter,
                "change": max(one.change for one in found),
                "eps": self.eps,
                "converged": all(met),
                "force_equal": self.force_equal,
            },
        )

    def _weights(self, white: Whitened, spread: Tensor, lambda2: float) -> Weights:
        """Follow the fixed point for one lead field."""
        n_orient, n_sensors = spread.shape[-1], white.gain.shape[-2]
        blocks = n_orient > 1 and not self.force_equal
        shape = spread[:, :, None] * spread[:, None, :] if blocks else spread.flatten().square()
        flat = spread.flatten()
        biased = Whitened(white.gain * flat, white.plain, white.factor)
        start = torch.eye(n_orient).to(spread).expand_as(shape) * shape if blocks else shape
        covariance = start * prior_scale(biased, start, self.rank)
        identity = torch.eye(n_sensors).to(spread)
        change, done = float("inf"), 0
        while done < self.max_iter and not change < self.eps:
            data = biased.gain @ weigh(covariance, biased.gain.mT)
            factor = torch.linalg.cholesky(data + lambda2 * identity)
            before = covariance
            filtered = torch.cholesky_solve(biased.gain, factor)
            covariance = shape * self._update(filtered, biased, n_orient)
            covariance = covariance * prior_scale(biased, covariance, self.rank)
            change = float((covariance - before).norm() / before.norm())
            done += 1
        return Weights(covariance * prior_scale(white, covariance, self.rank), done, change)

    def _update(self, filtered: Tensor, biased: Whitened, n_orient: int) -> Tensor:
        """``(L_i' N L_i)^-1/2`` at every location, from ``N L``."""
        if n_orient == 1:
            return reciprocal_root((filtered * biased.gain).sum(0))
        columns = biased.gain.mT.unflatten(0, (-1, n_orient))
        power = columns @ filtered.mT.unflatten(0, (-1, n_orient)).mT
        if not self.force_equal:
            return pseudo_power(power, -0.5)
        roots = torch.linalg.eigvalsh((power + power.mT) / 2).clamp_min(0).sqrt().mean(-1)
        seen = roots > 0
        return (seen / torch.where(seen, roots, 1.0)).repeat_interleave(n_orient)


def orientation_spread(problem: Problem) -> Tensor:
    """Standard deviations of the columns of a location relative to its largest.

    Returns
    -------
    Tensor, shape (n_locations, n_orient), float64
        Ones without a prior; zero where the prior variance is zero.
    """
    n_orient, prior = problem.operator.n_orient, problem.source_prior
    if prior is None:
        return torch.ones(problem.operator.n_locations, n_orient, dtype=ENERGY_DTYPE)
    grouped = prior.to(ENERGY_DTYPE).unflatten(0, (-1, n_orient))
    largest = grouped.amax(-1, keepdim=True)
    return (grouped / torch.where(largest > 0, largest, 1.0)).sqrt()
