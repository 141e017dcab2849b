"""The result of imaging: settings, estimate, what the page shows, and the summary."""

from __future__ import annotations

import platform
from dataclasses import asdict, dataclass
from importlib import metadata
from inspect import signature
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from majorant import __version__
from majorant.atlas.atlas import Atlas
from majorant.atlas.read import read_atlas
from majorant.exports.material import Material
from majorant.exports.write import check_formats
from majorant.findings.facts import Findings, Peak
from majorant.findings.moments import meaning
from majorant.findings.spikes import NO_DEVICE
from majorant.findings.uncertainty_choice import check_asked
from majorant.head.places import Places
from majorant.imager.courses import RegionCourses
from majorant.imager.imager import SourceImager
from majorant.imager.settings import ImagerSettings
from majorant.problem import MajorantError
from majorant.randomness import takes_rng
from majorant.recording.prepare import Prepared
from majorant.report.headline import headline
from majorant.words import THIN

__all__ = ["ImageResult", "ImageSettings", "citations", "versions"]

MNE_CITATION = "Gramfort et al. (2013), MEG and EEG data analysis with MNE-Python, "
MNE_CITATION += "doi:10.3389/fnins.2013.00267"
TEMPLATE_CITATION = "Fischl, Sereno, Tootell & Dale (1999), High-resolution intersubject averaging "
TEMPLATE_CITATION += "(fsaverage), doi:10.1002/(SICI)1097-0193(1999)8:4<272::AID-HBM10>3.0.CO;2-4"


@takes_rng
@dataclass(frozen=True)
class ImageSettings(ImagerSettings):
    """How a prepared recording is imaged: the imager, and what is asked of its estimate.

    Attributes
    ----------
    forward : str or None
        File of an `mne.Forward`; None computes one, on the subject's head or the template.
    data_cov : str
        What a beamformer adapts to: "auto" is the covariance of the trials over the active window
        (from the event on), where there are trials, else that of what is imaged; "average" is
        always the latter; or the file of a covariance of single trials.
    uncertainty : "none", "auto" or int
        Standard deviations: none, what fits the solver, or over so many resampled data sets.
    seed : int
        Of the resampling.
    atlas : str
        What places are called by: a name or a file, see :func:`majorant.atlas.read.read_atlas`.
    roi : tuple of str
        Regions of the atlas whose time courses are kept, or "all".
    export : tuple of str
        Further formats that results are written in; see :data:`majorant.exports.write.FORMATS`.
    dipole : bool
        Whether one dipole is fitted beside the map.
    spikes : bool
        Whether the average is of marked spikes, whose onset and peak are reported.
    """

    forward: str | None = None
    data_cov: str = "auto"
    uncertainty: int | str = "auto"
    seed: int = 0
    atlas: str = "gyri"
    roi: tuple[str, ...] = ()
    export: tuple[str, ...] = ()
    dipole: bool = False
    spikes: bool = False

    def __post_init__(self) -> None:
        check_asked(self.uncertainty)
        check_formats(self.export, regions=bool(self.roi))

    def named(self) -> dict[str, Any]:
        """Plain values fit to be shared: of files and folders the names, not where they lie."""
        files = {
            name: None if value is None else Path(value).name
            for name, value in (
                ("forward", self.forward),
                ("subjects_dir", self.subjects_dir),
                ("trans", self.trans),
                ("data_cov", self.data_cov),
                ("atlas", self.atlas),
            )
        }
        return {**asdict(self), **files, "options": dict(self.options)}

    def naming(self) -> Atlas:
        """Read the atlas that places are named by.

        Raises
        ------
        MajorantError
            If there is none of that name, or it lacks a region of interest.
        """
        atlas = read_atlas(self.atlas, subject=self.subject, subjects_dir=self.subjects_dir)
        if self.chosen:
            atlas.chosen(self.chosen)
        return atlas

    @property
    def chosen(self) -> tuple[str, ...] | None:
        """Names of the regions of interest; None for all."""
        return None if "all" in self.roi else self.roi

    def imager(self) -> SourceImager:
        """Make the imager of these settings."""
        ours = {"self", *signature(SourceImager).parameters} & set(self.options)
        if ours:
            raise MajorantError(
                f"{', '.join(sorted(ours))} is a setting of its own and cannot be given as an "
                f"option of {self.solver}"
            )
        return SourceImager(**self.of_imager(), **self.options)


