"""One window of MM-Net at a time: the same formulas, written for a batch of one.

For a single window the matrix products take some ten microseconds each, and calling what lies
between them costs as much as doing it. So, where there is one window, the numbers of a sample are
Python's own instead of arrays of length one; arrays are (times, sources) and changed in place where
nobody else holds them; a convolution reads its neighbours out of one padded array; and products
that read the same array (lead field and first layer of the prior), or whose results are added
(their transposes), are one product. Weights are laid out beforehand as the products read them.

Nothing is decided here: energies stay sums in float64 without cancellation, and the guard asks them
as ever. What the formulas are is said where they are written for any batch:
``energies/cosine.py``, ``learned/unrolled.py``, ``networks/convlstm.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from majorant.energies.cosine import SIZE_LIMIT, CosineEnergy, CosinePoint, SourceState
from majorant.learned.network import UnrolledNetwork
from majorant.learned.unrolled import FLOOR, MMNetwork
from majorant.linalg import ENERGY_DTYPE, Packed, linear, packed
from majorant.networks.autoencoder import Autoencoder, Conv, Pass
from majorant.networks.convlstm import ConvLSTM, Memory
from majorant.problem import Problem

Cells = tuple[Tensor, Tensor, Tensor, Tensor]
"""Hidden and cell of the first ConvLSTM, and of the second, each (n_times, n_hidden)."""

SMALLEST, LARGEST = 1e-24, 1e36
"""Squared norms between which float32 holds a sum of squares to its rounding."""

FULL = float(torch.finfo(torch.float32).max)
"""The largest number of float32."""

LARGE = 2**17
"""Weights of at least this many numbers are laid out for oneDNN; its calls cost more than small
products take."""


def suits(network: UnrolledNetwork[Any], problem: Problem) -> bool:
    """Whether one window of this problem can be taken by the formulas here.

    They are for a network that looks at sources point by point in time, as the packaged ones do, a
    lead field that is one matrix, and float32 on the processor.

    Parameters
    ----------
    network : UnrolledNetwork
    problem : Problem
    """
    settings, matrix = network.settings, problem.operator.matrix()
    if not isinstance(network, MMNetwork) or matrix is None or matrix.ndim != 2:
        return False
    first, _, last = settings.prior_kernels
    pointwise = first == last == settings.outer == 1 and settings.step == "diagonal"
    usual = problem.y.dtype == matrix.dtype == torch.float32 and problem.y.is_cpu
    return pointwise and usual and problem.n_batch == 1


class Product:
    """``x W'``, laid out once.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in)
    """

    def __init__(self, weight: Tensor) -> None:
        weight = weight.detach()
        laid_out = packed(weight) if weight.numel() >= LARGE else weight
        self._packed = laid_out if isinstance(laid_out, Packed) else None
        self._turned = weight.T.contiguous()

    def __call__(self, x: Tensor) -> Tensor:
        """Map (n_rows, n_in) to (n_rows, n_out)."""
        return torch.mm(x, self._turned) if self._packed is None else linear(x, self._packed)

    def affine(self, x: Tensor, bias: Tensor, scale: float = 1.0) -> Tensor:
        """Return ``scale x W' + bias``."""
        return torch.addmm(bias, x, self._turned, alpha=_held(scale))


