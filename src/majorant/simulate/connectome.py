"""Who is wired to whom, how strongly and how far: the long-range coupling of neural masses."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError


@dataclass(frozen=True)
class DelayTable:
    """The connections of every region, padded with weight 0 to the largest number of them.

    Attributes
    ----------
    source : Tensor, shape (n_regions, n_connections), int64
    delay : Tensor, shape (n_regions, n_connections), int64
        Steps.
    weight : Tensor, shape (n_regions, n_connections), float64
    longest : int
        Largest delay.
    """

    source: Tensor
    delay: Tensor
    weight: Tensor
    longest: int


@dataclass(frozen=True, eq=False)
class Connectome:
    """Connections between regions.

    What arrives at region i is ``gain sum_j w_ij rate_max / (1 + exp(r (midpoint - v_j(t - d))))``
    with the delay ``d = length_ij / speed`` and the steepness ``r`` of the columns.

    Attributes
    ----------
    weights : Tensor, shape (n_regions, n_regions)
        Row i holds what arrives at i. No negative ones, nothing on the diagonal.
    lengths : Tensor, shape (n_regions, n_regions)
        Of the fibres, mm.
    speed : float
        Of conduction, m/s.
    gain : float
        Global strength of the coupling.
    rate_max : float
        Largest rate, 1/ms.
    midpoint : float
        Of the rate, mV.

    Raises
    ------
    MajorantError
        If shapes, signs or values make no connectome.
    """

    weights: Tensor
    lengths: Tensor
    speed: float = 3.0
    gain: float = 1.0
    rate_max: float = 0.005
    midpoint: float = 6.0

    def __post_init__(self) -> None:
        shape = tuple(self.weights.shape)
        if len(shape) != 2 or shape[0] != shape[1] or tuple(self.lengths.shape) != shape:
            raise MajorantError(
                f"weights have shape {shape} and lengths {tuple(self.lengths.shape)}; expected "
                "two square matrices, one row and one column per region"
            )
        for name, matrix in (("weights", self.weights), ("lengths", self.lengths)):
            if not bool((torch.isfinite(matrix) & (matrix >= 0)).all()):
                raise MajorantError(f"the {name} hold negative or non-finite values; mend them")
        if bool(self.weights.diagonal().any()):
            raise MajorantError("a region is wired to itself; set the diagonal of weights to zero")
        if not (self.speed > 0 and self.gain >= 0 and self.rate_max >= 0):
            raise MajorantError(
                f"speed {self.speed}, gain {self.gain} and rate_max {self.rate_max} were given; "
                "the speed has to be positive and the others not negative"
            )

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return int(self.weights.shape[0])

    @classmethod
    def from_distance(
        cls,
        leadfield: Leadfield,
        *,
        decay_mm: float = 20.0,
        neighbours: int = 48,
        gain: float = 1.0,
        speed: float = 3.0,
    ) -> Connectome:
        """Make a synthetic connectome by the exponential distance rule.

        Parameters
        ----------
        leadfield : Leadfield
            For the positions of the regions.
        decay_mm : float
            Distance over which the strength falls by e.
        neighbours : int
            Regions that every region listens to: the nearest ones. Rows sum to 1.
        gain, speed : float
            See the class.

        Notes
        -----
        The rule is that of cortical wiring (Ercsey-Ravasz et al., Neuron 80, 2013); straight
        lines stand for fibres. It replaces a measured connectome, it does not imitate one.
        """
        n = leadfield.n_locations
        if not (decay_mm > 0 and neighbours >= 1):
            raise MajorantError(
                f"decay_mm {decay_mm} and neighbours {neighbours} were given; both are positive"
            )
        distance = 1000.0 * torch.cdist(leadfield.positions, leadfield.positions)
        distance.fill_diagonal_(torch.inf)
        near, column = distance.topk(min(neighbours, n - 1), dim=1, largest=False)
        weights = torch.zeros_like(distance).scatter_(1, column, torch.exp(-near / decay_mm))
        weights = weights / weights.sum(1, keepdim=True)
        return cls(weights, distance.fill_diagonal_(0.0), speed, gain)

    def table(self, dt: float) -> DelayTable:
        """Return the connections as lists, with delays in steps of ``dt`` ms."""
        present = self.weights > 0
        most = max(1, int(present.sum(1).max()))
        source = present.to(torch.int8).sort(dim=1, descending=True, stable=True).indices[:, :most]
        weight = self.weights.gather(1, source).to(torch.float64)
        steps = torch.round(self.lengths.to(torch.float64) / (self.speed * dt)).to(torch.int64)
        delay = torch.where(weight > 0, steps.gather(1, source), 0)
        return DelayTable(source, delay, weight, int(delay.max()))
