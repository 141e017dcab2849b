"""Maps on the page: the cortex at the peaks, and the head at the same moments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from majorant.findings.facts import Findings, Moment, SourceMaps
from majorant.report.colour import DIVERGING, hex_codes
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil, colours, ramp
from majorant.report.headline import place, source_scale
from majorant.report.marks import PALE, WHITE, Mark
from majorant.report.parts import Section, colour_bar, lead, paragraphs
from majorant.report.pictures import still
from majorant.report.sensors import sensor_positions
from majorant.report.spread import spread
from majorant.report.templating import template
from majorant.report.topography import HeadMap
from majorant.words import (
    clock,
    instant,
    number,
    percent,
)

__all__ = ["CLEAR", "HIDDEN", "PLACES", "cortex_section", "topographies"]

HIDDEN, CLEAR = 0.25, 0.5
"""Shares of a moment's largest value up to which the map is grey, and from which it is coloured."""
FEW = 24
"""Coloured locations up to which each is drawn as a dot: sparse estimates."""
SMALL_MARKS = 1.9
"""How much larger marks are in the maps that are shown smaller."""
PLACES = (1, 2, 5, 3, 4, 6)
"""Where the views stand when they are in one row, or in two columns."""


def cortex_section(content: Findings, cortex: Cortex) -> Section:
    """Draw the estimate on the cortex at the peaks, the strongest large."""
    title, maps, moments = "On the cortex", content.sources, content.moments()
    columns = maps.values[:, [moment.sample for moment in moments]]
    limit = float(np.abs(columns).max(initial=0.0))
    if limit == 0:
        when = "everywhere" if not np.any(maps.values) else "when the data vary most"
        return Section(
            "cortex", title, paragraphs(f"There is no map: the estimate is zero {when}.")
        )
    scale = Scale(content.limit or limit, maps.signed)
    on_mesh = spread(maps, columns, cortex.surfaces.faces)
    shown = [
        _moment(content, cortex, moment, on_mesh[..., i], scale, large=i == 0)
        for i, moment in enumerate(moments)
    ]
    return Section("cortex", title, Markup().join([_key(content, scale), *shown]))


def _key(content: Findings, scale: Scale) -> Markup:
    """Return what the colours, the grey and the marks mean."""
    unit = source_scale(content.sources, scale.limit)
    end = number(scale.limit * unit.factor)
    ticks = (f"−{end}", "0", end) if scale.signed else ("0", end)
    what = (
        "Warm colours: current along the outward normal of the cortex; cold: inward."
        if scale.signed
        else "Magnitudes, without a sign."
    )
    marks = ""
    if content.peaks:
        marks += " Rings: peaks, by rank."
        if any(content.doubts):
            marks += " Grey rings: something speaks against these peaks; the table says what."
    if content.truth:
        marks += " Crosses: simulated sources."
    says = (
        f"One colour bar for all maps. {what} Colour fades in from {percent(HIDDEN)} to "
        f"{percent(CLEAR)} of the largest value at the same moment; below is grey, and the sulci "
        f"are darker.{marks}"
    )
    return lead(says) + colour_bar(ramp(scale), ticks, unit.axis)


def _moment(
    content: Findings,
    cortex: Cortex,
    moment: Moment,
    values: NDArray[np.float64],
    scale: Scale,
    large: bool,
) -> Markup:
    """Return one moment's figure: all views and a caption that says the threshold."""
    maps, unit = content.sources, source_scale(content.sources, scale.limit)
    cortex = cortex if large else cortex.small
    when = instant(moment.time, clock(content.times))
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    veil = Veil(HIDDEN * largest, CLEAR * largest)
    dots = _dots(maps, maps.values[:, moment.sample], veil, scale)
    peaks = [
        Mark(*_vertex(maps, peak.location), "peak", str(rank), _ring(content, rank))
        for rank, peak in moment.peaks
    ]
    truth = [cortex.mark_at(source.hemisphere, source.mni) for source in content.truth]
    pictures = []
    for view, order in zip(VIEWS, PLACES, strict=True):
        size = 1.0 if large else SMALL_MARKS
        picture = cortex.draw(view, values, scale, veil, [*dots, *truth, *peaks], size)
        alt = f"Cortex, {view.name}, at {when}. {_in_view(cortex.seen(view, peaks))}"
        pictures.append((order, still(picture, alt), view.name))
    rank = "-".join(str(rank) for rank, _ in moment.peaks) or "none"
    caption = "The estimate is zero at this moment."
    if largest > 0:
        caption = (
            f"Largest value {unit.say(largest)}; colour fades in from {unit.say(veil.hidden_to)} "
            f"to {unit.say(veil.clear_from)}."
        )
    if dots:
        caption += " Dots: the few locations that carry the estimate."
    return template("image").maps(
        rank, moment.sample, _title(content, moment), pictures, large, caption
    )


