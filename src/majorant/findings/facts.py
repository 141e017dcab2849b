"""What is true of an estimate: plain arrays and sentences, with nothing left to compute.

The room ``imaging`` fills one :class:`Findings`; the page draws it, the terminal and
``summary.json`` say it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.imager.courses import RegionCourses
from majorant.problem import Certificate

SURE = 2.0
"""Deviations within which zero is not ruled out at any single place."""


@dataclass(frozen=True)
class Peak:
    """One local maximum of the estimate over space and time.

    Attributes
    ----------
    time : float
        Seconds.
    hemisphere : str
        ``"left"`` or ``"right"``.
    lobe : str
        Name of the lobe, by its gyrus; by boxes in MNI space where there is none.
    mni : tuple of float
        MNI152 coordinates, mm.
    location : int
        Index into the locations of the estimate. Of a simulated source it says nothing here: the
        simulation has a source space of its own, so `mni` is what counts.
    amplitude : float
        Value there, in the estimate's unit.
    share : float
        Share of the estimate's energy at that time within 30 mm of the peak, 0 to 1.
    moment : float or None
        Of the dipole there that the data ask for at that time, A m, whatever the estimate's unit;
        see :mod:`majorant.findings.moments`.
    name : str
        Of its place in an atlas, without the side; "" where it has none.
    """

    time: float
    hemisphere: str
    lobe: str
    mni: tuple[float, float, float]
    location: int
    amplitude: float
    share: float
    moment: float | None = None
    name: str = ""

    @property
    def named(self) -> str:
        """Name of the place, or of the lobe where it has none."""
        return self.name or self.lobe


@dataclass(frozen=True)
class SourceMaps:
    """The estimate as a person looks at it.

    Attributes
    ----------
    values : array, shape (n_locations, n_times)
        Signed for fixed orientation, else the length of the vector.
    positions_mni : array, shape (n_locations, 3)
        MNI152, mm.
    hemisphere : array, shape (n_locations,)
        0 left, 1 right.
    vertices : array, shape (n_locations,)
        Vertex numbers on fsaverage5.
    parcels : array or None, shape (2, 10242)
        Region of every vertex where the locations are regions, -1 for none.
    unit : str
        ``"Am"`` or the name of the statistic.
    signed : bool
    names : tuple of str or None
        Region of every location in an atlas, without its side, "" for none.
    atlas : str
        What that atlas is called.
    """

    values: NDArray[np.float64]
    positions_mni: NDArray[np.float64]
    hemisphere: NDArray[np.int64]
    vertices: NDArray[np.int64]
    unit: str
    signed: bool
    parcels: NDArray[np.int64] | None = None
    names: tuple[str, ...] | None = None
    atlas: str = ""


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """How far an estimate can be trusted, in its own unit.

    Attributes
    ----------
    deviation : array, shape (n_locations, n_times) or (n_locations, 1)
        One standard deviation.
    name : str
        What it is, as a noun: "posterior standard deviation".
    how : str
        Where it comes from and what it leaves out; whole sentences.
    stands : float or None
        Share of its deviation that an estimate of noise alone exceeds somewhere in the map in one
        recording of twenty at most; None where this is not known.
    draws : int
        Resampled data sets behind it, 0 for a closed form.
    plain : array or None, like ``deviation``
        The deviation without what was added to hold sources that were missed: what a peak is
        compared with; None where nothing was added.
    noise : array or None, like ``deviation``
        What noise alone makes of the estimate, where the deviation is also of where the source is.
        Peaks are compared with it then: that a source may be at many places does not mean that
        there is none.
    reached : float
        Multiple of ``noise`` that noise alone exceeds in one recording of twenty at most.
    """

    deviation: NDArray[np.float64]
    name: str
    how: str
    stands: float | None = None
    draws: int = 0
    plain: NDArray[np.float64] | None = None
    noise: NDArray[np.float64] | None = None
    reached: float = 0.0

    @property
    def own(self) -> NDArray[np.float64]:
        """What a peak is compared with, to say whether it stands out."""
        if self.noise is not None:
            return self.noise
        return self.deviation if self.plain is None else self.plain

    @property
    def needed(self) -> float:
        """How many times that a peak must be."""
        return max(SURE, self.stands or SURE) if self.noise is None else self.reached

    @property
    def measure(self) -> str:
        """What it is, behind "times"."""
        return f"its {self.name}" if self.noise is None else "what noise alone gives it"


@dataclass(frozen=True, eq=False)
class Region:
    """Where the source of a peak is, with the probability of its `Regions`.

    Attributes
    ----------
    locations : array, shape (n,)
        Indices into the locations of the estimate, the likeliest first.
    area_cm2 : float
        Of the cortex in it.
    places : tuple of (str, float)
        Side and gyrus, with the share of the area that lies there; the largest first.
    real : float
        How many of the simulated peaks like this one had a source within 30 mm, 0 to 1.
    usual : float
        Of a further peak: how many of the simulated ones that had a source were as low in the map
        of their moment, at most.
    """

    locations: NDArray[np.int64]
    area_cm2: float
    places: tuple[tuple[str, float], ...]
    real: float
    usual: float = 1.0


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of all peaks, and what the data support.

    Attributes
    ----------
    coverage : float
        Probability for which they were calibrated, 0 to 1.
    peaks : tuple of Peak
        Strongest first.
    of : tuple of Region or None
        One for each peak; None where there were too few trials of its kind.
    how : str
        How they were calibrated; whole sentences.
    found : array, shape (n_locations,)
        How many simulated sources there were found whose dipole is as strong as that of the
        strongest peak, 0 to 1.
    support : array of int8, shape (n_locations,)
        1 where such a source would be found, -1 where it would not, 0 where simulations leave it
        open: of the sources that were found at most one in twenty lay in cortex of -1, and of those
        that were missed at most one in twenty in cortex of 1.
    """

    coverage: float
    peaks: tuple[Peak, ...]
    of: tuple[Region | None, ...]
    how: str
    found: NDArray[np.float64]
    support: NDArray[np.int8]

    def unsupported(self) -> NDArray[np.bool_]:
        """Cortex where such a source would be missed."""
        return self.support < 0

    def supported(self) -> NDArray[np.bool_]:
        """Cortex where such a source would be found."""
        return self.support > 0


