"""Where the sources of the peaks are, and where the data say nothing: a table and the cortex."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from majorant.findings.facts import Findings, Region, Regions
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil
from majorant.report.maps import PLACES
from majorant.report.marks import Mark
from majorant.report.parts import Section, paragraphs, table
from majorant.report.pictures import still
from majorant.report.spread import spread
from majorant.report.templating import template
from majorant.words import number, percent

__all__ = ["region_cells", "region_words", "regions_section"]

NAMED = 3
"""Places of a region that are named."""


def region_words(region: Region | None) -> str:
    """Return a region as one reads it: ``12 cm², left occipital 80 %, left parietal 20 %``."""
    if region is None:
        return "too few simulations"
    size = "below 1" if region.area_cm2 < 1 else number(region.area_cm2, 2)
    names = ", ".join(f"{name} {percent(share)}" for name, share in region.places[:NAMED])
    return f"{size} cm², {names}" if names else f"{size} cm²"


def region_cells(content: Findings) -> Sequence[str]:
    """Return the area of every peak's region, cm², for the table of peaks; empty without them."""
    if content.regions is None:
        return ()
    return tuple(
        "" if region is None else number(max(region.area_cm2, 1.0), 2)
        for region in content.regions.of
    )


def regions_section(content: Findings, cortex: Cortex) -> Section:
    """Draw the region of the peak that leads, and list those of all."""
    regions = content.regions
    assert regions is not None
    title = f"Where the sources are, {percent(regions.coverage)} sure"
    heads = ("Peak", "Area (cm²)", "Places", "Had a source (%)")
    rows = [
        (str(rank), "", "too few simulations", "")
        if region is None
        else (
            str(rank),
            number(region.area_cm2, 2),
            region_words(region).partition(" cm², ")[2],
            f"{100 * region.real:.0f}",
        )
        for rank, region in enumerate(regions.of, 1)
    ]
    caption = (
        "Had a source: of simulated peaks as high in the map of their own moment, those with a "
        "source within 30 mm; the strongest peak is compared with the strongest ones."
    )
    listed = table(heads, rows, caption, numeric=(1, 3))
    body = _picture(content, regions, cortex) + listed + paragraphs(regions.how)
    return Section("regions", title, body)


def _picture(content: Findings, regions: Regions, cortex: Cortex) -> Markup:
    """The leading region in warm colours, unsupported cortex in cold ones."""
    k, maps = content.leading or 0, content.sources
    region = regions.of[k] if k < len(regions.of) else None
    values = np.where(regions.unsupported(), -1.0, 0.0)
    if region is not None:
        values[region.locations] = 0.7
    on_mesh = spread(maps, values[:, None], cortex.surfaces.faces)[..., 0]
    peak = regions.peaks[k]
    spot = int(maps.hemisphere[peak.location]), int(maps.vertices[peak.location])
    marks = [Mark(*spot, "peak", str(k + 1))]
    marks += [cortex.mark_at(source.hemisphere, source.mni) for source in content.truth]
    said = f"the region of peak {k + 1}, and cortex that the data do not speak of"
    pictures = [
        (
            order,
            still(
                cortex.small.draw(view, on_mesh, Scale(1.0, True), Veil(0.3, 0.5), marks, 1.9),
                f"Cortex, {view.name}: {said}",
            ),
            view.name,
        )
        for view, order in zip(VIEWS, PLACES, strict=True)
    ]
    caption = (
        f"Warm: the region of peak {k + 1}, {region_words(region)}. Blue: cortex where another "
        "source as strong would be missed, so that a map without a peak there says nothing; at "
        "most one in twenty simulated sources that were found lay in such a place."
    )
    firm = float(regions.supported().mean())
    if firm > 0:
        caption += (
            f" In {percent(firm)} of the places such a source would have been found: at most one "
            "in twenty of those that were missed lay there."
        )
    left = regions.found[regions.support == 0]
    if len(left):
        low, high = (percent(float(share)) for share in np.quantile(left, [0.1, 0.9]))
        between = low if low == high else f"{low} to {high}"
        caption += f" Elsewhere it is left open: {between} of such sources were found."
    return template("image").maps("region", None, "", pictures, False, caption)
