"""Tables of an audit: by lobe and depth, and what would change."""

from __future__ import annotations

from collections.abc import Sequence

from majorant.audit.advice import decibels, title
from majorant.audit.pictures import MapScale, map_scales
from majorant.audit.summary import Audit, Estimate
from majorant.words import escape, written

__all__ = ["change_table", "place_table"]

DARK = 0.55
"""Position on a scale from which text on the colour is white."""
TOO_FEW = "<td><small>too few</small></td>"


def place_table(audit: Audit) -> str:
    """Localisation error and share found, by lobe and by third of the depths."""
    scale = map_scales(audit.settings)[0]
    heads = "".join(f'<th scope="col">{escape(title(s))}</th>' for s in audit.ranked())
    bodies, kind = [], ""
    for group in audit.groups:
        cells = []
        for solver in audit.ranked():
            errors = audit.values(solver)[:, 0]
            error = audit.estimate(errors, group.rows)
            found = audit.share(errors, group.rows)
            below = f"{found.mean:.0f}\u202f% found ({found.low:.0f} to {found.high:.0f})"
            cells.append(_cell(error, scale, below) if group.enough else TOO_FEW)
        row = (
            f'<tr{" class=whole" if group.kind == "all" else ""}><th scope="row">'
            f"{escape(group.name)}<small>{_patches(int(group.rows.sum()))}</small></th>"
            f"{''.join(cells)}</tr>"
        )
        if group.kind != kind:
            bodies.append([])
            kind = group.kind
        bodies[-1].append(row)
    caption = (
        f"Localisation error in mm with its 95 % interval, and the share of patches found within "
        f"{audit.settings.goal:g} mm, at {decibels(audit.level)}. Lobes by boxes in MNI152 "
        f"coordinates, only a guide near their borders; depth is the distance "
        f"{audit.head.depth_word}."
    )
    groups = "".join(f"<tbody>{''.join(rows)}</tbody>" for rows in bodies)
    return (
        f'<div class="wide"><table class="heat full"><caption>{escape(caption)}</caption><thead>'
        f'<tr><th scope="col">Place</th>{heads}</tr></thead>{groups}</table></div>\n'
    )


def _patches(n: int) -> str:
    return "1 patch" if n == 1 else f"{n} patches"


def _cell(error: Estimate, scale: MapScale, below: str) -> str:
    """A number on its colour, with the interval, and a second line."""
    share = float(scale.share(error.mean))
    ink = "#ffffff" if share > DARK else "#171b20"
    return (
        f'<td class="tinted" style="background:{scale.palette.tint(share)};--on:{ink}">'
        f"<b>{error.mean:.0f}</b> ({error.low:.0f} to {error.high:.0f})"
        f"<small>{escape(below)}</small></td>"
    )


def change_table(audit: Audit) -> str:
    """What other caps and more trials would give every solver."""
    scale = map_scales(audit.settings)[0]
    heads = "".join(f'<th scope="col">{escape(title(s))}</th>' for s in audit.ranked())
    n = audit.jobs[1].n
    changes = {solver: audit.changes(solver) for solver in audit.ranked()}
    rows = []
    for i, job in enumerate(audit.jobs[1:]):
        name = (
            f"{job.electrodes} electrodes"
            if job.trials == 1
            else f"{_times(job.trials)} the trials ({written(job.levels[0], '.0f')} dB)"
        )
        cells = "".join(
            _changed(changes[s][i].error, changes[s][i].error_gain, scale) for s in audit.ranked()
        )
        rows.append(f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>')
    own = "".join(
        _cell(audit.estimate(audit.values(s)[:n, 0]), scale, "as audited") for s in audit.ranked()
    )
    first = (
        f'<tr class="whole"><th scope="row">{audit.cap.n} electrodes, '
        f"{escape(written(audit.level, '.3g'))} dB</th>{own}</tr>"
    )
    caption = (
        f"Localisation error in mm on the first {n} patches, with its 95 % interval; below, the "
        "paired difference from the audited cap (bold where its interval leaves zero out)."
    )
    return (
        f'<div class="wide"><table class="heat full"><caption>{escape(caption)}</caption><thead>'
        f'<tr><th scope="col">Instead</th>{heads}</tr></thead><tbody>{first}</tbody>'
        f"<tbody>{''.join(rows)}</tbody></table></div>\n"
    )


def _times(trials: int) -> str:
    return {2: "twice", 4: "four times"}[trials]


def _changed(error: Estimate, gain: Estimate, scale: MapScale) -> str:
    share = float(scale.share(error.mean))
    ink = "#ffffff" if share > DARK else "#171b20"
    words = f"{signed(gain.mean)} ({signed(gain.low)} to {signed(gain.high)})"
    return (
        f'<td class="tinted" style="background:{scale.palette.tint(share)};--on:{ink}">'
        f"<b>{error.mean:.0f}</b> ({error.low:.0f} to {error.high:.0f})"
        f"<small>{f'<b>{words}</b>' if gain.clear else words}</small></td>"
    )


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
