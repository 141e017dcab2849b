"""The Gaussian model of Type-II learning: ``Y = L X + E`` under variances of sources and noise.

Here is what does not change while variances are learned: the lead field scaled by the source
prior, the data reduced to what their second moments need, the start, the box that variances stay
in, and how a state becomes the covariance ``Sigma = L Gamma L' + Lambda`` of the data.

``Sigma`` is formed in float64 whatever the dtype of the problem, so that the evidence can decide;
arrays of the size of the lead field keep the dtype of the problem.

Average-referenced data have lost a rank: they and the lead field must come reduced to full rank by
an isometry (:func:`majorant.forward.leadfield.average_reference`), as the front door does.
Variances per sensor then belong to the directions that are left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal, get_args

import torch
from torch import Tensor

from majorant.energies.units import Units
from majorant.energies.variances import Covariance, LogVariance, Part, Variances, log_of
from majorant.linalg import ENERGY_DTYPE, cholesky
from majorant.problem import MajorantError, Problem

NoiseModel = Literal["diagonal", "scalar", "full", "given"]
Orientation = Literal["fixed", "tied", "block"]

START_NOISE = 0.1
"""Noise variance at the start, as a share of the mean square of the data."""

NOISE_FLOOR = 1e-3
"""Lowest noise variance, as a share of that at the start; without it some of them collapse."""

GAMMA_FLOOR = {torch.float64: 1e-60, torch.float32: 1e-20}
"""Lowest source variance, as a share of that at the start."""

GAMMA_CEILING, NOISE_CEILING = 1e12, 1e6
"""Highest variances as shares of those at the start: far above what data ask for."""

CHUNK = {"cpu": 2**18, "cuda": 2**28}
"""Largest intermediate result of the size of the lead field, in numbers."""


class GaussianModel:
    """A batch of problems as a model with variances to be learned.

    Parameters
    ----------
    problem : Problem
        Its source prior scales the columns, so variances count in units of it: the ratio of
        tangential to normal variance (loose orientation) is kept where a location has one
        variance, and is where the start begins elsewhere. Columns of prior 0 are switched off.
    orientation : {"fixed", "tied", "block"}
        One variance per column, one per location, or a 3 x 3 covariance per location. With one
        column per location they are the same.
    noise : {"diagonal", "scalar", "full", "given"}
        What is learned of the noise: a variance per sensor, one for all, a matrix, or nothing.
        "given" is ``problem.noise``, the identity if there is none.
    shrinkage : float
        Full noise only: the share of ``problem.noise`` (identity if there is none) that stays
        whatever the data say. The learned matrix is added to it and starts as the rest of it; the
        share is at least the noise floor, so the cost has a lower bound.
    units : Units, optional
        What data and lead field of the problem were divided by before
        (:func:`majorant.energies.units.normalised`): variances that are learned count in these
        units; costs, estimates and noise variances that are read off come in the caller's.
    expanded : Tensor, optional, shape (n_own_columns, n_columns), sparse by rows, float64
        From the columns of this problem to those of the caller's, on which estimates and their
        variances are read off (:mod:`majorant.energies.basis`).

    Attributes
    ----------
    start : Variances
        Where learning begins.
    lead : Tensor, shape (n_sensors, n_columns) or (n_batch, n_sensors, n_columns)
        Lead field in the dtype of the data, scaled by the source prior.
    data : Tensor, shape (n_batch, n_sensors, at most n_sensors), float64
        Columns with the data's second moments.
    gamma_box, noise_box : tuple of Tensor, shape (n_batch, 1)
        Logarithms between which variances stay.

    Raises
    ------
    MajorantError
        If the operator is matrix-free, the noise given is not positive definite, or a full noise
        matrix is asked for with fewer times than sensors and no shrinkage.
    """

    def __init__(
        self,
        problem: Problem,
        *,
        orientation: Orientation = "fixed",
        noise: NoiseModel = "diagonal",
        shrinkage: float = 0.0,
        units: Units | None = None,
        expanded: Tensor | None = None,
    ) -> None:
        self.units, self.expanded = units, expanded
        matrix = check_model(problem, orientation, noise, shrinkage)
        y = problem.y
        self.n_sensors, self.n_times = int(y.shape[1]), int(y.shape[2])
        self.group = problem.operator.n_orient
        self.orientation: Orientation = "fixed" if self.group == 1 else orientation
        self.learns_noise = noise != "given"
        self.lead, self.scale = matrix.to(y.dtype), None
        if problem.source_prior is not None:
            self.scale = problem.source_prior.to(y).sqrt()
            self.lead = self.lead * self.scale
        self._wide = self.lead.to(ENERGY_DTYPE)
        self.data = _compressed(y.to(ENERGY_DTYPE))
        self._anchor: Tensor | None = None
        if noise == "full":
            self._anchor = max(shrinkage, NOISE_FLOOR) * _given_matrix(problem)
        gamma, level = self._levels()
        self.gamma_box = _box(gamma, GAMMA_FLOOR[y.dtype], GAMMA_CEILING, y.dtype)
        self.noise_box = _box(level, NOISE_FLOOR, NOISE_CEILING, y.dtype)
        self.start = Variances(self._start_gamma(gamma), self._start_noise(problem, noise, level))

    def within(self, origin: Variances, proposed: Variances) -> Variances:
        """Clip to the box, which is fixed by the start and widened to ``origin``.

        Noise that is given stays as it is.
        """
        gamma = proposed.gamma.within(origin.gamma, *self.gamma_box)
        if not self.learns_noise:
            return Variances(gamma, origin.noise)
        return Variances(gamma, proposed.noise.within(origin.noise, *self.noise_box))

    def covariance(self, state: Variances) -> Tensor:
        """``Sigma = L Gamma L' + Lambda``, shape (n_batch, n_sensors, n_sensors), float64."""
        noise = self.noise_covariance(state.noise)
        sigma = noise if noise.ndim == 3 else torch.diag_embed(noise)
        seen = self._spreader(state.gamma)
        for c in self.chunks(self.n_sensors):
            sigma = sigma + seen(c) @ self._wide[..., c].mT
        return sigma

    def _spreader(self, gamma: Part) -> Callable[[slice], Tensor]:
        """``L Gamma`` by columns, shape (n_batch, n_sensors, columns asked for), float64."""
        if not isinstance(gamma, Covariance):
            variance = self.spread(gamma)[:, None, :]
            return lambda c: self._wide[..., c] * variance[..., c]
        group = self.group

        def seen(c: slice) -> Tensor:
            columns = self._wide[..., c].unflatten(-1, (-1, group)).transpose(-3, -2)
            blocks = gamma.matrix[:, c.start // group : c.stop // group]
            return (columns @ blocks).transpose(1, 2).flatten(2)

        return seen

    @property
    def columns_per_variance(self) -> int:
        """Columns that a source variance serves."""
        return self.group if self.orientation == "tied" else 1

    def wide(self, sample: int) -> Tensor:
        """The lead field of one sample, shape (n_sensors, n_columns), float64."""
        return self._wide if self._wide.ndim == 2 else self._wide[sample]

    def chunks(self, rows: int) -> Iterator[slice]:
        """Cut the columns so that an intermediate result of that many rows stays small.

        On a processor, memory asked for in large pieces is given anew each time, page by page,
        which costs more than the arithmetic done in it.
        """
        total = int(self.lead.shape[-1])
        limit = CHUNK.get(self.lead.device.type, max(CHUNK.values()))
        width = max(1, limit // (rows * self.data.shape[0] * self.group)) * self.group
        for begin in range(0, total, width):
            yield slice(begin, min(begin + width, total))

    def spread(self, gamma: Part) -> Tensor:
        """Variance of every column, in units of its prior, shape (n_batch, n_columns), float64."""
        variance = log_of(gamma).to(ENERGY_DTYPE).exp()
        if self.orientation != "tied":
            return variance
        return variance[:, :, None].expand(-1, -1, self.group).flatten(1)

    def noise_covariance(self, noise: Part) -> Tensor:
        """Noise variances (n_batch, n_sensors) or matrices (n_batch, n, n), float64."""
        if isinstance(noise, Covariance):
            matrix = noise.matrix[:, 0]
            return matrix if self._anchor is None else matrix + self._anchor
        return log_of(noise).to(ENERGY_DTYPE).exp().expand(-1, self.n_sensors)

    def _levels(self) -> tuple[Tensor, Tensor]:
        """Source and noise variance at the start, shape (n_batch,); 1 where there are no data.

        ``mean over n, t of (L_n' y_t / |L_n|^2)^2`` and a tenth of the mean square of the data.
        Where the columns of a location share a variance or a block, their means of
        ``(L_n' y_t)^2`` and of ``|L_n|^2`` stand in for those of a column, so that the axes do
        not matter.
        """
        chunks = [squared(self._wide[..., c].mT @ self.data) for c in self.chunks(self.n_sensors)]
        back = torch.cat([x.sum(2) for x in chunks], 1) / self.n_times
        lengths = self._wide.square().sum(-2).expand_as(back)
        if self.orientation != "fixed":
            back, lengths = (x.unflatten(1, (-1, self.group)).mean(2) for x in (back, lengths))
        seen = lengths > 0
        if not bool(seen.any(1).all()):
            raise MajorantError(
                "the lead field is zero, or the source prior switches every column off; "
                "at least one column must reach the sensors"
            )
        power = self.data.square().sum((1, 2)) / (self.n_sensors * self.n_times)
        ratio = torch.where(seen, back / torch.where(seen, lengths, 1.0).square(), 0.0)
        gamma = ratio.sum(1) / seen.sum(1)
        unseen = self.n_sensors * power * seen.sum(1) / lengths.sum(1)
        gamma = torch.where(gamma > 0, gamma, unseen)
        loud = power > 0
        return torch.where(loud, gamma, 1.0), torch.where(loud, START_NOISE * power, 1.0)

    def _start_gamma(self, gamma: Tensor) -> Part:
        dtype, n = self.lead.dtype, int(self.lead.shape[-1])
        if self.orientation == "block":
            eye = torch.eye(self.group, dtype=ENERGY_DTYPE, device=gamma.device)
            blocks = gamma[:, None, None, None] * eye
            return Covariance(blocks.expand(-1, n // self.group, -1, -1))
        count = n // self.group if self.orientation == "tied" else n
        return LogVariance(gamma.log().to(dtype)[:, None].expand(-1, count))

    def _start_noise(self, problem: Problem, noise: NoiseModel, level: Tensor) -> Part:
        batch, dtype, given = problem.n_batch, problem.y.dtype, problem.noise
        if noise in ("diagonal", "scalar"):
            count = self.n_sensors if noise == "diagonal" else 1
            return LogVariance(level.log().to(dtype)[:, None].expand(-1, count))
        if noise == "full" or (given is not None and given.ndim == 2):
            matrix = _given_matrix(problem)
            if self._anchor is not None:
                matrix = matrix - self._anchor
            return Covariance(matrix.expand(batch, 1, -1, -1))
        variances = given if given is not None else problem.y.new_ones(self.n_sensors)
        return LogVariance(variances.to(ENERGY_DTYPE).log().to(problem.y).expand(batch, -1))


def squared(x: Tensor) -> Tensor:
    """Square an intermediate result, in its own memory where no gradient will ask for it."""
    return x * x if x.requires_grad else x.square_()


def check_model(
    problem: Problem, orientation: Orientation, noise: NoiseModel, shrinkage: float
) -> Tensor:
    """Return the lead field as a matrix, or say in one sentence what does not fit.

    Parameters
    ----------
    problem, orientation, noise, shrinkage
        As of :class:`GaussianModel`.

    Raises
    ------
    MajorantError
        As there.
    """
    matrix, given = problem.operator.matrix(), problem.noise
    if matrix is None:
        raise MajorantError(
            "sparse Bayesian learning needs the lead field as a matrix and this operator is "
            "matrix-free; give a MatrixOperator"
        )
    for what, value, allowed in (
        ("orientation", orientation, get_args(Orientation)),
        ("noise", noise, get_args(NoiseModel)),
    ):
        if value not in allowed:
            raise MajorantError(f"{what} {value!r} is unknown; choose one of {', '.join(allowed)}")
    if problem.y.dtype not in GAMMA_FLOOR:
        raise MajorantError(f"the data are {problem.y.dtype}; give float64 or float32")
    if not 0 <= shrinkage < 1:
        raise MajorantError(f"a shrinkage of {shrinkage} is not possible; give 0 or more, below 1")
    n, times = problem.operator.n_sensors, problem.n_times
    if noise == "full" and times < n and shrinkage == 0:
        raise MajorantError(
            f"a full noise matrix of {n} sensors cannot be learned from {times} time points; give "
            f"at least {n}, a shrinkage above 0, or learn noise='diagonal'"
        )
    if given is not None and given.ndim == 1 and not bool((given > 0).all()):
        bad = (~(given > 0)).nonzero()[:, 0].tolist()
        raise MajorantError(f"the noise variances of sensors {bad[:8]} are not positive; mend them")
    return matrix


def _given_matrix(problem: Problem) -> Tensor:
    """The noise covariance of the problem as a matrix, shape (n, n), float64."""
    given = problem.noise
    if given is None:
        n = problem.operator.n_sensors
        return torch.eye(n, dtype=ENERGY_DTYPE, device=problem.y.device)
    given = given.to(problem.y.device, ENERGY_DTYPE)
    if given.ndim == 1:
        return torch.diag(given)
    cholesky(given, "the noise covariance")
    return (given + given.mT) / 2


def _compressed(y: Tensor) -> Tensor:
    """``R`` with ``R R' = Y Y'`` and no more columns than rows, by a QR factorisation of ``Y'``."""
    return torch.linalg.qr(y.mT, mode="r").R.mT if y.shape[2] > y.shape[1] else y


def _box(level: Tensor, floor: float, ceiling: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Logarithms between which variances stay, shape (n_batch, 1) each."""
    log, tiny = level.log()[:, None], math.log(torch.finfo(dtype).tiny) + 10.0
    low, high = (log + math.log(floor)).clamp_min(tiny), log + math.log(ceiling)
    return low.to(dtype), high.to(dtype)
