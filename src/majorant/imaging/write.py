"""Writing results: estimate, summary and page into one folder, all or nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from majorant.exports.write import export
from majorant.files.output import check_output
from majorant.files.write import beside, exchange, write_file
from majorant.imaging.conditions import Conditions
from majorant.imaging.result import ImageResult
from majorant.words import file_labels

__all__ = ["save_conditions", "save_results"]

STEM = "estimate"


def save_results(
    result: ImageResult,
    out_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    command: Sequence[str] | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write the estimate, `summary.json` and `report.html`, all or nothing.

    Parameters
    ----------
    result : ImageResult
    out_dir : path
        Made if need be. Files: ``estimate-lh.stc`` and ``estimate-rh.stc`` (or one ``.stc`` or
        ``.h5`` for other source spaces), opened by ``mne.read_source_estimate(out_dir /
        "estimate")``; ``estimate.zarr`` of continuous data, read by
        :func:`majorant.imager.store.read_window`; ``summary.json``; ``report.html``; and what
        the settings export (:mod:`majorant.exports`).
    overwrite : bool
        Whether earlier results in the folder are replaced.
    command : str or sequence of str, optional
        What was asked for, for the summary.
    progress : callable, optional
        Called with the title of each section of the page once it is drawn.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MajorantError
        If the folder cannot be written; nothing is left half-written.
    """
    from majorant.report.page import write_page

    target = check_output(out_dir, overwrite=overwrite)
    summary = {**result.summary(), "command": command}
    with beside(target) as folder:
        if result.store is None:
            result.stc.save(folder / STEM, overwrite=True, verbose="error")
        export(result.material, result.settings.export, folder)
        made = [f.name for f in folder.iterdir()]
        stored = [] if result.store is None else [f"{STEM}.zarr"]
        summary["files"] = sorted([*made, *stored, "report.html"])
        _write_summary(folder, summary)
        write_page(result.content, folder / "report.html", progress)
        if result.store is not None:
            # Last: until now a run that is killed can be gone on with.
            os.rename(result.store, folder / f"{STEM}.zarr")
        exchange(folder, target)
    return target


def save_conditions(
    conditions: Conditions,
    out_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    command: Sequence[str] | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write the estimates of several conditions, one `summary.json` and one `report.html`.

    Parameters and errors as of :func:`save_results`; the estimates are called
    ``estimate-NAME``, with what of a condition's name may stand in that of a file; exports of a
    condition are in a folder of that name.
    """
    from majorant.report.conditions import render_conditions

    target = check_output(out_dir, overwrite=overwrite)
    summary = {**conditions.summary(), "command": command}
    labels = file_labels(conditions.names)
    with beside(target) as folder:
        for label, result in zip(labels, conditions.results, strict=True):
            result.stc.save(folder / f"{STEM}-{label}", overwrite=True, verbose="error")
            if result.settings.export or result.courses is not None:
                (folder / label).mkdir()
                export(result.material, result.settings.export, folder / label)
        summary["estimates"] = [f"{STEM}-{label}" for label in labels]
        summary["files"] = sorted([*(f.name for f in folder.iterdir()), "report.html"])
        _write_summary(folder, summary)
        contents = [result.content for result in conditions.results]
        page = render_conditions(conditions.title, conditions.names, contents, progress)
        write_file(folder / "report.html", page)
        exchange(folder, target)
    return target


def _write_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    text = json.dumps(summary, indent=2, ensure_ascii=False, default=_plain) + "\n"
    (folder / "summary.json").write_text(text, encoding="utf-8")


def _plain(value: Any) -> Any:
    """What JSON does not know, as what it knows."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return str(value)
