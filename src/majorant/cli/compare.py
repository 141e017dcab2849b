"""``majorant compare``: several solvers on one recording, side by side on one page."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from majorant.cli.answer import Json, deliver
from majorant.cli.image import OUTPUT, RECORDING, SOURCES
from majorant.cli.screen import complete_solvers
from majorant.cli.train import names
from majorant.cli.typed import typed
from majorant.cli.voice import Voice, err, out, show_table, timed
from majorant.registry import SOLVERS


def compare(
    file: Annotated[Path, typer.Argument(help="Any file that MNE-Python reads.")],
    solvers: Annotated[
        str,
        typer.Option(
            help=f"Two or more of {', '.join(SOLVERS)}.",
            autocompletion=complete_solvers,
            rich_help_panel=SOURCES,
        ),
    ] = "sloreta,champagne,unfolded-sbl,mm-net",
    event: Annotated[
        str | None, typer.Option(help="Events to average.", rich_help_panel=RECORDING)
    ] = None,
    condition: Annotated[
        str | None, typer.Option(help="Which average of the file.", rich_help_panel=RECORDING)
    ] = None,
    tmin: Annotated[
        float | None, typer.Option(help="Start of the window, s.", rich_help_panel=RECORDING)
    ] = None,
    tmax: Annotated[
        float | None, typer.Option(help="End of the window, s.", rich_help_panel=RECORDING)
    ] = None,
    baseline: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="START END",
            help="Window whose mean is removed, s; default: before 0.",
            rich_help_panel=RECORDING,
        ),
    ] = None,
    filter: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH", help="Band-pass, Hz; 0 for no edge.", rich_help_panel=RECORDING
        ),
    ] = None,
    bad: Annotated[
        list[str] | None,
        typer.Option(help="A channel to leave out; may be repeated.", rich_help_panel=RECORDING),
    ] = None,
    montage: Annotated[
        str | None,
        typer.Option(help="Electrode places: a name or a file.", rich_help_panel=RECORDING),
    ] = None,
    noise_cov: Annotated[
        Path | None,
        typer.Option(help="Noise covariance of single trials.", rich_help_panel=RECORDING),
    ] = None,
    at: Annotated[
        list[float] | None,
        typer.Option(
            help="A time to compare at, s; may be repeated; default: where the field is largest.",
            rich_help_panel=SOURCES,
        ),
    ] = None,
    snr: Annotated[
        float, typer.Option(help="Signal-to-noise ratio of amplitudes.", rich_help_panel=SOURCES)
    ] = 3.0,
    loose: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="0 along the normal, 1 free.", rich_help_panel=SOURCES),
    ] = None,
    space: Annotated[
        str, typer.Option(help="Source space, as for image.", rich_help_panel=SOURCES)
    ] = "auto",
    forward: Annotated[
        Path | None,
        typer.Option(help="An mne.Forward of your own head.", rich_help_panel=SOURCES),
    ] = None,
    output: Annotated[
        Path, typer.Option("--out", help="Output folder.", rich_help_panel=OUTPUT)
    ] = Path("out/compare"),
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results.", rich_help_panel=OUTPUT)
    ] = False,
    json: Json = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Say nothing but mistakes.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Several solvers on one recording: maps side by side, agreement, fit, certificates.

    \b
    majorant compare rec.fif --condition tone --solvers sloreta,champagne
    majorant compare rec.set --event square --at 0.1 --at 0.17
    """
    from majorant.compare.run import check_names
    from majorant.compare.save import PAGE
    from majorant.eeg.output import check_output
    from majorant.eeg.result import ImageSettings
    from majorant.eeg.settings import Preparation

    chosen = names(solvers) or []
    check_names(chosen)
    check_output(output, overwrite=overwrite)
    preparation = Preparation(
        event=event,
        condition=condition,
        tmin=tmin,
        tmax=tmax,
        baseline="auto" if baseline is None else baseline,
        filter=None if filter is None else (filter[0] or None, filter[1] or None),
        bads=tuple(bad or ()),
        montage=montage,
        noise_cov=None if noise_cov is None else str(noise_cov),
    )
    imaging = ImageSettings(
        snr=snr,
        loose="auto" if loose is None else loose,
        space=space,
        forward=None if forward is None else str(forward),
        uncertainty="none",
    )
    voice = Voice(quiet)
    with timed() as seconds:
        summary = _run(file, preparation, imaging, chosen, at or (), output, overwrite, voice)
    if not deliver(summary, json) and not quiet:
        _tell(summary, output / PAGE, seconds())


def _run(
    file: Path,
    preparation: Any,
    imaging: Any,
    solvers: list[str],
    times: Any,
    output: Path,
    overwrite: bool,
    voice: Voice,
) -> dict[str, Any]:
    from majorant.compare.run import compare as compared
    from majorant.compare.save import save
    from majorant.eeg.prepare import prepare
    from majorant.eeg.recording import load_recording
    from majorant.forward.template import template_parcels, template_surfaces

    voice.step(f"Reading {file.name}")
    prepared = prepare(load_recording(file, voice.say), preparation, voice.say)
    surfaces, parcels = template_surfaces(), template_parcels().numpy()
    voice.step("Imaging")
    with voice.waiting("solvers") as move:

        def moved(solver: str, done: int, total: int) -> None:
            share = done / max(total, 1)
            move(round(100 * (solvers.index(solver) + share)), 100 * len(solvers))

        found = compared(
            prepared, solvers, surfaces, parcels, replace(imaging), times, voice.say, moved
        )
    voice.step("Writing")
    with voice.waiting("compare.html") as move:
        command = typed(sys.argv)
        return save(found, output, surfaces, command, overwrite=overwrite, progress=move)


def _tell(summary: dict[str, Any], page: Path, seconds: float) -> None:
    """Print what each solver found and how it fits."""
    peaks = summary["moments"][0]["peaks"]
    rows = [
        (
            SOLVERS[entry["name"]].title,
            peaks[entry["name"]]["place"],
            f"{100 * entry['explained']:.0f} %",
            "" if entry["log_evidence"] is None else f"{entry['log_evidence']:.6g}",
            f"{entry['seconds']:.1f}",
        )
        for entry in summary["solvers"]
    ]
    columns = ("solver", "strongest", "explained", "log evidence", "s")
    show_table(f"At {1e3 * summary['moments'][0]['time']:.0f} ms", columns, rows)
    for name, why in summary["left_out"].items():
        out.print(f"Left out {name}: {why}.", soft_wrap=True, markup=False, style="yellow")
    out.print(summary["headline"], soft_wrap=True, markup=False)
    out.print(f"\n{page}", style="bold", soft_wrap=True, markup=False)
    err.print(f"{seconds:.1f} s", style="dim")
