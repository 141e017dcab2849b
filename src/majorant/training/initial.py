"""Weights that a training starts from: of its own sizes, or made those of both directions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from majorant.errors import MajorantError
from majorant.learned.directions import both_directions
from majorant.learned.network import UnrolledNetwork
from majorant.learned.unrolled import MMNetwork


def fitting(
    network: UnrolledNetwork[Any], wanted: UnrolledNetwork[Any], path: Path | None
) -> UnrolledNetwork[Any]:
    """Return the weights to start from; made those of both directions where it is these that fit.

    Parameters
    ----------
    network : UnrolledNetwork
        Trained before.
    wanted : UnrolledNetwork
        Of the sizes that are to be trained.
    path : Path or None
        Where the weights came from, for the sentence.

    Returns
    -------
    UnrolledNetwork
        Of the sizes of ``wanted``.

    Raises
    ------
    MajorantError
        If neither does.
    """

    def sizes(of: UnrolledNetwork[Any]) -> dict[str, torch.Size]:
        return {name: value.shape for name, value in of.state_dict().items()}

    if sizes(network) == sizes(wanted):
        return network
    if isinstance(network, MMNetwork) and network.settings.step == "diagonal":
        twice = both_directions(network)
        if sizes(twice) == sizes(wanted):
            return twice
    held, asked = (sum(p.numel() for p in of.parameters()) for of in (network, wanted))
    raise MajorantError(
        f"the weights of {path} have {held:,} numbers and the network of this recipe {asked:,}; "
        "start from weights of its own sizes, or of half its channels"
    )
