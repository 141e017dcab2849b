"""What the checks for misleading estimates look at, and their thresholds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from majorant.findings.facts import Peak, Uncertainty
from majorant.forward.electrodes import Alignment
from majorant.head.skull import SkullSaid
from majorant.problem import Certificate, Status
from majorant.recording.prepare import Prepared
from majorant.words import clock, mni, written

__all__ = ["CautionSettings", "Observed", "percent"]


@dataclass(frozen=True)
class CautionSettings:
    """Thresholds of the checks.

    Attributes
    ----------
    eog_correlation : float
        Correlation with an eye channel above which frontal activity is taken for the eyes.
    blink_ratio, blink_amplitude : float
        Without an eye channel: frontal-pole amplitude over the median electrode, and in V.
    blink_swing : float
        Peak-to-peak amplitude of a trial at the frontal pole that is a blink, V.
    few_electrodes, few_trials : int
    low_explained : float
        Share of the variance at the peak.
    low_snr : float
        Root mean square of the whitened data, where noise alone has 1.
    poor_coverage : float
        Share of the upper head.
    far_mm : float
        Distance of a peak from the nearest electrode.
    misfit_mm : float
        Median distance of electrodes from the template's scalp before projection.
    small_head : float
        Size of a measured head relative to the template, below which it may be a child's.
    offset : float
        What does not change over the window, relative to what does, where no baseline was removed.
    enough_samples : int
        Samples below which the two cannot be told apart.
    rival : float
        Amplitude of another peak, relative to the strongest.
    """

    eog_correlation: float = 0.7
    blink_ratio: float = 3.5
    blink_amplitude: float = 8e-6
    blink_swing: float = 100e-6
    few_electrodes: int = 32
    few_trials: int = 10
    low_explained: float = 0.5
    low_snr: float = 1.5
    poor_coverage: float = 0.75
    far_mm: float = 65.0
    misfit_mm: float = 8.0
    small_head: float = 0.9
    offset: float = 3.0
    enough_samples: int = 10
    rival: float = 0.9


@dataclass(frozen=True, eq=False)
class Observed:
    """What the checks look at.

    Attributes
    ----------
    prepared : Prepared
    times : array, shape (n_times,)
        s.
    amplitude : array, shape (n_times,)
        Largest magnitude of the estimate at every time.
    peaks : tuple of Peak
        Strongest first.
    explained : array, shape (n_times,)
    white_rms : array, shape (n_times,)
        Root mean square of the whitened data.
    loose : float
    certificate : Certificate
    status : Status
    alignment : Alignment or None
    exact_places : bool
        Whether MNI coordinates are those of fsaverage itself.
    rank : int
        Of the whitened data.
    uncertainty : Uncertainty or None
    strongest : float
        Largest ratio of the estimate and its deviation.
    leaked : tuple of (float, int)
        For every peak the share that leakage of a stronger one explains, and which, from 0; empty
        where the solver is not linear.
    below : tuple of str
        For every peak the electrode that sees it best, where that speaks alone and is believed
        nevertheless, or ""; empty where there is no such electrode.
    window : bool
        Whether the times are a window around something; False for instants of a long recording.
    marked_before : bool
        Whether what is imaged follows the marks at 0 s; marks of spikes lie within them.
    heads : int
        Over which the lead field is averaged.
    skull : SkullSaid or None
        What the recording says about the skull, where it was asked.
    settings : CautionSettings
    """

    prepared: Prepared
    times: NDArray[np.float64]
    amplitude: NDArray[np.float64]
    peaks: tuple[Peak, ...]
    explained: NDArray[np.float64]
    white_rms: NDArray[np.float64]
    loose: float
    certificate: Certificate
    status: Status
    alignment: Alignment | None
    exact_places: bool
    rank: int = 0
    uncertainty: Uncertainty | None = None
    strongest: float = 0.0
    leaked: tuple[tuple[float, int], ...] = ()
    below: tuple[str, ...] = ()
    window: bool = True
    marked_before: bool = True
    heads: int = 1
    skull: SkullSaid | None = None
    settings: CautionSettings = field(default_factory=CautionSettings)

    def sample(self, time: float) -> int:
        """Index of the sample nearest a time."""
        return int(np.abs(self.times - time).argmin())

    def at(self, time: float) -> str:
        """A time in words: in milliseconds, or in seconds where the data are long."""
        unit = clock(self.times)
        spec = ".0f" if unit.label == "ms" else ".3f"
        return f"{written(unit.factor * time, spec)} {unit.label}"

    def where(self, peak: Peak) -> str:
        """A peak's place and time in words."""
        return f"{peak.hemisphere} {peak.named} ({mni(peak.mni)}) at {self.at(peak.time)}"


def percent(share: float) -> str:
    """A share of 0 to 1 in percent."""
    return f"{100 * share:.0f} %"
