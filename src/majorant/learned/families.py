"""The learned methods by name: their settings, their networks, and how they become solvers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from majorant.learned.fourdvarnet import FourDVarNetwork, FourDVarSettings
from majorant.learned.meta_curvature import MetaCurvatureNetwork, MetaCurvatureSettings
from majorant.learned.mmnet import MMNet
from majorant.learned.modgrad import ModGradNetwork, ModGradSettings
from majorant.learned.network import UnrolledNetwork
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.majorants.guard import Guard
from majorant.networks.card import Card
from majorant.problem import MajorantError

LARGEST = 50_000
"""More sources, channels or taps than this are no network of these families."""


@dataclass(frozen=True)
class Family:
    """A learned method.

    Attributes
    ----------
    title : str
        Its name in sentences.
    settings : type
        Class of its settings.
    network : callable
        Makes a network from settings and a generator.
    guarded : bool
        Whether it runs under a guard unless told otherwise.
    """

    title: str
    settings: type[Any]
    network: Callable[..., UnrolledNetwork[Any]]
    guarded: bool = False


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "mm-net": Family("MM-Net", MMNetSettings, MMNetwork, guarded=True),
        "r-mm-net": Family("R-MM-Net", MMNetSettings, MMNetwork),
        "4dvarnet": Family("4DVarNet", FourDVarSettings, FourDVarNetwork),
        "meta-curvature": Family("Meta-Curvature", MetaCurvatureSettings, MetaCurvatureNetwork),
        "modgrad": Family("ModGrad", ModGradSettings, ModGradNetwork),
    }
)


def family(name: str) -> Family:
    """Look a method up by name.

    Raises
    ------
    MajorantError
        If there is none of that name; the sentence lists those that exist.
    """
    if name not in FAMILIES:
        raise MajorantError(
            f"there is no learned method {name!r}; choose one of {', '.join(FAMILIES)}"
        )
    return FAMILIES[name]


def method_of(settings: Any) -> str:
    """Return the name of the method that settings belong to."""
    if isinstance(settings, MMNetSettings):
        return "mm-net" if settings.positive else "r-mm-net"
    return next(name for name, each in FAMILIES.items() if type(settings) is each.settings)


def make_network(settings: Any, generator: torch.Generator | None = None) -> UnrolledNetwork[Any]:
    """Make the network that settings describe; ``generator`` draws its start."""
    return FAMILIES[method_of(settings)].network(settings, generator)


def as_solver(
    network: UnrolledNetwork[Any],
    *,
    sfreq: float | None = None,
    max_iter: int | None = None,
    guard: Guard | None = None,
    bound: str | None = None,
    card: Card | None = None,
) -> MMNet:
    """Make the solver of a network: under a guard or free, as its method has it.

    Parameters are those of :class:`majorant.learned.mmnet.MMNet`.
    """
    if guard is None and not FAMILIES[method_of(network.settings)].guarded:
        guard = Guard("off", window=1)
    return MMNet(network, sfreq=sfreq, max_iter=max_iter, guard=guard, bound=bound, card=card)


def settings_from(name: str, values: Mapping[str, Any]) -> Any:
    """Rebuild settings from JSON; what is beyond reason is refused before it is built.

    Raises
    ------
    MajorantError
        If an entry is missing, unknown, of the wrong kind or out of range.
    """
    described = family(name).settings
    held = dict(values)
    kernels = held.get("prior_kernels")
    fields = {f.name: f.default for f in dataclasses.fields(described)}
    sizes = [held.get(key) for key, default in fields.items() if type(default) is int]
    sane = (
        set(held) <= set(fields)
        and isinstance(kernels, list | tuple)
        and len(kernels) == 3
        and all(type(v) is int and 0 < v <= LARGEST for v in (*kernels, *sizes))
        and all(_fits(value, fields[key]) for key, value in held.items())
    )
    if not sane:
        raise MajorantError(f"the sizes are no {family(name).title}'s ({held})")
    held["prior_kernels"] = tuple(kernels or ())
    return described(**held)


def _fits(value: Any, usual: Any) -> bool:
    """Whether a value of a file is of the kind of its default, and a number within reason."""
    if isinstance(usual, float):
        return type(value) in (int, float) and 0 <= value <= LARGEST
    return isinstance(value, type(usual)) if isinstance(usual, bool | str) else True
