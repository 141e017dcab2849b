"""The network's step, rows first and in place."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from majorant.energies.cosine import SIZE_LIMIT
from majorant.learned.fused import kernels
from majorant.learned.fused.energy import FusedPoint, Look
from majorant.learned.fused.kernels import Array
from majorant.learned.fused.rows import (
    Product,
    RowProducts,
    Rows,
    bias,
    parts,
    rows_first,
    samples_first,
)
from majorant.learned.unrolled import FLOOR, MMNetwork
from majorant.networks.convlstm import ConvLSTM


class FusedCells:
    """What the two ConvLSTM cells read and remember.

    Parameters
    ----------
    n_rows, n_hidden : int
    widths : sequence of int
        Of what each of them reads: taps * (n_in + n_hidden).

    Attributes
    ----------
    hidden : Tensor, shape (2, n_rows, n_hidden)
    said, held : array, shape (2, n_rows, n_hidden)
        ``hidden`` in the same memory, and the cells.
    wide : tuple of Rows
    """

    def __init__(self, n_rows: int, n_hidden: int, widths: Sequence[int]) -> None:
        self.hidden, cells = torch.zeros(2, 2, n_rows, n_hidden)
        self.said, self.held = self.hidden.numpy(), cells.numpy()
        self.wide = tuple(Rows.empty(n_rows, width) for width in widths)


class FusedStep:
    """The network's step.

    Parameters
    ----------
    network : MMNetwork
        One that :func:`majorant.learned.fused.suits`; its weights are copied here and must
        not change.
    """

    def __init__(self, network: MMNetwork) -> None:
        s, net = network.settings, network.curvature
        self._gamma, self._positive, self._offset = s.gamma, s.positive, network.offset
        self._n_hidden, self._gates = s.hidden, [_Gates(cell) for cell in (net.cell_1, net.cell_2)]
        self._encode = Product(net.encode_gradient.weight[:, :, 0])
        self._decode = RowProducts([net.decode_1.weight[:, :, 0], net.decode_2.weight[:, :, 0]])
        layers = (net.encode_gradient, net.encode_state, net.decode_1, net.decode_2)
        self._biases = [bias(layer) for layer in layers]

    def begin(self, n_rows: int) -> FusedCells:
        """Empty cells."""
        return FusedCells(n_rows, self._n_hidden, [gates.width for gates in self._gates])

    def __call__(
        self, x: Array, slope: Array, look: Look, cells: FusedCells, numbers: Array
    ) -> None:
        """Step to another ``x``, and remember.

        Parameters
        ----------
        x, slope : array, shape (n_rows, n_columns)
        look : Look
            At ``x``.
        cells : FusedCells
        numbers : array, shape (n_batch, n_numbers)
            With the norms of both.
        """
        (h1, h2), (c1, c2), (wide_1, wide_2) = cells.said, cells.held, cells.wide
        of_slope, of_state, of_first, of_second = self._biases
        root, (first, second) = math.sqrt(x.size / len(numbers)), self._gates
        code, skip = self._encode(torch.from_numpy(slope)), look.seen.shape[1] - of_state.size
        sizes = numbers[:, kernels.NORM_SLOPE] / root
        kernels.gather(code, 0, of_slope, sizes, h1[:, :0], h1, wide_1.array)
        kernels.remember(first.product(wide_1.tensor), first.bias, h1, c1)
        sizes = numbers[:, kernels.NORM_X] / root
        kernels.gather(look.seen, skip, of_state, sizes, h1, h2, wide_2.array)
        kernels.remember(second.product(wide_2.tensor), second.bias, h2, c2)
        p, other = self._decode(cells.hidden)
        kernels.decode(p, of_first, other, of_second, self._offset, self._positive)
        rules = (self._positive, self._gamma, FLOOR, SIZE_LIMIT)
        kernels.move(p, slope, *rules, numbers, x)


class _Gates:
    """The gates of a ConvLSTM cell."""

    def __init__(self, cell: ConvLSTM) -> None:
        weight = cell.gates.weight
        self.width = int(weight.shape[1] * weight.shape[2])
        self.product = Product(weight.permute(0, 2, 1).flatten(1))
        self.bias = bias(cell.gates)


def advanced(
    step: FusedStep, point: FusedPoint, memory: Sequence[FusedCells], steps: int
) -> Tensor:
    """Take some steps; return where they lead, (n_batch, n_columns, n_times).

    Parameters
    ----------
    step : FusedStep
    point : FusedPoint
        Where they begin.
    memory : sequence of FusedCells
        Of every part of the batch; changed in place.
    steps : int
    """
    energy, n_batch = point.home, len(point.x)
    here = rows_first(point.x).clone()
    for look, back, (_, rows), cells in zip(
        point.looks, point.backs, parts(n_batch, energy.n_times), memory, strict=True
    ):
        x, numbers = Rows(here[rows]), look.numbers.copy()
        for number in range(steps):
            if number:
                look = energy.look(x, rows, numbers, exact=False)
                back = energy.backward(look)
            step(x.array, back.gradient, look, cells, numbers)
    return samples_first(here, n_batch)
