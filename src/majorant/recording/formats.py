"""Formats other than FIF: which reader of MNE opens a file, and what it needs that is not here.

`mne.io.read_raw` knows most of them by their suffix. A few it lists and cannot open by itself
(FieldTrip and Nicolet want to be told more), some hold no brain at all, some are read by packages
that MNE does not bring, and some are one part of a recording whose header lies beside it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from scipy.io import whosmat

from majorant.errors import MajorantError
from majorant.recording.names import matches, standard_names

__all__ = ["Kind", "read_other"]

Kind = Literal["raw", "epochs", "evoked"]
"""What a file holds."""

HEADERS = {
    ".eeg": (".vhdr", "BrainVision"),
    ".vmrk": (".vhdr", "BrainVision"),
    ".avg": (".vhdr", "BrainVision"),
    ".fdt": (".set", "EEGLAB"),
    ".dat": (".vhdr", "BrainVision"),
    ".ceo": (".cdt", "Curry"),
    ".rs3": (".dap", "Curry"),
}
"""Files that are one part of a recording, and the suffix of the part to open."""

MISSING = re.compile(r"\bmodule (\w+) is needed|\bmodule named '?(\w+)")
"""How MNE and Python say that a package is not installed."""

ANT = (b"RIFF", b"RF64")
"""How a .cnt file of ANT Neuro begins; others of that suffix are Neuroscan's."""

NO_BRAIN = {".asc": "eye tracking", ".snirf": "near-infrared light", ".nirs": "near-infrared light"}
"""What files hold instead of EEG."""


def read_other(path: Path, unreadable: tuple[type[Exception], ...]) -> tuple[Kind, Any]:
    """Open a file that is not FIF.

    Parameters
    ----------
    path : Path
    unreadable : tuple of type
        What readers raise on files that are not what their names say.

    Returns
    -------
    kind : {"raw", "epochs", "evoked"}
    data : mne.io.BaseRaw, mne.BaseEpochs or tuple of mne.Evoked

    Raises
    ------
    MajorantError
        One sentence: what is wrong, or which package is missing.
    """
    suffix = path.suffix.lower()
    if suffix in NO_BRAIN:
        raise MajorantError(
            f"{path} holds {NO_BRAIN[suffix]} and no EEG; give the recording of the EEG"
        )
    if suffix == ".cnt" and path.is_file() and _starts(path, ANT) and find_spec("antio") is None:
        raise _needs(path, "antio")
    first: Exception | None = None
    for kind, data in _readings(path, suffix, unreadable):
        if not isinstance(data, Exception):
            return kind, data
        first = first or data
    assert first is not None
    raise _sentence(path, first) from first


def _readings(
    path: Path, suffix: str, unreadable: tuple[type[Exception], ...]
) -> Iterator[tuple[Kind, Any]]:
    """What each reader in turn makes of a file: data, or what it raised."""
    import mne

    tried: list[tuple[Kind, Any]] = [("raw", lambda: mne.io.read_raw(path, preload=False))]
    if suffix == ".set":
        tried.append(("epochs", lambda: mne.read_epochs_eeglab(path)))
    elif suffix == ".mat":
        tried = [
            ("raw", lambda: _typed(mne.io.read_raw_fieldtrip(path, None, _variable(path)))),
            ("epochs", lambda: _typed(mne.read_epochs_fieldtrip(path, None, _variable(path)))),
        ]
    elif suffix == ".data":
        tried = [("raw", lambda: mne.io.read_raw_nicolet(path, ch_type="eeg"))]
    elif suffix == ".mff":
        tried.append(("evoked", lambda: _all(mne.read_evokeds_mff(path))))
    elif suffix in (".avr", ".mul"):
        tried = [("evoked", lambda: (_named(_typed(mne.read_evoked_besa(path)), path),))]
    for kind, read in tried:
        try:
            yield kind, read()
        except unreadable as error:
            yield kind, error


def _variable(path: Path) -> str:
    """The structure that a file of MATLAB holds; FieldTrip's readers want its name."""
    try:
        found = [name for name, _, kind in whosmat(path) if kind == "struct"]
    except (NotImplementedError, ValueError):
        # Version 7.3 is HDF5, which tells no names here.
        return "data"
    return found[0] if len(found) == 1 else "data"


def _all(found: Any) -> tuple[Any, ...]:
    """One average or several as several."""
    return tuple(found) if isinstance(found, list) else (found,)


def _named(evoked: Any, path: Path) -> Any:
    """An average has the name of its file where it has none."""
    evoked.comment = evoked.comment or path.stem
    return evoked


def _typed(inst: Any) -> Any:
    """Take channels of unknown type for electrodes where their names are those of electrodes."""
    unknown = [
        name
        for name, kind in zip(inst.ch_names, inst.get_channel_types(), strict=True)
        if kind == "misc"
    ]
    electrodes = dict.fromkeys(matches(unknown, standard_names()), "eeg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return inst.set_channel_types(electrodes, verbose="error")


def _starts(path: Path, beginnings: tuple[bytes, ...]) -> bool:
    with path.open("rb") as stream:
        return stream.read(max(map(len, beginnings))).startswith(beginnings)


def _needs(path: Path, package: str) -> MajorantError:
    return MajorantError(
        f"{path.name} is read with the package {package}, which is not installed; install it with "
        f"pip install {package}, or all of them with pip install 'majorant[formats]'"
    )


def _sentence(path: Path, error: Exception) -> MajorantError:
    """What is wrong with a file that no reader opens."""
    reason = " ".join(str(error).split()).rstrip(".") or "its reader finds it damaged"
    missing = MISSING.search(reason)
    if missing is not None:
        return _needs(path, missing[1] or missing[2])
    part = _of_part(path)
    if part is not None:
        return part
    if isinstance(error, UnicodeDecodeError):
        reason = "it holds no text where its format has text"
    if "Got extension" in reason or "Unsupported file type" in reason:
        if path.is_dir():
            return MajorantError(
                f"{path} is a folder and no recording; name the file in it, or image a BIDS "
                "data set with --bids"
            )
        reason = f"no reader knows its suffix ({path.suffix or 'none'})"
    if "possible readers" in reason:
        reason = f"it is damaged, or no recording ({path.suffix} is the suffix of several formats)"
    return MajorantError(
        f"{path} cannot be read as a recording: {reason[:300]}; give a file in a format that "
        "MNE reads (.fif, .edf, .bdf, .vhdr, .set, .cnt, .mff, ...)"
    )


def _of_part(path: Path) -> MajorantError | None:
    """Say so where a file is but a part of a recording, and another is its header."""
    suffix, kind = HEADERS.get(path.suffix.lower(), (None, None))
    if suffix is None:
        return None
    beside = path.with_suffix(suffix)
    if beside.is_file():
        return MajorantError(
            f"{path} is only one part of a {kind} recording; give {beside.name}, which lies beside "
            "it and names the others"
        )
    if suffix in (".vhdr", ".set") and path.suffix.lower() != ".dat":
        return MajorantError(
            f"{path} holds one part of a {kind} recording and no header; give the {suffix} file "
            "that belongs to it, in the same folder"
        )
    return None
