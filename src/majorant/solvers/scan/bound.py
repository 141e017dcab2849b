"""The likelihood as its own bound, with the sweep that goes down it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from majorant.majorants.base import Majorant, Surrogate
from majorant.problem import BoundKind
from majorant.solvers.scan.likelihood import Found, Likelihood
from majorant.solvers.scan.search import Sweep

__all__ = ["LikelihoodMajorant", "LikelihoodSurrogate", "at_likelihood"]


@dataclass(frozen=True, eq=False)
class LikelihoodSurrogate(Surrogate[Found]):
    """The likelihood itself, which is its own tightest bound.

    Attributes
    ----------
    state : Found
    energy : Tensor, shape (n_batch,), float64
    sweep : Sweep
        Alternating projections for the data at hand.
    """

    state: Found
    energy: Tensor
    sweep: Sweep

    def change(self, proposed: Found) -> Tensor:
        """How the energy changes; float64, shape (n_batch,)."""
        return self.sweep.search.likelihood.value(proposed) - self.energy

    def slope(self, proposed: Found) -> Tensor:
        """The change: there is no first order of a choice."""
        return self.change(proposed)

    def minimiser(self) -> Found:
        """Where one sweep of alternating projections leads."""
        return self.sweep(self.state, self.energy, self.sweep.search.products())[0]

    def promise(self) -> Tensor:
        """What that sweep wins."""
        return (-self.change(self.minimiser())).clamp_min(0)


class LikelihoodMajorant(Majorant[Found]):
    """The energy as its own bound.

    Parameters
    ----------
    sweep : Sweep
        Alternating projections for the data of a problem.
    """

    name = "the likelihood itself"
    kind: BoundKind = "global"

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.energy: Likelihood = sweep.search.likelihood

    def at(self, state: Found) -> LikelihoodSurrogate:
        """Evaluate the likelihood at ``state``."""
        return LikelihoodSurrogate(state, self.energy.value(state), self.sweep)


def at_likelihood(surrogate: Surrogate[Found]) -> LikelihoodSurrogate:
    """The surrogate as that of the likelihood, which is the only one over patches."""
    if not isinstance(surrogate, LikelihoodSurrogate):
        raise TypeError(f"expected a LikelihoodSurrogate, found {type(surrogate).__name__}")
    return surrogate
