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

from majorant.energies.lengths import inverse
from majorant.learned.network import (
    Geometry,
    UnrolledNetwork,
    UnrolledSettings,
    rms,
    spread,
)
from majorant.learned.windows import join, split
from majorant.problem import MajorantError, Operator


@dataclass(frozen=True)
class MetaCurvatureSettings(UnrolledSettings):
    """Sizes and rules of a Meta-Curvature network; the defaults are the paper's.

    Attributes
    ----------
    n_sources, prior_hidden, prior_kernels, eps, iterations, start, rate, weight
        See :class:`majorant.learned.network.UnrolledSettings`.
    n_times : int
        Samples of a window.
    step : float
        Length of a step.
    relative : bool
        Whether steps are in units of the root mean square of ``x``.
    """

    n_times: int = 64
    step: float = 1e-3
    relative: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
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
        super().__init__(s, generator)
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
