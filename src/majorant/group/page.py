"""`group.html` of an analysis: what was tested, the clusters on the cortex, effects by region."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from majorant.forward.surfaces import Surfaces
from majorant.forward.template import template_surfaces
from majorant.group.explore import explorers
from majorant.group.run import GroupResult
from majorant.group.statistics import t_values
from majorant.report.cortex import VIEWS, Cortex, Scale, Veil, ramp
from majorant.report.frame import framed
from majorant.report.maps import PLACES
from majorant.report.parts import Section, colour_bar, folded, lead, opening, paragraphs, table
from majorant.report.pictures import still
from majorant.report.spread import fill_between
from majorant.report.templating import template
from majorant.words import THIN, mni, number, written

__all__ = ["render"]

HEIGHT = 330
SHOWN, FEWEST = 20, 3
"""Clusters that are listed at most, and at least where there are so many."""
LIKELY = 0.5
"""p from which on a cluster is not listed."""
REGIONS = 12
"""Regions that are listed in plain sight; the others are folded away."""


def render(result: GroupResult) -> str:
    """Return the page as a string of HTML."""
    study = result.study
    title = f"{result.contrast}, {len(study.subjects)} subjects"
    also = (
        f"Solver {study.solver}, unit {study.unit}; window "
        f"{written(1e3 * study.times[0], '.0f')} to {written(1e3 * study.times[-1], '.0f')}"
        f"{THIN}ms; {result.permutations} permutations."
    )
    head = opening(title, "Group", result.headline, also)
    surfaces = template_surfaces()
    explored = explorers(result, surfaces)
    parts = [_map(result, surfaces), _clusters(result), _regions(result), _subjects(result)]
    if explored is None:
        return framed(title, head, parts)
    return framed(title, head, [explored, *parts], surfaces)


def _map(result: GroupResult, surfaces: Surfaces) -> Section:
    """The largest t of every vertex within the clusters that stand out, on the cortex."""
    n = sum(map(len, result.study.vertices))
    shown = np.zeros(n)
    for one in result.clusters:
        if one.p < 0.05:
            start = result.study.data.shape[2] - result.difference.shape[1]
            t = t_values(result.difference)[one.times - start, one.vertices]
            for row, value in zip(one.vertices, t, strict=True):
                if abs(value) > abs(shown[row]):
                    shown[row] = value
    if not np.any(shown):
        text = "No cluster stands out (p < 0.05), so there is nothing to draw."
        return Section("map", "On the cortex", paragraphs(text))
    cortex, largest = Cortex(surfaces, HEIGHT), float(np.abs(shown).max())
    values = np.full((2, surfaces.pial.shape[1], 1), np.nan)
    start = 0
    for side, own in enumerate(result.study.vertices):
        values[side, own, 0] = shown[start : start + len(own)]
        fill_between(values[side], surfaces.faces[side])
        start += len(own)
    scale, veil = Scale(largest, True), Veil(0.05 * largest, 0.3 * largest)
    pictures = [
        (order, still(cortex.draw(view, values[..., 0], scale, veil), f"Cortex, {view.name}"),
         view.name)
        for view, order in zip(VIEWS, PLACES, strict=True)
    ]  # fmt: skip
    end = number(largest)
    key = lead("The largest t of each place over the clusters with p < 0.05; grey elsewhere.")
    key += colour_bar(ramp(scale), (f"−{end}", "0", end), "t over subjects")
    body = template("image").maps("group", 0, result.contrast, pictures, True, "")
    return Section("map", "On the cortex", Markup().join([key, body]))


def _clusters(result: GroupResult) -> Section:
    likely = [row for row in result.rows()[:SHOWN] if row["p"] < LIKELY]
    listed = likely if len(likely) > FEWEST else result.rows()[:FEWEST]
    rows = [
        (
            str(rank),
            written(row["p"]),
            f"{written(1e3 * row['from_s'], '.0f')} to {written(1e3 * row['to_s'], '.0f')}",
            str(row["vertices"]),
            row["peak_region"],
            mni(tuple(row["peak_mni_mm"])),
            written(1e3 * row["peak_s"], ".0f"),
            number(row["peak_t"]),
        )
        for rank, row in enumerate(listed, 1)
    ]
    if not rows:
        return Section("clusters", "Clusters", paragraphs("No point passes the level."))
    heads = ("Rank", "p", "Time (ms)", "Vertices", "Peak", "MNI (mm)", "Peak (ms)", "t")
    caption = (
        "Clusters over space and time, by sign flips of whole subjects; p is corrected for all of "
        f"both. Points enter at a two-sided p of {result.level:g}. A small p says that the "
        "conditions differ; it does not say that the borders of a cluster are those of the effect. "
        "clusters.csv has all."
    )
    return Section("clusters", "Clusters", table(heads, rows, caption, (1, 2, 3, 5, 6, 7)))


def _regions(result: GroupResult) -> Section:
    rows = [
        (
            one.region,
            number(one.mean),
            number(one.t),
            written(one.p),
            written(one.q),
            f"{number(one.d, 2)} ({number(one.low, 2)} to {number(one.high, 2)})",
        )
        for one in result.effects
    ]
    heads = ("Region", f"Difference ({result.study.unit})", "t", "p", "q", "d (95 %)")
    caption = (
        f"Mean over the window and the region of {result.atlas.name}; q: after Benjamini and "
        "Hochberg over regions; d: mean over standard deviation of the differences, with its 95 % "
        "interval by the noncentral t distribution. values.csv has every subject's numbers."
    )
    numeric = (1, 2, 3, 4, 5)
    body = table(heads, rows[:REGIONS], caption, numeric)
    if len(rows) > REGIONS:
        rest = table(heads, rows[REGIONS:], "Smaller effects than those above.", numeric)
        body += folded(f"{len(rows) - REGIONS} more regions", rest)
    return Section("effects", "By region", body)


def _subjects(result: GroupResult) -> Section:
    """Who is in it, who is not, and who was carried over from another cortex."""
    study = result.study
    pairs = [("Subjects", ", ".join(study.subjects))]
    if study.left_out:
        pairs.append(("Left out, without all conditions", ", ".join(study.left_out)))
    if study.morphed:
        carried = f"{', '.join(study.morphed)}, along FreeSurfer’s registered spheres"
        pairs.append(("Carried from their own cortex to fsaverage", carried))
    return Section("subjects", "Who is in it", table(("", ""), pairs, "", kind="pairs full"))
