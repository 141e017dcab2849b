"""Line plots of the page: the sensors, the sources, the fit and the certificate over time.

Each function returns a :class:`Drawing`: an SVG element, its caption and its legend. The words that
stand in for the picture are in the SVG's label.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from majorant.findings.facts import Findings
from majorant.report.headline import place, source_scale
from majorant.report.sensors import sensor_positions
from majorant.report.svg import COLOUR, SERIES, WIDTH, drawing, plain, to_svg
from majorant.words import (
    Scaled,
    clock,
    instant,
    mni,
    number,
    percent,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "Drawing",
    "butterfly",
    "certificate",
    "fit",
    "panels",
    "rms",
    "time_courses",
    "time_limits",
]

DRAWN_SAMPLES = 60_000
"""Channels times samples up to which traces are drawn as vectors; above, as a picture."""
MICROVOLT = 1e6
LETTER = 0.0085
"""Width of a letter of a label, as a share of the time axis."""
APART = 20.0
"""Millimetres between locations whose time courses are both drawn."""

Colour = str | tuple[float, float, float]


@dataclass(frozen=True)
class Drawing:
    """A figure for the page.

    Attributes
    ----------
    key : str
        Identifier on the page.
    svg : str
        The SVG element, safe to embed.
    caption : str
        Plain text.
    legend : tuple of (str, str)
        Name of the CSS colour and what it stands for; plain text.
    """

    key: str
    svg: str
    caption: str
    legend: tuple[tuple[str, str], ...] = ()


def butterfly(content: Findings) -> Drawing:
    """All channels over time, their global field power, and lines at the peaks."""
    clk = clock(content.times)
    x, y = content.times * clk.factor, content.data * MICROVOLT
    gfp = y.std(axis=0)
    xy = sensor_positions(content.info)
    colours: list[Colour] = [COLOUR["muted"]] * len(y)
    if xy is not None:
        colours = _place_colours(xy)
    titles = {f"ch{i}": name for i, name in enumerate(content.info["ch_names"])}
    with drawing():
        figure, (top, bottom) = panels(3.9, (3, 1), right=0.9 if xy is not None else 0.985)
        _traces(top, x, y, colours)
        _peak_lines(content, (top, bottom), clk)
        bottom.fill_between(x, gfp, color=COLOUR["s1"], alpha=0.18, lw=0)
        bottom.plot(x, gfp, color=COLOUR["s1"])
        top.set_ylabel("Potential (µV)")
        bottom.set(ylabel="GFP (µV)", xlabel=clk.axis)
        bottom.set_ylim(bottom=0, top=_headroom(gfp))
        time_limits((top, bottom), x)
        if xy is not None:
            _head_inset(figure, xy, colours)
        best = int(gfp.argmax())
        alt = (
            f"Potentials of {len(y)} channels from {instant(content.times[0], clk)} to "
            f"{instant(content.times[-1], clk)}; the global field power is largest at "
            f"{instant(content.times[best], clk)} with {number(float(gfp[best]), 2)} µV."
        )
        svg = to_svg(figure, "butterfly", alt, titles)
    caption = (
        "Every channel, coloured by its place on the head (small head: from above, nose up); "
        "below, the global field power (GFP), the standard deviation over channels."
    )
    if content.peaks:
        caption += " Numbers: the peaks of the estimate."
    return Drawing("butterfly", svg, caption)


def _traces(
    axes: Axes, x: NDArray[np.float64], y: NDArray[np.float64], colours: Sequence[Colour]
) -> None:
    """Draw channels as vectors that can be pointed at, or all as one picture if they are many."""
    if y.size <= DRAWN_SAMPLES:
        for i, (trace, colour) in enumerate(zip(y, colours, strict=True)):
            (line,) = axes.plot(x, trace, color=colour, lw=0.8)
            line.set_gid(f"ch{i}")
        return
    from matplotlib.collections import LineCollection

    lines = [np.column_stack([x, trace]) for trace in y]
    collection = LineCollection(lines, colors=list(colours), linewidths=0.6, rasterized=True)
    axes.add_collection(collection)
    axes.autoscale_view()


def time_courses(content: Findings, most: int = 6) -> Drawing:
    """The estimate over time at the strongest peaks, with its standard deviation if it has one."""
    clk, maps = clock(content.times), content.sources
    chosen = _distinct(content, most)
    rows = np.array([location for _, location in chosen], dtype=np.int64)
    values = maps.values[rows]
    doubt = content.uncertainty
    largest = float(np.abs(values).max(initial=0.0))
    scale = source_scale(maps, largest)
    x, legend = content.times * clk.factor, []
    with drawing():
        figure, (axes,) = panels(3.1, (1,))
        for i, (name, _) in enumerate(chosen):
            colour, y = SERIES[i], values[i] * scale.factor
            if doubt is not None:
                band = doubt.deviation[rows[i]] * scale.factor
                axes.fill_between(x, y - band, y + band, color=colour, alpha=0.16, lw=0)
            axes.plot(x, y, color=colour, lw=2.0 if i == 0 else 1.3)
            legend.append((f"s{i + 1}", name))
        axes.axhline(0, color=COLOUR["muted"], lw=0.8)
        _peak_lines(content, (axes,), clk)
        axes.set(xlabel=clk.axis, ylabel=scale.axis)
        time_limits((axes,), x)
        alt = "Source amplitude over time at " + "; ".join(name for name, _ in chosen) + "."
        svg = to_svg(figure, "courses", alt)
    sign = (
        "Positive: current along the outward normal of the cortex."
        if maps.signed
        else "Length of the current vector, which has no sign."
    )
    spread = "" if doubt is None else f" Bands: one {doubt.name} to each side."
    return Drawing(
        "courses", svg, f"The estimate at its strongest locations. {sign}{spread}", tuple(legend)
    )


def fit(content: Findings) -> Drawing:
    """What the estimate explains of the data, and what it leaves, over time."""
    clk = clock(content.times)
    x = content.times * clk.factor
    recorded = rms(content.data) * MICROVOLT
    left = rms(content.data - content.predicted) * MICROVOLT
    with drawing():
        figure, (top, bottom) = panels(3.5, (1.3, 1))
        top.plot(x, recorded, color=COLOUR["ink"])
        top.plot(x, left, color=COLOUR["s2"])
        top.set_ylabel("RMS over channels (µV)")
        top.set_ylim(0, _headroom(recorded, left))
        bottom.plot(x, 100 * content.explained, color=COLOUR["s1"])
        bottom.fill_between(x, 100 * content.explained, color=COLOUR["s1"], alpha=0.15, lw=0)
        bottom.set(ylabel="Explained (%)", xlabel=clk.axis, ylim=(0, 104), yticks=(0, 50, 100))
        _peak_lines(content, (top, bottom), clk)
        time_limits((top, bottom), x)
        share = float(np.mean(content.explained))
        alt = (
            f"Root mean square over channels of the recorded and the unexplained potentials, and "
            f"the explained share of the variance: {percent(share)} on average over time."
        )
        svg = to_svg(figure, "fit", alt)
    caption = (
        "Above, the root mean square over channels of what was recorded and of what the estimate "
        "leaves unexplained; below, the explained share of the variance."
    )
    return Drawing("fit", svg, caption, (("ink", "recorded"), ("s2", "unexplained")))


def certificate(content: Findings) -> Drawing | None:
    """The energy of every accepted iterate; None for solvers that do not iterate."""
    proof = content.certificate
    steps = len(proof.energy) - 1
    if proof.residual is not None or steps < 1:
        return None
    energy = np.asarray(proof.energy, dtype=np.float64).reshape(steps + 1, -1)
    from matplotlib.ticker import MaxNLocator

    with drawing():
        figure, (axes,) = panels(2.5, (1,))
        x = np.arange(len(energy))
        for sample in energy.T:
            few = "o" if steps < 40 else ""
            axes.plot(x, sample, color=COLOUR["s1"], lw=1.6, marker=few, ms=3)
        axes.set(xlabel="Accepted iterate", ylabel="Energy (no unit)")
        axes.set_xlim(-0.01 * steps, 1.01 * steps)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.ticklabel_format(axis="y", useOffset=False)
        alt = (
            f"The {proof.energy_name} from {number(energy[0, 0], 6)} at the start to "
            f"{number(energy[-1, 0], 6)} after {steps} accepted iterates."
        )
        svg = to_svg(figure, "energy", alt)
    return Drawing("energy", svg, f"{alt} Iterate 0 is the start.")


def rms(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the root mean square over channels, shape (n_times,)."""
    return np.sqrt(np.mean(values**2, axis=0))


