"""The files of a group: averages, t values, tables, summary and page, all or nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.files.output import check_output
from majorant.files.write import beside, exchange
from majorant.group.page import render
from majorant.group.run import GroupResult
from majorant.group.statistics import t_values

__all__ = ["save_group"]


def save_group(result: GroupResult, out_dir: Path, *, overwrite: bool = False) -> Path:
    """Write averages, t values, tables, ``summary.json`` and ``group.html``, all or nothing.

    Raises
    ------
    MajorantError
        If the folder cannot be written.
    """
    import mne

    target, study = check_output(out_dir, overwrite=overwrite), result.study
    tstep = float(study.times[1] - study.times[0]) if len(study.times) > 1 else 1.0

    def stc(values: NDArray[np.float64], tmin: float, name: str) -> None:
        made = mne.SourceEstimate(values.T, list(study.vertices), tmin, tstep, subject="fsaverage")
        made.save(folder / name, overwrite=True, verbose="error")

    with beside(target) as folder:
        for k, name in enumerate(study.conditions):
            stc(study.data[:, k].mean(0), float(study.times[0]), f"mean-{name}")
        start = float(study.times[len(study.times) - result.difference.shape[1]])
        stc(result.difference.mean(0), start, "difference")
        stc(t_values(result.difference), start, "difference-t")
        _csv(folder / "clusters.csv", _flat(result.rows()))
        _csv(folder / "effects.csv", [asdict(one) for one in result.effects])
        long = [
            {"subject": s, "condition": c, "region": r, "value": float(result.values[i, j, k])}
            for i, s in enumerate(study.subjects)
            for j, c in enumerate(study.conditions)
            for k, r in enumerate(result.regions)
        ]
        _csv(folder / "values.csv", long)
        text = json.dumps(result.summary(), indent=2, ensure_ascii=False) + "\n"
        (folder / "summary.json").write_text(text, "utf-8")
        (folder / "group.html").write_text(render(result), "utf-8")
        exchange(folder, target)
    return target


def _flat(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """MNI coordinates in columns of their own."""
    made = []
    for row in rows:
        x, y, z = row["peak_mni_mm"]
        rest = {name: value for name, value in row.items() if name != "peak_mni_mm"}
        made.append({**rest, "x_mm": x, "y_mm": y, "z_mm": z})
    return made


def _csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]) if rows else ["nothing"], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
