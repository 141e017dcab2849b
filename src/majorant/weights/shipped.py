"""The weights that come with the package, as solvers.

They hold on the template's 994 regions, for any montage. :func:`mm_net` and :func:`r_mm_net` are
what the registry makes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from majorant.learned.mmnet import MMNet
from majorant.learned.mmnet import r_mm_net as unguarded
from majorant.learned.stored import read_weights
from majorant.learned.unrolled import MMNetwork
from majorant.majorants.guard import Guard
from majorant.networks.card import Card
from majorant.problem import MajorantError

FOLDER = Path(__file__).parent
SFREQ = 512.0
"""Rate of the simulated data, Hz: what solvers expect where no other is given."""


def shipped(name: str) -> Path:
    """Return the file of a solver's weights; see :func:`majorant.learned.stored.read_weights`."""
    return FOLDER / f"{name}.safetensors"


@cache
def _packaged(name: str) -> tuple[MMNetwork, Card]:
    return read_weights(shipped(name))


def load(path: str | Path | None, name: str) -> tuple[MMNetwork, Card]:
    """Load weights and check that they belong to the solver asked for.

    Parameters
    ----------
    path : path or None
        A file of one's own training; None takes the packaged one.
    name : {"mm-net", "r-mm-net"}

    Raises
    ------
    MajorantError
        If the file is missing, damaged, or belongs to another solver.
    """
    network, card = _packaged(name) if path is None else read_weights(Path(path))
    if card.name != name:
        raise MajorantError(
            f"{path} holds weights of {card.name}, and {name} was asked for; choose that solver"
        )
    return network, card


def mm_net(
    weights: str | Path | None = None,
    *,
    sfreq: float = SFREQ,
    max_iter: int | None = None,
    guard: Guard | None = None,
    bound: str | None = None,
) -> MMNet:
    """MM-Net with trained weights, guarded.

    Parameters
    ----------
    weights : path or None
        A file of one's own training; None takes the packaged one.
    sfreq : float
        Sampling rate of the data, Hz; data are resampled to the network's rate and back.
    max_iter, guard, bound
        See :class:`majorant.learned.mmnet.MMNet`.

    Raises
    ------
    MajorantError
        If the weights cannot be used.
    """
    network, card = load(weights, "mm-net")
    return MMNet(network, sfreq=sfreq, max_iter=max_iter, guard=guard, bound=bound, card=card)


def r_mm_net(
    weights: str | Path | None = None, *, sfreq: float = SFREQ, max_iter: int | None = None
) -> MMNet:
    """R-MM-Net with trained weights: no softplus, no projection, no guard, no promise.

    Parameters and errors as of :func:`mm_net`.
    """
    network, card = load(weights, "r-mm-net")
    return unguarded(network, sfreq=sfreq, max_iter=max_iter, card=card)
