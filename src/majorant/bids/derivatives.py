"""The folder of the derivatives: whose it is, what is finished in it, and its group page."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from majorant import __version__
from majorant.bids.dataset import DESCRIPTION, Item, root_of
from majorant.bids.study import Study, input_hash, read_record, record_file
from majorant.errors import MajorantError
from majorant.files.write import sweep, write_file

__all__ = ["NAME", "Standing", "finished_records", "open_derivatives", "standing"]

NAME, BIDS_VERSION = "majorant", "1.9.0"
Standing = tuple[tuple[Item, ...], tuple[Item, ...], tuple[Item, ...]]


def open_derivatives(root: Path, out: Path) -> Path:
    """Make or reopen ``OUT/majorant`` with its description.

    Raises
    ------
    MajorantError
        If it cannot be written, or belongs to another program.
    """
    folder = out.expanduser().absolute() / NAME
    description = folder / DESCRIPTION
    if folder.is_dir() and any(folder.iterdir()) and not _ours(description):
        raise MajorantError(
            f"{folder} is not empty and holds no derivatives of Majorant; choose another --out"
        )
    about: dict[str, Any] = {
        "Name": f"Source estimates of {_name(root)}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": NAME, "Version": __version__}],
    }
    if folder.is_relative_to(root):
        # A path within the data set moves with it; any other would say where somebody keeps files.
        about["SourceDatasets"] = [{"URL": Path(os.path.relpath(root, folder)).as_posix()}]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_file(description, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    except OSError as error:
        raise MajorantError(
            f"the output folder {folder} cannot be written ({error.strerror or error}); choose "
            "another --out"
        ) from error
    return folder


def _ours(description: Path) -> bool:
    try:
        return json.loads(description.read_text("utf-8"))["GeneratedBy"][0]["Name"] == NAME
    except (OSError, ValueError, LookupError, TypeError, OverflowError):
        return False


def _name(root: Path) -> str:
    try:
        return str(json.loads((root_of(root) / DESCRIPTION).read_text("utf-8"))["Name"])
    except (LookupError, TypeError, OverflowError):
        return root.name


def standing(items: Sequence[Item], study: Study, *, overwrite: bool) -> Standing:
    """Sort recordings into finished ones, those whose files have changed since, and new ones.

    Raises
    ------
    MajorantError
        If some are finished with other settings and may not be replaced.
    """
    finished, changed, new, other = [], [], [], []
    for folder in {record_file(item, study.out).parent for item in items}:
        # A run that was killed while it moved a recording's files is finished first.
        sweep(folder)
    for item in items:
        record = read_record(record_file(item, study.out))
        if record is None or overwrite:
            new.append(item)
        elif record["plan"] != study.plan:
            other.append(item)
        elif record["input"] != input_hash(item):
            changed.append(item)
        else:
            finished.append(item)
    if other:
        raise MajorantError(
            f"{len(other)} of {len(items)} recordings (first {other[0].key}) are in {study.out} "
            "with other settings or of another version; choose another --out, or replace them "
            "with --overwrite"
        )
    return tuple(finished), tuple(changed), tuple(new)


def finished_records(study: Study) -> tuple[list[tuple[Path, dict[str, Any]]], int]:
    """Records in the folder with the settings of a study, and how many there are with others.

    Returns
    -------
    list of (folder relative to the derivatives, record)
    int
    """
    found, others = [], 0
    out = Path(study.out)
    for path in sorted(out.glob("sub-*/**/*_estimates.json")):
        record = read_record(path)
        if record is None:
            continue
        if record["plan"] == study.plan:
            found.append((path.parent.relative_to(out), record))
        else:
            others += 1
    return found, others
