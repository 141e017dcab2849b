"""``majorant bench things``: checks on real data."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from majorant.cli.answer import STDOUT, Json, deliver
from majorant.cli.given import there
from majorant.cli.options import names
from majorant.cli.voice import Voice, show_table
from majorant.errors import MajorantError


def things(
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of one participant of THINGS-EEG2, raw files.", callback=there),
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option(help="Any recording with events, in place of THINGS-EEG2.", callback=there),
    ] = None,
    event: Annotated[str | None, typer.Option(help="Event of the recording.")] = None,
    montage: Annotated[str | None, typer.Option(help="Montage of the recording.")] = None,
    window: Annotated[
        str | None, typer.Option(help="What is judged, ms: 80-130; 80-190 for a recording.")
    ] = None,
    solvers: Annotated[
        str | None, typer.Option(help="Solvers, separated by commas; default all.")
    ] = None,
    flips: Annotated[int, typer.Option(min=2, help="Averages with random signs.")] = 39,
    part: Annotated[str, typer.Option(help="test or training.")] = "test",
    synthetic: Annotated[
        Path | None, typer.Option(help="Write a made-up participant here, and stop.")
    ] = None,
    json: Json = None,
) -> None:
    """Checks on real data: occipital share, learned noise, random signs and split halves.

    \b
    majorant bench things --data sub-01
    majorant bench things --recording visual.set --event square --json checks.json
    majorant bench things --synthetic made-up
    """
    from majorant.bench.things import RECORDING_WINDOW, run_things, table, trials_of
    from majorant.bench.things_checks import CheckSettings

    voice = Voice()
    if synthetic is not None:
        from majorant.bench.things_synthetic import write_synthetic

        for path in write_synthetic(synthetic):
            voice.say(f"Wrote {path}")
        return
    usual = CheckSettings.window if recording is None else RECORDING_WINDOW
    settings = CheckSettings(window=usual if window is None else _window(window), flips=flips)
    trials = trials_of(data, recording, event=event, montage=montage, part=part, say=voice.say)
    rows = run_things(trials, settings, names(solvers), say=voice.step)
    if json != STDOUT:
        _show(trials.title, len(trials), settings.window, table(rows))
    deliver([asdict(row) for row in rows], json)


def _show(
    title: str, n: int, window: tuple[float, float], found: tuple[list[str], list[list[str]]]
) -> None:
    first, last = (1e3 * end for end in window)
    show_table(f"{title}, {n} trials, {first:.0f} to {last:.0f} ms", *found)


def _window(text: str) -> tuple[float, float]:
    """Read ``80-130`` as seconds."""
    try:
        first, last = (1e-3 * float(part) for part in text.split("-"))
    except ValueError as error:
        raise MajorantError(
            f"the window is {text!r}; expected two times in ms, such as 80-130"
        ) from error
    return first, last
