"""Estimates of continuous data in a zarr store: written as they come, read a window at a time.

The store holds what `mne` needs to make an ordinary estimate of any window, in single precision:
values of locations (regions are not spread over their vertices), vertex numbers, unit, rate,
subject; and ``bad``, the stretches (first sample, last + 1) that the recording marks as bad. It is
written beside its target and moved into place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.extras import needed
from majorant.files.output import check_output, is_store
from majorant.files.write import beside, exchange, require_room
from majorant.head.spaces import SourceSpace
from majorant.imager.inverse import Call
from majorant.imager.streams import span_of
from majorant.problem import DamagedFile, MajorantError
from majorant.recording.events import bad_samples

__all__ = ["EstimateStore", "read_window", "write_stream"]

KIND, VERSION = "majorant-estimate", 1
CHUNK_BYTES = 4_000_000
"""Of one chunk of the store, about."""


class EstimateStore:
    """A zarr group that grows by stretches of an estimate.

    Parameters
    ----------
    folder : Path
        Must not exist.
    call : Call
        Of a fitted imager.
    n_times : int
    tmin : float
        s.
    sfreq : float
        Hz.
    done : int
        Samples that an earlier run has written; 0 begins anew.

    Raises
    ------
    MajorantError
        If the disk has no room for it.
    """

    def __init__(
        self, folder: Path, call: Call, n_times: int, tmin: float, sfreq: float, done: int = 0
    ) -> None:
        zarr = needed("zarr")
        space, lead = call.model.space, call.model.leadfield
        vector = call.pick_ori == "vector"
        shape = (lead.n_locations, *([3] if vector else []), n_times)
        width = int(np.prod(shape[:-1]))
        require_room(
            folder.parent,
            4 * width * (n_times - done),
            f"the estimate of {n_times - done} samples at {lead.n_locations} locations",
            "choose a shorter window, --space regions, or an output folder on another disk",
        )
        self._done, self._held = done, []
        self._group: Any = zarr.open_group(folder, mode="r+" if done else "w")
        if done:
            self._values = self._group["estimate"]
            self._block = self._values.chunks[-1]
            for part in folder.rglob("*.partial"):
                part.unlink()
            return
        self._values = self._group.create_array(
            "estimate",
            shape=shape,
            chunks=(*shape[:-1], max(1, min(n_times, CHUNK_BYTES // (4 * width)))),
            dtype="float32",
        )
        self._block = self._values.chunks[-1]
        for k, part in enumerate(space.vertices):
            self._keep(f"vertices.{k}", part)
        if space.index is not None:
            self._keep("index", space.index)
        self._keep("positions", lead.positions.numpy())
        self._group.attrs.update(
            kind=KIND,
            version=VERSION,
            space=space.kind,
            parts=len(space.vertices),
            subject=space.subject,
            solver=call.inverse.spec.name,
            tmin=float(tmin),
            sfreq=float(sfreq),
            complete=False,
        )

    def _keep(self, name: str, array: NDArray[Any]) -> None:
        made = self._group.create_array(name, shape=array.shape, dtype=array.dtype)
        made[...] = array

    def mark(self, bad: NDArray[np.bool_]) -> None:
        """Keep which samples (n_times,) are marked as bad, as stretches of samples."""
        edges = np.flatnonzero(np.diff(np.r_[False, bad, False]))
        self._group.attrs.update(bad=edges.reshape(-1, 2).tolist())

    def add(self, values: NDArray[np.float64]) -> None:
        """Append a stretch (n_locations, n) or (n_locations, 3, n)."""
        self._held.append(values.astype(np.float32))
        # Whole chunks only: a chunk that is written twice is compressed twice.
        if self._done % self._block + sum(part.shape[-1] for part in self._held) >= self._block:
            self._flush(whole=True)

    def flush(self) -> int:
        """Write all that is held; returns how many samples there are."""
        self._flush(whole=False)
        return self._done

    def _flush(self, whole: bool) -> None:
        held = np.concatenate(self._held, axis=-1) if self._held else None
        if held is None:
            return
        n = held.shape[-1]
        kept = (self._done + n) // self._block * self._block - self._done if whole else n
        self._values[..., self._done : self._done + kept] = held[..., :kept]
        self._done += kept
        self._held = [held[..., kept:]] if kept < n else []

    def close(self, unit: str) -> None:
        """Write what is held and mark the store as whole."""
        self._flush(whole=False)
        self._group.attrs.update(unit=unit, complete=self._done == self._values.shape[-1])


def write_stream(
    call: Call,
    raw: Any,
    pieces: Iterable[Any],
    path: Path,
    start: int | None,
    stop: int | None,
    *,
    unit: Callable[[], str],
    overwrite: bool,
) -> Path:
    """Write a stream of estimates, and their unit once it is known; see `SourceImager.write`.

    Raises
    ------
    MajorantError
        If the store is there already, or cannot be written; nothing is left half-written.
    """
    target = check_output(path, overwrite=overwrite, ours=is_store)
    first, last = span_of(raw, start, stop)
    sfreq = float(raw.info["sfreq"])
    with beside(target) as folder:
        store = EstimateStore(folder, call, last - first, first / sfreq, sfreq)
        store.mark(bad_samples(raw, first, last))
        for piece in pieces:
            store.add(_of_locations(call.model.space, piece.data))
        store.close(unit())
        exchange(folder, target)
    return target


def _of_locations(space: SourceSpace, data: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of regions from those of their vertices."""
    if space.index is None:
        return data
    _, first = np.unique(space.index, return_index=True)
    return data[first]


