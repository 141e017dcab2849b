"""The weights that come with the package, as solvers.

They hold on the template's 994 regions, for any montage. :func:`mm_net` and :func:`r_mm_net` are
what the registry makes.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from majorant.learned.families import as_solver, family
from majorant.learned.mmnet import MMNet
from majorant.learned.mmnet import r_mm_net as unguarded
from majorant.learned.network import UnrolledNetwork
from majorant.learned.stored import read_weights
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
def _packaged(name: str) -> tuple[UnrolledNetwork[Any], Card]:
    return read_weights(shipped(name))


def load(path: str | Path | None, name: str) -> tuple[UnrolledNetwork[Any], Card]:
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


DOMAINS = ("sereega", "nmm")
"""Kinds of data that weights were trained on; the first has the plain file name."""


def domains(name: str) -> tuple[str, ...]:
    """Return the kinds of data on which packaged weights of a method were trained.

    Raises
    ------
    MajorantError
        If there is no such method.
    """
    family(name)
    return tuple(domain for domain in DOMAINS if shipped(_stem(name, domain)).is_file())


def trained(
    name: str, domain: str = DOMAINS[0], *, sfreq: float = SFREQ, guard: Guard | None = None
) -> MMNet:
    """Make a learned method with the packaged weights of a kind of data.

    Parameters
    ----------
    name : str
        A name of :data:`majorant.learned.families.FAMILIES`.
    domain : {"sereega", "nmm"}
        What it was trained on.
    sfreq : float
        Sampling rate of the data, Hz; data are resampled to the network's rate and back.
    guard : Guard or None
        None takes the method's own: MM-Net is guarded, the others run free as published.

    Raises
    ------
    MajorantError
        If there are no such weights.
    """
    if domain not in DOMAINS:
        raise MajorantError(
            f"there are no weights trained on {domain!r}; choose one of {', '.join(DOMAINS)}"
        )
    network, card = _packaged(_stem(name, domain))
    if card.name != name:
        raise MajorantError(f"the packaged weights of {name} belong to {card.name}; install anew")
    return as_solver(network, sfreq=sfreq, guard=guard, card=card)


def _stem(name: str, domain: str) -> str:
    return name if domain == DOMAINS[0] else f"{name}-{domain}"
