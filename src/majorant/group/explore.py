"""The explorer of a group: the difference with its standard error, and every condition’s mean."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from majorant.atlas.gyri import LOBE_OF
from majorant.findings.facts import Peak, SourceMaps, Uncertainty
from majorant.findings.moments import meaning
from majorant.forward.cortex import lobe
from majorant.forward.surfaces import Surfaces
from majorant.group.run import GroupResult
from majorant.report.cells import cells
from majorant.report.live import explorer
from majorant.report.parts import Section, lead, tabs
from majorant.report.payload import MOST_SAMPLES, Explored
from majorant.words import written

__all__ = ["explorers"]

SURE = 0.05
SHOWN = 8
"""Clusters whose peaks are listed."""
NEAR_MM = 30.0


def explorers(result: GroupResult, surfaces: Surfaces) -> Section | None:
    """Return the explorers, one a tab; None where every map is zero."""
    study, names = result.study, _names(result)
    whole = [(f"Mean of {name}", _condition(result, k, names))
             for k, name in enumerate(study.conditions)]  # fmt: skip
    shown = [("Difference", _difference(result, names)), *whole]
    shown = [(name, one) for name, one in shown if np.any(one.sources.values)]
    panels: list[tuple[str, Markup]] = []
    most = MOST_SAMPLES // max(len(shown), 1)
    for name, one in shown:
        drawn = explorer(one, cells(one.sources, surfaces.faces), surfaces, most)
        panels.append((name, drawn))
    if not panels:
        return None
    says = lead(
        f"The difference of {result.contrast}, averaged over subjects, with its standard error; "
        "“estimate over uncertainty” is t. Numbered: the peaks of clusters with p < 0.05."
    )
    return Section("explore", "Explore", says + tabs("wave", "Map", panels))


def _names(result: GroupResult) -> tuple[str, ...]:
    """Region of every row, without its side."""
    vertices, atlas = result.study.vertices, result.atlas
    sides = np.repeat([0, 1], [len(own) for own in vertices])
    found = atlas.of_vertices(sides, np.concatenate(vertices))
    return tuple("" if k < 0 else atlas.names[k] for k in found)


def _maps(
    result: GroupResult, values: NDArray[np.float64], signed: bool, names: tuple[str, ...]
) -> SourceMaps:
    vertices = result.study.vertices
    return SourceMaps(
        values=values.T,
        positions_mni=result.mni,
        hemisphere=np.repeat([0, 1], [len(own) for own in vertices]),
        vertices=np.concatenate(vertices),
        unit=result.study.unit,
        signed=signed,
        names=names,
        atlas=result.atlas.name,
    )


def _difference(result: GroupResult, names: tuple[str, ...]) -> Explored:
    n, study = len(result.difference), result.study
    mean = result.difference.mean(0)
    error = result.difference.std(0, ddof=1) / np.sqrt(n)
    start = len(study.times) - len(mean)
    chosen = [one for one in result.clusters if one.p < SURE][:SHOWN]
    peaks = tuple(_peak(result, mean, one.peak[0] - start, one.peak[1], names) for one in chosen)
    how = "The standard deviation of the subjects’ differences over the root of their number."
    return Explored(
        times=study.times[start:],
        sources=_maps(result, mean, True, names),
        means=f"the mean over {n} subjects of the difference; each subject’s value is "
        f"{meaning(study.unit, False)}",
        peaks=peaks,
        notes=tuple(f"p = {written(one.p)}, t = {written(one.t)}" for one in chosen),
        leading=0 if peaks else None,
        uncertainty=Uncertainty(error.T, "standard error over subjects", how),
    )


def _peak(
    result: GroupResult, mean: NDArray[np.float64], sample: int, row: int, names: tuple[str, ...]
) -> Peak:
    """The peak of a cluster, with the mean difference there."""
    x, y, z = (float(v) for v in result.mni[row])
    energy = mean[sample] ** 2
    near = np.linalg.norm(result.mni - result.mni[row], axis=1) < NEAR_MM
    start = len(result.study.times) - len(mean)
    return Peak(
        time=float(result.study.times[start + sample]),
        hemisphere=("left", "right")[int(row >= len(result.study.vertices[0]))],
        lobe=LOBE_OF.get(names[row]) or lobe((x, y, z)),
        mni=(x, y, z),
        location=row,
        amplitude=float(mean[sample, row]),
        share=float(energy[near].sum() / (energy.sum() or 1.0)),
        name=names[row],
    )


def _condition(result: GroupResult, k: int, names: tuple[str, ...]) -> Explored:
    study = result.study
    mean = study.data[:, k].mean(0)
    limit = float(np.abs(study.data.mean(0)).max())
    return Explored(
        times=study.times,
        sources=_maps(result, mean, bool((study.data < 0).any()), names),
        means=f"the mean over {len(study.subjects)} subjects; each subject’s value is "
        f"{meaning(study.unit, False)}",
        limit=limit or None,
    )
