"""Results of a band into one folder: maps, tables, summary and page; all or nothing."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from majorant.files.output import check_output
from majorant.files.write import beside, exchange, write_file
from majorant.imaging.image import solver_facts
from majorant.imaging.result import versions
from majorant.spectra.page import headline, render_power, spectral_citations
from majorant.spectra.power import PowerMap
from majorant.words import THIN

__all__ = ["save_power", "summary_of"]

Rows = Sequence[Sequence[Any]]


def save_power(
    found: PowerMap,
    out_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    command: Sequence[str] | str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write maps, tables, summary and page, all or nothing.

    Parameters
    ----------
    found : PowerMap
    out_dir : path
        Made if need be. ``power-lh.stc`` and ``share-lh.stc`` with their right sides (and
        ``ratio-lh.stc``) open with ``mne.read_source_estimate(out_dir / "power")``; ``peaks.csv``,
        ``regions.csv``, ``spectrum.csv`` and, where it was asked for, ``connectivity.csv``.
    overwrite : bool
    command : str or sequence of str, optional
        What was asked for, for the summary.
    progress : callable, optional
        Called with the title of each section of the page once it is drawn.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    MajorantError
        If the folder cannot be written; nothing is left half-written.
    """
    target = check_output(out_dir, overwrite=overwrite)
    summary = {**summary_of(found), "command": command}
    with beside(target) as folder:
        maps = {"power": found.power, "share": found.share, "ratio": found.ratio}
        for name, values in maps.items():
            if values is not None:
                found.estimate(values).save(folder / name, overwrite=True, verbose="error")
        for name, (heads, rows) in _tables(found).items():
            write_file(folder / f"{name}.csv", _csv(heads, rows))
        summary["files"] = sorted([*(f.name for f in folder.iterdir()), "report.html"])
        text = json.dumps(summary, indent=2, ensure_ascii=False, default=str) + "\n"
        write_file(folder / "summary.json", text)
        write_file(folder / "report.html", render_power(found, progress))
        exchange(folder, target)
    return target


def summary_of(found: PowerMap) -> dict[str, Any]:
    """Everything that was decided and found, as plain values, ready for JSON."""
    recording, imager = found.prepared.recording, found.imager
    return {
        "kind": "power",
        "title": found.prepared.title,
        "input": None
        if recording is None
        else {
            "file": recording.path.name,
            "kind": recording.kind,
            "sha256": recording.sha256(),
        },
        "headline": " ".join(headline(found)).replace(THIN, " "),
        "band": list(found.asked.band),
        "against": None if found.asked.against is None else list(found.asked.against),
        "spectrum": list(found.whole),
        "trials": found.trials,
        "unit": found.unit,
        "peaks": [{**_place(peak), "power": peak.amplitude} for peak in found.peaks],
        "shares": [{**_place(peak), "of_the_spectrum": peak.amplitude} for peak in found.shares],
        "regions": [asdict(region) for region in found.regions],
        "connectivity": None if found.links is None else found.links.summary(),
        "decisions": list(found.decisions),
        "cautions": list(found.cautions),
        "settings": {
            "prepare": found.prepared.settings.named(),
            "image": found.settings.named(),
            "spectra": asdict(found.asked),
        },
        "solver": solver_facts(imager),
        "sources": {
            "kind": imager.leadfield_.kind,
            "subject": imager.leadfield_.subject,
            "n_locations": imager.leadfield_.n_locations,
            "leadfield_sha256": imager.leadfield_.fingerprint(),
        },
        "certificate": imager.certificate_.to_dict(),
        "versions": versions(),
        "citations": list(spectral_citations(found)),
    }


def _place(peak: Any) -> dict[str, Any]:
    return {
        "hemisphere": peak.hemisphere,
        "lobe": peak.lobe,
        "name": peak.name,
        "mni": list(peak.mni),
        "location": peak.location,
        "within_30_mm": peak.share,
    }


def _tables(found: PowerMap) -> dict[str, tuple[Sequence[str], Rows]]:
    unit = "Am2_per_Hz" if found.imager.unit_ == "Am" else "per_Hz"
    names = list(found.imager.info_["ch_names"])
    tables: dict[str, tuple[Sequence[str], Rows]] = {
        "peaks": (
            ("rank", "hemisphere", "region", "x_mm", "y_mm", "z_mm", f"power_{unit}", "share"),
            [
                (rank, p.hemisphere, p.named, *p.mni, p.amplitude, _share(found, p.location))
                for rank, p in enumerate(found.peaks, 1)
            ],
        ),
        "regions": (
            ("region", "locations", f"power_{unit}", "share", "ratio"),
            [[_cell(v) for v in asdict(region).values()] for region in found.regions],
        ),
        "spectrum": (
            ("frequency_Hz", *(f"{name}_V2_per_Hz" for name in names)),
            [
                (float(f), *map(float, row))
                for f, row in zip(found.frequencies, found.spectrum.T, strict=True)
            ],
        ),
    }
    if found.links is not None:
        tables["connectivity"] = found.links.rows()
    return tables


def _share(found: PowerMap, location: int) -> Any:
    return "n/a" if found.share is None else float(found.share[location])


def _cell(value: Any) -> Any:
    """What is not there is n/a, as BIDS has it."""
    return "n/a" if value is None else value


def _csv(heads: Sequence[str], rows: Rows) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows(rows)
    return buffer.getvalue()
