"""Continuous data, read chunk by chunk and solved window by window, in bounded memory.

Solvers with a kernel treat every sample for itself: any cut gives the same estimate. Solvers whose
norms couple times (the cosine energy, the evidence) are given windows of one length that overlap by
half, and their estimates are cross-faded with Hann weights, so the estimate depends on where the
windows lie and on nothing else; :func:`majorant.solvers.windows.cut_starts` lays them out.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.imager.inverse import Inverse, Job
from majorant.imager.tally import Tally
from majorant.problem import MajorantError, Solution
from majorant.recording.events import find_marks
from majorant.recording.file import UNREADABLE
from majorant.recording.sensors import pick_rows
from majorant.solvers.windows import cut_starts, window_length

__all__ = ["Conditioning", "Piece", "Reader", "span_of", "span_of_seconds", "stream_columns"]

PIECE_BYTES = 8 * 2**20
"""Of an estimate that is held at once, about: what fits into a cache near the processor."""

GROUP_BYTES = 32 * 2**20
"""Of the windows that are solved together, one copy of them; solvers hold some more."""

READ = 8192
"""Samples read at a time where nothing is estimated."""


def span_of(raw: Any, start: int | None, stop: int | None) -> tuple[int, int]:
    """First sample and the one after the last of a window that was asked for in samples, as in MNE.

    Raises
    ------
    MajorantError
        If the window holds no sample of the recording, or one end is no whole number.
    """
    n_times = len(raw.times)
    first = 0 if start is None else _sample(start, "start")
    last = n_times if stop is None else min(n_times, _sample(stop, "stop"))
    if first < 0 or not first < last:
        raise MajorantError(
            f"the window from sample {first} to {'the end' if stop is None else stop} holds none; "
            f"the recording has {n_times} samples, and stop is the one after the last"
        )
    return first, last


def _sample(given: Any, name: str) -> int:
    """A number of a sample; a float might be meant in seconds."""
    if isinstance(given, bool) or not hasattr(given, "__index__"):
        raise MajorantError(
            f"{name} is {given!r}, and samples are counted in whole numbers, as in MNE; for "
            f"seconds give {name}=raw.time_as_index({given!r})[0]"
        )
    return operator.index(given)


def span_of_seconds(raw: Any, tmin: float | None, tmax: float | None) -> tuple[int, int]:
    """First sample and the one after the last of a window that was asked for in seconds.

    Raises
    ------
    MajorantError
        If the window holds no sample of the recording.
    """
    sfreq, n_times = float(raw.info["sfreq"]), len(raw.times)
    first = 0 if tmin is None else round(tmin * sfreq)
    last = n_times if tmax is None else min(n_times, round(tmax * sfreq) + 1)
    if first < 0 or not first < last:
        raise MajorantError(
            f"the window from {0 if tmin is None else tmin:g} to "
            f"{'the end' if tmax is None else f'{tmax:g}'} s holds no sample; the recording goes "
            f"from 0 to {n_times / sfreq:.3f} s"
        )
    return first, last


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What is done to continuous data as they are read.

    Attributes
    ----------
    scale : float
        Factor.
    fir : array or None, shape (2 * half + 1,)
        Impulse response of a zero-phase filter.
    zeros : tuple of str
        Electrodes that all others were recorded against: they are not in the file, and zero.
    """

    scale: float = 1.0
    fir: NDArray[np.float64] | None = None
    zeros: tuple[str, ...] = ()

    @property
    def half(self) -> int:
        """Samples that the filter looks ahead and back."""
        return 0 if self.fir is None else len(self.fir) // 2


