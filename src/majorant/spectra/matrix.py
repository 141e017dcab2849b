"""Connectivity on the page: a square of regions by regions, its strongest links as a table."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from majorant.report.colour import DOUBT, WARM, hex_codes
from majorant.report.parts import Section, colour_bar, lead, paragraphs, table
from majorant.report.templating import template
from majorant.spectra.connectivity import RegionLinks
from majorant.words import THIN, calm, number, percent

__all__ = ["links_section"]

CELL, LEFT, BELOW = 13.0, 236.0, 205.0
"""Units of the picture: a cell, and what the names take."""
LISTED = 20
PALE = 0.35
"""Opacity of what chance may have made."""


def links_section(found: RegionLinks) -> Section:
    """Draw every pair, and list the strongest."""
    low, high = found.band
    title = f"What regions share, {low:g} to {high:g}{THIN}Hz"
    body = lead(f"{found.measure.title}. {found.measure.says}")
    body += paragraphs(*found.sentences()) + _square(found) + _strongest(found)
    return Section("links", title, body)


def _square(found: RegionLinks) -> Markup:
    n = len(found.names)
    limit = max(float(found.matrix.max(initial=0.0)), np.finfo(float).tiny)
    warm = hex_codes(WARM.colours(np.clip(found.matrix / limit, 0, 1)).reshape(-1, 3))
    leaked = np.zeros((n, n)) if found.leakage is None else found.leakage
    cold = hex_codes(DOUBT.colours(np.clip(leaked, 0, 1)).reshape(-1, 3))
    cells = []
    for i in range(n):
        for j in range(n):
            if i == j or (i < j and found.leakage is None):
                continue
            below, pair = i > j, f"{found.names[i]}, {found.names[j]}"
            value = float(found.matrix[i, j])
            said = (
                f"{pair}: {number(value, 2)}"
                if below
                else f"{pair}: {percent(float(leaked[i, j]))} shared by leakage alone"
            )
            opacity = PALE if below and value <= found.chance else 1
            colour = (warm if below else cold)[i * n + j]
            cells.append((f"{LEFT + j * CELL:g}", f"{i * CELL:g}", colour, opacity, said))
    names = {
        "left": [(LEFT - 5, f"{(k + 0.78) * CELL:g}", name) for k, name in enumerate(found.names)],
        "below": [
            (f"{LEFT + (k + 0.7) * CELL:g}", f"{n * CELL + 8:g}", name)
            for k, name in enumerate(found.names)
        ],
    }
    box = f"0 0 {LEFT + n * CELL:g} {n * CELL + BELOW:g}"
    a, b = found.pairs()[0]
    alt = (
        f"{found.measure.title} of {n} regions; the strongest link is of {found.names[a]} with "
        f"{found.names[b]}, {number(float(found.matrix[a, b]), 2)}."
    )
    ticks = ("0", number(limit, 2))
    bars = colour_bar(WARM.ramp(), ticks, f"Below the diagonal: {found.measure.title.lower()}")
    if found.leakage is not None:
        what = f"Above it: what leakage alone makes them share (%){THIN}"
        bars += colour_bar(DOUBT.ramp(), ("0", "100"), what)
    drawn = template("links").square(box, f"{CELL - 0.6:g}", names, cells, alt)
    caption = (
        f"Regions of the atlas {calm(found.atlas)}. Pale: chance may have made it. Rest the "
        "pointer on a cell for its names and value."
    )
    return bars + drawn + template("links").caption(caption)


def _strongest(found: RegionLinks) -> Markup:
    heads = ("Region", "Region", found.measure.title, "Above chance", "Leakage (%)")
    rows = [
        (
            calm(found.names[a]),
            calm(found.names[b]),
            number(float(found.matrix[a, b]), 2),
            "yes" if found.matrix[a, b] > found.chance else "no",
            "" if found.leakage is None else f"{100 * found.leakage[a, b]:.0f}",
        )
        for a, b in found.pairs()[:LISTED]
    ]
    caption = "The strongest links; connectivity.csv has all pairs."
    return table(heads, rows, caption, (2, 4))
