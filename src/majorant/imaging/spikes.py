"""The report of averaged spikes, where it was asked for.

The peak is that of the estimate of the whole window. The onset is imaged from the data up to it
alone: a solver that looks at whole windows lets the strong peak decide where the weak onset is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from majorant.account import Account
from majorant.findings.facts import Findings, Spikes
from majorant.findings.regions import find_regions, why_not
from majorant.findings.spikes import CLEAR, NO_DEVICE, rising_flank, spike_moment
from majorant.head.places import Places
from majorant.imager.estimate import combined
from majorant.imager.imager import SourceImager
from majorant.imaging.explained import explained_by, predict
from majorant.imaging.result import ImageSettings
from majorant.recording.prepare import Prepared
from majorant.recording.rank import projection
from majorant.words import written

__all__ = ["with_spikes"]

Progress = Callable[[int, int], None] | None
BEFORE = 0.015
"""s up to the onset that it is imaged from."""


def with_spikes(
    page: Findings,
    imager: SourceImager,
    prepared: Prepared,
    settings: ImageSettings,
    places: Places,
    account: Account,
    progress: Progress = None,
) -> Findings:
    """Add onset and peak of the averaged spikes with their places; with regions where asked for."""
    if not settings.spikes:
        return page
    start, stop = _baseline(prepared, page)
    onset, peak, ratio = rising_flank(page.data, page.times, (start, stop))
    region = settings.region if why_not(imager) is None else None
    moments, unseen = [], None
    for word, sample in (("onset", onset), ("peak", peak)):
        moment, unseen = _moment(
            word, float(page.times[sample]), page, copy.copy(imager), prepared.evoked, places,
            (region, settings.seed, progress),
        )  # fmt: skip
        moments.append(moment)
    ends = [written(1e3 * time, ".0f") for time in (page.times[peak], page.times[onset])]
    account.note(
        f"Spikes: the field power of the average peaks at {ends[0]} ms and begins at {ends[1]} ms, "
        f"where it has risen half of the way from its baseline ({written(1e3 * start, '.0f')} to "
        f"{written(1e3 * stop, '.0f')} ms)."
    )
    a, b = (moment.place.mni for moment in moments)
    spikes = Spikes(
        count=int(prepared.evoked.nave),
        moments=tuple(moments),
        moved_mm=float(np.linalg.norm(np.subtract(a, b))),
        ratio=ratio,
        clear=ratio >= CLEAR,
        electrodes=tuple(page.info["ch_names"]),
        bads=_bads(prepared),
        coverage=region,
        unseen=unseen,
    )
    return replace(page, spikes=spikes, cautions=(*_cautions(spikes), *page.cautions))


def _moment(
    word: str,
    time: float,
    page: Findings,
    imager: SourceImager,
    evoked: Any,
    places: Places,
    regions: tuple[float | None, int, Progress],
) -> tuple[Any, float | None]:
    """Image a moment; its region is calibrated for the samples that it was imaged from."""
    coverage, seed, progress = regions
    part, values, share = evoked, page.sources.values, page.explained
    if word == "onset":
        start = max(time - BEFORE, float(evoked.times[0]))
        part = evoked.copy().crop(start, time)
        solution = imager.solve(part)
        values = combined(solution.estimate[0].numpy(), imager.model, None)
        rows = [part.ch_names.index(name) for name in imager.info_["ch_names"]]
        data = projection(imager.info_) @ part.data[rows]
        share = explained_by(data, predict(imager, solution, data, Account()))
    times = np.asarray(part.times, float)
    sample = int(np.abs(times - time).argmin())
    names = page.sources.names
    made = spike_moment(word, values, times, sample, float(share[sample]), places, names)
    if coverage is None:
        return made, None
    found = find_regions(imager, part, values, [made.place], coverage, seed=seed, progress=progress)
    return replace(made, region=found.of[0]), float(found.unsupported().mean())


def _baseline(prepared: Prepared, page: Findings) -> tuple[float, float]:
    """Where the field power is at rest, s."""
    asked = prepared.settings.baseline
    first, last = asked if isinstance(asked, tuple) else (None, None)
    start = float(page.times[0]) if first is None else first
    return start, min(0.0, start / 2) if last is None else last


def _cautions(spikes: Spikes) -> tuple[str, ...]:
    if spikes.clear:
        return (NO_DEVICE,)
    return (
        NO_DEVICE,
        f"The average of the spikes rises only {spikes.ratio:.1f} standard deviations above its "
        "baseline: the marks may not be of one kind, or not at one point of it.",
    )


def _bads(prepared: Prepared) -> tuple[str, ...]:
    """Electrodes of the recording that are marked as bad, in the file or by the user."""
    marked = () if prepared.recording is None else prepared.recording.info["bads"]
    return tuple(dict.fromkeys([*marked, *prepared.settings.bads]))
