"""Arrays with rows first, and the products that read them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from majorant.learned.fused.kernels import Array
from majorant.linalg import Packed, onednn, packed
from majorant.networks.autoencoder import Conv

LARGE, FEW = 2**17, 64
"""Weights of fewer numbers, times at most so many rows, are left to BLAS: oneDNN's calls cost more
than small products take."""

TOGETHER = 512
"""Rows (samples times time points) that take their steps together."""


def parts(n_batch: int, n_times: int) -> Iterator[tuple[slice, slice]]:
    """Samples that are looked at together, and their rows."""
    count = max(1, TOGETHER // n_times)
    for start in range(0, n_batch, count):
        stop = min(start + count, n_batch)
        yield slice(start, stop), slice(start * n_times, stop * n_times)


class Product:
    """``x W'`` without a derivative, laid out once.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in)
    """

    def __init__(self, weight: Tensor) -> None:
        weight = weight.detach()
        laid_out = packed(weight)
        self._layout = laid_out.layout if isinstance(laid_out, Packed) else None
        self._small = weight.numel() < LARGE
        self._turned = weight.T.contiguous()

    def __call__(self, x: Tensor) -> Array:
        """Map (n_rows, n_in) to (n_rows, n_out)."""
        if self._layout is None or (self._small and x.shape[0] <= FEW):
            return torch.mm(x, self._turned).numpy()
        return onednn(x, self._layout, None).numpy()


class RowProducts:
    """Two products of arrays of one shape.

    Parameters
    ----------
    weights : sequence of Tensor, each (n_out, n_in)
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self._each = [Product(weight) for weight in weights]
        self._turned = torch.stack([weight.detach().T for weight in weights])

    def __call__(self, x: Tensor) -> list[Array]:
        """Map (2, n_rows, n_in) to two of (n_rows, n_out); few rows in one call."""
        if x.shape[1] <= FEW:
            return list(torch.bmm(x, self._turned).numpy())
        return [product(part) for product, part in zip(self._each, x, strict=True)]


class Rows:
    """An array for products and for loops: the same memory.

    Parameters
    ----------
    tensor : Tensor, shape (n_rows, width)
    """

    __slots__ = ("array", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor, self.array = tensor, tensor.numpy()

    @classmethod
    def empty(cls, n_rows: int, width: int) -> Rows:
        """Room for so many numbers."""
        return cls(torch.empty(n_rows, width))


def rows_first(x: Tensor) -> Tensor:
    """(n_batch, n_columns, n_times) to (n_batch * n_times, n_columns), contiguous."""
    return x.mT.contiguous().view(-1, x.shape[1])


def samples_first(x: Tensor, n_batch: int) -> Tensor:
    """The way back, in the same memory."""
    return x.unflatten(0, (n_batch, -1)).mT


def together(arrays: Sequence[Array], n_batch: int) -> Tensor:
    """Rows of some samples each to one array, (n_batch, n_columns, n_times)."""
    rows = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
    return samples_first(torch.from_numpy(rows), n_batch)


def bias(layer: Conv) -> Array:
    """The bias of a layer that has one."""
    assert layer.bias is not None
    return layer.bias.detach().numpy()
