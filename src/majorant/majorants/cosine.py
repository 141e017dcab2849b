"""Bounds of the cosine energy ``u(x) = d(L x, y) + weight d(x, Phi(x))``.

The data term has a **global** majorant: for every step ``d`` the curvature
``2 (1 + c) / |L x|^2 L'L``, ``c = cos(L x, y)``, is enough (theorem 1 of ``docs/guarantees.md``).
The constants of the literature, ``2/sqrt(3)`` (version 2, equation 14), its sharper form that
depends on ``c``, and 5 (version 1, Proposition 1), bound the Hessian at ``x`` only.

:data:`BOUNDS` names the combinations of data bound, prior bound and form.

Source: the MM-Net paper (arXiv 2026), versions 1 and 2; ``docs/guarantees.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypedDict

import torch
from torch import Tensor

from majorant.energies.base import Energy
from majorant.energies.cosine import CosineEnergy, CosinePoint, SourceState
from majorant.energies.lengths import looks
from majorant.errors import MajorantError
from majorant.linalg import ENERGY_DTYPE
from majorant.majorants.base import Majorant, Tried, TriedSamples
from majorant.majorants.prior import COSINE_CURVATURE, Norms, PriorBounds
from majorant.majorants.quadratic import (
    Curvature,
    DiagonalCurvature,
    GramCurvature,
    OperatorCurvature,
    QuadraticSurrogate,
    ScalarCurvature,
)
from majorant.majorants.spectral import expand, lanczos_estimate, power_estimate
from majorant.problem import BoundKind

FLOOR = 1e-3
"""Floor of ``1 + c``: where the data point the other way the step stays finite."""

NOTHING = 1e-6
"""An estimated curvature below this share of the analytic bound is taken for none."""


def cosine_eigenvalues(cosine: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues of the Hessian of ``a -> 1 - cos(a, y)``, times ``|a|^2``.

    Parameters
    ----------
    cosine : Tensor
        ``cos(a, y)``.

    Returns
    -------
    tuple of Tensor
        The smallest, the one of multiplicity n - 2, and the largest.
    """
    root = torch.sqrt(4.0 - 3.0 * cosine**2)
    return (cosine - root) / 2, cosine, (cosine + root) / 2


DataBound = Literal["global", "local", "state", "version1"]
PriorBound = Literal["ball", "version2", "version1"]
Form = Literal["scalar", "gram", "diagonal", "structural"]


def data_curvature(bound: DataBound, cosine: Tensor) -> Tensor:
    """Curvature of the data term in ``L x``, times ``|L x|^2``, (n_batch,).

    Parameters
    ----------
    bound : {"global", "local", "state", "version1"}
        ``2 (1 + c)`` (a majorant for every step), ``2/sqrt(3)``, ``(c + sqrt(4 - 3 c^2))/2``, 5.
    cosine : Tensor, shape (n_batch,)
        ``cos(L x, y)``.
    """
    if bound == "global":
        return 2.0 * (1.0 + cosine).clamp_min(FLOOR)
    if bound == "state":
        return cosine_eigenvalues(cosine)[2]
    return torch.full_like(cosine, COSINE_CURVATURE if bound == "local" else 5.0)


@dataclass(frozen=True)
class BoundSpec:
    """A combination of bounds: of the data term, of the prior, and the form they take."""

    data: DataBound
    prior: PriorBound
    form: Form
    words: str


BOUNDS: Mapping[str, BoundSpec] = MappingProxyType(
    {
        "global": BoundSpec("global", "ball", "scalar", "global majorant"),
        "gram-global": BoundSpec("global", "ball", "gram", "global majorant, Gram-structured"),
        "gram": BoundSpec("global", "version2", "gram", "global data bound, version 2 prior bound"),
        "v2": BoundSpec("local", "version2", "scalar", "version 2"),
        "v2-state": BoundSpec("state", "version2", "scalar", "version 2, sharper data constant"),
        "v2-diagonal": BoundSpec("local", "version2", "diagonal", "version 2, row sums"),
        "v2-structural": BoundSpec("local", "version2", "structural", "version 2, structured"),
        "v1": BoundSpec("version1", "version1", "scalar", "version 1"),
    }
)


