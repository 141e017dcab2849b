"""Norms and inner products of samples: per sample, in float64, with cheap derivatives.

A sample is everything but the first axis. Numbers of samples have shape (n_batch,) and are float64;
the backward passes stay in the dtype of the arrays.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from majorant.linalg import ENERGY_DTYPE, total

SMALLEST = 1e-24
"""Squared norms above this lose nothing to the smallest numbers of float32."""

CACHED = 2**16
"""Numbers that are held in float64 at once, where several samples take turns: half a MiB."""


class _Norm(torch.autograd.Function):
    """Norm of every sample, with a backward pass in the dtype of the array."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        size = _norm(x)
        ctx.save_for_backward(x, size)
        return size

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, size = ctx.saved_tensors
        return x * like(grads[0] * inverse(size), x)


class _Dot(torch.autograd.Function):
    """Inner product of every sample, with a backward pass in the arrays' dtype."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return _summed(a * b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        scale = like(grads[0], a)
        return (
            b * scale if ctx.needs_input_grad[0] else None,
            a * scale if ctx.needs_input_grad[1] else None,
        )


def norm(x: Tensor) -> Tensor:
    """Euclidean norm of every sample, float64, shape (n_batch,)."""
    if torch.is_grad_enabled() and x.requires_grad:
        return cast(Tensor, _Norm.apply(x))
    return _norm(x)


def _norm(x: Tensor) -> Tensor:
    """The same without a graph.

    On the processor torch would copy a whole array to float64 for its norm. So large arrays in
    float32 have norms of their rows first, and the few of those are squared and added in float64:
    right to the rounding of a short sum. What is too large or too small for that takes the long
    way.
    """
    if x.dtype == torch.float32 and x.ndim > 2 and x.numel() > CACHED and looks(x):
        rows = torch.linalg.vector_norm(x, dim=1).to(ENERGY_DTYPE)
        square = total(rows * rows)
        held = (square > SMALLEST) & (square < torch.inf)
        if bool(held.all()):
            return square.sqrt()
        exact = torch.linalg.vector_norm(x, dim=axes(x), dtype=ENERGY_DTYPE)
        return torch.where(held, square.sqrt(), exact)  # whatever the batch mates are
    return torch.linalg.vector_norm(x, dim=axes(x), dtype=ENERGY_DTYPE)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of every sample, float64, shape (n_batch,)."""
    if torch.is_grad_enabled() and (a.requires_grad or b.requires_grad):
        return cast(Tensor, _Dot.apply(a, b))
    return _summed(a * b)


def _summed(x: Tensor) -> Tensor:
    """Sum of every sample; on the processor rows first, as :func:`_norm` and for its reason."""
    if x.dtype == torch.float32 and x.ndim > 2 and looks(x):
        x = x.sum(1)
    return total(x)


def finite(x: Tensor) -> Tensor:
    """Which samples hold nothing but finite numbers, bool, shape (n_batch,).

    The largest and the smallest are NaN or infinite if any number is, and no copy is made of all.
    """
    return torch.isfinite(x.amax(axes(x))) & torch.isfinite(x.amin(axes(x)))


def inverse(size: Tensor) -> Tensor:
    """Return ``1 / size``, and 0 where ``size`` is 0."""
    return size.masked_fill(~(size > 0), torch.inf).reciprocal()


def apart(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Norms of both, and half the squared distance of their unit vectors; float64, (n_batch,) each.

    Half that distance is one minus the cosine, free of cancellation; it is 1 where a vector is
    zero. On the processor some samples are taken at a time, so that their copies in float64 stay in
    its cache.

    Parameters
    ----------
    a, b : Tensor, shape (n_batch, ...)
    """
    count = max(1, CACHED // max(1, a[0].numel())) if looks(a) else len(a)
    if torch.is_grad_enabled() and (a.requires_grad or b.requires_grad):
        count = len(a)
    pieces = [_apart(x, y) for x, y in zip(a.split(count), b.split(count), strict=True)]
    if len(pieces) == 1:
        return pieces[0]
    size_a, size_b, half = (torch.cat(part) for part in zip(*pieces, strict=True))
    return size_a, size_b, half


def _apart(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    a, b = a.to(ENERGY_DTYPE), b.to(ENERGY_DTYPE)
    size_a, size_b = norm(a), norm(b)
    over_a, over_b = inverse(size_a), inverse(size_b)
    half = 0.5 * norm(difference(a, over_a, b, over_b)) ** 2
    return size_a, size_b, half.masked_fill(over_a * over_b == 0, 1.0)


def difference(a: Tensor, alpha: Tensor, b: Tensor, beta: Tensor) -> Tensor:
    """``alpha a - beta b`` with one number per sample, in the dtype of ``a``."""
    return (a * like(alpha, a)).addcmul_(b, like(beta, a), value=-1.0)


def looks(x: Tensor) -> bool:
    """Whether looking at a number costs nothing: on the processor, outside of a compiled graph."""
    return x.is_cpu and not torch.compiler.is_compiling()


def axes(x: Tensor) -> tuple[int, ...]:
    """Every axis but the first."""
    return tuple(range(1, x.ndim))


def like(scale: Tensor, x: Tensor) -> Tensor:
    """One number per sample, (n_batch,), to the dtype and the number of axes of ``x``."""
    return scale.to(x.dtype).reshape(-1, *(1,) * (x.ndim - 1))
