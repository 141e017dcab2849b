"""Reading a recording: any file that MNE opens as continuous data, epochs or averages."""

from __future__ import annotations

import configparser
import gzip
import hashlib
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io.matlab import MatReadError

from majorant.account import Account, listening
from majorant.errors import MajorantError
from majorant.recording.events import annotation_events, trigger_events
from majorant.recording.formats import Kind, read_other
from majorant.words import written

__all__ = ["ChoiceNeeded", "Recording", "from_raw", "load_recording"]


UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    RuntimeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    ImportError,
    SyntaxError,
    configparser.Error,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    MatReadError,
)
"""What readers raise on files that are not what their names say."""


class ChoiceNeeded(MajorantError):
    """A recording holds several conditions or events, and none was chosen.

    Attributes
    ----------
    what : str
        ``"event"`` or ``"condition"``.
    options : mapping
        Names, and how often each occurs (events) or how many trials it averages (conditions).
    """

    def __init__(self, sentence: str, what: str, options: Mapping[str, int]) -> None:
        super().__init__(sentence)
        self.what = what
        self.options = dict(options)


@dataclass(frozen=True, eq=False)
class Recording:
    """A recording as MNE read it.

    Attributes
    ----------
    path : Path
    kind : {"raw", "epochs", "evoked"}
    data : mne.io.BaseRaw, mne.BaseEpochs, or tuple of mne.Evoked
    events : mapping
        Event names and their samples (continuous data), empty otherwise.
    notes : tuple of str
        What was found and what MNE warned of while reading.
    """

    path: Path
    kind: Kind
    data: Any
    events: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def info(self) -> Any:
        """The `mne.Info` of the recording."""
        return self.data[0].info if self.kind == "evoked" else self.data.info

    @property
    def options(self) -> dict[str, int]:
        """Events or conditions to choose from, with their counts."""
        if self.kind == "raw":
            return {name: len(samples) for name, samples in self.events.items()}
        if self.kind == "epochs":
            codes = self.data.events[:, 2]
            return {name: int((codes == code).sum()) for name, code in self.data.event_id.items()}
        return {evoked.comment: int(evoked.nave) for evoked in self.data}

    @property
    def codes(self) -> dict[str, int | None]:
        """The code of every event of epochs, None where an event or a condition has none."""
        own = self.data.event_id if self.kind == "epochs" else {}
        return {name: own.get(name) for name in self.options}

    def sha256(self) -> str:
        """Hash of every file that the recording was read from; of the data, where there is none."""
        files = [self.path] if self.path.is_file() else []
        if self.kind == "raw":
            extra = {Path(name) for name in self.data.filenames if name is not None}
            files += sorted(extra - set(files))
        total = hashlib.sha256()
        if not files and self.kind == "evoked":
            for evoked in self.data:
                total.update(np.ascontiguousarray(evoked.data).tobytes())
        for file in files:
            with open(file, "rb") as stream:
                while block := stream.read(1 << 20):
                    total.update(block)
        return total.hexdigest()


