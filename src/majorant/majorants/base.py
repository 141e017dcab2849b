"""Majorant and Surrogate: an upper bound of the energy that touches it at the current state.

A step is named by the point it leads to. Sources move additively and variances multiplicatively;
points need no conversion between the two, so one guard serves both families.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Generic, Self

import torch
from torch import Tensor

from majorant.energies.base import Energy, StateT
from majorant.problem import BoundKind


class Tried(ABC, Generic[StateT]):
    """The energy at one state, as well as it is known: what a guard judges.

    Attributes
    ----------
    state : State
        Where.
    energy : Tensor, shape (n_batch,), float64
        Energy at that state.
    rounding : Tensor, shape (n_batch,), or float
        How far rounding may have moved ``energy``; 0 where the guard's own allowance is enough.
    doubt : Tensor, shape (n_batch,), or float
        How far ``energy`` may lie from the energy in float64 by its definition; what a guard takes
        has to fall by more than that, or be computed again (:meth:`settled`).
    """

    state: StateT
    energy: Tensor
    rounding: Tensor | float = 0.0
    doubt: Tensor | float = 0.0

    def settled(self, chosen: Tensor, *, again: bool = False) -> Self:
        """The same, with the energy of some samples computed in float64 from its definition.

        Parameters
        ----------
        chosen : Tensor, shape (n_batch,), bool
        again : bool
            Whether also those whose doubt says that they need not be.
        """
        return self


class Surrogate(Tried[StateT]):
    """The bound at one state. Building it evaluates the energy there, once, for all who ask.

    The bound touches the energy at ``state``.
    """

    def restated(self, energy: Tensor, doubt: Tensor | float) -> Self:
        """The same, with energies that are known better than a new look would know them."""
        return self

    def steepness(self) -> Tensor | None:
        """Norm of the energy's gradient, float64, (n_batch,); None where there is none."""
        return None

    def stationarity(self) -> Tensor | None:
        """``|g|^2 / mu``, at most; ``mu`` bounds the curvature (``docs/guarantees.md``, 5)."""
        return None

    def gap(self) -> Tensor | None:
        """Duality gap, float64, (n_batch,); None where the energy is not convex."""
        return None

    @abstractmethod
    def change(self, proposed: StateT) -> Tensor:
        """Upper bound of ``energy(proposed) - energy(state)``, float64, shape (n_batch,)."""

    @abstractmethod
    def slope(self, proposed: StateT) -> Tensor:
        """Directional derivative of the energy towards a point: what a step wins to first order.

        ``<grad u, proposed - state>``, in log-variances for Type-II; float64, shape (n_batch,).
        Negative where the step points downhill.
        """

    @abstractmethod
    def minimiser(self) -> StateT:
        """The point the classical method would go to: it minimises the bound."""

    @abstractmethod
    def promise(self) -> Tensor:
        """Decrease the bound promises at its minimiser, at least 0, float64, shape (n_batch,)."""

    def promise_limit(self) -> Tensor:
        """A number that :meth:`promise` cannot exceed, and that may cost less to know."""
        return self.promise()


class Majorant(ABC, Generic[StateT]):
    """A family of surrogates of one energy.

    Attributes
    ----------
    energy : Energy
        What is bounded.
    name : str
        Name of the bound, for the certificate.
    kind : {"global", "local", "estimated", "none"}
        Where it holds: everywhere, near the state, or as far as an estimate goes.
    """

    energy: Energy[StateT]
    name: str
    kind: BoundKind

    @abstractmethod
    def at(self, state: StateT) -> Surrogate[StateT]:
        """Build the bound at ``state``."""

    def tried(self, state: StateT, chosen: Tensor) -> Tried[StateT]:
        """Look at the energy of the samples in ``chosen`` (n_batch,); of others nothing is said."""
        return self.at(state)


@dataclass(frozen=True)
class TriedSamples(Tried[StateT]):
    """The energy of some samples of a state.

    Attributes
    ----------
    state : State
        Of all samples.
    chosen : Tensor, shape (n_batch,), bool
        Whose energy was looked at.
    part : Surrogate
        Of those alone.
    """

    state: StateT
    chosen: Tensor
    part: Surrogate[StateT]

    @cached_property
    def energy(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Energies; infinite where nobody looked."""
        found = self.part.energy.new_full(self.chosen.shape, torch.inf)
        found[self.chosen] = self.part.energy
        return found

    @cached_property
    def doubt(self) -> Tensor:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How far the energies may lie from their definition."""
        found = torch.zeros_like(self.energy)
        found[self.chosen] = torch.as_tensor(self.part.doubt, dtype=found.dtype)
        return found

    def settled(self, chosen: Tensor, *, again: bool = False) -> TriedSamples[StateT]:
        """The same, with the energy of some samples computed in float64 from its definition."""
        return replace(self, part=self.part.settled(chosen[self.chosen], again=again))
