"""Peaks and courses of regions as CSV or TSV, each column with its unit."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

from majorant.errors import MajorantError
from majorant.exports.material import Material, Sidecar
from majorant.findings.moments import meaning

__all__ = ["write_csv", "write_regions", "write_set", "write_tsv"]


NO_REGIONS = "a .set holds courses of regions, and none were asked for; name some with --roi"


def write_csv(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``peaks.csv`` and, where there are courses, ``regions.csv``."""
    return _tables(material, folder, "csv")


def write_tsv(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``peaks.tsv`` and, where there are courses, ``regions.tsv``."""
    return _tables(material, folder, "tsv")


def write_regions(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write the courses of regions: ``regions.csv``, and ``regions-ave.fif`` for MNE.

    Those of a continuous recording are long: ``regions_raw.fif`` alone; a table is an export.
    """
    import mne

    courses = material.courses
    assert courses is not None
    if material.continuous:
        name = "regions_raw.fif"
        courses.raw().save(folder / name, overwrite=True, verbose="error")
        what = f"Courses of regions of {courses.atlas} ({courses.mode}), one channel a region, "
        what += f"from {courses.times[0]:g} s on."
        about = {"Description": what, "Units": material.units, "StartTime": float(courses.times[0])}
        return {name: about}
    name = "regions-ave.fif"
    mne.write_evokeds(folder / name, courses.evoked(material.nave), verbose="error")
    what = f"Courses of regions of {courses.atlas} ({courses.mode}), one channel a region."
    return {**_courses(material, folder, "csv"), name: material.about(what)}


def write_set(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write the courses of regions as ``regions.set``, for EEGLAB.

    Raises
    ------
    MajorantError
        If no regions were asked for, or eeglabio is missing.
    """
    courses = material.courses
    if courses is None:
        raise MajorantError(NO_REGIONS)
    courses.write_eeglab(folder / "regions.set", material.content.title)
    what = (
        f"Courses of regions of {courses.atlas} ({courses.mode}), one channel a region, in "
        "millionths of the unit, as EEGLAB has microvolts; MNE reads them back in the unit."
    )
    return {"regions.set": material.about(what)}


def _tables(material: Material, folder: Path, kind: str) -> dict[str, Sidecar]:
    found = _peaks(material, folder, kind)
    if material.courses is not None:
        found |= _courses(material, folder, kind)
    return found


def _peaks(material: Material, folder: Path, kind: str) -> dict[str, Sidecar]:
    content, unit = material.content, material.unit
    amplitude = "amplitude_Am" if unit == "Am" else f"amplitude_{unit}"
    means = meaning(unit, content.sources.parcels is not None)
    columns = {
        "rank": _column("1 is the strongest."),
        "time_s": _column("Time of the peak.", "s"),
        "hemisphere": _column("left or right."),
        "region": _column(f"Region in the atlas {content.sources.atlas}."),
        "x_mm": _column("MNI152, to the right.", "mm"),
        "y_mm": _column("MNI152, to the front.", "mm"),
        "z_mm": _column("MNI152, upwards.", "mm"),
        amplitude: _column(f"Value of the estimate: {means}.", material.units),
        "deviation": _column("Its standard deviation, where one was asked for.", material.units),
        "share": _column("Share of the energy at that time within 30 mm, 0 to 1."),
        "dipole_Am": _column("Moment of the one dipole there that the data ask for.", "A.m"),
        "doubt": _column("What speaks against it; empty where nothing does."),
    }
    rows = [
        [
            rank,
            peak.time,
            peak.hemisphere,
            peak.named,
            *peak.mni,
            peak.amplitude,
            content.deviation_at(peak),
            peak.share,
            peak.moment,
            doubt or None,
        ]
        for rank, (peak, doubt) in enumerate(zip_longest(content.peaks, content.doubts), 1)
    ]
    name = f"peaks.{kind}"
    _write(folder / name, list(columns), rows)
    return {name: columns}


def _courses(material: Material, folder: Path, kind: str) -> dict[str, Sidecar]:
    courses = material.courses
    assert courses is not None
    rows = ([t, *row] for t, row in zip(courses.times.tolist(), courses.data.T, strict=True))
    name = f"regions.{kind}"
    _write(folder / name, ["time_s", *courses.names], rows)
    how = f"{courses.mode} over {{}} locations of the region of {courses.atlas}, in {courses.unit}."
    said = {
        region: _column(how.format(size), material.units)
        for region, size in zip(courses.names, courses.sizes, strict=True)
    }
    return {name: {"time_s": _column("Time.", "s"), **said}}


def _column(what: str, units: str | None = None) -> Mapping[str, str]:
    return {"Description": what} if units is None else {"Description": what, "Units": units}


def _write(path: Path, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Numbers in full; what is not there is n/a, as BIDS has it."""
    separator = "\t" if path.suffix == ".tsv" else ","
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter=separator, lineterminator="\n")
        table.writerow(heads)
        table.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return "n/a"
    return (
        value if isinstance(value, str) else repr(value.item() if hasattr(value, "item") else value)
    )