class Layers:
    """Lead field and prior as the products of a gradient read them.

    Parameters
    ----------
    lead : Tensor, shape (n_sensors, n_columns)
    prior : Autoencoder
        Of three layers, the outer ones pointwise in time.
    """

    def __init__(self, lead: Tensor, prior: Autoencoder) -> None:
        first, middle, last = prior.weights
        self.n_sensors, self.kernel = int(lead.shape[0]), int(middle.shape[2])
        self.eps2 = lead.new_tensor(prior.eps**2)
        self.see = Product(torch.cat([lead, first[:, :, 0]]))
        self.middle = Product(middle.permute(0, 2, 1).flatten(1))
        self.last = Product(last[:, :, 0])
        self.last_back = Product(last[:, :, 0].T)
        self.middle_back = Product(middle.flip(2).permute(1, 2, 0).flatten(1))
        self.see_back = Product(torch.cat([lead.T, first[:, :, 0].T], 1))

    def bent(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """``s(z)`` and ``s'(z)``, right to the rounding of ``z``, in as few passes as there are."""
        root = torch.addcmul(self.eps2, z, z).sqrt_()
        value = torch.add(z, root).mul_(0.5)
        return value, torch.div(value, root, out=root)


@dataclass(frozen=True)
class Look:
    """A forward pass through lead field and prior, rows first.

    Attributes
    ----------
    x : Tensor, shape (n_times, n_columns)
    a : Tensor, shape (n_times, n_sensors)
        ``L x``.
    before, slopes : tuple of Tensor, each (n_times, n_hidden)
        What enters the non-linearities, and ``s'`` of it.
    p : Tensor, shape (n_times, n_columns)
        ``Phi(x)``.
    """

    x: Tensor
    a: Tensor
    before: tuple[Tensor, Tensor]
    slopes: tuple[Tensor, Tensor]
    p: Tensor


@dataclass(frozen=True)
class Numbers:
    """Norms and cosines at a point, as a gradient needs them.

    Attributes
    ----------
    norm_a, norm_x, norm_p : float
        Of ``L x``, ``x`` and ``Phi(x)``.
    cos_data, cos_prior : float
    """

    norm_a: float
    norm_x: float
    norm_p: float
    cos_data: float
    cos_prior: float


class SingleEnergy(CosineEnergy):
    """The cosine energy of one window.

    Parameters
    ----------
    problem : Problem
        One that :func:`suits`.
    prior : Autoencoder
        Of three layers, the outer ones pointwise in time.
    weight : float
        Of the prior.
    layers : Layers
        Of the problem's lead field and the prior.
    """

    def __init__(self, problem: Problem, prior: Autoencoder, weight: float, layers: Layers) -> None:
        super().__init__(problem, prior, weight)
        rows = self._wide_y[0].mT.contiguous()
        self._wide, self._rows = rows.view(-1), rows.to(problem.y.dtype)
        self._narrow, self._quiet = self._rows.view(-1), bool(self._silent[0])
        self._layers = layers

    @torch.inference_mode()
    def evaluate(self, x: Tensor) -> CosinePoint:
        """Energy, its parts, and the gradient when it is asked for."""
        look = self.look(x[0].mT)
        wide, wide_p, seen = (v.reshape(-1).to(ENERGY_DTYPE) for v in (look.x, look.p, look.a))
        norm_a, norm_x, norm_p = _norm(seen), _norm(wide), _norm(wide_p)
        if not math.isfinite(norm_p) or not math.isfinite(norm_x):
            return super().evaluate(x)
        over_x, over_p = _inverse(norm_x), _inverse(norm_p)
        apart = _norm(seen.mul_(_inverse(norm_a)).sub_(self._wide))
        fidelity = 1.0 if norm_a == 0 or self._quiet else 0.5 * apart * apart
        apart = _norm(wide.mul_(over_x).sub_(wide_p, alpha=over_p))
        prior = 1.0 if over_x * over_p == 0 else 0.5 * apart * apart
        cos_data, cos_prior = 1.0 - fidelity, 1.0 - prior
        numbers = Numbers(norm_a, norm_x, norm_p, cos_data, cos_prior)

        @torch.inference_mode()
        def slopes() -> tuple[Tensor, tuple[Tensor, ...]]:
            gradient, arrived = self._backward(look, numbers)
            return _turned(gradient), tuple(_turned(v) for v in arrived)

        before = tuple(_turned(z) for z in look.before)
        kept = Pass(_turned(look.p), before, tuple(_turned(s) for s in look.slopes))
        energy = fidelity + self.weight * prior
        values = (energy, fidelity, prior, cos_data, norm_a, norm_x, cos_prior, norm_p)
        u, d, h, c, a, n, k, p = torch.tensor(values, dtype=ENERGY_DTYPE)[:, None].unbind(0)
        return CosinePoint(x, u, d, h, c, a, n, k, p, kept, slopes)

    def look(self, x: Tensor) -> Look:
        """Run forward from ``x`` of shape (n_times, n_columns)."""
        x, layers = x.contiguous(), self._layers
        both = layers.see(x)
        a, z1 = both[:, : layers.n_sensors], both[:, layers.n_sensors :]
        v1, s1 = layers.bent(z1)
        z2 = layers.middle(_neighbours((v1,), layers.kernel))
        v2, s2 = layers.bent(z2)
        return Look(x, a, (z1, z2), (s1, s2), layers.last(v2))

    def slope(self, x: Tensor) -> tuple[Tensor, float]:
        """The gradient alone at ``x``, rows first, and the norm of ``x``.

        Nothing is decided by it, so its numbers are summed in the dtype of the arrays.
        """
        look = self.look(x)
        a = look.a.reshape(-1)
        norm_a, norm_x, norm_p = _size(a), _size(look.x), _size(look.p)
        if not math.isfinite(norm_p) or not math.isfinite(norm_x):
            return self.gradient(_turned(x))[0].mT.contiguous(), norm_x
        cos_data = float(torch.dot(a, self._narrow)) * _inverse(norm_a)
        cos_prior = float(torch.dot(look.x.view(-1), look.p.view(-1)))
        cos_prior *= _inverse(norm_x) * _inverse(norm_p)
        if not math.isfinite(cos_data + cos_prior):  # products too large for the dtype
            return self.gradient(_turned(x))[0].mT.contiguous(), norm_x
        return self._backward(look, Numbers(norm_a, norm_x, norm_p, cos_data, cos_prior))[0], norm_x

    def _backward(self, look: Look, at: Numbers) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Gradient, and what arrived at the non-linearities; rows first."""
        over_a, over_x, over_p = (_inverse(n) for n in (at.norm_a, at.norm_x, at.norm_p))
        both, w, layers, n = over_x * over_p, self.weight, self._layers, self._layers.n_sensors
        into = torch.mul(look.p, _held(at.cos_prior * over_p**2)).sub_(look.x, alpha=_held(both))
        second = layers.last_back(into)
        first = layers.middle_back(_neighbours((second * look.slopes[1],), layers.kernel))
        joined = look.x.new_empty(look.x.shape[0], n + first.shape[1])
        of_data, of_prior = joined[:, :n], joined[:, n:]
        torch.mul(look.a, _held(at.cos_data * over_a**2), out=of_data)
        of_data.sub_(self._rows, alpha=_held(over_a))
        torch.mul(first, look.slopes[0], out=of_prior)
        if w != 1.0:
            of_prior.mul_(w)
        gradient = layers.see_back(joined)
        gradient.add_(look.x, alpha=_held(w * at.cos_prior * over_x**2))
        gradient.sub_(look.p, alpha=_held(w * both))
        return gradient, (first, second)


class SingleStep:
    """The network's step on one window.

    Parameters
    ----------
    network : MMNetwork
        One that :func:`suits`; its weights are copied here and must not change.
    """

    def __init__(self, network: MMNetwork) -> None:
        s, parts = network.settings, network.curvature
        self.gamma, self.positive, self.offset = s.gamma, s.positive, network.offset
        self._encode = [_affine(c) for c in (parts.encode_gradient, parts.encode_state)]
        self._decode = [_affine(c) for c in (parts.decode_1, parts.decode_2)]
        self._cells = [_Cell(cell) for cell in (parts.cell_1, parts.cell_2)]

    def __call__(
        self, x: Tensor, norm_x: float, gradient: Tensor, cells: Cells
    ) -> tuple[Tensor, float, Cells]:
        """Return the way and a number, whose product is the step, and the cells after it.

        Parameters
        ----------
        x, gradient : Tensor, shape (n_times, n_columns)
        norm_x : float
            Of ``x``.
        cells : tuple of Tensor, each (n_times, n_hidden)
            Hidden and cell of the first cell, and of the second.
        """
        root = math.sqrt(x.numel())
        size_x, over_g = norm_x / root, _inverse(_size(gradient) / root)
        (of_gradient, bias_g), (of_state, bias_s) = self._encode
        h1, c1, h2, c2 = cells
        h1, c1 = self._cells[0]((of_gradient.affine(gradient, bias_g, over_g), h1), c1)
        seen = of_state.affine(x, bias_s, _inverse(size_x))
        h2, c2 = self._cells[1]((seen, h1, h2), c2)
        (first, bias_1), (second, bias_2) = self._decode
        p = first.affine(h1, bias_1).mul_(second.affine(h2, bias_2)).add_(self.offset)
        if self.positive:
            p = F.softplus(p)
            p.clamp_(min=_held(FLOOR * x.numel() * size_x**2 * _inverse(size_x * over_g)))
        return p.mul_(gradient), _held(-self.gamma * size_x * over_g), (h1, c1, h2, c2)


@torch.inference_mode()
def advanced(
    energy: SingleEnergy, step: SingleStep, x: Tensor, gradient: Tensor, memory: Memory, steps: int
) -> tuple[CosinePoint, Memory]:
    """Take some steps; return the point they lead to, and the memory after them.

    Parameters
    ----------
    energy : SingleEnergy
    step : SingleStep
    x, gradient : Tensor, shape (1, n_columns, n_times)
    memory : Memory
    steps : int
    """
    here, slope = x[0].mT.contiguous(), gradient[0].mT.contiguous()
    held = (memory.hidden_1, memory.cell_1, memory.hidden_2, memory.cell_2)
    size, (a, b, c, d) = _size(here), (part[0].mT for part in held)
    cells: Cells = (a, b, c, d)
    for number in range(steps):
        if number:
            slope, size = energy.slope(here)
        way, length, cells = step(here, size, slope, cells)
        there = torch.add(here, way, alpha=length)
        if not abs(length) * _size(way) <= SIZE_LIMIT * size:
            origin, proposed = SourceState(_turned(here)), SourceState(_turned(there))
            there = energy.admissible(origin, proposed).x[0].mT.contiguous()
        here = there
    return energy.evaluate(_turned(here)), Memory(*(_turned(part) for part in cells))


class _Cell:
    """A ConvLSTM cell on one window."""

    def __init__(self, cell: ConvLSTM) -> None:
        self._kernel = cell.gates.kernel
        self._gates = Product(cell.gates.weight.permute(0, 2, 1).flatten(1))
        assert cell.gates.bias is not None
        self._bias = cell.gates.bias.detach()

    def __call__(self, inputs: tuple[Tensor, ...], cell: Tensor) -> tuple[Tensor, Tensor]:
        """Return new hidden and cell, (n_times, n_hidden) each; ``inputs`` end with the hidden."""
        n = cell.shape[1]
        gates = self._gates.affine(_neighbours(inputs, self._kernel), self._bias)
        let_in, keep, let_out = gates[:, : 3 * n].sigmoid_().split(n, 1)
        cell = torch.mul(keep, cell).addcmul_(let_in, gates[:, 3 * n :].tanh_())
        return torch.mul(let_out, cell.tanh()), cell


def _neighbours(parts: tuple[Tensor, ...], kernel: int) -> Tensor:
    """Rows side by side with those before and after them, (n_times, kernel * n), one copy."""
    rows = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    if kernel == 1:
        return rows
    (n_times, width), half = rows.shape, kernel // 2
    edge = rows.new_zeros(half, width)
    wide = torch.cat((edge, rows, edge))
    return wide.as_strided((n_times, kernel * width), (width, 1)).contiguous()


def _affine(layer: Conv) -> tuple[Product, Tensor]:
    assert layer.bias is not None
    return Product(layer.weight[:, :, 0]), layer.bias.detach()


def _turned(x: Tensor) -> Tensor:
    """Rows first to a batch of one with sources first, the same memory."""
    return x.mT[None]


def _norm(wide: Tensor) -> float:
    """Euclidean norm of a vector in float64."""
    return math.sqrt(float(torch.dot(wide, wide)))


def _size(x: Tensor) -> float:
    """Euclidean norm, summed in the dtype of ``x`` where that holds the square."""
    flat = x.view(-1)
    square = float(torch.dot(flat, flat))
    return math.sqrt(square) if SMALLEST < square < LARGEST else _norm(flat.to(ENERGY_DTYPE))


def _held(number: float) -> float:
    """The number as float32 holds it: infinite where it is too large, as in a tensor."""
    return math.copysign(math.inf, number) if abs(number) > FULL else number


def _inverse(size: float) -> float:
    """``1 / size``, and 0 where ``size`` is 0 or NaN."""
    return 1.0 / size if size > 0 else 0.0
