"""
A solver in one file
====================

A linear solver is a matrix that maps data to sources. This one is complete: it says how its matrix
is made and what the matrix solves, it is registered under a name, and it passes the checks that
every solver of the package passes. Loop, certificate and residual come for free.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from majorant import Leadfield, make, solve
from majorant.problem import Problem
from majorant.registry import SolverSpec, register
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.base import Kernel, KernelSolver
from majorant.testing import check_solver


@dataclass(frozen=True)
class Backprojection(KernelSolver):
    """The adjoint of the lead field, scaled: ``L' y / |L|^2``."""

    def kernel(self, problem: Problem) -> Kernel:
        """Return the matrix, its unit, and what it solves: ``L' / |L|^2`` times ``|L|^2 I``."""
        lead = problem.operator.matrix().to(torch.float64)
        scale = problem.operator.norm_bound() ** 2
        identity = torch.eye(problem.operator.n_sensors, dtype=torch.float64)
        matrix = (lead.mT / scale).to(problem.y.dtype)
        return Kernel(matrix, "Am", lead.mT, identity * scale, lambda2=1.0)


# %%
# One entry makes it known: what it is, what holds for its estimates, and how to cite it. In the
# package the entry stands in ``registry.py``, and the command line knows the solver, too.

register(
    SolverSpec(
        "backprojection",
        f"{__name__}:Backprojection",
        "Backprojection",
        "The adjoint of the lead field: what each source would have sent, summed over electrodes.",
        "Closed form; the residual of the normal equations is reported.",
        "None needed.",
    )
)

# %%
# The checks: shapes and types, order of channels and sources, units, sign, windows, batch mates,
# silence, and a certificate that says what is so. A check that fails says in one sentence what it
# found.

check_solver(Backprojection())
print("Backprojection passes.")

# %%
# And it runs like any other.

data = SereegaLike(Leadfield.template_small(), 40, part="test")
batch = data.batch([7])
solution = solve(data.problem(batch), make("backprojection"))
print(solution.certificate.sentence())
print(f"true region {int(batch.seed)}, strongest {int(solution.estimate.abs().amax(2).argmax())}")
