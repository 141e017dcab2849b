"""Spectral norms: certified upper bounds, and estimates that are labelled so.

A majorant may only use upper bounds. Power iteration and Lanczos converge from below, so what they
return is an *estimate*: good for choosing a step, no good for a promise.

Source: ``docs/guarantees.md``, "Norms of convolutions".
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from majorant.errors import MajorantError
from majorant.linalg import ENERGY_DTYPE, spectral_norm_bound, squared_norm, total

LinearMap = Callable[[Tensor], Tensor]


def tap_sum_bound(weight: Tensor) -> Tensor:
    """Bound the norm of a convolution by the sum of the norms of its taps.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in, kernel)

    Returns
    -------
    Tensor, shape (), float64
        At least the norm, for every number of time samples.
    """
    return spectral_norm_bound(weight.detach().permute(2, 0, 1)).sum()


def symbol_bound(weight: Tensor, n_grid: int = 64) -> Tensor:
    """Bound the norm of a zero-padded convolution over time by the supremum of its symbol.

    The zero-padded convolution of any length is a compression of the convolution on the integers,
    whose norm is the supremum over w of ``|W(w)|``, ``W(w) = sum_k W_k exp(i k w)``. Between
    ``n_grid`` equispaced frequencies the symbol, centred at its middle tap, is a matrix of
    trigonometric polynomials of degree ``d = (kernel - 1) / 2``, so the supremum is at most the
    largest value on the grid divided by ``cos(pi d / n_grid)`` (M. Riesz); the more familiar
    Lipschitz margin ``1 / (1 - pi d / n_grid)`` (Bernstein) is looser.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in, kernel)
    n_grid : int
        Frequencies on the circle; more than ``kernel - 1``.

    Returns
    -------
    Tensor, shape (), float64
        At least the norm, for every number of time samples.

    Raises
    ------
    MajorantError
        If the grid is too coarse for the kernel.
    """
    kernel = int(weight.shape[2])
    if n_grid <= kernel - 1:
        raise MajorantError(
            f"{n_grid} frequencies cannot bound a convolution of {kernel} taps; give {2 * kernel}"
        )
    taps = weight.detach().to(ENERGY_DTYPE).permute(2, 0, 1)
    angle = 2.0 * math.pi / n_grid * torch.arange(n_grid // 2 + 1, dtype=ENERGY_DTYPE)
    phase = torch.outer(angle, torch.arange(kernel, dtype=ENERGY_DTYPE)).to(taps.device)
    symbol = torch.complex(
        torch.einsum("wk,koi->woi", phase.cos(), taps),
        torch.einsum("wk,koi->woi", phase.sin(), taps),
    )
    gram = symbol @ symbol.mH if symbol.shape[1] <= symbol.shape[2] else symbol.mH @ symbol
    trace = gram.real.diagonal(dim1=-2, dim2=-1).sum(-1)
    eps = torch.finfo(ENERGY_DTYPE).eps
    margin = 4.0 * (sum(symbol.shape[1:]) + kernel) * eps * trace
    largest = torch.sqrt(torch.linalg.eigvalsh(gram)[..., -1].clamp_min(0) + margin).max()
    return largest / math.cos(math.pi * (kernel - 1) / 2 / n_grid)


def conv_norm_bound(weight: Tensor, n_grid: int = 64) -> Tensor:
    """Certified upper bound of the norm of a zero-padded convolution: the better of the two.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in, kernel)
    n_grid : int
        See :func:`symbol_bound`.

    Returns
    -------
    Tensor, shape (), float64
    """
    taps = tap_sum_bound(weight)
    return taps if weight.shape[2] == 1 else torch.minimum(symbol_bound(weight, n_grid), taps)


def column_sum_bound(weight: Tensor) -> Tensor:
    """Bound ``|W|_1``, the largest sum of absolute values over a column, of a convolution.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in, kernel)

    Returns
    -------
    Tensor, shape (), float64
    """
    return weight.detach().to(ENERGY_DTYPE).abs().sum((0, 2)).max()


def norm_estimate(apply: LinearMap, adjoint: LinearMap, start: Tensor, n_iter: int = 20) -> Tensor:
    """Estimate a spectral norm by power iteration: from below, hence no bound.

    Parameters
    ----------
    apply, adjoint : callable
        The map and its adjoint, on arrays with a batch axis.
    start : Tensor, shape (n_batch, ...)
        Where the iteration starts; draw it from a ``torch.Generator``.
    n_iter : int
        Products with the map and with its adjoint.

    Returns
    -------
    Tensor, shape (n_batch,), float64
        At most the norm, up to rounding.
    """
    v = _unit(start)
    for _ in range(n_iter):
        v = _unit(adjoint(apply(v)))
    return squared_norm(apply(v)).sqrt()


def power_estimate(apply: LinearMap, start: Tensor, shift: Tensor, n_iter: int = 20) -> Tensor:
    """Estimate the largest eigenvalue of a symmetric map by shifted power iteration.

    Unshifted, power iteration finds the eigenvalue of largest *magnitude*, which for a Hessian is
    often a negative one: no curvature at all. With ``shift`` at least the magnitude of the
    most negative eigenvalue, the shifted map has none, and its dominant eigenvector is the wanted.

    Parameters
    ----------
    apply : callable
        The symmetric map, on arrays with a batch axis.
    start : Tensor, shape (n_batch, ...)
    shift : Tensor, shape (n_batch,)
    n_iter : int

    Returns
    -------
    Tensor, shape (n_batch,), float64
        A Rayleigh quotient: at most the largest eigenvalue, up to rounding.
    """
    v = _unit(start)
    raise_by = expand(shift.to(v.dtype), v)
    for _ in range(n_iter):
        v = _unit(apply(v) + raise_by * v)
    return total(v * apply(v))


def lanczos_estimate(apply: LinearMap, start: Tensor, n_iter: int = 12) -> Tensor:
    """Estimate the largest eigenvalue of a symmetric map by Lanczos iteration.

    Ritz values lie inside the spectrum, so this too is from below; per product with the map it is
    far closer than power iteration, and needs no shift.

    Parameters
    ----------
    apply : callable
        The symmetric map, on arrays with a batch axis.
    start : Tensor, shape (n_batch, ...)
    n_iter : int
        Products with the map; at most the dimension is used.

    Returns
    -------
    Tensor, shape (n_batch,), float64
        At most the largest eigenvalue, up to rounding.
    """
    v = _unit(start)
    basis, diagonal, beside = [v], [], []
    for _ in range(min(n_iter, v[0].numel())):
        w = apply(basis[-1])
        diagonal.append(total(basis[-1] * w))
        for _ in range(2):  # twice is enough to keep the basis orthogonal
            for b in basis:
                w = w - expand(total(b * w).to(w.dtype), w) * b
        norm = squared_norm(w).sqrt()
        scale = torch.stack(diagonal).abs().amax(0)
        alive = norm > 1e3 * torch.finfo(w.dtype).eps * scale
        if beside:
            alive = alive & (beside[-1] > 0)
        beside.append(torch.where(alive, norm, torch.zeros_like(norm)))
        basis.append(torch.where(expand(alive, w), _unit(w), torch.zeros_like(w)))
    alpha = torch.stack(diagonal, dim=-1)
    beta = torch.stack(beside, dim=-1)[..., :-1]
    # after an invariant subspace was found the basis is empty: repeat a genuine Rayleigh quotient
    alpha[..., 1:] = torch.where(beta.cumprod(-1) > 0, alpha[..., 1:], alpha[..., :1])
    tridiagonal = torch.diag_embed(alpha) + _beside(beta, 1) + _beside(beta, -1)
    return torch.linalg.eigvalsh(tridiagonal)[..., -1]


def expand(scalar: Tensor, like: Tensor) -> Tensor:
    """Shape one number per sample so that it multiplies (n_batch, ...)."""
    return scalar.reshape(-1, *([1] * (like.ndim - 1)))


def _beside(values: Tensor, offset: int) -> Tensor:
    return torch.diag_embed(values, offset=offset)


def _unit(v: Tensor) -> Tensor:
    """Scale every sample to norm one; a zero sample stays zero."""
    norm = squared_norm(v).sqrt()
    safe = torch.where(norm > 0, norm, torch.ones_like(norm)).to(v.dtype)
    return v / expand(safe, v)
