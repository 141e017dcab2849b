"""Folders of results: made beside their target, then moved into place, all or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from majorant.errors import MajorantError

__all__ = ["beside", "check_output", "swap"]


def check_output(
    out_dir: str | os.PathLike[str], *, overwrite: bool = False, mark: str = "summary.json"
) -> Path:
    """Check, before any work, that results can be written.

    Parameters
    ----------
    out_dir : path
        The folder that will hold the results; it need not exist yet.
    overwrite : bool
        Whether a folder that exists and is not empty may be replaced.
    mark : str
        File by which a folder of ours is known; no other is replaced.

    Raises
    ------
    MajorantError
        If it cannot be written, is a file, or holds something that may not be replaced.
    """
    target = Path(out_dir).expanduser().absolute()
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise MajorantError(f"{target} is there and is no folder; choose another output folder")
    if target.is_dir() and any(target.iterdir()):
        if not overwrite:
            raise MajorantError(
                f"the output folder {target} is not empty; choose another, or replace it "
                "with --overwrite (in Python, overwrite=True)"
            )
        if not (target / mark).is_file():
            raise MajorantError(
                f"the output folder {target} holds no results of Majorant, so it is not replaced; "
                "choose another"
            )
    parent = target.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir():
        raise MajorantError(f"the output folder {target} cannot be made: {parent} is no folder")
    try:
        # Asking for permission is not enough: some file systems refuse all the same.
        os.rmdir(tempfile.mkdtemp(prefix=f".{target.name}.", dir=parent))
    except OSError as error:
        raise MajorantError(
            f"the output folder {target} cannot be written: {parent} takes no new folder; choose "
            "another"
        ) from error
    return target


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Give a temporary folder on the same file system; it is gone afterwards."""
    folder: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        folder.chmod(0o777 & ~_umask())
        yield folder
    except OSError as error:
        raise MajorantError(
            f"the results cannot be written to {target}: {error.strerror or error}; choose another "
            "output folder"
        ) from error
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def swap(folder: Path, target: Path) -> None:
    """Move a finished folder into place; what was there is kept until that has worked."""
    if not target.exists():
        os.rename(folder, target)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    os.rename(target, old / target.name)
    try:
        os.rename(folder, target)
    except OSError:
        os.rename(old / target.name, target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