@dataclass(frozen=True, eq=False)
class ImageResult:
    """An estimate, and everything that was decided, found and is to be said about it.

    Attributes
    ----------
    stc : mne.SourceEstimate
    imager : SourceImager
        Fitted; its ``solution_`` holds certificate and status.
    prepared : Prepared
    content : Findings
        Peaks, predicted data, explained variance, certificate, decisions and cautions, as the
        page shows them.
    settings : ImageSettings
    places : Places
    store : Path or None
        Where the estimate of continuous data was written, before it is moved to its place.
    whole : RegionCourses or None
        Of the regions of interest over all of a continuous recording.
    """

    stc: Any
    imager: SourceImager
    prepared: Prepared
    content: Findings
    settings: ImageSettings
    places: Places
    store: Path | None = None
    whole: RegionCourses | None = None

    @property
    def courses(self) -> RegionCourses | None:
        """Of the regions of interest."""
        return self.content.courses

    @property
    def material(self) -> Material:
        """What exports take of it."""
        return Material(
            stc=self.stc,
            content=self.content,
            places=self.places,
            kind=self.imager.inverse.model.space.kind,
            subject=self.imager.inverse.model.space.subject or "fsaverage",
            courses=self.whole or self.courses,
            continuous=self.store is not None,
            nave=max(int(self.prepared.evoked.nave), 1),
        )

    @property
    def peaks(self) -> tuple[Peak, ...]:
        """Peaks, the strongest first."""
        return self.content.peaks

    @property
    def explained(self) -> float:
        """Share of the variance over the whole window, 0 to 1."""
        data, predicted = self.content.data, self.content.predicted
        total, left = float((data**2).sum()), float(((data - predicted) ** 2).sum())
        return min(1.0, max(0.0, 1.0 - left / total)) if total > 0 else 0.0

    @property
    def unit(self) -> str:
        """``"Am"`` or the name of the statistic."""
        return self.content.sources.unit

    def summary(self) -> dict[str, Any]:
        """Everything that was decided and found, as plain values, ready for JSON."""
        content, recording, imager = self.content, self.prepared.recording, self.imager
        return {
            "title": content.title,
            "input": None
            if recording is None
            else {
                "file": recording.path.name,
                "kind": recording.kind,
                "sha256": recording.sha256(),
            },
            "decisions": list(content.decisions),
            "cautions": list(content.cautions),
            "settings": {
                "prepare": self.prepared.settings.named(),
                "image": self.settings.named(),
            },
            "data": {
                "channels": list(content.info["ch_names"]),
                "nave": int(self.prepared.evoked.nave),
                "sfreq": float(content.info["sfreq"]),
                "tmin": float(content.times[0]),
                "tmax": float(content.times[-1]),
                "rank": imager.rank_,
                "noise": self.prepared.noise_kind,
            },
            "lone_electrodes": [asdict(electrode) for electrode in self.prepared.lone],
            "sources": _sources(imager),
            "skull": None if imager.skull_said_ is None else imager.skull_said_.document(),
            "solver": dict(content.solver),
            "status": imager.solution_.status[0].value,
            "unit": self.unit,
            "amplitude_is": meaning(self.unit, imager.leadfield_.kind == "regions"),
            "explained_variance": self.explained,
            "headline": " ".join(headline(content)).replace(THIN, " "),
            "peaks": [
                {**asdict(peak), "doubt": doubt or None}
                for peak, doubt in zip_longest(content.peaks, content.doubts)
            ],
            "leading": content.leading,
            "uncertainty": _uncertainty(content),
            "regions": _regions(content),
            "dipole": None if content.dipole is None else asdict(content.dipole),
            "spikes": _spikes(content),
            "faint": content.faint,
            "roi": _roi(self.whole or self.courses),
            "truth": [asdict(peak) for peak in content.truth],
            "errors": None if content.errors is None else dict(content.errors),
            "certificate": content.certificate.to_dict(),
            "versions": dict(content.versions),
            "citations": list(content.citations),
        }