def load_recording(
    path: str | os.PathLike[str], say: Callable[[str], None] | None = None
) -> Recording:
    """Read a recording.

    Parameters
    ----------
    path : path
        Any file (or folder, for formats that are one) that `mne.io.read_raw`, `mne.read_epochs`
        or `mne.read_evokeds` opens. Files in FIF format are told apart by what they hold.
    say : callable, optional
        Called with one sentence on what was found.

    Returns
    -------
    Recording

    Raises
    ------
    MajorantError
        If there is no such file, or no reader can open it.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise MajorantError(f"there is no file {path}; check the path")
    if not (path.is_file() or path.is_dir()):
        raise MajorantError(f"{path} is a pipe or a device and no file; give a file")
    account = Account(say) if say else Account()
    with listening(account, "reading"):
        kind, data = _read_fif(path) if _is_fif(path) else read_other(path, UNREADABLE)
        events = _read_events(path, data) if kind == "raw" else {}
    notes = list(account.decisions)
    account.note(_describe(path, kind, data))
    return Recording(path, kind, data, events, (account.decisions[-1], *notes))


def from_raw(path: Path, raw: Any, account: Account) -> Recording:
    """Take continuous data that another reader has opened, with their events.

    Parameters
    ----------
    path : Path
        Their file.
    raw : mne.io.BaseRaw
    account : Account
        What was found so far; what they are is added.

    Raises
    ------
    MajorantError
        If the events cannot be read.
    """
    with listening(account, "reading"):
        events = _read_events(path, raw)
    notes = list(account.decisions)
    account.note(_describe(path, "raw", raw))
    return Recording(path, "raw", raw, events, (account.decisions[-1], *notes))


def _is_fif(path: Path) -> bool:
    return path.name.lower().endswith((".fif", ".fif.gz"))


def _read_raw(path: Path) -> Any:
    import mne

    return mne.io.read_raw(path, preload=False)


def _read_averages(path: Path) -> Any:
    import mne

    if path.name.endswith(".gz"):
        # MNE goes to and fro in a file, and every step back decompresses it from its beginning.
        with tempfile.TemporaryDirectory(prefix="majorant-") as folder:
            plain = Path(folder) / path.stem
            with gzip.open(path) as packed, plain.open("wb") as file:
                shutil.copyfileobj(packed, file)
            found: Any = mne.read_evokeds(plain)
    else:
        found = mne.read_evokeds(path)
    averages = [evoked for evoked in found if evoked.kind == "average"]
    taken: dict[str, int] = {}
    for evoked in averages:
        name = evoked.comment or "unnamed"
        taken[name] = taken.get(name, 0) + 1
        evoked.comment = name if taken[name] == 1 else f"{name} #{taken[name]}"
    return tuple(averages)


def _read_fif(path: Path) -> tuple[Kind, Any]:
    """Try what the name suggests first; the content decides."""
    import mne

    readers: dict[Kind, Callable[[Path], Any]] = {
        "raw": _read_raw,
        "epochs": lambda p: mne.read_epochs(p, preload=True),
        "evoked": _read_averages,
    }
    stem = path.name.lower()
    first: Kind = "evoked" if "ave" in stem else "epochs" if "epo" in stem else "raw"
    for kind in sorted(readers, key=lambda name: name != first):
        try:
            data = readers[kind](path)
        except UNREADABLE:
            continue
        if kind == "evoked" and not data:
            raise MajorantError(
                f"{path} holds standard errors and no averages, and a standard error has no "
                "source; give the file with the averages"
            )
        return kind, data
    held = "unknown" if path.is_dir() else mne.what(path)
    # A file that is cut off may still hold what comes before the data, fiducials and projectors.
    found = "" if held == "unknown" else f", only {held}"
    raise MajorantError(
        f"{path} cannot be read: MNE finds no recording in it{found}; it may be damaged or cut "
        "off, or not be the file with the EEG"
    )


def _read_events(path: Path, raw: Any) -> dict[str, NDArray[np.int64]]:
    try:
        return _events(raw)
    except UNREADABLE as error:
        raise MajorantError(
            f"{path} is damaged: its events cannot be read to the end; copy the file again"
        ) from error


def _events(raw: Any) -> dict[str, NDArray[np.int64]]:
    """Samples of every event, from the annotations and from stimulus channels."""
    found = annotation_events(raw)
    for code, samples in trigger_events(raw).items():
        found.setdefault(code, samples)
    return found


def _describe(path: Path, kind: Kind, data: Any) -> str:
    if kind == "raw":
        seconds = data.times[-1] if len(data.times) else 0.0
        what, inst = f"continuous recording of {seconds:.1f} s", data
    elif kind == "epochs":
        what, inst = f"{len(data)} epochs, {written(data.tmin)} to {written(data.tmax)} s", data
    else:
        first = data[0]
        span = f"{written(first.times[0])} to {written(first.times[-1])} s"
        what = f"{len(data)} average{'s' if len(data) > 1 else ''}, {span}"
        inst = first
    n_eeg = inst.get_channel_types().count("eeg")
    return (
        f"Read {path.name}: {what}, {n_eeg} EEG of {len(inst.ch_names)} channels, "
        f"{inst.info['sfreq']:.6g} Hz."
    )