def _title(content: Findings, moment: Moment) -> str:
    """Return the time and the peaks of a moment, those of one lobe together."""
    clk = clock(content.times)
    when = instant(moment.time, clk)
    ranks: dict[str, list[str]] = {}
    for rank, peak in moment.peaks:
        own = instant(peak.time, clk)
        ranks.setdefault(place(peak), []).append(str(rank) if own == when else f"{rank} ({own})")
    names = [
        f"peak{'s' if len(own) > 1 else ''} {', '.join(own)} in the {where}"
        for where, own in ranks.items()
    ]
    return f"{when}: {'; '.join(names) or 'no peak stands out'}"


def _ring(content: Findings, rank: int) -> str:
    """Colour of the ring of a peak: pale where something speaks against it."""
    return PALE if content.doubts and content.doubts[rank - 1] else WHITE


def _vertex(maps: SourceMaps, location: int) -> tuple[int, int]:
    """Return hemisphere and vertex of a location."""
    return int(maps.hemisphere[location]), int(maps.vertices[location])


def _dots(maps: SourceMaps, values: NDArray[np.float64], veil: Veil, scale: Scale) -> list[Mark]:
    """Return a dot for every coloured location if they are so few that a map would hide them."""
    strong = np.flatnonzero(np.abs(values) > veil.hidden_to)
    if maps.parcels is not None or len(strong) > FEW:
        return []
    codes = hex_codes(colours(values[strong], scale))
    weak_first = np.argsort(np.abs(values[strong]))
    return [Mark(*_vertex(maps, int(strong[i])), "dot", colour=codes[i]) for i in weak_first]


def _in_view(marks: Sequence[Mark]) -> str:
    names = ", ".join(mark.label for mark in marks)
    return f"In view: peak {names}." if marks else "No peak in view."


def topographies(content: Findings) -> Markup:
    """Return a table of head maps: recorded, explained and unexplained at the peaks."""
    xy = sensor_positions(content.info)
    if xy is None:
        return paragraphs("There are no topographies: some electrodes have no position.")
    head = HeadMap(xy, tuple(content.info["ch_names"]))
    clk = clock(content.times)
    columns, rows = [], {"recorded": [], "explained": [], "unexplained": []}
    for moment in sorted(content.moments(), key=lambda moment: moment.sample):
        recorded, explained = (part[:, moment.sample] for part in (content.data, content.predicted))
        limit = float(max(np.abs(recorded).max(), np.abs(explained).max()))
        when, ends = instant(moment.time, clk), f"±{number(limit * 1e6)}\u202fµV"
        ranks = ", ".join(str(rank) for rank, _ in moment.peaks)
        columns.append((f"{ranks} · {when}" if ranks else when, ends))
        parts = (recorded, explained, recorded - explained)
        for (what, cells), values in zip(rows.items(), parts, strict=True):
            alt = f"Potential over the head, {what}, at {when}; colours end at {ends}"
            cells.append(head.draw(values, limit, alt))
    moments = "at the peaks" if content.peaks else "when they vary most over the head"
    note = (
        "Seen from above, nose up. Each column has its own scale, whose ends stand above it; "
        "contours at quarters of it."
    )
    if head.sparse:
        note += " Pale: far from all electrodes, so guessed."
    return template("image").topographies(
        head.outline(),
        f"Potentials {moments}",
        columns,
        list(rows.items()),
        DIVERGING.ramp(),
        note,
    )
