"""The picture of :mod:`majorant.bench.extended`: error against iterations, noise and electrodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from majorant.bench.extended import CAPS, FREE, ITERATIONS, NOISE, Variation
from majorant.bench.figure_plots import COLOURS, MUTED, look, png
from majorant.bench.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {ITERATIONS: "iterations", NOISE: "signal-to-noise ratio, dB", CAPS: "electrodes"}
LOGARITHMIC = (ITERATIONS, CAPS)

Pairs = Sequence[tuple[Variation, Row]]


def draw(pairs: Pairs, command: str) -> bytes:
    """Draw localisation errors with their intervals, as PNG.

    Parameters
    ----------
    pairs : sequence of (Variation, Row)
    command : str
        What makes the figure; written into it.
    """
    from matplotlib.figure import Figure

    trained_for = next(c.learned.max_iter for c, _ in pairs if c.learned is not None)
    with look():
        figure = Figure(figsize=(10.4, 3.6), layout="constrained")
        for axes, (section, title) in zip(figure.subplots(1, 3), PANELS.items(), strict=True):
            _panel(axes, [pair for pair in pairs if pair[0].section == section], section)
            axes.set_xlabel(title)
            axes.set_ylim(bottom=0.0)
            axes.grid(axis="y")
            axes.legend(frameon=False, fontsize=8)
            if section == ITERATIONS:
                axes.set_ylabel("localisation error, mm")
                axes.axvline(trained_for, color=MUTED, lw=0.8, ls=(0, (1, 2)))
                axes.set_title("dotted: trained for", loc="right", fontsize=8, fontweight="normal")
        return png(figure, command)


def _panel(axes: Axes, pairs: Pairs, section: str) -> None:
    from matplotlib.ticker import NullLocator

    lines: dict[str, list[tuple[float, Row]]] = {}
    for change, row in pairs:
        lines.setdefault(_name(change), []).append((change.value, row))
    for name, points in lines.items():
        x = [value for value, _ in points]
        error = [row.metrics["le"] for _, row in points]
        colour = COLOURS.get(name, MUTED)
        free = name.endswith("off")
        if not free:
            low, high = [e.low for e in error], [e.high for e in error]
            axes.fill_between(x, low, high, color=colour, alpha=0.13, lw=0)
        axes.plot(
            x,
            [e.mean for e in error],
            color=colour,
            lw=1.6,
            ls=(0, (3, 2)) if free else "-",
            marker=None if free else "o",
            ms=4,
            mec="white",
            mew=0.7,
            label=name,
        )
    values = sorted({change.value for change, _ in pairs})
    if section in LOGARITHMIC:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(values, [f"{value:g}" for value in values])


def _name(change: Variation) -> str:
    if change.learned is None:
        return "sLORETA"
    return "MM-Net, guard off" if change.learned.guard == FREE else "MM-Net"
