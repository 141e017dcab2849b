"""``majorant stream``: a live stream in, time courses of regions out, and how long they took."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from majorant.cli import options as own
from majorant.cli.answer import Json, deliver
from majorant.cli.given import known_solver, there
from majorant.cli.options import OUTPUT, RECORDING, SOURCES
from majorant.cli.screen import RARE, complete_solvers
from majorant.cli.voice import Voice, err, out, plain, show_table, tell
from majorant.errors import MajorantError

if TYPE_CHECKING:
    from majorant.imager.imager import SourceImager
    from majorant.live.engine import LiveEngine
    from majorant.live.follow import Toll
    from majorant.live.sinks import Many

LATE = 50
"""From sample to estimate, ms: what we want to stay below."""


def stream(
    name: Annotated[
        str | None, typer.Argument(help="Name of an LSL stream; default: the only EEG.")
    ] = None,
    montage: own.Montage = None,
    filter: Annotated[
        tuple[float, float],
        typer.Option(
            metavar="LOW HIGH",
            help="Edges of the causal filter, Hz; 0 leaves one out.",
            rich_help_panel=RECORDING,
        ),
    ] = (1.0, 40.0),
    bad: own.Bad = None,
    duration: Annotated[
        float | None,
        typer.Option(help="Stop after so many s; default: Ctrl-C.", rich_help_panel=RECORDING),
    ] = None,
    solver: Annotated[
        str,
        typer.Option(
            help="A linear one, or mm-net; auto takes too long for a live stream.",
            autocompletion=complete_solvers,
            callback=known_solver,
            rich_help_panel=SOURCES,
        ),
    ] = "sloreta",
    region: Annotated[
        list[str] | None,
        typer.Option(
            help="A region of the atlas, a lobe ('left occipital'), 'all', or NAME=x,y,z[,mm] in "
            "MNI; default: all lobes.",
            rich_help_panel=SOURCES,
        ),
    ] = None,
    atlas: own.Atlas = "gyri",
    snr: Annotated[
        float, typer.Option(help="Signal-to-noise ratio of amplitudes.", rich_help_panel=SOURCES)
    ] = 3.0,
    option: own.Option = None,
    loose: own.Loose = None,
    depth: own.Depth = None,
    imager: Annotated[
        Path | None,
        typer.Option(
            help="A fitted imager, as SourceImager.save wrote it.",
            callback=there,
            rich_help_panel=RARE,
        ),
    ] = None,
    space: own.Space = "regions",
    forward: own.Forward = None,
    subject: own.Subject = None,
    subjects_dir: own.SubjectsDir = None,
    trans: own.Trans = None,
    noise_cov: own.NoiseCov = None,
    scale: own.Scale = None,
    hop: Annotated[
        float,
        typer.Option(min=0.0, help="Gather samples for so long, ms.", rich_help_panel=RARE),
    ] = 10.0,
    patience: Annotated[
        float,
        typer.Option(min=0.0, help="Stop after so many s of silence.", rich_help_panel=RARE),
    ] = 60.0,
    output: Annotated[
        Path | None, typer.Option("--out", help="A .csv or .zarr.", rich_help_panel=OUTPUT)
    ] = None,
    publish: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Publish as an LSL stream.", rich_help_panel=OUTPUT),
    ] = None,
    overwrite: own.Overwrite = False,
    quiet: own.Quiet = False,
    json: Json = None,
) -> None:
    """Image a live stream: time courses of regions, and how late they are.

    \b
    majorant stream --montage standard_1020 --out run.csv
    majorant stream amp --region "left occipital" --publish sources
    majorant stream amp --solver mm-net --region V1=8,-88,4 --out run.zarr
    """
    from majorant.atlas.read import read_atlas
    from majorant.imager.imager import SourceImager
    from majorant.live.engine import check_follows
    from majorant.live.follow import Following
    from majorant.live.regions import check_regions
    from majorant.live.sinks import check_file
    from majorant.registry import spec

    if output is None and publish is None:
        raise MajorantError("there is nowhere to put the estimates; give --out or --publish")
    if output is not None:
        check_file(output, overwrite=overwrite)
    named = read_atlas(atlas, subject=subject, subjects_dir=subjects_dir)
    check_regions(region or (), named)
    if duration is not None and not duration > 0:
        raise MajorantError(f"the duration is {duration:g} s; give a positive one")
    settings = Following(
        band=own.edges(filter),
        patience=patience,
        duration=float("inf") if duration is None else duration,
    )
    fit = {
        "montage": montage,
        "bads": tuple(bad or ()),
        "noise_cov": None if noise_cov is None else str(noise_cov),
        "forward": None if forward is None else str(forward),
    }
    if imager is None:
        check_follows(spec(solver))
        sources = own.SourceOptions(
            snr=str(snr), loose=loose, depth=depth, space="auto" if forward or subject else space,
            subject=subject, subjects_dir=subjects_dir, trans=trans,
        )  # fmt: skip
        chosen = sources.settings(solver, option=option).imager()
    else:
        _refuse_beside(imager, {**fit, "subject": subject, "loose": loose, "option": option})
        chosen, fit = SourceImager.load(imager), None
    opened = partial(_opened, output, publish, overwrite)
    toll, engine = _run(
        partial(_connected, name, 1e-3 * hop, scale), chosen, fit, (tuple(region or ()), named),
        settings, opened, Voice(quiet),
    )  # fmt: skip
    _tell(toll, engine, output, quiet, json)


def _refuse_beside(imager: Path, given: dict[str, Any]) -> None:
    """An imager that is fitted has its channels, head and solver."""
    words = {"bads": "bad", "noise_cov": "noise-cov"}
    beside = [f"--{words.get(name, name)}" for name, value in given.items() if value]
    if beside:
        raise MajorantError(
            f"{imager.name} is fitted already, with channels, head and solver of its own; leave "
            f"{', '.join(beside)} out, or leave --imager out"
        )


def _connected(name: str | None, hop: float, scale: float | None) -> Any:
    """Find the stream."""
    from majorant.live.lsl import connect

    return connect(name, hop=hop, scale=scale)


def _run(
    connected: Callable[[], Any],
    imager: SourceImager,
    fit: dict[str, Any] | None,
    regions: tuple[tuple[str, ...], Any],
    settings: Any,
    opened: Callable[[tuple[str, ...], str], Many],
    voice: Voice,
) -> tuple[Toll, LiveEngine]:
    """Connect, fit, follow."""
    from majorant.live.engine import engine_for, one_thread
    from majorant.live.follow import follow
    from majorant.live.lsl import clock
    from majorant.live.regions import find_regions
    from majorant.live.setup import fitted, looked_at, stream_names

    voice.step("Connecting")
    source = connected()
    try:
        kinds = source.info["ch_names"]
        voice.say(f"Stream {source.name!r}: {len(kinds)} channels, {source.sfreq:g} Hz.")
        if fit is None:
            names = stream_names(imager, source.info)
        else:
            voice.step("Fitting")
            imager, names = fitted(imager, source.info, **fit, say=voice.say)
        found = find_regions(imager.leadfield_, *regions)
        engine = engine_for(imager, found, source.sfreq)
        sink = opened(found.names, engine.unit)
        voice.step("Following; Ctrl-C ends it")
        try:
            with one_thread():
                toll = follow(
                    source.chunks(names), engine, sink, clock, settings,
                    _speaker(voice), looked_at(names),
                )  # fmt: skip
        finally:
            sink.close()
    finally:
        source.close()
    return toll, engine


def _opened(
    output: Path | None, publish: str | None, overwrite: bool, names: tuple[str, ...], unit: str
) -> Many:
    """Open the file and the stream that estimates of those regions go to."""
    from majorant.live.lsl import Outlet
    from majorant.live.sinks import Many, open_file

    sinks = []
    if output is not None:
        sinks.append(open_file(output, names, unit, overwrite=overwrite))
    if publish is not None:
        sinks.append(Outlet(publish, names, unit))
    return Many(*sinks)


def _speaker(voice: Voice) -> Any:
    """What happens to a stream is said whether or not a terminal listens."""

    def say(sentence: str) -> None:
        if not voice.quiet:
            err.print(Padding(Text(plain(sentence)), (0, 0, 0, 2)))

    return say


def _tell(toll: Toll, engine: LiveEngine, file: Path | None, quiet: bool, json: str | None) -> None:
    """Print what the run came to."""
    certificate = engine.certificate()
    found = {
        **toll.to_dict(),
        "regions": list(engine.regions.names),
        "unit": engine.unit,
        "certificate": None if certificate is None else certificate.to_dict(),
        "file": None if file is None else str(file),
    }
    if deliver(found, json) or quiet:
        return
    rows = [
        (what, *(f"{counted[key]:.1f}" for key in ("median_ms", "p95_ms", "max_ms")))
        for what, counted in (
            ("sample to estimate", found["latency"]),
            ("arrival to estimate", found["work"]),
        )
    ]
    show_table("Latency, ms", ("from", "median", "95 %", "max"), rows)
    happened = [
        f"{getattr(toll, key)} {what}"
        for key, what in (
            ("stalls", "stalls"),
            ("connections", "new connections"),
            ("gaps", "gaps"),
            ("rates", "changes of rate"),
            ("broken", "samples with NaN"),
            ("ahead", "samples with times that had not come yet, by the sender's clock"),
        )
        if getattr(toll, key)
    ]
    out.print(
        f"{toll.estimates} of {toll.samples} samples estimated in {len(found['regions'])} regions"
        f"{'; ' + ', '.join(happened) if happened else ''}."
    )
    if engine.certificate() is not None and found["latency"]["p95_ms"] > LATE:
        out.print(
            f"More than 5 % of the estimates came later than {LATE} ms: a linear solver is "
            "quicker, and so are fewer steps (--option max_iter=2).",
            style="yellow",
        )
    if file is not None:
        tell(str(file), "bold")
