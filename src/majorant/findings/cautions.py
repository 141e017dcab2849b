"""What may mislead: plain sentences, the gravest first.

Every check looks at the prepared recording and the estimate as a careful colleague would, and says
what it saw, where and when, and what would help. None changes the estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from majorant.findings.blinks import find_blinks
from majorant.findings.evidence import Observed, percent
from majorant.findings.faint import faint
from majorant.findings.standing import at_edge
from majorant.forward.ages import ADULT
from majorant.problem import Status
from majorant.recording.faults import SATURATED
from majorant.recording.scalp import coverage
from majorant.words import number

__all__ = ["find_cautions"]

INFANT = 2.5
"""Years below which there are templates of the age."""


Check = Callable[[Observed], str | None]


def find_cautions(evidence: Observed) -> tuple[str, ...]:
    """Run every check; the sentences of those that found something, the gravest first."""
    return tuple(text for check in CHECKS if (text := check(evidence)) is not None)


def _not_solved(e: Observed) -> str | None:
    if not e.certificate.holds():
        rises = int(e.certificate.violations.sum())
        return (
            f"The energy of the estimate rose {rises} times although a guard was to prevent it; "
            "do not use this estimate, and report it."
        )
    if e.status in (Status.NOT_FINITE, Status.NO_SOURCE, Status.NO_DATA):
        return f"The solver did not find an estimate: {e.status.value}."
    if e.status is Status.LIMIT:
        return (
            f"The solver has not finished: {e.status.value}; allow more iterations "
            "with the option max_iter."
        )
    return None


def _offset(e: Observed) -> str | None:
    evoked, settings = e.prepared.evoked, e.settings
    if evoked.baseline is not None or len(evoked.times) < settings.enough_samples:
        return None
    data = evoked.data - evoked.data.mean(axis=0)
    still = data.mean(axis=1, keepdims=True)
    ratio = float(np.sqrt((still**2).mean() / max(((data - still) ** 2).mean(), 1e-40)))
    if ratio < settings.offset:
        return None
    return (
        f"Offsets of the electrodes, {number(ratio, 2)} times what changes over the window (root "
        "mean square), are still in the data, and most of what is shown are these: no baseline "
        "was there to remove them. Take in time before the event, name a baseline, or filter the "
        "continuous recording."
    )


def _saturated(e: Observed) -> str | None:
    return next((said for said in e.prepared.decisions if said.startswith(SATURATED)), None)


def _lone(e: Observed) -> str | None:
    return " ".join(electrode.sentence() for electrode in e.prepared.lone) or None


def _before_the_event(e: Observed) -> str | None:
    before = e.times < 0
    if not before.any() or before.all() or not e.marked_before:
        return None
    first, later = e.amplitude[before], e.amplitude[~before]
    share, when = first.max() / max(later.max(), 1e-30), e.times[before][first.argmax()]
    if share <= 0.8:
        return None
    return (
        f"The estimate is nearly as strong before the event ({percent(share)} of the maximum, at "
        f"{e.at(when)}) as after it: what follows the event may be chance."
    )


def _explained(e: Observed) -> str | None:
    if not e.peaks:
        return None
    share = float(e.explained[e.sample(e.peaks[0].time)])
    if share >= e.settings.low_explained:
        return None
    return (
        f"The sources explain only {percent(share)} of the variance recorded at the strongest peak "
        f"({e.at(e.peaks[0].time)}): most of the data is noise, artefact, or beyond the model."
    )


def _edge(e: Observed) -> str | None:
    if not e.peaks or not at_edge(e, 0):
        return None
    return (
        f"The strongest peak lies at the edge of the window ({e.at(e.peaks[0].time)}): the "
        "activity may go on outside; widen the window."
    )


def _electrodes(e: Observed) -> str | None:
    count = len(e.prepared.evoked.ch_names)
    if count >= e.settings.few_electrodes:
        return None
    how = "a lobe, hardly more" if count < 20 else "a few centimetres at best"
    return f"Only {count} electrodes: places are good to {how}; 32 or more are advised."


def _coverage(e: Observed) -> str | None:
    share = coverage(e.prepared.evoked.info)
    if share >= e.settings.poor_coverage:
        return None
    return (
        f"The electrodes cover {percent(share)} of the upper head: the average reference is then "
        "far from neutral, and sources under the gap are seen poorly or in the wrong place."
    )


def _trials(e: Observed) -> str | None:
    nave = int(e.prepared.evoked.nave)
    if nave >= e.settings.few_trials:
        return None
    what = "a single trial" if nave == 1 else f"an average of only {nave} trials"
    return f"The data are {what}; noise is high, and small peaks may not come again."


def _ad_hoc(e: Observed) -> str | None:
    if e.prepared.noise_kind != "ad hoc":
        return None
    return (
        "The noise covariance was assumed, not measured: amplitudes of statistics, standard "
        "deviations and the choice between sources of similar strength depend on it. A baseline or "
        "a covariance file helps."
    )


def _fixed(e: Observed) -> str | None:
    if e.loose > 0 or e.alignment is None:
        return None
    return (
        "Sources were held to the normals of the template’s cortex, whose folds are not the "
        "subject’s: compare with loose or free orientation before trusting a place."
    )


def _template(e: Observed) -> str | None:
    if e.alignment is None:
        return None
    whose = "a template" if e.alignment.by != "warp" else "a template warped to the electrodes"
    text = (
        f"The head is {whose}, not the subject’s: expect errors of one to two centimetres, more in "
        "deep and basal cortex."
    )
    if e.alignment.median_mm > e.settings.misfit_mm:
        text += (
            f" The electrodes fit it badly ({e.alignment.median_mm:.0f} mm off, median): check "
            "their positions."
        )
    return text


def _small(e: Observed) -> str | None:
    if e.alignment is None or e.alignment.age is not None:
        return None
    size = e.alignment.size or 1.0
    if size > e.settings.small_head:
        return None
    return (
        f"The head is small ({percent(size)} of the template’s size). If it is "
        "a child’s, its skull is thinner and conducts more than the adult’s that is assumed, and "
        "depths and amplitudes are biased: give --age."
    )


def _child(e: Observed) -> str | None:
    if e.alignment is None or e.alignment.age is None or e.alignment.age >= ADULT:
        return None
    text = (
        "The head is an adult’s made a child’s: how thick a skull of that age is, and above all "
        "how well it conducts, is known within a factor of two, and depths and amplitudes with it."
    )
    if e.alignment.age < INFANT:
        text += (
            " It has no fontanels and an adult’s folds: take a template of the age "
            "(majorant head --age), or an MRI."
        )
    return text


def _skull(e: Observed) -> str | None:
    if e.heads == 1 or (e.skull is not None and e.skull.told):
        return None
    if e.skull is not None:
        return f"{e.skull.sentence()} The heads of the average have skulls of any kind."
    return (
        "What this recording says about the skull is not known (see the decisions): the heads of "
        "the average have skulls of any kind."
    )


def _far(e: Observed) -> str | None:
    if not e.peaks or e.alignment is None:
        return None
    from majorant.forward.cortex import mni305_to_mni152

    places = mni305_to_mni152(e.alignment.positions)
    distance = float(np.linalg.norm(places - np.array(e.peaks[0].mni), axis=1).min())
    if distance < e.settings.far_mm:
        return None
    return (
        f"The strongest peak, {e.where(e.peaks[0])}, is {distance:.0f} mm from the nearest "
        "electrode: so deep or basal a place is seen poorly."
    )


def _rival(e: Observed) -> str | None:
    if len(e.peaks) < 2:
        return None
    first, second = e.peaks[:2]
    share = abs(second.amplitude / first.amplitude)
    if share < e.settings.rival:
        return None
    return (
        f"The second peak, {e.where(second)}, has {percent(share)} of the amplitude of the first: "
        "which of them is the stronger is within the noise."
    )


def _cut_filter(e: Observed) -> str | None:
    recording, settings = e.prepared.recording, e.prepared.settings
    if recording is None or recording.kind == "raw" or settings.filter is None:
        return None
    return (
        "The data were filtered after they had been cut, so the ends of the window are distorted; "
        "filter the continuous recording instead."
    )


def _carried_over(e: Observed) -> str | None:
    if e.exact_places:
        return None
    return (
        "The source space is not fsaverage: MNI coordinates, lobes and maps were carried over by "
        "scaling and are good to about a centimetre. The estimate itself is in the subject’s space."
    )


CHECKS: Sequence[Check] = (
    _not_solved,
    _saturated,
    _lone,
    find_blinks,
    _offset,
    faint,
    _explained,
    _before_the_event,
    _edge,
    _trials,
    _coverage,
    _electrodes,
    _small,
    _child,
    _skull,
    _far,
    _rival,
    _fixed,
    _ad_hoc,
    _cut_filter,
    _carried_over,
    _template,
)
"""The checks, the gravest first."""
