"""What a solver can do and what it needs, said by its class and asked by every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch

__all__ = ["Abilities", "Orientation"]

Orientation = Literal["fixed", "loose", "free"]


@dataclass(frozen=True)
class Abilities:
    """What a solver says of itself.

    Attributes
    ----------
    linear : bool
        The estimate is linear in the data, with one kernel for all of them.
    adaptive : bool
        The estimate is linear once its kernel was made from the covariance of the data.
    snr : bool
        It is told the signal-to-noise ratio; the others learn what they need of it.
    covariance : bool
        It looks at no more than second moments of the data, so it can image a covariance.
    orientations : tuple of str
        Orientations it can treat.
    space : {"any", "regions"}
        Source spaces it can treat; ``"regions"`` asks for the 994 regions of the template.
    depth : float or None
        Default depth weighting; None for solvers that correct for depth themselves.
    window : float or None
        Windows of continuous data that are solved together, s; None where every sample is solved
        for itself, with one kernel.
    precision : torch.dtype or None
        In which its network runs, whatever the data's; None follows the data.
    single : bool
        Recordings are solved in single precision, in which its network was trained.
    live : int or None
        Steps of a window that is solved while a stream runs; None where it cannot keep up with
        one, or needs no window.
    live_window : float or None
        Length of that window, s; None takes ``window``.
    """

    linear: bool = False
    adaptive: bool = False
    snr: bool = False
    covariance: bool = True
    orientations: tuple[Orientation, ...] = ("fixed", "loose", "free")
    space: Literal["any", "regions"] = "any"
    depth: float | None = None
    window: float | None = None
    precision: torch.dtype | None = None
    single: bool = False
    live: int | None = None
    live_window: float | None = None

    @property
    def kernel(self) -> bool:
        """Whether one matrix, once it is made, maps all data to sources."""
        return self.linear or self.adaptive
