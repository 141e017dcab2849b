"""LCMV: a beamformer, whose filters adapt to the covariance of the data.

For every location the filter ``W = (L_i' M^-1 L_i)^-1 L_i' M^-1`` passes the location with unit
gain and lets through the least of everything else (Van Veen et al. 1997). ``M`` is the covariance
of the whitened data of each sample, loaded on its diagonal; samples have filters of their own, so
batch mates cannot change a result. Conventions are those of MNE-Python's ``make_lcmv`` with
``inversion="matrix"``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final, get_args

import torch
from torch import Tensor

from majorant.linalg import pseudo_power
from majorant.problem import MajorantError, Problem
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import Kernel, KernelSolver
from majorant.solvers.tikhonov import (
    Whitened,
    positive_definite,
    reciprocal_root,
    weigh,
    working_dtype,
)

WeightNorm = Literal["unit-noise-gain-invariant", "unit-noise-gain", "unit-gain"]


@final
@dataclass(frozen=True)
class LCMV(KernelSolver):
    """Linearly constrained minimum variance beamformer.

    It has no source prior: depth weighting and loose orientation do not change it. The covariance
    is the second moment of each sample's own data, ``y y' / n_times``, with no mean removed.

    Parameters
    ----------
    reg : float
        Diagonal loading, as a fraction of the mean eigenvalue of the whitened data covariance.
    weight_norm : {"unit-noise-gain-invariant", "unit-noise-gain", "unit-gain"}
        ``"unit-gain"`` estimates moments in A m and favours deep locations; the others divide by
        the noise that passes, the first jointly for the three columns of a location (independent
        of the coordinate frame), the second for each of them.

    Notes
    -----
    Van Veen et al. (1997), IEEE Trans Biomed Eng 44:867-880; Sekihara & Nagarajan (2008).
    """

    abilities = Abilities(adaptive=True)

    reg: float = 0.05
    weight_norm: WeightNorm = "unit-noise-gain-invariant"

    def __post_init__(self) -> None:
        if not self.reg >= 0:
            raise MajorantError(f"reg is {self.reg}; expected 0 or a positive fraction like 0.05")
        if self.weight_norm not in get_args(WeightNorm):
            raise MajorantError(
                f"there is no weight_norm {self.weight_norm!r}; choose one of "
                f"{', '.join(get_args(WeightNorm))}"
            )

    def kernel(self, problem: Problem) -> Kernel:
        """Return one kernel per sample, in A m or units of the noise."""
        white, n_orient = Whitened.of(problem), problem.operator.n_orient
        covariance, loading = self._covariance(white.data(problem.y))
        heard = (problem.y != 0).flatten(1).any(1)
        factor = positive_definite(covariance, "the data covariance, whitened and loaded,")
        columns = white.gain.mT.expand(problem.n_batch, -1, -1)
        filters = torch.cholesky_solve(columns.mT, factor).mT
        rows = filters.unflatten(-2, (-1, n_orient))
        inverse = pseudo_power(rows @ columns.unflatten(-2, (-1, n_orient)).mT, -1.0)
        weights = self._weights(rows, inverse)
        plain = white.plain.expand(problem.n_batch, -1, -1)
        return Kernel(
            matrix=white.unwhiten(weigh(weights, filters)).to(working_dtype(problem.y)),
            unit="Am" if self.weight_norm == "unit-gain" else "LCMV",
            target=weigh(weights, plain.mT),
            regularised=self._unwhitened(problem, white, loading),
            lambda2=0.0,
            energy=inverse.diagonal(dim1=-2, dim2=-1).sum((-2, -1)) * heard,
            energy_name="output power of the unit-gain filters",
            details={"reg": self.reg, "loading": loading.tolist(), "weight_norm": self.weight_norm},
        )

    def _covariance(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loaded covariance (n_batch, n, n), the identity for silence, and its loading."""
        n_sensors, n_times = y.shape[-2:]
        if self.reg == 0 and n_times < n_sensors:
            raise MajorantError(
                f"{n_times} time points cannot make the covariance of {n_sensors} sensors "
                "invertible; give reg a positive value such as 0.05"
            )
        moment = y @ y.mT / n_times
        mean = moment.diagonal(dim1=-2, dim2=-1).mean(-1)
        loading = torch.where(mean > 0, self.reg * mean, 1.0)
        identity = torch.eye(n_sensors).to(moment)
        return moment + loading[:, None, None] * identity, loading

    def _weights(self, rows: Tensor, inverse: Tensor) -> Tensor:
        """What ``L_i' M^-1`` is multiplied by at every location, (n_batch, n_locations, o, o)."""
        if self.weight_norm == "unit-gain":
            return inverse
        noise = rows @ rows.mT
        if self.weight_norm == "unit-noise-gain-invariant":
            return pseudo_power(noise, -0.5)
        passed = (inverse @ noise @ inverse).diagonal(dim1=-2, dim2=-1)
        return reciprocal_root(passed)[..., None] * inverse

    def _unwhitened(self, problem: Problem, white: Whitened, loading: Tensor) -> Tensor:
        """Return the loaded covariance of the data as they came."""
        y = problem.y.to(white.plain.dtype)
        return y @ y.mT / problem.n_times + loading[:, None, None] * white.noise()