@dataclass(frozen=True)
class EquivalentDipole:
    """One current that explains the data at one time best.

    Attributes
    ----------
    time : float
        s.
    mni : tuple of float
        MNI152, mm; on heads that are not the template's, that of the nearest place of the cortex.
    location : int
        The nearest location of the estimate.
    hemisphere : str
        ``"left"`` or ``"right"``.
    direction : tuple of float
        Unit vector: to the right, to the front, up, in MRI coordinates.
    moment : float
        A m.
    explained : float
        Goodness of fit, the share of the whitened power that it explains, 0 to 1.
    volume_cm3 : float or None
        Of its 95 % confidence region, as far as noise goes.
    peak : int or None
        Rank of the nearest peak of the map at that time, from 1.
    apart_mm : float or None
        How far that is, in the head itself.
    name : str
        Of the nearest place in the atlas, without its side.
    """

    time: float
    mni: tuple[float, float, float]
    location: int
    hemisphere: str
    direction: tuple[float, float, float]
    moment: float
    explained: float
    volume_cm3: float | None
    peak: int | None
    apart_mm: float | None
    name: str = ""


@dataclass(frozen=True, eq=False)
class SpikeMoment:
    """Onset or peak of averaged spikes.

    Attributes
    ----------
    word : {"onset", "peak"}
    place : Peak
        Where the estimate is strongest then.
    explained : float
        Share of the variance explained then, 0 to 1.
    values : array, shape (n_locations,)
        The estimate then; of the onset made of the data up to it alone.
    region : Region or None
        Where its source is, where that was asked for.
    """

    word: str
    place: Peak
    explained: float
    values: NDArray[np.float64]
    region: Region | None = None


@dataclass(frozen=True, eq=False)
class Spikes:
    """What a report of averaged spikes says.

    Attributes
    ----------
    count : int
        Spikes in the average.
    moments : tuple of SpikeMoment
        Onset and peak.
    moved_mm : float
        From the place of the onset to that of the peak.
    ratio : float
        Field power of the peak above its baseline, in standard deviations of the latter.
    clear : bool
        Whether that is enough for a spike.
    electrodes, bads : tuple of str
        Used, and left out as bad.
    coverage : float or None
        Probability of the regions.
    unseen : float or None
        Share of the cortex where a source as strong would more often be missed than found.
    """

    count: int
    moments: tuple[SpikeMoment, ...]
    moved_mm: float
    ratio: float
    clear: bool
    electrodes: tuple[str, ...]
    bads: tuple[str, ...]
    coverage: float | None = None
    unseen: float | None = None


