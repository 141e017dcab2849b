"""The page of several conditions: one scale of colours, side by side, and each in full.

The explorer shows one condition at a time; whoever switches stays at the same place and moment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from majorant.findings.facts import PageContent
from majorant.forward.surfaces import Surfaces, read_surfaces
from majorant.report.cells import cells
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil, View
from majorant.report.headline import headline, place, source_scale
from majorant.report.live import explorer, worth_exploring
from majorant.report.maps import HIDDEN, colour_bar
from majorant.report.marks import Mark
from majorant.report.page import framed
from majorant.report.parts import Section, cautions, opening, table
from majorant.report.payload import MOST_SAMPLES
from majorant.report.pictures import data_uri
from majorant.report.sections import sections
from majorant.report.sheet import MOST_TABS, tabs
from majorant.report.spread import spread
from majorant.words import clock, escape, instant, mni, number

__all__ = ["render_conditions"]

SHOWN: tuple[View, ...] = tuple(VIEWS[i] for i in (0, 1, 3, 4))
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
    contents: Sequence[PageContent],
    progress: Callable[[str], None] | None = None,
) -> str:
    """Return the page as a string of HTML.

    Parameters
    ----------
    title : str
        File and conditions; untrusted.
    names : sequence of str
        Of the conditions, a contrast last; untrusted.
    contents : sequence of PageContent
        On one time axis, in one unit, with one `limit`.
    progress : callable, optional
        Called with the title of each section once it is drawn.
    """
    surfaces = read_surfaces()
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
        body = "".join(section.html() for section in sections(content, cortex))
        add(Section(f"condition-{k}", name, f"<details>{_SUMMARY}{_own(body, k)}</details>\n"))
    return framed(
        title, _header(title, names, contents), found, surfaces, contents[0].versions, bool(live)
    )


_SUMMARY = "<summary>Maps, time courses, fit, certificate and decisions</summary>\n"


def _own(html: str, k: int) -> str:
    """Make the identifiers of a condition its own, and what refers to them."""
    return _IDS.sub(rf"\g<1>c{k}-", html)


def _header(title: str, names: Sequence[str], contents: Sequence[PageContent]) -> str:
    first = contents[0]
    clk = clock(first.times)
    origin = (
        f"{first.solver['title']} estimates of {len(contents)} waves from {len(first.data)} "
        f"electrodes, {instant(first.times[0], clk)} to {instant(first.times[-1], clk)}, on one "
        "scale"
    )
    heads = [headline(content) for content in contents]
    rows = "".join(
        f"<div><dt><bdi>{escape(name)}</bdi></dt><dd>{escape(says)} {escape(also)}</dd></div>"
        for name, (says, also) in zip(names, heads, strict=True)
    )
    opened = opening(title, origin, "", "")
    own = {name: content.cautions for name, content in zip(names, contents, strict=True)}
    texts = dict.fromkeys(text for said in own.values() for text in said)
    who = {text: [name for name in names if text in own[name]] for text in texts}
    said = [text for text in texts if len(who[text]) == len(names)]
    said += [f"{', '.join(who[t])}: {t}" for t in texts if len(who[t]) < len(names)]
    return f'<header>\n{opened}<dl class="each">{rows}</dl>\n{cautions(said)}</header>\n'


def _explorers(
    names: Sequence[str], contents: Sequence[PageContent], live: Sequence[int], surfaces: Surfaces
) -> Section:
    panels: list[tuple[str, str]] = []
    for k in live[:MOST_TABS]:
        regions = cells(contents[k].sources, surfaces.faces)
        drawn = explorer(
            contents[k], regions, surfaces, max(FEWEST_SAMPLES, MOST_SAMPLES // len(live))
        )
        panels.append((names[k], _own(drawn, k)))
    return Section("explore", "Explore", tabs("wave", "Condition", panels))


def _moments(contents: Sequence[PageContent]) -> list[int]:
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


def _side_by_side(names: Sequence[str], contents: Sequence[PageContent], cortex: Cortex) -> Section:
    first = contents[0]
    limit = first.limit or max(float(np.abs(c.sources.values).max(initial=0.0)) for c in contents)
    title = "Side by side"
    if not limit:
        return Section("side-by-side", title, "<p>All estimates are zero everywhere.</p>\n")
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
        heads = "".join(f'<span class="head">{escape(view.name)}</span>' for view in SHOWN)
        rows = "".join(
            _row(name, content, mesh[..., i], sample, (cortex, scale, veil), when)
            for name, content, mesh in zip(names, contents, meshes, strict=True)
        )
        panels.append((when, f'<div class="stack"><span></span>{heads}{rows}</div>'))
    lead = (
        "Every row is a wave, at the moments at which one of them leads. One scale for all: a "
        "colour means the same amplitude in every picture, and what stays below a quarter of the "
        "largest amplitude of all is grey. Ring: the strongest place of the row at that moment."
    )
    shown = f'<p class="lead">{escape(lead)}</p>\n{colour_bar(scale, ticks, unit.axis)}'
    return Section("side-by-side", title, shown + tabs("moment", "Time", panels))


def _row(
    name: str,
    content: PageContent,
    mesh: np.ndarray,
    sample: int,
    drawn: tuple[Cortex, Scale, Veil],
    when: str,
) -> str:
    cortex, scale, veil = drawn
    maps = content.sources
    best = int(np.abs(maps.values[:, sample]).argmax())
    value = float(maps.values[best, sample])
    unit = source_scale(maps, scale.limit)
    mark = Mark(int(maps.hemisphere[best]), int(maps.vertices[best]))
    at = maps.positions_mni[best]
    pictures = []
    for view in SHOWN:
        image = cortex.draw(view, mesh, scale, veil, [mark], 1.3)
        alt = escape(f"{name} at {when}, {view.name}")
        pictures.append(
            f'<img src="{data_uri(image)}" width="{image.width}" height="{image.height}" '
            f'alt="{alt}">'
        )
    where = mni((float(at[0]), float(at[1]), float(at[2])))
    said = f"{unit.say(value)}<br>({where})"
    return f'<span class="who"><bdi>{escape(name)}</bdi><small>{said}</small></span>' + "".join(
        pictures
    )


def _at_peaks(names: Sequence[str], contents: Sequence[PageContent]) -> Section:
    """Every wave's amplitude at the peaks of all."""
    title = "At each other’s peaks"
    if not any(content.peaks for content in contents):
        return Section("at-peaks", title, "<p>No wave has a peak to compare at.</p>\n")
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
