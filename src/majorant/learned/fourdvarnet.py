"""4DVarNet: a ConvLSTM turns the gradient into the step.

``x <- x - [M(g / rms g) / (k + 1) + c (k + 1) / 10 g]`` in iteration k, counted from 0: the
learned step fades and plain descent takes over. ``M`` is one ConvLSTM with a decoder.

The gradient is divided by its own root mean square, sample by sample; the published code divides
by that of the first gradient of the whole batch, so that neighbours interact. ``relative=True``
is our variant for tuned rows: both terms in units of the size of ``x``, so that ``c`` means the
same for every scale of the data.

Source: Fablet et al., J. Adv. Model. Earth Syst. 13, 2021; as a baseline of the MM-Net paper
(arXiv 2026), Table I.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.energies.lengths import inverse
from majorant.learned.network import (
    Geometry,
    UnrolledNetwork,
    UnrolledSettings,
    rms,
    spread,
)
from majorant.networks.autoencoder import Conv
from majorant.networks.convlstm import SQUARE, ConvLSTM
from majorant.problem import MajorantError, Operator

HORIZON = 10
"""Iterations of the published schedule."""


@dataclass(frozen=True)
class FourDVarSettings(UnrolledSettings):
    """Sizes and rules of a 4DVarNet; the defaults are the paper's.

    Attributes
    ----------
    n_sources, prior_hidden, prior_kernels, eps, iterations, start, rate, weight
        See :class:`majorant.learned.network.UnrolledSettings`.
    hidden, outer, inner : int
        Channels of the ConvLSTM, taps of its decoder, taps of its gates.
    descent : float
        Length ``c`` of the plain descent.
    relative : bool
        Whether steps are in units of the root mean square of ``x``.
    """

    hidden: int = 48
    outer: int = 3
    inner: int = 3
    descent: float = 1e-3
    relative: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.descent >= 0:
            raise MajorantError(f"the descent is {self.descent}; it may not be negative")


@dataclass(frozen=True)
class Recall:
    """What the modulator remembers.

    Attributes
    ----------
    hidden, cell : Tensor, shape (n_batch, n_hidden, n_times)
    k : int
        Iterations done.
    """

    hidden: Tensor
    cell: Tensor
    k: int


class FourDVarNetwork(UnrolledNetwork[FourDVarSettings]):
    """Prior and modulator of a 4DVarNet.

    Parameters
    ----------
    settings : FourDVarSettings
    generator : torch.Generator or None
        Draws the start of all parameters.
    """

    def __init__(
        self, settings: FourDVarSettings, generator: torch.Generator | None = None
    ) -> None:
        s = settings
        super().__init__(s, generator)
        self.cell = ConvLSTM(s.n_sources, s.hidden, s.inner, generator)
        self.decode = Conv(
            s.hidden,
            s.n_sources,
            s.outer,
            generator=generator,
            bias=True,
            fan=SQUARE * s.outer if s.outer > 1 else None,
        )

    def geometry(self, operator: Operator, dtype: torch.dtype) -> Geometry:
        """Nothing is needed of the operator."""
        return Geometry()

    def begin(self, x: Tensor) -> Recall:
        """Empty cells, no iterations."""
        empty = x.new_zeros(x.shape[0], self.settings.hidden, x.shape[2])
        return Recall(empty, empty, 0)

    def step(
        self, x: Tensor, gradient: Tensor, memory: Recall, geometry: Geometry
    ) -> tuple[Tensor, Recall]:
        """Return the point one step leads to, and the memory after it."""
        s, k = self.settings, memory.k + 1
        unit = gradient * spread(inverse(rms(gradient)), x)
        hidden, cell = self.cell(unit, memory.hidden, memory.cell)
        modulated = self.decode(hidden) / k
        plain = (unit if s.relative else gradient) * (s.descent * k / HORIZON)
        move = modulated + plain
        if s.relative:
            move = move * spread(rms(x), x)
        return x - move, Recall(hidden, cell, k)
