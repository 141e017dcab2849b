"""Regions of interest on the page: a table of all that were asked for, and the largest courses."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from majorant.findings.facts import Findings
from majorant.imager.courses import RegionCourses
from majorant.report.figures import Drawing, panels, time_limits
from majorant.report.headline import source_scale
from majorant.report.parts import Section, figure, table
from majorant.report.svg import COLOUR, SERIES, drawing, to_svg
from majorant.words import calm, clock, instant, number

__all__ = ["interest_section"]

LISTED = 40
"""Regions that the table has; the files have all."""


def interest_section(content: Findings, courses: RegionCourses) -> Section:
    """List the regions of interest, the largest first, and draw the courses of some."""
    best = np.abs(courses.data).argmax(axis=1)
    largest = np.abs(courses.data)[np.arange(len(best)), best]
    order = np.argsort(-largest, kind="stable")
    unit = source_scale(content.sources, float(largest.max(initial=0.0)))
    clk = clock(courses.times)
    rows = [
        (
            calm(courses.names[k]),
            str(courses.sizes[k]),
            instant(float(courses.times[best[k]]), clk),
            number(float(courses.data[k, best[k]]) * unit.factor),
        )
        for k in order[:LISTED]
    ]
    hidden = len(courses.names) - len(rows)
    more = f" {hidden} more are in regions.csv." if hidden else ""
    sign = (
        "Positive: current along the main direction of the region’s normals, mostly outwards."
        if courses.mode in ("mean_flip", "pca_flip")
        else "Over lengths, which have no sign."
        if not courses.signed
        else "Locations are taken with their own signs."
    )
    caption = (
        f"Regions of the atlas {calm(courses.atlas)}, the largest first; each value is the "
        f"{courses.mode} over the locations of the region. {sign}{more}"
    )
    body = Markup()
    if len(courses.times) > 1:
        body += figure(_curves(content, courses, order[: len(SERIES)]))
    body += table(("Region", "Locations", "Largest at", unit.axis), rows, caption, (1, 2, 3))
    return Section("interest", "Regions of interest", body)


def _curves(content: Findings, courses: RegionCourses, chosen: np.ndarray) -> Drawing:
    clk, legend = clock(courses.times), []
    largest = float(np.abs(courses.data[chosen]).max(initial=0.0))
    unit = source_scale(content.sources, largest)
    x = courses.times * clk.factor
    with drawing():
        made, (axes,) = panels(3.1, (1,))
        for i, k in enumerate(chosen):
            axes.plot(x, courses.data[k] * unit.factor, color=SERIES[i], lw=1.5)
            legend.append((f"s{i + 1}", calm(courses.names[k])))
        axes.axhline(0, color=COLOUR["muted"], lw=0.8)
        axes.set(xlabel=clk.axis, ylabel=unit.axis)
        time_limits((axes,), x)
        names = "; ".join(name for _, name in legend)
        svg = to_svg(made, "interest", f"Courses of regions over time: {names}.")
    return Drawing("interest", svg, "The largest of them over time.", tuple(legend))
