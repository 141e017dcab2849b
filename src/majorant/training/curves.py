"""The picture of a training run: loss and validation metrics over steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def draw_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw loss and validation metrics over steps; nothing where there is no matplotlib.

    The same numbers are in the log, so a bare node loses the picture alone.

    Parameters
    ----------
    history : sequence of dict
        Entries of the log.
    path : Path
        PNG to write.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return

    figure = Figure(figsize=(9, 3), layout="constrained")
    FigureCanvasAgg(figure)
    left, middle, right = figure.subplots(1, 3)
    losses = [entry for entry in history if "truth" in entry]
    for key, words in (("truth", "1 - cos(x*, x)"), ("prior", "prior")):
        left.plot([e["step"] for e in losses], [e[key] for e in losses], label=words)
    left.set(xlabel="step", title="training loss", yscale="log")
    left.legend(frameon=False)
    checks = [entry["validation"] for entry in history if "validation" in entry]
    for axis, key, unit in ((middle, "LE", "mm"), (right, "PSNR", "dB")):
        axis.plot([e["step"] for e in checks], [e[key] for e in checks], marker=".")
        axis.set(xlabel="step", title=f"validation {key}, {unit}")
    figure.savefig(path, dpi=110)
