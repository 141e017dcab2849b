"""`compare.html`, `compare.png`, `agreement.csv` and `summary.json`, all or nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from majorant import __version__
from majorant.compare.agree import Agreement
from majorant.compare.page import render_comparison, shown_map
from majorant.compare.run import ComparedMoment, Comparison, Contender
from majorant.compare.words import headline, site, smallest_region
from majorant.files.output import check_output
from majorant.files.write import beside, exchange, write_file
from majorant.forward.surfaces import Surfaces
from majorant.report.colour import MUTED
from majorant.report.cortex import SIDES, Cortex
from majorant.words import clock, instant

__all__ = ["PAGE", "save", "summarise"]

PAGE, POSTER, PAIRS, SUMMARY = "compare.html", "compare.png", "agreement.csv", "summary.json"
HEIGHT = 330


def save(
    found: Comparison,
    out: str | Path,
    surfaces: Surfaces,
    command: str,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Write the results into a folder, all or nothing.

    Parameters
    ----------
    found : Comparison
    out : path
    surfaces : Surfaces
    command : str
        What was typed.
    overwrite : bool
        Whether earlier results in the folder are replaced.
    progress : callable, optional
        Called with (moments drawn, moments in all).

    Returns
    -------
    dict
        The summary.

    Raises
    ------
    MajorantError
        If the folder cannot be written.
    """
    target = check_output(out, overwrite=overwrite)
    summary = summarise(found, command)
    with beside(target) as folder:
        page = render_comparison(found, surfaces, command, progress or (lambda done, total: None))
        write_file(folder / PAGE, page)
        write_file(folder / POSTER, poster(found, surfaces))
        write_file(folder / PAIRS, _pairs(found))
        text = json.dumps(summary, indent=2, ensure_ascii=False) + "\n"
        write_file(folder / SUMMARY, text)
        exchange(folder, target)
    return summary


def summarise(found: Comparison, command: str) -> dict[str, Any]:
    """Everything that was found, as plain values, ready for JSON."""
    names = [entry.name for entry in found.entries]
    return {
        "kind": "comparison",
        "title": found.prepared.title,
        "headline": headline(found)[0],
        "smallest_region": smallest_region(found) or None,
        "command": command,
        "version": __version__,
        "solvers": [_solver(entry, found.moments[0]) for entry in found.entries],
        "left_out": dict(found.left_out),
        "moments": [
            {
                "time": moment.time,
                "peaks": {
                    name: {"mni": _plain(moment.peaks[i]), "place": site(moment, i)}
                    for i, name in enumerate(names)
                },
                "agreement": {
                    part.name: {
                        f"{names[i]} {names[j]}": _plain(getattr(moment.agreement, part.name)[i, j])
                        for i, j in combinations(range(len(names)), 2)
                    }
                    for part in fields(Agreement)
                },
            }
            for moment in found.moments
        ],
        "decisions": list(found.prepared.decisions),
        "files": [PAGE, POSTER, PAIRS, SUMMARY],
    }


def _solver(entry: Contender, moment: ComparedMoment) -> dict[str, Any]:
    content = entry.result.content
    left = content.data - content.predicted
    return {
        "name": entry.name,
        "unit": entry.result.unit,
        "explained": entry.result.explained,
        "explained_then": float(content.explained[moment.sample]),
        "unexplained_rms_volt": float(np.sqrt(np.mean(left**2))),
        "log_evidence": entry.evidence,
        "seconds": entry.seconds,
        "region_cm2": None if entry.region is None else entry.region.area_cm2,
        "status": entry.result.imager.solution_.status[0].value,
        "certificate": content.certificate.sentence(),
        "certificate_holds": content.certificate.holds(),
        "cautions": list(content.cautions),
    }


def _plain(value: Any) -> Any:
    """Numbers as JSON knows them; what is not finite becomes null."""
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value]
    return round(float(value), 4) if np.isfinite(value) else None


def _pairs(found: Comparison) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("time_s", "one", "other", "correlation", "transport_mm", "peaks_mm"))
    names = [entry.name for entry in found.entries]
    for moment in found.moments:
        own = moment.agreement
        for i, j in combinations(range(len(names)), 2):
            numbers = (own.correlation[i, j], own.transport[i, j], own.peaks[i, j])
            writer.writerow(
                (f"{moment.time:.4f}", names[i], names[j], *(f"{v:.4g}" for v in numbers))
            )
    return buffer.getvalue()


def poster(found: Comparison, surfaces: Surfaces) -> bytes:
    """Draw all solvers at the first moment on white, as PNG."""
    import matplotlib
    import matplotlib.style
    from matplotlib.figure import Figure

    cortex, moment, n = Cortex(surfaces, HEIGHT), found.moments[0], len(found.entries)
    when = instant(moment.time, clock(np.asarray(found.prepared.evoked.times)))
    with matplotlib.style.context("default"), matplotlib.rc_context({"text.parse_math": False}):
        height = 0.75 + 1.75 * n
        figure = Figure(figsize=(12, height), facecolor="white")
        figure.text(
            0.02, 1 - 0.36 / height, f"{found.prepared.title}, {when}", fontsize=14, weight="bold"
        )
        tall = 1.75 / height
        for row, entry in enumerate(found.entries):
            low = (n - 1 - row) * tall
            figure.text(0.02, low + 0.55 * tall, entry.title, weight="bold", fontsize=11)
            figure.text(0.02, low + 0.42 * tall, site(moment, row), fontsize=9, color=MUTED)
            for column, view in enumerate(SIDES):
                axes = figure.add_axes((0.16 + 0.21 * column, low, 0.2, 0.97 * tall))
                axes.set_axis_off()
                axes.imshow(
                    np.asarray(shown_map(cortex, view, moment.meshes[row], moment, row)),
                    interpolation="antialiased",
                )
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=160, metadata={"Software": "Majorant"})
    return buffer.getvalue()
