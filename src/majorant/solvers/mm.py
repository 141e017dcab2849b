"""Classical majorisation-minimisation of the quadratic family, through the one loop.

:class:`ClassicalMM` goes to the minimiser of the bound, again and again; what is minimised, how it
is bounded, where it starts and what is read off is an :class:`Objective`. It works on any linear
operator, matrix-free too, and is what a guarded learned solver is measured against.

Source: the MM-Net paper (arXiv 2026), section 2; ``docs/guarantees.md``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.energies.lengths import inverse, norm
from majorant.energies.squares import SquaresEnergy
from majorant.linalg import squared_norm, total
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.cosine import CosineMajorant
from majorant.majorants.guard import Guard
from majorant.majorants.prior import LayerNorms
from majorant.majorants.squares import SquaresMajorant
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MajorantError, Problem
from majorant.solvers.base import IterativeSolver, Memoryless, Reading


class Objective(ABC):
    """What is minimised, how it is bounded, where it starts and what is read off at the end."""

    @abstractmethod
    def majorant(self, problem: Problem) -> Majorant[SourceState]:
        """The bound, with its energy."""

    @abstractmethod
    def start(self, problem: Problem) -> SourceState:
        """Where the minimisation starts."""

    @abstractmethod
    def read(self, problem: Problem, x: Tensor) -> Reading:
        """The estimate that belongs to ``x``."""

    def certifies(self, problem: Problem) -> str:
        """Whose energy is minimised, in words; nothing where it is the estimate's own."""
        return ""


@dataclass(frozen=True)
class Squares(Objective):
    """Whitened squares with a Tikhonov term; starts at zero.

    Parameters
    ----------
    weight : float
        ``lambda`` of the Tikhonov term.
    bound : {"scalar", "gram", "operator"}
        See :class:`majorant.majorants.squares.SquaresMajorant`.
    """

    weight: float = 0.2
    bound: Literal["scalar", "gram", "operator"] = "scalar"

    def majorant(self, problem: Problem) -> SquaresMajorant:
        """The exact majorant."""
        return SquaresMajorant(SquaresEnergy(problem, self.weight), self.bound)

    def start(self, problem: Problem) -> SourceState:
        """Zero."""
        return SourceState(torch.zeros_like(problem.operator.adjoint(problem.y)))

    def read(self, problem: Problem, x: Tensor) -> Reading:
        """``x`` itself."""
        return Reading(x)


@dataclass(frozen=True)
class Cosine(Objective):
    """The cosine energy; starts at the adjoint, normed.

    Parameters
    ----------
    prior : Autoencoder or None
    weight : float
        Of the prior term.
    tikhonov : float
        Of the Tikhonov term, in the units of the lead field.
    bound : str
        A name of :data:`majorant.majorants.cosine.BOUNDS`.
    norms : LayerNorms or None
        Norms of the prior's layers; None measures them at every solve.
    """

    prior: Autoencoder | None = None
    weight: float = 1.0
    tikhonov: float = 0.0
    bound: str = "global"
    norms: LayerNorms | None = None

    def majorant(self, problem: Problem) -> CosineMajorant:
        """The bound of that name."""
        energy = CosineEnergy(problem, self.prior, self.weight, self.tikhonov)
        return CosineMajorant(energy, self.bound, self.norms)

    def start(self, problem: Problem) -> SourceState:
        """``L'y``, scaled to norm one."""
        x = problem.operator.adjoint(problem.y)
        return SourceState(x * inverse(norm(x)).to(x.dtype)[:, None, None])

    def certifies(self, problem: Problem) -> str:
        """The prior's term knows a scale, and that of the data comes afterwards."""
        return "" if self.prior is None else "the iterate, before it is scaled to the data"

    def read(self, problem: Problem, x: Tensor) -> Reading:
        """``s x`` with the amplitude the data ask for: the cosine fixes a direction only.

        Where the amplitude is not positive no source explains the data; the estimate is zero.
        """
        seen = problem.operator.apply(x)
        scale = total(seen * problem.y) * inverse(squared_norm(seen))
        positive = torch.isfinite(scale) & (scale > 0)
        size = torch.where(positive, scale, 0.0).to(x.dtype)[:, None, None]
        return Reading(x * size, details={"amplitude": scale.tolist()}, unexplained=~positive)


