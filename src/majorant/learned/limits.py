"""The papers' limits of the predicted inverse curvature: ``p`` is projected onto an interval.

MM-Net predicts ``p`` in ``x - gamma p * g``. Both versions of the paper project it onto
``[nu, nu_bar(x)]`` with ``nu_bar = 1 / mu(x)`` and ``mu`` a bound of the curvature (version 1,
version 2, or an estimate from Hessian-vector products), and ``nu = min(1e-8 |x|^2, nu_bar)``. What
is projected here is the ``p`` that the step was made with, element by element, whatever the network
did to predict it.

A limit is no guarantee: a bound of the Hessian at ``x`` is no majorant (``docs/guarantees.md``,
section 6), and under the honest bounds ten steps hardly move. Descent is what the guard keeps; with
a limit or without. Source: the MM-Net paper (arXiv 2026), equations 13 and 14, Proposition 1,
algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.linalg import squared_norm
from majorant.majorants.base import Surrogate
from majorant.majorants.cosine import CosineMajorant, HessianEstimate
from majorant.majorants.prior import Norms
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.problem import MajorantError, Problem
from majorant.solvers.base import Proposal

Limit = Literal["v1", "v2", "hvp"]
LIMITS: tuple[Limit, ...] = get_args(Limit)

LOWEST = 1e-8
"""The paper's ``nu``, relative to ``|x|^2``."""


def check_limit(limit: Limit | None) -> None:
    """Refuse a limit that does not exist.

    Raises
    ------
    MajorantError
        If there is no such limit.
    """
    if limit is not None and limit not in LIMITS:
        raise MajorantError(
            f"there is no limit {limit!r}; choose one of {', '.join(LIMITS)}, or none for a "
            "curvature that is open above"
        )


def limiting(
    energy: CosineEnergy, limit: Limit, norms: Norms | None = None
) -> CosineMajorant | HessianEstimate:
    """Return the bound that a limit is the inverse of.

    Parameters
    ----------
    energy : CosineEnergy
    limit : {"v1", "v2", "hvp"}
    norms : LayerNorms, callable or None
        Norms of the prior's layers, or what gives them; None measures them.
    """
    if limit == "hvp":
        return HessianEstimate(CosineMajorant(energy, "v2", norms))
    return CosineMajorant(energy, limit, norms)


@dataclass(frozen=True)
class Limited(Proposal[SourceState, Any]):
    """A step with its inverse curvature projected onto ``[nu, nu_bar(x)]``.

    Attributes
    ----------
    inner : Proposal
        The network's step.
    gamma : float
        Its step length: ``x - gamma p * g``.
    """

    inner: Proposal[SourceState, Any]
    gamma: float = 1.0

    def begin(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Any:
        """The memory of the network."""
        return self.inner.begin(problem, surrogate)

    @torch.no_grad()
    def propose(self, surrogate: Surrogate[SourceState], memory: Any) -> tuple[SourceState, Any]:
        """``x - gamma clamp(p, nu, nu_bar) * g`` with the network's ``p``."""
        if not isinstance(surrogate, QuadraticSurrogate):
            raise MajorantError("the limits of the papers are those of the cosine energy")
        point, memory = self.inner.propose(surrogate, memory)
        x, g = surrogate.state.x, surrogate.gradient
        low, high = interval(surrogate)
        # in steps along -g, not in p: where g is 0 the step is, and p may be anything
        size, down = self.gamma * g.abs(), -g.sign()
        step = down * (point.x - x)
        step = step.clamp(low.to(x.dtype) * size, high.to(x.dtype) * size)
        return SourceState(x + down * step), memory


def interval(surrogate: QuadraticSurrogate) -> tuple[Tensor, Tensor]:
    """Return ``nu`` and ``nu_bar`` at a point; float64, they broadcast to the shape of ``x``."""
    high = surrogate.curvature.step_limit()
    low = LOWEST * squared_norm(surrogate.state.x)[:, None, None]
    return torch.minimum(low, high), high
