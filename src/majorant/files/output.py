"""Whether results can go where they are to go: asked before any work.

A folder is replaced only when told to, and only if it is one of ours by what stands in it: a
`summary.json` that a run of this package wrote, or a store with our attributes. A file of that name
says nothing, for other programs write files of that name, too.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from majorant.errors import MajorantError
from majorant.files.write import sweep

__all__ = ["check_file", "check_output", "is_results", "is_store", "read_small_json"]

SUMMARY, STORE = "summary.json", "zarr.json"
LARGEST = 2**26
"""Bytes that a JSON file of ours may have."""
LONGEST = 255 - 24
"""Bytes of a name: what file systems take, less what files beside it need."""
RESULTS = {"audit": "headline", "comparison": "headline", "head": "shells", "group": "headline"}
STORES = ("majorant-estimate", "majorant-live")


def check_output(
    out_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    ours: Callable[[Path], bool] | None = None,
) -> Path:
    """Check, before any work, that a folder of results can be written.

    Parameters
    ----------
    out_dir : path
        The folder that will hold the results; it need not exist yet.
    overwrite : bool
        Whether a folder that exists and is not empty may be replaced.
    ours : callable, optional
        Says whether a folder is one of ours; no other is replaced. Default: :func:`is_results`.

    Returns
    -------
    Path
        The folder, absolute.

    Raises
    ------
    MajorantError
        If it cannot be written, is a file, or holds something that may not be replaced.
    """
    target = _absolute(out_dir, "an output folder")
    try:
        sweep(target.parent)
        _check_there(target, overwrite, ours or is_results)
        _check_parent(target)
    except OSError as error:
        raise MajorantError(
            f"the output folder {target} cannot be used ({error.strerror or error}); choose another"
        ) from error
    return target


def check_file(path: str | os.PathLike[str], *, option: str = "") -> Path:
    """Check, before any work, that a file can be written, and return where.

    Parameters
    ----------
    path : path
        A link is followed, so that it stays a link; what is neither a file nor nothing (a device, a
        pipe, a folder) is refused, for a file would take its place.
    option : str
        What gave it, for the sentence.

    Returns
    -------
    Path
        Where the file is, all links followed.

    Raises
    ------
    MajorantError
        If it cannot be written there.
    """
    named = _absolute(path, f"{option or 'the file'}: a file")
    advice = f"give {option or 'it'} a file in a folder that exists"
    try:
        target = named.resolve()
        if target.exists() and not target.is_file():
            raise MajorantError(f"{path} is there and is no file that can be replaced; {advice}")
        if not target.parent.is_dir() or not os.access(target.parent, os.W_OK):
            raise MajorantError(f"{path} cannot be written; {advice}")
    except (OSError, RuntimeError) as error:
        raise MajorantError(f"{path} cannot be written ({error}); {advice}") from error
    return target


def is_results(folder: Path) -> bool:
    """Whether a folder holds results of this package."""
    summary = read_small_json(folder / SUMMARY)
    if not isinstance(summary, dict):
        return False
    versions = summary.get("versions")
    if isinstance(versions, dict) and "majorant" in versions and "certificate" in summary:
        return True
    needed = RESULTS.get(str(summary.get("kind")))
    return needed is not None and needed in summary and "version" in summary


def is_store(folder: Path) -> bool:
    """Whether a folder is a zarr store that this package wrote."""
    about = read_small_json(folder / STORE)
    attributes = about.get("attributes") if isinstance(about, dict) else None
    return isinstance(attributes, dict) and attributes.get("kind") in STORES


def read_small_json(path: Path) -> Any:
    """Read a JSON file of ours; None where there is none, or it is none."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def _absolute(path: str | os.PathLike[str], what: str) -> Path:
    """The path in full, if it can be one."""
    text = os.fspath(path)
    if not text.strip() or "\0" in text:
        raise MajorantError(f"the name of {what} is empty; name one")
    try:
        target = Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise MajorantError(f"{text} names a user that is not known; write the path out") from error
    if len(os.fsencode(target.name)) > LONGEST:
        raise MajorantError(
            f"the name {target.name[:40]}... has {len(os.fsencode(target.name))} bytes and at most "
            f"{LONGEST} can be used; choose a shorter one"
        )
    return target


def _check_there(target: Path, overwrite: bool, ours: Callable[[Path], bool]) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise MajorantError(f"{target} is there and is no folder; choose another output folder")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if os.path.ismount(target):
        raise MajorantError(
            f"the output folder {target} is where a disk is mounted, and results are moved into "
            "place whole; choose a folder in it"
        )
    if not overwrite:
        raise MajorantError(
            f"the output folder {target} is not empty; choose another, or replace it with "
            "--overwrite (in Python, overwrite=True)"
        )
    if not ours(target):
        raise MajorantError(
            f"the output folder {target} holds no results of Majorant, so it is not replaced; "
            "choose another"
        )


def _check_parent(target: Path) -> None:
    parent = target.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise MajorantError(f"the output folder {target} cannot be made: {parent} is no folder")
    try:
        # Asking for permission is not enough: some file systems refuse all the same.
        os.rmdir(tempfile.mkdtemp(prefix=".majorant-", dir=parent))
    except OSError as error:
        raise MajorantError(
            f"the output folder {target} cannot be written: {parent} takes no new folder; choose "
            "another"
        ) from error
