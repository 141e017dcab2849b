"""``majorant image``: a recording in; an estimate, a summary and a page out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from majorant.cli import options as own
from majorant.cli.answer import Json
from majorant.cli.given import there
from majorant.cli.image_bids import Selection, run_bids
from majorant.cli.image_conditions import run_conditions
from majorant.cli.image_one import opened, run_one
from majorant.cli.image_spectra import SpectralOptions, run_band
from majorant.cli.options import RECORDING
from majorant.cli.records import spread
from majorant.cli.typed import shared
from majorant.cli.voice import Voice
from majorant.errors import MajorantError
from majorant.extras import needed

if TYPE_CHECKING:
    from majorant.recording.settings import Preparation
    from majorant.spectra.power import BandSettings


@spread
def image(
    file: Annotated[
        Path | None,
        typer.Argument(help="Any recording that MNE-Python reads.", callback=there),
    ] = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Image a simulated response.")] = False,
    recording: own.RecordingOptions,
    contrast: own.Contrast = None,
    solver: own.Solver = "auto",
    sources: own.SourceOptions,
    option: own.Option = None,
    uncertainty: own.Uncertainty = "auto",
    atlas: own.Atlas = "gyri",
    roi: own.Roi = None,
    export: own.Export = None,
    region: own.Region = None,
    dipole: own.Dipole = False,
    spikes: own.Spikes = False,
    spectra: SpectralOptions,
    output: own.NamedFolder = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="All of a continuous recording, into zarr.",
            rich_help_panel=RECORDING,
        ),
    ] = False,
    bids: Annotated[
        Path | None,
        typer.Option(help="Image all of this data set.", callback=there, rich_help_panel=RECORDING),
    ] = None,
    selection: Selection,
    overwrite: own.Overwrite = False,
    quiet: own.Quiet = False,
    json: Json = None,
) -> None:
    """Image a recording: a source estimate, summary.json and report.html.

    \b
    majorant image rec.set --montage caps.locs --event square --filter 1 40
    majorant image rest.fif --band 8 12
    """
    preparation = own.of_spikes(recording.settings()) if spikes else recording.settings()
    asked, of_average = spectra.settings(), region is not None or dipole or spikes
    _check(raw, demo, file, bids, selection, contrast, asked, of_average, bool(roi or export))
    voice, held, several = Voice(quiet), None, False
    target = output or Path("out") / _folder(file, preparation, solver, raw, asked)
    if file is not None and asked is None and not raw:
        held, several = opened(file, preparation, target, overwrite=overwrite, voice=voice)
    if contrast is not None and not several and bids is None:
        raise MajorantError(
            f"the contrast {contrast!r} needs two conditions; name both with --event or "
            "--condition, each once"
        )
    imaging = sources.settings(
        solver, option=option, uncertainty=uncertainty, region=region, atlas=atlas, roi=roi,
        export=export, dipole=dipole, spikes=spikes,
    )  # fmt: skip
    if bids is not None:
        run_bids(
            bids, selection, preparation, imaging, output, continuous=raw, overwrite=overwrite,
            command=shared(sys.argv), voice=voice, json=json,
        )  # fmt: skip
        return
    if asked is not None and file is not None:
        run_band(
            file, preparation, imaging, asked, target, overwrite=overwrite, voice=voice, json=json
        )
        return
    if held is not None and several:
        run_conditions(
            held, preparation, imaging, contrast, target, overwrite=overwrite, voice=voice,
            json=json,
        )  # fmt: skip
        return
    run_one(
        file, preparation, imaging, target, recording=held, continuous=raw,
        overwrite=overwrite, voice=voice, json=json,
    )  # fmt: skip


def _check(
    raw: bool,
    demo: bool,
    file: Path | None,
    bids: Path | None,
    selection: Selection,
    contrast: str | None,
    asked: BandSettings | None,
    of_average: bool,
    of_one: bool,
) -> None:
    """Refuse what does not go together, before anything is read."""
    if raw and bids is not None and of_one:
        raise MajorantError(
            "--roi and --export of continuous data are of one recording; leave --bids or them out"
        )
    if asked is not None and (raw or demo or bids is not None or contrast is not None):
        raise MajorantError(
            "--band images the trials of one recording; leave --raw, --demo, --bids and --contrast "
            "out"
        )
    if bids is not None:
        if demo or file is not None:
            raise MajorantError("--bids images a data set; leave the recording or --demo out")
        if contrast is not None:
            raise MajorantError("--contrast is of one recording; leave it out with --bids")
        if raw:
            needed("zarr")
        return
    if selection != Selection():
        raise MajorantError("--task, --subjects, --jobs and --dask belong to --bids; give its root")
    if demo == (file is not None):
        raise MajorantError(
            "a recording and --demo were both given; choose one"
            if demo
            else "no recording was given; name a file, or take --demo"
        )
    if raw and of_average:
        raise MajorantError(
            "--region, --dipole and --spikes are of an average; leave them out with --raw"
        )
    if raw and file is None:
        raise MajorantError("--raw images a recording, and --demo is none; name a file")
    if raw:
        needed("zarr")


def _folder(
    file: Path | None,
    preparation: Preparation,
    solver: str,
    raw: bool,
    spectrum: BandSettings | None = None,
) -> str:
    """Name of the results: recording, conditions and solver, so that runs do not collide."""
    from majorant.words import file_labels

    choice = preparation.choice
    asked = [] if choice is None else [choice] if isinstance(choice, str) else list(choice)
    conditions = "-".join(file_labels(asked))[:80].strip("-")
    band = "" if spectrum is None else "{:g}-{:g}-Hz".format(*spectrum.band)
    stem = _stem(file) if file else "demo"
    parts = [stem, conditions, "raw" if raw else "", band, solver]
    return "-".join(part for part in parts if part)


def _stem(file: Path) -> str:
    """Name of a recording without its suffixes: ``rec-ave`` of ``rec-ave.fif.gz``."""
    return Path(file.name.removesuffix(".gz")).stem
