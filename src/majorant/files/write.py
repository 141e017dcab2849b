"""The one way in which anything of ours reaches the disk: whole, or not at all.

What is new grows in a *work folder* beside its place, on the same file system, and is moved there
when it is whole. A file replaces a file by `rename`, which is atomic; a folder is exchanged with
the folder that is there by ``renameat2(RENAME_EXCHANGE)``, which is atomic as well, so that a
process that is killed at any instant leaves the old or the new. Where the system cannot exchange
folders, and where several files become one result, a journal in the work folder says what moves
where, and the next run finishes it: a journal is written once everything new is whole.

A work folder holds a mark, which its process keeps locked for as long as it lives (`flock`; the
system lifts the lock of a process that dies). So whoever writes beside a leftover later can tell
that it is one, and clears it away; a folder without our mark, or of another user, is never touched.
Work of hours is not cleared away but taken up: its mark says for which result it was begun, and the
next run that makes that result goes on with it. If there is none within a week, it is a leftover.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no flock: nothing is swept there, and nothing breaks.
    fcntl = None  # type: ignore[assignment]

from majorant.errors import MajorantError

__all__ = [
    "beside",
    "exchange",
    "move_all",
    "replacing",
    "require_room",
    "resumable",
    "sweep",
    "take_place",
    "write_file",
]

PREFIX = ".majorant-"
MARK, JOURNAL, NEW, OLD = "mark.json", "journal.json", "new", "old"
KIND, VERSION = "majorant work folder", 1
LARGEST = 2**24
"""Bytes a mark or a journal may have."""
KEPT = 7 * 24 * 3600
"""Seconds that work of a killed process waits for somebody to go on with it."""
MARGIN = 64 * 2**20
"""Bytes that are left free on a disk, beside what is asked for."""
_AT_FDCWD, _EXCHANGE = -100, 2


def write_file(path: str | os.PathLike[str], data: str | bytes) -> Path:
    """Write a file, whole or not at all; an existing one is replaced at once.

    Parameters
    ----------
    path : path
        Its folder must exist.
    data : str or bytes
        Text becomes UTF-8; what cannot be (half a surrogate of a file name) a question mark.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written to; nothing is left behind.
    """
    held = data.encode("utf-8", "replace") if isinstance(data, str) else data
    with replacing(path) as part:
        part.write_bytes(held)
    return Path(path)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a place for a file that becomes ``path`` when the block ends without an error.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be written to; nothing is left behind.
    """
    path = Path(path)
    sweep(path.parent)
    with _work_folder(path.parent) as work:
        part = work / (NEW + path.suffix)
        yield part
        os.replace(part, path)


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Give an empty folder on the file system of ``target``; it is gone afterwards.

    Raises
    ------
    MajorantError
        If it cannot be made, or something cannot be written into it.
    """
    with _room(target, resume=False) as folder:
        yield folder


@contextmanager
def resumable(target: Path) -> Iterator[Path]:
    """As :func:`beside`; what a process wrote into it that was killed is there for the next one.

    Whoever takes it must be able to tell what it finds there: files may be half-written, and of
    another recording or other settings.

    Raises
    ------
    MajorantError
        As :func:`beside`.
    """
    with _room(target, resume=True) as folder:
        yield folder


@contextmanager
def _room(target: Path, *, resume: bool) -> Iterator[Path]:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        taken = _taken_up(target) if resume else None
        sweep(target.parent, target.name)
        with _work_folder(target.parent, target.name if resume else None, taken) as work:
            folder = work / NEW
            folder.mkdir(exist_ok=resume)
            yield folder
    except OSError as error:
        raise MajorantError(
            f"the results cannot be written to {target}: {error.strerror or error}; choose another "
            "output folder"
        ) from error


def exchange(folder: Path, target: Path) -> None:
    """Put a finished folder, as :func:`beside` gave it, into its place.

    Whoever looks sees the old folder or the new one, and nothing between; where the system cannot
    exchange folders, a process that is killed between two renames leaves a journal that the next
    run finishes.

    Raises
    ------
    OSError
        If that is not possible; what was there is there, then.
    """
    with suppress(OSError):
        # An empty folder counts as none.
        target.rmdir()
    if target.exists():
        if _exchanged(folder, target):
            return
        move_all(folder.parent, {f"{folder.name}": target.name})
        return
    os.rename(folder, target)


def take_place(grown: Path, target: Path) -> None:
    """Put a file or folder that grew beside what is there into its place, at once.

    Raises
    ------
    OSError
        If that is not possible; both are there, then.
    MajorantError
        If folders cannot be exchanged here and there is no place to move them through.
    """
    if not target.is_dir():
        os.replace(grown, target)
    elif _exchanged(grown, target):
        shutil.rmtree(grown)
    else:
        with beside(target) as room:
            room.rmdir()
            os.rename(grown, room)
            exchange(room, target)


def move_all(work: Path, moves: Mapping[str, str], removes: Sequence[str] = ()) -> None:
    """Move several things out of a work folder as one result, finished by the next run if killed.

    Parameters
    ----------
    work : Path
        The folder that holds the mark: the parent of what :func:`beside` gives.
    moves : mapping of str to str
        From a path in the work folder to a name beside it, in order; what is there is replaced.
    removes : sequence of str
        Names beside the work folder that go first.
    """
    journal = {"kind": KIND, "version": VERSION, "moves": dict(moves), "removes": list(removes)}
    part = work / f"{JOURNAL}.part"
    part.write_text(json.dumps(journal), encoding="utf-8")
    os.replace(part, work / JOURNAL)
    _finish(work, journal)


def sweep(folder: Path, name: str | None = None) -> None:
    """Clear away what killed processes left in a folder; finish what they had begun to move.

    Only work folders of this user that hold our mark are touched, and none whose process lives.

    Parameters
    ----------
    folder : Path
    name : str, optional
        Of the result that is made anew: work that waits to be taken up for it goes, too.
    """
    for work in _left_in(folder):
        with suppress(OSError):
            _sweep_one(work, name)


def _left_in(folder: Path) -> list[Path]:
    """What may be work folders."""
    if fcntl is None:
        return []
    try:
        with os.scandir(folder) as entries:
            return [Path(e.path) for e in entries if e.name.startswith(PREFIX)]
    except OSError:
        return []


def _taken_up(target: Path) -> tuple[Path, int] | None:
    """What a killed process left for a result: the work folder and its lock; None if nothing."""
    for work in _left_in(target.parent):
        with suppress(OSError):
            held = _claimed(work)
            if held is None:
                continue
            lock, mark = held
            if mark.get("for") == target.name and (work / NEW).is_dir():
                return work, lock
            os.close(lock)
    return None


def require_room(folder: Path, n_bytes: int, what: str, advice: str) -> None:
    """Ask for disk space before any work.

    Parameters
    ----------
    folder : Path
        Where something will be written; it or one above it exists.
    n_bytes : int
    what : str
        What takes it, as the subject of a sentence.
    advice : str
        What to do where there is too little.

    Raises
    ------
    MajorantError
        If there is too little.
    """
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if n_bytes + MARGIN > free:
        raise MajorantError(
            f"{what} takes {n_bytes / 1e9:.3g} GB and {folder} has {free / 1e9:.3g} GB free; "
            f"{advice}"
        )


@contextmanager
def _work_folder(
    parent: Path, name: str | None = None, taken: tuple[Path, int] | None = None
) -> Iterator[Path]:
    """A folder with our mark, locked while we live; gone afterwards.

    `name` is of the result for which the next process may take it up, if we are killed; `taken` is
    what we take up ourselves.
    """
    work, lock = taken or _marked(parent, name)
    try:
        yield work
    finally:
        _clear(work)
        os.close(lock)


def _marked(parent: Path, name: str | None) -> tuple[Path, int]:
    own = {"kind": KIND, "version": VERSION}
    text = json.dumps(own if name is None else {**own, "for": name}).encode()
    while True:
        work = parent / f"{PREFIX}{secrets.token_hex(6)}"
        work.mkdir()
        mark = work / MARK
        try:
            lock = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileNotFoundError:
            # Somebody who sweeps took the empty folder for a leftover.
            continue
        try:
            os.write(lock, text)
        except OSError:
            os.close(lock)
            _clear(work)
            raise
        _lock(lock, wait=True)
        if _same(mark, lock):
            return work, lock
        os.close(lock)


def _lock(file: int, *, wait: bool) -> bool:
    """Lock a file for this process; some file systems know no locks, and nothing is swept there."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


