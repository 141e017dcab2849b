"""The page of several conditions: one scale of colours, side by side, and each in full.

The explorer shows one condition at a time; whoever switches stays at the same place and moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from majorant.findings.facts import Findings
from majorant.forward.surfaces import Surfaces
from majorant.forward.template import template_surfaces
from majorant.report.cells import cells
from majorant.report.cortex import SIDES, Cortex, Scale, Veil, ramp
from majorant.report.frame import framed
from majorant.report.headline import headline, place, source_scale
from majorant.report.live import explorer, worth_exploring
from majorant.report.maps import HIDDEN
from majorant.report.marks import Mark
from majorant.report.parts import (
    MOST_TABS,
    Section,
    StackRow,
    cautions,
    colour_bar,
    lead,
    opening,
    paragraphs,
    shared_cautions,
    stack,
    table,
    tabs,
)
from majorant.report.payload import MOST_SAMPLES, Explored
from majorant.report.pictures import still
from majorant.report.sections import sections
from majorant.report.spread import spread
from majorant.report.templating import template
from majorant.words import clock, instant, mni, number

__all__ = ["render_conditions"]

SMALL, MEDIUM = 264, 340
"""Pixels of a picture where conditions stand side by side, and where one stands alone."""
CLEAR = 0.5
MOST_MOMENTS = 4
FEWEST_SAMPLES = 100
"""Of an estimate on the page, however many share it: pages of all sizes are to be sent by mail."""
_IDS = re.compile(
    r'( id="| for="| aria-labelledby="| href="#| xlink:href="#|url\(#)(?!surface")', re.ASCII
)


def render_conditions(
    title: str,
    names: Sequence[str],
    contents: Sequence[Findings],
    progress: Callable[[str], None] | None = None,
) -> str:
    """Return the page as a string of HTML.

    Parameters
    ----------
    title : str
        File and conditions; untrusted.
    names : sequence of str
        Of the conditions, a contrast last; untrusted.
    contents : sequence of Findings
        On one time axis, in one unit, with one `limit`.
    progress : callable, optional
        Called with the title of each section once it is drawn.
    """
    surfaces = template_surfaces()
    found: list[Section] = []

    def add(section: Section) -> None:
        found.append(section)
        if progress is not None:
            progress(section.title)

    live = [k for k, content in enumerate(contents) if worth_exploring(content)]
    if live:
        add(_explorers(names, contents, live, surfaces))
    add(_side_by_side(names, contents, Cortex(surfaces, SMALL)))
    add(_at_peaks(names, contents))
    cortex = Cortex(surfaces, MEDIUM)
    for k, (name, content) in enumerate(zip(names, contents, strict=True)):
        body = Markup().join(section.html() for section in sections(content, cortex))
        folded = template("conditions").folded(_own(body, k))
        add(Section(f"condition-{k}", name, folded))
    header = _header(title, names, contents)
    return framed(f"{title} · source estimates", header, found, surfaces if live else None)


def _own(html: Markup, k: int) -> Markup:
    """Make the identifiers of a condition its own, and what refers to them."""
    return Markup(_IDS.sub(rf"\g<1>c{k}-", str(html)))  # of a Markup, it would escape


def _header(title: str, names: Sequence[str], contents: Sequence[Findings]) -> Markup:
    first = contents[0]
    clk = clock(first.times)
    origin = (
        f"{first.solver['title']} estimates of {len(contents)} waves from {len(first.data)} "
        f"electrodes, {instant(first.times[0], clk)} to {instant(first.times[-1], clk)}, on one "
        "scale"
    )
    heads = [(name, *headline(one)) for name, one in zip(names, contents, strict=True)]
    own = {name: content.cautions for name, content in zip(names, contents, strict=True)}
    opened = opening(title, origin, "", "")
    return opened + template("conditions").each(heads) + cautions(shared_cautions(own))


def _explorers(
    names: Sequence[str], contents: Sequence[Findings], live: Sequence[int], surfaces: Surfaces
) -> Section:
    panels: list[tuple[str, Markup]] = []
    for k in live[:MOST_TABS]:
        regions = cells(contents[k].sources, surfaces.faces)
        most = max(FEWEST_SAMPLES, MOST_SAMPLES // len(live))
        drawn = explorer(Explored.of(contents[k]), regions, surfaces, most)
        panels.append((names[k], _own(drawn, k)))
    return Section("explore", "Explore", tabs("wave", "Condition", panels))


def _moments(contents: Sequence[Findings]) -> list[int]:
    """Samples at which conditions are compared: the leading peaks, in time."""
    times, found = contents[0].times, []
    for content in contents:
        if not content.peaks:
            continue
        peak = content.peaks[content.leading or 0]
        sample = int(np.abs(times - peak.time).argmin())
        if all(abs(times[sample] - times[other]) >= 0.010 for other in found):
            found.append(sample)
    strongest = int(np.abs(contents[0].data).max(axis=0).argmax())
    return sorted(found[:MOST_MOMENTS]) or [strongest]


def _side_by_side(names: Sequence[str], contents: Sequence[Findings], cortex: Cortex) -> Section:
    first = contents[0]
    limit = first.limit or max(float(np.abs(c.sources.values).max(initial=0.0)) for c in contents)
    title = "Side by side"
    if not limit:
        return Section("side-by-side", title, paragraphs("All estimates are zero everywhere."))
    scale, unit = Scale(limit, first.sources.signed), source_scale(first.sources, limit)
    end = number(limit * unit.factor)
    ticks = (f"−{end}", "0", end) if scale.signed else ("0", end)
    samples = _moments(contents)
    meshes = [
        spread(c.sources, c.sources.values[:, samples], cortex.surfaces.faces) for c in contents
    ]
    veil = Veil(HIDDEN * limit, CLEAR * limit)
    panels = []
    for i, sample in enumerate(samples):
        when = instant(first.times[sample], clock(first.times))
        rows = [
            _row(name, content, mesh[..., i], sample, (cortex, scale, veil), when)
            for name, content, mesh in zip(names, contents, meshes, strict=True)
        ]
        panels.append((when, stack([view.name for view in SIDES], rows)))
    says = (
        "Every row is a wave, at the moments at which one of them leads. One scale for all: a "
        "colour means the same amplitude in every picture, and what stays below a quarter of the "
        "largest amplitude of all is grey. Ring: the strongest place of the row at that moment."
    )
    shown = lead(says) + colour_bar(ramp(scale), ticks, unit.axis)
    return Section("side-by-side", title, shown + tabs("moment", "Time", panels))


def _row(
    name: str,
    content: Findings,
    mesh: np.ndarray,
    sample: int,
    drawn: tuple[Cortex, Scale, Veil],
    when: str,
) -> StackRow:
    cortex, scale, veil = drawn
    maps = content.sources
    best = int(np.abs(maps.values[:, sample]).argmax())
    value = float(maps.values[best, sample])
    unit = source_scale(maps, scale.limit)
    mark = Mark(int(maps.hemisphere[best]), int(maps.vertices[best]))
    at = maps.positions_mni[best]
    pictures = [
        still(cortex.draw(view, mesh, scale, veil, [mark], 1.3), f"{name} at {when}, {view.name}")
        for view in SIDES
    ]
    where = mni((float(at[0]), float(at[1]), float(at[2])))
    return StackRow(name, (unit.say(value), f"({where})"), tuple(pictures))


def _at_peaks(names: Sequence[str], contents: Sequence[Findings]) -> Section:
    """Every wave's amplitude at the peaks of all."""
    title = "At each other’s peaks"
    if not any(content.peaks for content in contents):
        return Section("at-peaks", title, paragraphs("No wave has a peak to compare at."))
    first = contents[0]
    limit = first.limit or 0.0
    unit, clk = source_scale(first.sources, limit), clock(first.times)
    rows = []
    for name, content in zip(names, contents, strict=True):
        for rank, peak in enumerate(content.peaks, 1):
            sample = int(np.abs(first.times - peak.time).argmin())
            own = [c.sources.values[peak.location, sample] * unit.factor for c in contents]
            amounts = [number(float(v)) for v in own]
            rows.append(
                (f"{name} {rank}", instant(peak.time, clk), place(peak), mni(peak.mni), *amounts)
            )
    heads = ("Peak of", "Time", "Place", "MNI x, y, z (mm)", *names)
    caption = (
        f"Amplitudes at the same place and moment in {unit.label.strip('()')}. A contrast is the "
        "estimate of the difference wave: where amplitudes have no sign it says how much two waves "
        "differ, and these columns say which is the larger."
    )
    numeric = tuple(range(3, 4 + len(names)))
    return Section("at-peaks", title, table(heads, rows, caption, numeric=numeric))
