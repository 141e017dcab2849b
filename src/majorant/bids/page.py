"""`group.html`: every recording of a study, its strongest peak, its certificate and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from majorant.bids.derivatives import finished_records
from majorant.bids.study import Outcome, Study
from majorant.registry import SOLVERS
from majorant.report.parts import Section, opening, table
from majorant.report.sheet import render_sheet
from majorant.words import (
    escape,
    mni,
    number,
    percent,
    written,
)

__all__ = ["PAGE", "render_group"]

PAGE = "group.html"
HEADS = (
    "Recording", "Event", "Trials", "Strongest peak", "MNI152 (mm)", "Amplitude", "Explained",
    "Certificate", "Cautions",
)  # fmt: skip
NUMERIC = (2, 5, 6, 8)


def render_group(title: str, study: Study, failed: Sequence[Outcome]) -> str:
    """Return the page as a string of HTML.

    Parameters
    ----------
    title : str
        Name of the data set and the task.
    study : Study
    failed : sequence of Outcome
        Recordings of this run without an estimate.
    """
    records, others = finished_records(study)
    rows = [
        _row(folder, record["key"], entry)
        for folder, record in records
        for entry in record["estimates"]
    ]
    lead = "Every line is an estimate; its name opens its page."
    if others:
        lead += f" {others} recordings in this folder were imaged with other settings: not listed."
    sections = [Section("recordings", "Recordings", f'<p class="lead">{lead}</p>{_table(rows)}')]
    if failed:
        lines = [(outcome.key, outcome.failure or "") for outcome in failed]
        body = table(("Recording", "Why"), lines, "Recordings without an estimate in the last run")
        sections.insert(0, Section("failed", "Failed", body))
    settings = {**study.preparation.named(), **study.imaging.named()}
    asked = [(name, str(value)) for name, value in settings.items() if value not in (None, (), {})]
    sections.append(Section("settings", "Settings", table(("", ""), asked, "The same for all")))
    return render_sheet(
        f"{title} · source estimates", _header(title, study, records, failed), sections
    )


def _header(
    title: str,
    study: Study,
    records: Sequence[tuple[Path, Mapping[str, Any]]],
    failed: Sequence[Outcome],
) -> str:
    entries = [entry for _, record in records for entry in record["estimates"]]
    kept = sum(bool(entry["certificate"]["holds"]) for entry in entries)
    says = f"{_count(len(records), 'recording')} imaged, {_count(len(entries), 'estimate')}"
    says += f"; {len(failed)} failed." if failed else "."
    solver = SOLVERS[study.imaging.solver].title
    also = f"Certificates that hold: {kept} of {len(entries)}."
    return opening(title, solver, says, also)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _row(folder: Path, key: str, entry: Mapping[str, Any]) -> tuple[str, list[str]]:
    """Link and cells of an estimate."""
    peak = entry["peaks"][0] if entry["peaks"] else None
    place = "no peak to rely on"
    if peak is not None:
        name, time = peak.get("region") or peak["lobe"], written(1e3 * peak["time"], ".0f")
        place = f"{peak['hemisphere']} {name}, {time} ms"
    unit, factor = ("nAm", 1e9) if entry["unit"] == "Am" else ("", 1.0)
    cells = [
        key,
        entry["label"],
        str(entry["nave"]),
        place,
        "" if peak is None else mni(tuple(peak["mni"])),
        "" if peak is None else f"{number(factor * peak['amplitude'])} {unit}".strip(),
        percent(entry["explained"]),
        "holds" if entry["certificate"]["holds"] else "does not hold",
        str(len(entry["cautions"])),
    ]
    return quote((folder / entry["report"]).as_posix()), cells


def _table(rows: Sequence[tuple[str, list[str]]]) -> str:
    def style(column: int) -> str:
        return ' class="n"' if column in NUMERIC else ""

    head = "".join(f'<th scope="col"{style(k)}>{escape(name)}</th>' for k, name in enumerate(HEADS))
    body = ""
    for link, cells in rows:
        first = f'<th scope="row"><a href="{escape(link)}">{escape(cells[0])}</a></th>'
        rest = "".join(f"<td{style(k)}>{escape(cell)}</td>" for k, cell in enumerate(cells) if k)
        body += f"<tr>{first}{rest}</tr>"
    return (
        '<div class="wide"><table class="full"><caption>Estimates, one a line</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )
