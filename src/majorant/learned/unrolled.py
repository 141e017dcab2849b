"""The network of MM-Net: prior, curvature and one step of it; used by training and by the solver.

One step from ``x`` with gradient ``g`` of the cosine energy: both are divided by their own root
mean square, two ConvLSTMs read them, and ``p = (rms x / rms g) softplus(f1 * f2 + b)`` is an
inverse curvature of the right scale. It is projected onto ``[nu, open)`` with
``nu = 1e-8 |x|^2``, and ``x <- x - gamma p * g``.

The Gram-structured step replaces ``g`` by ``d = (L'L + r I)^-1 g`` (thin SVD): the curvature of
the data term is ``L'L`` up to a factor, so ``d`` undoes its ill-conditioning and ``p`` has to
learn the rest only.

Source: the MM-Net paper (arXiv 2026), equations 12 and 13, algorithms 1 and 2. Normalisation is
per sample here; the public reference code divides by a number of the whole batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from majorant.energies.lengths import inverse
from majorant.learned.network import (
    RIDGE,
    Geometry,
    UnrolledNetwork,
    UnrolledSettings,
    rms,
    spread,
)
from majorant.networks.convlstm import CurvatureNetwork, Memory
from majorant.problem import MajorantError, Operator

FLOOR = 1e-8
"""Lowest inverse curvature, relative to ``|x|^2``; the paper's ``nu``."""


@dataclass(frozen=True)
class MMNetSettings(UnrolledSettings):
    """Sizes and rules of an MM-Net; the defaults are the paper's.

    Attributes
    ----------
    n_sources, prior_hidden, prior_kernels, eps, iterations, start, rate, weight
        See :class:`majorant.learned.network.UnrolledSettings`.
    hidden, outer, inner : int
        Channels of the ConvLSTMs, taps of encoders and decoders, taps of the cells.
    step : {"diagonal", "gram"}
        ``p * g``, or ``p * (L'L + r I)^-1 g`` with a learned ``r``.
    positive : bool
        Whether the softplus and the projection keep ``p`` positive; without them it is R-MM-Net.
    initial : float
        What the softplus starts at: the first step in units of ``|x|``.
    gamma : float
        Step length.
    window : float
        Length of the windows it is trained on, s; longer recordings are cut into such.
    """

    hidden: int = 48
    outer: int = 3
    inner: int = 3
    step: Literal["diagonal", "gram"] = "diagonal"
    positive: bool = True
    initial: float = 0.5
    gamma: float = 1.0
    window: float = 0.125

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.step not in ("diagonal", "gram"):
            raise MajorantError(f"step is {self.step!r}; choose one of diagonal, gram")
        if not (self.initial > 0 and 0 < self.gamma < 2 and self.window > 0):
            raise MajorantError(
                f"initial {self.initial}, gamma {self.gamma} and window {self.window} were given; "
                "they must be positive, and gamma below 2"
            )


class MMNetwork(UnrolledNetwork[MMNetSettings]):
    """Prior and curvature network of MM-Net.

    Parameters
    ----------
    settings : MMNetSettings
    generator : torch.Generator or None
        Draws the start of all parameters.
    """

    def __init__(self, settings: MMNetSettings, generator: torch.Generator | None = None) -> None:
        s = settings
        super().__init__(s, generator)
        self.curvature = CurvatureNetwork(
            s.n_sources, s.hidden, s.outer, s.inner, generator=generator
        )
        self.log_ridge = nn.Parameter(torch.tensor(math.log(RIDGE))) if s.step == "gram" else None
        self.offset = math.log(math.expm1(s.initial)) if s.positive else s.initial

    def geometry(self, operator: Operator, dtype: torch.dtype) -> Geometry:
        """Prepare the step for an operator.

        Raises
        ------
        MajorantError
            If the Gram-structured step is asked of a matrix-free operator.
        """
        if self.settings.step == "diagonal":
            return Geometry()
        svd = operator.svd()
        if svd is None:
            raise MajorantError(
                "the Gram-structured step needs a matrix, and the operator is matrix-free; use a "
                "network with step='diagonal'"
            )
        power = svd.s**2
        return Geometry(svd.vh.to(dtype), (power / power.mean(-1, keepdim=True)).to(dtype))

    def begin(self, x: Tensor) -> Memory:
        """Return the empty memory."""
        return self.curvature.begin(x)

    def step(
        self, x: Tensor, gradient: Tensor, memory: Memory, geometry: Geometry
    ) -> tuple[Tensor, Memory]:
        """Return the point one step leads to, and the memory after it."""
        s = self.settings
        direction = self._direction(gradient, geometry)
        size_x, over_d = rms(x), inverse(rms(direction))
        unit = direction * spread(over_d, x)
        raw, memory = self.curvature(unit, x * spread(inverse(size_x), x), memory)
        p = raw.add_(self.offset)
        if s.positive:
            p = F.softplus(p)
            nu = FLOOR * x[0].numel() * size_x**2 * inverse(size_x * over_d)
            p = torch.maximum(p, spread(nu, x))
        return x - p.mul_(unit).mul_(spread(s.gamma * size_x, x)), memory

    def _direction(self, gradient: Tensor, geometry: Geometry) -> Tensor:
        """``g``, or ``r (L'L + r I)^-1 g``; the scale is taken out again by the step."""
        if geometry.vh is None or geometry.power is None or self.log_ridge is None:
            return gradient
        keep = geometry.power / (geometry.power + self.log_ridge.exp())
        inside = (gradient.mT @ geometry.vh.mT) * keep[..., None, :]
        return gradient - (inside @ geometry.vh).mT