class CosineMajorant(Majorant[SourceState]):
    """A quadratic bound of the cosine energy.

    Parameters
    ----------
    energy : CosineEnergy
        What is bounded.
    bound : str
        A name of :data:`BOUNDS`. ``"global"`` and ``"gram-global"`` are majorants for every step;
        the others bound the Hessian at the current point, and steps along them go through the
        guard. Without a prior ``"gram"`` is global too.
    norms : LayerNorms, callable or None
        Norms of the prior's layers, or what gives them; None measures them. Nothing is measured
        before the curvature is first asked for.

    Raises
    ------
    MajorantError
        If the name is unknown, or the form needs what a matrix-free operator has not.
    """

    def __init__(
        self, energy: CosineEnergy, bound: str = "global", norms: Norms | None = None
    ) -> None:
        if bound not in BOUNDS:
            raise MajorantError(f"there is no bound {bound!r}; choose one of {', '.join(BOUNDS)}")
        spec = BOUNDS[bound]
        operator = energy.problem.operator
        if spec.form == "gram" and operator.svd() is None:
            raise MajorantError(
                f"the bound {bound!r} needs a singular value decomposition and the operator is "
                "matrix-free; choose 'global' or 'v2'"
            )
        if spec.form == "diagonal" and operator.matrix() is None:
            raise MajorantError(
                f"the bound {bound!r} needs the operator's matrix and it is matrix-free; "
                "choose 'v2' or 'v2-structural'"
            )
        self.energy: CosineEnergy = energy
        self.spec, self.name = spec, spec.words
        alone = energy.prior is None or energy.weight == 0
        everywhere = spec.data == "global" and (alone or spec.prior == "ball")
        self.kind: BoundKind = "global" if everywhere else "local"
        self.norm2 = operator.norm_bound().to(ENERGY_DTYPE) ** 2 + energy.tikhonov**2
        self.prior = None if energy.prior is None else PriorBounds(energy.prior, norms)
        self._svd = operator.svd() if spec.form == "gram" else None
        self._rows = _row_sums(operator.matrix()) if spec.form == "diagonal" else None

    def at(self, state: SourceState) -> QuadraticSurrogate:
        """Evaluate the energy; gradient and curvature follow when they are asked for."""
        return self.around(self.energy.evaluate(state.x))

    def tried(self, state: SourceState, chosen: Tensor) -> Tried[SourceState]:
        """Evaluate the energy of some samples: the others cost nothing."""
        if looks(chosen) and bool(chosen.all()):
            return self.at(state)
        rows = chosen.nonzero()[:, 0]
        energy = self.energy.among(rows)
        point = energy.evaluate(state.x[rows])
        own = QuadraticSurrogate(
            *(point.state, point.energy),
            *(lambda: point.gradient, lambda: self.curvature(point), point),
            **_judged(energy, point),
        )
        return TriedSamples(state, chosen, own)

    def around(self, point: CosinePoint) -> QuadraticSurrogate:
        """The bound at a point where the energy has been evaluated."""
        # every bound of the prior holds at least k / |x|^2 times the identity, k = 2/sqrt(3), and
        # that of the data only adds to it
        share = self.energy.weight * COSINE_CURVATURE
        least = share / (point.norm_x * point.norm_x) if self.prior else None
        return QuadraticSurrogate(
            *(point.state, point.energy),
            *(lambda: point.gradient, lambda: self.curvature(point), point),
            least=least,
            measured=lambda: self.prior is None or self.prior.measured,
            **_judged(self.energy, point),
        )

    def curvature(self, point: CosinePoint) -> Curvature:
        """The curvature ``P`` at an evaluated point."""
        form = self.spec.form
        alpha = data_curvature(self.spec.data, point.cos_data) / point.norm_data**2
        if form == "diagonal":
            return DiagonalCurvature(self._diagonal(alpha, point))
        beta = self.prior_curvature(point)
        if form == "gram" and self._svd is not None:
            if self.energy.tikhonov:
                beta = _known(beta + alpha * self.energy.tikhonov**2)
            return GramCurvature(alpha, beta, self._svd)
        mu = _known(alpha * self.norm2.to(alpha.device) + beta)
        if form == "structural":
            return OperatorCurvature(lambda v: self._product(alpha, point, v), mu)
        return ScalarCurvature(mu)

    def prior_curvature(self, point: CosinePoint) -> Tensor:
        """The prior's share as one number, with its weight, (n_batch,)."""
        if self.prior is None or self.energy.weight == 0:
            return torch.zeros_like(point.energy)
        rules = {
            "ball": self.prior.ball,
            "version2": self.prior.uniform,
            "version1": self.prior.version1,
        }
        return self.energy.weight * rules[self.spec.prior](point)

    def _diagonal(self, alpha: Tensor, point: CosinePoint) -> Tensor:
        """Row sums of absolute values, data and prior."""
        assert self._rows is not None
        rows = self._rows.to(alpha.device) + self.energy.tikhonov**2
        diagonal = expand(alpha, point.x) * rows[..., None]
        if self.prior is None or self.energy.weight == 0:
            return _known(diagonal.expand(point.x.shape))
        return _known(diagonal + self.energy.weight * self.prior.diagonal(point))

    def _product(self, alpha: Tensor, point: CosinePoint, v: Tensor) -> Tensor:
        """The structured curvature times ``v``."""
        operator, scale = self.energy.problem.operator, expand(alpha.to(v.dtype), v)
        bent = scale * (operator.adjoint(operator.apply(v)) + self.energy.tikhonov**2 * v)
        if self.prior is None or self.energy.weight == 0:
            return bent
        return bent + self.energy.weight * self.prior.product(point, v)


