"""MM-Net's steps as a proposal, for what these formulas suit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.energies.cosine import SourceState
from majorant.learned.fused.energy import FusedPoint
from majorant.learned.fused.rows import parts
from majorant.learned.fused.step import FusedCells, FusedStep, advanced
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.problem import Problem
from majorant.solvers.base import Proposal


@dataclass(frozen=True)
class FusedProposal(Proposal[SourceState, list[FusedCells]]):
    """The network's steps, without a look at the energy between them.

    The memory is changed in place: who wants to go back to it copies it before.

    Attributes
    ----------
    step : FusedStep
    """

    step: FusedStep

    def begin(self, problem: Problem, surrogate: Surrogate[SourceState]) -> list[FusedCells]:
        """Empty cells, of every part of the batch."""
        n_batch, _, n_times = surrogate.state.x.shape
        return [self.step.begin(rows.stop - rows.start) for _, rows in parts(n_batch, n_times)]

    def propose(
        self, surrogate: Surrogate[SourceState], memory: list[FusedCells]
    ) -> tuple[SourceState, list[FusedCells]]:
        """One step."""
        return self._ahead(surrogate, memory, 1), memory

    def advance(
        self,
        majorant: Majorant[SourceState],
        current: Surrogate[SourceState],
        memory: list[FusedCells],
        steps: int,
        active: Tensor | None = None,
    ) -> tuple[Surrogate[SourceState], list[FusedCells]]:
        """Some steps on end."""
        ahead = self._ahead(current, memory, steps)
        return majorant.at(ahead if active is None else ahead.where(active, current.state)), memory

    @torch.no_grad()
    def _ahead(
        self, surrogate: Surrogate[SourceState], memory: list[FusedCells], steps: int
    ) -> SourceState:
        assert isinstance(surrogate, QuadraticSurrogate)
        assert isinstance(surrogate.point, FusedPoint)
        return SourceState(advanced(self.step, surrogate.point, memory, steps))
