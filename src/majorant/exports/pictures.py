"""Pictures as files: the page's plots as SVG, its maps of the strongest moment as PNG."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import numpy as np

from majorant.exports.material import Material, Sidecar
from majorant.findings.facts import Findings
from majorant.forward.template import template_surfaces
from majorant.report import figures
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil
from majorant.report.maps import CLEAR, HIDDEN
from majorant.report.marks import PALE, WHITE, Mark
from majorant.report.spread import spread

__all__ = ["write_png", "write_svg"]

HEIGHT = 660
"""Pixels of a view: 5.6 cm at 300 dots an inch."""


def write_svg(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write the plots over time, in the page's light colours: ``figure_sensors.svg`` and others."""
    content = material.content
    drawn = {}
    if len(content.times) > 1:
        drawn["sensors"] = figures.butterfly(content)
        drawn["fit"] = figures.fit(content)
        if np.any(content.sources.values):
            drawn["courses"] = figures.time_courses(content)
    found = {}
    for name, drawing in drawn.items():
        path = folder / f"figure_{name}.svg"
        path.write_text(_standing_alone(drawing.svg), "utf-8")
        legend = "; ".join(f"{colour}: {what}" for colour, what in drawing.legend)
        found[path.name] = {"Description": f"{drawing.caption} {legend}".strip()}
    return found


def _standing_alone(svg: str) -> str:
    """The SVG of a page as a file: its colours and font written out."""
    css = resources.files("majorant.report").joinpath("page.css").read_text("utf-8")
    light = dict(re.findall(r"--([\w-]+):\s*([^;]+);", css[: css.index("@media")]))
    text = re.sub(r"var\(--([\w-]+)\)", lambda m: light.get(m[1], "#000000").replace('"', "'"), svg)
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return text.replace("<svg ", f"<svg {names} ", 1)


def write_png(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``figure_cortex.png``: six views of the template at the strongest moment."""
    from PIL import Image

    content = material.content
    moment = content.moments(1)[0]
    values = content.sources.values[:, [moment.sample]]
    largest = float(np.abs(values).max(initial=0.0)) or 1.0
    scale = Scale(content.limit or largest, content.sources.signed)
    surfaces = template_surfaces()
    cortex = Cortex(surfaces, HEIGHT)
    mapped = spread(content.sources, values, surfaces.faces)[..., 0]
    veil = Veil(HIDDEN * largest, CLEAR * largest)
    marks = [_ring(content, peak.location, rank) for rank, peak in moment.peaks]
    views = [cortex.draw(view, mapped, scale, veil, marks) for view in VIEWS]
    rows = [views[:3], views[3:]]
    width = max(sum(view.width for view in row) for row in rows)
    sheet = Image.new("RGB", (width, 2 * HEIGHT), "white")
    for k, row in enumerate(rows):
        left = (width - sum(view.width for view in row)) // 2
        for view in row:
            sheet.paste(view, (left, k * HEIGHT), view)
            left += view.width
    sheet.save(folder / "figure_cortex.png", dpi=(300, 300))
    said = material.about(
        f"The estimate at {1e3 * moment.time:.0f} ms on the template's cortex: "
        f"{', '.join(view.name for view in VIEWS)}. The strongest colour is {largest:.4g}; below "
        "a quarter of it the cortex is grey. Rings: peaks by rank, grey where something speaks "
        "against them.",
    )
    return {"figure_cortex.png": said}


def _ring(content: Findings, location: int, rank: int) -> Mark:
    maps = content.sources
    vertex = int(maps.hemisphere[location]), int(maps.vertices[location])
    return Mark(*vertex, "peak", str(rank), PALE if any(content.doubts[rank - 1 : rank]) else WHITE)
