"""Tables of an audit: by lobe and depth, and what would change."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from majorant.audit.advice import decibels, title
from majorant.audit.pictures import MapScale, map_scales
from majorant.audit.summary import ENOUGH, Audit, Estimate, Group
from majorant.report.parts import HeatCell, folded
from majorant.report.templating import template
from majorant.words import written

__all__ = ["change_table", "place_table"]


def place_table(audit: Audit) -> Markup:
    """Localisation error and share found, by lobe, by third of the depths, and by gyrus, folded."""
    kinds = ("all", "lobe", "depth")
    groups = [[_place(audit, g) for g in audit.groups if g.kind == kind] for kind in kinds]
    caption = (
        f"Localisation error in mm with its 95 % interval, and the share of patches found within "
        f"{audit.settings.goal:g} mm, at {decibels(audit.level)}. Lobes are made of the gyri of "
        "the template, a guide near their borders; “central” is the pre- and postcentral gyrus and "
        f"the paracentral lobule. Depth is the distance {audit.head.depth_word}."
    )
    heads = ["Place", *(title(solver) for solver in audit.ranked())]
    shown = template("audit").heat(caption, heads, groups)
    own = [_place(audit, g) for g in audit.groups if g.kind == "gyrus" and g.enough]
    if not own:
        return shown
    caption = (
        f"The same by gyrus, both sides together, where {ENOUGH} patches or more lie; the "
        "intervals are wide, and more patches (--n) make them narrower."
    )
    return shown + folded("By gyrus", template("audit").heat(caption, heads, [own]))


def _place(audit: Audit, group: Group) -> dict[str, object]:
    """A row of the table: a lobe, or a third of the depths."""
    n = int(group.rows.sum())
    return {
        "whole": group.kind == "all",
        "name": group.name,
        "below": "1 patch" if n == 1 else f"{n} patches",
        "cells": [_found(audit, solver, group) for solver in audit.ranked()],
    }


def _found(audit: Audit, solver: str, group: Group) -> HeatCell:
    if not group.enough:
        return HeatCell(below="too few")
    errors = audit.values(solver)[:, 0]
    found = audit.share(errors, group.rows)
    below = f"{found.mean:.0f}\u202f% found ({found.low:.0f} to {found.high:.0f})"
    return _cell(audit.estimate(errors, group.rows), map_scales(audit.settings)[0], below)


def _cell(error: Estimate, scale: MapScale, below: str, strong: bool = False) -> HeatCell:
    """A number on its colour, with the interval, and a second line."""
    share = float(scale.share(error.mean))
    interval = f"({error.low:.0f} to {error.high:.0f})"
    tint, ink = scale.palette.tint(share), scale.palette.ink(share)
    return HeatCell(f"{error.mean:.0f}", interval, below, strong, tint, ink)


def change_table(audit: Audit) -> Markup:
    """What other caps and more trials would give every solver."""
    scale = map_scales(audit.settings)[0]
    n = audit.jobs[1].n
    changes = {solver: audit.changes(solver) for solver in audit.ranked()}
    rows = []
    for i, job in enumerate(audit.jobs[1:]):
        name = (
            audit.cap.called(job.electrodes)
            if job.trials == 1
            else f"{_times(job.trials)} the trials ({written(job.levels[0], '.0f')} dB)"
        )
        cells = [
            _changed(changes[s][i].error, changes[s][i].error_gain, scale) for s in audit.ranked()
        ]
        rows.append({"whole": False, "name": name, "below": "", "cells": cells})
    own = [
        _cell(audit.estimate(audit.values(s)[:n, 0]), scale, "as audited") for s in audit.ranked()
    ]
    name = f"{audit.cap.n} electrodes, {written(audit.level, '.3g')} dB"
    first = {"whole": True, "name": name, "below": "", "cells": own}
    caption = (
        f"Localisation error in mm on the first {n} patches, with its 95 % interval; below, the "
        "paired difference from the audited cap (bold where its interval leaves zero out)."
    )
    heads = ["Instead", *(title(solver) for solver in audit.ranked())]
    return template("audit").heat(caption, heads, [[first], rows])


def _times(trials: int) -> str:
    return {2: "twice", 4: "four times"}[trials]


def _changed(error: Estimate, gain: Estimate, scale: MapScale) -> HeatCell:
    words = f"{signed(gain.mean)} ({signed(gain.low)} to {signed(gain.high)})"
    return _cell(error, scale, words, strong=gain.clear)


def signed(value: float) -> str:
    """A difference with its sign, to a tenth."""
    shown = written(value, ".1f")
    return shown if value < 0 or float(f"{value:.1f}") == 0 else f"+{shown}"


def rows_for_csv(audit: Audit) -> tuple[Sequence[str], list[list[str]]]:
    """Heads and rows of ``table.csv``: every group, level, solver and metric with its interval."""
    heads = ("kind", "place", "patches", "snr_db", "solver", "metric", "mean", "low", "high")
    rows = []
    for group in audit.groups:
        for i, level in enumerate(audit.settings.snr_levels):
            for solver in audit.solvers:
                for name, e in audit.record(solver, i, group.rows).items():
                    own = [group.kind, group.name, str(int(group.rows.sum())), f"{level:g}"]
                    rows.append([*own, solver, name, *(f"{e[k]:.4g}" for k in e)])
    return heads, rows
