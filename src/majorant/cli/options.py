"""Options that several commands share, declared once, and the settings that they become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from majorant.cli.given import folder_there, known_solver, known_solvers, there
from majorant.cli.screen import RARE, complete_solvers
from majorant.errors import MajorantError
from majorant.registry import SOLVERS

if TYPE_CHECKING:
    from majorant.imaging.result import ImageSettings
    from majorant.recording.settings import Preparation

RECORDING, SOURCES, OUTPUT = "RecordingOptions", "SourceOptions", "Output"
"""Panels of the help."""

Event = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="An event; several are conditions, A+B is one.",
        rich_help_panel=RECORDING,
    ),
]
EventsFrom = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|annotations",
        help="Events of a file (MNE, BIDS .tsv), or the annotations alone.",
        rich_help_panel=RARE,
    ),
]
Condition = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Which average of the file, or which ones.",
        rich_help_panel=RECORDING,
    ),
]
Contrast = Annotated[
    str | None,
    typer.Option(
        metavar="A-B",
        help="Image a difference of conditions too.",
        rich_help_panel=RARE,
    ),
]
Start = Annotated[
    float | None, typer.Option(help="Start of the window, s.", rich_help_panel=RECORDING)
]
Stop = Annotated[
    float | None, typer.Option(help="End of the window, s.", rich_help_panel=RECORDING)
]
Baseline = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="START END",
        help="Window whose mean is removed and whose noise is learned, s; default: before 0.",
        rich_help_panel=RARE,
    ),
]
Filter = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="LOW HIGH",
        help="Band-pass edges, Hz; 0 leaves an edge out.",
        rich_help_panel=RECORDING,
    ),
]
Reference = Annotated[
    str,
    typer.Option(
        help="'average', or the electrodes that were the reference, with commas.",
        rich_help_panel=RARE,
    ),
]
Bad = Annotated[
    list[str] | None,
    typer.Option(help="With commas, channels to leave out.", rich_help_panel=RARE),
]
Interpolate = Annotated[
    bool,
    typer.Option(
        "--interpolate", help="Interpolate bad electrodes; else they go.", rich_help_panel=RARE
    ),
]
Montage = Annotated[
    str | None,
    typer.Option(help="Electrode places: a name MNE knows, or a file.", rich_help_panel=RECORDING),
]
NoiseCov = Annotated[
    Path | None,
    typer.Option(help="Noise covariance of single trials.", callback=there, rich_help_panel=RARE),
]
Scale = Annotated[
    float | None, typer.Option(help="From the numbers to volts.", rich_help_panel=RARE)
]
Reject = Annotated[
    float | None, typer.Option(help="Leave out trials beyond this, µV.", rich_help_panel=RARE)
]

Rank = Annotated[
    str | None,
    typer.Option(
        metavar="info|full|eeg=N",
        help="Of the data, as in MNE; default: found in them.",
        rich_help_panel=RARE,
    ),
]
Lone = Annotated[
    str,
    typer.Option(
        metavar="doubt|believe",
        help="What of an electrode that shows what no other does.",
        rich_help_panel=RARE,
    ),
]

Solver = Annotated[
    str,
    typer.Option(
        help="One that majorant info lists.",
        autocompletion=complete_solvers,
        callback=known_solver,
        rich_help_panel=SOURCES,
    ),
]
Solvers = Annotated[
    str | None,
    typer.Option(
        help=f"With commas, some of {', '.join(SOLVERS)}.",
        autocompletion=complete_solvers,
        callback=known_solvers,
        rich_help_panel=SOURCES,
    ),
]
Loose = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=1.0, help="0 along the normal, 1 free; default 0.2.", rich_help_panel=RARE
    ),
]
Depth = Annotated[
    float | None,
    typer.Option(min=0.0, help="Depth weighting; default: the solver's.", rich_help_panel=RARE),
]
Snr = Annotated[
    str,
    typer.Option(
        metavar="RATIO|gcv|evidence",
        help="Signal-to-noise ratio of amplitudes.",
        rich_help_panel=RARE,
    ),
]
Option = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="A setting of the solver, such as max_iter=1000; may be repeated.",
        rich_help_panel=RARE,
    ),
]
Space = Annotated[
    str,
    typer.Option(help="ico3, ico4, ico5, oct4, oct5, oct6, regions or auto.", rich_help_panel=RARE),
]
Forward = Annotated[
    Path | None,
    typer.Option(help="An mne.Forward of your own head.", callback=there, rich_help_panel=SOURCES),
]
WhichHead = Annotated[
    str,
    typer.Option(
        "--head",
        metavar="auto|template|warped",
        help="The template as it stands, or warped to what was digitised.",
        rich_help_panel=RARE,
    ),
]
Circumference = Annotated[
    float | None,
    typer.Option(help="Of the head, cm, where it was not digitised.", rich_help_panel=RARE),
]
Skull = Annotated[
    float | None,
    typer.Option(
        "--skull-conductivity", help="Of the template's skull, S/m; 0.006.", rich_help_panel=RARE
    ),
]
Age = Annotated[
    str | None,
    typer.Option(
        metavar="YEARS|MONTHSmo",
        help="Of a child: size and skull typical of the age, where not given.",
        rich_help_panel=RARE,
    ),
]
Heads = Annotated[
    int,
    typer.Option(
        min=1,
        max=64,
        help="Average the lead field over so many heads around the template.",
        rich_help_panel=RARE,
    ),
]
Subject = Annotated[
    str | None, typer.Option(help="A FreeSurfer subject, for its own head.", rich_help_panel=RARE)
]
SubjectsDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the subjects; default: SUBJECTS_DIR.",
        callback=folder_there,
        rich_help_panel=RARE,
    ),
]
Trans = Annotated[
    Path | None,
    typer.Option(
        help="From head to MRI; default: from the fiducials.", callback=there, rich_help_panel=RARE
    ),
]
DataCov = Annotated[
    str,
    typer.Option(
        metavar="auto|average|FILE",
        help="What LCMV adapts to; default: the trials from the event on, if there are any.",
        rich_help_panel=RARE,
    ),
]
Uncertainty = Annotated[
    str,
    typer.Option(
        metavar="none|auto|N",
        help="Standard deviations: none, what fits the solver, or over N resampled data sets.",
        rich_help_panel=RARE,
    ),
]

Atlas = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="Names of places: gyri, hcp-mmp, yeo7, aparc, or a file of FreeSurfer, GIFTI, CIFTI, "
        "NIfTI.",
        rich_help_panel=RARE,
    ),
]
Region = Annotated[
    float | None,
    typer.Option(
        metavar="PROBABILITY",
        help="Say where sources are so surely, such as 0.9, by simulations; may take a minute.",
        rich_help_panel=RARE,
    ),
]

Spikes = Annotated[
    bool,
    typer.Option(
        "--spikes",
        help="The events are spikes: report onset and peak of their average.",
        rich_help_panel=RARE,
    ),
]
Dipole = Annotated[
    bool,
    typer.Option(
        "--dipole", help="Fit one dipole beside the map, at its peak.", rich_help_panel=RARE
    ),
]

Roi = Annotated[
    list[str] | None,
    typer.Option(
        metavar="REGION",
        help="A region of the atlas whose time course is kept, or all; may be repeated.",
        rich_help_panel=RARE,
    ),
]
Export = Annotated[
    str | None,
    typer.Option(
        metavar="FORMATS",
        help="With commas: csv, tsv, gifti, cifti, nifti, mat, npz, set, svg, png, gif, mp4.",
        rich_help_panel=RARE,
    ),
]

_OUT = typer.Option("--out", help="Output folder.", rich_help_panel=OUTPUT)
Folder = Annotated[Path, _OUT]
NamedFolder = Annotated[Path | None, _OUT]
"""Named after the recording where it is not given."""
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace what is there.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Say nothing but mistakes.", rich_help_panel=OUTPUT)
]


@dataclass(frozen=True, kw_only=True)
class RecordingOptions:
    """How a recording is prepared."""

    event: Event = None
    events_from: EventsFrom = None
    condition: Condition = None
    tmin: Start = None
    tmax: Stop = None
    baseline: Baseline = None
    filter: Filter = None
    reference: Reference = "average"
    bad: Bad = None
    interpolate: Interpolate = False
    montage: Montage = None
    noise_cov: NoiseCov = None
    scale: Scale = None
    reject: Reject = None
    rank: Rank = None
    lone: Lone = "doubt"

    def settings(self) -> Preparation:
        """What these options mean.

        Raises
        ------
        MajorantError
            If a number makes no sense.
        """
        from majorant.recording.settings import Preparation

        return Preparation(
            event=_one_or_more(self.event),
            condition=_one_or_more(self.condition),
            tmin=self.tmin,
            tmax=self.tmax,
            baseline="auto" if self.baseline is None else self.baseline,
            filter=None if self.filter is None else edges(self.filter),
            reference=self.reference,
            bads=tuple(self.bad or ()),
            interpolate=self.interpolate,
            montage=self.montage,
            noise_cov=_text(self.noise_cov),
            scale=self.scale,
            reject=None if self.reject is None else 1e-6 * self.reject,
            rank=None if self.rank is None else _rank(self.rank),
            lone=self.lone,
            events_from=self.events_from,
        )


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where sources are looked for, and how much is asked of the data."""

    snr: Snr = "3"
    loose: Loose = None
    depth: Depth = None
    space: Space = "auto"
    forward: Forward = None
    head: WhichHead = "auto"
    circumference: Circumference = None
    skull_conductivity: Skull = None
    age: Age = None
    heads: Heads = 1
    subject: Subject = None
    subjects_dir: SubjectsDir = None
    trans: Trans = None
    data_cov: DataCov = "auto"

    def settings(
        self,
        solver: str = "auto",
        *,
        option: list[str] | None = None,
        uncertainty: str = "none",
        atlas: str = "gyri",
        region: float | None = None,
        roi: list[str] | None = None,
        export: str | None = None,
        dipole: bool = False,
        spikes: bool = False,
    ) -> ImageSettings:
        """What these options mean, with a solver and settings of its own.

        Raises
        ------
        MajorantError
            If an option of the solver is not written as NAME=VALUE, or a head lacks its other half.
        """
        if self.trans is not None and self.subject is None:
            raise MajorantError(
                "--trans places the electrodes on a subject's head, and no subject was given; name "
                "one with --subject, or leave --trans out"
            )
        from majorant.forward.ages import read_age
        from majorant.imaging.result import ImageSettings

        return ImageSettings(
            solver=solver,
            snr=_ratio(self.snr),
            loose="auto" if self.loose is None else self.loose,
            depth="auto" if self.depth is None else (self.depth or None),
            space=self.space,
            forward=_text(self.forward),
            head=self.head,
            circumference=self.circumference,
            skull=self.skull_conductivity,
            age=None if self.age is None else read_age(self.age),
            heads=self.heads,
            subject=self.subject,
            subjects_dir=_text(self.subjects_dir),
            trans=_text(self.trans),
            data_cov=self.data_cov,
            options=dict(_pair(text) for text in option or ()),
            uncertainty=uncertainty,
            atlas=atlas,
            region=region,
            roi=tuple(roi or ()),
            export=tuple(names(export) or ()),
            dipole=dipole,
            spikes=spikes,
        )


