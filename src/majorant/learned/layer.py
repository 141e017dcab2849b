"""One layer of the unfolded solver: a step of convex bounding and its learned correction.

Source: arXiv:2606.07196 for the corrections (mode ``free``); ``theta`` and ``gated`` are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from majorant.energies.variances import (
    Covariance,
    LogVariance,
    Part,
    Variances,
    log_ratio,
    update,
)
from majorant.learned.clues import ClueColumns, read_clues, read_columns
from majorant.learned.factors import Factors, read_factors
from majorant.learned.gate import gated, moved
from majorant.majorants.base import Surrogate
from majorant.majorants.evidence import EvidenceSurrogate, at_evidence
from majorant.networks.corrections import Clues, Corrections
from majorant.problem import Problem
from majorant.solvers.base import Proposal

Mode = Literal["free", "theta", "gated", "exact"]


@dataclass(frozen=True)
class Depth:
    """What travels through the loop: the next layer, and what is known of lead field and data."""

    layer: int
    columns: ClueColumns
    factors: Factors | None = None


class CorrectedStep(Proposal[Variances, Depth]):
    """One layer: convex bounding and its correction.

    Parameters
    ----------
    corrections : Corrections
    mode : {"free", "theta", "gated", "exact"}
    kappa : float
        ``gated``: share of the classical decrease that a correction may give away, in [0, 1].
    """

    def __init__(self, corrections: Corrections, mode: Mode, kappa: float = 1.0) -> None:
        self.corrections, self.mode, self.kappa = corrections, mode, kappa

    def begin(self, problem: Problem, surrogate: Surrogate[Variances]) -> Depth:
        """The first layer; columns and factors are read here, once."""
        model = at_evidence(surrogate).model
        factors = read_factors(model) if self.corrections.needs_factors else None
        return Depth(0, read_columns(model, self.corrections.needs_neighbours), factors)

    @torch.no_grad()
    def propose(self, surrogate: Surrogate[Variances], memory: Depth) -> tuple[Variances, Depth]:
        """The point that the layer leads to, without a graph."""
        point = self.layer(at_evidence(surrogate), memory)
        return point, replace(memory, layer=memory.layer + 1)

    def layer(self, here: EvidenceSurrogate, memory: Depth) -> Variances:
        """The point that the layer leads to, differentiably."""
        stage = self.corrections.stage(memory.layer)
        if stage is None:
            return here.minimiser()
        of_sources, of_sensors = stage(self.clues(here, memory))
        if self.mode == "gated":
            return gated(here, of_sources, of_sensors, self.kappa)
        return (_theta if self.mode == "theta" else _free)(here, of_sources, of_sensors)

    def clues(self, here: EvidenceSurrogate, memory: Depth) -> Clues:
        """What the layer may look at; a bias looks at nothing but how many there are."""
        dtype = next(self.corrections.parameters()).dtype
        if self.corrections.settings.kind != "bias":
            progress = self.corrections.progress(memory.layer)
            return read_clues(here, memory.columns, progress, dtype, memory.factors)
        s = here.statistics
        return Clues(s.z.new_zeros(*s.z.shape[:2], 0), s.w.new_zeros(*s.w.shape[:2], 0))


def _free(here: EvidenceSurrogate, of_sources: Tensor, of_sensors: Tensor) -> Variances:
    """The classical point and the whole correction."""
    return here.model.within(here.state, moved(here, here.bounding(), of_sources, of_sensors))


def _theta(here: EvidenceSurrogate, of_sources: Tensor, of_sensors: Tensor) -> Variances:
    """``q^theta`` with ``theta = sigmoid(c)``."""
    s, state = here.statistics, here.state
    gamma, noise = _powered(state.gamma, s.z, s.a, of_sources), state.noise
    if here.model.learns_noise:
        noise = _powered(noise, s.w, s.b, of_sensors)
    return here.model.within(state, Variances(gamma, noise))


def _powered(part: Part, z: Tensor, a: Tensor, correction: Tensor) -> Part:
    """Go ``2 theta`` of the classical way; a block at most all of it, on the straight line.

    The bound is convex along straight lines of covariances, and no bound is known beyond the
    classical point. A full matrix of the noise takes the classical step.
    """
    theta = torch.sigmoid(correction)
    if isinstance(part, LogVariance):
        return LogVariance(update(part.log, log_ratio(a, z), share=theta.to(part.log.dtype)))
    goal = part.bounding(z, a)
    assert isinstance(part, Covariance)
    assert isinstance(goal, Covariance)
    if part.matrix.shape[1] == 1:
        return goal
    share = (2.0 * theta).to(part.matrix.dtype)[:, :, None, None]
    between = part.matrix + share * (goal.matrix - part.matrix)
    return Covariance(torch.where(share >= 1.0, goal.matrix, between))
