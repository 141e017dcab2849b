"""Batched linear algebra and the dtype policy.

The policy: energies are summed in float64; sensor-space algebra (n_sensors x n_sensors) runs in
float64; source-space arrays keep the dtype of the problem. Sensor matrices are small, so the
policy costs little, and it is what makes a certificate worth reading.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from majorant.errors import MajorantError


@dataclass(frozen=True)
class ThinSVD:
    """``L = U diag(s) V'`` without the columns that belong to zero.

    Attributes
    ----------
    u : Tensor, shape (..., n_sensors, rank)
    s : Tensor, shape (..., rank)
        Singular values, largest first.
    vh : Tensor, shape (..., rank, n_columns)
    """

    u: Tensor
    s: Tensor
    vh: Tensor


ENERGY_DTYPE = torch.float64
"""Energies and sensor-space algebra are held in this dtype."""


def total(x: Tensor) -> Tensor:
    """Sum every axis but the first in float64: one number per sample, shape (n_batch,)."""
    return x.sum(dim=tuple(range(1, x.ndim)), dtype=ENERGY_DTYPE)


def squared_norm(x: Tensor) -> Tensor:
    """Squared norm over all axes but the first, float64, shape (n_batch,)."""
    wide = x.to(ENERGY_DTYPE)
    return (wide * wide).sum(dim=tuple(range(1, x.ndim)))


class Packed:
    """A weight as oneDNN's product reads it, for inference in float32 on the processor.

    A few rows times a matrix of a megabyte is mostly reading the matrix; laid out beforehand it is
    read in order, and the product of 16 rows takes two thirds of the time. Copies and pickles hold
    the weight itself and lay it out again.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in), float32
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        laid_out = torch.ops.mkldnn._reorder_linear_weight
        self.layout: Tensor = laid_out(weight.detach().contiguous(), None)

    def __reduce__(self) -> tuple[Callable[[Tensor], Packed | Tensor], tuple[Tensor]]:
        return packed, (self.weight,)


def packed(weight: Tensor) -> Packed | Tensor:
    """Lay a weight out for :func:`linear`, where that multiplies by oneDNN; else leave it.

    Parameters
    ----------
    weight : Tensor, shape (n_out, n_in)
    """
    if weight.dtype != torch.float32 or not weight.is_cpu or not _onednn():
        return weight
    try:
        return Packed(weight)
    except (AttributeError, RuntimeError, TypeError):
        return weight


def linear(x: Tensor, weight: Tensor | Packed, bias: Tensor | None = None) -> Tensor:
    """Return ``x weight' + bias``; in float32 on the processor, without a gradient, by oneDNN.

    Of torch's two libraries that is the faster one on processors of other makers than its BLAS's;
    on those of the same maker everything goes to the BLAS.
    Its product has no derivatives, so training multiplies as ever.

    Parameters
    ----------
    x : Tensor, shape (..., n_in)
    weight : Tensor or Packed, shape (n_out, n_in)
    bias : Tensor or None, shape (n_out,)

    Returns
    -------
    Tensor, shape (..., n_out)
    """
    plain = weight.weight if isinstance(weight, Packed) else weight
    derived = torch.is_grad_enabled() and (x.requires_grad or plain.requires_grad)
    if derived or x.dtype != torch.float32 or not x.is_cpu or plain.dtype != x.dtype:
        return F.linear(x, plain, bias)
    if torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu") or not _onednn():
        return F.linear(x, plain, bias)
    return onednn(x, weight.layout if isinstance(weight, Packed) else weight, bias)


def onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """OneDNN's product itself, where it is known to be right: ``weight`` laid out, or plain."""
    return _operation()(x, weight, bias, "none", [], "")


@cache
def _operation() -> Callable[..., Tensor]:
    return torch.ops.mkldnn._linear_pointwise.default


def _maker() -> str:
    """Who made the processor, where the system says so; else empty."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            named = next((line for line in lines if line.startswith("vendor_id")), "")
    except OSError:
        named = platform.processor()
    return "GenuineIntel" if "GenuineIntel" in named else named.partition(":")[2].strip()


@cache
def _onednn() -> bool:
    """Whether oneDNN's product is there, right, and likely to be the faster one."""
    if torch.backends.mkl.is_available() and _maker() == "GenuineIntel":
        return False  # its BLAS is made for this processor
    if not (torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled):
        return False
    try:  # not part of torch's public interface, so nothing is taken for granted
        right = onednn(torch.full((1, 1), 2.0), torch.full((1, 1), 3.0), None)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return right.shape == (1, 1) and right.item() == 6.0


def gram(matrix: Tensor) -> Tensor:
    """Return the smaller Gram matrix of (..., n, S) in float64: ``A A'`` or ``A' A``."""
    wide = matrix.to(ENERGY_DTYPE)
    return wide @ wide.mT if wide.shape[-2] <= wide.shape[-1] else wide.mT @ wide


