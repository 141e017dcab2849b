"""The nouns of minimisation that both families share: State and Energy.

The quadratic family moves sources ``x`` along straight lines; Type-II learning moves variances
``(gamma, lambda)`` along geometric ones. What the loop and the guard need to know of either is
written here and nowhere else: which samples are finite, how to take some samples from one state
and the rest from another, and what "part of the way" means.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

from torch import Tensor


class State(ABC):
    """A point of the minimisation for a batch of independent samples; immutable."""

    @abstractmethod
    def finite(self) -> Tensor:
        """Which samples are finite, bool, shape (n_batch,)."""

    @abstractmethod
    def where(self, chosen: Tensor, other: Self) -> Self:
        """Take the samples marked in ``chosen`` (n_batch,) from here and the rest from ``other``.

        Selection, not arithmetic: NaN in a sample that is not taken does not leak.
        """

    @abstractmethod
    def toward(self, target: Self, fraction: float) -> Self:
        """Go part of the way to ``target``, along the family's own geometry."""


StateT = TypeVar("StateT", bound=State)


class Energy(ABC, Generic[StateT]):
    """A function to be minimised, for a batch of independent samples.

    Attributes
    ----------
    name : str
        What the energy is, in words, for certificates and pages.
    """

    name: str

    @abstractmethod
    def value(self, state: StateT) -> Tensor:
        """Energy per sample, float64, shape (n_batch,)."""

    @abstractmethod
    def value_and_grad(self, state: StateT) -> tuple[Tensor, StateT]:
        """Energy per sample and its gradient, a record of the same shapes as the state."""

    def exact(self, state: StateT, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Energy of some samples in float64 from its definition, and what rounding is left in it.

        Parameters
        ----------
        state : State
        chosen : Tensor, shape (n_batch,), bool

        Returns
        -------
        energy, rounding : Tensor, shape (n_chosen,), float64
        """
        energy = self.value(state)[chosen]
        return energy, energy * 0.0

    @abstractmethod
    def admissible(self, origin: StateT, proposed: StateT) -> StateT:
        """Bring a proposal into the domain: clip to the box, or limit its size.

        The domain always contains ``origin``, so clipping never undoes a descent.
        """
