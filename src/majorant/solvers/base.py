"""What a solver is: a kernel, or a proposal under a guard.

A :class:`KernelSolver` gives a matrix that maps data to sources. An :class:`IterativeSolver` gives
the parts that the one loop (``solvers/loop.py``) puts together: a majorant of its energy, a start,
a proposal, and a reading of the estimate from the final state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor

from majorant.energies.base import StateT
from majorant.linalg import cholesky, squared_norm
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.guard import Guard
from majorant.problem import Certificate, MajorantError, Operator, Problem, Solution, Status
from majorant.solvers.abilities import Abilities

MemoryT = TypeVar("MemoryT")


class Proposal(ABC, Generic[StateT, MemoryT]):
    """Says where to go next, classical or learned; the guard says whether.

    What a recurrent proposal remembers is an explicit record that travels through the loop, never
    an attribute, so one proposal object serves any number of solves at once.
    """

    @abstractmethod
    def begin(self, problem: Problem, surrogate: Surrogate[StateT]) -> MemoryT:
        """Memory before the first step."""

    @abstractmethod
    def propose(self, surrogate: Surrogate[StateT], memory: MemoryT) -> tuple[StateT, MemoryT]:
        """The proposed point and the memory after it."""

    def advance(
        self,
        majorant: Majorant[StateT],
        current: Surrogate[StateT],
        memory: MemoryT,
        steps: int,
        active: Tensor | None = None,
    ) -> tuple[Surrogate[StateT], MemoryT]:
        """Some steps on end, which nobody judges in between; none longer than is admissible.

        Parameters
        ----------
        majorant : Majorant
        current : Surrogate
            Where the steps begin.
        memory
        steps : int
        active : Tensor or None, shape (n_batch,), bool
            Samples that move; None is all of them.
        """
        ahead = current
        for _ in range(steps):
            point, memory = self.propose(ahead, memory)
            point = majorant.energy.admissible(ahead.state, point)
            ahead = majorant.at(point if active is None else point.where(active, current.state))
        return ahead, memory


class Memoryless(Proposal[StateT, None]):
    """A proposal that remembers nothing: every classical rule."""

    def begin(self, problem: Problem, surrogate: Surrogate[StateT]) -> None:
        """Nothing to remember."""
        return

    def propose(self, surrogate: Surrogate[StateT], memory: None) -> tuple[StateT, None]:
        """The point that the rule leads to."""
        return self.rule(surrogate), None

    @abstractmethod
    def rule(self, surrogate: Surrogate[StateT]) -> StateT:
        """The rule itself."""


@dataclass(frozen=True)
class Reading:
    """What an iterative solver reads off its final state.

    Attributes
    ----------
    estimate : Tensor, shape (n_batch, n_columns, n_times)
    variance : Tensor or None, shape (n_batch, n_columns)
    floor : Tensor or None, shape (n_batch, n_columns)
        What of the variance was added to the posterior's own.
    noise : Tensor or None, shape (n_batch, n_columns)
        What noise alone gives the estimate, where the variance is also of where the source is.
    unit : str
    details : dict
        What the solver has to say for itself, as plain numbers (log evidence, for instance).
    unexplained : Tensor or None, shape (n_batch,), bool
        Samples whose data no source explains; None stands for none.
    parts : tuple of Certificate
        Of the solvers that an estimate was made from; the solution's certificate adds their counts
        to its own, so that none can hide a violation.
    """

    estimate: Tensor
    variance: Tensor | None = None
    floor: Tensor | None = None
    noise: Tensor | None = None
    unit: str = "Am"
    details: dict[str, Any] = field(default_factory=dict)
    unexplained: Tensor | None = None
    parts: tuple[Certificate, ...] = ()


class Said:
    """What a solver says of itself, so that no door need know its class.

    Attributes
    ----------
    abilities : Abilities
        What it can do, and needs.
    sfreq : float or None
        Sampling rate of the data, Hz, where it matters to the solver.
    """

    abilities: Abilities
    sfreq: float | None = None

    def at(self, sfreq: float) -> Self:
        """The same solver for data of a sampling rate, Hz; itself where that is nothing to it."""
        return self

    def require(self, operator: Operator) -> None:
        """Refuse an operator whose sources it cannot treat; none is refused by default.

        Raises
        ------
        MajorantError
            One sentence.
        """

    def learned(self) -> torch.nn.Module | None:
        """What was learned from data; None for a classical solver."""
        return None


class IterativeSolver(Said, ABC, Generic[StateT]):
    """The parts of an iterative solver; every method is per sample.

    Attributes
    ----------
    max_iter : int
        Iteration limit (proposal steps, not windows).
    guard : Guard
        The guard used unless the caller gives another.
    layered : bool
        Whether ``max_iter`` steps are all there is: ending there is no early stop.
    cuts : bool
        Whether data longer than one and a half of its windows are cut into such, as a network
        needs that was trained on windows; :func:`majorant.solvers.loop.solve` cuts and joins.
    either : bool
        Whether it knows outward currents only: the data are then solved as they are and turned,
        and the direction of the lower energy is kept.
    """

    max_iter: int
    guard: Guard
    layered: bool = False
    abilities = Abilities(window=1.0)
    cuts: bool = False
    either: bool = False

    def ended(self, steps: int) -> Status:
        """How a sample ends that took so many steps and did not converge."""
        return Status.COMPLETE if self.layered and steps >= self.max_iter else Status.LIMIT

    def certifies(self, problem: Problem) -> str:
        """Whose energy the certificate tells, in words; nothing where it is the estimate's own."""
        return ""

    @abstractmethod
    def majorant(self, problem: Problem) -> Majorant[StateT]:
        """The bound, with the energy it bounds."""

    @abstractmethod
    def start(self, problem: Problem) -> StateT:
        """The state before the first step."""

    @abstractmethod
    def proposal(self, problem: Problem) -> Proposal[StateT, Any]:
        """What proposes."""

    @abstractmethod
    def converged(self, before: Surrogate[StateT], after: Surrogate[StateT]) -> Tensor:
        """Which samples may stop, bool, shape (n_batch,)."""

    @abstractmethod
    def read(self, problem: Problem, surrogate: Surrogate[StateT]) -> Reading:
        """The estimate that belongs to a state."""


