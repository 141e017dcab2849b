"""Small algebra of the scan: projectors, and the best direction of a patch.

A patch with several directions explains ``d'A d / d'B d`` along direction d, ``A = U'QCQU`` and
``B = U'QU``; the best is the largest eigenvalue of the pencil. Symmetric matrices of all patches
are kept as their upper triangles, one long row each, so that the algebra runs along the patches.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

CLOSE = 1e-3
"""A topography of which less than this share (of power) lies off the others is not asked for, even
where the head is believed: below it is what single precision tells."""

RIDGE = 1e-10
"""Added to the Gram matrix of unit topographies: far above its rounding, far below its diagonal."""


@dataclass(frozen=True, eq=False)
class Others:
    """Topographies that are projected off, with the algebra of their projector ``I - S A S'``.

    Attributes
    ----------
    seen : Tensor, shape (n_batch, n_most, n_sensors)
        Rows of ``S'``; zero where there is none.
    inverse : Tensor, shape (n_batch, n_most, n_most)
        ``A``; zero in rows and columns without a topography.
    middle : Tensor, shape (n_batch, n_most, n_most)
        ``S'CS``.
    moment : Tensor, shape (n_batch, n_sensors, n_sensors)
        ``C``.
    """

    seen: Tensor
    inverse: Tensor
    middle: Tensor
    moment: Tensor

    @classmethod
    def of(cls, seen: Tensor, there: Tensor, moment: Tensor) -> Others:
        """Prepare the projector; ``there`` (n_batch, n_most) says which topographies count."""
        kept = there.to(seen.dtype)
        seen = seen * kept[..., None]
        gram = seen @ seen.mT + torch.diag_embed(1.0 - kept)
        both = kept[:, :, None] * kept[:, None, :]
        # Topographies that all but coincide have an inverse, too.
        gram = gram + RIDGE * torch.eye(gram.shape[1], dtype=gram.dtype)
        return cls(seen, torch.linalg.inv(gram) * both, seen @ moment @ seen.mT, moment)

    def left(self) -> Tensor:
        """Power of the data off these topographies, (n_batch,)."""
        whole = self.moment.diagonal(dim1=1, dim2=2).sum(1)
        return whole - (self.inverse * self.middle).sum((1, 2))

    def only(self, k: int) -> Others:
        """Those of one sample, as a batch of one."""
        part = slice(k, k + 1)
        return Others(self.seen[part], self.inverse[part], self.middle[part], self.moment[part])

    def pencil(self, atoms: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``QU``, ``U'QCQU`` and ``U'QU`` of patches, (n_batch, n, n_orient, ...) each."""
        seen, inverse = self.seen[:, None], self.inverse[:, None]
        off = atoms - (atoms @ seen.mT) @ inverse @ seen
        return off, off @ self.moment[:, None] @ off.mT, off @ off.mT


def symmetric(a: Tensor, b: Tensor) -> Tensor:
    """Upper triangle of ``(a'b + b'a) / 2`` over the topographies, for every patch.

    Parameters
    ----------
    a, b : Tensor, shape (n_batch, n_most, n_orient, n_patches)

    Returns
    -------
    Tensor, shape (n_batch, n_orient * (n_orient + 1) / 2, n_patches)
    """
    group = a.shape[2]
    rows = []
    for i in range(group):
        for j in range(i, group):
            row = (a[:, :, i] * b[:, :, j]).sum(1)
            rows.append(row if i == j else 0.5 * (row + (a[:, :, j] * b[:, :, i]).sum(1)))
    return torch.stack(rows, 1)


def top_values(power: Tensor, lost: Tensor | None, close: float = CLOSE) -> Tensor:
    """Largest ``d'A d / d'(I - lost) d`` of every patch.

    Parameters
    ----------
    power, lost : Tensor, shape (n_batch, n_orient * (n_orient + 1) / 2, n_patches)
        Upper triangles of ``A`` and of what the others take of ``I``; None takes nothing.
    close : float
        Share that must be left.

    Returns
    -------
    Tensor, shape (n_batch, n_patches)
    """
    if power.shape[1] == 1:
        if lost is None:
            return power[:, 0]
        left = 1.0 - lost[:, 0]
        return torch.where(left > close, power[:, 0] / left, 0.0)
    a = power.unbind(1)
    if lost is not None:
        a = _whitened(a, lost.unbind(1), close)
    return _largest(a)


