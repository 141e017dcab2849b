"""The audit from settings to a folder of results."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant import __version__
from majorant.account import Account
from majorant.audit.advice import advice, headline
from majorant.audit.cap import Cap, choose_cap, forward_cap
from majorant.audit.family import with_family
from majorant.audit.heads import AuditHead, own_head, template_heads
from majorant.audit.jobs import AuditJob, foreseen, plan_jobs, run_jobs
from majorant.audit.judge import METRICS
from majorant.audit.page import render_audit
from majorant.audit.patches import balanced, centres, grow
from majorant.audit.poster import poster
from majorant.audit.regions import expected_regions
from majorant.audit.settings import AuditSettings
from majorant.audit.solvers import check_solver, weights_of
from majorant.audit.store import SUMMARY, finish, open_folder
from majorant.audit.suffices import CapLine, cap_line, which_suffices
from majorant.audit.summary import Audit, cortex_maps
from majorant.audit.tables import rows_for_csv
from majorant.audit.trials import AuditTrials, noise_scale
from majorant.errors import MajorantError
from majorant.report.shade import Shade

__all__ = ["PAGE", "PreparedAudit", "audit_folder", "prepare", "run", "save", "summarise"]

PAGE, MAPS, TABLE, POSTER = "audit.html", "maps.csv", "table.csv", "maps.png"
HEIGHT = 224
"""Pixels of a picture of the cortex."""
Move = Callable[[int, int], None]


class PreparedAudit:
    """Electrodes and heads of an audit, before anything is simulated.

    Attributes
    ----------
    settings : AuditSettings
    cap : Cap
    head : AuditHead
    solvers : tuple of str
        Those that can be used.
    left_out : dict
        The others, and why.
    account : Account
    """

    def __init__(
        self, settings: AuditSettings, cap: Cap, head: AuditHead, account: Account
    ) -> None:
        self.settings, self.cap, self.head, self.account = settings, cap, head, account
        self.left_out: dict[str, str] = {}
        for name in settings.solvers:
            try:
                check_solver(name, head)
            except MajorantError as mistake:
                self.left_out[name] = f"{mistake}."
                account.note(f"Left out {name}: {mistake}.")
        self.solvers = tuple(name for name in settings.solvers if name not in self.left_out)
        if not self.solvers:
            raise MajorantError(f"no solver is left to audit: {'; '.join(self.left_out.values())}")

    def plan(self) -> dict[str, Any]:
        """Everything that the results depend on."""
        return {
            "version": __version__,
            "settings": self.settings.named(),
            "electrodes": list(self.cap.ch_names),
            "leadfield": self.head.believed.fingerprint(),
            "weights": {name: weights_of(name) for name in self.solvers},
        }


def prepare(settings: AuditSettings, say: Callable[[str], None] | None = None) -> PreparedAudit:
    """Find the electrodes and make the heads.

    Parameters
    ----------
    settings : AuditSettings
    say : callable, optional
        Called with every decision, and for every step that takes time.

    Raises
    ------
    MajorantError
        If montage, electrodes, head and solvers do not fit together.
    """
    account = Account(say) if say else Account()
    if settings.forward is not None:
        from majorant.head.model import read_forward

        forward = read_forward(settings.forward)
        cap = forward_cap(forward, settings, account)
        head = own_head(forward, cap)
    else:
        from majorant.forward.template import template_head

        template = template_head(progress=say)
        cap = choose_cap(settings, template, account)
        cap = with_family(cap, str(settings.montage), template)
        head = template_heads(
            cap,
            differ=settings.head_error,
            seed=settings.seed,
            head=template,
            age=settings.age,
            progress=say,
        )
    account.note(head.differs)
    return PreparedAudit(settings, cap, head, account)


def run(
    prepared: PreparedAudit,
    chunks: Path,
    move: Move,
    *,
    ahead: Callable[[float], None] | None = None,
    told: Callable[[CapLine], None] | None = None,
) -> Audit:
    """Simulate, solve and judge whatever is not in the folder of chunks yet.

    Parameters
    ----------
    prepared : PreparedAudit
    chunks : Path
    move : callable
        Called with (estimates done, estimates in all).
    ahead : callable, optional
        Called once, at the start, with about how many seconds it will take.
    told : callable, optional
        Called with what every cap gives, as soon as it is known.
    """
    settings, cap, head = prepared.settings, prepared.cap, prepared.head
    every = np.arange(head.believed.n_locations)
    locations = balanced(head.near, settings.n, settings.seed)
    own = grow(head, centres(head, locations, settings.seed), settings.extent)
    reference = grow(head, _representatives(head, every), settings.extent)
    deviation = noise_scale(reference, cap.rows(cap.n))
    everywhere = AuditTrials(head, reference, tuple(range(cap.n)), deviation, settings.seed)
    jobs = plan_jobs(settings, cap)
    data = replace(everywhere, patches=own)
    if ahead is not None:
        ahead(foreseen(jobs, prepared.solvers, data, chunks))

    def line(job: AuditJob, found: Mapping[str, NDArray[np.float64]]) -> None:
        if told is not None:
            told(cap_line(settings, cap, job, found))

    scores = run_jobs(jobs, prepared.solvers, data, cap, chunks, move, line)
    level, regions = settings.snr_levels[settings.planning], {}
    if settings.region is not None:
        for name in prepared.solvers:
            regions[name] = expected_regions(name, cap, level, settings.region, settings.seed)
    return Audit(
        settings=settings,
        cap=cap,
        head=head,
        jobs=jobs,
        solvers=prepared.solvers,
        left_out=prepared.left_out,
        locations=locations,
        visible_db=everywhere.snr_db.numpy(),
        scores=scores,
        decisions=tuple(prepared.account.decisions),
        regions=regions,
    )


def save(audit: Audit, target: Path, command: str, move: Move | None = None) -> dict[str, Any]:
    """Write `audit.html`, `maps.png`, `maps.csv`, `table.csv` and `summary.json`.

    Parameters
    ----------
    audit : Audit
    target : Path
        Folder of the audit.
    command : str
        What was typed.
    move : callable, optional
        Called with (solvers drawn, solvers in all).

    Returns
    -------
    dict
        The summary.
    """
    from majorant.forward.template import template_surfaces

    shade = Shade(template_surfaces(), HEIGHT)
    maps = {solver: cortex_maps(audit, solver) for solver in audit.solvers}
    summary = summarise(audit, command)
    page = render_audit(audit, maps, shade, command, move or (lambda done, total: None))
    files: dict[str, str | bytes] = {
        PAGE: page,
        POSTER: poster(audit, maps, shade),
        MAPS: _csv(*_map_rows(audit, maps)),
        TABLE: _csv(*rows_for_csv(audit)),
        SUMMARY: json.dumps(summary, indent=2, ensure_ascii=False) + "\n",
    }
    finish(target, files)
    return summary


def audit_folder(
    settings: AuditSettings,
    out: str | Path,
    *,
    overwrite: bool = False,
    command: str = "",
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run an audit into a folder: what the command does, for scripts.

    Returns
    -------
    dict
        The summary, as in `summary.json`.
    """
    prepared = prepare(settings, say)
    chunks, _ = open_folder(out, prepared.plan(), overwrite=overwrite)
    found = run(prepared, chunks, lambda done, total: None)
    return save(found, chunks.parent, command)


