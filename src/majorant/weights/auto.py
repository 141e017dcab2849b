"""The default: a mean of unlike solvers, none of which is best everywhere.

A scan for a few patches, an unfolded network for several sources, and a linear map that cannot miss
one altogether: they make different mistakes, and the mean of their directions is near the best of
them on all that was tried (``docs/choosing.md``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from majorant.errors import MajorantError
from majorant.solvers.base import Solver
from majorant.solvers.linear import SLORETA
from majorant.solvers.mean import Mean
from majorant.solvers.scan import Scan
from majorant.weights.sbl import unfolded_sbl

Member = Literal["scan", "unfolded-sbl", "sloreta"]


def auto(
    snr: float = 3.0,
    *,
    members: Sequence[Member] = ("scan", "unfolded-sbl", "sloreta"),
    weights: Sequence[float] | None = None,
) -> Mean:
    """The mean of the scan, the unfolded solver and sLORETA.

    Parameters
    ----------
    snr : float
        Ratio of amplitudes that sLORETA is told.
    members : sequence of {"scan", "unfolded-sbl", "sloreta"}
        What is averaged.
    weights : sequence of float, optional
        One per member; None weighs all alike.

    Raises
    ------
    MajorantError
        If a member is unknown or the weights do not go with the members.
    """
    unknown = [name for name in members if name not in get_args(Member)]
    if unknown:
        raise MajorantError(
            f"auto has no member {unknown[0]!r}; choose from {', '.join(get_args(Member))}"
        )
    made: dict[Member, Solver] = {
        name: Scan()
        if name == "scan"
        else unfolded_sbl()
        if name == "unfolded-sbl"
        else SLORETA(snr=snr)
        for name in members
    }
    return Mean(made, None if weights is None else tuple(weights))
