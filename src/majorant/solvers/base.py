"""What a solver is: a kernel, or a proposal under a guard.

A :class:`KernelSolver` gives a matrix that maps data to sources. An :class:`IterativeSolver` gives
the parts that the one loop (``solvers/loop.py``) puts together: a majorant of its energy, a start,
a proposal, and a reading of the estimate from the final state.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from majorant.energies.base import StateT
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.guard import Guard
from majorant.problem import Certificate, Problem, Solution, Status

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
    unit : str
    """

    estimate: Tensor
    variance: Tensor | None = None
    unit: str = "Am"


class IterativeSolver(ABC, Generic[StateT]):
    """The parts of an iterative solver; every method is per sample.

    Attributes
    ----------
    max_iter : int
        Iteration limit (proposal steps, not windows).
    guard : Guard
        The guard used unless the caller gives another.
    """

    max_iter: int
    guard: Guard

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
    """A linear inverse operator.

    Attributes
    ----------
    matrix : Tensor, shape (n_columns, n_sensors)
        Maps data to sources, already in ``unit``.
    unit : str
        ``"Am"`` or the statistic.
    residual : float
        Relative residual of the normal equations, ``|K M - R L'| / |R L'|``.
    regularised : Tensor, shape (n_sensors, n_sensors)
        ``M = L R L' + lambda^2 C``, for the value of the minimised energy.
    lambda2 : float
        Regularisation.
    noise_norm : Tensor or None, shape (n_locations,)
        Factor by which a location's minimum-norm estimate was multiplied.
    details : dict
        What the solver has to say for itself (iterations, for instance).
    """

    matrix: Tensor
    unit: str
    residual: float
    regularised: Tensor
    lambda2: float
    noise_norm: Tensor | None = None
    details: dict[str, Any] = field(default_factory=dict)

    def apply(self, problem: Problem) -> Solution:
        """Apply the kernel to the data of a problem."""
        y = problem.y.to(self.matrix.dtype)
        white = torch.linalg.solve(self.regularised, y.to(self.regularised.dtype))
        energy = self.lambda2 * (y * white).flatten(1).sum(1, dtype=torch.float64)
        zero = torch.zeros(problem.n_batch, dtype=torch.int64)
        certificate = Certificate(
            energy=energy[None],
            violations=zero,
            refused=zero,
            halvings=zero,
            fallbacks=zero,
            energy_name="Tikhonov energy",
            bound="closed form",
            kind="global",
            residual=torch.full((problem.n_batch,), self.residual, dtype=torch.float64),
        )
        silent = (problem.y == 0).flatten(1).all(1).tolist()
        status = tuple(Status.NO_DATA if s else Status.DIRECT for s in silent)
        return Solution(
            self.matrix @ y, status, certificate, unit=self.unit, details=dict(self.details)
        )


class KernelSolver(ABC):
    """A solver whose estimate is linear in the data."""

    @abstractmethod
    def kernel(self, problem: Problem) -> Kernel:
        """The inverse operator; of the data, only an adaptive solver (LCMV) may look at ``y``."""


Solver = IterativeSolver[Any] | KernelSolver
