"""Gradient descent with backtracking on the energies of the solvers, as figures draw it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from majorant.energies.cosine import SourceState
from majorant.energies.lengths import norm
from majorant.errors import MajorantError
from majorant.majorants.base import Surrogate
from majorant.majorants.guard import Guard
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.problem import Problem
from majorant.solvers.base import Proposal
from majorant.solvers.mm import Minimise, Objective, Squares

__all__ = ["GradientDescent"]


@dataclass(frozen=True)
class Trail:
    """What gradient descent remembers: where it was, the gradient there, the step it tried."""

    x: Tensor
    gradient: Tensor
    tried: Tensor


@dataclass(frozen=True)
class Downhill(Proposal[SourceState, Trail | None]):
    """``x - t g`` with twice the step that was accepted last; the guard halves it as needed."""

    def begin(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Trail | None:
        """No step was taken yet."""
        return

    def propose(
        self, surrogate: Surrogate[SourceState], memory: Trail | None
    ) -> tuple[SourceState, Trail]:
        """The point, and what is remembered of it."""
        x, g = surrogate.state.x, _gradient(surrogate)
        size = norm(g)
        if memory is None:
            first = norm(surrogate.minimiser().x - x)
            length = torch.where(size > 0, first / size, 0.0)
        else:
            before = norm(memory.gradient)
            taken = torch.where(before > 0, norm(x - memory.x) / before, 0.0)
            length = torch.where(taken > 0, 2.0 * taken, memory.tried / 16.0)
        step = length.to(x.dtype)[:, None, None] * g
        return SourceState(x - step), Trail(x, g, length)


@dataclass(frozen=True)
class GradientDescent(Minimise):
    """Gradient descent with backtracking, as a reference.

    Parameters
    ----------
    objective : Objective
    max_iter : int
    tolerance : float
        Relative decrease of the energy at which a sample stops.
    guard : Guard
        Does the backtracking.
    """

    objective: Objective = field(default_factory=Squares)
    max_iter: int = 200
    tolerance: float = 1e-9
    guard: Guard = field(default=Guard(window=1, halvings=10))

    def proposal(self, problem: Problem) -> Downhill:
        """Down the gradient."""
        return Downhill()


def _gradient(surrogate: Surrogate[SourceState]) -> Tensor:
    if not isinstance(surrogate, QuadraticSurrogate):
        raise MajorantError(
            f"gradient descent needs a quadratic bound and was given {type(surrogate).__name__}"
        )
    return surrogate.gradient
