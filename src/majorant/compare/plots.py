"""How strong each solver's estimate is over time, beside the field power of the data."""

from __future__ import annotations

import numpy as np

from majorant.compare.run import Comparison
from majorant.report.figures import Drawing
from majorant.report.svg import COLOUR, SERIES, WIDTH, drawing, to_svg
from majorant.words import clock, instant

__all__ = ["strengths"]

STYLES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)))


def strengths(found: Comparison) -> Drawing:
    """Draw the norm of every map over time as a share of its own largest."""
    from matplotlib.figure import Figure

    content = found.entries[0].result.content
    clk = clock(content.times)
    x = content.times * clk.factor
    power = content.data.std(axis=0)
    with drawing():
        figure = Figure(figsize=(WIDTH, 3.1))
        axes = figure.add_axes((0.06, 0.16, 0.925, 0.74))
        level = 100 * power / max(float(power.max()), 1e-30)
        axes.fill_between(x, level, color=COLOUR["muted"], alpha=0.2, lw=0)
        for i, entry in enumerate(found.entries):
            largest = max(float(entry.strength.max()), np.finfo(float).tiny)
            axes.plot(
                x,
                100 * entry.strength / largest,
                color=SERIES[i % len(SERIES)],
                ls=STYLES[(i // len(SERIES) + i) % len(STYLES)],
                lw=1.7,
            )
        for moment in found.moments:
            axes.axvline(moment.time * clk.factor, color=COLOUR["mark"], lw=0.9, ls=(0, (4, 3)))
        axes.set(xlabel=clk.axis, ylabel="Share of its own largest (%)", ylim=(0, 108))
        axes.set_xlim(x[0], x[-1] if len(x) > 1 else x[0] + 1)
        alt = "Strength over time; largest at " + "; ".join(
            f"{instant(content.times[int(e.strength.argmax())], clk)} for {e.title}"
            for e in found.entries
        )
        svg = to_svg(figure, "strength", alt)
    caption = (
        "Norm of each solver’s map over the cortex; grey, the global field power of the data. "
        "Dashed: the times that are compared."
    )
    legend = tuple((f"s{i % len(SERIES) + 1}", e.title) for i, e in enumerate(found.entries))
    return Drawing("strength", svg, caption, legend)
