"""``majorant image``: a recording in; an estimate, a summary and a page out."""

from __future__ import annotations

import json as jsons
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majorant.cli.answer import Json, deliver
from majorant.cli.screen import RARE, complete_solvers
from majorant.cli.voice import Voice, out, show_table, timed
from majorant.errors import MajorantError
from majorant.registry import SOLVERS

if TYPE_CHECKING:
    from majorant.eeg.prepare import Prepared
    from majorant.eeg.result import ImageResult, ImageSettings
    from majorant.eeg.settings import Preparation

RECORDING, SOURCES, OUTPUT = "Recording", "Sources", "Output"


def image(
    file: Annotated[
        Path | None,
        typer.Argument(help="Any recording that MNE-Python reads."),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Image a simulated response.")] = False,
    event: Annotated[
        str | None,
        typer.Option(help="Events to average; several with commas.", rich_help_panel=RECORDING),
    ] = None,
    condition: Annotated[
        str | None,
        typer.Option(help="Which average of the file.", rich_help_panel=RECORDING),
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
            help="Window whose mean is removed and whose noise is learned, s; default: before 0.",
            rich_help_panel=RARE,
        ),
    ] = None,
    filter: Annotated[
        tuple[float, float] | None,
        typer.Option(
            metavar="LOW HIGH",
            help="Band-pass edges, Hz; 0 leaves an edge out.",
            rich_help_panel=RECORDING,
        ),
    ] = None,
    reference: Annotated[
        str,
        typer.Option(
            help="'average', or the electrodes that were the reference, with commas.",
            rich_help_panel=RARE,
        ),
    ] = "average",
    bad: Annotated[
        list[str] | None,
        typer.Option(help="A channel to leave out; may be repeated.", rich_help_panel=RARE),
    ] = None,
    interpolate: Annotated[
        bool,
        typer.Option(
            "--interpolate",
            help="Interpolate bad electrodes; else they go.",
            rich_help_panel=RARE,
        ),
    ] = False,
    montage: Annotated[
        str | None,
        typer.Option(
            help="Electrode places: a name MNE knows, or a file.", rich_help_panel=RECORDING
        ),
    ] = None,
    noise_cov: Annotated[
        Path | None,
        typer.Option(help="Noise covariance of single trials.", rich_help_panel=RARE),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="From the file's numbers to volts.", rich_help_panel=RARE),
    ] = None,
    reject: Annotated[
        float | None,
        typer.Option(help="Leave out trials beyond this, µV.", rich_help_panel=RARE),
    ] = None,
    solver: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(SOLVERS)}.",
            autocompletion=complete_solvers,
            rich_help_panel=SOURCES,
        ),
    ] = "sloreta",
    loose: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="0 along the normal, 1 free; default 0.2.",
            rich_help_panel=RARE,
        ),
    ] = None,
    depth: Annotated[
        float | None,
        typer.Option(min=0.0, help="Depth weighting; default: the solver's.", rich_help_panel=RARE),
    ] = None,
    snr: Annotated[
        str,
        typer.Option(
            metavar="RATIO|gcv|evidence",
            help="Signal-to-noise ratio of amplitudes.",
            rich_help_panel=SOURCES,
        ),
    ] = "3",
    option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A setting of the solver, such as max_iter=1000; may be repeated.",
            rich_help_panel=RARE,
        ),
    ] = None,
    space: Annotated[
        str,
        typer.Option(
            help="ico3, ico4, ico5, oct4, oct5, oct6, regions or auto.", rich_help_panel=RARE
        ),
    ] = "auto",
    forward: Annotated[
        Path | None,
        typer.Option(help="An mne.Forward of your own head.", rich_help_panel=SOURCES),
    ] = None,
    uncertainty: Annotated[
        str,
        typer.Option(
            metavar="none|auto|N",
            help="Standard deviations: none, what fits the solver, or over N resampled data sets.",
            rich_help_panel=RARE,
        ),
    ] = "auto",
    output: Annotated[
        Path | None, typer.Option("--out", help="Output folder.", rich_help_panel=OUTPUT)
    ] = None,
    raw: Annotated[
        bool,
        typer.Option(
            "--raw",
            help="All of a continuous recording, into zarr.",
            rich_help_panel=RECORDING,
        ),
    ] = False,
    subject: Annotated[
        str | None,
        typer.Option(help="A FreeSurfer subject, for its own head.", rich_help_panel=RARE),
    ] = None,
    subjects_dir: Annotated[
        Path | None,
        typer.Option(envvar="SUBJECTS_DIR", help="Folder of the subjects.", rich_help_panel=RARE),
    ] = None,
    trans: Annotated[
        Path | None,
        typer.Option(
            help="Head to MRI coordinates; default: from the fiducials.", rich_help_panel=RARE
        ),
    ] = None,
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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Say nothing but mistakes.", rich_help_panel=OUTPUT)
    ] = False,
    json: Json = None,
) -> None:
    """Image a recording: a source estimate, summary.json and report.html.

    \b
    majorant image rec.set --montage caps.locs --event square --filter 1 40
    majorant image --bids DIR --task visual --jobs 2
    majorant image --demo
    """
    from majorant.eeg.result import ImageSettings
    from majorant.eeg.settings import Preparation

    preparation = Preparation(
        event=event,
        condition=condition,
        tmin=tmin,
        tmax=tmax,
        baseline="auto" if baseline is None else baseline,
        filter=_edges(filter),
        reference=reference,
        bads=tuple(bad or ()),
        interpolate=interpolate,
        montage=montage,
        noise_cov=None if noise_cov is None else str(noise_cov),
        scale=scale,
        reject=None if reject is None else 1e-6 * reject,
    )
    imaging = ImageSettings(
        solver=solver,
        snr=_ratio(snr),
        loose="auto" if loose is None else loose,
        depth="auto" if depth is None else (depth or None),
        space=space,
        forward=None if forward is None else str(forward),
        subject=subject,
        subjects_dir=None if subjects_dir is None else str(subjects_dir),
        trans=None if trans is None else str(trans),
        options=dict(_option(text) for text in option or ()),
        uncertainty=uncertainty,
    )
    if bids is not None:
        from majorant.cli.image_bids import run_bids

        if demo or file is not None:
            raise MajorantError("--bids images a data set; leave the recording or --demo out")
        chosen = None if subjects is None else subjects.split(",")
        run_bids(
            bids, task, chosen, preparation, imaging, output, continuous=raw, jobs=jobs, dask=dask,
            overwrite=overwrite, command=_command(sys.argv), voice=Voice(quiet), json=json,
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
    target = output if output is not None else Path("out") / (file.stem if file else "demo")
    if raw:
        if file is None:
            raise MajorantError("--raw images a recording, and --demo is none; name a file")
        run_continuous(file, preparation, imaging, target, overwrite, Voice(quiet), json)
        return
    run(file, preparation, imaging, target, overwrite, Voice(quiet), json)


def run(
    file: Path | None,
    preparation: Preparation,
    imaging: ImageSettings,
    target: Path,
    overwrite: bool,
    voice: Voice,
    json: str | None = None,
) -> None:
    """Run the main job: prepare, image, write, tell."""
    from majorant.eeg.image import image as estimate
    from majorant.eeg.output import check_output, save_results

    check_output(target, overwrite=overwrite)
    imaging.imager()
    with timed() as seconds:
        prepared, judge = _prepared(file, preparation, voice)
        voice.step("Imaging")
        with voice.waiting(SOLVERS[imaging.solver].title) as move:
            result = estimate(prepared, imaging, voice.say, move)
        result = judge(result)
        voice.step("Writing")
        with voice.waiting("report.html") as move:
            save_results(result, target, overwrite=overwrite, command=_command(sys.argv))
        _answer(result, target, seconds(), voice, json)


def run_continuous(
    file: Path,
    preparation: Preparation,
    imaging: ImageSettings,
    target: Path,
    overwrite: bool,
    voice: Voice,
    json: str | None = None,
) -> None:
    """Run the main job on continuous data: read, image and write piece by piece, tell."""
    from majorant.eeg.continuous import image_continuous
    from majorant.eeg.output import beside, check_output, save_results
    from majorant.eeg.recording import load_recording

    check_output(target, overwrite=overwrite)
    imaging.imager()
    with timed() as seconds, beside(target) as room:
        voice.step(f"Reading {file.name}")
        recording = load_recording(file, voice.say)
        voice.step("Imaging")
        with voice.waiting(SOLVERS[imaging.solver].title) as move:
            result = image_continuous(
                recording, preparation, imaging, room / "estimate.zarr", voice.say, move
            )
        voice.step("Writing")
        with voice.waiting("report.html") as move:
            save_results(result, target, overwrite=overwrite, command=_command(sys.argv))
        _answer(result, target, seconds(), voice, json)


def _answer(
    result: ImageResult, target: Path, seconds: float, voice: Voice, json: str | None
) -> None:
    """Hand the summary over where ``--json`` asks for it, and tell it unless that, or --quiet."""
    summary = jsons.loads((target / "summary.json").read_text(encoding="utf-8"))
    if not deliver({**summary, "out": str(target)}, json) and not voice.quiet:
        _tell(result, target, seconds, voice)


def _ratio(text: str) -> float | str:
    """A number where it is one; else the word, which the imager judges."""
    try:
        return float(text)
    except ValueError:
        return text


def _prepared(file: Path | None, preparation: Preparation, voice: Voice) -> tuple[Prepared, Any]:
    """The recording or the simulated response, and what adds the errors where truth is known."""
    if file is None:
        from majorant.eeg.demo import demo_recording, judged

        voice.step("Simulating")
        simulated = demo_recording(say=voice.say)
        return simulated.prepared, lambda result: judged(result, simulated)
    from majorant.eeg.prepare import prepare
    from majorant.eeg.recording import load_recording

    voice.step(f"Reading {file.name}")
    recording = load_recording(file, voice.say)
    return prepare(recording, preparation, voice.say), lambda result: result


def _command(arguments: Sequence[str]) -> list[str]:
    """What was typed, fit to be shared: of files the names, not where they lie."""

    def shared(word: str) -> str:
        option, equals, value = word.rpartition("=")
        place = Path(value).expanduser()
        named = value if not place.is_absolute() and not place.exists() else place.name
        return f"{option}{equals}{named}"

    return ["majorant", *map(shared, arguments[1:])]


def _option(text: str) -> tuple[str, Any]:
    """Read ``name=value``; numbers, true and false are what they look like."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise MajorantError(f"the option {text!r} has no value; write it as name=value")
    plain = {"true": True, "false": False, "none": None}
    if value.lower() in plain:
        return name, plain[value.lower()]
    for number in (int, float):
        try:
            return name, number(value)
        except ValueError:
            continue
    return name, value


def _edges(
    edges: tuple[float, float] | None,
) -> tuple[float | None, float | None] | None:
    return None if edges is None else (edges[0] or None, edges[1] or None)


def _tell(result: ImageResult, target: Path, seconds: float, voice: Voice) -> None:
    """Print the peaks, the errors of a demonstration, the certificate, the cautions."""
    from majorant.report.words import mni, number, source_scale, written

    content = result.content
    largest = max((abs(peak.amplitude) for peak in content.peaks), default=0.0)
    scale = source_scale(content.sources, largest)
    rows = [
        (
            written(1e3 * peak.time, ".0f"),
            peak.hemisphere,
            peak.lobe,
            mni(peak.mni),
            number(scale.factor * peak.amplitude),
            _deviation(content.deviation_at(peak), scale.factor),
            f"{100 * peak.share:.0f} %",
        )
        for peak in content.peaks
    ]
    columns = ("ms", "hemisphere", "lobe", "MNI152, mm", scale.label.strip("()"), "±", "share")
    show_table("Peaks, strongest first", columns, rows)
    if content.errors:
        errors = [(name, number(value)) for name, value in content.errors.items()]
        show_table("Against the simulated truth", ("error", "value"), errors)
    out.print(f"Explained: {100 * result.explained:.0f} % of the variance of the window.")
    out.print(content.certificate.sentence())
    for caution in content.cautions:
        out.print(f"[yellow]Caution:[/] {_plain(caution)}")
    out.print(f"\n[bold]{_plain(str(target / 'report.html'))}[/]", soft_wrap=True)
    voice.say(f"{seconds:.1f} s")


def _deviation(value: float | None, factor: float) -> str:
    """One standard deviation, where there is one."""
    from majorant.report.words import number

    return "" if value is None else number(factor * value, 2)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
