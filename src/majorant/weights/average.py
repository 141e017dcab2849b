"""The mean of unlike solvers: which ones, and with which weights.

A scan for a few patches knows the size of sources and keeps their maps compact; an unfolded network
finds several sources that the scan merges. They make different mistakes, and the mean of their
directions, the scan counting twice, was nearest the best of each figure on validation data, but for
the earth mover's distance, which counts every trace far away (``benchmarks/everyday_means.py``): so
it is not the default. A linear map among the members finds no more sources and doubles that
distance.
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


def average(
    members: Sequence[Member] = ("scan", "unfolded-sbl"),
    weights: Sequence[float] | None = (2.0, 1.0),
) -> Mean:
    """The mean of the scan and the unfolded solver.

    Parameters
    ----------
    members : sequence of {"scan", "unfolded-sbl", "sloreta"}
        What is averaged; sLORETA with a signal-to-noise ratio of 3.
    weights : sequence of float or None
        One per member; None weighs all alike.

    Raises
    ------
    MajorantError
        If a member is unknown or the weights do not go with the members.
    """
    makers = {"scan": Scan, "unfolded-sbl": unfolded_sbl, "sloreta": SLORETA}
    made: dict[str, Solver] = {}
    for name in members:
        if name not in makers:
            raise MajorantError(
                f"mean has no member {name!r}; choose from {', '.join(get_args(Member))}"
            )
        made[name] = makers[name]()
    return Mean(made, None if weights is None else tuple(weights))
