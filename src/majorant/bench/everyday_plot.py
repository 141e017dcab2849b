"""The one picture of the everyday bench: cells by solvers, coloured by regret."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from majorant.bench.everyday_rows import heat

__all__ = ["draw"]

TOP = 2.5
"""Regret that has the darkest colour."""


def draw(rows: Sequence[Mapping[str, Any]], command: str) -> bytes:
    """Draw mean EMD over the best solver's of every cell, as PNG.

    Parameters
    ----------
    rows : sequence of mapping
        See :func:`majorant.bench.everyday_rows.rows`.
    command : str
        What made them; written below.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    cells, solvers, regret = heat(rows)
    size = (5.0 + 0.62 * len(solvers), 1.6 + 0.24 * len(cells))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    image = axes.imshow(regret, cmap="YlOrRd", vmin=1.0, vmax=TOP, aspect="auto")
    axes.set_xticks(range(len(solvers)), solvers, rotation=45, ha="right")
    axes.set_yticks(range(len(cells)), cells, fontsize=7)
    for i, j in np.argwhere(np.isfinite(regret)):
        dark = regret[i, j] > 0.5 * (1 + TOP)
        axes.text(
            j,
            i,
            f"{regret[i, j]:.2f}",
            ha="center",
            va="center",
            fontsize=6,
            color="white" if dark else "black",
            weight="bold" if regret[i, j] < 1.0005 else "normal",
        )
    label = "EMD over that of the best solver of the cell"
    figure.colorbar(image, ax=axes, label=label, extend="max", aspect=50)
    axes.set_title("Regret, cell by cell (1 is best)", loc="left")
    figure.supxlabel(command, x=0.01, ha="left", fontsize=6, color="0.4", wrap=True)
    out = io.BytesIO()
    figure.savefig(out, format="png")
    return out.getvalue()