@dataclass(frozen=True)
class SameAs(Objective):
    """The energy, start and reading of another solver, under a bound of one's own.

    Parameters
    ----------
    solver : IterativeSolver
        Of the quadratic family.
    bound : str or None
        A name of :data:`majorant.majorants.cosine.BOUNDS`, for solvers of the cosine energy;
        None keeps the solver's bound.
    """

    solver: IterativeSolver[SourceState]
    bound: str | None = None

    def majorant(self, problem: Problem) -> Majorant[SourceState]:
        """The solver's energy, bounded."""
        own = self.solver.majorant(problem)
        if self.bound is None:
            return own
        if not isinstance(own.energy, CosineEnergy):
            raise MajorantError(
                f"the bound {self.bound!r} is one of the cosine energy and this is the "
                f"{own.energy.name}; give bound=None"
            )
        return CosineMajorant(own.energy, self.bound)

    def start(self, problem: Problem) -> SourceState:
        """The solver's start."""
        return self.solver.start(problem)

    def certifies(self, problem: Problem) -> str:
        """What the solver's certificate is of."""
        return self.solver.certifies(problem)

    def read(self, problem: Problem, x: Tensor) -> Reading:
        """The solver's reading."""
        return self.solver.read(problem, self.majorant(problem).at(SourceState(x)))


class Minimise(IterativeSolver[SourceState]):
    """What the minimisers of an objective share; they differ in what they propose.

    Attributes
    ----------
    objective : Objective
    tolerance : float
        Relative decrease of the energy at which a sample stops.
    """

    objective: Objective
    tolerance: float

    def majorant(self, problem: Problem) -> Majorant[SourceState]:
        """The objective's bound."""
        return self.objective.majorant(problem)

    def certifies(self, problem: Problem) -> str:
        """What the objective is of."""
        return self.objective.certifies(problem)

    def start(self, problem: Problem) -> SourceState:
        """The objective's start."""
        return self.objective.start(problem)

    def converged(self, before: Surrogate[SourceState], after: Surrogate[SourceState]) -> Tensor:
        """Where the energy fell by no more than the tolerance, relatively, or not at all."""
        return before.energy - after.energy <= self.tolerance * before.energy.abs()

    def read(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Reading:
        """The objective's reading."""
        return self.objective.read(problem, surrogate.state.x)


@dataclass(frozen=True)
class ToMinimiser(Memoryless[SourceState]):
    """Go ``gamma`` times the way to the minimiser of the bound; below 2 the bound still falls."""

    gamma: float = 1.0

    def rule(self, surrogate: Surrogate[SourceState]) -> SourceState:
        """``x - gamma P^-1 g``."""
        return surrogate.state.toward(surrogate.minimiser(), self.gamma)


@dataclass(frozen=True)
class ClassicalMM(Minimise):
    """Majorisation-minimisation: go to the minimiser of the bound, again and again.

    With a bound that holds everywhere the energy falls without being asked; the guard only
    confirms it. With a local bound the guard is what keeps the promise.

    Parameters
    ----------
    objective : Objective
    max_iter : int
    tolerance : float
        Relative decrease of the energy at which a sample stops.
    gamma : float
        Step length, in (0, 2).
    guard : Guard
    """

    objective: Objective = field(default_factory=Squares)
    max_iter: int = 200
    tolerance: float = 1e-9
    gamma: float = 1.0
    guard: Guard = field(default=Guard(window=1))

    def proposal(self, problem: Problem) -> ToMinimiser:
        """The classical rule."""
        return ToMinimiser(self.gamma)
