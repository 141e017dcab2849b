"""The figures of the sparse Bayesian benchmark as pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from majorant.bench.sbl_methods import dense_map

if TYPE_CHECKING:
    from majorant.bench.sbl_points import Point, SparseBench

LABELS: Mapping[str, str] = {
    "emd_median": "EMD (mm, median)",
    "emd": "EMD (mm)",
    "auc": "AUC",
    "nmse": "NMSE",
    "f1": "F1",
    "correlation": "time-course correlation",
    "noise": "correlation of log noise",
    "cost": "evidence cost F",
    "rises": "share of samples whose F rose",
    "layer": "layer",
    "snr_db": "SNR (dB)",
    "n_sources": "number of sources",
    "n_times": "number of times",
    "extent_mm": "extent (mm)",
    "c": "correction of the log-variance",
}
OURS = {
    "unfolded gated": "#0b6e4f",
    "unfolded theta": "#3a7ca5",
    "unfolded free": "#c8553d",
    "unfolded layers": "#d18f00",
    "unfolded attention": "#6a3d9a",
}
GREYS = ("#222222", "#666666", "#999999", "#b8a14a", "#7d5ba6", "#a0785a", "#5f8a8b", "#c08497")


def draw(name: str, points: Sequence[Point], bench: SparseBench, path: Path, command: str) -> None:
    """Draw a figure and write it as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    with plt.rc_context({"font.size": 8, "axes.spines.top": False, "axes.spines.right": False}):
        figure = _KINDS[name](points, bench)
        engine = figure.get_layout_engine()
        if engine is not None:
            engine.set(rect=(0, 0.03, 1, 0.97))
        figure.text(0.005, 0.005, command, fontsize=5, color="0.5")
        figure.savefig(path, dpi=150)
        plt.close(figure)


def _axes(rows: int, columns: int, width: float = 2.6, height: float = 2.3) -> tuple[Any, Any]:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), squeeze=False, layout="constrained"
    )
    return figure, axes


def _colours(points: Sequence[Point]) -> dict[str, str]:
    names = list(dict.fromkeys(p.method for p in points))
    others = [name for name in names if name not in OURS]
    return OURS | {name: GREYS[i % len(GREYS)] for i, name in enumerate(others)}


def _lines(axes: Any, points: Sequence[Point], axis: str, metric: str) -> None:
    """One line with its interval per method."""
    colours = _colours(points)
    for name in dict.fromkeys(p.method for p in points):
        chosen = [p for p in points if (p.method, p.axis, p.metric) == (name, axis, metric)]
        if not chosen:
            continue
        x = [p.x for p in chosen]
        axes.plot(x, [p.value for p in chosen], ".-", color=colours[name], label=name, lw=1.2)
        low, high = [p.low for p in chosen], [p.high for p in chosen]
        axes.fill_between(x, low, high, color=colours[name], alpha=0.12, lw=0)
    axes.set_xlabel(LABELS[axis])
    axes.set_title(LABELS[metric], loc="left")


def _name(figure: Any, axes: Any) -> None:
    """Say above the panels, where no line is hidden, which colour is which method."""
    figure.legend(
        *axes.get_legend_handles_labels(),
        loc="outside upper center", ncols=4, fontsize=7, frameon=False,
    )  # fmt: skip


