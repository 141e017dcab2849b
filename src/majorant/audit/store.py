"""The folder of an audit: what was asked for, finished chunks, and in the end the results.

A run that was killed goes on when the same command is given again; a folder that holds another
audit, or a finished one, is only replaced when told to.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from majorant.errors import MajorantError
from majorant.files.archive import content_hash
from majorant.files.folder import check_output
from majorant.report.sheet import write_whole

__all__ = ["check_folder", "finish", "open_folder"]

PLAN, CHUNKS, SUMMARY = "plan.json", "chunks", "summary.json"


def check_folder(out: str | Path, *, overwrite: bool) -> Path:
    """Check, before any work, that an audit can be written.

    Parameters
    ----------
    out : path
        Need not exist yet.
    overwrite : bool
        Whether an audit there is replaced.

    Returns
    -------
    Path
        The folder, absolute.

    Raises
    ------
    MajorantError
        If it cannot be written, holds a finished audit, or something that is no audit.
    """
    target = Path(out).expanduser().absolute()
    if not (target / PLAN).is_file() or target.is_symlink():
        return check_output(target)
    if (target / SUMMARY).is_file() and not overwrite:
        raise MajorantError(
            f"the output folder {target} holds a finished audit; choose another, or replace it "
            "with --overwrite"
        )
    return target


def open_folder(out: str | Path, plan: Mapping[str, Any], *, overwrite: bool) -> tuple[Path, int]:
    """Make or reopen the folder of an audit.

    Parameters
    ----------
    out : path
    plan : mapping
        Everything that the results depend on, ready for JSON.
    overwrite : bool
        Whether another or a finished audit there is replaced.

    Returns
    -------
    chunks : Path
        Folder of the chunks.
    found : int
        How many are there already.

    Raises
    ------
    MajorantError
        If the folder cannot be written, or holds something else.
    """
    target = check_folder(out, overwrite=overwrite)
    started = target / PLAN
    if started.is_file():
        if overwrite:
            shutil.rmtree(target / CHUNKS, ignore_errors=True)
        elif _hash_in(started) != content_hash(dict(plan)):
            raise MajorantError(
                f"the output folder {target} holds the beginning of another audit (other settings "
                "or another version); give the same command to go on with it, choose another "
                "folder, or start anew with --overwrite"
            )
    chunks = target / CHUNKS
    try:
        chunks.mkdir(parents=True, exist_ok=True)
        (target / SUMMARY).unlink(missing_ok=True)
        record = {"hash": content_hash(dict(plan)), "plan": dict(plan)}
        write_whole(started, json.dumps(record, indent=2) + "\n")
    except OSError as error:
        raise MajorantError(
            f"the output folder {target} cannot be written ({error.strerror or error}); choose "
            "another"
        ) from error
    return chunks, len(list(chunks.glob("*.safetensors")))


def finish(target: Path, files: Mapping[str, str | bytes]) -> None:
    """Write the results, the summary last, and clear the chunks away.

    Raises
    ------
    MajorantError
        If the folder can no longer be written; the chunks stay, so nothing is lost.
    """
    assert list(files)[-1] == SUMMARY
    try:
        for name, data in files.items():
            write_whole(target / name, data)
    except OSError as error:
        raise MajorantError(
            f"the results cannot be written to {target} ({error.strerror or error}); the finished "
            "part is kept, so give the command again once there is room"
        ) from error
    shutil.rmtree(target / CHUNKS, ignore_errors=True)


def _hash_in(path: Path) -> str:
    try:
        return str(json.loads(path.read_text("utf-8"))["hash"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
