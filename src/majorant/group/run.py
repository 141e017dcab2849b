"""The analysis of a group: averages, clusters, effects by region, and their files."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant import __version__
from majorant.atlas.atlas import SIDES, Atlas
from majorant.errors import MajorantError
from majorant.files.output import check_output
from majorant.files.write import beside, exchange
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template import template_surfaces
from majorant.group.load import StudyEstimates
from majorant.group.statistics import Cluster, Effect, adjacency, clusters, effects, t_values
from majorant.words import written

__all__ = ["GroupResult", "analyse", "save_group"]

VERSION = 1
KEPT = 50
"""Clusters that are kept, the most significant; the others are noise, one by one."""


@dataclass(frozen=True, eq=False)
class GroupResult:
    """What a group shows.

    Attributes
    ----------
    study : StudyEstimates
    contrast : str
        What is tested, in words.
    difference : array, shape (n_subjects, n_times, n_vertices)
    clusters : list of Cluster
        The most significant first.
    effects : list of Effect
    regions : list of str
        Titles of the regions.
    values : array, shape (n_subjects, n_conditions, n_regions)
        Means over the window and the region.
    atlas : Atlas
    permutations, seed : int
    level : float
    """

    study: StudyEstimates
    contrast: str
    difference: NDArray[np.float64]
    clusters: list[Cluster]
    effects: list[Effect]
    regions: list[str]
    values: NDArray[np.float64]
    atlas: Atlas
    permutations: int
    seed: int
    level: float

    @cached_property
    def mni(self) -> NDArray[np.float64]:
        """Places of the rows of the estimates, MNI152, mm."""
        pial = template_surfaces().pial
        return mni305_to_mni152(
            np.concatenate([pial[side][own] for side, own in enumerate(self.study.vertices)])
        )

    def place(self, row: int) -> str:
        """Name of a row of the estimates."""
        left = len(self.study.vertices[0])
        side = int(row >= left)
        vertex = self.study.vertices[side][row - side * left]
        region = int(self.atlas.of_vertices(np.array([side]), np.array([vertex]))[0])
        return SIDES[side] if region < 0 else self.atlas.title(side, region)

    def rows(self) -> list[dict[str, Any]]:
        """The clusters as plain values."""
        times, made = self.study.times, []
        for one in self.clusters:
            made.append(
                {
                    "p": one.p,
                    "from_s": float(times[one.times.min()]),
                    "to_s": float(times[one.times.max()]),
                    "vertices": len(np.unique(one.vertices)),
                    "mass": one.mass,
                    "peak_s": float(times[one.peak[0]]),
                    "peak_region": self.place(one.peak[1]),
                    "peak_mni_mm": [round(v, 1) for v in self.mni[one.peak[1]].tolist()],
                    "peak_t": one.t,
                }
            )
        return made

    @property
    def headline(self) -> str:
        """What was found, in one sentence."""
        n = len(self.study.subjects)
        sure = [row for row in self.rows() if row["p"] < 0.05]
        if not sure:
            best = f"; the smallest p is {written(self.rows()[0]['p'])}" if self.clusters else ""
            return f"No cluster stands out for {self.contrast} over {n} subjects (p < 0.05){best}."
        row = sure[0]
        more = f", and {len(sure) - 1} more" if len(sure) > 1 else ""
        return (
            f"{self.contrast} differs over {n} subjects: a cluster with its peak in the "
            f"{row['peak_region']} at {1e3 * row['peak_s']:.0f} ms (p = {written(row['p'])}){more}."
        )

    def summary(self) -> dict[str, Any]:
        """Everything, as plain values."""
        study = self.study
        return {
            "kind": "group",
            "version": VERSION,
            "versions": {"majorant": __version__},
            "headline": self.headline,
            "contrast": self.contrast,
            "subjects": list(study.subjects),
            "left_out": list(study.left_out),
            "conditions": list(study.conditions),
            "solver": study.solver,
            "unit": study.unit,
            "window_s": [float(study.times[0]), float(study.times[-1])],
            "permutations": self.permutations,
            "seed": self.seed,
            "point_level": self.level,
            "atlas": self.atlas.name,
            "clusters": self.rows(),
            "effects": [asdict(one) for one in self.effects],
        }


def analyse(
    study: StudyEstimates,
    atlas: Atlas,
    *,
    level: float = 0.01,
    permutations: int = 1000,
    seed: int = 0,
) -> GroupResult:
    """Test two conditions against each other, or one against its own baseline.

    Parameters
    ----------
    study : StudyEstimates
        The first condition is tested against the second; alone, against its mean before 0 s.
    atlas : Atlas
        On fsaverage.
    level, permutations, seed
        As of :func:`majorant.group.statistics.clusters`.

    Raises
    ------
    MajorantError
        If there are more than two conditions, or one without a baseline.
    """
    if len(study.conditions) > 2:
        raise MajorantError(
            f"the study has the conditions {', '.join(study.conditions)}; name the two that are "
            "tested with --condition"
        )
    if len(study.conditions) == 2:
        difference = study.data[:, 0] - study.data[:, 1]
        contrast = f"{study.conditions[0]} against {study.conditions[1]}"
        window = np.ones(len(study.times), bool)
    else:
        before = study.times < 0
        if before.sum() < 2 or (~before).sum() < 1:
            raise MajorantError(
                "one condition is tested against its baseline, and the window has none before 0 s; "
                "take --tmin below 0, or name a second condition"
            )
        difference = (study.data[:, 0] - study.data[:, 0][:, before].mean(1, keepdims=True))[
            :, ~before
        ]
        contrast = f"{study.conditions[0]} against its baseline"
        window = ~before
    regions, members = _members(study, atlas)
    means = study.data.mean(2) if len(study.conditions) == 2 else study.data[:, :, window].mean(2)
    values = np.stack([means[..., own].mean(-1) for own in members], axis=-1)
    own = np.stack([difference.mean(1)[:, rows].mean(-1) for rows in members], axis=-1)
    found = clusters(
        difference, adjacency(study.vertices), level=level, permutations=permutations, seed=seed
    )
    shift = int(window.argmax())
    found = [
        replace(one, times=one.times + shift, peak=(one.peak[0] + shift, one.peak[1]))
        for one in found[:KEPT]
    ]
    return GroupResult(
        study, contrast, difference, found, effects(own, regions), regions, values, atlas,
        permutations, seed, level,
    )  # fmt: skip


def _members(study: StudyEstimates, atlas: Atlas) -> tuple[list[str], list[NDArray[np.int64]]]:
    """Titles of the regions that have vertices, and their rows."""
    sides = np.repeat([0, 1], [len(v) for v in study.vertices])
    of = atlas.of_vertices(sides, np.concatenate(study.vertices))
    titles, rows = [], []
    for side, region in atlas.labelled:
        own = np.flatnonzero((sides == side) & (of == region))
        if len(own):
            titles.append(atlas.title(side, region))
            rows.append(own)
    return titles, rows


def save_group(result: GroupResult, out_dir: Path, *, overwrite: bool = False) -> Path:
    """Write averages, t values, tables, ``summary.json`` and ``group.html``, all or nothing.

    Raises
    ------
    MajorantError
        If the folder cannot be written.
    """
    import mne

    from majorant.group.page import render

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
