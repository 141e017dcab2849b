"""Weights in a file: verified tensors with their card, checked before anything uses them.

A file is refused, with what was found and expected, when it is truncated or altered, of another
kind, of another size than its card says, or holds values that are not finite.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from majorant.files.archive import read_archive, write_archive
from majorant.learned.families import FAMILIES, make_network, method_of, settings_from
from majorant.learned.network import UnrolledNetwork
from majorant.networks.card import Card
from majorant.problem import DamagedFile, MajorantError

KIND, VERSION = "set of weights", 1

Network = TypeVar("Network", bound=torch.nn.Module)


def write_weights(
    path: Path,
    network: UnrolledNetwork[Any],
    *,
    name: str,
    source_space: str,
    recipe: Mapping[str, Any],
    metrics: Mapping[str, Any],
    half: bool = False,
) -> Card:
    """Write weights with their card, and the card once more as JSON beside them.

    Parameters
    ----------
    path : Path
        A ``.safetensors`` file.
    network : UnrolledNetwork
    name : str
        Solver they belong to.
    source_space : str
        Fingerprint of the sources; see :attr:`majorant.geometry.SourceGeometry.fingerprint`.
    recipe, metrics : mapping
        How they were trained and what they reached; JSON.
    half : bool
        Write float16, half the size and exact to 5e-4; read back as float32.

    Returns
    -------
    Card
    """
    dtype = torch.float16 if half else torch.float32
    tensors = {key: value.detach().to(dtype) for key, value in network.state_dict().items()}
    card = Card(
        name=name,
        settings=dataclasses.asdict(network.settings),
        source_space=source_space,
        sfreq=network.settings.rate,
        recipe=dict(recipe),
        metrics=dict(metrics),
        versions=versions(),
        sha256=tensor_hash(tensors),
    )
    return write_carded(path, tensors, card, kind=KIND, version=VERSION)


def write_carded(
    path: Path, tensors: Mapping[str, Tensor], card: Card, *, kind: str, version: int
) -> Card:
    """Write tensors with their card, and the card once more as JSON beside them."""
    write_archive(path, dict(tensors), card.to_dict(), kind=kind, version=version)
    text = json.dumps({**card.to_dict(), "file": path.name, "bytes": path.stat().st_size}, indent=1)
    path.with_suffix(".json").write_text(text + "\n")
    return card


def read_weights(path: Path) -> tuple[UnrolledNetwork[Any], Card]:
    """Read and check weights.

    Parameters
    ----------
    path : Path

    Returns
    -------
    network : UnrolledNetwork
        In float32, not to be trained further unless asked to.
    card : Card

    Raises
    ------
    DamagedFile
        If the file is not what it says it is.
    MajorantError
        If there is no such file.
    """
    return read_carded(path, settings_from_card, make_network, kind=KIND, version=VERSION)


def read_carded(
    path: Path,
    settings_of: Callable[[Card, Path], Any],
    make: Callable[[Any], Network],
    *,
    kind: str,
    version: int,
) -> tuple[Network, Card]:
    """Read and check a network with its card: its sizes, its hash, its values.

    Parameters
    ----------
    path : Path
    settings_of : callable
        Reads the sizes off a card; refuses those beyond reason before they are built.
    make : callable
        Builds a network of these sizes.
    kind, version : str, int
        Of the file.

    Raises
    ------
    DamagedFile
        If the file is not what it says it is.
    MajorantError
        If there is no such file.
    """
    if not path.is_file():
        raise MajorantError(f"there are no weights at {path}; train some with `majorant train`")
    tensors, info = read_archive(path, kind=kind, version=version)
    card = Card.from_dict(info, path.name)
    settings = settings_of(card, path)
    with torch.device("meta"):
        sketch = make(settings).state_dict()
    expected = {key: tuple(value.shape) for key, value in sketch.items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    if found != expected:
        names = sorted(k for k in found.keys() | expected if found.get(k) != expected.get(k))
        raise DamagedFile(
            f"{path.name} holds weights of another size: {names[0]} is {found.get(names[0])}, and "
            f"its card makes it {expected.get(names[0])}; take the file anew"
        )
    if tensor_hash(tensors) != card.sha256:
        raise DamagedFile(
            f"the weights in {path.name} do not have the sha256 of their card; take the file anew"
        )
    for key, value in tensors.items():
        if not bool(torch.isfinite(value).all()):
            n = int((~torch.isfinite(value)).sum())
            raise DamagedFile(
                f"{path.name} holds {n} values in {key} that are NaN or infinite; expected finite "
                "weights: train again from the last good checkpoint"
            )
    network = make(settings)
    network.load_state_dict({key: value.float() for key, value in tensors.items()})
    return network.requires_grad_(False).eval(), card


def settings_from_card(card: Card, path: Path) -> Any:
    """Read the sizes of the network; sizes beyond reason are refused before they are built."""
    if card.name not in FAMILIES:
        raise DamagedFile(
            f"{path.name} holds weights of {card.name!r}; expected one of {', '.join(FAMILIES)}"
        )
    try:
        settings = settings_from(card.name, card.settings)
    except (MajorantError, TypeError) as error:
        raise DamagedFile(
            f"the card of {path.name} cannot be used: {error}; take the file anew"
        ) from error
    if method_of(settings) != card.name:
        raise DamagedFile(
            f"{path.name} says {card.name} and its sizes are {method_of(settings)}'s; take the "
            "file anew"
        )
    return settings


def tensor_hash(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 over names, shapes and values of tensors."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].contiguous()
        total.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        total.update(value.cpu().numpy().reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of what weights are made with."""
    found = {"python": platform.python_version()}
    for package in ("majorant", "torch", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "source"
    return found
