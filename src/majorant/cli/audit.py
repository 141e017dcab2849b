"""``majorant audit``: what a cap and a signal-to-noise ratio let a study expect."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from majorant.cli import options as own
from majorant.cli.answer import STDOUT, Json, deliver
from majorant.cli.typed import typed
from majorant.cli.voice import Voice, err, out, show_line, show_table, tell, timed
from majorant.registry import SOLVERS

CAP, STUDY = "Cap and head", "Study"


def audit(
    montage: Annotated[
        str | None,
        typer.Option(
            help="A cap (10-20-19, 10-10-64, biosemi-128, ...), a montage of MNE, a file of "
            "electrode places, or a recording; default: standard_1020.",
            rich_help_panel=CAP,
        ),
    ] = None,
    electrodes: Annotated[
        int | None,
        typer.Option(help="How many; a spread subset is named.", rich_help_panel=CAP),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(help="Which ones: names with commas, or a file of them.", rich_help_panel=CAP),
    ] = None,
    forward: own.Forward = None,
    age: own.Age = None,
    exact_head: Annotated[
        bool,
        typer.Option(
            "--exact-head",
            help="Simulate with the head that solvers believe in.",
            rich_help_panel=CAP,
        ),
    ] = False,
    snr: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="Signal-to-noise ratios, dB.", rich_help_panel=STUDY),
    ] = (-5.0, 20.0),
    levels: Annotated[int, typer.Option(help="How many of them.", rich_help_panel=STUDY)] = 4,
    extent: Annotated[
        float, typer.Option(help="Area of the patches, cm².", rich_help_panel=STUDY)
    ] = 10.0,
    goal: Annotated[
        float, typer.Option(help="Distance that counts as found, mm.", rich_help_panel=STUDY)
    ] = 20.0,
    solvers: own.Solvers = None,
    n: Annotated[int, typer.Option(help="Patches.", rich_help_panel=STUDY)] = 400,
    seed: Annotated[int, typer.Option(help="Seed.", rich_help_panel=STUDY)] = 0,
    region: own.Region = None,
    output: own.Folder = Path("out/audit"),
    overwrite: own.Overwrite = False,
    json: Json = None,
    quiet: own.Quiet = False,
) -> None:
    """What to expect of source imaging with a cap: a page for planning a study.

    \b
    majorant audit --montage 10-10-32
    majorant audit --montage recording.set --snr 0 15 --goal 15
    majorant audit --forward sub01-fwd.fif --solvers sloreta,eloreta
    """
    from majorant.audit.caps import channels_of
    from majorant.audit.run import PAGE, prepare, run, save
    from majorant.audit.settings import DEFAULT_SOLVERS, AuditSettings
    from majorant.audit.store import check_folder, open_folder
    from majorant.forward.ages import read_age

    chosen = own.names(solvers)
    settings = AuditSettings(
        montage=montage or (None if forward else "standard_1020"),
        forward=None if forward is None else str(forward),
        electrodes=electrodes,
        channels=() if channels is None else channels_of(channels),
        snr=snr,
        levels=levels,
        solvers=DEFAULT_SOLVERS if chosen is None else tuple(chosen),
        n=n,
        extent=extent,
        goal=goal,
        head_error=not exact_head,
        seed=seed,
        age=None if age is None else read_age(age),
        region=region,
    )
    voice = Voice(quiet)
    check_folder(output, overwrite=overwrite)
    with timed() as seconds:
        voice.step("Preparing")
        prepared = prepare(settings, voice.say)
        chunks, found = open_folder(output, prepared.plan(), overwrite=overwrite)
        if found:
            voice.say(f"Going on with {found} finished chunks.")
        voice.step("Simulating and imaging")
        with voice.waiting(f"{n} patches") as move:
            result = run(
                prepared, chunks, move,
                ahead=lambda left: voice.foretell(left, f"{n} patches, {levels} levels"),
                told=None if quiet or json == STDOUT else lambda cap: show_line(cap.cells()),
            )  # fmt: skip
        voice.step("Drawing")
        with voice.waiting(PAGE) as move:
            summary = save(result, chunks.parent, typed(sys.argv), move)
    if not deliver(summary, json) and not quiet:
        _tell(summary, settings.goal, output / PAGE, seconds())


def _tell(summary: dict[str, Any], goal: float, page: Path, seconds: float) -> None:
    """Print the numbers at the level spoken of, and what is recommended."""
    level = next(row for row in summary["levels"] if row["snr_db"] == summary["snr_db"])
    rows = [
        (
            SOLVERS[solver].title,
            *(_interval(level["solvers"][solver][key]) for key in ("error", "within", "missed")),
            _interval(level["solvers"][solver]["false"], ".1f"),
        )
        for solver in summary["solvers"]
    ]
    columns = ("solver", "error, mm", f"within {goal:g} mm, %", "missed, %", "false, cm²")
    show_table(f"{len(summary['electrodes'])} electrodes, {summary['snr_db']:g} dB", columns, rows)
    tell(summary["headline"])
    tell(f"- {summary['which_cap_suffices']['answer']}")
    for entry in summary["advice"]:
        tell(f"- {entry['what']}")
    out.print()
    tell(str(page), "bold")
    err.print(f"{seconds:.0f} s", style="dim")


def _interval(found: dict[str, float], spec: str = ".0f") -> str:
    low, high = format(found["low"], spec), format(found["high"], spec)
    return f"{format(found['mean'], spec)} ({low} to {high})"