SPIKES = (-0.5, 0.3)
"""Window around marked spikes, s; their baseline ends at -0.2 s, before anybody would mark them."""


def of_spikes(preparation: Preparation) -> Preparation:
    """Windows for spikes where the user gives none."""
    tmin = SPIKES[0] if preparation.tmin is None else preparation.tmin
    tmax = SPIKES[1] if preparation.tmax is None else preparation.tmax
    baseline = preparation.baseline
    if baseline == "auto" and tmin < -0.2:
        baseline = (tmin, -0.2)
    return replace(preparation, tmin=tmin, tmax=tmax, baseline=baseline)


def _one_or_more(names: list[str] | None) -> str | tuple[str, ...] | None:
    """One name as it is; several as several conditions."""
    if not names:
        return None
    return names[0] if len(names) == 1 else tuple(names)


def edges(band: tuple[float, float]) -> tuple[float | None, float | None]:
    """Edges of a filter; 0 leaves one out."""
    return band[0] or None, band[1] or None


def names(text: str | None) -> list[str] | None:
    """Split names at commas; None stays None."""
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _ratio(text: str) -> float | str:
    """A number where it is one; else the word, which the imager judges."""
    try:
        return float(text)
    except ValueError:
        return text


def _rank(text: str) -> str | dict[str, int]:
    """A word, or a number by type of channel, as ``eeg=50``."""
    if "=" not in text:
        return text
    found = {}
    for part in text.split(","):
        kind, _, number = part.partition("=")
        if not number.strip().isdecimal():
            raise MajorantError(f"the rank {text!r} is no whole number; write eeg=50, info or full")
        found[kind.strip()] = int(number)
    return found


def _pair(text: str) -> tuple[str, Any]:
    """Read ``name=value``; numbers, true and false are what they look like."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise MajorantError(f"the option {text!r} has no value; write it as name=value")
    if not name.isidentifier() or name == "self":
        raise MajorantError(f"{name!r} is no name of a solver's setting; check --option {text}")
    plain = {"true": True, "false": False, "none": None}
    if value.lower() in plain:
        return name, plain[value.lower()]
    for number in (int, float):
        try:
            return name, number(value)
        except ValueError:
            continue
    return name, value
