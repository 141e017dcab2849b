"""What is solved and what comes back: Problem, Operator, Solution, Status, Certificate.

A :class:`Problem` is a batch of independent linear inverse problems ``y = L x + e``. No ground
truth is part of it, so none can reach a solver. A :class:`Solution` carries the estimate, one
:class:`Status` per sample and the :class:`Certificate` that says what was guaranteed and kept.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from majorant.errors import DamagedFile, MajorantError
from majorant.geometry import SourceGeometry
from majorant.linalg import ThinSVD, linear, spectral_norm_bound, thin_svd

__all__ = [
    "Certificate",
    "DamagedFile",
    "FunctionOperator",
    "MajorantError",
    "MatrixOperator",
    "Operator",
    "Problem",
    "Solution",
    "Status",
    "ThinSVD",
]


class Status(enum.Enum):
    """How a sample ended; the value is the sentence a person reads."""

    DIRECT = "solved in closed form"
    CONVERGED = "converged: the last change was below the tolerance"
    TRAINED = "took the steps it was trained for"
    COMPLETE = "ran all the layers that it is made of"
    LIMIT = "stopped at the iteration limit, before the tolerance was reached"
    NOT_FINITE = "stopped where the iterate ceased to be finite; the last finite one is returned"
    NO_DATA = "the data are zero; so is the estimate"
    NO_SOURCE = "no source explains the data"


class Operator(ABC):
    """A linear map from sources to sensors, as a matrix or matrix-free.

    Attributes
    ----------
    n_sensors, n_columns : int
        Rows and columns of the map.
    n_orient : int
        Columns per location: 1 (fixed orientation) or 3; columns of a location are consecutive.
    geometry : SourceGeometry or None
        Where the locations are and which are neighbours; None where nobody said.
    """

    n_sensors: int
    n_columns: int
    n_orient: int
    geometry: SourceGeometry | None = None

    @property
    def n_locations(self) -> int:
        """Number of source locations."""
        return self.n_columns // self.n_orient

    @abstractmethod
    def apply(self, x: Tensor) -> Tensor:
        """Map sources (n_batch, n_columns, n_times) to sensors (n_batch, n_sensors, n_times)."""

    @abstractmethod
    def adjoint(self, y: Tensor) -> Tensor:
        """Map sensors (n_batch, n_sensors, n_times) to sources (n_batch, n_columns, n_times)."""

    @abstractmethod
    def norm_bound(self) -> Tensor:
        """Upper bound of the spectral norm, shape () or (n_batch,), float64."""

    @abstractmethod
    def matrix(self) -> Tensor | None:
        """The matrix, shape (n_sensors, n_columns) or (n_batch, ...); None where matrix-free."""

    @abstractmethod
    def svd(self) -> ThinSVD | None:
        """The thin singular value decomposition; None where matrix-free."""


def _check_tensor(name: str, given: Any) -> None:
    """Refuse what is no tensor of real numbers, and say how to make one."""
    verb = "are" if name == "data" else "is"
    if not isinstance(given, Tensor):
        found = f"{verb} of type {type(given).__name__}"
    elif not given.is_floating_point():
        found = f"{verb} of {str(given.dtype).removeprefix('torch.')} numbers"
    elif given.layout is not torch.strided:
        found = f"{verb} a sparse tensor; make it dense with .to_dense()"
    else:
        return
    raise MajorantError(
        f"the {name} {found}; expected a tensor of real numbers, as "
        "torch.as_tensor(array, dtype=torch.float64) makes it"
    )


class MatrixOperator(Operator):
    """A lead field held as a matrix, shared by the batch or one per sample.

    Parameters
    ----------
    matrix : Tensor, shape (n_sensors, n_columns) or (n_batch, n_sensors, n_columns)
        Lead field: V/(A m), T/(A m), or unitless once whitened.
    n_orient : int
        Columns per location, 1 or 3.
    geometry : SourceGeometry, optional
        Where the locations are, for solvers that look at neighbours.

    Raises
    ------
    MajorantError
        If the matrix has the wrong shape or holds values that are not finite, or the geometry
        is of another number of locations.
    """

    def __init__(
        self, matrix: Tensor, n_orient: int = 1, geometry: SourceGeometry | None = None
    ) -> None:
        _check_tensor("lead field", matrix)
        if matrix.ndim not in (2, 3):
            raise MajorantError(
                f"the lead field has shape {tuple(matrix.shape)}; expected (sensors, columns) or "
                "(batch, sensors, columns)"
            )
        if n_orient not in (1, 3) or matrix.shape[-1] % n_orient:
            raise MajorantError(
                f"{matrix.shape[-1]} columns cannot be grouped by {n_orient}; n_orient is 1 for "
                "fixed and 3 for free orientation"
            )
        if not torch.isfinite(matrix).all():
            raise MajorantError("the lead field holds NaN or infinite values; mend it first")
        n_locations = int(matrix.shape[-1]) // n_orient
        if geometry is not None and geometry.n_locations != n_locations:
            raise MajorantError(
                f"the geometry has {geometry.n_locations} locations and the lead field "
                f"{n_locations}; give that of the same sources"
            )
        self.geometry = geometry
        self._matrix = matrix
        self.n_sensors, self.n_columns = int(matrix.shape[-2]), int(matrix.shape[-1])
        self.n_orient = n_orient
        self._norm: Tensor | None = None
        self._svd: ThinSVD | None = None

    def apply(self, x: Tensor) -> Tensor:
        """Return ``L x``."""
        if self._matrix.ndim == 2:
            return linear(x.mT, self._matrix).mT
        return self._matrix @ x

    def adjoint(self, y: Tensor) -> Tensor:
        """Return ``L' y``."""
        if self._matrix.ndim == 2:
            return linear(y.mT, self._matrix.mT).mT
        return self._matrix.mT @ y

    def norm_bound(self) -> Tensor:
        """Certified upper bound of ``|L|``, computed once from the smaller Gram matrix."""
        if self._norm is None:
            self._norm = spectral_norm_bound(self._matrix)
        return self._norm

    def matrix(self) -> Tensor:
        """Return the matrix itself."""
        return self._matrix

    def svd(self) -> ThinSVD:
        """Thin SVD, computed once."""
        if self._svd is None:
            self._svd = thin_svd(self._matrix)
        return self._svd


