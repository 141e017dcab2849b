"""What the data support: where another source would be found, and where it would be missed.

Beside the strongest peak, a source is the easier to find the more the sensors see of it. Its
*standing* at a place is

    log(moment / that of the strongest source) + log(seen there / seen at the strongest peak),

the latter in the believed head. (Distance from the strongest peak, and likeness of topographies,
did not tell found and missed sources better apart.) The map asks of a source with the dipole of the
strongest one. Standings are no probabilities: what they are worth is read off the simulated sources
that were found and those that were missed, each with p-values of their own (:mod:`.conformal`), so
that both ways to be wrong are bounded, and where neither is excluded the map says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from majorant.findings.regions.conformal import p_values

__all__ = ["ALPHA", "Seen", "standing", "supported"]

ALPHA = 0.05
"""How often a source that was found may lie in cortex called unsupported, and one that was missed
in cortex called supported."""

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Seen:
    """What whitened sensors see of a dipole along the normal, by location.

    Attributes
    ----------
    size : array, shape (n_locations,)
        Root mean square over the vertices of the fine mesh that belong to a location.
    """

    size: Array

    @classmethod
    def of(cls, white: Tensor, home: Index, n: int) -> Seen:
        """Read it off a whitened lead field of the fine mesh.

        Parameters
        ----------
        white : Tensor, shape (rank, n_vertices)
        home : array, shape (n_vertices,)
            Location of every vertex, -1 for none.
        n : int
            Locations.
        """
        power, kept = white.square().sum(dim=0).numpy(), home >= 0
        count = np.maximum(np.bincount(home[kept], minlength=n), 1)
        total = np.bincount(home[kept], power[kept], minlength=n)
        return cls(np.sqrt(total / count))


def standing(seen: Seen, peak: int) -> Array:
    """Return the standing of a source with the moment of the strongest one, at every location.

    Parameters
    ----------
    seen : Seen
    peak : int
        Location of the strongest peak.
    """
    ratio = np.maximum(seen.size, 1e-300) / max(float(seen.size[peak]), 1e-300)
    return np.log(ratio)


def supported(
    at: Array, beside: Array, found: Array, trials: Index, alpha: float = ALPHA
) -> NDArray[np.int8]:
    """Say of standings whether such a source would be found.

    Parameters
    ----------
    at : array
        Standings.
    beside, found, trials : array, shape (n,)
        Standings of simulated sources, whether they were found (0 or 1), and of which trial.
    alpha : float

    Returns
    -------
    array of int8
        -1: unsupported; of the simulated sources that were found at most ``alpha`` stood as low.
        1: supported; of those that were missed at most ``alpha`` stood as high. 0: neither, or
        both, which happens where hardly any source is found or missed.
    """
    hit = found > 0.5
    low = p_values(beside[hit], trials[hit], at) <= alpha
    high = p_values(-beside[~hit], trials[~hit], -at) <= alpha
    return high.astype(np.int8) - low.astype(np.int8)
