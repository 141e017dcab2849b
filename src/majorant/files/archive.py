"""Verified files: tensors and JSON in one `.safetensors` file, refused when anything is off.

A file holds the tensors, a JSON record, a format name and version, and a sha256 over all of it.
Names, types, shapes and sizes are checked against the header and the length of the file before a
tensor is read; the sum is checked before one is handed out. Nothing is ever unpickled. Files are
written beside their destination and moved there, so that a reader never sees half of one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from majorant.errors import DamagedFile
from majorant.files.write import write_file

__all__ = ["content_hash", "read_archive", "write_archive"]

NONBLOCK = getattr(os, "O_NONBLOCK", 0)
MAX_HEADER = 4 * 2**20
MAX_FILE = 2**31
"""Bytes; the largest of ours, an imager of three orientations on a fine cortex, has a tenth."""
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "U8": torch.uint8,
}


def content_hash(value: Any) -> str:
    """Return the sha256 of a JSON-serialisable value, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _digest(tensors: Mapping[str, Tensor], record: str) -> str:
    total = hashlib.sha256(record.encode("utf-8"))
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        total.update(tensor.numpy().reshape(-1).view(np.uint8).data)
    return total.hexdigest()


def write_archive(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    info: Mapping[str, Any],
    *,
    kind: str,
    version: int,
) -> Path:
    """Write tensors and a JSON record to one file, atomically.

    Parameters
    ----------
    path : path
        Destination; its folder must exist.
    tensors : mapping of str to Tensor
        Of the types float64, float32, float16, int64, int32, int16 or uint8.
    info : mapping
        Anything JSON can hold.
    kind, version : str, int
        What the file is, and the version of its layout.

    Returns
    -------
    Path
        The destination.

    Raises
    ------
    OSError
        When the folder cannot be written; nothing is left behind then.
    """
    path = Path(path)
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    record = json.dumps({"kind": kind, "version": version, "info": dict(info)}, sort_keys=True)
    data = safetensors.torch.save(
        held, metadata={"majorant": record, "sha256": _digest(held, record)}
    )
    return write_file(path, data)


def read_archive(
    path: str | os.PathLike[str], *, kind: str, version: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file written by `write_archive`.

    Returns
    -------
    tensors : dict of str to Tensor
    info : dict

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    DamagedFile
        When the file is truncated, altered, of another kind or of another version.
    """
    path = Path(path)
    data = _checked_bytes(path)
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    record, digest = _identity(path, header, kind, version)
    try:
        tensors = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise DamagedFile(_sentence(path, f"its header is not valid ({error})")) from error
    if _digest(tensors, record) != digest:
        raise DamagedFile(_sentence(path, "its contents do not match their sha256"))
    return tensors, json.loads(record)["info"]


def _sentence(path: Path, found: str) -> str:
    return f"{path} cannot be used: {found}; restore it from a copy, or make it again"


def _checked_bytes(path: Path) -> bytes:
    """Return the bytes of the file once its header agrees with its length."""
    # Without O_NONBLOCK, opening a pipe waits for a writer who may never come.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise DamagedFile(_sentence(path, "it is a pipe or a device and no file"))
        length = status.st_size
        if not 8 < length <= MAX_FILE:
            raise DamagedFile(_sentence(path, f"{length} bytes is not a plausible size"))
        start = file.read(8)
        n_header = struct.unpack("<Q", start)[0]
        if n_header > min(length - 8, MAX_HEADER):
            raise DamagedFile(
                _sentence(path, f"it announces a header of {n_header} bytes in {length}")
            )
        head = file.read(n_header)
        try:
            header = json.loads(head)
            expected = _data_length(header)
        except (
            ValueError,
            TypeError,
            OverflowError,
            KeyError,
            AttributeError,
            RecursionError,
        ) as error:
            raise DamagedFile(_sentence(path, "its header cannot be read")) from error
        if expected != length - 8 - n_header:
            raise DamagedFile(
                _sentence(
                    path,
                    f"its tensors need {expected} bytes and {length - 8 - n_header} are there",
                )
            )
        return start + head + file.read()


def _data_length(header: dict[str, Any]) -> int:
    """Return the bytes that the announced tensors occupy, ValueError when they do not tile."""
    spans = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        shape = entry["shape"]
        if not all(type(n) is int and 0 <= n < 2**31 for n in shape):
            raise ValueError("shape")
        size = math.prod(shape) * DTYPES[entry["dtype"]].itemsize
        begin, end = entry["data_offsets"]
        if type(begin) is not int or type(end) is not int or end - begin != size:
            raise ValueError("offsets")
        spans.append((begin, end))
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise ValueError("gap")
        position = end
    return position


def _identity(path: Path, header: dict[str, Any], kind: str, version: int) -> tuple[str, str]:
    """Return the JSON record and the sha256 of the file once kind and version are right."""
    try:
        metadata = header["__metadata__"]
        text, digest = metadata["majorant"], metadata["sha256"]
        record = json.loads(text)
        found = (str(record["kind"]), int(record["version"]))
        record["info"].keys()
    except (
        KeyError,
        TypeError,
        OverflowError,
        ValueError,
        AttributeError,
        RecursionError,
    ) as error:
        raise DamagedFile(_sentence(path, "Majorant's record is missing from it")) from error
    if found[0] != kind:
        raise DamagedFile(_sentence(path, f"it holds a {found[0]}, not a {kind}"))
    if found[1] != version:
        raise DamagedFile(
            _sentence(
                path,
                f"its format version is {found[1]} and this Majorant reads version {version}",
            )
        )
    return text, digest
