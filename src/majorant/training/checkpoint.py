"""Checkpoints of a training run: verified tensors and JSON, written whole or not at all.

A checkpoint holds everything the next step depends on: parameters, Adam's moments, the moving
average and the step number. Data, starts and order are functions of the step number alone, so a
run that is killed and continued gives the same weights bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from majorant.forward.archive import read_archive, write_archive
from majorant.problem import DamagedFile

KIND, VERSION = "training checkpoint", 1
MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_checkpoint(
    path: Path,
    network: nn.Module,
    optimiser: torch.optim.Adam,
    average: dict[str, Tensor],
    info: dict[str, Any],
) -> None:
    """Write a checkpoint.

    Parameters
    ----------
    path : Path
    network : nn.Module
    optimiser : torch.optim.Adam
        Over the network's parameters.
    average : dict of str to Tensor
        Moving average of the parameters, by name; may be empty.
    info : dict
        JSON: the step, the best validation so far.
    """
    tensors = {f"network.{name}": p for name, p in network.named_parameters()}
    tensors |= {f"average.{name}": value for name, value in average.items()}
    for name, p in network.named_parameters():
        state = optimiser.state.get(p, {})
        tensors |= {f"adam.{key}.{name}": state[key] for key in MOMENTS if key in state}
    write_archive(path, tensors, info, kind=KIND, version=VERSION)


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
        If the file is damaged, or belongs to a network of another size.
    """
    tensors, info = read_archive(path, kind=KIND, version=VERSION)
    with torch.no_grad():
        for name, p in network.named_parameters():
            p.copy_(_taken(tensors, f"network.{name}", p, path))
            held = {
                key: tensors[f"adam.{key}.{name}"].clone()
                for key in MOMENTS
                if f"adam.{key}.{name}" in tensors
            }
            if held:
                moved = {k: v if k == "step" else v.to(p.device) for k, v in held.items()}
                optimiser.state[p] = moved
            if name in average:
                average[name] = _taken(tensors, f"average.{name}", p, path).to(p.device).clone()
    return info


def _taken(tensors: dict[str, Tensor], name: str, like: Tensor, path: Path) -> Tensor:
    found = tensors.get(name)
    if found is None or found.shape != like.shape:
        what = "nothing" if found is None else str(tuple(found.shape))
        raise DamagedFile(
            f"{path} belongs to another network: for {name} it holds {what}, expected "
            f"{tuple(like.shape)}; continue with the recipe it was started with"
        )
    return found
