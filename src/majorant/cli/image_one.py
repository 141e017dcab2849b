"""``majorant image`` on one recording: prepare, image, write, tell."""

from __future__ import annotations

import json as jsons
import sys
from contextlib import nullcontext
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from majorant.cli.answer import deliver
from majorant.cli.typed import shared
from majorant.cli.voice import Voice, out, plain, show_table, tell
from majorant.errors import MajorantError
from majorant.registry import SOLVERS

if TYPE_CHECKING:
    from majorant.findings.facts import Findings
    from majorant.imaging.result import ImageResult, ImageSettings
    from majorant.recording.file import Recording
    from majorant.recording.prepare import Prepared
    from majorant.recording.settings import Preparation


def run_one(
    file: Path | None,
    preparation: Preparation,
    imaging: ImageSettings,
    target: Path,
    *,
    recording: Recording | None = None,
    continuous: bool = False,
    overwrite: bool = False,
    voice: Voice,
    json: str | None = None,
) -> None:
    """Run the main job: prepare, image, write, tell; continuous data go piece by piece.

    `recording` is what the file holds, where it has been read already.
    """
    from majorant.files.output import check_output
    from majorant.files.write import resumable
    from majorant.imaging.write import save_results

    check_output(target, overwrite=overwrite)
    imaging.imager()
    imaging.naming()
    with resumable(target) if continuous else nullcontext() as room:
        if file is not None and room is not None:
            result = _continuous(file, preparation, imaging, room, voice)
        else:
            result = _average(file, recording, preparation, imaging, voice)
        voice.step("Writing")
        with voice.waiting("report.html"):
            save_results(result, target, overwrite=overwrite, command=shared(sys.argv))
        _answer(result, target, voice, json)


def loaded(file: Path, voice: Voice) -> Recording:
    """Read a recording, said aloud."""
    from majorant.recording.file import load_recording

    voice.step(f"Reading {file.name}")
    return load_recording(file, voice.say)


def opened(
    file: Path, preparation: Preparation, target: Path, *, overwrite: bool, voice: Voice
) -> tuple[Recording, bool]:
    """Read a recording, and whether several conditions are asked of it.

    A folder in the way or a condition that is not there is said before anything numerical loads,
    which takes longer.
    """
    from majorant.files.output import check_output
    from majorant.recording.average import conditions

    check_output(target, overwrite=overwrite)
    recording = loaded(file, voice)
    return recording, len(conditions(recording, preparation)) > 1


def _average(
    file: Path | None,
    recording: Recording | None,
    preparation: Preparation,
    imaging: ImageSettings,
    voice: Voice,
) -> ImageResult:
    """Image the window of an average, or the simulated response where there is no file."""
    from majorant.imaging.image import image

    prepared, judge = _prepared(file, recording, preparation, voice)
    voice.step("Imaging")
    with voice.waiting(SOLVERS[imaging.solver].title) as move:
        result = image(prepared, imaging, voice.say, move)
    return judge(result)


def _continuous(
    file: Path, preparation: Preparation, imaging: ImageSettings, room: Path, voice: Voice
) -> ImageResult:
    """Image all of a recording; the estimate grows in a folder beside the one to come.

    A run that was killed there is gone on with.
    """
    from majorant.imaging.continuous import image_continuous

    recording = loaded(file, voice)
    voice.step("Imaging")
    with voice.waiting(SOLVERS[imaging.solver].title) as move:
        return image_continuous(
            recording, preparation, imaging, room / "estimate.zarr", voice.say, move, resume=True
        )


def _answer(result: ImageResult, target: Path, voice: Voice, json: str | None) -> None:
    """Hand the summary over where ``--json`` asks for it, and tell it unless that, or --quiet."""
    summary = jsons.loads((target / "summary.json").read_text(encoding="utf-8"))
    if not deliver({**summary, "out": str(target)}, json) and not voice.quiet:
        _tell(result, target, voice)


def _refuse_beside_demo(preparation: Preparation) -> None:
    """What prepares a recording would be ignored without a word."""
    usual, given = type(preparation)().to_dict(), preparation.to_dict()
    names = (name.removesuffix("s") for name in usual if usual[name] != given[name])
    beside = ", ".join(f"--{name.replace('_', '-')}" for name in names)
    if beside:
        raise MajorantError(f"--demo simulates its recording; leave {beside} out, or name a file")


