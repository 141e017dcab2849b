"""``majorant head --import``: bring a lead field of another tool into a file of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from majorant.cli.answer import deliver
from majorant.errors import MajorantError


def run_import(
    source: Path,
    out: Path | None,
    channels: Path | None,
    unit: str | None,
    length_unit: str | None,
    *,
    regions: bool,
    overwrite: bool,
    json: str | None,
) -> None:
    """Import a lead field and tell what was decided."""
    from majorant.forward.foreign import import_leadfield

    place = (source.with_suffix(".safetensors") if out is None else out).expanduser()
    if place.suffix != ".safetensors":
        raise MajorantError(f"a lead field is written to a .safetensors file; {place} is none")
    if place.exists() and not overwrite:
        raise MajorantError(f"{place} is there already; give --overwrite, or another --out")
    names = None if channels is None else read_names(channels)
    found = import_leadfield(source, ch_names=names, gain_unit=unit, length_unit=length_unit)
    lead, notes = found.leadfield, list(found.notes)
    if regions:
        from majorant.head.imported import regions_by_position

        lead, sentence = regions_by_position(lead)
        notes.append(sentence)
    try:
        lead.save(place)
    except OSError as error:
        raise MajorantError(
            f"{place} cannot be written ({error.strerror or error}); give another --out"
        ) from error
    document: dict[str, Any] = {
        "layout": found.layout,
        "file": place.name,
        "electrodes": lead.n_sensors,
        "sources": lead.n_locations,
        "orientations": lead.n_orient,
        "kind": lead.kind,
        "leadfield_sha256": lead.fingerprint(),
        "notes": notes,
    }
    if not deliver(document, json):
        for note in notes:
            typer.echo(note)
        typer.echo(f"Written: {place}")


def read_names(path: Path) -> list[str]:
    """Names of the rows of a gain, in order.

    Parameters
    ----------
    path : Path
        Text, a name a line; or a ``.mat`` with a struct ``Channel``, as Brainstorm writes it. Of
        the latter, channels that are no EEG get an empty name.

    Raises
    ------
    MajorantError
        If it cannot be read.
    """
    path = path.expanduser()
    if not path.is_file():
        raise MajorantError(f"there is no file of channel names {path}; check the path")
    try:
        if path.suffix.lower() != ".mat":
            return [line.strip() for line in path.read_text("utf-8").splitlines() if line.strip()]
        from pymatreader import read_mat

        channel = read_mat(path)["Channel"]
        kinds = channel.get("Type", ["EEG"] * len(channel["Name"]))
        pairs = zip(channel["Name"], kinds, strict=True)
        return [str(name) if str(kind) == "EEG" else "" for name, kind in pairs]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MajorantError(
            f"{path} cannot be read as channel names ({type(error).__name__}); give a text file "
            "with a name a line"
        ) from error
