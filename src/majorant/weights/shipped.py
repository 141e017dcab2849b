"""The weights that come with the package, as solvers.

Those of :func:`mm_net_shared` hold on any source space. The others hold on the template's 994
regions, for any montage; three kinds:

- the best weights for a kind of simulated data, by :func:`trained`;
- ``general``: any cap, one to three sources of either direction, any level of noise; recordings are
  imaged with these (:func:`mm_net`);
- in the folder ``table``, every method at equal cost on each kind of data: what Table I compares;
  and MM-Net from another start, which knows patches.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from majorant.learned.families import as_solver, family
from majorant.learned.limits import Limit
from majorant.learned.mmnet import MMNet
from majorant.learned.network import UnrolledNetwork
from majorant.learned.shared.solver import SharedMMNet
from majorant.learned.shared.stored import read_shared
from majorant.learned.stored import read_weights
from majorant.majorants.guard import Guard
from majorant.networks.card import Card
from majorant.problem import MajorantError
from majorant.weights.sbl import unfolded_sbl

FOLDER = Path(__file__).parent
SFREQ = 512.0
"""Rate of the simulated data, Hz: what solvers expect where no other is given."""
GENERAL = "general"
SHARED = "shared"
"""Weights that are shared over sources: any source space."""
DOMAINS = ("sereega", "nmm")
"""Kinds of data of Table I."""


def shipped(name: str, domain: str, *, equal: bool = False, start: str | None = None) -> Path:
    """Return the file of packaged weights; there need not be one.

    Parameters
    ----------
    name : str
        A name of :data:`majorant.learned.families.FAMILIES`.
    domain : {"general", "sereega", "nmm"}
    equal : bool
        Those that were trained at equal cost, even where there are better ones.
    start : str or None
        Those that were trained from this start, where it is not the usual one.
    """
    if start is not None:
        return FOLDER / "table" / f"{name}-from-{start}-{domain}.safetensors"
    at_equal_cost = FOLDER / "table" / f"{name}-{domain}.safetensors"
    best = FOLDER / f"{name}-{domain}.safetensors"
    return best if best.is_file() and not equal else at_equal_cost


@cache
def _packaged(path: Path) -> tuple[UnrolledNetwork[Any], Card]:
    return read_weights(path)


def load(weights: str | Path, name: str) -> tuple[UnrolledNetwork[Any], Card]:
    """Load weights and check that they belong to the solver asked for.

    Parameters
    ----------
    weights : str or path
        What they were trained on, for packaged ones, or a file of one's own training.
    name : str
        A name of :data:`majorant.learned.families.FAMILIES`.

    Raises
    ------
    MajorantError
        If the file is missing, damaged, or belongs to another solver.
    """
    kinds = [kind for kind in (GENERAL, *DOMAINS) if shipped(name, kind).is_file()]
    if str(weights) in kinds:
        network, card = _packaged(shipped(name, str(weights)))
    elif Path(weights).suffix != ".safetensors":
        raise MajorantError(
            f"there are no weights {str(weights)!r} of {name}; choose from {', '.join(kinds)}, or "
            "give a .safetensors file"
        )
    else:
        network, card = read_weights(Path(weights))
    if card.name != name:
        raise MajorantError(
            f"{weights} holds weights of {card.name}, and {name} was asked for; choose that solver"
        )
    return network, card


def mm_net(
    weights: str | Path = GENERAL,
    *,
    sfreq: float = SFREQ,
    max_iter: int | None = None,
    guard: Guard | None = None,
    bound: str | None = None,
    limit: Limit | None = None,
) -> MMNet:
    """MM-Net with trained weights, guarded.

    Parameters
    ----------
    weights : {"general", "sereega", "nmm"} or path
        What they were trained on, or a file of one's own training.
    sfreq : float
        Sampling rate of the data, Hz; data are resampled to the network's rate and back.
    max_iter, guard, bound, limit
        See :class:`majorant.learned.mmnet.MMNet`.

    Raises
    ------
    MajorantError
        If the weights cannot be used.
    """
    network, card = load(weights, "mm-net")
    return MMNet(
        network,
        sfreq=sfreq,
        max_iter=max_iter,
        guard=guard,
        bound=bound,
        limit=limit,
        card=card,
        recordings=True,
    )


def mm_net_shared(
    weights: str | Path = SHARED,
    *,
    max_iter: int | None = None,
    guard: Guard | None = None,
    bound: str | None = None,
) -> SharedMMNet:
    """MM-Net with weights that are shared over sources, guarded: any source space.

    Parameters
    ----------
    weights : {"shared"} or path
        The packaged ones, or a file of `majorant train mm-net --preset shared`.
    max_iter, guard, bound
        See :class:`majorant.learned.shared.solver.SharedMMNet`.

    Raises
    ------
    MajorantError
        If the weights cannot be used.
    """
    packaged = str(weights) == SHARED
    if not packaged and Path(weights).suffix != ".safetensors":
        raise MajorantError(
            f"there are no shared weights {str(weights)!r}; choose {SHARED}, or give a "
            ".safetensors file"
        )
    path = FOLDER / f"mm-net-{SHARED}.safetensors" if packaged else Path(weights)
    network, card = read_shared(path)
    unfolded = unfolded_sbl(recalibrated=False)
    return SharedMMNet(network, unfolded, max_iter=max_iter, guard=guard, bound=bound, card=card)


def domains(name: str, start: str | None = None) -> tuple[str, ...]:
    """Return the kinds of data of Table I on which packaged weights of a method were trained.

    Parameters
    ----------
    name : str
    start : str or None
        See :func:`shipped`.

    Raises
    ------
    MajorantError
        If there is no such method.
    """
    family(name)
    return tuple(domain for domain in DOMAINS if shipped(name, domain, start=start).is_file())


def trained(
    name: str,
    domain: str = DOMAINS[0],
    *,
    equal: bool = False,
    sfreq: float = SFREQ,
    guard: Guard | None = None,
    start: str | None = None,
) -> MMNet:
    """Make a learned method with the packaged weights of a kind of data.

    Parameters
    ----------
    name : str
        A name of :data:`majorant.learned.families.FAMILIES`.
    domain : {"sereega", "nmm", "general"}
        What it was trained on.
    equal : bool
        Take the weights that were trained at equal cost, even where there are better ones.
    sfreq : float
        Sampling rate of the data, Hz; data are resampled to the network's rate and back.
    guard : Guard or None
        None takes the method's own: MM-Net is guarded, the others run free as published.
    start : str or None
        See :func:`shipped`.

    Raises
    ------
    MajorantError
        If there are no such weights.
    """
    path = shipped(name, domain, equal=equal, start=start)
    if not path.is_file():
        known = [kind for kind in (*DOMAINS, GENERAL) if shipped(name, kind, equal=equal).is_file()]
        raise MajorantError(
            f"no weights of {name} trained on {domain!r} are packaged; there are "
            f"{', '.join(known) or 'none'}"
        )
    network, card = _packaged(path)
    if card.name != name:
        raise MajorantError(f"the packaged weights of {name} belong to {card.name}; install anew")
    return as_solver(network, sfreq=sfreq, guard=guard, card=card)
