"""The folder of an audit: results, and beside them what a run has not finished yet.

A run gathers its chunks in ``unfinished/``, with the plan that they belong to, and exchanges the
whole folder for the finished one at the end: earlier results stay until then. A run that was killed
goes on when the same command is given again; a folder that holds the beginning of another audit, or
a finished one, is only replaced when told to.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from majorant.errors import MajorantError
from majorant.files.archive import content_hash
from majorant.files.output import check_output, is_results, read_small_json
from majorant.files.write import beside, exchange, sweep, write_file

__all__ = ["check_folder", "finish", "open_folder"]

PLAN, UNFINISHED, SUMMARY = "plan.json", "unfinished", "summary.json"


def check_folder(out: str | Path, *, overwrite: bool) -> Path:
    """Check, before any work, that an audit can be written.

    Parameters
    ----------
    out : path
        Need not exist yet.
    overwrite : bool
        Whether results there are replaced.

    Returns
    -------
    Path
        The folder, absolute.

    Raises
    ------
    MajorantError
        If it cannot be written, holds a finished audit, or something that is none of ours.
    """
    try:
        return check_output(out, overwrite=overwrite, ours=lambda at: is_results(at) or _begun(at))
    except MajorantError:
        target = Path(out).expanduser().absolute()
        if target.is_symlink() or not target.is_dir():
            raise
        if is_results(target):
            raise MajorantError(
                f"the output folder {target} holds a finished audit or other results; choose "
                "another, or replace them with --overwrite"
            ) from None
        if not _begun(target):
            raise
        return target


def _begun(target: Path) -> bool:
    """Whether a folder holds the beginning of an audit; version 0.1 kept it at the top."""
    sweep(target)
    places = [path for path in (target / UNFINISHED, target) if _hash_in(path / PLAN)]
    return bool(places) or not any(target.iterdir())


def open_folder(out: str | Path, plan: Mapping[str, Any], *, overwrite: bool) -> tuple[Path, int]:
    """Make or reopen the folder of an audit.

    Parameters
    ----------
    out : path
    plan : mapping
        Everything that the results depend on, ready for JSON.
    overwrite : bool
        Whether results there, or the beginning of another audit, are replaced.

    Returns
    -------
    chunks : Path
        Folder of the chunks, in the folder of the audit.
    found : int
        How many are there already.

    Raises
    ------
    MajorantError
        If the folder cannot be written, or holds something else.
    """
    target = check_folder(out, overwrite=overwrite)
    chunks, own = target / UNFINISHED, content_hash(dict(plan))
    begun = [path for path in (chunks, target) if (path / PLAN).is_file()]
    if begun and not overwrite and _hash_in(begun[0] / PLAN) != own:
        raise MajorantError(
            f"the output folder {target} holds the beginning of another audit (other settings "
            "or another version); give the same command to go on with it, choose another "
            "folder, or start anew with --overwrite"
        )
    if _hash_in(chunks / PLAN) != own:
        record = {"hash": own, "plan": dict(plan)}
        with beside(chunks) as folder:
            write_file(folder / PLAN, json.dumps(record, indent=2) + "\n")
            exchange(folder, chunks)
    sweep(chunks)
    return chunks, len(list(chunks.glob("*.safetensors")))


def finish(target: Path, files: Mapping[str, str | bytes]) -> None:
    """Write the results and put them in the place of what is there, at once.

    Raises
    ------
    MajorantError
        If the folder can no longer be written; the chunks stay, so nothing is lost.
    """
    try:
        with beside(target) as folder:
            for name, data in files.items():
                write_file(folder / name, data)
            exchange(folder, target)
    except MajorantError as error:
        raise MajorantError(
            f"{error}; the finished part is kept, so give the command again once that is mended"
        ) from error


def _hash_in(path: Path) -> str:
    """Hash of a plan; nothing where there is none."""
    held = read_small_json(path)
    return str(held.get("hash", "")) if isinstance(held, dict) and "plan" in held else ""
