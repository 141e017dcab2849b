"""The autoencoder prior, with everything the energy and the bounds need of it.

``Phi(x) = W_n * s(... s(W_1 * x))``: convolutions over time without bias, and the SoftReLU
``s(z) = (z + sqrt(z^2 + eps^2)) / 2``, which is smooth: ``0 < s' < 1`` and
``0 < s'' <= 1 / (2 eps)``. Jacobian products are explicit, so an unrolled solver is an ordinary
forward computation.

Source: the MM-Net paper (arXiv 2026), the manifold prior of section 3.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from majorant.linalg import Packed, linear, packed
from majorant.problem import MajorantError


def soft_relu(z: Tensor, eps: float) -> Tensor:
    """Return ``s(z) = (z + sqrt(z^2 + eps^2)) / 2``, without cancellation for negative ``z``."""
    return soft_relu_and_slope(z, eps)[0]


def soft_relu_slope(z: Tensor, eps: float) -> Tensor:
    """Return ``s'(z) = (1 + z / sqrt(z^2 + eps^2)) / 2``, in (0, 1)."""
    return soft_relu_and_slope(z, eps)[1]


def soft_relu_and_slope(z: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return ``s(z)`` and ``s'(z)`` from one root.

    ``(z + r) / 2 = max(z, 0) + eps^2 / (2 (r + |z|))`` with ``r = sqrt(z^2 + eps^2)`` cancels
    nowhere, and ``s' = s / r``.
    """
    root = torch.sqrt(z * z + eps * eps)
    value = torch.add(F.relu(z), torch.reciprocal(root + z.abs()), alpha=0.5 * eps * eps)
    return value, value / root


def soft_relu_curvature(z: Tensor, eps: float) -> Tensor:
    """Return ``s''(z) = eps^2 / (2 (z^2 + eps^2)^(3/2))``, in (0, 1 / (2 eps)]."""
    return 0.5 * eps * eps * torch.rsqrt(z * z + eps * eps) ** 3


class Conv(nn.Module):
    """A convolution over time that keeps the number of samples.

    Parameters
    ----------
    n_in, n_out : int
        Channels.
    kernel : int
        Odd length in samples; 1 is a pointwise map.
    generator : torch.Generator or None
        Draws the start: uniform on ``+-gain / sqrt(n_in * fan)``.
    bias : bool
        Whether a bias is added; it starts at zero.
    fan : int or None
        Taps counted in the scale of the start; None takes ``kernel``. A 3 x 3 convolution of an
        image of width 1 has the same middle column and counts 9.
    gain : float
        Scale of the start.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        kernel: int = 1,
        *,
        generator: torch.Generator | None = None,
        bias: bool = False,
        fan: int | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise MajorantError(f"a convolution of {kernel} taps is not possible; take 1, 3, 5, ..")
        limit = gain / float(n_in * (fan or kernel)) ** 0.5
        drawn = torch.rand(n_out, n_in, kernel, generator=generator)
        self.weight = nn.Parameter((2.0 * drawn - 1.0) * limit)
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        self._settled: tuple[Tensor | Packed, Tensor | Packed] | None = None
        self._size: float | None = None

    def settle(self) -> None:
        """Keep both products' matrices and the size, for weights that do not change any more."""
        with torch.no_grad():
            self._settled = packed(self._forth()), packed(self._back())
            self._size = self.size()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Conv:
        """Another dtype or device: what was kept is no longer what it was."""
        self._settled = self._size = None
        return super()._apply(fn, recurse)

    @property
    def kernel(self) -> int:
        """Number of taps."""
        return int(self.weight.shape[2])

    def size(self) -> float:
        """Norms of Frobenius of the taps, summed."""
        if self._size is not None:
            return self._size
        return float(self.weight.detach().flatten(0, 1).norm(dim=0).sum())

    def forward(self, x: Tensor) -> Tensor:
        """Map (n_batch, n_in, n_times) to (n_batch, n_out, n_times)."""
        flat = self._forth() if self._settled is None else self._settled[0]
        return linear(_taps(x.mT, self.kernel), flat, self.bias).mT

    def adjoint(self, v: Tensor) -> Tensor:
        """Return the transpose of the linear part, (n_batch, n_out, n_times) to (.., n_in, ..)."""
        flat = self._back() if self._settled is None else self._settled[1]
        return linear(_taps(v.mT, self.kernel, backwards=True), flat).mT

    def _forth(self) -> Tensor:
        """The taps of an output side by side, (n_out, kernel * n_in)."""
        if self.kernel == 1:
            return self.weight[..., 0]
        return self.weight.permute(0, 2, 1).flatten(1)

    def _back(self) -> Tensor:
        """The taps of an input side by side, (n_in, kernel * n_out)."""
        if self.kernel == 1:
            return self.weight[..., 0].mT
        return self.weight.permute(1, 2, 0).flatten(1)


def _taps(x: Tensor, kernel: int, backwards: bool = False) -> Tensor:
    """Put the neighbours in time beside each sample: (.., n_times, n) to (.., n_times, kernel n).

    A convolution is then one matrix product, which is faster than a library's convolution at these
    sizes, and keeps sources contiguous in memory where they come so.
    """
    if kernel == 1:
        return x
    n_times, half = x.shape[-2], kernel // 2
    wide = F.pad(x, (0, 0, half, half))
    order = range(kernel - 1, -1, -1) if backwards else range(kernel)
    return torch.cat([wide[..., k : k + n_times, :] for k in order], dim=-1)


@dataclass(frozen=True)
class Pass:
    """One forward pass, kept for Jacobian products and bounds.

    Attributes
    ----------
    output : Tensor, shape (n_batch, n_sources, n_times)
        ``Phi(x)``.
    before : tuple of Tensor, each (n_batch, n_hidden, n_times)
        What enters the non-linearities, first layer first.
    slopes : tuple of Tensor, like ``before``
        ``s'`` of it.
    """

    output: Tensor
    before: tuple[Tensor, ...]
    slopes: tuple[Tensor, ...]


@dataclass(frozen=True)
class Gain:
    """What a layer of a prior does to errors.

    Attributes
    ----------
    own : float
        Its product errs by ``u own |v|``.
    passes : float
        How much longer it makes an error that points anywhere.
    offset : float
        What its non-linearity adds to the norm of what it is given: its value at zero.
    """

    own: float
    passes: float
    offset: float = 0.0


class Prior(Protocol):
    """What the energy and its bounds ask of a prior: ``Phi`` with explicit Jacobian products."""

    @property
    def n_sources(self) -> int:
        """Rows in and out."""
        ...

    def trace(self, x: Tensor) -> Pass:
        """Run forward and keep what Jacobian products need."""
        ...

    def pullback(self, kept: Pass, v: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return ``J(x)' v``, and ``v`` pulled back to what leaves the non-linearities."""
        ...

    def bends(self, kept: Pass, arrived: tuple[Tensor, ...]) -> list[Tensor]:
        """Return what the residual adds to the curvature at each layer, from above."""
        ...

    def gains(self, n_times: int) -> tuple[Gain, ...]:
        """Return what every layer does to errors of rounding, first layer first."""
        ...

    def wide(self) -> Prior:
        """Return the same prior in float64."""
        ...


class Autoencoder(nn.Module):
    """The prior network ``Phi``.

    Parameters
    ----------
    widths : sequence of int
        Channels, input first; the paper's are (994, 128, 128, 994).
    kernels : sequence of int
        Taps of each layer; the paper's are (3, 3, 3). (1, 3, 1) projects the sources pointwise in
        time and convolves in the hidden layer only.
    eps : float
        Of the SoftReLU; 0.1 in the paper.
    generator : torch.Generator or None
        Draws the start.

    Raises
    ------
    MajorantError
        If the sizes do not describe an autoencoder.
    """

    def __init__(
        self,
        widths: Sequence[int] = (994, 128, 128, 994),
        kernels: Sequence[int] = (3, 3, 3),
        eps: float = 0.1,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(widths) != len(kernels) + 1 or len(kernels) < 1 or widths[0] != widths[-1]:
            raise MajorantError(
                f"widths {tuple(widths)} and kernels {tuple(kernels)} make no autoencoder; one "
                "kernel per layer, and as many channels out as in"
            )
        if not eps > 0:
            raise MajorantError(f"eps of the SoftReLU is {eps}; it has to be positive")
        self.eps = float(eps)
        self.layers = nn.ModuleList(
            Conv(a, b, k, generator=generator)
            for a, b, k in zip(widths[:-1], widths[1:], kernels, strict=True)
        )

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Weights of the layers, each (n_out, n_in, kernel), first layer first."""
        return tuple(layer.get_parameter("weight") for layer in self.layers)

    @property
    def n_sources(self) -> int:
        """Channels in and out."""
        return int(self.weights[0].shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return ``Phi(x)`` for ``x`` of shape (n_batch, n_sources, n_times)."""
        return self.trace(x).output

    def trace(self, x: Tensor) -> Pass:
        """Run forward and keep what Jacobian products need."""
        before: list[Tensor] = []
        slopes: list[Tensor] = []
        layers = self._convolutions()
        z = layers[0](x)
        for layer in layers[1:]:
            before.append(z)
            bent, slope = soft_relu_and_slope(z, self.eps)
            slopes.append(slope)
            z = layer(bent)
        return Pass(z, tuple(before), tuple(slopes))

    def pullback(self, kept: Pass, v: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Run the explicit backward pass.

        Parameters
        ----------
        kept : Pass
        v : Tensor, shape (n_batch, n_sources, n_times)

        Returns
        -------
        Tensor, like ``v``
            ``J(x)' v``.
        tuple of Tensor, each (n_batch, n_hidden, n_times)
            ``v`` pulled back to what leaves the non-linearities, first layer first; what the
            curvature of the prior is made of.
        """
        layers = self._convolutions()
        arrived: list[Tensor] = []
        for layer, slope in zip(reversed(layers[1:]), reversed(kept.slopes), strict=True):
            v = layer.adjoint(v)
            arrived.append(v)
            v = v * slope
        return layers[0].adjoint(v), tuple(reversed(arrived))

    def bends(self, kept: Pass, arrived: tuple[Tensor, ...]) -> list[Tensor]:
        """Return ``max(r s''(z), 0)`` of every non-linearity, first layer first.

        The negative part only lowers the curvature.
        """
        return [
            (r * soft_relu_curvature(z, self.eps)).clamp_min(0)
            for r, z in zip(arrived, kept.before, strict=True)
        ]

    def gains(self, n_times: int) -> tuple[Gain, ...]:
        """Return what every layer does to errors of rounding, first layer first."""
        found = []
        for layer in self._convolutions():
            (n_out, n_in, _), own = layer.weight.shape, layer.size()
            offset = 0.5 * self.eps * math.sqrt(n_out * n_times)
            found.append(Gain(own, own / math.sqrt(n_in), offset))
        return tuple(found)

    def wide(self) -> Autoencoder:
        """Return the same prior in float64."""
        return copy.deepcopy(self).requires_grad_(False).to(torch.float64)

    def pushforward(self, kept: Pass, v: Tensor) -> Tensor:
        """Return ``J(x) v``, (n_batch, n_sources, n_times)."""
        layers = self._convolutions()
        v = layers[0](v)
        for layer, slope in zip(layers[1:], kept.slopes, strict=True):
            v = layer(slope * v)
        return v

    def _convolutions(self) -> list[Conv]:
        return [layer for layer in self.layers if isinstance(layer, Conv)]
