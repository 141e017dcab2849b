"""What an unrolled solver and its training ask of a network, whichever method it belongs to.

A network brings a prior and a step: from a point, the gradient of the cosine energy there and a
memory, it says where to go next. Everything is per sample.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import torch
from torch import Tensor, nn

from majorant.energies.cosine import inverse, norm
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MajorantError, Operator, Problem

RIDGE = 1.0 / 25.0
"""Regularisation of linear starts, relative to the mean squared singular value."""

Start = Literal["noise", "minimum-norm", "sloreta"]
STARTS = ("noise", "minimum-norm", "sloreta")


class UnrolledSettings(Protocol):
    """The settings that every method has."""

    @property
    def n_sources(self) -> int:
        """Sources."""
        ...

    @property
    def iterations(self) -> int:
        """Steps it is trained for."""
        ...

    @property
    def start(self) -> Start:
        """Where it starts."""
        ...

    @property
    def rate(self) -> float:
        """Sampling rate, Hz."""
        ...

    @property
    def weight(self) -> float:
        """Of the prior term."""
        ...


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
    prior : Autoencoder
    """

    def __init__(self, settings: SettingsT, prior: Autoencoder) -> None:
        super().__init__()
        self.settings: SettingsT = settings
        self.prior = prior

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
        x = linear_start(problem, standardised=self.settings.start == "sloreta")
        return x * spread(inverse(rms(x)), x)


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
    y, svd = problem.y, problem.operator.svd()
    if svd is None:
        return problem.operator.adjoint(y)
    power = svd.s**2
    damped = power + RIDGE * power.mean(-1, keepdim=True)
    inside = (svd.s / damped)[..., :, None] * (svd.u.mT @ y.to(svd.u.dtype))
    x = svd.vh.mT @ inside
    if standardised:
        resolution = ((power / damped)[..., :, None] * svd.vh**2).sum(-2)
        x = x * inverse(resolution.sqrt())[..., :, None]
    return x.to(y.dtype)


def rms(x: Tensor) -> Tensor:
    """Root mean square of every sample, float64, shape (n_batch,)."""
    return norm(x) / math.sqrt(x[0].numel())


def spread(scale: Tensor, like: Tensor) -> Tensor:
    """One number per sample, ready to multiply arrays of three axes."""
    return scale.to(like.dtype)[:, None, None]


def check_settings(settings: UnrolledSettings, *sizes: int) -> None:
    """Refuse what no method can use.

    Raises
    ------
    MajorantError
        If a size is not positive, the start unknown, or the rate not positive.
    """
    counts = (settings.n_sources, settings.iterations, *sizes)
    if min(counts) < 1:
        raise MajorantError(f"sizes {counts} of the network must all be 1 or more")
    if settings.start not in STARTS:
        raise MajorantError(f"start is {settings.start!r}; choose one of {', '.join(STARTS)}")
    if not (settings.rate > 0 and settings.weight >= 0):
        raise MajorantError(
            f"rate {settings.rate} and weight {settings.weight} were given; the rate must be "
            "positive and the weight not negative"
        )
