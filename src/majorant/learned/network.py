"""What an unrolled solver and its training ask of a network, whichever method it belongs to.

A network brings a prior and a step: from a point, the gradient of the cosine energy there and a
memory, it says where to go next. Everything is per sample.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Generic, Literal, TypeVar, get_args
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from majorant.energies.lengths import inverse, norm
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MajorantError, Operator, Problem
from majorant.solvers.loop import solve
from majorant.solvers.scan import Scan

RIDGE = 1.0 / 25.0
"""Regularisation of linear starts, relative to the mean squared singular value."""

Start = Literal["noise", "minimum-norm", "sloreta", "scan", "mean"]
STARTS: tuple[Start, ...] = get_args(Start)
SCANNED: tuple[Start, ...] = ("scan", "mean")
"""Starts that know patches."""

GRADED_MM = tuple(float(r) for r in range(10, 50, 2))
"""Radii of the patches that a start may know, mm: those of Table I lie among them."""


@dataclass(frozen=True)
class UnrolledSettings:
    """What every method of the family is made of; the defaults are the paper's.

    Attributes
    ----------
    n_sources : int
        Sources; the networks live in source space, sensors never enter a size.
    prior_hidden, prior_kernels
        Hidden channels and taps of the three layers of the prior.
    eps : float
        Of the SoftReLU.
    iterations : int
        Steps it is trained for.
    start : {"noise", "minimum-norm", "sloreta", "scan", "mean"}
        ``1e-3 N(0, 1)`` as in the paper, or of root mean square 1: a linear estimate, that of a
        scan for the one patch that explains most, or the mean of scan and sLORETA.
    rate : float
        Sampling rate the networks work at, Hz.
    weight : float
        Of the prior term (``lambda``).
    signed : bool
        Whether it was trained on currents of both directions. A network that knows outward ones
        only is shown the data and their negative, see :mod:`majorant.solvers.windows`.
    """

    n_sources: int = 994
    prior_hidden: int = 128
    prior_kernels: tuple[int, int, int] = (3, 3, 3)
    eps: float = 0.1
    iterations: int = 10
    start: Start = "noise"
    rate: float = 512.0
    weight: float = 1.0
    signed: bool = False

    def __post_init__(self) -> None:
        counts = tuple(getattr(self, f.name) for f in fields(self) if type(f.default) is int)
        if min(counts) < 1:
            raise MajorantError(f"sizes {counts} of the network must all be 1 or more")
        if self.start not in STARTS:
            raise MajorantError(f"start is {self.start!r}; choose one of {', '.join(STARTS)}")
        if not (self.rate > 0 and self.weight >= 0):
            raise MajorantError(
                f"rate {self.rate} and weight {self.weight} were given; the rate must be positive "
                "and the weight not negative"
            )

    def prior(self, generator: torch.Generator | None = None) -> Autoencoder:
        """Make the prior; ``generator`` draws its start."""
        widths = (self.n_sources, self.prior_hidden, self.prior_hidden, self.n_sources)
        return Autoencoder(widths, self.prior_kernels, self.eps, generator=generator)


SettingsT = TypeVar("SettingsT", bound=UnrolledSettings)


@dataclass(frozen=True)
class Geometry:
    """What a step needs of the operator.

    Attributes
    ----------
    vh : Tensor or None, shape (..., rank, n_columns)
        Right singular vectors.
    power : Tensor or None, shape (..., rank)
        Squared singular values divided by their mean.
    """

    vh: Tensor | None = None
    power: Tensor | None = None


class UnrolledNetwork(nn.Module, ABC, Generic[SettingsT]):
    """A prior and a step.

    Parameters
    ----------
    settings
        Sizes and rules.
    generator : torch.Generator or None
        Draws the start of the prior.
    """

    def __init__(self, settings: SettingsT, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.settings: SettingsT = settings
        self.prior = settings.prior(generator)

    @abstractmethod
    def geometry(self, operator: Operator, dtype: torch.dtype) -> Geometry:
        """Prepare the step for an operator.

        Raises
        ------
        MajorantError
            If the step asks more of the operator than it has.
        """

    @abstractmethod
    def begin(self, x: Tensor) -> Any:
        """Return the empty memory for points like ``x``, (n_batch, n_columns, n_times)."""

    @abstractmethod
    def step(
        self, x: Tensor, gradient: Tensor, memory: Any, geometry: Geometry
    ) -> tuple[Tensor, Any]:
        """Return the point one step leads to, and the memory after it."""

    def start(self, problem: Problem, generator: torch.Generator | None = None) -> Tensor:
        """Return the first point, shape (n_batch, n_columns, n_times).

        Noise is drawn anew from ``generator``, or the same for every sample without one, so that
        an estimate does not depend on its batch.
        """
        y, operator = problem.y, problem.operator
        if self.settings.start == "noise":
            n = problem.n_batch if generator is not None else 1
            drawn = torch.randn(
                (n, operator.n_columns, problem.n_times),
                generator=generator or torch.Generator().manual_seed(0),
                device="cpu" if generator is None else generator.device,
            )
            # Sources contiguous, as all that follows has them: what comes out keeps the layout.
            return 1e-3 * drawn.to(y).mT.contiguous().mT.expand(problem.n_batch, -1, -1)
        if self.settings.start in SCANNED:
            return scanned_start(problem, mean=self.settings.start == "mean")
        return _level(linear_start(problem, standardised=self.settings.start == "sloreta"))


def _level(x: Tensor) -> Tensor:
    """``x`` of root mean square 1."""
    return x * spread(inverse(rms(x)), x)


def scanned_start(problem: Problem, mean: bool) -> Tensor:
    """The mean over the single patches that would do, told that the head is right.

    Parameters
    ----------
    problem : Problem
        On the processor.
    mean : bool
        The mean of that and sLORETA's estimate, both of root mean square 1.

    Returns
    -------
    Tensor, shape (n_batch, n_columns, n_times)
        Of root mean square 1, in the dtype of the data.

    Raises
    ------
    MajorantError
        If the data are not on the processor.
    """
    if not problem.y.is_cpu:
        raise MajorantError(
            f"the patch scan runs on the processor, and the data are on {problem.y.device}; take "
            "device cpu, or a network that starts at sloreta"
        )
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        x = _level(solve(problem, _one_patch()).estimate.mT.contiguous().mT)
        return _level(x + _level(linear_start(problem, standardised=True))) if mean else x


@cache
def _one_patch() -> Scan:
    return Scan(n_most=1, radii_mm=GRADED_MM, falloff=1.0, spacing=0.0, tau=0.3, head_error=0.0)


def linear_start(problem: Problem, standardised: bool) -> Tensor:
    """Minimum-norm or sLORETA estimate as a start; the adjoint where there is no matrix.

    Parameters
    ----------
    problem : Problem
    standardised : bool
        Divide every source by the square root of its resolution (sLORETA).

    Returns
    -------
    Tensor, shape (n_batch, n_columns, n_times)
        In the dtype of the data.
    """
    y, operator = problem.y, problem.operator
    if operator.svd() is None:
        return operator.adjoint(y)
    # sources contiguous in memory, as the products of the networks want them
    return (y.mT @ _kernel(operator, standardised, y.dtype).mT).mT


_KERNELS: WeakKeyDictionary[Operator, dict[tuple[bool, torch.dtype], Tensor]] = WeakKeyDictionary()
"""Of operators that a start was made for; a live solver makes twenty a second for one."""


def _kernel(operator: Operator, standardised: bool, dtype: torch.dtype) -> Tensor:
    """What maps data to the start, (..., n_columns, n_sensors); made in float64, and once."""
    held = _KERNELS.setdefault(operator, {})
    if (standardised, dtype) not in held:
        svd = operator.svd()
        assert svd is not None
        power = svd.s**2
        damped = power + RIDGE * power.mean(-1, keepdim=True)
        kernel = (svd.vh.mT * (svd.s / damped)[..., None, :]) @ svd.u.mT
        if standardised:
            resolution = ((power / damped)[..., :, None] * svd.vh**2).sum(-2)
            kernel = kernel * inverse(resolution.sqrt())[..., :, None]
        held[standardised, dtype] = kernel.to(dtype)
    return held[standardised, dtype]


def rms(x: Tensor) -> Tensor:
    """Root mean square of every sample, float64, shape (n_batch,)."""
    return norm(x) / math.sqrt(x[0].numel())


def spread(scale: Tensor, like: Tensor) -> Tensor:
    """One number per sample, ready to multiply arrays of three axes."""
    return scale.to(like.dtype)[:, None, None]
