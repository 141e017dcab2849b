"""Cortices of an audit: every map on a fixed scale, so that two audits can be laid side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from majorant.audit.judge import METRICS, Metric
from majorant.audit.settings import AuditSettings
from majorant.findings.facts import SourceMaps
from majorant.forward.surfaces import Surfaces
from majorant.head.places import Places
from majorant.report.colour import BLUE, BROWN, PURPLE, Palette
from majorant.report.cortex import SIDES
from majorant.report.parts import colour_bar
from majorant.report.pictures import Still, still
from majorant.report.shade import Shade
from majorant.report.spread import spread
from majorant.words import THIN, written

__all__ = ["MapScale", "four_sides", "map_scales", "on_mesh", "spans"]


@dataclass(frozen=True)
class MapScale:
    """How a metric becomes colour.

    Attributes
    ----------
    metric : Metric
    palette : Palette
    high : float
        Value of the last colour; the first is 0.
    power : float
        1, or 2 where the scale is one of square roots.
    ticks : tuple of str
        From left to right.
    """

    metric: Metric
    palette: Palette
    high: float
    power: float
    ticks: tuple[str, ...]

    def share(self, values: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Return positions on the scale, 0 to 1."""
        whole = np.asarray(values, dtype=np.float64) / self.high
        return np.clip(whole, 0.0, 1.0) ** (1.0 / self.power)

    def key(self) -> Markup:
        """Return its colour bar."""
        roots = "; a scale of square roots" if self.power != 1 else ""
        label = f"{self.metric.title} ({self.metric.unit}): {self.metric.summary}{roots}"
        return colour_bar(self.palette.ramp(), self.ticks, label, "key")


def map_scales(settings: AuditSettings) -> tuple[MapScale, ...]:
    """Scales of the three metrics: twice the goal, all of the patch, nine times its area."""
    goal, extent = settings.goal, settings.extent
    highs, powers = (2 * goal, 100.0, 9 * extent), (1.0, 1.0, 2.0)
    ticks = (
        ("0", f"{goal:g} (goal)", f"{2 * goal:g} or more"),
        ("0", "50", "100"),
        ("0", f"{extent:g} (as the patch)", f"{4 * extent:g}", f"{9 * extent:g} or more"),
    )
    palettes = (BLUE, BROWN, PURPLE)
    return tuple(map(MapScale, METRICS, palettes, highs, powers, ticks))


def on_mesh(values: NDArray[np.float64], places: Places, surfaces: Surfaces) -> NDArray[np.float64]:
    """Carry values (n_locations, n_maps) to every vertex, (2, n_vertices, n_maps)."""
    maps = SourceMaps(
        values=values,
        positions_mni=places.mni,
        hemisphere=places.hemisphere,
        vertices=places.vertices,
        unit="",
        signed=False,
        parcels=places.parcels,
    )
    return spread(maps, values, surfaces.faces)


def four_sides(
    shade: Shade,
    values: NDArray[np.floating],
    palette: Palette,
    ends: Sequence[float],
    what: str,
) -> list[Still]:
    """Return the four sides of a map; `what` is told to those who do not see it."""
    return [
        still(shade.draw(view, values, palette, ends), f"{what}, {view.name}", 84) for view in SIDES
    ]


def spans(values: NDArray[np.floating], unit: str) -> str:
    """Say the range of the middle nine tenths of a map."""
    low, high = np.nanquantile(values, [0.05, 0.95])
    return f"{written(low, '.0f')} to {written(high, '.0f')}{THIN}{unit}"