class HessianEstimate(Majorant[SourceState]):
    """The largest eigenvalue of the Hessian, *estimated* from Hessian-vector products.

    Estimates lie below the eigenvalue, and the eigenvalue belongs to the current point: two
    reasons why this is no bound. Steps along it go through the guard. Algorithm 1 of version 1 of
    the paper, with Lanczos (or shifted power) iteration in place of plain power iteration, which
    finds the eigenvalue of largest magnitude, often a negative one.

    Parameters
    ----------
    fallback : CosineMajorant
        The analytic bound: shifts the power iteration, and replaces an estimate that is not
        positive, since a negative Rayleigh quotient is no curvature.
    method : {"lanczos", "power"}
    n_iter : int
        Hessian-vector products.
    seed : int
        Of the random part of the start; every sample gets the same.
    """

    kind: BoundKind = "estimated"

    def __init__(
        self,
        fallback: CosineMajorant,
        method: Literal["lanczos", "power"] = "lanczos",
        n_iter: int = 8,
        seed: int = 0,
    ) -> None:
        if method not in ("lanczos", "power"):
            raise MajorantError(f"method {method!r} is unknown; choose 'lanczos' or 'power'")
        self.energy: CosineEnergy = fallback.energy
        self.fallback, self.method, self.n_iter, self.seed = fallback, method, n_iter, seed
        self.name = f"Hessian-vector estimate ({method}, {n_iter} products)"

    def at(self, state: SourceState) -> QuadraticSurrogate:
        """Evaluate the energy; gradient and estimate follow when they are asked for."""
        point = self.energy.evaluate(state.x)
        return QuadraticSurrogate(
            *(state, point.energy, lambda: point.gradient, lambda: self._curvature(point), point),
            **_judged(self.energy, point),
        )

    def _curvature(self, point: CosinePoint) -> ScalarCurvature:
        limit = self.fallback.curvature(point).step_limit()
        analytic = 1.0 / limit.flatten(1).amin(1)
        estimate = self.estimate(point.state, analytic)
        return ScalarCurvature(torch.where(estimate > NOTHING * analytic, estimate, analytic))

    def estimate(self, state: SourceState, shift: Tensor) -> Tensor:
        """The estimate itself, (n_batch,); ``shift`` serves the power iteration."""
        generator = torch.Generator().manual_seed(self.seed)
        start = torch.randn(state.x.shape[1:], generator=generator, dtype=torch.float32)
        start = start.to(state.x).expand(state.x.shape)
        apply = HessianProducts(self.energy, state)
        if self.method == "lanczos":
            return lanczos_estimate(apply, start, self.n_iter)
        safe = torch.where(torch.isfinite(shift), shift, 0.0)
        return power_estimate(apply, start, safe, self.n_iter)


class HessianProducts:
    """Hessian-vector products of an energy at a state, through its closed-form gradient."""

    def __init__(self, energy: Energy[SourceState], state: SourceState) -> None:
        with torch.enable_grad():
            self._x = state.x.detach().clone().requires_grad_(True)
            self._gradient = energy.value_and_grad(SourceState(self._x))[1].x

    def __call__(self, v: Tensor) -> Tensor:
        """``H v`` for ``v`` like ``x``."""
        (product,) = torch.autograd.grad(self._gradient, self._x, v, retain_graph=True)
        return product


class _Judged(TypedDict):
    """What a surrogate is told of the rounding of its energy."""

    doubting: Callable[[], Tensor]
    exactly: Callable[[Tensor], tuple[Tensor, Tensor]] | None


def _judged(energy: CosineEnergy, point: CosinePoint) -> _Judged:
    """How far the energy is known at a point, and how to know it better."""
    single = energy.problem.y.dtype != ENERGY_DTYPE
    return {
        "doubting": lambda: energy.doubt(point),
        "exactly": (lambda chosen: energy.exact(point.state, chosen)) if single else None,
    }


def _row_sums(matrix: Tensor | None) -> Tensor | None:
    """``|L|' |L| 1``, shape (n_columns,) or (n_batch, n_columns)."""
    if matrix is None:
        return None
    size = matrix.to(ENERGY_DTYPE).abs()
    return (size.mT @ size.sum(-1, keepdim=True))[..., 0]


def _known(curvature: Tensor) -> Tensor:
    """Infinite, never NaN, where a norm vanished."""
    return torch.nan_to_num(curvature, nan=torch.inf, posinf=torch.inf)
