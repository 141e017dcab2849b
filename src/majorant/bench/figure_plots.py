"""The pictures of :mod:`majorant.bench.figures`, as PNG in memory."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.learned.families import FAMILIES
from majorant.report.colour import WARM
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil, View
from majorant.report.marks import Mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1c2430", "#6b7480", "#e4e7ec"
COLOURS = {
    "MM-Net": "#c2410c",
    "MM-Net, guard off": "#c2410c",
    "R-MM-Net": "#7c3aed",
    "4DVarNet": "#0f766e",
    "Meta-Curvature": "#2563eb",
    "ModGrad": "#be185d",
    "classical MM": "#475569",
    "gradient descent": "#94a3b8",
}
DASHED = ("MM-Net, guard off",)
TITLES = {"energy": "energy", "fidelity": "data term", "prior": "prior term"}
NAMES = {"truth": "truth", "mne": "MNE", "sloreta": "sLORETA"} | {
    name: family.title for name, family in FAMILIES.items()
}
HEIGHT = 460
"""Pixels of a picture of the cortex."""
HIDDEN, CLEAR = 0.2, 0.45
"""Shares of the largest value up to which a map is grey, and from which it is coloured."""
DPI = 120


@dataclass(frozen=True)
class Curve:
    """How the energy of one solver falls, over the test samples.

    Attributes
    ----------
    name : str
    iteration : tuple of int
        Of the accepted iterates.
    parts : mapping of str to Tensor, shape (n_iterates, 3)
        ``energy``, ``fidelity`` and ``prior``: mean, first and third quartile.
    violations : int
        Rises of returned energies, all samples.
    """

    name: str
    iteration: tuple[int, ...]
    parts: Mapping[str, Tensor]
    violations: int


@dataclass(frozen=True)
class Picture:
    """What one method shows of one sample at the true peak.

    Attributes
    ----------
    method : str
        ``"truth"`` for the truth.
    sample : int
    values : Tensor, shape (n_locations,)
        Magnitudes, divided by the largest.
    seed : int
        Location of the true maximum.
    error_mm : float
        Localisation error within the zone of the metrics.
    """

    method: str
    sample: int
    values: Tensor
    seed: int
    error_mm: float


@contextmanager
def look() -> Iterator[None]:
    """matplotlib's defaults and one look, whatever the user's settings are."""
    import matplotlib
    import matplotlib.style

    own: dict[Any, Any] = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.8,
        "axes.axisbelow": True,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "grid.color": GRID,
        "grid.linewidth": 0.7,
        "axes.titleweight": "bold",
        "axes.titlesize": 10,
    }
    with matplotlib.style.context("default"), matplotlib.rc_context(own):
        yield


def draw_convergence(curves: Sequence[Curve], trained_for: int, command: str) -> bytes:
    """Draw energy, data term and prior term against iterations.

    Parameters
    ----------
    curves : sequence of Curve
    trained_for : int
        Iterations of the training of MM-Net, marked.
    command : str
        What makes the figure; written into it.
    """
    from matplotlib.figure import Figure

    with look():
        figure = Figure(figsize=(10.4, 4.4), layout="constrained")
        axes = figure.subplots(1, 3)
        for panel, (part, title) in zip(axes, TITLES.items(), strict=True):
            _panel(panel, curves, part, trained_for)
            panel.set_title(title, loc="left")
        axes[0].text(
            trained_for,
            1.0,
            " trained for",
            transform=axes[0].get_xaxis_transform(),
            va="top",
            fontsize=8,
            color=MUTED,
        )
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=4 if len(labels) > 5 else len(labels),
            frameon=False,
            fontsize=8.5,
            handlelength=1.9,
            columnspacing=1.4,
        )
        return png(figure, command)


def _panel(axes: Axes, curves: Sequence[Curve], part: str, trained_for: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.axvline(trained_for, color=MUTED, lw=0.8, ls=(0, (1, 2)))
    for each in curves:
        colour, dashed = COLOURS.get(each.name, MUTED), each.name in DASHED
        mean, low, high = each.parts[part].numpy().T
        strong = each.name == "MM-Net"
        if strong:
            axes.fill_between(each.iteration, low, high, color=colour, alpha=0.13, lw=0)
        axes.plot(
            each.iteration,
            mean,
            color=colour,
            lw=2.2 if strong else 1.4,
            ls=(0, (3, 2)) if dashed else "-",
            marker="o" if strong else None,
            ms=4,
            mec="white",
            mew=0.7,
            zorder=3 if strong else 2,
            label=each.name + (f" ({each.violations} rises)" if each.violations else ""),
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlim(0, max(each.iteration[-1] for each in curves))
    axes.set_xlabel("iteration")
    axes.grid(True, which="major")
    axes.tick_params(which="both", length=0)


def draw_maps(pictures: Sequence[Picture], head: Leadfield, command: str) -> bytes:
    """Draw the maps of every sample in a row, the truth first.

    Parameters
    ----------
    pictures : sequence of Picture
    head : Leadfield
        The template, by regions.
    command : str
        What makes the figure; written into it.
    """
    from matplotlib.figure import Figure

    from majorant.forward.template import template_surfaces

    cortex = Cortex(template_surfaces(), HEIGHT)
    columns = list(dict.fromkeys(each.method for each in pictures))
    samples = list(dict.fromkeys(each.sample for each in pictures))
    with look():
        figure = Figure(figsize=(1.72 * len(columns), 1.42 * len(samples) + 0.75))
        grid = figure.subplots(len(samples), len(columns), squeeze=False)
        tall = figure.get_figheight()
        figure.subplots_adjust(
            left=0.012,
            right=0.988,
            top=1 - 0.32 / tall,
            bottom=0.55 / tall,
            wspace=0.04,
            hspace=0.2,
        )
        for each in pictures:
            axes = grid[samples.index(each.sample), columns.index(each.method)]
            view, mark = _view(cortex, head, each.seed)
            axes.imshow(_image(cortex, head, each, view, mark))
            axes.set_axis_off()
            if each.sample == samples[0]:
                axes.set_title(NAMES.get(each.method, each.method), fontsize=9.5, pad=5)
            note = view.name if each.method == "truth" else f"{each.error_mm:.0f} mm off"
            axes.text(
                0.5,
                -0.01,
                note,
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=7.5,
                color=MUTED,
            )
        _colour_bar(figure)
        return png(figure, command)


def _view(cortex: Cortex, head: Leadfield, seed: int) -> tuple[View, Mark]:
    """Return the side of the cortex on which the seed is seen, and a cross there."""
    assert head.hemisphere is not None
    assert head.vertices is not None
    side = int(head.hemisphere[seed])
    mark = Mark(side, int(head.vertices[seed]), "truth")
    sides = [view for view in VIEWS if view.hemispheres == (side,)]
    return next((view for view in sides if cortex.seen(view, [mark])), sides[0]), mark


def _image(cortex: Cortex, head: Leadfield, each: Picture, view: View, mark: Mark) -> Any:
    assert head.parcels is not None
    parcels = head.parcels.numpy()
    values = np.where(parcels >= 0, each.values.numpy()[parcels], np.nan)
    return np.asarray(
        cortex.draw(view, values, Scale(1.0, False), Veil(HIDDEN, CLEAR), [mark], mark_size=1.5)
    )


def _colour_bar(figure: Figure) -> None:
    """A bar from 0 to 1 at the foot, as the maps are coloured."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("map", WARM.stops)
    height = figure.get_figheight()
    axes = figure.add_axes((0.36, 0.3 / height, 0.28, 0.09 / height))
    axes.imshow(np.linspace(0, 1, 256)[None], aspect="auto", cmap=colours, extent=(0, 1, 0, 1))
    axes.set(yticks=[], xticks=[0, 0.5, 1])
    axes.set_xticklabels(["0", "half", "largest"], fontsize=7.5)
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def png(figure: Figure, command: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=DPI, facecolor="white", metadata={"Description": command}
    )
    return buffer.getvalue()
