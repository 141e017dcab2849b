"""Trials of THINGS-EEG2: targets dropped, cut, referenced to the average, and brought together.

Images are shown for 100 ms every 200 ms, so what is seen from 200 ms on belongs to the next image
too, and the baseline still holds the response to the one before. Only a short early window (80 to
130 ms) is one image's own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.bench.things_file import TARGET, ThingsSession, find_sessions, read_session
from majorant.problem import MajorantError
from majorant.recording.names import standard_name

__all__ = ["ThingsTrials", "load_things", "session_trials"]

EPOCH = (-0.1, 0.2)
"""Cut around an onset, s."""

BAND = (1.0, 40.0)
"""Band-pass, Hz."""

RATE = 200.0
"""Sampling rate of the trials, Hz."""

REFERENCE = "Fz"
"""Against which the data set was recorded; it is no row of the files."""


@dataclass(frozen=True, eq=False)
class ThingsTrials:
    """Single trials.

    Attributes
    ----------
    data : array, shape (n_trials, n_channels, n_times), float32
        V, average reference, mean of the baseline removed.
    times : array, shape (n_times,)
        s from the onset.
    conditions : array, shape (n_trials,), int64
        What was shown.
    info : mne.Info
        Of the channels, placed.
    dropped : int
        Targets and trials that do not lie in the recording.
    title : str
    """

    data: NDArray[np.float32]
    times: NDArray[np.float64]
    conditions: NDArray[np.int64]
    info: Any
    dropped: int = 0
    title: str = ""

    def __len__(self) -> int:
        return len(self.data)

    def within(self, window: tuple[float, float]) -> NDArray[np.bool_]:
        """Samples of a window, s.

        Raises
        ------
        MajorantError
            If there are fewer than two.
        """
        inside = (self.times >= window[0] - 1e-9) & (self.times <= window[1] + 1e-9)
        if inside.sum() < 2:
            raise MajorantError(
                f"the window from {1e3 * window[0]:g} to {1e3 * window[1]:g} ms holds "
                f"{inside.sum()} samples; the trials go from {1e3 * self.times[0]:g} to "
                f"{1e3 * self.times[-1]:g} ms"
            )
        return inside


def load_things(
    folder: str | os.PathLike[str],
    part: str = "test",
    say: Callable[[str], None] | None = None,
) -> ThingsTrials:
    """Read all sessions of a participant.

    Parameters
    ----------
    folder : path
        See :func:`majorant.bench.things_file.find_sessions`.
    part : {"test", "training"}
        200 images shown 20 times a session, or many images shown a few times.
    say : callable, optional
        Takes a line of text for every session.

    Raises
    ------
    MajorantError
        If the folder holds other files, or the sessions have different channels.
    """
    found: list[ThingsTrials] = []
    for path in find_sessions(folder, part):
        found.append(session_trials(read_session(path)))
        if say is not None:
            say(f"{path.parent.name}/{path.name}: {len(found[-1])} trials")
    first = found[0]
    if any(other.info["ch_names"] != first.info["ch_names"] for other in found):
        raise MajorantError("the sessions have different channels; give one participant's folder")
    return ThingsTrials(
        np.concatenate([trials.data for trials in found]),
        first.times,
        np.concatenate([trials.conditions for trials in found]),
        first.info,
        sum(trials.dropped for trials in found),
        "THINGS-EEG2",
    )


def session_trials(session: ThingsSession) -> ThingsTrials:
    """Filter, cut and reference the trials of one session.

    Parameters
    ----------
    session : ThingsSession

    Raises
    ------
    MajorantError
        If no trial is left, or electrodes have unknown names.
    """
    step = max(1, round(session.sfreq / RATE))
    offsets = np.arange(round(EPOCH[0] * session.sfreq), round(EPOCH[1] * session.sfreq) + 1, step)
    before = np.concatenate([[0], session.stim[:-1]])
    onsets = np.flatnonzero((session.stim > 0) & (session.stim != before))
    inside = (onsets + offsets[0] >= 0) & (onsets + offsets[-1] < len(session.stim))
    kept = onsets[inside & (session.stim[onsets] != TARGET)]
    if len(kept) == 0:
        raise MajorantError(
            f"of {len(onsets)} events none is an image inside the recording; give a raw session "
            "of THINGS-EEG2"
        )
    places = kept[:, None] + offsets
    data = np.stack([_filtered(row, session.sfreq)[places] for row in session.data], axis=1)
    times = offsets / session.sfreq
    data -= data[:, :, times <= 0].mean(axis=2, keepdims=True)
    data -= data.mean(axis=1, keepdims=True)
    info = _placed(session)
    return ThingsTrials(
        data, times, session.stim[kept], info, len(onsets) - len(kept), "THINGS-EEG2"
    )


def _filtered(row: NDArray[np.floating[Any]], sfreq: float) -> NDArray[np.float32]:
    """One channel at a time, so that a session is not held twice."""
    import mne

    with listening(Account(), "filtering"):
        out = mne.filter.filter_data(row.astype(np.float64), sfreq, *BAND)
    return out.astype(np.float32)


def _placed(session: ThingsSession) -> Any:
    """Channels with the places of the 10-5 system."""
    import mne

    montage: Any = mne.channels.make_standard_montage(standard_name())
    unknown = [name for name in session.ch_names if name not in montage.ch_names]
    if unknown:
        raise MajorantError(
            f"{', '.join(unknown[:4])} are no electrodes of the 10-5 system; expected the names "
            "of THINGS-EEG2"
        )
    info = mne.create_info(list(session.ch_names), RATE, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    return info