class FunctionOperator(Operator):
    """A matrix-free operator: any pair of functions that are each other's adjoint.

    Parameters
    ----------
    apply, adjoint : callable
        Maps between (n_batch, n_columns, n_times) and (n_batch, n_sensors, n_times).
    n_sensors, n_columns : int
        Sizes of the two spaces.
    norm_bound : float
        An upper bound of the spectral norm; the caller vouches for it.
    n_orient : int
        Columns per location.
    """

    def __init__(
        self,
        apply: Callable[[Tensor], Tensor],
        adjoint: Callable[[Tensor], Tensor],
        *,
        n_sensors: int,
        n_columns: int,
        norm_bound: float,
        n_orient: int = 1,
    ) -> None:
        self._apply, self._adjoint = apply, adjoint
        self.n_sensors, self.n_columns, self.n_orient = n_sensors, n_columns, n_orient
        self._norm = torch.tensor(float(norm_bound), dtype=torch.float64)

    def apply(self, x: Tensor) -> Tensor:
        """Return ``L x``."""
        return self._apply(x)

    def adjoint(self, y: Tensor) -> Tensor:
        """Return ``L' y``."""
        return self._adjoint(y)

    def norm_bound(self) -> Tensor:
        """Return the bound given at construction."""
        return self._norm

    def matrix(self) -> None:
        """No matrix is held."""
        return

    def svd(self) -> None:
        """No decomposition is held."""
        return