@dataclass(frozen=True)
class Moment:
    """A time at which the page shows maps.

    Attributes
    ----------
    sample : int
        Index into the times.
    time : float
        Seconds.
    peaks : tuple of (int, Peak)
        The peaks then or a few milliseconds away, each with its rank from 1 (the strongest); empty
        where nothing stands out.
    """

    sample: int
    time: float
    peaks: tuple[tuple[int, Peak], ...]


@dataclass(frozen=True)
class Findings:
    """Everything that was found: maps and peaks, how sure they are, what speaks against them.

    Attributes
    ----------
    title : str
        File and condition, as the user would name them; untrusted, so it is escaped.
    info : mne.Info
        Sensor names and places of ``data``, EEG only.
    times : array, shape (n_times,)
        Seconds.
    data, predicted : array, shape (n_channels, n_times)
        Recorded and explained potentials, V, same reference.
    explained : array, shape (n_times,)
        Share of the variance that the estimate explains, 0 to 1; NaN-free.
    sources : SourceMaps
    peaks : tuple of Peak
        Strongest first.
    solver : mapping
        ``name, title, summary, guarantee, citation``.
    certificate : Certificate
    decisions : tuple of str
        What was decided on the way, one sentence each, in order.
    cautions : tuple of str
        What may mislead, one sentence each; the gravest first.
    settings, versions : mapping
        Names and values.
    citations : tuple of str
    truth : tuple of Peak
        Simulated sources of a demonstration, amplitudes in A m whatever the estimate's unit;
        empty for recordings.
    errors : mapping
        Their errors: name with unit, and value; empty for recordings.
    uncertainty : Uncertainty or None
    faint : str or None
        One sentence where no source stands out from noise; it takes the place of the headline.
    limit : float or None
        Largest value of the colours, where several estimates share one scale, in the unit of the
        estimate; None takes its own.
    doubts : tuple of str
        For each peak why it may not be the headline, as the end of a sentence, or "".
    courses : RegionCourses or None
        Of the regions of interest.
    regions : Regions or None
        Where the sources of the peaks are, where that was asked for.
    dipole : EquivalentDipole or None
        One current at the time of the leading peak, where that was asked for.
    spikes : Spikes or None
        Onset and peak of averaged spikes, where that was asked for.
    """

    title: str
    info: Any
    times: NDArray[np.float64]
    data: NDArray[np.float64]
    predicted: NDArray[np.float64]
    explained: NDArray[np.float64]
    sources: SourceMaps
    peaks: tuple[Peak, ...]
    solver: Mapping[str, str]
    certificate: Certificate
    decisions: tuple[str, ...]
    cautions: tuple[str, ...]
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    citations: tuple[str, ...]
    truth: tuple[Peak, ...] = ()
    errors: Mapping[str, float] | None = None
    uncertainty: Uncertainty | None = None
    faint: str | None = None
    doubts: tuple[str, ...] = ()
    limit: float | None = None
    courses: RegionCourses | None = None
    regions: Regions | None = None
    dipole: EquivalentDipole | None = None
    spikes: Spikes | None = None

    @property
    def leading(self) -> int | None:
        """The strongest peak that nothing speaks against, from 0; None where there is none."""
        if self.faint:
            return None
        reasons = self.doubts or ("",) * len(self.peaks)
        return next((k for k, reason in enumerate(reasons) if not reason), None)

    def deviation_at(self, peak: Peak) -> float | None:
        """Return the standard deviation at a peak, in the estimate's unit."""
        if self.uncertainty is None:
            return None
        row = self.uncertainty.deviation[peak.location]
        return float(row[int(np.abs(self.times - peak.time).argmin()) if len(row) > 1 else 0])

    def moments(self, most: int = 5, near: float = 0.010) -> tuple[Moment, ...]:
        """Return the times worth a map, the strongest first.

        A peak less than `near` seconds from a stronger one joins its map, which hardly differs.
        Without peaks this is the one time at which the data vary most over the sensors.
        """
        if not self.peaks:
            sample = int(self.data.std(axis=0).argmax())
            return (Moment(sample, float(self.times[sample]), ()),)
        joined: dict[int, list[tuple[int, Peak]]] = {}
        for rank, peak in enumerate(self.peaks, start=1):
            own = int(np.abs(self.times - peak.time).argmin())
            for sample in joined:
                if sample == own or abs(self.times[sample] - self.times[own]) < near:
                    own = sample
                    break
            joined.setdefault(own, []).append((rank, peak))
        return tuple(
            Moment(sample, float(self.times[sample]), tuple(peaks))
            for sample, peaks in list(joined.items())[:most]
        )
