"""What single trials say beside their average: the covariance that a beamformer adapts to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.recording.prepare import Prepared
from majorant.words import written

__all__ = ["baseline_samples", "data_covariance"]


def baseline_samples(prepared: Prepared) -> NDArray[np.bool_] | None:
    """Samples of a trial whose mean was removed from the average; None where none was.

    Parameters
    ----------
    prepared : Prepared
        With trials.

    Returns
    -------
    array, shape (n_times_of_a_trial,), or None
    """
    times, asked = prepared.epochs.times, prepared.settings.baseline
    if asked == "none" or (asked == "auto" and not times[0] < 0 < times[-1]):
        return None
    first, last = (None, 0.0) if isinstance(asked, str) else asked
    inside = (times >= (times[0] if first is None else first) - 1e-9) & (
        times <= (times[-1] if last is None else last) + 1e-9
    )
    return inside if inside.any() else None


def data_covariance(prepared: Prepared) -> tuple[Any, str] | None:
    """Covariance of the trials over the active window, as `mne.compute_covariance` defines it.

    The active window is what is imaged from the event on; all of what is imaged where that lies
    before the event, or has none. It is the second moment about the baseline, the response
    included: ``mean over trials and times of x x'``.

    Parameters
    ----------
    prepared : Prepared

    Returns
    -------
    mne.Covariance and str, or None
        Of a single trial, and a sentence; None where the recording has no trials.
    """
    import mne

    if prepared.epochs is None:
        return None
    epochs, names, shown = prepared.epochs, prepared.evoked.ch_names, prepared.evoked.times
    first, last = float(shown[0]), float(shown[-1])
    first = max(first, 0.0) if last > 0 else first
    half = 0.5 / float(epochs.info["sfreq"])
    active = (epochs.times > first - half) & (epochs.times < last + half)
    before, total = baseline_samples(prepared), np.zeros((len(names), len(names)))
    data = epochs.get_data(picks=names, copy=False)
    for trial in data:
        level = 0.0 if before is None else trial[:, before].mean(axis=1, keepdims=True)
        kept = trial[:, active] - level
        total += kept @ kept.T
    count = len(data) * int(active.sum())
    cov = mne.Covariance(total / count, names, [], [], nfree=count)
    said = (
        f"Data covariance: from {len(data)} trials, {written(first)} to {written(last)} s "
        f"({count:,} samples)."
    )
    return cov, said
