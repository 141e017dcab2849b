"""What may mislead: plain sentences, the gravest first.

Every check looks at the prepared recording and the estimate as a careful colleague would, and says
what it saw, where and when, and what would help. None changes the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from majorant.eeg.prepare import Prepared
from majorant.eeg.scalp import coverage, frontal_pole
from majorant.forward.electrodes import Alignment
from majorant.problem import Certificate, Status
from majorant.report.content import Peak

__all__ = ["CautionSettings", "Evidence", "find_cautions"]


@dataclass(frozen=True)
class CautionSettings:
    """Thresholds of the checks.

    Attributes
    ----------
    eog_correlation : float
        Correlation with an eye channel above which frontal activity is taken for the eyes.
    blink_ratio : float
        Without an eye channel: frontal-pole amplitude over the median electrode.
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
    rival : float
        Amplitude of another peak, relative to the strongest.
    """

    eog_correlation: float = 0.7
    blink_ratio: float = 3.5
    blink_swing: float = 100e-6
    few_electrodes: int = 32
    few_trials: int = 10
    low_explained: float = 0.5
    low_snr: float = 1.5
    poor_coverage: float = 0.75
    far_mm: float = 65.0
    misfit_mm: float = 8.0
    rival: float = 0.9


@dataclass(frozen=True, eq=False)
class Evidence:
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
    settings: CautionSettings = field(default_factory=CautionSettings)

    def sample(self, time: float) -> int:
        """Index of the sample nearest a time."""
        return int(np.abs(self.times - time).argmin())


Check = Callable[[Evidence], str | None]


def find_cautions(evidence: Evidence) -> tuple[str, ...]:
    """Run every check; the sentences of those that found something, the gravest first."""
    return tuple(text for check in CHECKS if (text := check(evidence)) is not None)


def _ms(time: float) -> str:
    return f"{1e3 * time:.0f} ms"


def _where(peak: Peak) -> str:
    x, y, z = peak.mni
    return f"{peak.hemisphere} {peak.lobe} ({x:.0f}, {y:.0f}, {z:.0f}) at {_ms(peak.time)}"


def _not_solved(e: Evidence) -> str | None:
    if not e.certificate.holds():
        rises = int(e.certificate.violations.sum())
        return (
            f"The energy of the estimate rose {rises} times although a guard was to prevent it; "
            "do not use this estimate, and report it."
        )
    if e.status in (Status.NOT_FINITE, Status.NO_SOURCE, Status.NO_DATA):
        return f"The solver did not find an estimate: {e.status.value}."
    if e.status is Status.LIMIT:
        return f"The solver has not finished: {e.status.value}; allow more iterations."
    return None


def _blinks(e: Evidence) -> str | None:
    """Frontal-pole electrodes that dominate, and that follow the eye channels."""
    evoked = e.prepared.evoked
    pole = frontal_pole(evoked.info)
    after = np.flatnonzero(e.times >= 0) if e.times[-1] > 0 else np.arange(len(e.times))
    if len(pole) == 0 or len(after) < 3:
        return None
    size = np.abs(evoked.data)
    strongest = size.argmax(axis=0)
    ratio = size[pole].max(axis=0) / np.maximum(np.median(size, axis=0), 1e-30)
    name, correlation = _eye_channel(e, pole)
    follows = abs(correlation) >= e.settings.eog_correlation
    dominated = np.isin(strongest, pole) & (follows | (ratio >= e.settings.blink_ratio))
    if name is not None and not follows:
        dominated[:] = False
    moments = after[dominated[after]]
    # A single sample where a frontal electrode happens to lead is no blink.
    if len(moments) < max(2, round(0.015 * evoked.info["sfreq"])):
        return _blink_trials(e, pole)
    worst = int(moments[size[pole][:, moments].max(axis=0).argmax()])
    channel = evoked.ch_names[int(strongest[worst])]
    first, last = _run_around(moments, worst)
    text = (
        f"Blinks or eye movements: from {_ms(e.times[first])} to {_ms(e.times[last])} the "
        f"frontal-pole electrode {channel} is the strongest "
        f"({1e6 * evoked.data[strongest[worst], worst]:.1f} microvolts at {_ms(e.times[worst])}, "
        f"{ratio[worst]:.1f} times the median electrode)"
    )
    if name is not None:
        text += f" and follows the eye channel {name} (r = {correlation:.2f})"
    near = [
        (rank, peak)
        for rank, peak in enumerate(e.peaks, 1)
        if np.abs(e.times[moments] - peak.time).min() <= 0.02 and peak.mni[1] > 20
    ]
    if near:
        rank, peak = near[0]
        text += f". Peak {rank}, {_where(peak)}, is probably the eyes and not the cortex"
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


def _eye_channel(e: Evidence, pole: NDArray[np.int64]) -> tuple[str | None, float]:
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


def _blink_trials(e: Evidence, pole: NDArray[np.int64]) -> str | None:
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
        f"{1e6 * e.settings.blink_swing:.0f} microvolts at the frontal pole ({names}). Frontal "
        "sources may be the eyes; reject these trials or remove blinks with ICA."
    )


def _noise(e: Evidence) -> str | None:
    if not e.peaks or e.prepared.noise_kind == "ad hoc":
        return None
    level = float(e.white_rms[e.sample(e.peaks[0].time)])
    if level >= e.settings.low_snr:
        return None
    return (
        f"The strongest peak lies in the noise: at {_ms(e.peaks[0].time)} the data are "
        f"{level:.1f} times what noise alone would give. Its place is not to be trusted; average "
        "more trials."
    )


def _before_the_event(e: Evidence) -> str | None:
    before = e.times < 0
    if not before.any() or before.all():
        return None
    first, later = e.amplitude[before], e.amplitude[~before]
    share, when = first.max() / max(later.max(), 1e-30), e.times[before][first.argmax()]
    if share <= 0.8:
        return None
    return (
        f"The estimate is nearly as strong before the event ({share:.0%} of the maximum, at "
        f"{_ms(when)}) as after it: what follows the event may be chance."
    )


def _explained(e: Evidence) -> str | None:
    if not e.peaks:
        return None
    share = float(e.explained[e.sample(e.peaks[0].time)])
    if share >= e.settings.low_explained:
        return None
    return (
        f"The sources explain only {share:.0%} of the variance recorded at the strongest peak "
        f"({_ms(e.peaks[0].time)}): most of the data is noise, artefact, or beyond the model."
    )


def _edge(e: Evidence) -> str | None:
    if not e.peaks or len(e.times) < 3:
        return None
    index = e.sample(e.peaks[0].time)
    if 0 < index < len(e.times) - 1:
        return None
    return (
        f"The strongest peak lies at the edge of the window ({_ms(e.times[index])}): the activity "
        "may go on outside; widen the window."
    )


def _electrodes(e: Evidence) -> str | None:
    count = len(e.prepared.evoked.ch_names)
    if count >= e.settings.few_electrodes:
        return None
    how = "a lobe, hardly more" if count < 20 else "a few centimetres at best"
    return f"Only {count} electrodes: places are good to {how}; 32 or more are advised."


def _coverage(e: Evidence) -> str | None:
    share = coverage(e.prepared.evoked.info)
    if share >= e.settings.poor_coverage:
        return None
    return (
        f"The electrodes cover {share:.0%} of the upper head: the average reference is then far "
        "from neutral, and sources under the gap are seen poorly or in the wrong place."
    )


def _trials(e: Evidence) -> str | None:
    nave = int(e.prepared.evoked.nave)
    if nave >= e.settings.few_trials:
        return None
    what = "a single trial" if nave == 1 else f"an average of only {nave} trials"
    return f"The data are {what}; noise is high, and small peaks may not come again."


def _ad_hoc(e: Evidence) -> str | None:
    if e.prepared.noise_kind != "ad hoc":
        return None
    return (
        "The noise covariance was assumed, not measured: amplitudes of statistics and the choice "
        "between sources of similar strength depend on it. A baseline or a covariance file helps."
    )


def _fixed(e: Evidence) -> str | None:
    if e.loose > 0 or e.alignment is None:
        return None
    return (
        "Sources were held to the normals of the template's cortex, whose folds are not the "
        "subject's: compare with loose or free orientation before trusting a place."
    )


def _template(e: Evidence) -> str | None:
    if e.alignment is None:
        return None
    text = (
        "The head is a template, not the subject's: expect errors of one to two centimetres, more "
        "in deep and basal cortex."
    )
    if e.alignment.median_mm > e.settings.misfit_mm:
        text += (
            f" The electrodes fit it badly ({e.alignment.median_mm:.0f} mm off, median): check "
            "their positions."
        )
    return text


def _far(e: Evidence) -> str | None:
    if not e.peaks or e.alignment is None:
        return None
    from majorant.forward.cortex import mni305_to_mni152

    places = mni305_to_mni152(e.alignment.positions)
    distance = float(np.linalg.norm(places - np.array(e.peaks[0].mni), axis=1).min())
    if distance < e.settings.far_mm:
        return None
    return (
        f"The strongest peak, {_where(e.peaks[0])}, is {distance:.0f} mm from the nearest "
        "electrode: so deep or basal a place is seen poorly."
    )


def _rival(e: Evidence) -> str | None:
    if len(e.peaks) < 2:
        return None
    first, second = e.peaks[:2]
    share = abs(second.amplitude / first.amplitude)
    if share < e.settings.rival:
        return None
    return (
        f"The second peak, {_where(second)}, has {share:.0%} of the amplitude of the first: which "
        "of them is the stronger is within the noise."
    )


def _cut_filter(e: Evidence) -> str | None:
    recording, settings = e.prepared.recording, e.prepared.settings
    if recording is None or recording.kind == "raw" or settings.filter is None:
        return None
    return (
        "The data were filtered after they had been cut, so the ends of the window are distorted; "
        "filter the continuous recording instead."
    )


def _carried_over(e: Evidence) -> str | None:
    if e.exact_places:
        return None
    return (
        "The source space is not fsaverage: MNI coordinates, lobes and maps were carried over by "
        "scaling and are good to about a centimetre. The estimate itself is in the subject's space."
    )


CHECKS: Sequence[Check] = (
    _not_solved,
    _blinks,
    _noise,
    _explained,
    _before_the_event,
    _edge,
    _trials,
    _coverage,
    _electrodes,
    _far,
    _rival,
    _fixed,
    _ad_hoc,
    _cut_filter,
    _carried_over,
    _template,
)
"""The checks, the gravest first."""
