"""One session of THINGS-EEG2 as its raw files hold it: 63 electrodes and a stimulus channel.

A file ``raw_eeg_test.npy`` (or ``raw_eeg_training.npy``) is a pickled dictionary in NumPy's format:
``raw_eeg_data`` (64, n_samples) in volts, ``ch_names``, ``ch_types``, ``sfreq`` (1000 Hz). The
stimulus channel holds the number of the image at the sample of its onset, 99999 for a target, and 0
elsewhere.

A pickle can run any code, so it is read by an unpickler that makes arrays, numbers, strings, lists
and dictionaries, and refuses everything else.

Source: Gifford et al. (2022), doi:10.1016/j.neuroimage.2022.119754, for the data set.
"""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.problem import DamagedFile, MajorantError

__all__ = ["TARGET", "Session", "find_sessions", "read_session", "write_session"]

TARGET = 99999
"""Code of the images that the participant had to react to."""

N_ELECTRODES = 63
PARTS = ("test", "training")
LARGEST = 4 * 2**30
"""Bytes; the longest session of the data set has half of it."""

HARMLESS = frozenset(
    {
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        *(
            (f"numpy.{core}.{module}", name)
            for core in ("core", "_core")
            for module, name in (
                ("multiarray", "_reconstruct"),
                ("multiarray", "scalar"),
                ("numeric", "_frombuffer"),
            )
        ),
    }
)
"""What a file may ask for beside plain Python values: the parts of an array."""


@dataclass(frozen=True, eq=False)
class Session:
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


def read_session(path: str | os.PathLike[str]) -> Session:
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
    data, names, types = held["raw_eeg_data"], list(held["ch_names"]), list(held["ch_types"])
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
    session = Session(
        data[eeg],
        np.rint(data[stim[0]]).astype(np.int64),
        tuple(str(names[i]) for i in eeg),
        float(held["sfreq"]),
    )
    _check(session, path.name)
    return session


def _check(session: Session, name: str) -> None:
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


def write_session(path: str | os.PathLike[str], session: Session) -> Path:
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
    beside = path.with_name(path.name + ".part.npy")
    np.save(beside, np.array(held, dtype=object), allow_pickle=True)
    beside.replace(path)
    return path


class _Harmless(pickle.Unpickler):
    """An unpickler that knows arrays and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what an array is made of; refuse the rest."""
        if (module, name) not in HARMLESS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def _unpickled(path: Path) -> dict[str, Any]:
    if path.stat().st_size > LARGEST:
        raise MajorantError(f"{path.name} has more than {LARGEST >> 30} GiB; no raw session has")
    try:
        with path.open("rb") as stream:
            shape, dtype = _header(stream)
            if shape != () or dtype != np.dtype(object):
                raise MajorantError(
                    f"{path.name} holds an array of {dtype} with shape {shape}; the raw files of "
                    "THINGS-EEG2 hold a dictionary"
                )
            held = _Harmless(stream).load()
    except MajorantError:
        raise
    except (pickle.UnpicklingError, EOFError, ValueError, AttributeError, IndexError) as error:
        raise DamagedFile(f"{path.name} cannot be read: {error}; download it again") from error
    content = held.item() if isinstance(held, np.ndarray) and held.shape == () else None
    if not isinstance(content, dict):
        raise MajorantError(f"{path.name} holds no dictionary; expected a raw file of THINGS-EEG2")
    return content


def _header(stream: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read the header of NumPy's format."""
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"its format is version {version}")
    shape, _, dtype = readers[version](stream)
    return shape, dtype
