"""`maps.png`: the maps at the level that the audit speaks of, for a slide or an application."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from majorant.audit.advice import decibels, title
from majorant.audit.pictures import MapScale, map_scales, on_mesh
from majorant.audit.summary import ERROR, Audit
from majorant.report.colour import INK, MUTED
from majorant.report.cortex import SIDES
from majorant.report.shade import Shade

__all__ = ["poster"]

GAP = 8


def poster(audit: Audit, maps: Mapping[str, NDArray[np.float64]], shade: Shade) -> bytes:
    """Draw the maps of every solver and metric on white, as PNG.

    Parameters
    ----------
    audit : Audit
    maps : mapping
        By solver, see :func:`majorant.audit.summary.cortex_maps`.
    shade : Shade
        The cortex to draw on.
    """
    import matplotlib
    import matplotlib.style
    from matplotlib.figure import Figure

    scales, ranked = map_scales(audit.settings), audit.ranked()
    n = len(ranked)
    with matplotlib.style.context("default"), matplotlib.rc_context({"font.size": 10}):
        height = 1.55 + 2.35 * n
        figure = Figure(figsize=(12, height), facecolor="white")
        top = 1 - 0.85 / height
        bottom = 0.7 / height
        tall = (top - bottom) / n
        figure.text(0.02, 1 - 0.32 / height, _heading(audit), fontsize=14, weight="bold", color=INK)
        figure.text(0.02, 1 - 0.6 / height, _under(audit), color=MUTED)
        for row, solver in enumerate(ranked):
            scores, own = audit.values(solver), maps[solver][audit.settings.planning]
            low = top - (row + 1) * tall
            figure.text(
                0.014,
                low + tall / 2 - 0.1 / height,
                title(solver),
                rotation=90,
                va="center",
                weight="bold",
                color=INK,
            )
            for k, scale in enumerate(scales):
                axes = figure.add_axes((0.035 + 0.325 * k, low, 0.3, tall - 0.3 / height))
                axes.set_axis_off()
                axes.imshow(_block(shade, own[k, 0], audit, scale), interpolation="antialiased")
                mean = audit.estimate(scores[:, k])
                spec = ".0f" if mean.mean >= 10 else ".1f"
                axes.set_title(
                    f"{format(mean.mean, spec)} {scale.metric.unit} "
                    f"({format(mean.low, spec)} to {format(mean.high, spec)})",
                    fontsize=10,
                    color=INK,
                    pad=3,
                )
        for k, scale in enumerate(scales):
            _bar(figure, scale, 0.035 + 0.325 * k + 0.03, 0.44 / height, 0.1 / height)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, metadata={"Software": "Majorant"})
    return buffer.getvalue()


def _heading(audit: Audit) -> str:
    return f"{audit.cap.n} electrodes of {audit.cap.title}, {decibels(audit.level)}"


def _under(audit: Audit) -> str:
    best = audit.ranked()[0]
    within = audit.estimate(audit.within(audit.values(best)[:, ERROR]))
    return (
        f"Expected errors for patches of {audit.settings.extent:g} cm²; {title(best)} is within "
        f"{audit.settings.goal:g} mm in {within.mean:.0f} % of places. "
        "Means with 95 % intervals; pale is good."
    )


def _block(shade: Shade, values: NDArray[np.float64], audit: Audit, scale: MapScale) -> Image.Image:
    """Four sides of a map in a square."""
    mesh = on_mesh(values[:, None], audit.head.places, shade.surfaces)[..., 0]
    pictures = [shade.draw(view, scale.share(mesh), scale.palette, (0.0, 1.0)) for view in SIDES]
    wide, tall = pictures[0].size
    block = Image.new("RGBA", (2 * wide + GAP, 2 * tall + GAP), "white")
    for i, picture in enumerate(pictures):
        place = ((i % 2) * (wide + GAP), (i // 2) * (tall + GAP))
        block.paste(picture, place, picture)
    return block


def _bar(figure: object, scale: MapScale, left: float, bottom: float, height: float) -> None:
    from matplotlib.figure import Figure

    assert isinstance(figure, Figure)
    axes = figure.add_axes((left, bottom, 0.24, height))
    axes.imshow(scale.palette.colours(np.linspace(0, 1, 256))[None], aspect="auto")
    n = len(scale.ticks)
    axes.set_xticks(np.linspace(-0.5, 255.5, n), scale.ticks, color=INK)
    axes.set_yticks([])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(f"{scale.metric.title} ({scale.metric.unit})", color=INK)
