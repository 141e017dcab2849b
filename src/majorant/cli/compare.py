"""``majorant compare``: several solvers on one recording, side by side on one page."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from majorant.cli import options as own
from majorant.cli.answer import Json, deliver
from majorant.cli.given import there
from majorant.cli.options import SOURCES
from majorant.cli.records import spread
from majorant.cli.typed import typed
from majorant.cli.voice import Voice, err, show_table, tell, timed
from majorant.registry import SOLVERS


@spread
def compare(
    file: Annotated[Path, typer.Argument(help="Any file that MNE-Python reads.", callback=there)],
    *,
    solvers: own.Solvers = "auto,sloreta,champagne,unfolded-sbl,mm-net",
    recording: own.RecordingOptions,
    at: Annotated[
        list[float] | None,
        typer.Option(
            help="A time, s; may be repeated; default: by the field.",
            rich_help_panel=SOURCES,
        ),
    ] = None,
    sources: own.SourceOptions,
    region: own.Region = None,
    output: own.Folder = Path("out/compare"),
    overwrite: own.Overwrite = False,
    json: Json = None,
    quiet: own.Quiet = False,
) -> None:
    """Several solvers on one recording: maps side by side, agreement, fit, certificates.

    \b
    majorant compare rec.fif --condition tone --solvers sloreta,champagne
    majorant compare rec.set --event square --at 0.1 --at 0.17
    """
    from majorant.compare.run import check_names
    from majorant.compare.save import PAGE
    from majorant.files.output import check_output

    chosen = own.names(solvers) or []
    check_names(chosen)
    check_output(output, overwrite=overwrite)
    preparation, imaging = recording.settings(), sources.settings(region=region)
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
    from majorant.forward.template import template_parcels, template_surfaces
    from majorant.recording.file import load_recording
    from majorant.recording.prepare import prepare

    voice.step(f"Reading {file.name}")
    prepared = prepare(load_recording(file, voice.say), preparation, voice.say)
    surfaces, parcels = template_surfaces(), template_parcels().numpy()
    voice.step("Imaging")
    with voice.waiting("solvers") as move:

        def moved(solver: str, done: int, total: int) -> None:
            share = done / max(total, 1)
            move(round(100 * (solvers.index(solver) + share)), 100 * len(solvers))

        found = compared(prepared, solvers, surfaces, parcels, imaging, times, voice.say, moved)
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
        tell(f"Left out {name}: {why}.", "yellow")
    tell(summary["headline"])
    if summary["smallest_region"]:
        tell(summary["smallest_region"])
    tell(f"\n{page}", "bold")
    err.print(f"{seconds:.1f} s", style="dim")
