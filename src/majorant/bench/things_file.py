"""One session of THINGS-EEG2 as its raw files hold it: 63 electrodes and a stimulus channel.

A file ``raw_eeg_test.npy`` (or ``raw_eeg_training.npy``) is a pickled dictionary in NumPy's format:
``raw_eeg_data`` (64, n_samples) in volts, ``ch_names``, ``ch_types``, ``sfreq`` (1000 Hz). The
stimulus channel holds the number of the image at the sample of its onset, 99999 for a target, and 0
elsewhere.

A pickle can run any code, so none is unpickled: :mod:`majorant.bench.things_pickle` reads arrays,
numbers, strings, lists and dictionaries by hand, and refuses everything else.

Source: Gifford et al. (2022), doi:10.1016/j.neuroimage.2022.119754, for the data set.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.bench.things_pickle import read_pickled
from majorant.files.write import replacing
from majorant.problem import DamagedFile, MajorantError

__all__ = ["TARGET", "ThingsSession", "find_sessions", "read_session", "write_session"]

TARGET = 99999
"""Code of the images that the participant had to react to."""

N_ELECTRODES = 63
PARTS = ("test", "training")
FASTEST = 1e5
"""Hz."""
LARGEST_CODE = 10**6
LARGEST = 4 * 2**30
"""Bytes; the longest session of the data set has half of it."""


@dataclass(frozen=True, eq=False)
class ThingsSession:
    """What one file holds.

    Attributes
    ----------
    data : array, shape (63, n_samples)
        V.
    stim : array, shape (n_samples,), int64
        Number of the image at its onset, 0 elsewhere.
    ch_names : tuple of str
    sfreq : float
        Hz.
    """

    data: NDArray[np.floating[Any]]
    stim: NDArray[np.int64]
    ch_names: tuple[str, ...]
    sfreq: float = 1000.0


def find_sessions(folder: str | os.PathLike[str], part: str = "test") -> list[Path]:
    """Find the raw files of one participant, in the order of the sessions.

    Parameters
    ----------
    folder : path
        Of a session, of a participant (``ses-01``, ...), or of the data set if it holds one
        participant.
    part : {"test", "training"}

    Raises
    ------
    MajorantError
        If there is no such folder, it holds other files, or several participants.
    """
    folder = Path(folder).expanduser()
    if part not in PARTS:
        raise MajorantError(f"there is no part {part!r}; choose {' or '.join(PARTS)}")
    if not folder.is_dir():
        raise MajorantError(f"there is no folder {folder}; give one with raw_eeg_{part}.npy in it")
    name = f"raw_eeg_{part}.npy"
    found = [path for deep in ("", "ses-*/", "sub-*/ses-*/") for path in folder.glob(deep + name)]
    if not found:
        raise MajorantError(_other_files(folder, name))
    people = sorted({path.parent.parent.name for path in found if path.parent.parent != folder})
    if len(people) > 1 and found[0].parent.parent.parent == folder:
        raise MajorantError(
            f"{folder} holds {len(people)} participants; give one, such as {folder / people[0]}"
        )
    return sorted(found)


def _other_files(folder: Path, name: str) -> str:
    """Say what is there in place of the raw files."""
    if any(folder.glob("**/preprocessed_eeg_*.npy")):
        return (
            f"{folder} holds the preprocessed release, whose 17 whitened channels cannot be "
            f"imaged; take the raw data of THINGS-EEG2 ({name})"
        )
    there = sorted(path.name for path in folder.iterdir())[:4]
    return (
        f"{folder} holds no {name}, only {', '.join(there) or 'nothing'}; give the folder of a "
        "session or a participant of the raw THINGS-EEG2 data"
    )


def read_session(path: str | os.PathLike[str]) -> ThingsSession:
    """Read and check one raw file.

    Parameters
    ----------
    path : path

    Raises
    ------
    DamagedFile
        If it is cut off, or asks for more than arrays and plain values.
    MajorantError
        If it holds something else than 63 electrodes in volts and a stimulus channel.
    """
    path = Path(path)
    held = _unpickled(path)
    missing = [k for k in ("raw_eeg_data", "ch_names", "ch_types", "sfreq") if k not in held]
    if missing:
        kind = "the preprocessed release" if "preprocessed_eeg_data" in held else "another file"
        raise MajorantError(
            f"{path.name} has no {', '.join(missing)} ({kind}?); expected a raw file of THINGS-EEG2"
        )
    data, names, types, sfreq = (
        held[name] for name in ("raw_eeg_data", "ch_names", "ch_types", "sfreq")
    )
    names, types = ([*map(str, part)] if np.iterable(part) else [] for part in (names, types))
    if not isinstance(sfreq, int | float | np.number) or not 1 <= float(sfreq) <= FASTEST:
        raise MajorantError(f"{path.name} has a sampling rate of {sfreq!r}; expected some 1000 Hz")
    if not (isinstance(data, np.ndarray) and data.ndim == 2 and data.dtype.kind == "f"):
        raise MajorantError(
            f"raw_eeg_data of {path.name} is no array (channels, samples) of floats"
        )
    if not len(names) == len(types) == len(data):
        raise MajorantError(
            f"{path.name} has {len(data)} rows, {len(names)} names and {len(types)} types; "
            "expected as many of each"
        )
    eeg = [i for i, kind in enumerate(types) if kind == "eeg"]
    stim = [i for i, kind in enumerate(types) if kind == "stim"]
    if len(eeg) != N_ELECTRODES or len(stim) != 1:
        raise MajorantError(
            f"{path.name} has {len(eeg)} electrodes and {len(stim)} stimulus channels; the raw "
            f"files of THINGS-EEG2 have {N_ELECTRODES} and 1"
        )
    session = ThingsSession(
        data[eeg],
        _codes(data[stim[0]], path.name),
        tuple(str(names[i]) for i in eeg),
        float(sfreq),
    )
    _check(session, path.name)
    return session


def _codes(stim: NDArray[np.floating[Any]], name: str) -> NDArray[np.int64]:
    """Numbers of images, as whole numbers."""
    if not (np.isfinite(stim).all() and (np.abs(stim) <= LARGEST_CODE).all()):
        raise MajorantError(
            f"the stimulus channel of {name} holds what is no number of an image; download it again"
        )
    return np.rint(stim).astype(np.int64)


def _check(session: ThingsSession, name: str) -> None:
    """Refuse values that are not finite, not volts, or without an event."""
    if not np.isfinite(session.data).all():
        raise MajorantError(f"{name} holds values that are NaN or infinite; download it again")
    size = float(np.median(session.data.std(axis=1)))
    if not 1e-7 < size < 1e-2:
        raise MajorantError(
            f"the electrodes of {name} have a standard deviation of {size:.3g}; expected volts, "
            "some 1e-5: multiply the data by the factor to volts"
        )
    if not (session.stim > 0).any():
        raise MajorantError(f"the stimulus channel of {name} is empty, so there are no trials")


def write_session(path: str | os.PathLike[str], session: ThingsSession) -> Path:
    """Write a session in the layout of the data set, atomically."""
    path = Path(path)
    types = ["eeg"] * len(session.ch_names) + ["stim"]
    held = {
        "raw_eeg_data": np.concatenate([session.data, session.stim[None]]).astype(np.float64),
        "ch_names": [*session.ch_names, "stim"],
        "ch_types": types,
        "sfreq": int(session.sfreq),
        "highpass": 0.01,
        "lowpass": 100,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        np.save(part, np.array(held, dtype=object), allow_pickle=True)
    return path


def _unpickled(path: Path) -> dict[str, Any]:
    """What the file holds; never unpickled, see :mod:`majorant.bench.things_pickle`."""
    if not path.is_file():
        raise MajorantError(f"there is no file {path}; check the path")
    if path.stat().st_size > LARGEST:
        raise MajorantError(f"{path.name} has more than {LARGEST >> 30} GiB; no raw session has")
    try:
        with path.open("rb") as stream:
            content = read_pickled(stream)
    except (ValueError, EOFError, RecursionError) as error:
        raise DamagedFile(f"{path.name} cannot be read: {error}; download it again") from error
    if not isinstance(content, dict):
        raise MajorantError(f"{path.name} holds no dictionary; expected a raw file of THINGS-EEG2")
    return content