def _headroom(*curves: NDArray[np.float64]) -> float:
    return 1.12 * max(float(curve.max()) for curve in curves) or 1.0


def panels(
    height: float, ratios: tuple[float, ...], right: float = 0.985
) -> tuple[Figure, tuple[Axes, ...]]:
    """Return a full-width figure with panels one over the other that share the time axis."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(
        len(ratios), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": ratios}
    )[:, 0]
    figure.subplots_adjust(
        left=0.072, right=right, top=1 - 0.26 / height, bottom=0.5 / height, hspace=0.16
    )
    figure.align_ylabels()
    return figure, tuple(axes)


def time_limits(panels: Sequence[Axes], x: NDArray[np.float64]) -> None:
    """Let the time axis span the samples, with a line where the event was."""
    for axes in panels:
        axes.set_xlim(x[0], x[-1])
        if x[0] < 0 < x[-1]:
            axes.axvline(0, color=COLOUR["muted"], lw=0.8)


def _peak_lines(content: Findings, panels: Sequence[Axes], clk: Scaled) -> None:
    """Draw a numbered line at every peak."""
    peaks = sorted((peak.time, rank) for rank, peak in enumerate(content.peaks, 1))
    for time, _ in peaks:
        for axes in panels:
            axes.axvline(time * clk.factor, color=COLOUR["mark"], lw=0.9, ls=(0, (4, 3)))
    for middle, text in _labels(peaks, float(np.ptp(content.times))):
        panels[0].annotate(
            text,
            (middle * clk.factor, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=COLOUR["mark"],
            fontweight="bold",
        )


def _labels(peaks: Sequence[tuple[float, int]], span: float) -> list[tuple[float, str]]:
    """Return where labels stand and what they say, joined until none covers another."""
    groups = [([time], [str(rank)]) for time, rank in peaks]

    def label(group: tuple[list[float], list[str]]) -> tuple[float, str]:
        return (group[0][0] + group[0][-1]) / 2, ", ".join(group[1])

    i = 0
    while i + 1 < len(groups):
        (left, before), (right, after) = label(groups[i]), label(groups[i + 1])
        if right - left < LETTER * span * (len(before) + len(after) + 2) / 2:
            times, ranks = groups.pop(i + 1)
            groups[i] = (groups[i][0] + times, groups[i][1] + ranks)
            i = max(i - 1, 0)
        else:
            i += 1
    return [label(group) for group in groups]


def _place_colours(xy: NDArray[np.float64]) -> list[Colour]:
    """Return a colour per electrode: hue by direction, saturation by distance from the vertex."""
    reach = max(float(np.hypot(*xy.T).max()), 1e-9)
    return [
        colorsys.hls_to_rgb(
            (np.arctan2(y, x) / (2 * np.pi)) % 1.0, 0.5, 0.15 + 0.7 * np.hypot(x, y) / reach
        )
        for x, y in xy
    ]


def _head_inset(figure: Figure, xy: NDArray[np.float64], colours: Sequence[Colour]) -> None:
    axes = figure.add_axes((0.905, 0.62, 0.095, 0.36))
    plain(axes)
    turn = np.linspace(0, 2 * np.pi, 61)
    axes.plot(np.cos(turn), np.sin(turn), color=COLOUR["muted"], lw=0.9)
    axes.plot([-0.15, 0, 0.15], [0.99, 1.16, 0.99], color=COLOUR["muted"], lw=0.9)
    axes.scatter(
        *(xy / max(1.0, 1.03 * float(np.hypot(*xy.T).max()))).T,
        s=7 if len(xy) <= 80 else 3,
        c=list(colours),
        lw=0,
    )
    axes.set(xlim=(-1.2, 1.2), ylim=(-1.2, 1.2), aspect="equal")


def _distinct(content: Findings, most: int) -> list[tuple[str, int]]:
    """Return name and location of the strongest peaks that are not next to a stronger one.

    Without peaks, of the location whose largest value is largest.
    """
    found: list[tuple[str, int]] = []
    places: list[tuple[float, float, float]] = []
    for rank, peak in enumerate(content.peaks, 1):
        if len(found) < most and all(
            np.linalg.norm(np.subtract(peak.mni, p)) > APART for p in places
        ):
            doubted = "; doubtful" if content.doubts and content.doubts[rank - 1] else ""
            found.append((f"{rank}: {place(peak)} ({mni(peak.mni)} mm){doubted}", peak.location))
            places.append(peak.mni)
    if not found:
        location = int(np.abs(content.sources.values).max(axis=1).argmax())
        where = mni(tuple(content.sources.positions_mni[location]))
        found.append((f"largest value, MNI ({where} mm)", location))
    return found
