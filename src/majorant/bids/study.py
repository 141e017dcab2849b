"""What is done to every recording of a data set, and one recording from file to derivatives.

A recording's files are written beside their place and moved into it as one, its record last: a
recording is finished when its record is there, was made with the same settings, and of the same
input. A run that is killed while it moves them is finished by the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from majorant import __version__
from majorant.account import silent
from majorant.bids.dataset import Item, read_recording
from majorant.errors import MajorantError
from majorant.files.archive import content_hash
from majorant.files.write import beside, move_all
from majorant.imaging.result import ImageResult, ImageSettings
from majorant.imaging.write import save_results
from majorant.recording.average import separate
from majorant.recording.file import UNREADABLE, Recording
from majorant.recording.settings import Preparation

__all__ = ["RecordingOutcome", "Study", "image_item", "read_record", "record_file"]

KIND, VERSION = "majorant recording", 1
GIST = ("label", "report", "nave", "peaks", "unit", "explained", "certificate", "cautions")
"""What the group page says of an estimate."""

MOST = 20
"""Events of a recording that are imaged one by one without being asked for by name."""

SUBJECT = "{subject}"
"""Stands for the label of a recording's subject in the settings of the head."""

SMALL = 1_000_000
"""Bytes of an input file above which its size stands for its content."""


@dataclass(frozen=True)
class Study:
    """How every recording is imaged.

    Attributes
    ----------
    preparation : Preparation
        Without an event, every event of a recording is imaged for itself.
        ``{subject}`` in its noise covariance is filled in.
    imaging : ImageSettings
        And in subject, transformation and forward.
    out : str
        Folder of the derivatives.
    continuous : bool
        Whether whole recordings are streamed.
    command : tuple of str
        What was typed, for the summaries.
    """

    preparation: Preparation
    imaging: ImageSettings
    out: str
    continuous: bool = False
    command: tuple[str, ...] = ()

    @cached_property
    def plan(self) -> str:
        """Hash of everything that an estimate depends on but the recording."""
        settings = {
            "preparation": self.preparation.to_dict(),
            "imaging": {**asdict(self.imaging), "options": dict(self.imaging.options)},
            "continuous": self.continuous,
            "majorant": __version__,
            "version": VERSION,
        }
        return content_hash(json.loads(json.dumps(settings, default=str)))

    def of(self, item: Item) -> Study:
        """The settings for one recording: with the label of its subject."""
        label, own = item.label("sub"), self.imaging

        def filled(text: str | None) -> str | None:
            return None if text is None else text.replace(SUBJECT, label)

        head = {name: filled(getattr(own, name)) for name in ("subject", "trans", "forward")}
        noise = filled(self.preparation.noise_cov)
        return replace(
            self,
            preparation=replace(self.preparation, noise_cov=noise),
            imaging=replace(own, **head),
        )


@dataclass(frozen=True)
class RecordingOutcome:
    """How a recording ended.

    Attributes
    ----------
    key : str
    estimates : int
    seconds : float
    failure : str or None
        Why there is nothing, in one sentence.
    """

    key: str
    estimates: int = 0
    seconds: float = 0.0
    failure: str | None = None


def record_file(item: Item, out: str | Path) -> Path:
    """Where the record of a finished recording is."""
    return Path(out) / item.folder / f"{item.key}_estimates.json"


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a record; None where there is none, or something else."""
    try:
        record = json.loads(path.read_text("utf-8"))
        whole = (
            record["kind"] == KIND
            and all(isinstance(record[name], str) for name in ("plan", "input", "key"))
            and all(set(GIST) <= set(entry) for entry in record["estimates"])
            and all((path.parent / name).exists() for name in record["files"])
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return record if whole else None


def input_hash(item: Item) -> str:
    """Hash of a recording's files: content of the small ones, size of the large ones."""
    total = hashlib.sha256()
    stem = item.file.name.rpartition("_")[0]
    for path in sorted(item.file.parent.glob(f"{stem}_*")):
        if path.is_file():
            size = path.stat().st_size
            total.update(f"{path.name}\0{size}\0".encode())
            total.update(path.read_bytes() if size <= SMALL else b"")
    return total.hexdigest()


