"""A subject's head drawn: outlines of shells and cortex in three planes, with the electrodes."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant import __version__
from majorant.files.output import check_output
from majorant.files.write import beside, exchange, write_file
from majorant.head.individual import IndividualHead
from majorant.report.figures import Drawing
from majorant.report.frame import framed
from majorant.report.parts import Section, cautions, figure, opening, steps
from majorant.report.svg import COLOUR, SERIES, WIDTH, drawing, plain, to_svg

__all__ = ["outlines", "save_head"]

PLANES = (("from the left", 0, (1, 2)), ("from the front", 1, (0, 2)), ("from above", 2, (0, 1)))
SHELLS = ("inner skull", "outer skull", "scalp")
SLAB = 0.006
"""Metres: cortex and electrodes this near to a plane are drawn in it."""
LEGEND = (
    ("s1", "inner skull"),
    ("s2", "outer skull"),
    ("s3", "scalp"),
    ("muted", "cortex"),
    ("mark", "electrodes within 6 mm of the plane"),
)


def save_head(
    head: IndividualHead,
    out_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    command: Sequence[str] | str | None = None,
) -> dict[str, Any]:
    """Write `summary.json` and `head.html` into a folder, all or nothing.

    Parameters
    ----------
    head : IndividualHead
    out_dir : path
    overwrite : bool
        Whether earlier results in the folder are replaced.
    command : str or sequence of str, optional
        What was asked for, for the summary.

    Returns
    -------
    dict
        The summary.

    Raises
    ------
    MajorantError
        If the folder cannot be written.
    """
    target = check_output(out_dir, overwrite=overwrite)
    summary = {**head.summary(), "version": __version__, "command": command}
    with beside(target) as folder:
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        write_file(folder / "summary.json", text)
        write_file(folder / "head.html", render_head(head))
        exchange(folder, target)
    return summary


def render_head(head: IndividualHead) -> str:
    """Return the page of a head: its outlines, how it was made, what may mislead."""
    name = f"Head of {head.subject}"
    origin = f"{len(SHELLS)} shells, {len(head.electrodes)} electrodes"
    caption = "Sections through the middle of the inner skull, millimetres to scale."
    drawn = Drawing("head", outlines(head), caption, LEGEND)
    sections = [
        Section("outlines", "In three planes", figure(drawn)),
        Section("notes", "How it was made", steps(head.notes)),
    ]
    return framed(name, opening(name, origin, "", "") + cautions(head.cautions), sections)


def outlines(head: IndividualHead) -> str:
    """Three sections through the middle of the head, as an SVG element."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    centre = head.shells.surfaces[0][0].mean(axis=0)
    with drawing():
        figure = Figure(figsize=(WIDTH, 4.2))
        for axes, (name, axis, seen) in zip(figure.subplots(1, 3), PLANES, strict=True):
            near = np.abs(head.cortex[:, axis] - centre[axis]) < SLAB / 4
            cortex = 1e3 * head.cortex[near][:, seen]
            axes.plot(*cortex.T, ls="", marker=".", ms=1, color=COLOUR["muted"])
            for colour, (vertices, faces) in zip(SERIES, head.shells.surfaces, strict=False):
                lines = 1e3 * section(vertices, faces, axis, centre[axis])[:, :, seen]
                axes.add_collection(LineCollection(list(lines), colors=colour, linewidths=1.2))
            if len(head.electrodes):
                close = np.abs(head.electrodes[:, axis] - centre[axis]) < SLAB
                placed = 1e3 * head.electrodes[close][:, seen]
                axes.plot(*placed.T, ls="", marker="o", ms=4, color=COLOUR["mark"])
            axes.set_aspect("equal")
            axes.autoscale_view()
            axes.set_title(name)
            plain(axes)
        return to_svg(figure, "head", f"Sections of the head of {head.subject}, in three planes")


def section(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], axis: int, at: float
) -> NDArray[np.float64]:
    """Where a plane across an axis cuts a surface.

    Parameters
    ----------
    vertices, faces : array, shape (n, 3), (n_faces, 3)
    axis : int
    at : float
        The plane's coordinate.

    Returns
    -------
    array, shape (n_segments, 2, 3)
        A segment for every triangle that is cut.
    """
    above = vertices[:, axis] > at
    cut = faces[(above[faces].sum(axis=1) % 3) != 0]
    ends = []
    for k in range(3):
        a, b = vertices[cut[:, k]], vertices[cut[:, (k + 1) % 3]]
        crosses = above[cut[:, k]] != above[cut[:, (k + 1) % 3]]
        rise = np.where(crosses, b[:, axis] - a[:, axis], 1.0)
        share = np.where(crosses, (at - a[:, axis]) / rise, np.nan)
        ends.append(a + share[:, None] * (b - a))
    points = np.stack(ends, axis=1)
    kept = ~np.isnan(points[:, :, 0])
    return points[kept].reshape(-1, 2, 3)
