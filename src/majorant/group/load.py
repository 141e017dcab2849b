"""The estimates of a study, as ``majorant image --bids`` wrote them, in one array."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.bids.study import read_record
from majorant.errors import MajorantError, nearest
from majorant.group.morph import Morphs
from majorant.head.find import subjects_folder
from majorant.memory import fits

__all__ = ["StudyEstimates", "load_study"]

TEMPLATE = "fsaverage"

_Found = dict[str, dict[str, list[tuple[Path, str]]]]
"""By subject and condition: estimates, and whose cortex each is on."""


@dataclass(frozen=True, eq=False)
class StudyEstimates:
    """Estimates of all subjects, on the same vertices and times.

    Attributes
    ----------
    subjects, conditions : tuple of str
    data : array, shape (n_subjects, n_conditions, n_times, n_vertices)
        In `unit`; recordings of a subject in the same condition are averaged.
    times : array, shape (n_times,)
        s.
    vertices : pair of array
        Of fsaverage5, left and right.
    unit, solver : str
    left_out : tuple of str
        Subjects without all conditions.
    morphed : tuple of str
        Subjects whose estimates were carried from their own cortex to the template.
    """

    subjects: tuple[str, ...]
    conditions: tuple[str, ...]
    data: NDArray[np.float64]
    times: NDArray[np.float64]
    vertices: tuple[NDArray[np.int64], NDArray[np.int64]]
    unit: str
    solver: str
    left_out: tuple[str, ...] = ()
    morphed: tuple[str, ...] = ()


def load_study(
    folder: Path,
    conditions: Sequence[str] = (),
    tmin: float | None = None,
    tmax: float | None = None,
    subjects_dir: str | None = None,
) -> StudyEstimates:
    """Read the estimates of a study.

    Parameters
    ----------
    folder : Path
        The derivatives: what holds ``sub-*``.
    conditions : sequence of str
        Labels of the estimates; all that every subject has where there are none.
    tmin, tmax : float, optional
        Window, s.
    subjects_dir : str, optional
        FreeSurfer's subjects, for estimates on a cortex of their own; MNE's SUBJECTS_DIR by
        default.

    Raises
    ------
    MajorantError
        If there are no estimates of that kind, or they do not fit together.
    """
    found, unit, solver = _found(folder)
    known = sorted({label for own in found.values() for label in own})
    chosen = list(conditions) or [c for c in known if all(c in own for own in found.values())]
    for name in chosen:
        if name not in known:
            raise MajorantError(
                f"no recording has the condition {name!r}{nearest(name, known)}; there are "
                f"{', '.join(known)}"
            )
    if not chosen:
        raise MajorantError(
            f"no condition is there of every subject; name some of {', '.join(known)}"
        )
    kept = [subject for subject, own in found.items() if all(name in own for name in chosen)]
    if len(kept) < 4:
        raise MajorantError(
            f"{len(kept)} subjects have {' and '.join(chosen)}; a test over subjects takes 4 or "
            "more, and says little below 10"
        )
    rows: list[list[NDArray[np.float64]]] = []
    first: Any = None
    morphs = Morphs(subjects_folder(subjects_dir))
    for subject in kept:
        row = []
        for name in chosen:
            each = [_read(place, head, morphs) for place, head in found[subject][name]]
            for stc in each:
                stc.crop(tmin, tmax)
                first = first or stc
                _same(first, stc, subject)
            row.append(np.mean([stc.data.T for stc in each], axis=0))
        rows.append(row)
        if not fits(3 * len(kept) * sum(part.nbytes for part in row)):
            raise MajorantError(
                f"{len(kept)} subjects do not fit into memory; take a shorter window with --tmin "
                "and --tmax, or a coarser source space"
            )
    return StudyEstimates(
        tuple(kept),
        tuple(chosen),
        np.array(rows),
        np.asarray(first.times),
        (np.asarray(first.vertices[0]), np.asarray(first.vertices[1])),
        unit,
        solver,
        tuple(subject for subject in found if subject not in kept),
        tuple(
            subject
            for subject in kept
            if any(head != TEMPLATE for name in chosen for _, head in found[subject][name])
        ),
    )


def _read(place: Path, head: str, morphs: Morphs) -> Any:
    """Read an estimate, and carry it to the template where it is on another cortex."""
    import mne

    stc = mne.read_source_estimate(place)
    return stc if head == TEMPLATE else morphs(stc, head)


def _found(folder: Path) -> tuple[_Found, str, str]:
    """Files of every subject and condition, with unit and solver, which all must share."""
    found: _Found = {}
    plans, kinds = set(), set()
    for path in sorted(folder.expanduser().glob("sub-*/**/*_estimates.json")):
        record = read_record(path)
        subject = re.match(r"sub-([A-Za-z0-9]+)", path.name)
        if record is None or subject is None:
            continue
        plans.add(record["plan"])
        for entry in record["estimates"]:
            stem = path.with_name(entry["report"].removesuffix("_report.html"))
            summary = json.loads(stem.with_name(f"{stem.name}_summary.json").read_text("utf-8"))
            kinds.add((entry["unit"], summary["solver"]["name"]))
            place = stem.with_name(f"{stem.name}_estimate")
            if place.with_name(f"{place.name}-lh.stc").is_file():
                own = found.setdefault(subject[1], {})
                head = str(summary["sources"]["subject"])
                own.setdefault(entry["label"], []).append((place, head))
    if not found:
        raise MajorantError(
            f"{folder} holds no estimates on the cortex; give the folder 'majorant' that `majorant "
            "image --bids` wrote (derivatives/majorant)"
        )
    if len(plans) > 1 or len(kinds) > 1:
        raise MajorantError(
            f"the estimates in {folder} were made with {max(len(plans), len(kinds))} different "
            "settings; image the data set into one folder with one command"
        )
    unit, solver = kinds.pop()
    return found, unit, solver


def _same(first: Any, other: Any, subject: str) -> None:
    vertices = all(
        np.array_equal(a, b) for a, b in zip(first.vertices, other.vertices, strict=True)
    )
    same = len(first.times) == len(other.times)
    if not (vertices and same and np.allclose(first.times, other.times, atol=first.tstep / 10)):
        raise MajorantError(
            f"subject {subject} has other times or vertices than the first ({len(other.times)} and "
            f"{len(first.times)} samples); name a window that all have with --tmin and --tmax"
        )
