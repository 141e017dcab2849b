"""Blinks and eye movements: frontal-pole electrodes that lead, and follow the eye channels.

The eyes are current dipoles of a few hundred µV at the edge of the array. Imaged as cortex
they become frontal or orbital sources, strongest where orientation is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majorant.findings.evidence import Observed
from majorant.recording.scalp import frontal_pole
from majorant.words import written

__all__ = ["Eyes", "eyes", "find_blinks", "find_eyes"]


@dataclass(frozen=True, eq=False)
class Eyes:
    """When the average looks like the eyes.

    Attributes
    ----------
    moments : array, shape (n,)
        Samples.
    name : str or None
        The eye channel that the frontal pole follows; None where there is none.
    correlation : float
    strongest : array, shape (n_times,)
        The strongest electrode at every time.
    front, ratio : array, shape (n_times,)
        Amplitude at the frontal pole, V, and over the median electrode.
    """

    moments: NDArray[np.int64]
    name: str | None
    correlation: float
    strongest: NDArray[np.int64]
    front: NDArray[np.float64]
    ratio: NDArray[np.float64]

    def near(self, e: Observed) -> list[int]:
        """Peaks in frontal cortex within 20 ms of such a moment, from 0."""
        times = e.times[self.moments]
        return [
            k
            for k, peak in enumerate(e.peaks)
            if np.abs(times - peak.time).min() <= 0.02 and peak.mni[1] > 20
        ]


def find_eyes(e: Observed) -> Eyes | None:
    """Find when frontal-pole electrodes dominate, and follow the eye channels."""
    evoked = e.prepared.evoked
    pole = frontal_pole(evoked.info)
    after = np.flatnonzero(e.times >= 0) if e.times[-1] > 0 else np.arange(len(e.times))
    if len(pole) == 0 or len(after) < 3:
        return None
    size = np.abs(evoked.data)
    strongest, front = size.argmax(axis=0), size[pole].max(axis=0)
    ratio = front / np.maximum(np.median(size, axis=0), 1e-30)
    name, correlation = _eye_channel(e, pole)
    if name is None:
        looks = (ratio >= e.settings.blink_ratio) & (front >= e.settings.blink_amplitude)
    else:
        looks = np.full(len(ratio), abs(correlation) >= e.settings.eog_correlation)
    dominated = np.isin(strongest, pole) & looks
    moments = after[dominated[after]]
    # A single sample where a frontal electrode happens to lead is no blink.
    if len(moments) < max(2, round(0.015 * evoked.info["sfreq"])):
        return None
    return Eyes(moments, name, correlation, strongest, front, ratio)


def eyes(e: Observed) -> frozenset[int]:
    """Peaks, from 0, that are probably the eyes: an eye channel says so."""
    found = find_eyes(e)
    if found is None or found.name is None:
        return frozenset()
    return frozenset(found.near(e))


def find_blinks(e: Observed) -> str | None:
    """Frontal-pole electrodes that dominate, and that follow the eye channels."""
    evoked, found = e.prepared.evoked, find_eyes(e)
    if found is None:
        pole = frontal_pole(evoked.info)
        return _blink_trials(e, pole) if len(pole) else None
    worst = int(found.moments[found.front[found.moments].argmax()])
    channel = evoked.ch_names[int(found.strongest[worst])]
    first, last = _run_around(found.moments, worst)
    height = written(1e6 * evoked.data[found.strongest[worst], worst], ".1f")
    text = (
        f"Blinks or eye movements: from {e.at(e.times[first])} to {e.at(e.times[last])} the "
        f"frontal-pole electrode {channel} is the strongest "
        f"({height} µV at {e.at(e.times[worst])}, "
        f"{found.ratio[worst]:.1f} times the median electrode)"
    )
    if found.name is not None:
        text += f" and follows the eye channel {found.name} (r = {found.correlation:.2f})"
    near = found.near(e)
    if near:
        doubt = "may be" if found.name is None else "is probably"
        text += (
            f". Peak {near[0] + 1}, {e.where(e.peaks[near[0]])}, {doubt} the eyes and not the "
            "cortex"
        )
    return text + ". Remove blinks (rejection of trials, or ICA) and image again."


def _run_around(moments: NDArray[np.int64], worst: int) -> tuple[int, int]:
    """First and last of the unbroken run of samples that holds `worst`."""
    first = last = worst
    members = set(moments.tolist())
    while first - 1 in members:
        first -= 1
    while last + 1 in members:
        last += 1
    return first, last


def _eye_channel(e: Observed, pole: NDArray[np.int64]) -> tuple[str | None, float]:
    """The eye channel that the frontal pole follows best, and how well."""
    if e.prepared.eog is None or not e.prepared.eog_names:
        return None, 0.0
    front = e.prepared.evoked.data[pole].mean(axis=0)
    values = []
    for row in e.prepared.eog:
        flat = front.std() == 0 or row.std() == 0
        values.append(0.0 if flat else float(np.corrcoef(front, row)[0, 1]))
    best = int(np.abs(values).argmax())
    return e.prepared.eog_names[best], values[best]


def _blink_trials(e: Observed, pole: NDArray[np.int64]) -> str | None:
    """Trials with blinks that the average does not show as such."""
    swings = e.prepared.swings
    if swings is None:
        return None
    front = swings[:, pole].max(axis=1)
    rest = np.median(swings, axis=1)
    count = int(((front > e.settings.blink_swing) & (front > 2 * rest)).sum())
    if count < max(2, 0.1 * len(swings)):
        return None
    names = ", ".join(e.prepared.evoked.ch_names[i] for i in pole)
    return (
        f"Blinks: {count} of {len(swings)} trials swing by more than "
        f"{1e6 * e.settings.blink_swing:.0f} µV at the frontal pole ({names}). Frontal "
        "sources may be the eyes; reject these trials or remove blinks with ICA."
    )
