"""A prior that knows no source by its number: analysis and synthesis over neighbourhoods.

``Phi(x) = S shrink(W shrink(A x))`` with

- ``A``: channels, each a combination of a source and of its averages at every scale;
- ``shrink``: ``s(z) = z (1 - 1 / sqrt(1 + |z|^2 / tau^2))`` for the time course ``z`` of one source
  in one channel: small rows vanish, large ones lose ``tau``; the thresholds ``tau`` are learned;
- ``W``: a mixture of channels;
- ``S``: back, by the adjoints of the averages.

Every part is the same for all sources, and looks at rows as wholes: permuting the sources permutes
the output, and turning time (an orthonormal change of samples) turns it. ``s`` is the gradient of a
convex function, ``0 <= D s < 1``, and ``|D^2 s[d, d]| <= b(|z| / tau) |d|^2 / tau`` with ``b`` at
most 0.859; so the norms and the bounds of the prior are in closed form (``docs/guarantees.md``).
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from majorant.learned.shared.neighbourhoods import Neighbourhoods
from majorant.linalg import spectral_norm_bound
from majorant.majorants.prior import LayerNorms
from majorant.networks.autoencoder import Gain, Pass

STEEPEST = 1.5 * 0.8**2.5
"""Largest ``b``: ``3 u (1 + u^2)^(-5/2)`` at ``u = 1/2``."""


def shrink(z: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """Shrink rows.

    Parameters
    ----------
    z : Tensor, shape (..., n_rows, k)
    tau : Tensor, broadcasts to (..., n_rows, 1)

    Returns
    -------
    value : Tensor, like ``z``
    inverse : Tensor, shape (..., n_rows, 1)
        ``1 / sqrt(1 + |z|^2 / tau^2)``.
    """
    inverse = torch.rsqrt(1.0 + z.square().sum(-1, keepdim=True) / tau.square())
    return z * (1.0 - inverse), inverse


def shrink_product(z: Tensor, tau: Tensor, inverse: Tensor, v: Tensor) -> Tensor:
    """Return ``D s(z) v``; the Jacobian is symmetric."""
    u = z / tau
    return (1.0 - inverse) * v + inverse**3 * (u * v).sum(-1, keepdim=True) * u


def shrink_bend(z: Tensor, tau: Tensor) -> Tensor:
    """Return the norm of ``D^2 s(z)``, (..., n_rows, 1).

    The third derivative of a function is symmetric, so its norm is attained on one direction
    (Banach): the maximum over ``c`` of ``3 a^3 r c (1 - a^2 r^2 c^2)``, ``r = |z| / tau``,
    ``a = 1 / sqrt(1 + r^2)``.
    """
    r2 = (z / tau).square().sum(-1, keepdim=True)
    a2 = 1.0 / (1.0 + r2)
    flat = 3.0 * r2.sqrt() * a2**2.5
    return torch.where(r2 <= 0.5, flat, 2.0 / math.sqrt(3.0) * a2) / tau


class PatchLayers(nn.Module):
    """The numbers of the prior.

    Parameters
    ----------
    n_channels, n_scales : int
    generator : torch.Generator or None
        Draws the start.
    """

    def __init__(
        self, n_channels: int, n_scales: int, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        h, m = n_channels, n_scales + 1

        def drawn(*shape: int, scale: float) -> nn.Parameter:
            return nn.Parameter(scale * torch.randn(*shape, generator=generator))

        self.analysis = drawn(h, m, scale=0.5)
        self.mix = nn.Parameter(torch.eye(h) + 0.1 * torch.randn(h, h, generator=generator))
        self.synthesis = drawn(h, m, scale=0.3)
        self.thresholds = nn.Parameter(torch.linspace(-1.0, 1.0, h).repeat(2, 1))

    def taus(self) -> tuple[Tensor, Tensor]:
        """Return the thresholds of both layers, (n_channels,); the mean power of a row is 1."""
        first, second = self.thresholds.clamp(-5.0, 5.0).exp()
        return first, second


@dataclass(frozen=True, eq=False)
class PatchPrior:
    """The prior on one source space.

    Attributes
    ----------
    layers : PatchLayers
    near : Neighbourhoods
    n_sources : int
    """

    layers: PatchLayers
    near: Neighbourhoods
    n_sources: int

    def __call__(self, x: Tensor) -> Tensor:
        """Return ``Phi(x)`` for ``x`` of shape (n_batch, n_sources, k)."""
        return self.trace(x).output

    def trace(self, x: Tensor, averages: Tensor | None = None) -> Pass:
        """Run forward and keep what Jacobian products need.

        Parameters
        ----------
        x : Tensor, shape (n_batch, n_sources, k)
        averages : Tensor, optional
            Those of ``x``, where they are known.
        """
        seen = self.near.average(x) if averages is None else averages
        channels = torch.cat([x[:, None], seen], 1)
        first, second = (t[:, None, None] for t in self.layers.taus())
        z1 = mixed(self.layers.analysis, channels)
        bent, inverse_1 = shrink(z1, first)
        z2 = mixed(self.layers.mix, bent)
        bent, inverse_2 = shrink(z2, second)
        back = mixed(self.layers.synthesis.mT, bent)
        output = back[:, 0] + self.near.gather(back[:, 1:])
        slopes = tuple((1.0 - a**3).flatten(1, 2) for a in (inverse_1, inverse_2))
        return Pass(output, (z1.flatten(1, 2), z2.flatten(1, 2)), slopes)

    def pullback(self, kept: Pass, v: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the explicit backward pass: ``J(x)' v``, and what arrived at the shrinkages."""
        h = len(self.layers.analysis)
        z1, z2 = (z.unflatten(1, (h, -1)) for z in kept.before)
        first, second = (t[:, None, None] for t in self.layers.taus())
        seen = torch.cat([v[:, None], self.near.average(v)], 1)
        late = mixed(self.layers.synthesis, seen)
        middle = mixed(self.layers.mix.mT, _through(z2, second, late))
        back = mixed(self.layers.analysis.mT, _through(z1, first, middle))
        arrived = (middle.flatten(1, 2), late.flatten(1, 2))
        return back[:, 0] + self.near.gather(back[:, 1:]), arrived

    def bends(self, kept: Pass, arrived: tuple[Tensor, ...]) -> list[Tensor]:
        """Return what the residual adds to the curvature at each shrinkage, from above."""
        h, found = len(self.layers.analysis), []
        for z, r, tau in zip(kept.before, arrived, self.layers.taus(), strict=True):
            bend = shrink_bend(z.unflatten(1, (h, -1)), tau[:, None, None]).flatten(1, 2)
            found.append(r.norm(dim=-1, keepdim=True) * bend)
        return found

    def gains(self, n_times: int) -> tuple[Gain, ...]:
        """Return what every layer does to errors of rounding: at most its norm."""
        return tuple(Gain(size, size) for size in self.norms().spectral)

    def wide(self) -> PatchPrior:
        """Return the same prior in float64."""
        layers = copy.deepcopy(self.layers).requires_grad_(False).to(torch.float64)
        return replace(self, layers=layers)

    def norms(self) -> LayerNorms:
        """Return norms of the layers, in closed form."""
        sizes = (1.0, *self.near.bounds)
        layers = self.layers

        def joined(weight: Tensor) -> float:
            return sum(float(w.norm()) * size for w, size in zip(weight.T, sizes, strict=True))

        spectral = (
            joined(layers.analysis.detach().double()),
            float(spectral_norm_bound(layers.mix.detach())),
            joined(layers.synthesis.detach().double()),
        )
        bends = tuple(STEEPEST / float(tau.detach().min()) for tau in layers.taus())
        return LayerNorms(spectral, bends=bends)

    def parameters(self) -> Any:
        """Return the numbers."""
        return self.layers.parameters()


def mixed(weight: Tensor, channels: Tensor) -> Tensor:
    """Mix channels: ``weight`` (n_out, n_in) times (n_batch, n_in, n_sources, k)."""
    return (weight @ channels.flatten(2)).unflatten(2, channels.shape[2:])


def _through(z: Tensor, tau: Tensor, v: Tensor) -> Tensor:
    """``v`` through the Jacobian of a shrinkage."""
    inverse = torch.rsqrt(1.0 + (z / tau).square().sum(-1, keepdim=True))
    return shrink_product(z, tau, inverse, v)
