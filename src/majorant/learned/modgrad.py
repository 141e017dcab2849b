"""ModGrad: a generated mask multiplies the gradient.

``x <- x - step M(c) * g``. Two perceptrons turn a context ``c`` into five candidates each and
their weights; the mixtures ``u`` and ``v`` make a mask ``relu(u v')`` of rank one over time by
time, and a convolution decodes it to sources by time. The context is the negative gradient of the
energy after a step with respect to the context that made the step, zero at first: it says how the
mask should have been.

The published context comes from an inner loop of its own; here it comes from the gradients that
the iterations meet anyway, and costs one pass through the generator. The bias of the decoder
starts at 1, so an untrained network is close to gradient descent. The mask has the size of a window
of samples; longer data are treated window by window. ``relative=True`` is our variant for tuned
rows: ``g`` in units of its root mean square and the step in units of that of ``x``.

Source: Simon, Koniusz, Nock and Harandi, ECCV 2020; as a baseline of the MM-Net paper (arXiv
2026), Table I.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
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
from majorant.networks.autoencoder import Conv
from majorant.problem import MajorantError, Operator


@dataclass(frozen=True)
class ModGradSettings(UnrolledSettings):
    """Sizes and rules of a ModGrad network; the defaults are the paper's.

    Attributes
    ----------
    n_sources, prior_hidden, prior_kernels, eps, iterations, start, rate, weight
        See :class:`majorant.learned.network.UnrolledSettings`.
    n_times : int
        Samples of a window.
    context : int
        Length of the context.
    mixture : int
        Candidates of each factor of the mask.
    kernel : int
        Taps of the decoder.
    step : float
        Length of a step.
    relative : bool
        Whether steps are in units of the root mean square of ``x``.
    """

    n_times: int = 64
    context: int = 2304
    mixture: int = 5
    kernel: int = 3
    step: float = 1e-3
    relative: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.step > 0:
            raise MajorantError(f"the step is {self.step}; it has to be positive")


@dataclass(frozen=True)
class Lesson:
    """What the last step teaches.

    Attributes
    ----------
    context : Tensor, shape (n_windows, n_context)
        Of the last step; a sample has one a window.
    gradient : Tensor or None, shape (n_windows, n_sources, n_times)
        What the last mask multiplied; None before the first step.
    """

    context: Tensor
    gradient: Tensor | None


class Factor(nn.Module):
    """From a context to one factor of the mask: a mixture of candidates.

    Parameters
    ----------
    n_context, n_times, mixture : int
    generator : torch.Generator or None
        Draws the start.
    """

    def __init__(
        self, n_context: int, n_times: int, mixture: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        self.mixture = mixture
        self.first = _linear(n_context, n_times, generator)
        self.second = _linear(n_times, mixture + mixture * n_times, generator)

    def forward(self, context: Tensor) -> Tensor:
        """Map (n_windows, n_context) to (n_windows, n_times)."""
        out = self.second(F.relu(self.first(context)))
        share = out[:, : self.mixture].softmax(1)
        return (share[:, :, None] * out[:, self.mixture :].unflatten(1, (self.mixture, -1))).sum(1)


class ModGradNetwork(UnrolledNetwork[ModGradSettings]):
    """Prior and mask generator.

    Parameters
    ----------
    settings : ModGradSettings
    generator : torch.Generator or None
        Draws the start of all parameters.
    """

    def __init__(self, settings: ModGradSettings, generator: torch.Generator | None = None) -> None:
        s = settings
        super().__init__(s, generator)
        self.left = Factor(s.context, s.n_times, s.mixture, generator)
        self.right = Factor(s.context, s.n_times, s.mixture, generator)
        self.decode = Conv(s.n_times, s.n_sources, s.kernel, generator=generator, bias=True)
        if self.decode.bias is not None:
            nn.init.ones_(self.decode.bias)

    def geometry(self, operator: Operator, dtype: torch.dtype) -> Geometry:
        """Nothing is needed of the operator."""
        return Geometry()

    def begin(self, x: Tensor) -> Lesson:
        """A context of zeros, no step yet."""
        n_windows = x.shape[0] * -(-x.shape[2] // self.settings.n_times)
        return Lesson(x.new_zeros(n_windows, self.settings.context), None)

    def mask(self, context: Tensor) -> Tensor:
        """Return the mask of a context, (n_windows, n_sources, n_times)."""
        outer = self.left(context)[:, :, None] * self.right(context)[:, None, :]
        return self.decode(F.relu(outer))

    def step(
        self, x: Tensor, gradient: Tensor, memory: Lesson, geometry: Geometry
    ) -> tuple[Tensor, Lesson]:
        """Return the point one step leads to, and what it teaches."""
        s = self.settings
        g = gradient * spread(inverse(rms(gradient)), x) if s.relative else gradient
        parts = split(g, s.n_times)
        context = memory.context
        if memory.gradient is not None:
            context = self._learned(context, memory.gradient * parts)
        move = s.step * join(self.mask(context) * parts, x.shape[2])
        move = move * spread(rms(x), x) if s.relative else move
        return x - move, Lesson(context, parts)

    def _learned(self, context: Tensor, product: Tensor) -> Tensor:
        """The next context: minus the slope of the energy along the last context.

        The last step was ``-step M(c) * g`` and the slope of the energy after it is the new
        gradient, so the slope along ``c`` is that of ``-step sum(M(c) * g * g_new)``.
        """
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            at = context if context.requires_grad else context.detach().requires_grad_(True)
            won = self.settings.step * (self.mask(at) * product).sum()
            (slope,) = torch.autograd.grad(won, at, create_graph=training)
        return slope if training else slope.detach()


def _linear(n_in: int, n_out: int, generator: torch.Generator | None) -> nn.Linear:
    """A linear map whose start is drawn from ``generator``: uniform on ``+-1 / sqrt(n_in)``."""
    made = nn.Linear(n_in, n_out)
    limit = 1.0 / math.sqrt(n_in)
    with torch.no_grad():
        for p in (made.weight, made.bias):
            p.copy_((2.0 * torch.rand(p.shape, generator=generator) - 1.0) * limit)
    return made
