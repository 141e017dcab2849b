"""
A solver that works on windows
==============================

A solver that couples times says how long its windows are. Everything else comes for free: ``solve``
cuts longer data, cross-fades the estimates and joins the certificates; averages, trials, hours of
continuous data and live streams are imaged as with the networks of the package.

This one lowers a whitened square by majorisation: go to the minimiser of the bound, again and
again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch

from majorant import Leadfield, Problem, make, solve
from majorant.energies.cosine import SourceState
from majorant.majorants.guard import Guard
from majorant.registry import SolverSpec, register
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import Proposal
from majorant.solvers.mm import Minimise, Objective, Squares, ToMinimiser
from majorant.testing import check_solver


@dataclass(frozen=True)
class WindowedMM(Minimise):
    """Majorisation of a whitened square, on windows of a fifth of a second."""

    abilities = Abilities(window=0.2, live=3, covariance=False, orientations=("fixed",))
    cuts = True

    objective: Objective = field(default_factory=Squares)
    max_iter: int = 12
    tolerance: float = 1e-9
    guard: Guard = field(default=Guard(window=1))
    sfreq: float | None = None

    def at(self, sfreq: float) -> WindowedMM:
        """The same for data of a sampling rate, Hz."""
        return replace(self, sfreq=sfreq)

    def proposal(self, problem: Problem) -> Proposal[SourceState, Any]:
        """The minimiser of the bound."""
        return ToMinimiser()


register(
    SolverSpec(
        "windowed-mm",
        f"{__name__}:WindowedMM",
        "Windowed MM",
        "Lowers a whitened square by majorisation, window by window.",
        "The energy never rises.",
        "None needed.",
    )
)

# %%
# The checks are those of every solver.

check_solver(WindowedMM(), orientations=(1,))
print("WindowedMM passes.")

# %%
# A second of data is ten windows that overlap by half, and one estimate.

lead = Leadfield.template_small()
y = torch.randn(1, lead.n_sensors, 256, generator=torch.Generator().manual_seed(0))
problem = Problem(lead.operator(torch.float32), y)
solution = solve(problem, make("windowed-mm").at(256.0))
print(solution.details["windows"], "windows;", solution.certificate.sentence())
