"""``majorant image --band``: the power of a band, at rest or around events, and what it shares."""

from __future__ import annotations

import json as jsons
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from majorant.cli.answer import deliver
from majorant.cli.image_one import loaded
from majorant.cli.options import RECORDING
from majorant.cli.screen import RARE
from majorant.cli.typed import shared
from majorant.cli.voice import Voice, out, plain, show_table, tell, timed
from majorant.errors import MajorantError

if TYPE_CHECKING:
    from majorant.imaging.result import ImageSettings
    from majorant.recording.file import Recording
    from majorant.recording.settings import Preparation
    from majorant.spectra.power import BandSettings, PowerMap

BandEdges = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        help="Power of a band, Hz, at rest or around --event.",
        rich_help_panel=RECORDING,
    ),
]
Against = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        help="Divide by the power of another band, Hz.",
        rich_help_panel=RARE,
    ),
]
Connectivity = Annotated[
    str | None,
    typer.Option(
        metavar="imcoh|wpli|dwpli|envelope",
        help="What regions share in the band; of --roi, or of all.",
        rich_help_panel=RARE,
    ),
]
Stretch = Annotated[
    float | None,
    typer.Option(help="Length of stretches at rest, s.", rich_help_panel=RARE),
]


@dataclass(frozen=True, kw_only=True)
class SpectralOptions:
    """What is asked of spectra instead of a response."""

    band: BandEdges = None
    to_band: Against = None
    connectivity: Connectivity = None
    stretch: Stretch = None

    def settings(self) -> BandSettings | None:
        """What these options mean; None where nothing is asked of spectra.

        Raises
        ------
        MajorantError
            If a band is none, or what belongs to a band stands alone.
        """
        if self.band is None:
            if self != SpectralOptions():
                raise MajorantError(
                    "--to-band, --connectivity and --stretch belong to --band; give it as LOW "
                    "HIGH, Hz"
                )
            return None
        from majorant.spectra.power import BandSettings

        return BandSettings(self.band, self.to_band, self.connectivity, self.stretch)


def run_band(
    file: Path,
    preparation: Preparation,
    imaging: ImageSettings,
    asked: BandSettings,
    target: Path,
    *,
    overwrite: bool = False,
    voice: Voice,
    json: str | None = None,
) -> None:
    """Prepare the trials, image their spectra, write and tell."""
    from majorant.files.output import check_output
    from majorant.spectra.power import image_band, prepare_trials
    from majorant.spectra.write import save_power

    check_output(target, overwrite=overwrite)
    imaging.imager()
    imaging.naming()
    _refuse(imaging)
    with timed() as seconds:
        recording = loaded(file, voice)
        _refuse_several(recording, preparation)
        prepared = prepare_trials(recording, preparation, asked, voice.say)
        voice.step("Imaging")
        found = image_band(prepared, imaging, asked, voice.say)
        voice.step("Writing")
        with voice.waiting("report.html"):
            save_power(found, target, overwrite=overwrite, command=shared(sys.argv))
        summary = jsons.loads((target / "summary.json").read_text(encoding="utf-8"))
        if not deliver({**summary, "out": str(target)}, json) and not voice.quiet:
            _tell(found, target, seconds(), voice)


def _refuse(imaging: ImageSettings) -> None:
    """What belongs to averages, and would be ignored without a word."""
    asked = (
        ("--region", imaging.region is not None),
        ("--uncertainty", imaging.uncertainty not in ("auto", "none")),
        ("--heads", imaging.heads > 1),
        ("--dipole", imaging.dipole),
        ("--spikes", imaging.spikes),
    )
    given = [name for name, there in asked if there]
    if given:
        raise MajorantError(
            f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} of the peaks of an average, "
            "and --band images power; leave it out"
        )
    more = [name for name in imaging.export if name not in ("csv",)]
    if more:
        raise MajorantError(
            f"power is written as .stc and .csv, and not as {', '.join(more)}; leave --export out"
        )


def _refuse_several(recording: Recording, preparation: Preparation) -> None:
    """Several events are several spectra, and a run has one."""
    from majorant.recording.average import separate

    several = [str(own.choice) for own in separate(recording, preparation)]
    if len(several) > 1:
        raise MajorantError(
            f"{', '.join(map(repr, several))} are {len(several)} conditions, and --band images the "
            f"trials of one; run each for itself, or join them: --event {'+'.join(several)}"
        )


def _tell(found: PowerMap, target: Path, seconds: float, voice: Voice) -> None:
    """Print what was found, where it lies and how long it took."""
    from rich.markup import escape

    from majorant.report.headline import place
    from majorant.spectra.page import headline, power_scale
    from majorant.words import mni, number

    unit = power_scale(found)
    out.print(escape(plain(headline(found)[0])))
    out.print(escape(plain(headline(found)[1])))
    rows = [
        (
            place(peak),
            mni(peak.mni),
            number(unit.factor * peak.amplitude),
            "" if found.share is None else f"{100 * found.share[peak.location]:.0f} %",
        )
        for peak in found.peaks
    ]
    show_table("Most power", ("place", "MNI152, mm", unit.label, "of the spectrum"), rows)
    if found.links is not None:
        own = found.links
        pairs = [
            (own.names[a], own.names[b], number(float(own.matrix[a, b]), 2))
            for a, b in own.pairs()[:8]
        ]
        show_table(f"{own.measure.title}, strongest first", ("region", "region", own.method), pairs)
        for sentence in own.sentences():
            out.print(escape(plain(sentence)))
    for caution in found.cautions:
        out.print(f"[yellow]Caution:[/] {escape(plain(caution))}")
    tell(f"\n{target / 'report.html'}", "bold")
    voice.say(f"{seconds:.1f} s")