def _same(path: Path, file: int) -> bool:
    """Whether a path still leads to an open file."""
    with suppress(OSError):
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(file))
    return False


def _sweep_one(work: Path, name: str | None) -> None:
    """Finish and remove one work folder, if it is ours and nobody's any more."""
    held = _claimed(work)
    if held is None:
        return
    lock, mark = held
    try:
        if mark.get("for") not in (None, name) and time.time() - _touched(work) < KEPT:
            return
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            _finish(work, json.loads((work / JOURNAL).read_bytes()[:LARGEST]))
        _clear(work)
    finally:
        os.close(lock)


def _claimed(work: Path) -> tuple[int, dict[str, Any]] | None:
    """The lock of a work folder of ours whose process is dead, and its mark; None of any other."""
    if work.is_symlink() or work.stat().st_uid != os.getuid():
        return None
    path = work / MARK
    try:
        lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        # Killed before its mark, or after it was all but gone: an empty folder, or not ours.
        work.rmdir()
        return None
    mark = None
    try:
        if _lock(lock, wait=False) and _same(path, lock):
            mark = _read_mark(lock, work)
    finally:
        if mark is None:
            os.close(lock)
    return None if mark is None else (lock, mark)


def _touched(work: Path) -> float:
    """When something was last written into a work folder, s."""
    places = [work, *([work / NEW] if (work / NEW).is_dir() else [])]
    return max(path.stat().st_mtime for path in places)


