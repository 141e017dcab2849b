"""Meta-Curvature: the gradient between two learned matrices.

``x <- x - step m_f M_o g M_i'`` with ``M_o`` over sources, ``M_i`` over time and a factor ``m_f``,
all of them the identity at the start: an untrained network is gradient descent.

``M_i`` has the size of a window of samples; longer data are treated window by window.
``relative=True`` is our variant for tuned rows: ``g`` in units of its root mean square and the
step in units of that of ``x``, so that its length means the same for every scale of the data.

Source: Park and Oliva, NeurIPS 2019; as a baseline of the MM-Net paper (arXiv 2026), Table I.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from majorant.energies.cosine import inverse
from majorant.learned.network import (
    Geometry,
    Start,
    UnrolledNetwork,
    check_settings,
    rms,
    spread,
)
from majorant.learned.windows import join, split
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MajorantError, Operator


@dataclass(frozen=True)
class MetaCurvatureSettings:
    """Sizes and rules of a Meta-Curvature network; the defaults are the paper's.

    Attributes
    ----------
    n_sources, prior_hidden, prior_kernels, eps
        Of the prior, as in :class:`majorant.learned.unrolled.MMNetSettings`.
    n_times : int
        Samples of a window.
    iterations : int
    start : {"noise", "minimum-norm", "sloreta"}
    step : float
        Length of a step.
    relative : bool
        Whether steps are in units of the root mean square of ``x``.
    rate : float
        Sampling rate the networks work at, Hz.
    weight : float
        Of the prior term.
    """

    n_sources: int = 994
    prior_hidden: int = 128
    prior_kernels: tuple[int, int, int] = (3, 3, 3)
    eps: float = 0.1
    n_times: int = 64
    iterations: int = 10
    start: Start = "noise"
    step: float = 1e-3
    relative: bool = False
    rate: float = 512.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_settings(self, self.prior_hidden, self.n_times)
        if not self.step > 0:
            raise MajorantError(f"the step is {self.step}; it has to be positive")


class MetaCurvatureNetwork(UnrolledNetwork[MetaCurvatureSettings]):
    """Prior and matrices.

    Parameters
    ----------
    settings : MetaCurvatureSettings
    generator : torch.Generator or None
        Draws the start of the prior; the matrices start as identities.
    """

    def __init__(
        self, settings: MetaCurvatureSettings, generator: torch.Generator | None = None
    ) -> None:
        s = settings
        prior = Autoencoder(
            (s.n_sources, s.prior_hidden, s.prior_hidden, s.n_sources),
            s.prior_kernels,
            s.eps,
            generator=generator,
        )
        super().__init__(s, prior)
        self.over_sources = nn.Parameter(torch.eye(s.n_sources))
        self.over_time = nn.Parameter(torch.eye(s.n_times))
        self.factor = nn.Parameter(torch.ones(()))

    def geometry(self, operator: Operator, dtype: torch.dtype) -> Geometry:
        """Nothing is needed of the operator."""
        return Geometry()

    def begin(self, x: Tensor) -> None:
        """Nothing is remembered."""
        return

    def step(
        self, x: Tensor, gradient: Tensor, memory: None, geometry: Geometry
    ) -> tuple[Tensor, None]:
        """Return the point one step leads to."""
        s = self.settings
        g = gradient * spread(inverse(rms(gradient)), x) if s.relative else gradient
        bent = join(split(self.over_sources @ g, s.n_times) @ self.over_time.T, x.shape[2])
        move = (s.step * self.factor) * bent
        return x - (move * spread(rms(x), x) if s.relative else move), None
