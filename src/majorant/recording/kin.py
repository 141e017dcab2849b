"""Other averages of the same recording: their baselines show the same noise.

The baseline of one average is short, and its samples are correlated: 200 ms may be worth seven
independent ones, from which no covariance of 60 electrodes can be told. A file of averages usually
holds those of several conditions, recorded by the same electrodes in the same hour, and before an
event there is no condition yet. Baselines of all of them, each scaled to a single trial, are pooled
as :func:`mne.compute_covariance` pools those of several kinds of epochs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.recording.average import filtered
from majorant.recording.file import Recording
from majorant.recording.rank import Space
from majorant.recording.settings import Preparation

__all__ = ["NO_KIN", "Kin", "kin_of"]

ALIKE = 4.0
"""Averages whose noise in a trial differs by more than this factor of power are not the same's."""

MOST = 12
"""Averages that are pooled at most; more would tell little more, and take their time."""


@dataclass(frozen=True, eq=False)
class Kin:
    """Other averages of the same electrodes over the same times.

    Attributes
    ----------
    names : tuple of str
        Their conditions.
    trials : array, shape (n_averages, n_channels, n_times)
        V, each times the square root of its number of trials: with the noise of one trial.
    """

    names: tuple[str, ...]
    trials: NDArray[np.float64]

    def like(self, own: NDArray[np.float64], inside: NDArray[np.bool_], space: Space) -> Kin:
        """Those whose baseline is as noisy as one's own, cut to the baseline.

        Parameters
        ----------
        own : array, shape (n_channels, n_baseline)
            The baseline at hand, with the noise of one trial, V.
        inside : array of bool, shape (n_times,)
        space : Space
            Where the noise is looked at.
        """
        if not self.names:
            return self
        quiet = self.trials[:, :, inside]
        level, levels = _power(own, space), np.array([_power(one, space) for one in quiet])
        alike = (levels <= ALIKE * level) & (level <= ALIKE * levels)
        names = tuple(name for name, kept in zip(self.names, alike, strict=True) if kept)
        return Kin(names, quiet[alike])


NO_KIN = Kin((), np.zeros((0, 0, 0)))
"""No other averages."""


def kin_of(
    recording: Recording,
    evoked: Any,
    ch_names: Sequence[str],
    settings: Preparation,
    renamed: Mapping[str, str],
) -> Kin:
    """The other averages of a file, scaled and filtered as the one that is imaged.

    Parameters
    ----------
    recording : Recording
        One of averages; any other has no kin.
    evoked : mne.Evoked
        The one that is imaged, not cropped.
    ch_names : sequence of str
        The channels that are used.
    settings : Preparation
    renamed : mapping
        New names of channels that were renamed.
    """
    if recording.kind != "evoked" or len(recording.data) < 2:
        return NO_KIN
    old = {new: name for name, new in renamed.items()}
    wanted = [old.get(name, name) for name in ch_names]
    names, trials = [], []
    for other in recording.data:
        if other.comment == evoked.comment or not _fits(other, evoked, wanted):
            continue
        copy = filtered(other.copy().pick(wanted, exclude=[]), settings, Account(), padded=False)
        size = (settings.scale or 1.0) * np.sqrt(max(int(other.nave), 1))
        names.append(other.comment)
        trials.append(size * copy.reorder_channels(wanted).data)
        if len(names) == MOST:
            break
    return Kin(tuple(names), np.stack(trials)) if names else NO_KIN


def _fits(other: Any, evoked: Any, wanted: list[str]) -> bool:
    """Whether an average has these channels, none of them bad, over the same samples."""
    return (
        other.kind == "average"
        and set(wanted) <= set(other.ch_names)
        and not set(wanted) & set(other.info["bads"])
        and other.info["sfreq"] == evoked.info["sfreq"]
        and np.array_equal(other.times, evoked.times)
    )


def _power(samples: NDArray[np.float64], space: Space) -> float:
    """Mean square of a stretch about its mean, where data are."""
    reduced = space.basis.T @ (samples - samples.mean(axis=1, keepdims=True))
    return float((reduced**2).mean())
