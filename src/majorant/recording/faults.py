"""What amplifiers and cables do without saying so: limits, bridges, silence, markers sent twice.

None of these makes data unreadable, and each of them changes an average: what stands at a limit is
not the potential, trials of silence make the average smaller than it was, and a marker that was
sent twice counts a trial twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.recording.channels import eeg_names, some
from majorant.words import written

__all__ = ["SATURATED", "bridged", "mark_silence", "say_saturated", "say_twice", "without_silence"]

SATURATED = "Cut off at the limit of the amplifier"
"""How the sentence begins; the page takes it up as a caution."""

RUN, OFTEN, LEVELS = 3, 10, 50
"""Samples in a row, and in all, at an extreme value, and values in all, of a channel at a limit."""

SAME_V, SAME = 0.06e-6, 1e-10
"""V: what two electrodes that record the same may differ by; and as a share of the power."""

QUIET = 5
"""Samples, and 20 ms at least, for which no electrode changes where nothing was recorded."""

TWICE = 0.02
"""s: markers of one event that are nearer than this are of one event."""


def say_saturated(samples: NDArray[np.float64], names: list[str], account: Account) -> None:
    """Say which channels stand at their largest or smallest value again and again.

    Parameters
    ----------
    samples : array, shape (n_channels, n_samples)
        As recorded: a filter hides it.
    names : list of str
    account : Account
    """
    found = [name for name, row in zip(names, samples, strict=True) if _at_limit(row)]
    if found:
        account.note(
            f"{SATURATED}: {some(found, 12)} of {len(names)} electrodes stand at their largest or "
            "smallest value for samples on end, so what was there is not known; leave such "
            "channels out as bad, or mark those stretches as BAD."
        )


def _at_limit(row: NDArray[np.float64]) -> bool:
    for limit in (row.max(), row.min()):
        there = row == limit
        if there.sum() < OFTEN:
            continue
        runs = np.lib.stride_tricks.sliding_window_view(there, RUN).all(axis=1)
        # Coarse converters come to the same value by chance.
        if RUN * runs.sum() >= OFTEN and len(np.unique(row[:20_000])) > LEVELS:
            return True
    return False


def bridged(moment: NDArray[np.float64], names: list[str], nave: int) -> list[tuple[str, str]]:
    """Pairs of electrodes that record the same.

    Parameters
    ----------
    moment : array, shape (n_channels, n_channels)
        Second moment of the data, V^2.
    names : list of str
    nave : int
        Trials behind every sample.
    """
    power = np.diag(moment)
    apart = power[:, None] + power[None] - 2 * moment
    least = np.minimum(power[:, None], power[None])
    same = np.triu(apart <= np.maximum(SAME * least, 2 * SAME_V**2 / max(nave, 1)), 1)
    # Where the data themselves are that small, nothing can be told.
    same &= least > 100 * SAME_V**2 / max(nave, 1)
    return [(names[i], names[j]) for i, j in np.argwhere(same)]


def say_twice(times: NDArray[np.float64], account: Account) -> None:
    """Say that markers come twice; times of one event, s."""
    gaps = np.diff(np.sort(times))
    twice = int(((gaps > 0) & (gaps < TWICE)).sum())
    if twice:
        account.note(
            f"{twice} markers come within {1e3 * TWICE:.0f} ms of another of the same event, as if "
            "they were sent twice: such trials count twice, and the noise of the average seems "
            "smaller than it is; leave one of each out in the recording."
        )


def mark_silence(raw: Any, account: Account) -> None:
    """Mark stretches in which no electrode records anything as bad.

    Parameters
    ----------
    raw : mne.io.BaseRaw
        As recorded, in memory: a filter hides it. Changed in place.
    account : Account
    """
    import mne

    sfreq, n_times = float(raw.info["sfreq"]), len(raw.times)
    mask = np.ones(max(n_times - 1, 0), bool)
    for name in eeg_names(raw):
        mask &= np.diff(raw.get_data(picks=[name])[0]) == 0
        if not mask.any():
            return
    still = _stretches(mask, max(QUIET, round(TWICE * sfreq)))
    if not len(still) or (still[:, 1] - still[:, 0]).sum() >= n_times - 1:
        return
    own = raw.annotations
    silent = mne.Annotations(
        still[:, 0] / sfreq + raw.first_time, (still[:, 1] - still[:, 0]) / sfreq, "BAD_silent",
        orig_time=own.orig_time,
    )  # fmt: skip
    raw.set_annotations(own + silent, verbose="error")
    seconds = float((still[:, 1] - still[:, 0]).sum() / sfreq)
    account.note(
        f"All electrodes are silent for {written(seconds)} s, in {len(still)} "
        f"stretch{'' if len(still) == 1 else 'es'}: taken as bad, for nothing was recorded there."
    )


def _stretches(mask: NDArray[np.bool_], least: int) -> NDArray[np.int64]:
    """First sample and the one after the last of runs that are long enough, shape (n, 2)."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False])).reshape(-1, 2)
    return edges[edges[:, 1] - edges[:, 0] >= least]


def without_silence(epochs: Any, account: Account) -> Any:
    """Leave out trials in which no electrode records anything.

    Parameters
    ----------
    epochs : mne.BaseEpochs
        With data in memory.
    account : Account
    """
    data = epochs.get_data(picks="eeg", copy=False)
    silent = (np.ptp(data, axis=2) == 0).all(axis=1)
    if not silent.any() or silent.all():
        return epochs
    account.note(
        f"{int(silent.sum())} of {len(silent)} trials were left out: all electrodes are silent in "
        "them."
    )
    return epochs[~silent]
