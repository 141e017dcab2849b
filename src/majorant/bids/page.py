"""`group.html`: every recording of a study, its strongest peak, its certificate and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from majorant.bids.derivatives import finished_records
from majorant.bids.study import RecordingOutcome, Study
from majorant.registry import SOLVERS
from majorant.report.frame import framed
from majorant.report.parts import Section, lead, link, opening, table
from majorant.words import mni, number, percent, written

__all__ = ["PAGE", "render_group"]

PAGE = "group.html"
HEADS = (
    "Recording", "Event", "Trials", "Strongest peak", "MNI152 (mm)", "Amplitude", "Explained",
    "Certificate", "Cautions",
)  # fmt: skip
NUMERIC = (2, 5, 6, 8)


def render_group(title: str, study: Study, failed: Sequence[RecordingOutcome]) -> str:
    """Return the page as a string of HTML.

    Parameters
    ----------
    title : str
        Name of the data set and the task.
    study : Study
    failed : sequence of RecordingOutcome
        Recordings of this run without an estimate.
    """
    records, others = finished_records(study)
    rows = [
        _row(folder, record["key"], entry)
        for folder, record in records
        for entry in record["estimates"]
    ]
    says = "Every line is an estimate; its name opens its page."
    if others:
        says += f" {others} recordings in this folder were imaged with other settings: not listed."
    listed = table(HEADS, rows, "Estimates, one a line", numeric=NUMERIC)
    sections = [Section("recordings", "Recordings", lead(says) + listed)]
    if failed:
        lines = [(outcome.key, outcome.failure or "") for outcome in failed]
        body = table(("Recording", "Why"), lines, "Recordings without an estimate in the last run")
        sections.insert(0, Section("failed", "Failed", body))
    settings = {**study.preparation.named(), **study.imaging.named()}
    asked = [(name, str(value)) for name, value in settings.items() if value not in (None, (), {})]
    sections.append(Section("settings", "Settings", table(("", ""), asked, "The same for all")))
    return framed(f"{title} · source estimates", _header(title, study, records, failed), sections)


def _header(
    title: str,
    study: Study,
    records: Sequence[tuple[Path, Mapping[str, Any]]],
    failed: Sequence[RecordingOutcome],
) -> Markup:
    entries = [entry for _, record in records for entry in record["estimates"]]
    kept = sum(bool(entry["certificate"]["holds"]) for entry in entries)
    says = f"{_count(len(records), 'recording')} imaged, {_count(len(entries), 'estimate')}"
    says += f"; {len(failed)} failed." if failed else "."
    solver = SOLVERS[study.imaging.solver].title
    also = f"Certificates that hold: {kept} of {len(entries)}."
    return opening(title, solver, says, also)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _row(folder: Path, key: str, entry: Mapping[str, Any]) -> list[str]:
    """Cells of an estimate; its name opens its page."""
    peak = entry["peaks"][0] if entry["peaks"] else None
    place = "no peak to rely on"
    if peak is not None:
        name, time = peak.get("name") or peak["lobe"], written(1e3 * peak["time"], ".0f")
        place = f"{peak['hemisphere']} {name}, {time} ms"
    unit, factor = ("nAm", 1e9) if entry["unit"] == "Am" else ("", 1.0)
    return [
        link(quote((folder / entry["report"]).as_posix()), key),
        entry["label"],
        str(entry["nave"]),
        place,
        "" if peak is None else mni(tuple(peak["mni"])),
        "" if peak is None else f"{number(factor * peak['amplitude'])} {unit}".strip(),
        percent(entry["explained"]),
        "holds" if entry["certificate"]["holds"] else "does not hold",
        str(len(entry["cautions"])),
    ]