def _sources(imager: SourceImager) -> dict[str, Any]:
    """What the sources are, and whose head they are in."""
    lead, alignment = imager.leadfield_, imager.alignment_
    return {
        "kind": lead.kind,
        "subject": lead.subject,
        "n_locations": lead.n_locations,
        "n_orient": lead.n_orient,
        "leadfield_sha256": lead.fingerprint(),
        "electrodes_off_scalp_mm": None
        if alignment is None
        else {
            "median": alignment.median_mm,
            "max": alignment.max_mm,
            "median_before_warp": alignment.before_median_mm,
        },
    }


def _uncertainty(content: Findings) -> dict[str, Any] | None:
    """What the standard deviations are, and those of the peaks, in the unit of the estimate."""
    doubt = content.uncertainty
    if doubt is None:
        return None
    return {
        "name": doubt.name,
        "how": doubt.how,
        "draws": doubt.draws,
        "noise_reaches": doubt.stands,
        "peaks": [content.deviation_at(peak) for peak in content.peaks],
    }


def _regions(content: Findings) -> dict[str, Any] | None:
    """Where the sources of the peaks are, and how much of the cortex the data do not speak of."""
    regions = content.regions
    if regions is None:
        return None
    return {
        "probability": regions.coverage,
        "how": regions.how,
        "unsupported": float(regions.unsupported().mean()),
        "supported": float(regions.supported().mean()),
        "peaks": [
            None
            if region is None
            else {
                "area_cm2": region.area_cm2,
                "places": dict(region.places),
                "had_a_source": region.real,
                "with_a_source_as_low": region.usual,
                "locations": region.locations.tolist(),
            }
            for region in regions.of
        ],
    }


def _spikes(content: Findings) -> dict[str, Any] | None:
    """Onset and peak of averaged spikes, with what belongs to a report of them."""
    spikes = content.spikes
    if spikes is None:
        return None
    return {
        "count": spikes.count,
        **{
            moment.word: {
                **asdict(moment.place),
                "explained": moment.explained,
                "region": None
                if moment.region is None
                else {
                    "area_cm2": moment.region.area_cm2,
                    "places": dict(moment.region.places),
                    "locations": moment.region.locations.tolist(),
                },
            }
            for moment in spikes.moments
        },
        "from_onset_to_peak_mm": spikes.moved_mm,
        "rise_in_deviations": spikes.ratio,
        "electrodes": list(spikes.electrodes),
        "bad": list(spikes.bads),
        "probability": spikes.coverage,
        "unseen": spikes.unseen,
        "no_medical_device": NO_DEVICE,
    }


def _roi(courses: RegionCourses | None) -> list[dict[str, Any]] | None:
    """Regions of interest: their size, and when and how much they are largest."""
    if courses is None:
        return None
    best = np.abs(courses.data).argmax(axis=1)
    return [
        {
            "region": name,
            "locations": size,
            "mode": courses.mode,
            "time": float(courses.times[at]),
            "amplitude": float(course[at]),
        }
        for name, size, at, course in zip(
            courses.names, courses.sizes, best, courses.data, strict=True
        )
    ]


def versions() -> dict[str, str]:
    """Versions of what made the estimate."""
    packages = ("torch", "mne", "numpy", "scipy", "nilearn")
    return {
        "majorant": __version__,
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
    }


def citations(imager: SourceImager) -> tuple[str, ...]:
    """What to cite for an estimate."""
    head = (TEMPLATE_CITATION,) if imager.alignment_ is not None else ()
    return (imager.spec_.citation, f"Majorant {__version__}", MNE_CITATION, *head)