class Reader:
    """Reads channels of a recording a chunk at a time.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    names : list of str
        Channels, in the order wanted.
    first, last : int
        Samples.
    conditioning : Conditioning, optional

    Raises
    ------
    MajorantError
        If channels are missing.
    """

    def __init__(
        self,
        raw: Any,
        names: list[str],
        first: int,
        last: int,
        conditioning: Conditioning | None = None,
    ) -> None:
        self.raw, self.first, self.last = raw, first, last
        self.conditioning = conditioning or Conditioning()
        self._there = np.array([name not in self.conditioning.zeros for name in names])
        there = [name for name, is_there in zip(names, self._there, strict=True) if is_there]
        self.rows = pick_rows(list(raw.ch_names), there)
        self.sfreq = float(raw.info["sfreq"])

    def __len__(self) -> int:
        return self.last - self.first

    @cached_property
    def _marked(self) -> NDArray[np.bool_]:
        """Samples of the whole recording in stretches marked as bad."""
        return find_marks(self.raw).bad

    @cached_property
    def bad(self) -> NDArray[np.bool_]:
        """Which samples of the window are marked as bad."""
        return self._marked[self.first : self.last]

    def read(self, a: int, b: int) -> NDArray[np.float64]:
        """Samples ``a`` to ``b`` of the window, shape (n_channels, b - a), V or T.

        Raises
        ------
        MajorantError
            If the file ends too early.
        """
        data = self._read(a, b)
        if self._there.all():
            return data
        whole = np.zeros((len(self._there), data.shape[1]))
        whole[self._there] = data
        return whole

    def _read(self, a: int, b: int) -> NDArray[np.float64]:
        """The channels that are in the file."""
        own = self.conditioning
        start, stop = self.first + a - own.half, self.first + b + own.half
        low, high = max(0, start), min(len(self.raw.times), stop)
        try:
            data, _ = self.raw[self.rows, low:high]
        except UNREADABLE as error:
            raise MajorantError(
                f"the recording cannot be read from {a / self.sfreq:.1f} s on; its file is damaged "
                "or cut off, copy it again"
            ) from error
        lost = ~np.isfinite(data) & self._marked[low:high]
        if lost.any():
            # Nobody looks at stretches marked as bad; a filter must not carry them elsewhere.
            data[lost] = 0.0
        data = data * own.scale if own.scale != 1 else data
        if own.fir is None:
            return data
        # It takes a second to import, which an average need not wait for.
        from scipy.signal import oaconvolve

        # Beyond its ends a recording is continued by turning it about its last sample, as in MNE.
        data = np.pad(
            data, ((0, 0), (low - start, stop - high)), mode="reflect", reflect_type="odd"
        )
        return oaconvolve(data, own.fir[None], mode="valid", axes=1)

    @staticmethod
    def piece(n_columns: int) -> int:
        """Samples whose estimate is held at once."""
        return max(64, PIECE_BYTES // (8 * n_columns))

    def white(self, inverse: Inverse, chunk: int, begin: int = 0) -> Iterator[tuple[int, Tensor]]:
        """Whitened chunks (rank, n) and the samples at which they start."""
        block = max(chunk, READ // chunk * chunk)
        for a in range(begin, len(self), block):
            y = inverse.white(self.read(a, min(a + block, len(self))), 1)
            for b in range(0, y.shape[1], chunk):
                yield a + b, y[:, b : b + chunk]

    def moment(self, inverse: Inverse) -> Tensor:
        """Second moment of all good samples, whitened, (rank, rank): a first pass over the file.

        Raises
        ------
        MajorantError
            If all samples are marked as bad.
        """
        rank, good = len(inverse.whitener), torch.as_tensor(~self.bad)
        if not bool(good.any()):
            raise MajorantError("all samples are marked as bad; there is nothing to image")
        total = torch.zeros(rank, rank, dtype=torch.float64)
        for a, y in self.white(inverse, READ):
            kept = y[:, good[a : a + y.shape[1]]]
            total += kept @ kept.mT
        return total / int(good.sum())


@dataclass(frozen=True, eq=False)
class Piece:
    """A finished stretch of an estimate.

    Attributes
    ----------
    start : int
        First sample.
    columns : Tensor, shape (n_columns, n)
    """

    start: int
    columns: Tensor


def stream_columns(
    inverse: Inverse,
    job: Job,
    reader: Reader,
    tally: Tally,
    window: float | None = None,
    chunk: int | None = None,
    begin: int = 0,
) -> Iterator[Piece]:
    """Solve overlapping windows in groups and hand out what no later window changes.

    Parameters
    ----------
    inverse : Inverse
    job : Job
    reader : Reader
    tally : Tally
        Gathers the certificates.
    window : float or None
        Length of a window, s.
    chunk : int or None
        Samples that a group of windows covers, about.
    begin : int
        Where an earlier run has come to: the start of one of its pieces. Windows before it are
        solved again where they reach beyond, and not counted again.

    Raises
    ------
    MajorantError
        If a window is shorter than two samples.
    """
    seconds = inverse.window(job) if window is None else window
    starts, length = cut_starts(len(reader), window_length(seconds, job.sfreq))
    n_columns = inverse.model.leadfield.n_columns
    most = max(1, GROUP_BYTES // (8 * n_columns * length))
    if chunk is not None:
        most = max(1, 2 * chunk // length - 1)
    at = starts.index(begin)
    earlier = [start for start in starts[:at] if start + length > begin]
    sums = Sums(n_columns, length, min([*earlier, begin]))

    def solved(group: list[int]) -> Solution:
        held = inverse.white(reader.read(group[0], group[-1] + length), 1)
        y = torch.stack([held[:, s - group[0] : s - group[0] + length] for s in group])
        solution = inverse.solve_windows(y, job)
        for start, estimate in zip(group, solution.estimate, strict=True):
            sums.add(start, estimate)
        return solution

    if earlier:
        solved(earlier)
        sums.take(begin)
    for k in range(at, len(starts), most):
        tally.add_solution(solved(starts[k : k + most]))
        until = starts[k + most] if k + most < len(starts) else len(reader)
        yield sums.take(until)


class Sums:
    """Weighted sums of windows that overlap, as far as they are not yet handed out.

    Parameters
    ----------
    n_columns : int
    length : int
        Of a window, samples.
    begin : int
        First sample.
    """

    def __init__(self, n_columns: int, length: int, begin: int = 0) -> None:
        phase = (torch.arange(length, dtype=torch.float64) + 0.5) / length
        self._hann = torch.sin(torch.pi * phase) ** 2
        self._start = begin
        self._values = torch.zeros(n_columns, 0, dtype=torch.float64)
        self._weights = torch.zeros(0, dtype=torch.float64)

    def add(self, start: int, estimate: Tensor) -> None:
        """Add a window (n_columns, length) that starts at a sample."""
        a, n = start - self._start, estimate.shape[1]
        more = a + n - len(self._weights)
        if more > 0:
            room = self._values.new_zeros(len(self._values), more)
            self._values = torch.cat([self._values, room], dim=1)
            self._weights = torch.cat([self._weights, self._weights.new_zeros(more)])
        self._values[:, a : a + n] += estimate.to(torch.float64) * self._hann
        self._weights[a : a + n] += self._hann

    def take(self, until: int) -> Piece:
        """Hand out everything before a sample, which no later window may reach."""
        n = until - self._start
        piece = Piece(self._start, self._values[:, :n] / self._weights[:n])
        self._values, self._weights = self._values[:, n:].clone(), self._weights[n:].clone()
        self._start = until
        return piece
