"""What a BIDS data set holds: its EEG recordings, found by their names.

The layout is that of the Brain Imaging Data Structure, EEG extension (Pernet et al. 2019,
doi:10.1038/s41597-019-0104-8). Finding needs no more than the file system; reading is left to
MNE-BIDS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from majorant.account import Account, listening, silent
from majorant.errors import MajorantError, nearest
from majorant.recording.channels import some
from majorant.recording.file import UNREADABLE, Recording, from_raw

__all__ = ["Item", "find_recordings", "read_recording", "root_of"]

DESCRIPTION = "dataset_description.json"
FORMATS = (".vhdr", ".edf", ".bdf", ".set")
"""File formats of EEG in BIDS."""


@dataclass(frozen=True)
class Item:
    """One recording of a data set.

    Attributes
    ----------
    root : str
        The data set.
    place : str
        The file, relative to the root.
    entities : tuple of (str, str)
        Of its name, in order: ("sub", "01"), ("task", "visual"), ...
    """

    root: str
    place: str
    entities: tuple[tuple[str, str], ...]

    @property
    def file(self) -> Path:
        """The file."""
        return Path(self.root) / self.place

    @property
    def key(self) -> str:
        """Name without suffix: ``sub-01_task-visual``."""
        return "_".join(f"{entity}-{label}" for entity, label in self.entities)

    @property
    def folder(self) -> Path:
        """Folder of the recording within a data set: ``sub-01/eeg``."""
        return Path(self.place).parent

    def label(self, entity: str) -> str:
        """Label of an entity, empty where the name has none."""
        return dict(self.entities).get(entity, "")


def root_of(path: str | Path) -> Path:
    """Check that a folder is a BIDS data set.

    Raises
    ------
    MajorantError
        If it is none.
    """
    root = Path(path).expanduser().absolute()
    if not root.exists():
        raise MajorantError(f"there is no folder {root}; give the root of a BIDS data set")
    if not root.is_dir():
        raise MajorantError(
            f"{root} is a file, and --bids expects the root folder of a data set; to image one "
            "recording, name it without --bids"
        )
    try:
        found = json.loads((root / DESCRIPTION).read_text("utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it holds no record")
    except FileNotFoundError as error:
        raise MajorantError(
            f"{root} is no BIDS data set, for it holds no {DESCRIPTION}; give the folder that does"
        ) from error
    except (OSError, ValueError) as error:
        raise MajorantError(
            f"{root / DESCRIPTION} cannot be read as JSON ({error}); mend it"
        ) from error
    return root


def find_recordings(
    root: Path,
    task: str | None = None,
    subjects: Sequence[str] | None = None,
    say: Callable[[str], None] = silent,
) -> tuple[Item, ...]:
    """List the EEG recordings of a task.

    Parameters
    ----------
    root : Path
        From :func:`root_of`.
    task : str or None
        None takes the only one.
    subjects : sequence of str or None
        Labels, with or without ``sub-``; None takes all.
    say : callable
        Called with one sentence on what was found.

    Raises
    ------
    MajorantError
        If there is no EEG, or no such task or subject; the sentence names the nearest.
    """
    items = _all(root)
    if not items:
        held = sorted({path.parent.name for path in root.glob("sub-*/**/*") if path.is_file()})
        raise MajorantError(
            f"the data set {root} has no EEG recordings (it has {', '.join(held) or 'no data'}); "
            "only EEG is imaged"
        )
    tasks = sorted({item.label("task") for item in items})
    if task is None and len(tasks) > 1:
        raise MajorantError(
            f"the data set has several tasks, {some(tasks, 12)}; choose with --task"
        )
    wanted = tasks[0] if task is None else task.removeprefix("task-")
    _known("task", [wanted], tasks)
    items = [item for item in items if item.label("task") == wanted]
    have = sorted({item.label("sub") for item in items})
    if subjects is not None:
        asked = [label.strip().removeprefix("sub-") for label in subjects]
        _known("subject", asked, have, f" with task {wanted!r}")
        items = [item for item in items if item.label("sub") in asked]
    people = len({item.label("sub") for item in items})
    say(
        f"{len(items)} recording{'s' if len(items) > 1 else ''} of task {wanted!r}, {people} "
        f"subject{'s' if people > 1 else ''}."
    )
    return tuple(items)


def _all(root: Path) -> list[Item]:
    found = []
    for pattern in ("sub-*/eeg/*_eeg.*", "sub-*/ses-*/eeg/*_eeg.*"):
        for path in sorted(root.glob(pattern)):
            parts = [part.partition("-") for part in path.name.split("_")[:-1]]
            named = all(entity and dash and label for entity, dash, label in parts)
            if path.suffix.lower() in FORMATS and named:
                entities = tuple((entity, label) for entity, _, label in parts)
                found.append(Item(str(root), str(path.relative_to(root)), entities))
    return sorted(found, key=lambda item: item.key)


def _known(what: str, asked: Iterable[str], have: Sequence[str], where: str = "") -> None:
    """Refuse what is not there, and name the nearest that is."""
    for label in asked:
        if label in have:
            continue
        raise MajorantError(
            f"there is no {what} {label!r}{where}{nearest(label, have)}; the data set has "
            f"{some(have, 12)}"
        )


def read_recording(item: Item, say: Callable[[str], None] = silent) -> Recording:
    """Read a recording with what its sidecar files say of channels, electrodes and events.

    Raises
    ------
    MajorantError
        If MNE-BIDS is missing, or the recording cannot be read.
    """
    try:
        from mne_bids import get_bids_path_from_fname, read_raw_bids
    except ModuleNotFoundError as error:
        raise MajorantError(
            "reading BIDS needs MNE-BIDS, which is not installed: pip install 'majorant[bids]'"
        ) from error
    account = Account(say)
    with listening(account, "reading"):
        try:
            raw = read_raw_bids(get_bids_path_from_fname(item.file, verbose="error"))
        except UNREADABLE as error:
            reason = " ".join(str(error).split()).rstrip(".").replace(f"{item.root}/", "")[:300]
            raise MajorantError(
                f"{item.file.name} cannot be read ({reason or type(error).__name__}); check it "
                "and its sidecar files with the BIDS validator"
            ) from error
    return from_raw(item.file, raw, account)
