"""Line plots of an audit: errors against the level, and where the electrodes sit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from majorant.audit.advice import decibels, title
from majorant.audit.cap import Cap
from majorant.audit.judge import METRICS
from majorant.audit.summary import Audit
from majorant.report.figures import Drawing
from majorant.report.svg import COLOUR, SERIES, WIDTH, drawing, plain, to_svg
from majorant.words import number

__all__ = ["curves", "electrode_map"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
NAMED = 40
"""Electrodes up to which their names are written."""


def curves(audit: Audit) -> Drawing:
    """Every metric against the level, a line with its band per solver."""
    from matplotlib.figure import Figure

    levels, ranked = audit.settings.snr_levels, audit.ranked()
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.4))
        panels = figure.subplots(1, 3)
        for axes, (k, metric) in zip(panels, enumerate(METRICS), strict=True):
            for i, solver in enumerate(ranked):
                found = audit.curve(solver, k)
                colour, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
                low, high = [e.low for e in found], [e.high for e in found]
                axes.fill_between(levels, low, high, color=colour, alpha=0.16, lw=0)
                axes.plot(levels, [e.mean for e in found], color=colour, marker=marker, ms=5)
            axes.axvline(audit.level, color=COLOUR["mark"], lw=0.9, ls=(0, (4, 3)))
            axes.set(xlabel="Signal-to-noise ratio (dB)", ylabel=f"{metric.title} ({metric.unit})")
            axes.set_xticks(levels)
            axes.set_ylim(bottom=0)
        figure.subplots_adjust(left=0.055, right=0.99, top=0.96, bottom=0.16, wspace=0.24)
        alt = "Errors against the signal-to-noise ratio: " + "; ".join(
            f"{title(s)} {number(audit.curve(s, 0)[0].mean)} mm at {decibels(levels[0])} and "
            f"{number(audit.curve(s, 0)[-1].mean)} mm at {decibels(levels[-1])}"
            for s in ranked
        )
        svg = to_svg(figure, "curves", alt)
    caption = (
        "Means over the cortex; bands are 95 % intervals. Dashed: the level that this page speaks "
        "of. Averaging n times as many trials moves to the right by 10 log₁₀ n: 3 dB for twice as "
        "many, 6 dB for four times, 10 dB for ten times."
    )
    legend = tuple((f"s{i % len(SERIES) + 1}", title(s)) for i, s in enumerate(ranked))
    return Drawing("curves", svg, caption, legend)


def electrode_map(cap: Cap) -> str:
    """The electrodes from above, nose up, as an SVG element; those not chosen are hollow."""
    from matplotlib.figure import Figure

    xy = _from_above(cap.positions)
    n_drawn = max(cap.n, min(cap.n_offered, len(xy)))
    with drawing():
        figure = Figure(figsize=(4.9, 5.0))
        axes = figure.add_axes((0, 0, 1, 1))
        plain(axes)
        turn = np.linspace(0, 2 * np.pi, 121)
        reach = max(1.0, 1.04 * float(np.hypot(*xy[:n_drawn].T).max()))
        axes.plot(np.cos(turn), np.sin(turn), color=COLOUR["muted"], lw=1.2)
        axes.plot([-0.13, 0, 0.13], [0.99, 1.14, 0.99], color=COLOUR["muted"], lw=1.2)
        for side in (-1, 1):
            ear = side * (1 + 0.07 * np.cos(turn / 2 - np.pi / 2))
            axes.plot(ear, 0.2 * np.sin(turn - np.pi / 2 * 2), color=COLOUR["muted"], lw=1.2)
        rest = xy[cap.n : n_drawn]
        axes.scatter(*rest.T, s=16, facecolors="none", edgecolors=COLOUR["muted"], lw=0.8)
        axes.scatter(*xy[: cap.n].T, s=34, color=COLOUR["s1"], lw=0, zorder=3)
        if cap.n <= NAMED:
            for (x, y), name in zip(xy, cap.chosen, strict=False):
                axes.annotate(
                    name, (x, y), (0, 5), textcoords="offset points", ha="center", fontsize=8
                )
        span = max(reach, 1.1) + 0.07
        axes.set(xlim=(-span, span), ylim=(-span, span + 0.06), aspect="equal")
        alt = f"Head from above with {cap.n} electrodes: {', '.join(cap.chosen)}"
        return to_svg(figure, "electrodes", alt)


def _from_above(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Azimuthal equidistant projection about the sphere that fits the electrodes, (n, 2)."""
    system = np.column_stack([2 * positions, np.ones(len(positions))])
    centre = np.linalg.lstsq(system, (positions**2).sum(axis=1), rcond=None)[0][:3]
    away = positions - centre
    radius = np.linalg.norm(away, axis=1)
    angle = np.arccos(np.clip(away[:, 2] / radius, -1, 1)) / (np.pi / 2)
    azimuth = np.arctan2(away[:, 1], away[:, 0])
    return np.stack([angle * np.cos(azimuth), angle * np.sin(azimuth)], axis=1)
