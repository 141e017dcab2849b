"""From an estimate and its calibration to regions, and to what the data support."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from majorant.atlas.gyri import gyri
from majorant.errors import MajorantError
from majorant.findings.evidence import percent
from majorant.findings.facts import Peak, Region, Regions
from majorant.findings.peaks import find_peaks
from majorant.findings.regions.calibrate import (
    NEAR_MM,
    STEPS,
    Calibration,
    calibrated,
    height_of,
)
from majorant.findings.regions.conformal import quantile, thresholds
from majorant.findings.regions.scores import ranks
from majorant.findings.regions.shares import Share
from majorant.findings.regions.simulated import CalibratedCortex, Simulated, Window
from majorant.findings.regions.support import ALPHA, standing
from majorant.forward.cortex import lobe
from majorant.head.places import locate
from majorant.imager.estimate import combined
from majorant.randomness import takes_rng
from majorant.words import written

if TYPE_CHECKING:
    from majorant.head.skull import SkullSaid
    from majorant.imager.imager import SourceImager

__all__ = ["Limits", "expected_areas", "find_regions", "region_of", "regions_of_average", "seldom"]

MARGIN = 0.1
"""Share of what a region may miss that is kept for heads and cortices unlike those of the bank:
regions of .90 hold the sources of .91 of the trials."""
SELDOM = 0.2
"""Share of strongest peaks with a source, below which the strongest one is not taken for one."""

Progress = Callable[[int, int], None] | None
Array = NDArray[np.float64]


class Limits:
    """Largest scores inside a region, of the strongest peak and of the others.

    Parameters
    ----------
    calibration : Calibration
    coverage : float
    """

    def __init__(self, calibration: Calibration, coverage: float) -> None:
        c, asked = calibration, coverage + MARGIN * (1.0 - coverage)
        self.lead, self.pooled = thresholds(c.lead, c.lead_trial, c.lead_third, asked)
        self.other = quantile(c.other, c.other_trial, asked)

    def inside(self, score: Array, cortex: CalibratedCortex, rank: int) -> NDArray[np.bool_]:
        """Say which places are in the region of the peak of some rank, from 0."""
        return score <= (self.lead[cortex.third] if rank == 0 else self.other)


def expected_areas(calibration: Calibration, coverage: float) -> Array:
    """Return the area of the region of every trial's strongest peak, cm2, shape (n_lead,).

    Between the steps at which areas are kept they are interpolated.
    """
    limits = Limits(calibration, coverage)
    steps = np.arange(len(STEPS))
    return np.array(
        [
            sum(
                np.interp(np.interp(min(limits.lead[k], 1.0), STEPS, steps), steps, own[k])
                for k in range(3)
            )
            for own in calibration.lead_area
        ]
    )


@takes_rng
def find_regions(
    imager: SourceImager,
    evoked: Any,
    values: Array,
    peaks: Sequence[Peak],
    coverage: float = 0.9,
    *,
    seed: int = 0,
    progress: Progress = None,
    skull: SkullSaid | None = None,
) -> Regions:
    """Calibrate, or read a calibration from the cache, and find the regions of peaks.

    Parameters
    ----------
    imager : SourceImager
        Fitted, on the template.
    evoked : mne.Evoked
        What was imaged.
    values : array, shape (n_locations, n_times)
        The estimate as it is shown.
    peaks : sequence of Peak
        Strongest first.
    coverage : float
        Probability that a region holds the source of its peak.
    seed : int
        Of the simulations.
    progress : callable, optional
        Called with (done, total).
    skull : SkullSaid, optional
        What a recording says of the skull of the head.

    Raises
    ------
    MajorantError
        If no more than the lead field is known of the head.
    """
    nave = max(int(evoked.nave), 1)
    own = Simulated.of(imager, nave, skull)
    times, y = np.asarray(evoked.times, float), imager.problem(evoked).y[0]
    window = Window.of(y, times, float(evoked.info["sfreq"]))
    calibration = calibrated(imager, window, nave, seed=seed, progress=progress, simulated=own)
    limits, found = Limits(calibration, coverage), []
    real = Share.fitted(calibration.weight, calibration.real)
    for rank, peak in enumerate(peaks):
        now = np.abs(values[:, int(np.abs(times - peak.time).argmin())])
        height = np.array(height_of(now, peak.location))
        share = calibration.lead_near if rank == 0 else float(real(height))
        region = region_of(now, peak.location, rank, own, limits, share)
        if region is not None and rank > 0:
            region = replace(region, usual=calibration.usual(height))
        found.append(region)
    at = standing(own.seen, peaks[0].location) if peaks else np.zeros(len(own.cortex.area))
    return Regions(
        coverage=coverage,
        peaks=tuple(peaks),
        of=tuple(found),
        how=_how(calibration, window, coverage, limits),
        found=Share.fitted(calibration.beside, calibration.found)(at),
        support=calibration.supported(at) if peaks else np.zeros(len(at), np.int8),
    )


def regions_of_average(
    imager: SourceImager, evoked: Any, progress: Progress = None, skull: SkullSaid | None = None
) -> Regions:
    """Image an average and find its regions; see :meth:`majorant.SourceImager.regions`."""
    if imager.region is None:
        raise MajorantError("no probability was given; make the imager with region=0.9")
    values = combined(imager.solve(evoked).estimate[0].numpy(), imager.model, None)
    times = np.asarray(evoked.times, float)
    peaks = find_peaks(values, times, locate(imager.leadfield_))
    return find_regions(
        imager, evoked, values, peaks, imager.region, progress=progress, skull=skull
    )


def seldom(regions: Regions) -> tuple[str, ...]:
    """Why peaks that seldom are sources are no headline, as ends of sentences; "" for the others.

    The strongest peak is refused where fewer than a fifth of strongest peaks had a source within
    30 mm; another one where at most one in twenty of those that had a source stood as low.
    """
    said = []
    for rank, region in enumerate(regions.of):
        if region is None or (rank == 0 and region.real >= SELDOM):
            said.append("")
        elif rank == 0:
            said.append(
                f"is seldom a source: {percent(region.real)} of such peaks were in simulations of "
                "this recording"
            )
        elif region.usual > ALPHA:
            said.append("")
        else:
            said.append(
                "is too low in the map of its moment for a source of its own: in simulations of "
                f"this recording at most {percent(region.usual)} of the peaks with a source were "
                "as low"
            )
    return tuple(said)


def region_of(
    size: Array, location: int, rank: int, own: Simulated, limits: Limits, real: float
) -> Region | None:
    """The region of one peak.

    Parameters
    ----------
    size : array, shape (n_locations,)
        Magnitude of the map at its time.
    location, rank : int
        Of the peak; the strongest is 0.
    own : Simulated
    limits : Limits
    real : float
        Share of such peaks with a source.
    """
    cortex = own.cortex
    score = ranks(size, location, cortex.places.mni, cortex.area, own.density)
    inside = np.flatnonzero(limits.inside(score, cortex, rank))
    if not np.isfinite(limits.lead).all() if rank == 0 else not np.isfinite(limits.other):
        return None
    inside = inside[np.argsort(score[inside], kind="stable")]
    area = cortex.area[inside]
    named: dict[str, float] = {}
    gyrus = gyri().of_places(cortex.places.mni[inside])
    for place, side, k, part in zip(
        cortex.places.mni[inside], cortex.places.hemisphere[inside], gyrus, area, strict=True
    ):
        name = f"{'left' if side == 0 else 'right'} {gyri().names[k] if k >= 0 else lobe(place)}"
        named[name] = named.get(name, 0.0) + float(part)
    total = max(float(area.sum()), 1e-12)
    shares = sorted(((k, v / total) for k, v in named.items()), key=lambda pair: -pair[1])
    return Region(inside, float(area.sum()), tuple(shares), real)


def _how(calibration: Calibration, window: Window, coverage: float, limits: Limits) -> str:
    """What was simulated, in whole sentences."""
    level = written(window.level_db, ".0f")
    text = (
        f"Calibrated on {calibration.n_trials} simulated recordings with these electrodes, this "
        f"noise, a window of {window.n_times} samples and about {level} dB, each on "
        "another head than the one that is believed, with one or two sources. The region of the "
        f"strongest peak held the nearest source in at least {100 * coverage:.0f} % of them, in "
        "every third of depth; those of further peaks in as many of those that had a source "
        f"within {NEAR_MM:.0f} mm."
    )
    if limits.pooled.any():
        text = text.replace(
            "in every third of depth", "over all depths (too few trials for each third of depth)"
        )
    return text
