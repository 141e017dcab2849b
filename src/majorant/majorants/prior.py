"""Curvature of the manifold prior ``h(x) = 1 - cos(x, Phi(x))``.

Four bounds, from the sharpest to the safest:

- *version 2* bounds the Hessian at ``x`` (Gauss-Newton and residual part, from the network's
  slopes and curvatures at ``x``), as one number, as a diagonal from row sums of absolute values,
  or as the structured matrix itself;
- *version 1* bounds the same Hessian from norms of the weights only;
- *ball* is a majorant for every step: it bounds the Hessian on a ball around ``x``, and beyond the
  ball it exceeds 2, which no cosine distance does.

The first two hold at ``x`` and are **no majorants**; ``docs/guarantees.md`` shows steps where they
fail. Source: the MM-Net paper (arXiv 2026), version 1 (Proposition 1) and version 2 (equations
16 to 21); the ball is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from majorant.energies.cosine import CosinePoint
from majorant.errors import MajorantError
from majorant.linalg import ENERGY_DTYPE
from majorant.majorants.spectral import column_sum_bound, conv_norm_bound, expand
from majorant.networks.autoencoder import Autoencoder, Pass, Prior

COSINE_CURVATURE = 2.0 / math.sqrt(3.0)
"""Largest eigenvalue of the Hessian of the cosine distance, times the squared norm."""

_RADII = torch.linspace(0.2, 0.8, 13, dtype=ENERGY_DTYPE)


@dataclass(frozen=True)
class LayerNorms:
    """Certified norms of the layers of a prior; compute once while the weights stand still.

    Attributes
    ----------
    spectral : tuple of float
        Upper bounds of the spectral norms, first layer first.
    bends : tuple of float
        Upper bounds of the second derivatives of the non-linearities, first one first.
    columns : tuple of float
        Upper bounds of the largest column sums of absolute values; empty where nobody needs them.
    """

    spectral: tuple[float, ...]
    bends: tuple[float, ...]
    columns: tuple[float, ...] = ()

    @classmethod
    def of(cls, prior: Autoencoder) -> LayerNorms:
        """Measure the layers of ``prior``."""
        return cls(
            tuple(float(conv_norm_bound(w)) for w in prior.weights),
            (1.0 / (2.0 * prior.eps),) * (len(prior.weights) - 1),
            tuple(float(column_sum_bound(w)) for w in prior.weights),
        )

    @property
    def lipschitz(self) -> float:
        """Upper bound of ``|J|`` everywhere: the slopes of the non-linearities are below 1."""
        return math.prod(self.spectral)

    @property
    def bending(self) -> float:
        """Upper bound of ``|D2 Phi[d, d]| / |d|^2`` everywhere.

        A layer bends what reaches it, by at most ``bends``, and passes it on.
        """
        return sum(
            math.prod(self.spectral[:i]) ** 2 * math.prod(self.spectral[i:]) * bend
            for i, bend in enumerate(self.bends, 1)
        )


Norms = LayerNorms | Callable[[], LayerNorms]
"""Norms, or what gives them when they are asked for."""


class PriorBounds:
    """Bounds of the prior's curvature at a point, per sample.

    Parameters
    ----------
    prior : Prior
        Version 1, the diagonal and the structured matrix are made for an :class:`Autoencoder`.
    norms : LayerNorms, callable or None
        What gives them is called, and None measures the layers of an autoencoder, when a bound
        first needs them: a solve whose proposals all pass the guard never does.
    """

    def __init__(self, prior: Prior, norms: Norms | None = None) -> None:
        self.prior = prior
        self._norms = (lambda: LayerNorms.of(self._autoencoder())) if norms is None else norms

    @property
    def measured(self) -> bool:
        """Whether the norms are at hand."""
        return "norms" in vars(self) or isinstance(self._norms, LayerNorms)

    @cached_property
    def norms(self) -> LayerNorms:
        """Norms of the layers."""
        return self._norms if isinstance(self._norms, LayerNorms) else self._norms()

    def jacobian_norm(self, point: CosinePoint) -> Tensor:
        """Upper bound of ``|J(x)|``: layer norms times the largest slopes, (n_batch,)."""
        bound = torch.full_like(point.energy, self.norms.spectral[0])
        for size, slope in zip(self.norms.spectral[1:], _network(point).slopes, strict=True):
            bound = size * _largest(slope) * bound
        return bound

    def uniform(self, point: CosinePoint) -> Tensor:
        """Version 2, one number: equations 16, 18, 19 and 21, (n_batch,)."""
        jacobian = self.jacobian_norm(point)
        return _finite(gauss_newton(point, jacobian) + self._residual(point))

    def version1(self, point: CosinePoint) -> Tensor:
        """Version 1, Proposition 1, (n_batch,); three layers only.

        ``(5 rho + 1)/(beta |x|) + 2 alpha sqrt(N)/beta + 4 (rho/beta + 1/|x|)^2`` with
        ``rho = |J|``, ``beta = |Phi(x)|``, N the entries of ``x``, and ``alpha`` an upper bound of
        the norm of the Hessian of any one output. The published proof drops terms; that the
        number bounds the Hessian is confirmed by trials, not by that proof.

        Raises
        ------
        MajorantError
            If the prior has not three layers.
        """
        if len(self.norms.spectral) != 3:
            raise MajorantError(
                f"the version 1 bound is made for three layers and the prior has "
                f"{len(self.norms.spectral)}; choose the bound 'v2' or 'global'"
            )
        one, two, three = self.norms.spectral
        alpha = three * (one**2 * two**2 + self.norms.columns[1] * one**2) * self.norms.bends[0]
        rho, root = self.jacobian_norm(point), math.sqrt(point.x[0].numel())
        over_beta, over_x = 1.0 / point.norm_phi, 1.0 / point.norm_x
        return _finite(
            (5 * rho + 1) * over_beta * over_x
            + 2 * alpha * root * over_beta
            + 4 * (rho * over_beta + over_x) ** 2
        )

    def ball(self, point: CosinePoint) -> Tensor:
        """A curvature that majorises the prior for every step, (n_batch,).

        See ``docs/guarantees.md``, "A global majorant of the prior". The radius of the ball,
        a share of ``min(|x|, |Phi| / rho)``, is the best of a few.
        """
        rho, bending = self.norms.lipschitz, self.norms.bending
        share = _RADII.to(point.energy.device)[:, None]
        room = torch.minimum(point.norm_x, point.norm_phi / rho)
        lipschitz = torch.full_like(point.energy, rho)
        near = gauss_newton(point, lipschitz) / (1 - share) ** 2
        near = near + bending / ((1 - share) * point.norm_phi)
        radius = share * room
        slope = _sine(point.cos_prior) * (1.0 / point.norm_x + rho / point.norm_phi)
        far = 2.0 * (2.0 - point.prior + slope * radius) / radius**2
        return _finite(torch.maximum(near, far).amin(0))

    def diagonal(self, point: CosinePoint) -> Tensor:
        """Version 2 as a diagonal, from row sums of absolute values; like ``x``, float64.

        ``A' D A <= Diag(|A|' D |A| 1)`` for a diagonal ``D >= 0``, with ``|A|`` replaced by the
        product of the layers' absolute values.
        """
        weights = [w.detach().to(ENERGY_DTYPE).abs() for w in self._autoencoder().weights]
        ones = torch.ones_like(point.x, dtype=ENERGY_DTYPE)
        return _finite(self._sandwich(point, weights, ones))

    def product(self, point: CosinePoint, step: Tensor) -> Tensor:
        """Version 2 as a structured matrix (equations 17 and 20) times ``step``, like ``x``."""
        return self._sandwich(point, self._autoencoder().weights, step)

    def _sandwich(self, point: CosinePoint, weights: Sequence[Tensor], v: Tensor) -> Tensor:
        """``(i I + o J'J + sum_i J_i' D_i J_i) v`` for a network with these weights.

        ``i`` and ``o`` come from Young's inequality at its best weight, ``D_i`` from the residual.
        """
        rho = self.jacobian_norm(point)
        over_x, over_p = 1.0 / point.norm_x, 1.0 / point.norm_phi
        identity = COSINE_CURVATURE * over_x**2 + rho * over_x * over_p
        outer = COSINE_CURVATURE * over_p**2 + over_x * over_p / rho
        slopes = [slope.to(v.dtype) for slope in _network(point).slopes]
        bends = [bend.to(v.dtype) for bend in self._bends(point)]
        seen = [_conv(weights[0], v)]
        for slope, weight in zip(slopes, weights[1:], strict=True):
            seen.append(_conv(weight, slope * seen[-1]))
        back = expand(outer.to(v.dtype), v) * seen[-1]
        for i in reversed(range(len(bends))):
            back = slopes[i] * _adjoint(weights[i + 1], back) + bends[i] * seen[i]
        return expand(identity.to(v.dtype), v) * v + _adjoint(weights[0], back)

    def _residual(self, point: CosinePoint) -> Tensor:
        """Largest eigenvalue of ``sum_i w_i Hess Phi_i``, from above, (n_batch,)."""
        bound = torch.zeros_like(point.energy)
        reach = torch.full_like(point.energy, self.norms.spectral[0])
        sizes, slopes = self.norms.spectral[1:], _network(point).slopes
        for size, slope, bend in zip(sizes, slopes, self._bends(point), strict=True):
            bound = bound + _largest(bend) * reach**2
            reach = size * _largest(slope) * reach
        return bound

    def _bends(self, point: CosinePoint) -> list[Tensor]:
        """What the residual adds at each layer, from above, first layer first."""
        return self.prior.bends(_network(point), point.slope.arrived)

    def _autoencoder(self) -> Autoencoder:
        """The prior, where a bound is made for layers of convolutions.

        Raises
        ------
        MajorantError
            If the prior is another.
        """
        if not isinstance(self.prior, Autoencoder):
            raise MajorantError(
                "this bound is made for an autoencoder; choose 'gram', 'v2' or 'global'"
            )
        return self.prior


def gauss_newton(point: CosinePoint, jacobian: Tensor) -> Tensor:
    """Gauss-Newton part of the Hessian's bound for a Jacobian of at most this norm, (n_batch,).

    ``k (1/|x|^2 + |J|^2/|Phi|^2) + 2 |J| / (|x| |Phi|)``, k = 2/sqrt(3).
    """
    over_x, over_p = 1.0 / point.norm_x, jacobian / point.norm_phi
    return COSINE_CURVATURE * (over_x**2 + over_p**2) + 2.0 * over_x * over_p


def _network(point: CosinePoint) -> Pass:
    """The network's forward pass."""
    if point.kept is None:
        raise MajorantError("the point was evaluated without its prior; evaluate it with one")
    return point.kept


def _conv(weight: Tensor, x: Tensor) -> Tensor:
    return F.conv1d(x, weight, padding=weight.shape[2] // 2)


def _adjoint(weight: Tensor, v: Tensor) -> Tensor:
    return F.conv_transpose1d(v, weight, padding=weight.shape[2] // 2)


def _largest(x: Tensor) -> Tensor:
    return x.amax((1, 2)).to(ENERGY_DTYPE)


def _sine(cosine: Tensor) -> Tensor:
    return (1.0 - cosine**2).clamp_min(0).sqrt()


def _finite(curvature: Tensor) -> Tensor:
    """Where a norm vanished nothing is known: an infinite curvature, never NaN."""
    return torch.nan_to_num(curvature, nan=torch.inf, posinf=torch.inf)