def _whitened(a: tuple[Tensor, ...], lost: tuple[Tensor, ...], close: float) -> tuple[Tensor, ...]:
    """``F^-1 A F^-T`` with ``F F' = (1 + close) I - lost``, all as upper triangles."""
    one = 1.0 + close
    b00, b01, b02 = one - lost[0], -lost[1], -lost[2]
    b11, b12, b22 = one - lost[3], -lost[4], one - lost[5]
    p = b00.clamp_min(close).rsqrt()
    f10, f20 = b01 * p, b02 * p
    q = (b11 - f10 * f10).clamp_min(close).rsqrt()
    f21 = (b12 - f10 * f20) * q
    r = (b22 - f20 * f20 - f21 * f21).clamp_min(close).rsqrt()
    # Rows of F^-1: (p), (s, q), (t, u, r).
    s, u = -f10 * p * q, -f21 * q * r
    t = -(f20 * p + f21 * s) * r
    a00, a01, a02, a11, a12, a22 = a
    x0, x1 = s * a00 + q * a01, s * a01 + q * a11
    z0, z1, z2 = (
        t * a00 + u * a01 + r * a02,
        t * a01 + u * a11 + r * a12,
        t * a02 + u * a12 + r * a22,
    )
    return (
        p * p * a00,
        p * x0,
        p * z0,
        s * x0 + q * x1,
        s * z0 + q * z1,
        t * z0 + u * z1 + r * z2,
    )


def _largest(a: tuple[Tensor, ...]) -> Tensor:
    """Largest eigenvalue of symmetric 3 x 3 matrices, in closed form (Smith 1961)."""
    a00, a01, a02, a11, a12, a22 = a
    mean = (a00 + a11 + a22) / 3.0
    d0, d1, d2 = a00 - mean, a11 - mean, a22 - mean
    square = d0 * d0 + d1 * d1 + d2 * d2 + 2.0 * (a01 * a01 + a02 * a02 + a12 * a12)
    size = (square / 6.0).clamp_min(torch.finfo(mean.dtype).tiny).sqrt()
    det = d0 * (d1 * d2 - a12 * a12) - a01 * (a01 * d2 - a12 * a02) + a02 * (a01 * a12 - d1 * a02)
    ratio = (det / (2.0 * size * size * size)).nan_to_num(1.0).clamp(-1.0, 1.0)
    return mean + 2.0 * size * torch.cos(torch.acos(ratio) / 3.0)


def best_direction(power: Tensor, left: Tensor, close: float = CLOSE) -> Tensor:
    """The direction of every patch that explains most.

    Parameters
    ----------
    power, left : Tensor, shape (..., n_orient, n_orient), float64
        ``A`` and ``B`` of the pencil.
    close : float
        Added to the diagonal of ``B``.

    Returns
    -------
    Tensor, shape (..., n_orient), float64
        Unit vectors; of two opposite ones that whose largest part is positive.
    """
    group = power.shape[-1]
    if group == 1:
        return torch.ones_like(power[..., 0])
    ridge = left + close * torch.eye(group, dtype=left.dtype)
    factor = torch.linalg.cholesky(ridge)
    half = torch.linalg.solve_triangular(factor, power, upper=False)
    white = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    top = torch.linalg.eigh((white + white.mT) / 2.0)[1][..., -1:]
    direction = torch.linalg.solve_triangular(factor.mT, top, upper=True)[..., 0]
    direction = direction / direction.norm(dim=-1, keepdim=True)
    largest = direction.gather(-1, direction.abs().argmax(-1, keepdim=True))
    return direction * largest.sign()


def explained(power: Tensor, left: Tensor, direction: Tensor, close: float = CLOSE) -> Tensor:
    """Power that patches explain along directions; 0 where one lies too close to the others.

    Parameters
    ----------
    power, left : Tensor, shape (..., n_orient, n_orient), float64
    direction : Tensor, shape (..., n_orient), float64
    close : float
        Share that must lie off the others.

    Returns
    -------
    Tensor, shape (...), float64
    """
    along = direction[..., None]
    won = (along.mT @ power @ along)[..., 0, 0]
    share = (along.mT @ left @ along)[..., 0, 0]
    return torch.where(share > close, won / share.clamp_min(close), 0.0)