def spectral_norm_bound(matrix: Tensor) -> Tensor:
    """Certified upper bound of the spectral norm.

    The largest eigenvalue of the smaller Gram matrix, raised by the backward error of forming it
    and of the symmetric eigensolver (both at most a small multiple of ``n eps trace``).

    Parameters
    ----------
    matrix : Tensor, shape (..., n, S)

    Returns
    -------
    Tensor, shape (...), float64
        At least ``|matrix|``, and above it by less than one part in 1e9 at usual sizes.
    """
    g = gram(matrix)
    eps = torch.finfo(ENERGY_DTYPE).eps
    trace = g.diagonal(dim1=-2, dim2=-1).sum(-1)
    inner = max(matrix.shape[-2:])
    margin = 4.0 * (g.shape[-1] + inner) * eps * trace
    return torch.sqrt(torch.linalg.eigvalsh(g)[..., -1].clamp_min(0) + margin)


def thin_svd(matrix: Tensor, tolerance: float = 1e-12) -> ThinSVD:
    """Thin SVD in float64 without directions below ``tolerance`` times the largest value.

    A batched matrix keeps the largest rank of the batch.
    """
    u, s, vh = torch.linalg.svd(matrix.to(ENERGY_DTYPE), full_matrices=False)
    keep = int((s > tolerance * s[..., :1]).sum(-1).max())
    return ThinSVD(u[..., :keep], s[..., :keep], vh[..., :keep, :])


def cholesky(spd: Tensor, what: str) -> Tensor:
    """Lower Cholesky factor of (..., n, n); a matrix that is not positive definite is named.

    Raises
    ------
    MajorantError
        If a matrix of the batch is not positive definite.
    """
    factor, info = torch.linalg.cholesky_ex(spd)
    if bool((info > 0).any()):
        raise MajorantError(
            f"{what} is not positive definite; regularise it, or project out the lost rank"
        )
    return factor


def log_determinant(factor: Tensor) -> Tensor:
    """Log-determinant of ``F F'`` from its Cholesky factor (..., n, n), shape (...)."""
    return 2.0 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def spd_power(matrix: Tensor, power: float) -> Tensor:
    """Real power of symmetric positive semi-definite matrices (..., n, n).

    Eigenvalues below ``n eps`` times the largest are raised to that floor, so that negative
    powers stay finite.
    """
    values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    floor = matrix.shape[-1] * torch.finfo(matrix.dtype).eps * values[..., -1:].clamp_min(0)
    tiny = torch.finfo(matrix.dtype).tiny
    scaled = values.maximum(floor).clamp_min(tiny).pow(power)
    return (vectors * scaled[..., None, :]) @ vectors.mT


def pseudo_power(matrix: Tensor, power: float, tolerance: float = 1e-7) -> Tensor:
    """Real power of symmetric positive semi-definite matrices (..., n, n) on their range.

    Eigenvalues up to ``tolerance`` times the largest count as zero and stay zero, also for
    negative powers; the zero matrix stays zero.
    """
    values, vectors = torch.linalg.eigh((matrix + matrix.mT) / 2)
    kept = values > tolerance * values[..., -1:].clamp_min(0)
    scaled = torch.where(kept, values, 1.0).pow(power) * kept
    return (vectors * scaled[..., None, :]) @ vectors.mT


def geometric_mean(inverse_of: Tensor, other: Tensor) -> Tensor:
    """Geometric mean of ``P = inverse_of^-1`` and ``Q = other``, both (..., n, n).

    ``W^-1/2 (W^1/2 Q W^1/2)^1/2 W^-1/2`` with ``W = P^-1``: the symmetric positive definite ``X``
    that minimises ``tr(W X) + tr(X^-1 Q)``, since its stationary point solves ``X W X = Q``.

    ``Q`` may be singular. Eigenvalues of the middle factor within rounding of zero become zero:
    their square roots would be noise of the order of the root of the rounding.
    """
    n, dtype = inverse_of.shape[-1], inverse_of.dtype
    eps, tiny = torch.finfo(dtype).eps, torch.finfo(dtype).tiny
    values, vectors = torch.linalg.eigh((inverse_of + inverse_of.mT) / 2)
    root = values.maximum(n * eps * values[..., -1:]).clamp_min(tiny).sqrt()
    half = (vectors * root[..., None, :]) @ vectors.mT
    middle = half @ other @ half
    values, axes = torch.linalg.eigh((middle + middle.mT) / 2)
    values = torch.where(values > n * eps * values[..., -1:], values, 0.0)
    quarter = ((vectors / root[..., None, :]) @ vectors.mT @ axes) * values.pow(0.25)[..., None, :]
    return quarter @ quarter.mT


def psd_part(matrix: Tensor) -> Tensor:
    """Symmetric part of (..., n, n) without its negative eigenvalues.

    What is positive semi-definite up to rounding comes back as it is.
    """
    matrix = (matrix + matrix.mT) / 2
    n, eps = matrix.shape[-1], torch.finfo(matrix.dtype).eps
    size = matrix.diagonal(dim1=-2, dim2=-1).abs().amax(-1)
    lifted = matrix + torch.diag_embed((8 * n * eps * size)[..., None].expand(*size.shape, n))
    _, info = torch.linalg.cholesky_ex(lifted)
    bad = (info > 0) & torch.isfinite(matrix).all(-1).all(-1) & (size > 0)
    if not bool(bad.any()):
        return matrix
    values, vectors = torch.linalg.eigh(torch.where(bad[..., None, None], matrix, 0.0))
    clipped = (vectors * values.clamp_min(0)[..., None, :]) @ vectors.mT
    return torch.where(bad[..., None, None], clipped, matrix)