@dataclass(frozen=True)
class Kernel:
    """A linear inverse operator, shared by the batch or one per sample.

    Attributes
    ----------
    matrix : Tensor, shape (n_columns, n_sensors) or (n_batch, n_columns, n_sensors)
        Maps data to sources, already in ``unit``.
    unit : str
        ``"Am"`` or the statistic.
    target : Tensor, shape of ``matrix``, float64
        What ``K M`` must equal: ``D R L'``, with the source covariance ``R`` and the rescaling
        ``D`` of the statistic.
    regularised : Tensor, shape (n_sensors, n_sensors) or (n_batch, n_sensors, n_sensors), float64
        ``M = L R L' + lambda^2 C``; for a beamformer, the loaded covariance of the data.
    lambda2 : float
        Regularisation.
    noise_norm : Tensor or None, shape (n_locations,) or (n_batch, n_locations)
        Factor by which a location's minimum-norm estimate was multiplied.
    energy : Tensor or None, shape (n_batch,), float64
        The minimised energy, where it does not depend on the data that the kernel is applied to;
        None stands for Tikhonov's, ``lambda^2 tr(y' M^-1 y)``.
    energy_name : str
        What the energy is, in words.
    status : tuple of Status
        One for all samples, or one per sample.
    details : dict
        What the solver has to say for itself (iterations, for instance), ready for JSON.
    """

    matrix: Tensor
    unit: str
    target: Tensor
    regularised: Tensor
    lambda2: float
    noise_norm: Tensor | None = None
    energy: Tensor | None = None
    energy_name: str = "Tikhonov energy"
    status: tuple[Status, ...] = (Status.DIRECT,)
    details: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def residual(self) -> Tensor:
        """Relative residual of the normal equations, ``|K M - D R L'| / |D R L'|``, () or (B,)."""
        miss = self.matrix.to(self.target.dtype) @ self.regularised - self.target
        return torch.linalg.matrix_norm(miss) / torch.linalg.matrix_norm(self.target)

    def apply(self, problem: Problem) -> Solution:
        """Apply the kernel to the data of a problem.

        Raises
        ------
        MajorantError
            If the problem has other sensors, or another number of samples than a kernel that
            holds one matrix per sample.
        """
        certificate = self.certificate(problem)
        estimate = self.matrix @ problem.y.to(self.matrix.dtype)
        return Solution(
            estimate,
            self.statuses(problem),
            certificate,
            unit=self.unit,
            details=dict(self.details),
        )

    def certificate(self, problem: Problem) -> Certificate:
        """The certificate of the kernel on the data of a problem, without the estimate itself.

        Raises
        ------
        MajorantError
            As for :meth:`apply`.
        """
        n_batch, n_sensors = problem.n_batch, problem.operator.n_sensors
        if self.matrix.shape[-1] != n_sensors:
            raise MajorantError(
                f"the kernel reads {self.matrix.shape[-1]} sensors and the problem has "
                f"{n_sensors}; make a kernel for this problem"
            )
        if self.matrix.ndim == 3 and self.matrix.shape[0] != n_batch:
            raise MajorantError(
                f"the kernel holds {self.matrix.shape[0]} samples and the problem has {n_batch}; "
                "make a kernel for this problem"
            )
        zero = torch.zeros(n_batch, dtype=torch.int64, device=problem.y.device)
        return Certificate(
            energy=self._energy(problem)[None],
            violations=zero,
            refused=zero,
            halvings=zero,
            fallbacks=zero,
            energy_name=self.energy_name,
            bound="closed form",
            kind="global",
            residual=self.residual.expand(n_batch),
        )

    def statuses(self, problem: Problem) -> tuple[Status, ...]:
        """How every sample ends."""
        silent = (problem.y == 0).flatten(1).all(1).tolist()
        own = self.status if len(self.status) == problem.n_batch else self.status[:1] * len(silent)
        return tuple(Status.NO_DATA if s else o for s, o in zip(silent, own, strict=True))

    def _energy(self, problem: Problem) -> Tensor:
        if self.energy is not None:
            return self.energy
        factor = cholesky(self.regularised, "the regularised data covariance")
        white = torch.linalg.solve_triangular(factor, problem.y.to(factor.dtype), upper=False)
        return self.lambda2 * squared_norm(white)


class KernelSolver(Said, ABC):
    """A solver whose estimate is linear in the data."""

    abilities = Abilities(linear=True)

    @abstractmethod
    def kernel(self, problem: Problem) -> Kernel:
        """The inverse operator; of the data, only an adaptive solver (LCMV) may look at ``y``."""


Solver = IterativeSolver[Any] | KernelSolver
