"""``majorant head``: whose head is imaged: of an MRI, of an age, or another tool's lead field."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from majorant.cli.answer import Json, deliver
from majorant.cli.given import there
from majorant.cli.head_import import run_import
from majorant.cli.head_subject import run_subject
from majorant.cli.options import Montage, Overwrite, Skull, SubjectsDir, Trans
from majorant.cli.voice import Voice
from majorant.errors import MajorantError


def head(
    subject: Annotated[str | None, typer.Argument(help="Of FreeSurfer or FastSurfer.")] = None,
    *,
    source: Annotated[
        Path | None,
        typer.Option("--import", metavar="FILE", help="A .mat, .set, .h5, .hdf5 or .npz file."),
    ] = None,
    skull_from: Annotated[
        Path | None,
        typer.Option(help="A recording; say what it tells of the skull.", callback=there),
    ] = None,
    age: Annotated[
        str | None,
        typer.Option(help="Tell what is typical; below 2.5 years fetch a template of the age."),
    ] = None,
    subjects_dir: SubjectsDir = None,
    recording: Annotated[
        Path | None,
        typer.Option(help="To coregister: a recording, with places.", callback=there),
    ] = None,
    montage: Montage = None,
    trans: Trans = None,
    skull: Skull = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="What to write; default: FILE.safetensors, out/head-SUBJECT."),
    ] = None,
    channels: Annotated[
        Path | None,
        typer.Option(help="Names of the rows: one a line, or Brainstorm's channel file."),
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Of the gain, such as 'uV/(nA m)'; default: found.")
    ] = None,
    length_unit: Annotated[
        str | None, typer.Option(help="Of positions: m, cm or mm; default: found.")
    ] = None,
    regions: Annotated[
        bool,
        typer.Option("--regions", help="Carry it over to the 994 regions, by place in MNI152."),
    ] = False,
    overwrite: Overwrite = False,
    json: Json = None,
) -> None:
    """Make a head ready: of an MRI, of another tool's lead field, of an age.

    \b
    majorant head sub01 --subjects-dir subjects --recording rec.fif
    majorant head --import leadfield.mat --out mine.safetensors
    majorant head --import headmodel_surf.mat --channels channel.mat
    majorant head --age 6mo --subjects-dir subjects
    majorant head --skull-from rec.fif
    """
    if sum(given is not None for given in (subject, source, age, skull_from)) != 1:
        raise MajorantError(
            "give one of four: a subject, a file of a lead field with --import, an age with "
            "--age, or a recording with --skull-from"
        )
    if skull_from is not None:
        _of_recording(skull_from, montage, json)
        return
    if subject is not None:
        run_subject(
            subject, subjects_dir, recording, montage, trans, skull, out, overwrite=overwrite,
            json=json,
        )  # fmt: skip
        return
    if age is not None:
        _of_age(age, subjects_dir, json)
        return
    assert source is not None
    run_import(
        source, out, channels, unit, length_unit, regions=regions, overwrite=overwrite, json=json
    )


def _of_recording(file: Path, montage: str | None, json: str | None) -> None:
    """Tell what a recording says about the skull."""
    from majorant.account import Account
    from majorant.head.skull_recording import skull_of

    voice = Voice(quiet=False)
    voice.step(f"Reading {file.name}")
    said = skull_of(file, montage, account=Account(voice.say), progress=voice.say)
    if not deliver(said.document(), json):
        typer.echo(said.sentence())


def _of_age(age: str, subjects_dir: Path | None, json: str | None) -> None:
    """Tell what is typical of an age, and fetch a template of it where there is one."""
    from majorant.forward.ages import head_at, read_age
    from majorant.head.infant import fetch_infant, infant_name

    row = head_at(read_age(age))
    document: dict[str, Any] = {
        "age": read_age(age),
        "circumference_cm": round(row.circumference, 1),
        "skull_mm": round(row.thickness_mm, 1),
        "skull_conductivity": round(row.skull, 4),
        "from": [row.circumference_from, row.skull_from],
        "subject": None,
    }
    if infant_name(read_age(age)) is not None:
        document["subject"] = fetch_infant(read_age(age), subjects_dir)
    if deliver(document, json):
        return
    typer.echo(
        f"At {row.words}: {row.circumference:.1f} cm around ({row.circumference_from}), a skull of "
        f"{row.thickness_mm:.1f} mm that conducts {row.skull:.3f} S/m ({row.skull_from})."
    )
    if document["subject"]:
        typer.echo(f"Template: --subject {document['subject']}")