def _read_mark(mark: int, work: Path) -> dict[str, Any] | None:
    """What an open mark holds, if it is ours; nothing counts where nothing else is there."""
    text = os.pread(mark, LARGEST, 0)
    if not text:
        return {} if [path.name for path in work.iterdir()] == [MARK] else None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) and held.get("kind") == KIND else None


def _finish(work: Path, journal: Mapping[str, Any]) -> None:
    """Do what a journal says; doing it twice is doing it once."""
    if journal["kind"] != KIND or journal["version"] != VERSION:
        return
    plain = [*journal["removes"], *journal["moves"].values()]
    if any(Path(name).name != name for name in plain):
        return
    done: list[tuple[Path, Path]] = []

    def moved(source: Path, target: Path) -> None:
        if os.path.lexists(source):
            os.rename(source, target)
            done.append((source, target))

    sources = {name: work / source for source, name in journal["moves"].items()}
    try:
        for name in journal["removes"]:
            if name in sources and not os.path.lexists(sources[name]):
                # What is there is the new one, moved before a kill.
                continue
            moved(work.parent / name, work / f"{OLD}-{secrets.token_hex(6)}")
        for source, name in journal["moves"].items():
            if ".." in Path(source).parts or not os.path.lexists(work / source):
                continue
            moved(work.parent / name, work / f"{OLD}-{secrets.token_hex(6)}")
            moved(work / source, work.parent / name)
    except OSError:
        for source, target in reversed(done):
            with suppress(OSError):
                os.rename(target, source)
        raise


def _clear(work: Path) -> None:
    """Remove a work folder, its mark last: what a kill leaves of it must still be ours."""
    with suppress(OSError):
        for path in work.iterdir():
            if path.name == MARK:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if [path.name for path in work.iterdir()] == [MARK]:
            (work / MARK).unlink()
            work.rmdir()


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two folders at once; False where the system cannot.

    Raises
    ------
    OSError
        If it can, and is not allowed to.
    """
    call = _renameat2()
    if call is None:
        return False
    done = call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _EXCHANGE)
    if done == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


@cache
def _renameat2() -> Any:
    """Linux's call, where the C library has it."""
    if not sys.platform.startswith("linux"):
        return None
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is not None:
        call.argtypes = [
            ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint,
        ]  # fmt: skip
        call.restype = ctypes.c_int
    return call