def _bars(points: Sequence[Point], bench: SparseBench) -> Any:
    """Figure 3."""
    metrics = ("emd_median", "auc", "f1", "correlation", "nmse", "noise")
    settings = list(dict.fromkeys(p.setting for p in points))
    names = list(dict.fromkeys(p.method for p in points))
    height = 0.8 / len(settings)
    figure, axes = _axes(2, 3, 3.6, 3.0)
    for axis, metric in zip(axes.flat, metrics, strict=True):
        for i, setting in enumerate(settings):
            chosen = {p.method: p for p in points if (p.setting, p.metric) == (setting, metric)}
            for j, name in enumerate(names):
                if name in chosen:
                    p = chosen[name]
                    share = i / len(settings)
                    place = j + 0.9 * share - 0.4
                    colour = OURS.get(name, "#888888")
                    axis.barh(place, p.value, height, color=colour, alpha=1.0 - 0.9 * share)
                    axis.plot([p.low, p.high], [place, place], color="k", lw=0.6)
        axis.set_yticks(range(len(names)), names, fontsize=6)
        axis.invert_yaxis()
        axis.set_title(LABELS[metric], loc="left")
        if metric == "nmse":
            axis.set_xlim(0, 3)
    figure.suptitle("Dark to light: " + ", ".join(settings), fontsize=8)
    return figure


def _layers(points: Sequence[Point], bench: SparseBench) -> Any:
    """Figure 4."""
    metrics = ("emd_median", "auc", "nmse", "f1", "correlation", "noise", "cost", "rises")
    figure, axes = _axes(2, 4)
    for axis, metric in zip(axes.flat, metrics, strict=True):
        _lines(axis, points, "layer", metric)
    _name(figure, axes[0, 0])
    return figure


def _sweeps(points: Sequence[Point], bench: SparseBench) -> Any:
    """Figures 5 and 7."""
    kinds = list(dict.fromkeys(p.axis for p in points))
    metrics = ("emd_median", "auc", "f1", "nmse")
    figure, axes = _axes(len(kinds), len(metrics))
    for row, kind in zip(axes, kinds, strict=True):
        for axis, metric in zip(row, metrics, strict=True):
            _lines(axis, [p for p in points if p.axis == kind], kind, metric)
            if metric == "nmse":
                axis.set_ylim(0, 3)
    _name(figure, axes[0, 0])
    return figure


def _corrections(points: Sequence[Point], bench: SparseBench) -> Any:
    """Figure 8."""
    figure, axes = _axes(1, 2, 3.6, 2.8)
    for axis, what in zip(axes[0], ("sources", "sensors"), strict=True):
        _lines(axis, [p for p in points if p.setting == what], "layer", "c")
        axis.axhline(0.0, color="0.7", lw=0.6)
        axis.set_title(f"corrections of {what} (median, 10-90 %)", loc="left")
    _name(figure, axes[0, 0])
    return figure


def _maps(points: Sequence[Point], bench: SparseBench) -> Any:
    """Figure 2: one sample from above and from the left; size and colour are the row norm."""
    batch = bench.data.batch([0])
    problem = bench.data.problem(batch)
    source = bench.data.generating or bench.data.leadfield
    shown: list[tuple[str, Tensor, np.ndarray]] = [
        ("truth", dense_map(batch)[0], 1e3 * source.positions.numpy())
    ]
    places = 1e3 * bench.data.leadfield.positions.numpy()
    for name, method in bench.methods(few=True).items():
        estimate = method(problem, "joint").estimate[0]
        shown.append((name, estimate.double().norm(dim=1), places))
    figure, axes = _axes(2, len(shown), 1.5, 1.7)
    for column, (name, map_, at) in zip(axes.T, shown, strict=True):
        weight = (map_ / map_.max().clamp_min(1e-30)).double().numpy()
        order = np.argsort(weight)
        for axis, (i, j) in zip(column, ((0, 1), (1, 2)), strict=True):
            x, y, w = at[order, i], at[order, j], weight[order]
            axis.scatter(x, y, s=0.5, color="0.9", lw=0)
            axis.scatter(x, y, s=25 * w, c=w, cmap="inferno_r", vmin=0, vmax=1.2, lw=0)
            axis.set_aspect("equal")
            axis.set_axis_off()
        column[0].set_title(name, fontsize=6)
    return figure


_KINDS = {
    "2": _maps,
    "3": _bars,
    "4": _layers,
    "5": _sweeps,
    "7": _sweeps,
    "8": _corrections,
}
