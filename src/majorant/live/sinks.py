"""Where time courses go: a table that grows line by line, or a zarr store that grows by seconds.

A recording that runs is written as it comes, so that a power cut costs its last moment and no
more. A file that is there already is replaced only when told to, and stays until the run ends: the
new one grows beside it, visibly (``run.unfinished.zarr``), and takes its place then.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from majorant.errors import MajorantError
from majorant.extras import needed
from majorant.files.output import is_store
from majorant.files.write import take_place
from majorant.words import calm

__all__ = ["Many", "Store", "Table", "open_file"]

HELD = 512
"""Samples that are written to a store at once."""
KIND = "majorant-live"


class Table:
    """A CSV file: a line a sample, the time first.

    Parameters
    ----------
    path : Path
    regions : tuple of str
    """

    def __init__(self, path: Path, regions: tuple[str, ...]) -> None:
        self._file: TextIO = path.open("w", encoding="utf-8", newline="\n")
        quoted = [f'"{calm(name)}"'.replace('""', '"') for name in regions]
        self._file.write(",".join(["time", *quoted]) + "\n")
        self._file.flush()

    def write(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Append lines, whole ones."""
        lines = [
            f"{time:.6f}," + ",".join(f"{value:.6g}" for value in column) + "\n"
            for time, column in zip(times, values.T, strict=True)
        ]
        self._file.write("".join(lines))
        self._file.flush()

    def close(self) -> None:
        """Finish."""
        self._file.close()


class Store:
    """A zarr group: ``time`` (n,), and ``estimate`` (n_regions, n) in single precision.

    Parameters
    ----------
    path : Path
    regions : tuple of str
    unit : str
    """

    def __init__(self, path: Path, regions: tuple[str, ...], unit: str) -> None:
        zarr = needed("zarr")
        group: Any = zarr.open_group(path, mode="w")
        group.attrs.update(kind=KIND, regions=list(regions), unit=unit, complete=False)
        n = len(regions)
        self._group = group
        self._time = group.create_array("time", shape=(0,), chunks=(HELD,), dtype="float64")
        self._values = group.create_array(
            "estimate", shape=(n, 0), chunks=(n, HELD), dtype="float32"
        )
        self._held: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []

    def write(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Append samples, once there are enough of them."""
        self._held.append((times, values))
        if sum(len(part) for part, _ in self._held) >= HELD:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        times = np.concatenate([part for part, _ in self._held])
        values = np.concatenate([part for _, part in self._held], axis=1)
        n = self._time.shape[0]
        self._time.resize((n + len(times),))
        self._values.resize((len(values), n + len(times)))
        self._time[n:] = times
        self._values[:, n:] = values.astype(np.float32)
        self._held = []

    def close(self) -> None:
        """Write what is held, and mark the store as whole."""
        self._flush()
        self._group.attrs.update(complete=True)


class Successor:
    """A sink that grows beside what is there, and takes its place when it is closed.

    Where nothing was written, what is there stays.

    Parameters
    ----------
    path : Path
        What is to be replaced.
    make : callable
        Opens a sink at a path.
    """

    def __init__(self, path: Path, make: Callable[[Path], Any]) -> None:
        self._path, self._grown = path, unfinished(path)
        self._sink, self._empty = make(self._grown), True

    def write(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Hand on."""
        self._empty = False
        self._sink.write(times, values)

    def close(self) -> None:
        """Finish, and take the place."""
        self._sink.close()
        if not self._empty:
            take_place(self._grown, self._path)
        elif self._grown.is_dir():
            shutil.rmtree(self._grown)
        else:
            self._grown.unlink()


class Many:
    """Hands samples on to several places."""

    def __init__(self, *sinks: Any) -> None:
        self._sinks = sinks

    def write(self, times: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        """Hand on."""
        for sink in self._sinks:
            sink.write(times, values)

    def close(self) -> None:
        """Finish all of them."""
        for sink in self._sinks:
            sink.close()


def open_file(path: Path, regions: tuple[str, ...], unit: str, *, overwrite: bool) -> Any:
    """Open what the file's suffix says.

    Raises
    ------
    MajorantError
        If the suffix is another, or the file cannot be written or replaced.
    """
    path = check_file(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)

        def make(at: Path) -> Any:
            return Table(at, regions) if at.suffix == ".csv" else Store(at, regions, unit)

        # A link stays a link.
        return Successor(path.resolve(), make) if path.exists() else make(path)
    except OSError as error:
        raise MajorantError(
            f"{path} cannot be written ({error.strerror or error}); choose another"
        ) from error


def unfinished(path: Path) -> Path:
    """Where what replaces a file grows."""
    return path.with_name(f"{path.stem}.unfinished{path.suffix}")


def check_file(path: Path, *, overwrite: bool) -> Path:
    """Return where a file is to be, before there is anything to write.

    Raises
    ------
    MajorantError
        If its suffix is not known, something is there that is not to be replaced, or an earlier
        run that was to replace it did not end.
    """
    path = path.expanduser().absolute()
    if path.suffix not in (".csv", ".zarr"):
        raise MajorantError(
            f"{path.name} is neither .csv nor .zarr; name the file by what it is to be"
        )
    if path.exists() and not overwrite:
        raise MajorantError(f"{path} is there already; choose another, or give --overwrite")
    if path.is_dir() != (path.suffix == ".zarr") and path.exists():
        raise MajorantError(f"{path} is something else and is not replaced; choose another")
    if path.is_dir() and not is_store(path):
        raise MajorantError(f"{path} is no store of Majorant and is not replaced; choose another")
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise MajorantError(f"{path} is no file and is not replaced; choose another")
    if path.exists() and unfinished(path).exists():
        raise MajorantError(
            f"{unfinished(path)} is there, from a run that did not end; move it away, or remove it"
        )
    return path
