"""The analysis of a group: averages, clusters, effects by region."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant import __version__
from majorant.atlas.atlas import SIDES, Atlas
from majorant.errors import MajorantError
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template import template_surfaces
from majorant.group.load import StudyEstimates
from majorant.group.statistics import Cluster, Effect, Mapped, adjacency, clusters, effects
from majorant.randomness import takes_rng
from majorant.words import written

__all__ = ["GroupResult", "analyse"]

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
            "morphed": list(study.morphed),
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


@takes_rng
def analyse(
    study: StudyEstimates,
    atlas: Atlas,
    *,
    level: float = 0.01,
    permutations: int = 1000,
    seed: int = 0,
    mapped: Mapped | None = None,
) -> GroupResult:
    """Test two conditions against each other, or one against its own baseline.

    Parameters
    ----------
    study : StudyEstimates
        The first condition is tested against the second; alone, against its mean before 0 s.
    atlas : Atlas
        On fsaverage.
    level, permutations, seed, mapped
        As of :func:`majorant.group.statistics.clusters`.

    Raises
    ------
    MajorantError
        If there are more than two conditions, or one without a baseline.
    """
    first = study.conditions[0]
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
        contrast = f"{first} against its baseline"
        window = ~before
    regions, members = _members(study, atlas)
    means = study.data.mean(2) if len(study.conditions) == 2 else study.data[:, :, window].mean(2)
    values = np.stack([means[..., own].mean(-1) for own in members], axis=-1)
    own = np.stack([difference.mean(1)[:, rows].mean(-1) for rows in members], axis=-1)
    found = clusters(
        difference, adjacency(study.vertices), level=level, permutations=permutations, seed=seed,
        mapped=mapped,
    )  # fmt: skip
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