def _prepared(
    file: Path | None, recording: Recording | None, preparation: Preparation, voice: Voice
) -> tuple[Prepared, Any]:
    """The recording or the simulated response, and what adds the errors where truth is known."""
    if file is None:
        from majorant.imaging.demo import demo_recording, judged

        _refuse_beside_demo(preparation)
        voice.step("Simulating")
        simulated = demo_recording(say=voice.say)
        return simulated.prepared, lambda result: judged(result, simulated)
    from majorant.recording.prepare import prepare

    recording = recording or loaded(file, voice)
    return prepare(recording, preparation, voice.say), lambda result: result


def _tell(result: ImageResult, target: Path, voice: Voice) -> None:
    """Print what was found, where it lies and how long it took."""
    tell_result(result)
    tell(f"\n{target / 'report.html'}", "bold")
    voice.say(f"{voice.seconds():.1f} s")


def tell_result(result: ImageResult) -> None:
    """Print the headline, the peaks, the errors of a demonstration, certificate and cautions."""
    from majorant.report.headline import headline
    from majorant.words import number

    content = result.content
    out.print(_plain(headline(content)[0]))
    _tell_peaks(content)
    _tell_regions(content)
    if content.spikes is not None:
        from majorant.report.spikes import spike_words

        for sentence in spike_words(content):
            out.print(_plain(sentence))
    if content.dipole is not None:
        from majorant.report.dipole import dipole_words

        out.print(_plain(f"As one dipole: {dipole_words(content.dipole)}."))
    if content.errors:
        errors = [(name, number(value)) for name, value in content.errors.items()]
        show_table("Against the simulated truth", ("error", "value"), errors)
    out.print(f"Explained: {100 * result.explained:.0f} % of the variance of the window.")
    out.print(content.certificate.sentence())
    for name, value in content.certificate.ending():
        out.print(f"{name[:1].upper()}{name[1:]}: {number(value, 2)}.")
    for caution in content.cautions:
        out.print(f"[yellow]Caution:[/] {_plain(caution)}")


def _tell_peaks(content: Findings) -> None:
    """List the peaks, say what an amplitude is, and what speaks against any of them."""
    from majorant.findings.moments import meaning
    from majorant.report.headline import source_scale
    from majorant.words import clock, mni, number, written

    largest = max((abs(peak.amplitude) for peak in content.peaks), default=0.0)
    scale, unit = source_scale(content.sources, largest), clock(content.times)
    spec = ".0f" if unit.label == "ms" else ".3f"
    rows = [
        (
            written(unit.factor * peak.time, spec),
            peak.hemisphere,
            peak.named,
            mni(peak.mni),
            number(scale.factor * peak.amplitude),
            _deviation(content.deviation_at(peak), scale.factor),
            f"{100 * peak.share:.0f} %",
            "" if peak.moment is None else number(1e9 * peak.moment, 2),
            doubt or "",
        )
        for peak, doubt in zip_longest(content.peaks, content.doubts)
    ]
    columns = (
        unit.label,
        "hemisphere",
        "region",
        "MNI152, mm",
        scale.label.strip("()"),
        "±",
        "share",
        "dipole, nAm",
        "speaks against it",
    )
    if not any(content.doubts):
        rows, columns = [row[:-1] for row in rows], columns[:-1]
    show_table("Peaks, strongest first", columns, rows)
    if rows:
        means = meaning(content.sources.unit, content.sources.parcels is not None)
        out.print(f"Amplitude: {_plain(means)}.")


def _tell_regions(content: Findings) -> None:
    """Say where the source of the leading peak is, where that was asked for."""
    from majorant.report.regions import region_words
    from majorant.words import percent

    if content.regions is None:
        return
    k = content.leading or 0
    said = region_words(content.regions.of[k])
    out.print(_plain(f"{percent(content.regions.coverage)} region of peak {k + 1}: {said}."))


def _deviation(value: float | None, factor: float) -> str:
    """One standard deviation, where there is one."""
    from majorant.words import number

    return "" if value is None else number(factor * value, 2)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(plain(text))
