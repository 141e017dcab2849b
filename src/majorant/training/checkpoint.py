"""Checkpoints of a training run: verified tensors and JSON, written whole or not at all.

A checkpoint holds everything the next step depends on: parameters, Adam's moments, the moving
average and the step number. Data, starts and order are functions of the step number alone, so a
run that is killed and continued gives the same weights bit for bit.

No file is larger than :data:`SHARD` bytes. The first one is the checkpoint: it names the others
with their sha256, and replaces the one before only when all of them are there. So a kill at any
moment leaves the old checkpoint or the new one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from majorant.files.archive import read_archive, write_archive
from majorant.problem import DamagedFile

KIND, VERSION = "training checkpoint", 1
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
SHARD = 15_000_000
"""Largest file, bytes."""
MARGIN = 1_000_000
"""Of that, what names, sizes and the record may take."""


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Adam,
    average: Mapping[str, Tensor],
    info: Mapping[str, Any],
    *,
    largest: int = SHARD - MARGIN,
) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    path : Path
        Of the first file; further ones lie beside it.
    network : nn.Module
    optimiser : torch.optim.Adam
        Over the network's parameters.
    average : mapping of str to Tensor
        Moving average of the parameters, by name; may be empty.
    info : mapping
        JSON: the step, the best validation so far.
    largest : int
        Bytes of tensors in a file.
    """
    tensors = {f"network.{name}": p for name, p in network.named_parameters()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for name, p in network.named_parameters():
        state = optimiser.state.get(p, {})
        tensors |= {f"adam.{key}.{name}": state[key] for key in MOMENTS if key in state}
    first, *rest = _packed(tensors, largest)
    shards = []
    for k, held in enumerate(rest, start=2):
        shard = path.with_name(f"{path.stem}.{info['step']:07d}.{k}{path.suffix}")
        write_archive(shard, held, {"step": info["step"]}, kind=KIND, version=VERSION)
        shards.append({"name": shard.name, "sha256": _hash(shard)})
    write_archive(path, first, {**info, "shards": shards}, kind=KIND, version=VERSION)
    kept = {shard["name"] for shard in shards}
    for other in path.parent.glob(f"{path.stem}.*.*{path.suffix}"):
        if other.name not in kept:
            other.unlink()


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint, all files of it.

    Returns
    -------
    tensors : dict of str to Tensor
    info : dict

    Raises
    ------
    DamagedFile
        If a file is missing, damaged, or not the one the checkpoint was written with.
    """
    tensors, info = read_archive(path, kind=KIND, version=VERSION)
    for shard in info.pop("shards", []):
        other = path.with_name(Path(shard["name"]).name)
        if not other.is_file() or _hash(other) != shard["sha256"]:
            raise DamagedFile(
                f"{path} needs {other.name}, which is missing or not the file it was written with; "
                "restore both from a copy, or start the run anew"
            )
        tensors |= read_archive(other, kind=KIND, version=VERSION)[0]
    return _joined(tensors), info


def load_checkpoint(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Adam,
    average: dict[str, Tensor],
) -> dict[str, Any]:
    """Restore what :func:`save_checkpoint` wrote, in place; return its ``info``.

    Raises
    ------
    DamagedFile
        If a file is damaged, or belongs to a network of another size.
    """
    tensors, info = read_checkpoint(path)
    fused = bool(optimiser.defaults.get("fused"))
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(_taken(tensors, f"network.{name}", p, path))
            held = {key: f"adam.{key}.{name}" for key in MOMENTS}
            if held["step"] in tensors:
                moments = {
                    key: _taken(tensors, held[key], p, path).to(p.device).clone()
                    for key in MOMENTS[1:]
                }
                # A fused step counts on the device, the others on the host.
                step = tensors[held["step"]].clone()
                optimiser.state[p] = {"step": step.to(p.device) if fused else step, **moments}
            if name in average:
                average[name] = _taken(tensors, f"average.{name}", p, path).to(p.device).clone()
    return info


def _packed(tensors: Mapping[str, Tensor], largest: int) -> list[dict[str, Tensor]]:
    """Fill files up to ``largest`` bytes; a larger tensor is cut, its parts named ``name@k``."""
    files: list[dict[str, Tensor]] = [{}]
    room = largest
    for name, tensor in tensors.items():
        for part, held in _cut(name, tensor.detach(), largest):
            size = held.numel() * held.element_size()
            if size > room and files[-1]:
                files.append({})
                room = largest
            files[-1][part] = held
            room -= size
    return files


def _cut(name: str, tensor: Tensor, largest: int) -> Iterator[tuple[str, Tensor]]:
    if tensor.numel() * tensor.element_size() <= largest:
        yield name, tensor
        return
    for k, piece in enumerate(tensor.reshape(-1).split(largest // tensor.element_size())):
        yield f"{name}@{k}", piece


def _joined(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put the parts of cut tensors together again, flat."""
    whole = {name: tensor for name, tensor in tensors.items() if "@" not in name}
    for name in dict.fromkeys(part.split("@")[0] for part in tensors if "@" in part):
        count = sum(part.startswith(f"{name}@") for part in tensors)
        pieces = [tensors.get(f"{name}@{k}", torch.empty(0)) for k in range(count)]
        whole[name] = torch.cat(pieces)
    return whole


def _taken(tensors: dict[str, Tensor], name: str, like: Tensor, path: Path) -> Tensor:
    found = tensors.get(name)
    if found is not None and found.ndim == 1 and found.numel() == like.numel():
        return found.view(like.shape)
    if found is None or found.shape != like.shape:
        what = "nothing" if found is None else str(tuple(found.shape))
        raise DamagedFile(
            f"{path} belongs to another network: for {name} it holds {what}, expected "
            f"{tuple(like.shape)}; continue with the recipe it was started with"
        )
    return found


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