@dataclass(frozen=True)
class Problem:
    """A batch of independent linear inverse problems.

    Parameters
    ----------
    operator : Operator
        From sources to sensors.
    y : Tensor, shape (n_batch, n_sensors, n_times)
        Data, in V (T for MEG), or unitless once whitened.
    noise : Tensor or None
        Noise covariance: None stands for the identity (whitened data), else variances of shape
        (n_sensors,) or a matrix of shape (n_sensors, n_sensors).
    source_prior : Tensor or None, shape (n_columns,)
        Relative prior variance of every column (depth and orientation weighting); None is uniform.

    Raises
    ------
    MajorantError
        If shapes disagree, or the data hold values that are not finite.
    """

    operator: Operator
    y: Tensor
    noise: Tensor | None = None
    source_prior: Tensor | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.operator, Operator):
            raise MajorantError(
                f"the operator is a {type(self.operator).__name__}; wrap a matrix as "
                "MatrixOperator(matrix), or functions as FunctionOperator"
            )
        n, y = self.operator.n_sensors, self.y
        _check_tensor("data", y)
        if y.ndim != 3 or y.shape[1] != n:
            raise MajorantError(
                f"the data have shape {tuple(y.shape)}; expected (batch, {n}, times) for a lead "
                f"field of {n} sensors; add a batch axis with y[None]"
            )
        if y.shape[0] == 0 or y.shape[2] == 0:
            raise MajorantError(
                f"the data have shape {tuple(y.shape)}: there is nothing to image; "
                "give at least one sample and one time point"
            )
        if not torch.isfinite(y).all():
            bad = (~torch.isfinite(y)).any(dim=2).nonzero()[:, 1].unique().tolist()
            raise MajorantError(
                f"the data hold NaN or infinite values at sensors {bad[:8]}; drop or mend them"
            )
        matrix = self.operator.matrix()
        if matrix is not None and matrix.ndim == 3 and matrix.shape[0] != y.shape[0]:
            raise MajorantError(
                f"there are {matrix.shape[0]} lead fields for {y.shape[0]} samples of data; give "
                "one for all, or one per sample"
            )
        if self.noise is not None and tuple(self.noise.shape) not in ((n,), (n, n)):
            raise MajorantError(
                f"the noise covariance has shape {tuple(self.noise.shape)}; expected ({n},) or "
                f"({n}, {n})"
            )
        prior = self.source_prior
        if prior is not None:
            if tuple(prior.shape) != (self.operator.n_columns,):
                raise MajorantError(
                    f"the source prior has shape {tuple(prior.shape)}; expected "
                    f"({self.operator.n_columns},)"
                )
            if not bool((torch.isfinite(prior) & (prior >= 0)).all()):
                raise MajorantError("the source prior holds negative or non-finite variances")

    @property
    def n_batch(self) -> int:
        """Number of independent samples."""
        return int(self.y.shape[0])

    @property
    def n_times(self) -> int:
        """Number of time points."""
        return int(self.y.shape[2])


BoundKind = Literal["global", "local", "estimated", "none"]


