"""Clips on disk: verified shards, and a list that is written when all of them are there.

A folder holds ``clips-00000.safetensors`` and so on, ``background.safetensors`` and ``clips.json``.
Every file is written beside its destination and moved there, and carries a sha256 of its content;
the list, written last, carries the sha256 of every file. So a folder without its list is
unfinished and continues where it stopped, a finished collection stays one while it is extended, and
a damaged shard is found and named.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from majorant.files.archive import content_hash, read_archive, write_archive
from majorant.files.write import sweep, write_file
from majorant.pace import Pace
from majorant.problem import DamagedFile, MajorantError
from majorant.simulate.neural_mass_clips import (
    ClipRecipe,
    Clips,
    Plan,
    Progress,
    Shard,
    joined,
    search,
)

LIST, REST = "clips.json", "background.safetensors"
VERSION = 1
MAX_LIST = 2**22
"""Bytes a list may have."""
NAME = re.compile(r"clips-\d{5}\.safetensors")


def make_clips(
    n: int,
    folder: str | os.PathLike[str],
    recipe: ClipRecipe | None = None,
    *,
    show: bool = True,
) -> Clips:
    """Say what a collection costs, then make it, with a progress bar; or continue one.

    Parameters
    ----------
    n : int
        Clips.
    folder : path
        Made if it does not exist.
    recipe : ClipRecipe, optional
        Single columns by default.
    show : bool
        Whether to print.

    Raises
    ------
    MajorantError
        If the folder cannot be written, is too small, or holds clips of another recipe.
    DamagedFile
        If a shard that is there is damaged.
    """
    recipe = recipe or ClipRecipe()
    if not 0 <= recipe.seed < 2**63:
        raise MajorantError(f"the seed is {recipe.seed}; give a whole number from 0 to 2^63 - 1")
    plan = recipe.plan(n)
    if not show:
        return write_clips(recipe, n, folder, plan=plan)
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(highlight=False)
    console.print(plan.sentence())
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("clips", total=n)
        pace = Pace("clips", lambda line: print(line, file=sys.stderr, flush=True))

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done)
            if not console.is_terminal:
                pace(done, total)

        clips = write_clips(recipe, n, folder, plan=plan, progress=progress)
    console.print(f"{len(clips)} clips in {Path(folder)}")
    if clips.reason:
        console.print(clips.reason)
    return clips


def write_clips(
    recipe: ClipRecipe,
    n: int,
    folder: str | os.PathLike[str],
    *,
    plan: Plan | None = None,
    progress: Progress | None = None,
) -> Clips:
    """Make a collection on disk, or continue one that was interrupted.

    Parameters
    ----------
    recipe : ClipRecipe
    n : int
        Clips wanted; a finished collection of fewer is extended.
    folder : path
    plan : Plan, optional
        Its size is compared with the room on the disk.
    progress : callable, optional
        Called with the number of clips so far and wanted.

    Raises
    ------
    MajorantError
        If the folder cannot be written, is too small, or holds clips of another recipe.
    DamagedFile
        If a shard that is there is damaged.
    """
    target = _folder(Path(folder), plan)
    identity = content_hash(recipe.record())
    files: dict[str, int] = {}

    def get(number: int) -> Shard:
        room = n - sum(files.values())
        path = target / f"clips-{number:05d}.safetensors"
        kept = _kept(path, identity, room)
        if kept is None:
            # All of it, though fewer may be wanted: a file that is there is never changed, so that
            # the list of a collection that is being extended holds until the new one is written.
            if path.exists():
                (target / LIST).unlink(missing_ok=True)
            kept = recipe.shard(number)
            tensors = {"waveforms": kept.waveforms, "region": kept.region}
            _archive(path, tensors, {"recipe": identity, "number": number, "whole": True})
        shard = _first(kept, room)
        files[path.name] = len(shard)
        return shard

    if (target / LIST).exists():
        listed = _read_list(target)
        if listed["identity"] != identity:
            raise MajorantError(_other(target))
        if listed["asked"] == n:
            return read_clips(target)
    try:
        shards = list(search(recipe, n, get, progress))
        rest = _background(target / REST, recipe, identity)
        clips = joined(recipe, shards, n, rest)
        _write_list(target, recipe, clips, files, identity)
    except OSError as error:
        raise MajorantError(f"{target} cannot be written ({error.strerror})") from error
    return clips


def read_clips(folder: str | os.PathLike[str]) -> Clips:
    """Read a finished collection.

    Raises
    ------
    MajorantError
        If there is none, or it is unfinished.
    DamagedFile
        If a file is not what the list says; the sentence names it.
    """
    path = Path(folder)
    listed = _read_list(path)
    shards = []
    for entry in listed["shards"]:
        file = path / entry["file"]
        _verify(file, entry["sha256"])
        shard = _read_shard(file, listed["identity"])
        if shard is None or len(shard) < entry["clips"]:
            raise DamagedFile(f"{file} is not the shard that {LIST} names; delete it and {AGAIN}")
        shards.append(_first(shard, entry["clips"]))
    _verify(path / REST, listed["background"])
    return Clips(
        waveforms=torch.cat([shard.waveforms for shard in shards]),
        region=torch.cat([shard.region for shard in shards]),
        background=_read_background(path / REST, listed["identity"]),
        sfreq=listed["sfreq"],
        asked=listed["asked"],
        reason=listed["reason"],
    )


AGAIN = "make the clips again with the same command"


def _other(folder: Path) -> str:
    """What is wrong with a folder of another recipe."""
    return f"{folder} holds clips of another seed or other settings; give another folder"


def _folder(path: Path, plan: Plan | None) -> Path:
    """Return a folder that exists, can be written and has room."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise MajorantError(f"{path} is there and is no folder; give another") from error
    except OSError as error:
        raise MajorantError(f"{path} cannot be made ({error.strerror})") from error
    if not os.access(path, os.W_OK):
        raise MajorantError(f"{path} cannot be written; give another folder")
    sweep(path)
    free = shutil.disk_usage(path).free
    if plan is not None and plan.n_bytes > free:
        raise MajorantError(
            f"{plan.n} clips take {plan.n_bytes / 1e6:.0f} MB and {path} has {free / 1e6:.0f} MB "
            "free; ask for fewer or give another folder"
        )
    return path