def image_item(item: Item, study: Study) -> RecordingOutcome:
    """Image a recording and write its derivatives; what fails is an outcome, not an error."""
    start = time.perf_counter()
    try:
        estimates = _image(item, study)
    except MajorantError as mistake:
        return RecordingOutcome(item.key, failure=str(mistake), seconds=time.perf_counter() - start)
    except (*UNREADABLE, MemoryError) as error:
        # The other recordings are not to be lost over what nobody has foreseen in this one.
        what = " ".join(str(error).split())[:300] or "no reason was given"
        return RecordingOutcome(
            item.key,
            failure=f"unforeseen {type(error).__name__}: {what}",
            seconds=time.perf_counter() - start,
        )
    return RecordingOutcome(item.key, estimates, time.perf_counter() - start)


def _image(item: Item, study: Study) -> int:
    record = record_file(item, study.out)
    source = input_hash(item)
    recording = read_recording(item)
    entries: list[dict[str, Any]] = []
    own = study.of(item)
    with beside(record.parent / item.key) as room:
        for label, preparation in _choices(recording, own):
            result = _estimate(recording, preparation, own, room)
            entries.append(_write(result, room, f"{item.key}_desc-{label}", label, study))
        files = sorted(path.name for path in room.iterdir())
        content = {
            "kind": KIND,
            "key": item.key,
            "source": item.place,
            "plan": study.plan,
            "input": source,
            "files": files,
            "estimates": entries,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (room / record.name).write_text(text, encoding="utf-8")
        moves = {f"{room.name}/{name}": name for name in (*files, record.name)}
        move_all(room.parent, moves, removes=_earlier(record))
    return len(entries)


def _choices(recording: Recording, study: Study) -> Iterator[tuple[str, Preparation]]:
    """What is imaged of a recording, and how each is called in file names."""
    own = study.preparation
    options = list(recording.options)
    if study.continuous:
        yield "continuous", own
    elif own.choice is not None:
        parts = separate(recording, own)
        yield from zip(_labels([str(part.choice) for part in parts]), parts, strict=True)
    elif not options:
        yield "window", own
    elif len(options) > MOST:
        raise MajorantError(
            f"the recording has {len(options)} kinds of events ({', '.join(options[:8])}, ...); "
            "choose with --event"
        )
    else:
        for name, label in zip(options, _labels(options), strict=True):
            yield label, replace(own, event=name)


def _labels(names: Sequence[str]) -> list[str]:
    """Names as BIDS has labels, letters and digits only; no two alike, whatever their case."""
    labels: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9]", "", name) or "event"
        label, k = plain, 1
        while label.casefold() in {other.casefold() for other in labels}:
            k += 1
            label = f"{plain}{k}"
        labels.append(label)
    return labels


def _estimate(
    recording: Recording, preparation: Preparation, study: Study, room: Path
) -> ImageResult:
    settings = study.imaging
    if study.continuous:
        from majorant.imaging.continuous import image_continuous

        return image_continuous(recording, preparation, settings, room / "estimate.zarr", silent)
    from majorant.imaging.image import image
    from majorant.recording.prepare import prepare

    return image(prepare(recording, preparation), settings)


def _write(result: ImageResult, room: Path, stem: str, label: str, study: Study) -> dict[str, Any]:
    """Write an estimate under its BIDS name; returns its line of the record."""
    written = save_results(result, room / "one", command=list(study.command))
    names = {path.name: f"{stem}_{path.name}" for path in written.iterdir()}
    summary = json.loads((written / "summary.json").read_text("utf-8"))
    summary["files"] = sorted([*names.values(), f"{stem}_certificate.json"])
    for old, new in names.items():
        os.replace(written / old, room / new)
    written.rmdir()
    for kind, content in (("summary", summary), ("certificate", summary["certificate"])):
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (room / f"{stem}_{kind}.json").write_text(text, encoding="utf-8")
    return {"label": label, "report": f"{stem}_report.html", **_gist(summary)}


def _gist(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the group page says of an estimate: of its peaks the one that may be the headline."""
    leading = summary["leading"]
    return {
        "title": summary["title"],
        "nave": summary["data"]["nave"],
        "channels": len(summary["data"]["channels"]),
        "peaks": [] if leading is None else summary["peaks"][leading : leading + 1],
        "unit": summary["unit"],
        "explained": summary["explained_variance"],
        "status": summary["status"],
        "certificate": summary["certificate"],
        "cautions": summary["cautions"],
    }


def _earlier(record: Path) -> list[str]:
    """Names of an earlier recording's record and files."""
    earlier = read_record(record)
    files = [] if earlier is None else [Path(name).name for name in earlier["files"]]
    return [record.name, *files]