@dataclass(frozen=True)
class Certificate:
    """What was promised and what was kept, per sample.

    Attributes
    ----------
    energy : Tensor, shape (n_accepted + 1, n_batch), float64
        Energy of the start and of every accepted iterate; a sample that did not move repeats its
        value. Those of the start and of what is returned are computed again at the end, in float64
        from their definition; so are those between, wherever single precision could not decide.
    violations : Tensor, shape (n_batch,), int64
        Rises of the energy above ``1e-6 max(1, |u|)``, of any step or from the start to the end.
        Zero wherever a guard was on.
    refused : Tensor, shape (n_batch,), int64
        Windows whose proposal was not taken as it came.
    halvings : Tensor, shape (n_batch,), int64
        How often a proposed displacement was halved.
    fallbacks : Tensor, shape (n_batch,), int64
        Windows in which the analytic step replaced the proposal.
    energy_name : str
        What the energy is, in words.
    bound : str
        Which bound decided.
    kind : {"global", "local", "estimated", "none"}
        Where the bound holds.
    guard : str
        The guard's mode, ``"off"`` if there was none.
    residual : Tensor or None, shape (n_batch,)
        Linear solvers: relative residual of the normal equations.
    state : str
        Whose energy it is, in words: what is certified, where that is not the estimate as it is
        returned.
    windows : int
        Pieces of the data that were solved each for itself; energies are means over them, taken
        before they are cross-faded, and numbers below are those of the worst.
    gradient : Tensor or None, shape (n_batch,), float64
        Norm of the energy's gradient at the end: by the state, or by logarithms of variances.
    stationarity : Tensor or None, shape (n_batch,), float64
        ``|g|^2 / mu`` at the end, at most, with ``mu`` the largest curvature of the bound; it tends
        to zero by theorem 5 of ``docs/guarantees.md``. For the evidence twice what its bound
        promises.
    gap : Tensor or None, shape (n_batch,), float64
        Duality gap of a convex energy: how far it lies above its minimum, at most.
    """

    energy: Tensor
    violations: Tensor
    refused: Tensor
    halvings: Tensor
    fallbacks: Tensor
    energy_name: str
    bound: str = "none"
    kind: BoundKind = "none"
    guard: str = "off"
    residual: Tensor | None = None
    state: str = ""
    windows: int = 1
    gradient: Tensor | None = None
    stationarity: Tensor | None = None
    gap: Tensor | None = None

    def holds(self) -> bool:
        """Whether no energy rose, for any sample."""
        return int(self.violations.sum()) == 0

    def sentence(self) -> str:
        """Return the certificate as one sentence."""
        if self.residual is not None:
            worst = float(self.residual.max())
            return (
                "Closed form, the minimum itself: the normal equations hold to "
                f"{worst:.1e} (relative)."
            )
        steps = self.energy.shape[0] - 1
        verdict = "never rose" if self.holds() else f"rose {int(self.violations.sum())} times"
        return (
            f"The {self.energy_name}{self.whose()} {verdict} over {steps} accepted iterates "
            f"(guard {self.guard}; {int(self.refused.sum())} refused, "
            f"{int(self.halvings.sum())} halvings, {int(self.fallbacks.sum())} fallbacks)."
        )

    def whose(self) -> str:
        """Whose energy it is, ready to stand behind the energy's name."""
        parts = [f" of {self.state}"] if self.state else []
        if self.windows > 1:
            parts.append(f", mean over {self.windows} windows before they are cross-faded,")
        text = "".join(parts)
        return f"{text}," if ", " in text and not text.endswith(",") else text

    def ending(self) -> list[tuple[str, float]]:
        """What is true where the solve ended, in words, with the largest value of all samples."""
        known = (
            ("norm of the gradient at the end", self.gradient),
            ("|g|²/μ at the end, at most (theorem 5)", self.stationarity),
            ("duality gap, at most", self.gap),
        )
        return [(name, float(value.max())) for name, value in known if value is not None]

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers, ready for JSON."""
        return {
            "energy_name": self.energy_name,
            "bound": self.bound,
            "kind": self.kind,
            "guard": self.guard,
            "energy": self.energy.tolist(),
            "violations": self.violations.tolist(),
            "refused": self.refused.tolist(),
            "halvings": self.halvings.tolist(),
            "fallbacks": self.fallbacks.tolist(),
            "residual": _listed(self.residual),
            "state": self.state,
            "windows": self.windows,
            "gradient": _listed(self.gradient),
            "stationarity": _listed(self.stationarity),
            "gap": _listed(self.gap),
            "holds": self.holds(),
            "sentence": self.sentence(),
        }


def _listed(values: Tensor | None) -> list[float] | None:
    return None if values is None else values.tolist()


@dataclass(frozen=True)
class Solution:
    """What a solver returns.

    Attributes
    ----------
    estimate : Tensor, shape (n_batch, n_columns, n_times)
        Source estimate, in A m (or the solver's statistic, see ``unit``).
    status : tuple of Status, length n_batch
    certificate : Certificate
    trace : tuple
        The accepted states, if they were asked for; else empty.
    state : object
        The last accepted state (hyperparameters for Bayesian solvers); None for linear ones.
    variance : Tensor or None, shape (n_batch, n_columns)
        Posterior variance, where the solver has one; ``floor`` is in it.
    floor : Tensor or None, shape (n_batch, n_columns)
        What was added to the posterior's own variance, so that intervals hold what was missed, too
        (:mod:`majorant.solvers.floors`); None where nothing was.
    noise : Tensor or None, shape (n_batch, n_columns)
        Variance that noise alone gives the estimate, the weights being what they are, from solvers
        whose ``variance`` is also of where the source is; None from others. A source that surely
        exists may be at any of many places, and is at no single one of them for sure.
    unit : str
        ``"Am"``, or the statistic: ``"dSPM"``, ``"sLORETA"``, ``"LCMV"``.
    """

    estimate: Tensor
    status: tuple[Status, ...]
    certificate: Certificate
    trace: tuple[Any, ...] = ()
    state: Any = None
    variance: Tensor | None = None
    floor: Tensor | None = None
    noise: Tensor | None = None
    unit: str = "Am"
    details: dict[str, Any] = field(default_factory=dict)
