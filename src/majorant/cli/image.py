"""``majorant image``: a recording in; an estimate, a summary and a page out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from majorant.cli import options as own
from majorant.cli.answer import Json
from majorant.cli.options import RECORDING
from majorant.cli.screen import RARE
from majorant.cli.typed import shared
from majorant.cli.voice import Voice
from majorant.errors import MajorantError


def image(
    file: Annotated[
        Path | None,
        typer.Argument(help="Any recording that MNE-Python reads."),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Image a simulated response.")] = False,
    event: own.Event = None,
    condition: own.Condition = None,
    tmin: own.Start = None,
    tmax: own.Stop = None,
    baseline: own.Baseline = None,
    filter: own.Filter = None,
    reference: own.Reference = "average",
    bad: own.Bad = None,
    interpolate: own.Interpolate = False,
    montage: own.Montage = None,
    noise_cov: own.NoiseCov = None,
    scale: own.Scale = None,
    reject: own.Reject = None,
    solver: own.Solver = "sloreta",
    loose: own.Loose = None,
    depth: own.Depth = None,
    snr: own.Snr = "3",
    option: own.Option = None,
    space: own.Space = "auto",
    forward: own.Forward = None,
    uncertainty: own.Uncertainty = "auto",
    output: own.NamedFolder = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="All of a continuous recording, into zarr.",
            rich_help_panel=RECORDING,
        ),
    ] = False,
    subject: own.Subject = None,
    subjects_dir: own.SubjectsDir = None,
    trans: own.Trans = None,
    bids: Annotated[
        Path | None,
        typer.Option(help="Image all of this data set.", rich_help_panel=RECORDING),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Of the data set: which task.", rich_help_panel=RARE)
    ] = None,
    subjects: Annotated[
        str | None,
        typer.Option(help="Of the data set: which subjects, with commas.", rich_help_panel=RARE),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Recordings imaged at once, a process each; with --bids.",
            rich_help_panel=RARE,
        ),
    ] = 1,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="A dask cluster in place of --jobs; with --bids.",
            rich_help_panel=RARE,
        ),
    ] = None,
    overwrite: own.Overwrite = False,
    quiet: own.Quiet = False,
    json: Json = None,
) -> None:
    """Image a recording: a source estimate, summary.json and report.html.

    \b
    majorant image rec.set --montage caps.locs --event square --filter 1 40
    majorant image --bids DIR --task visual --jobs 2
    majorant image --demo
    """
    from majorant.cli.image_bids import run_bids
    from majorant.cli.image_one import run_continuous, run_one

    preparation = own.preparation(
        event=event, condition=condition, tmin=tmin, tmax=tmax, baseline=baseline, filter=filter,
        reference=reference, bad=bad, interpolate=interpolate, montage=montage,
        noise_cov=noise_cov, scale=scale, reject=reject,
    )  # fmt: skip
    imaging = own.imaging(
        solver=solver, snr=snr, loose=loose, depth=depth, space=space, forward=forward,
        subject=subject, subjects_dir=subjects_dir, trans=trans, option=option,
        uncertainty=uncertainty,
    )  # fmt: skip
    voice = Voice(quiet)
    if bids is not None:
        if demo or file is not None:
            raise MajorantError("--bids images a data set; leave the recording or --demo out")
        run_bids(
            bids, task, own.names(subjects), preparation, imaging, output, continuous=raw,
            jobs=jobs, dask=dask, overwrite=overwrite, command=shared(sys.argv), voice=voice,
            json=json,
        )  # fmt: skip
        return
    if task is not None or subjects is not None or dask is not None or jobs > 1:
        raise MajorantError("--task, --subjects, --jobs and --dask belong to --bids; give its root")
    if demo == (file is not None):
        raise MajorantError(
            "a recording and --demo were both given; choose one"
            if demo
            else "no recording was given; name a file, or take --demo"
        )
    if raw and file is None:
        raise MajorantError("--raw images a recording, and --demo is none; name a file")
    target = output if output is not None else Path("out") / (file.stem if file else "demo")
    if raw and file is not None:
        run_continuous(file, preparation, imaging, target, overwrite, voice, json)
        return
    run_one(file, preparation, imaging, target, overwrite, voice, json)