def summarise(audit: Audit, command: str) -> dict[str, Any]:
    """Everything that was found, as plain values, ready for JSON."""
    levels = audit.settings.snr_levels
    by_level = [
        {
            "snr_db": level,
            "solvers": {solver: audit.record(solver, i) for solver in audit.solvers},
        }
        for i, level in enumerate(levels)
    ]
    places = [
        {
            "kind": group.kind,
            "place": group.name,
            "patches": int(group.rows.sum()),
            "solvers": {
                solver: audit.record(solver, audit.settings.planning, group.rows)
                for solver in audit.solvers
            },
        }
        for group in audit.groups
    ]
    changes = {
        solver: [{**asdict(change), "job": asdict(change.job)} for change in audit.changes(solver)]
        for solver in audit.solvers
    }
    return {
        "kind": "audit",
        "headline": headline(audit)[0],
        "which_cap_suffices": which_suffices(audit).record(),
        "advice": [asdict(entry) for entry in advice(audit)],
        "command": command,
        "version": __version__,
        "settings": audit.settings.named(),
        "electrodes": list(audit.cap.chosen),
        "montage": audit.cap.title,
        "snr_db": audit.level,
        "solvers": list(audit.ranked()),
        "left_out": dict(audit.left_out),
        "levels": by_level,
        "places": places,
        "changes": changes,
        "regions": {
            solver: [asdict(expected) for expected in found]
            for solver, found in audit.regions.items()
        },
        "decisions": list(audit.decisions),
        "files": [PAGE, POSTER, MAPS, TABLE, SUMMARY],
    }


def _representatives(head: AuditHead, locations: NDArray[np.int64]) -> NDArray[np.int64]:
    """The vertex of every location that is nearest to where the location sits."""
    if len(head.vertices) == head.believed.n_locations:
        return locations
    side = head.believed.hemisphere.numpy()[locations]
    return head.believed.vertices.numpy()[locations] + side * (len(head.vertices) // 2)


def _map_rows(
    audit: Audit, maps: Mapping[str, NDArray[np.float64]]
) -> tuple[Sequence[str], list[list[str]]]:
    """Heads and rows of ``maps.csv``: every location, level and solver."""
    heads = ["location", "hemisphere", "x_mni_mm", "y_mni_mm", "z_mni_mm", "lobe", "region"]
    heads += ["depth_mm", "visible_db", "snr_db", "solver"]
    heads += [f"{m.key}{end}" for m in METRICS for end in ("", "_low", "_high")]
    places, rows = audit.head.places, []
    for i, (x, y, z) in enumerate(places.mni):
        own = [str(i), ("left", "right")[int(places.hemisphere[i])]]
        own += [f"{v:.1f}" for v in (x, y, z)]
        own += [audit.head.lobes[i], audit.head.regions[i]]
        own += [f"{audit.head.depth[i]:.1f}", f"{audit.visible_db[i]:.2f}"]
        for k, level in enumerate(audit.settings.snr_levels):
            for solver in audit.solvers:
                found = maps[solver][k, :, :, i].ravel()
                rows.append([*own, f"{level:g}", solver, *(f"{v:.2f}" for v in found)])
    return heads, rows


def _csv(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return buffer.getvalue()
