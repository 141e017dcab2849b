"""The file of a lead field: tensors and a record in one `.safetensors`, checked when it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from majorant.errors import MajorantError
from majorant.files.archive import read_archive, write_archive
from majorant.problem import DamagedFile

if TYPE_CHECKING:
    from majorant.forward.leadfield import Leadfield

__all__ = ["read_leadfield", "write_leadfield"]

KIND, VERSION = "leadfield", 1


def write_leadfield(
    leadfield: Leadfield, path: str | os.PathLike[str], dtype: torch.dtype = torch.float64
) -> Path:
    """Write a lead field; see :meth:`majorant.forward.leadfield.Leadfield.save`."""
    own = leadfield
    tensors = {
        "gain": own.gain.to(dtype),
        "positions": own.positions.to(dtype),
        "normals": own.normals.to(dtype),
        "edges": own.edges.to(torch.int32),
        "hemisphere": own.hemisphere.to(torch.int16),
        "vertices": own.vertices.to(torch.int32),
    }
    if own.parcels is not None:
        tensors["parcels"] = own.parcels.to(torch.int16 if own.n_locations < 2**15 else torch.int32)
    info = {
        "ch_names": list(own.ch_names),
        "n_orient": own.n_orient,
        "kind": own.kind,
        "subject": own.subject,
    }
    return write_archive(path, tensors, info, kind=KIND, version=VERSION)


def read_leadfield(path: str | os.PathLike[str], make: Callable[..., Leadfield]) -> Leadfield:
    """Read a lead field; see :meth:`majorant.forward.leadfield.Leadfield.load`.

    Parameters
    ----------
    path : path
    make : callable
        Makes one from its arrays.

    Raises
    ------
    MajorantError
        If there is no such file.
    DamagedFile
        If it is truncated, altered, of another kind or of another version.
    """
    try:
        tensors, info = read_archive(path, kind=KIND, version=VERSION)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise MajorantError(f"there is no lead field file at {path}; check the path") from error
    try:
        return make(**tensors, **info)
    except (TypeError, MajorantError) as error:
        raise DamagedFile(
            f"{path} cannot be used: it does not hold a lead field ({error})."
        ) from error