def _kept(path: Path, identity: str, room: int) -> Shard | None:
    """Return a shard that is there, or None where it has to be made."""
    if not path.exists():
        return None
    try:
        tensors, info = read_archive(path, kind="clips", version=VERSION)
    except DamagedFile as error:
        raise DamagedFile(f"{path} is damaged; delete it and {AGAIN}") from error
    if info.get("recipe") != identity:
        raise MajorantError(_other(path.parent))
    shard = Shard(tensors["waveforms"], tensors["region"])
    # Version 0.1 kept no more of the last shard than was wanted.
    return shard if bool(info.get("whole")) or len(shard) >= room else None


def _first(shard: Shard, n: int) -> Shard:
    """The first clips of a shard."""
    return Shard(shard.waveforms[:n], shard.region[:n])


def _archive(path: Path, tensors: Mapping[str, Tensor], info: Mapping[str, Any]) -> None:
    """Write a verified file; what is not finite never gets into one."""
    for name, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise MajorantError(f"the {name} of {path.name} are not finite; nothing was written")
    write_archive(path, tensors, info, kind="clips", version=VERSION)


def _read_shard(path: Path, identity: str) -> Shard | None:
    """Return a shard of this recipe, None where it is of another."""
    tensors, info = read_archive(path, kind="clips", version=VERSION)
    waveforms, region = tensors.get("waveforms"), tensors.get("region")
    if waveforms is None or region is None or info.get("recipe") != identity:
        return None
    same = waveforms.ndim == 2 and region.shape == waveforms.shape[:1]
    return Shard(waveforms, region) if same else None


def _background(path: Path, recipe: ClipRecipe, identity: str) -> Tensor:
    """Return the background as it comes back from its file: 16-bit numbers and a scale."""
    if not path.exists():
        made = recipe.background()
        scale = max(float(made.abs().max()) if made.numel() else 0.0, 1e-30) / 32767
        if not bool(torch.isfinite(made).all()):
            raise MajorantError("the background is not finite; nothing was written")
        coarse = (made / scale).round().to(torch.int16)
        _archive(path, {"background": coarse}, {"recipe": identity, "scale": scale})
    return _read_background(path, identity)


def _read_background(path: Path, identity: str) -> Tensor:
    tensors, info = read_archive(path, kind="clips", version=VERSION)
    if "background" not in tensors or info.get("recipe") != identity:
        raise DamagedFile(f"{path} does not belong to these clips; delete it and {AGAIN}")
    return tensors["background"].to(torch.float32) * float(info["scale"])


def _write_list(
    folder: Path, recipe: ClipRecipe, clips: Clips, files: Mapping[str, int], identity: str
) -> None:
    listed = {
        "format": "majorant clips",
        "version": VERSION,
        "identity": identity,
        "recipe": recipe.record(),
        "asked": clips.asked,
        "found": len(clips),
        "reason": clips.reason,
        "sfreq": clips.sfreq,
        "shards": [
            {"file": name, "clips": count, "sha256": _sha256(folder / name)}
            for name, count in files.items()
        ],
        "background": _sha256(folder / REST),
    }
    write_file(folder / LIST, json.dumps(listed, indent=1, allow_nan=False) + "\n")


def _read_list(folder: Path) -> dict[str, Any]:
    path = folder / LIST
    try:
        if path.stat().st_size > MAX_LIST:
            raise DamagedFile(f"{path} is too large for a list of clips; delete it and {AGAIN}")
        listed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        unfinished = any(NAME.fullmatch(file.name) for file in folder.glob("clips-*"))
        raise MajorantError(
            f"the clips in {folder} are unfinished; {AGAIN}, it continues where it stopped"
            if unfinished
            else f"there are no clips in {folder}; make some with 'majorant simulate nmm'"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFile(f"{path} cannot be read; delete it and {AGAIN}") from error
    if not _is_list(listed):
        raise DamagedFile(f"{path} is no list of clips of version {VERSION}; delete it and {AGAIN}")
    return listed


def _is_list(listed: Any) -> bool:
    """Whether everything that will be used is there and of its type."""
    if not isinstance(listed, dict) or listed.get("version") != VERSION:
        return False
    kinds = {"identity": str, "asked": int, "reason": str, "sfreq": float, "background": str}
    shards = listed.get("shards")
    return (
        all(isinstance(listed.get(name), kind) for name, kind in kinds.items())
        and isinstance(shards, list)
        and len(shards) > 0
        and all(
            isinstance(entry, dict)
            and isinstance(entry.get("file"), str)
            and NAME.fullmatch(entry["file"]) is not None
            and isinstance(entry.get("clips"), int)
            and isinstance(entry.get("sha256"), str)
            for entry in shards
        )
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verify(path: Path, expected: str) -> None:
    """Compare a file with its sha256 in the list."""
    try:
        found = _sha256(path)
    except OSError as error:
        raise DamagedFile(f"{path} cannot be read ({error.strerror}); {AGAIN}") from error
    if found != expected:
        raise DamagedFile(f"{path} does not match its sha256 in {LIST}; delete both and {AGAIN}")
