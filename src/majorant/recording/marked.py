"""Events from elsewhere: marks that somebody made by hand, in a file beside the recording.

Three kinds of files are read: MNE's events (samples and codes), annotations of any kind that MNE
reads (times and descriptions), and tables with a column ``onset`` in seconds from the recording's
start, as BIDS has them (``*_events.tsv``; names in ``trial_type``, ``description`` or ``value``).
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError
from majorant.recording.events import annotation_events, is_mark
from majorant.recording.file import UNREADABLE, Recording

__all__ = ["ANNOTATIONS", "with_events"]

ANNOTATIONS = "annotations"
"""The word for events that are the recording's own annotations, and nothing else."""
NAMES = ("trial_type", "description", "label", "type", "name", "value", "event")
"""Columns that a table may have its names in; the first that is there counts."""
EVENT_FILES = (".eve", ".lst", ".txt")
LISTED = 12


def with_events(recording: Recording, source: str | None) -> Recording:
    """A recording whose events are those of a file, or its own annotations alone.

    Parameters
    ----------
    recording : Recording
        Continuous.
    source : str or None
        A file, or ``"annotations"``; None leaves the recording as it is. Stretches that a file
        marks as bad are bad, beside those that the recording has.

    Raises
    ------
    MajorantError
        If the recording is not continuous, or the file cannot be read or holds no event.
    """
    if source is None:
        return recording
    if recording.kind != "raw":
        raise MajorantError(
            f"{recording.path.name} holds {recording.kind}, and events can be cut from a "
            "continuous recording only; leave --events-from out"
        )
    raw = recording.data
    if source == ANNOTATIONS:
        with listening(Account(), "reading events"):
            found, what = annotation_events(raw), "the recording’s annotations"
        if not found:
            raise MajorantError(
                f"{recording.path.name} has no annotation that is an event; give the file that "
                "holds the marks"
            )
        return _told(recording, raw, found, what)
    path = Path(source).expanduser()
    if not path.is_file():
        raise MajorantError(
            f"there is no file {path} with events; check the path, or say 'annotations'"
        )
    try:
        with listening(Account(), "reading events"):
            raw, found = _read(path, raw)
    except UNREADABLE as error:
        if isinstance(error, MajorantError):
            raise
        raise MajorantError(
            f"{path} cannot be read as events; give MNE's events or annotations, or a table with "
            "the columns onset and trial_type (BIDS)"
        ) from error
    if not found:
        raise MajorantError(f"{path} holds no event; check the file")
    return _told(recording, raw, found, path.name)


def _told(
    recording: Recording, raw: Any, found: dict[str, NDArray[np.int64]], what: str
) -> Recording:
    shown = [f"{name!r} ({len(samples)})" for name, samples in found.items()]
    more = f", and {len(shown) - LISTED} more" if len(shown) > LISTED else ""
    said = f"Events from {what}: {', '.join(shown[:LISTED])}{more}."
    notes = recording.notes if said in recording.notes else (*recording.notes, said)
    return replace(recording, data=raw, events=found, notes=notes)


def _read(path: Path, raw: Any) -> tuple[Any, dict[str, NDArray[np.int64]]]:
    """The recording with what the file marks as bad, and the samples of its events by name."""
    import mne

    suffix = path.name.removesuffix(".gz").rpartition(".")[2].casefold()
    if suffix in ("tsv", "csv"):
        return _annotated(raw, _table(path, "\t" if suffix == "tsv" else ","))
    events = suffix == "fif" and mne.what(path) == "events"
    if events or f".{suffix}" in EVENT_FILES:
        try:
            coded: Any = mne.read_events(path, verbose="error")
            return raw, _coded(coded, raw)
        except UNREADABLE as error:
            if events or suffix == "eve" or isinstance(error, MajorantError):
                raise
    found: Any = mne.read_annotations(path)
    return _annotated(raw, found)


def _coded(events: NDArray[np.int64], raw: Any) -> dict[str, NDArray[np.int64]]:
    """Samples by code; they count from the start of the acquisition, as MNE's do."""
    inside = (events[:, 0] >= raw.first_samp) & (events[:, 0] <= raw.last_samp)
    if len(events) and not inside.any():
        raise MajorantError(
            f"none of {len(events)} events lies within the recording (samples {raw.first_samp} to "
            f"{raw.last_samp}); MNE counts samples from the start of the acquisition"
        )
    codes = events[inside]
    return {str(code): codes[codes[:, 2] == code, 0] for code in np.unique(codes[:, 2])}


def _annotated(raw: Any, found: Any) -> tuple[Any, dict[str, NDArray[np.int64]]]:
    """Events of annotations; bad stretches of the recording stay, and those of the file come."""
    alone = raw.copy().set_annotations(found, verbose="error")
    events = annotation_events(alone)
    both = raw.copy()
    kept = [k for k, name in enumerate(raw.annotations.description) if is_mark(str(name))]
    own: Any = raw.annotations[kept]
    theirs: Any = alone.annotations
    both.set_annotations(own + theirs, verbose="error")
    return both, events


def _table(path: Path, separator: str) -> Any:
    """Annotations of a table with a heading."""
    import mne

    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=separator))
    heads = {name.strip().casefold(): name for name in (rows[0] if rows else {}) if name}
    if "onset" not in heads:
        raise MajorantError(
            f"{path} has no column onset ({', '.join(heads) or 'it is empty'}); give a table with "
            "onset in seconds from the start, and trial_type"
        )
    named = next((heads[name] for name in NAMES if name in heads), None)
    onsets, lengths, names = [], [], []
    for number, row in enumerate(rows, 2):
        onset = _seconds(row[heads["onset"]], path, number)
        if onset is None:
            continue
        length = _seconds(row.get(heads.get("duration", ""), ""), path, number)
        onsets.append(onset)
        lengths.append(max(length or 0.0, 0.0))
        name = "" if named is None else (row[named] or "").strip()
        names.append(name if name and name != "n/a" else "event")
    return mne.Annotations(onsets, lengths, names)


def _seconds(text: str | None, path: Path, line: int) -> float | None:
    """A number of seconds; None where there is none."""
    text = (text or "").strip()
    if text in ("", "n/a"):
        return None
    try:
        value = float(text)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise MajorantError(
            f"{path}, line {line}: {text[:40]!r} is no number of seconds; onsets and durations are "
            "seconds from the start of the recording"
        )
    return value
