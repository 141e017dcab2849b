"""How far a run over hours has come, kept so that the next one goes on when it is killed.

Beside the store that grows lies a folder of steps. A step says how many samples the store holds,
and what changed since the step before it of all else that becomes the result: the instants that
the page shows, and the certificate so far. A step is written once the store holds its samples,
whole or not at all, so the last one is always true. All steps carry one key, a hash of everything
that the estimate depends on; a run whose key is another begins anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray

from majorant import __version__
from majorant.files.archive import content_hash
from majorant.imager.imager import SourceImager
from majorant.imager.streams import Reader
from majorant.imager.tally import Tally
from majorant.imaging.instants import Instants
from majorant.recording.file import Recording
from majorant.recording.settings import Preparation

__all__ = ["EVERY", "Steps", "key_of"]

EVERY = 10.0
"""Seconds of work between two steps."""


class Steps:
    """The steps of a run.

    Parameters
    ----------
    store : Path
        That grows; the steps lie beside it.
    key : str
        What the estimate depends on; see :func:`key_of`.
    """

    def __init__(self, store: Path, key: str) -> None:
        self._store = store
        self._folder = store.with_name(f"{store.name}.steps")
        self._key, self._number = key, 0
        self._last = time.monotonic()

    def restore(self, shown: Instants, tally: Tally) -> int:
        """Take up what an earlier run left; returns how many samples are done.

        What it left of another key, or damaged, is removed.
        """
        try:
            steps = [self._read(path) for path in sorted(self._folder.glob("*.npz"))]
            for _, changes in steps:
                shown.restore(changes)
            if steps and (self._store / "zarr.json").is_file():
                about = steps[-1][0]
                tally.restore(about["tally"])
                self._number = len(steps)
                return int(about["done"])
        except (OSError, ValueError, KeyError, TypeError, OverflowError, IndexError, BadZipFile):
            pass
        shown.clear()
        for folder in (self._store, self._folder):
            if folder.is_dir():
                shutil.rmtree(folder)
        return 0

    def _read(self, path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
            about = json.loads(str(held["about"]))
            if about["key"] != self._key:
                raise ValueError("of another run")
            return about, {name: held[name] for name in held.files if name != "about"}

    @property
    def due(self) -> bool:
        """Whether the last step was long ago."""
        return time.monotonic() - self._last >= EVERY

    def keep(self, done: int, shown: Instants, tally: Tally) -> None:
        """Write a step; the store must hold the samples.

        Parameters
        ----------
        done : int
            Samples in the store.
        shown : Instants
        tally : Tally
        """
        self._folder.mkdir(exist_ok=True)
        about = json.dumps({"key": self._key, "done": done, "tally": tally.record()})
        part = self._folder / "step.part"
        with part.open("wb") as stream:
            held: dict[str, Any] = {"about": np.array(about), **shown.changes()}
            np.savez(stream, **held)
        os.replace(part, self._folder / f"{self._number:08d}.npz")
        self._number += 1
        self._last = time.monotonic()


def key_of(
    recording: Recording, preparation: Preparation, imager: SourceImager, reader: Reader
) -> str:
    """Hash of all that the estimate of a recording depends on.

    Parameters
    ----------
    recording : Recording
    preparation : Preparation
    imager : SourceImager
        Fitted.
    reader : Reader
    """
    inverse, fir = imager.inverse, reader.conditioning.fir
    arrays = [
        inverse.whitener,
        inverse.model.prior,
        inverse.model.axes,
        reader.bad,
        np.zeros(0) if fir is None else fir,
        np.zeros(0) if inverse.data_moment is None else inverse.data_moment.numpy(),
    ]
    settings = asdict(imager.settings)
    return content_hash(
        {
            "versions": [__version__, torch.__version__],
            "recording": recording.sha256(),
            "preparation": _plain(preparation.to_dict()),
            "settings": _plain(settings),
            "files": [_file_hash(value) for value in settings["options"].values()],
            "leadfield": imager.leadfield_.fingerprint(),
            "arrays": [_hash(array) for array in arrays],
            "channels": list(inverse.ch_names),
            "window": [reader.first, reader.last, reader.sfreq],
        }
    )


def _plain(value: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(value, default=str))


def _hash(array: Any) -> str:
    plain = np.ascontiguousarray(array)
    return hashlib.sha256(f"{plain.dtype}{plain.shape}".encode() + plain.tobytes()).hexdigest()


def _file_hash(value: Any) -> str:
    """Of an option that names a file (weights), what the file holds."""
    try:
        path = Path(value) if isinstance(value, str | os.PathLike) else None
        return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return ""