def read_window(path: str | Path, tmin: float | None = None, tmax: float | None = None) -> Any:
    """Read a window of a stored estimate.

    Parameters
    ----------
    path : path
        The store.
    tmin, tmax : float or None
        s; None is its beginning or end.

    Returns
    -------
    mne.SourceEstimate
        Or the class that fits the source space.

    Raises
    ------
    MajorantError
        If there is no such store, or the window holds no sample.
    DamagedFile
        If it holds something else, or was not finished.
    """
    zarr = needed("zarr")
    path = Path(path).expanduser()
    if not (path / "zarr.json").is_file():
        raise MajorantError(f"there is no stored estimate {path}; check the path")
    try:
        group: Any = zarr.open_group(path, mode="r")
        about = dict(group.attrs)
        if about.get("kind") != KIND or about.get("version") != VERSION:
            raise ValueError("it holds something else")
        if about["complete"] is not True:
            raise ValueError("it was not finished")
        values, sfreq = group["estimate"], float(about["sfreq"])
        vertices = tuple(group[f"vertices.{k}"][:] for k in range(int(about["parts"])))
        index = group["index"][:] if "index" in group else None
        space = SourceSpace(about["space"], vertices, about["subject"], index)
        a, b = _window(float(about["tmin"]), sfreq, values.shape[-1], tmin, tmax)
        data = np.asarray(values[..., a:b], np.float64)
        return space.dress(data, float(about["tmin"]) + a / sfreq, sfreq)
    except MajorantError:
        raise
    except (
        KeyError,
        ValueError,
        TypeError,
        OverflowError,
        IndexError,
        OSError,
        RuntimeError,
    ) as error:
        raise DamagedFile(f"{path} cannot be used: {error}; make it again") from error


def _window(
    first: float, sfreq: float, n_times: int, tmin: float | None, tmax: float | None
) -> tuple[int, int]:
    """Samples of a window of a store."""
    a = 0 if tmin is None else max(0, round((tmin - first) * sfreq))
    b = n_times if tmax is None else min(n_times, round((tmax - first) * sfreq) + 1)
    if not a < b:
        raise MajorantError(
            f"the window from {tmin} to {tmax} s holds no sample; the estimate goes from "
            f"{first:g} to {first + (n_times - 1) / sfreq:g} s"
        )
    return a, b
