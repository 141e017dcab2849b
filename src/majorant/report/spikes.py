"""Averaged spikes on the page: what a reader of such a report asks, in one place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from markupsafe import Markup

from majorant.findings.facts import Findings, SpikeMoment, Spikes
from majorant.findings.spikes import NO_DEVICE
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil
from majorant.report.headline import place, source_scale
from majorant.report.maps import CLEAR, HIDDEN, PLACES
from majorant.report.marks import Mark
from majorant.report.parts import Section, lead, table
from majorant.report.pictures import still
from majorant.report.regions import region_words
from majorant.report.spread import spread
from majorant.report.templating import template
from majorant.words import THIN, calm, clock, instant, mni, number, percent

__all__ = ["spike_words", "spikes_section"]

HEADS: Mapping[str, str] = {"onset": "Onset", "peak": "Peak"}


def spike_words(content: Findings) -> tuple[str, ...]:
    """Return what was found in whole sentences, one for onset and one for the peak."""
    spikes = content.spikes
    assert spikes is not None
    clk = clock(content.times)
    said = [f"{spikes.count} spikes averaged, {len(spikes.electrodes)} electrodes."]
    for moment in spikes.moments:
        region = "" if moment.region is None else f"; region: {region_words(moment.region)}"
        own, when = moment.place, instant(moment.place.time, clk)
        said.append(
            f"{HEADS[moment.word]} at {when}: {place(own)} (MNI {mni(own.mni)}{THIN}mm), "
            f"{percent(moment.explained)} explained{region}."
        )
    return tuple(said)


def spikes_section(content: Findings, cortex: Cortex) -> Section:
    """Draw the map at onset and peak, and answer what is asked of a report."""
    spikes = content.spikes
    assert spikes is not None
    drawn = Markup().join(_map(content, cortex, moment) for moment in spikes.moments)
    return Section("spikes", "Spikes", lead(NO_DEVICE) + _answers(content, spikes) + drawn)


def _answers(content: Findings, spikes: Spikes) -> Markup:
    clk, unit = clock(content.times), source_scale(content.sources, _largest(spikes))
    rows = [("Spikes averaged", str(spikes.count))]
    for moment in spikes.moments:
        own = moment.place
        rows.append(
            (
                f"{HEADS[moment.word]}, {instant(own.time, clk)}",
                f"{place(own)} (MNI {mni(own.mni)}{THIN}mm), {unit.say(own.amplitude)}, "
                f"{percent(moment.explained)} of the variance explained",
            )
        )
        if spikes.coverage is not None:
            sure = f"{HEADS[moment.word]}, {percent(spikes.coverage)} region"
            rows.append((sure, region_words(moment.region)))
    rows += [
        ("From onset to peak", f"{spikes.moved_mm:.0f}{THIN}mm"),
        (
            "Field power at the peak",
            f"{number(spikes.ratio, 2)} standard deviations of its baseline",
        ),
        ("Electrodes used", f"{len(spikes.electrodes)}: {', '.join(map(calm, spikes.electrodes))}"),
        ("Left out as bad", ", ".join(map(calm, spikes.bads)) or "none"),
        ("Head", str(content.settings.get("forward", "template"))),
        ("Method", content.solver["title"]),
        ("What was not seen", _unseen(spikes)),
    ]
    caption = (
        "Onset: the field power has risen half of the way from its baseline to the peak. At the "
        "peak the activity has often spread, so the onset is the nearer guess at where it began. "
        "The onset is imaged from the 15 ms up to it alone, the peak from the whole window."
    )
    return table(("", ""), rows, caption, kind="pairs full")


def _unseen(spikes: Spikes) -> str:
    if spikes.unseen is None:
        return (
            "not known: --region 0.9 says by simulations on which cortex a source as strong would "
            "have been missed"
        )
    return (
        f"{percent(spikes.unseen)} of the cortex: a source as strong as at the peak would more "
        "often be missed there than found; deep structures such as the hippocampus are not in the "
        "source space at all"
    )


def _largest(spikes: Spikes) -> float:
    return max(abs(moment.place.amplitude) for moment in spikes.moments)


def _map(content: Findings, cortex: Cortex, moment: SpikeMoment) -> Markup:
    maps = content.sources
    values = spread(maps, moment.values[:, None], cortex.surfaces.faces)[..., 0]
    limit = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    own = moment.place.location
    marks = [Mark(int(maps.hemisphere[own]), int(maps.vertices[own]), "peak", "")]
    veil, scale = Veil(HIDDEN * limit, CLEAR * limit), Scale(limit, maps.signed)
    when = instant(moment.place.time, clock(content.times))
    pictures = [
        (
            order,
            still(
                cortex.draw(view, values, scale, veil, marks, 1.9),
                f"Cortex, {view.name}, at the {moment.word} of the spikes",
            ),
            view.name,
        )
        for view, order in zip(VIEWS, PLACES, strict=True)
    ]
    title = f"{HEADS[moment.word]}, {when}: {place(moment.place)}"
    caption = f"Largest value {source_scale(maps, limit).say(limit)}; ring: where it is."
    return template("image").maps(f"spike-{moment.word}", None, title, pictures, False, caption)
