"""References on the same energies: L-BFGS, and a comparison of final energies.

A guard that refuses everything violates nothing. So a guarded solver is also asked where it ends:
:func:`compare_energies` gives classical majorisation-minimisation, gradient descent with
backtracking and torch's L-BFGS the same start, the same energy and as many gradients.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from majorant.bench.descent import GradientDescent
from majorant.energies.cosine import SourceState
from majorant.energies.lengths import norm
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.guard import Guard
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.base import IterativeSolver, Memoryless, Proposal, Reading
from majorant.solvers.loop import solve
from majorant.solvers.mm import ClassicalMM, Minimise, Objective, SameAs, Squares


@dataclass(frozen=True)
class QuasiNewton(Memoryless[SourceState]):
    """A run of ``torch.optim.LBFGS`` on every sample alone, from where the sample is."""

    objective: Objective
    problem: Problem
    evaluations: int

    def rule(self, surrogate: Surrogate[SourceState]) -> SourceState:
        """Where the runs end."""
        rows = [self._run(i, x[None]) for i, x in enumerate(surrogate.state.x)]
        return SourceState(torch.cat(rows))

    def _run(self, index: int, start: Tensor) -> Tensor:
        energy = self.objective.majorant(_sample(self.problem, index)).energy
        scale = float(norm(start)) or 1.0
        z = (start / scale).contiguous()
        optimiser = torch.optim.LBFGS(
            [z],
            max_iter=self.evaluations,
            max_eval=self.evaluations,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def closure() -> Tensor:
            value, gradient = energy.value_and_grad(SourceState(scale * z.detach()))
            z.grad = (scale * gradient.x).contiguous()
            return value[0].to(z.dtype)

        optimiser.step(closure)  # pyright: ignore[reportArgumentType]
        return scale * z.detach()


@dataclass(frozen=True)
class LBFGS(Minimise):
    """Limited-memory BFGS of torch with a strong Wolfe line search, as a reference.

    Parameters
    ----------
    objective : Objective
    max_iter : int
        Runs; the memory is dropped between runs.
    evaluations : int
        Energies and gradients a run may ask for.
    tolerance : float
        Relative decrease of the energy over a run at which a sample stops.
    guard : Guard
    """

    objective: Objective = field(default_factory=Squares)
    max_iter: int = 5
    evaluations: int = 50
    tolerance: float = 1e-9
    guard: Guard = field(default=Guard(window=1))

    def proposal(self, problem: Problem) -> QuasiNewton:
        """Runs of the optimiser."""
        return QuasiNewton(self.objective, problem, self.evaluations)


class CountedMajorant(Majorant[SourceState]):
    """A majorant that counts the points it is asked about: each costs one gradient.

    Parameters
    ----------
    inner : Majorant
    """

    def __init__(self, inner: Majorant[SourceState]) -> None:
        self.inner, self.count = inner, 0
        self.energy, self.name, self.kind = inner.energy, inner.name, inner.kind

    def at(self, state: SourceState) -> Surrogate[SourceState]:
        """The inner bound."""
        self.count += 1
        return self.inner.at(state)


class _Watched(IterativeSolver[SourceState]):
    """Another solver, with its evaluations counted."""

    def __init__(self, solver: IterativeSolver[SourceState], problem: Problem) -> None:
        self.solver, self.max_iter, self.guard = solver, solver.max_iter, solver.guard
        self.counted = CountedMajorant(solver.majorant(problem))

    def majorant(self, problem: Problem) -> CountedMajorant:
        return self.counted

    def start(self, problem: Problem) -> SourceState:
        return self.solver.start(problem)

    def proposal(self, problem: Problem) -> Proposal[SourceState, object]:
        return self.solver.proposal(problem)

    def converged(self, before: Surrogate[SourceState], after: Surrogate[SourceState]) -> Tensor:
        return self.solver.converged(before, after)

    def read(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Reading:
        return self.solver.read(problem, surrogate)


@dataclass(frozen=True)
class EnergyComparison:
    """Final energies after as many gradients.

    Attributes
    ----------
    energy : Tensor, shape (n_batch,)
        Of the solver.
    gradients : int
        Points at which the solver looked at energy or gradient; no sample took more.
    references : mapping of str to Tensor, shape (n_batch,)
        Energies of the references after at least as many.
    """

    energy: Tensor
    gradients: int
    references: Mapping[str, Tensor]

    def no_worse_than(self, name: str, allowance: float = 1e-6) -> Tensor:
        """Which samples end at most as high as a reference, bool, shape (n_batch,)."""
        other = self.references[name]
        return self.energy <= other + allowance * other.abs().clamp_min(1.0)

    def lines(self) -> list[str]:
        """One line for each, mean energy and share of samples in which the solver is no worse."""
        rows = [
            f"{'this solver':24s} {float(self.energy.mean()):.6f}  ({self.gradients} gradients)"
        ]
        for name, energy in self.references.items():
            share = float(self.no_worse_than(name).double().mean())
            rows.append(f"{name:24s} {float(energy.mean()):.6f}  (no worse in {share:.1%})")
        return rows


def compare_energies(
    problem: Problem,
    solver: IterativeSolver[SourceState],
    *,
    max_iter: int | None = None,
    guard: Guard | None = None,
    bounds: Sequence[str | None] = (None,),
) -> EnergyComparison:
    """Compare where a solver ends with where the classical methods end after as many gradients.

    Parameters
    ----------
    problem : Problem
    solver : IterativeSolver
        Of the quadratic family, usually a guarded learned one.
    max_iter : int or None
        Iterations of the solver; None takes its own.
    guard : Guard or None
        None takes the solver's own.
    bounds : sequence of str or None
        Bounds of classical MM: names of :data:`majorant.majorants.cosine.BOUNDS`, or None for the
        solver's own.

    Returns
    -------
    EnergyComparison
        References are named ``"mm"`` (``"mm <bound>"``), ``"gradient descent"`` and ``"l-bfgs"``.
    """
    watched = _Watched(solver, problem)
    done = solve(problem, watched, max_iter=max_iter, guard=guard)
    # Between two decisions of the guard a network takes gradients that no majorant is asked about.
    own = solver.guard if guard is None else guard
    limit = solver.max_iter if max_iter is None else max_iter
    steps = min(limit, own.window * (len(done.certificate.energy) - 1))
    budget = max(watched.counted.count, steps + 1)
    end = watched.counted.energy.value(done.state)
    same, once = SameAs(solver), Guard(window=1)
    classical: dict[str, Minimise] = {
        "mm" if bound is None else f"mm {bound}": ClassicalMM(
            replace(same, bound=bound), budget - 1, tolerance=-1.0, guard=once
        )
        for bound in bounds
    }
    classical["gradient descent"] = GradientDescent(same, budget - 1, tolerance=-1.0)
    classical["l-bfgs"] = LBFGS(same, 1, evaluations=budget)
    references = {
        name: watched.counted.energy.value(solve(problem, each).state)
        for name, each in classical.items()
    }
    return EnergyComparison(end, budget, references)


def _sample(problem: Problem, index: int) -> Problem:
    """One sample as a problem of its own."""
    matrix = problem.operator.matrix()
    operator = problem.operator
    if matrix is not None and matrix.ndim == 3:
        operator = MatrixOperator(matrix[index], operator.n_orient)
    return replace(problem, operator=operator, y=problem.y[index : index + 1])
