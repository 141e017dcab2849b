"""Weights shared over sources in a file: verified tensors with their card.

The card's source space is ``"any"``: no source has a number.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from majorant.errors import DamagedFile
from majorant.learned.shared.network import STARTS, SharedNetwork, SharedSettings
from majorant.learned.stored import read_carded, tensor_hash, versions, write_carded
from majorant.networks.card import Card

KIND, VERSION = "set of weights shared over sources", 2
ANY = "any"
"""Source space of these weights."""

RATE = 1.0
"""What stands for the sampling rate, Hz: these networks do not know how samples are spaced."""

LARGEST = 1_000
"""Widths and steps beyond this are no network of this kind."""


def write_shared(
    path: Path,
    network: SharedNetwork,
    *,
    recipe: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Card:
    """Write weights with their card, and the card once more as JSON beside them.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file.
    network : SharedNetwork
    recipe, metrics : mapping
        How they were trained and what they reached; JSON.
    """
    tensors = {name: value.detach().float() for name, value in network.state_dict().items()}
    card = Card(
        name="mm-net",
        settings=dataclasses.asdict(network.settings),
        source_space=ANY,
        sfreq=RATE,
        recipe=dict(recipe),
        metrics=dict(metrics),
        versions=versions(),
        sha256=tensor_hash(tensors),
    )
    return write_carded(path, tensors, card, kind=KIND, version=VERSION)


def read_shared(path: Path) -> tuple[SharedNetwork, Card]:
    """Read and check weights.

    Parameters
    ----------
    path : Path

    Raises
    ------
    DamagedFile
        If the file is not what it says it is.
    MajorantError
        If there is no such file.
    """
    return read_carded(path, _settings, SharedNetwork, kind=KIND, version=VERSION)


def _settings(card: Card, path: Path) -> SharedSettings:
    """The sizes of the network; what is beyond reason is refused before it is built."""
    held = dict(card.settings)
    known = {field.name: field.default for field in dataclasses.fields(SharedSettings)}
    sizes = [held.get(name) for name, default in known.items() if type(default) is int]
    scales = held.get("scales_mm")
    sane = (
        held.get("start") in STARTS
        and set(held) <= set(known)
        and all(type(size) is int and 0 < size <= LARGEST for size in sizes)
        and isinstance(scales, list | tuple)
        and len(scales) == len(SharedSettings().scales_mm)
        and all(isinstance(s, int | float) and 0 < s <= 200 for s in scales)
    )
    if not sane:
        raise DamagedFile(
            f"the sizes on the card of {path.name} are no network's ({held}); take the file anew"
        )
    held["scales_mm"] = tuple(float(s) for s in scales or ())
    return SharedSettings(**held)
