"""Power of a band at every place of the cortex, from the cross-spectra of trials.

At rest the trials are stretches of the recording; around events they are what was cut there. Their
cross-spectral density (V^2/Hz, :mod:`majorant.spectra.cross`) is imaged: a linear solver K gives
``diag(K C K')``, exact, which is MNE's `apply_inverse_cov` and DICS's formula for the power. What
other solvers do is said in :meth:`majorant.SourceImager.apply`; they see the density times half the
sampling rate, which of white noise is its variance, so that it has the units of the noise
covariance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.findings.facts import Peak, SourceMaps
from majorant.findings.names import named, region_names
from majorant.findings.peaks import find_peaks
from majorant.head.places import locate
from majorant.imager.courses import parts_of
from majorant.imager.imager import SourceImager
from majorant.imaging.image import fitted_imager, regularisation
from majorant.imaging.result import ImageSettings
from majorant.recording.file import Recording
from majorant.recording.prepare import Prepared, prepare
from majorant.recording.rank import projection
from majorant.recording.settings import Preparation
from majorant.registry import able
from majorant.spectra.cautions import band_cautions
from majorant.spectra.cross import (
    LEAST_CYCLES,
    check_edges,
    checked_band,
    cross_spectra,
    in_band,
    mean_over,
)

if TYPE_CHECKING:
    from majorant.spectra.connectivity import RegionLinks

__all__ = ["Band", "BandSettings", "PowerMap", "band_power", "image_band", "prepare_trials"]

Band = tuple[float, float]
WHOLE: Band = (1.0, 45.0)
"""Hz: the spectrum of which a band is a share, where trials and filters leave it."""
STRETCH, OVERLAP, ENVELOPES = 2.0, 0.5, 10.0
"""Length of stretches at rest, s, for bands that do not need longer ones; Welch's overlap; and the
length for envelopes, whose rises and falls take seconds."""
DISTRIBUTED = "eloreta"
"""What ``auto`` is for power, which is spread over much of the cortex."""


@dataclass(frozen=True)
class BandSettings:
    """What is asked of a spectrum.

    Attributes
    ----------
    band : (float, float)
        Lower and upper edge, Hz.
    against : (float, float) or None
        Another band, by whose power that of the first is divided.
    connectivity : str or None
        A measure of :data:`majorant.spectra.connectivity.METHODS` between regions.
    stretch : float or None
        Length of stretches at rest, s; None takes what the band and the measure need.
    """

    band: Band
    against: Band | None = None
    connectivity: str | None = None
    stretch: float | None = None

    def __post_init__(self) -> None:
        if self.connectivity is not None:
            from majorant.spectra.connectivity import check_method

            check_method(self.connectivity)
        for band in (self.band, self.against):
            if band is not None:
                check_edges(band)

    @property
    def length(self) -> float:
        """Of stretches, s."""
        if self.stretch is not None:
            return self.stretch
        least = min(self.band[0], self.against[0] if self.against else self.band[0])
        usual = ENVELOPES if self.connectivity == "envelope" else STRETCH
        return max(usual, float(np.ceil(LEAST_CYCLES / least)))


@dataclass(frozen=True)
class RegionPower:
    """Power of a region of the atlas.

    Attributes
    ----------
    name : str
    locations : int
    power : float
        Mean over its locations.
    share, ratio : float or None
        As of a :class:`PowerMap`, of the power of all its locations.
    """

    name: str
    locations: int
    power: float
    share: float | None
    ratio: float | None


@dataclass(frozen=True, eq=False)
class PowerMap:
    """Power of a band over the cortex, with what it was made from.

    Attributes
    ----------
    asked : BandSettings
    whole : (float, float)
        Edges of the spectrum of which `share` is, Hz.
    power : array, shape (n_locations,)
        Mean spectral density over the band, one-sided: (A m)^2/Hz, or 1/Hz of a statistic.
    share : array or None, shape (n_locations,)
        Of the power of the whole spectrum at that place, 0 to 1; None for solvers that are no
        matrix, whose estimates of two bands have different sources.
    ratio : array or None, shape (n_locations,)
        Power of the band over that of the other; None likewise, and where there is no other.
    peaks : tuple of Peak
        Local maxima of the power, strongest first; amplitude is `power`, share that of the power
        within 30 mm.
    shares : tuple of Peak
        Local maxima of `share`, likewise.
    regions : tuple of RegionPower
        Of the atlas, most power first.
    frequencies : array, shape (n_frequencies,)
        Hz.
    spectrum : array, shape (n_channels, n_frequencies)
        Density at the electrodes, average reference, V^2/Hz.
    trials : int
    imager : SourceImager
    prepared : Prepared
    settings : ImageSettings
    sources : SourceMaps
        Its values are `power`.
    decisions, cautions : tuple of str
    links : RegionLinks or None
        What regions share, where that was asked for.
    """

    asked: BandSettings
    whole: Band
    power: NDArray[np.float64]
    share: NDArray[np.float64] | None
    ratio: NDArray[np.float64] | None
    peaks: tuple[Peak, ...]
    shares: tuple[Peak, ...]
    regions: tuple[RegionPower, ...]
    frequencies: NDArray[np.float64]
    spectrum: NDArray[np.float64]
    trials: int
    imager: SourceImager
    prepared: Prepared
    settings: ImageSettings
    sources: SourceMaps
    decisions: tuple[str, ...]
    cautions: tuple[str, ...]
    links: RegionLinks | None = None

    @property
    def unit(self) -> str:
        """Of the power: ``"(A m)²/Hz"``, or that of a statistic."""
        unit = self.imager.unit_
        return "(A m)²/Hz" if unit == "Am" else f"{unit}²/Hz"

    def estimate(self, values: NDArray[np.float64] | None = None) -> Any:
        """The map, or another one over its locations, as MNE's class of estimate."""
        from majorant.imager.estimate import as_estimate

        own = self.power if values is None else values
        middle = float(np.mean(self.asked.band))
        return as_estimate(own[:, None], self.imager.model, middle, 1.0)


def prepare_trials(
    recording: Recording,
    preparation: Preparation,
    asked: BandSettings,
    say: Callable[[str], None] | None = None,
) -> Prepared:
    """Prepare the trials whose spectra are wanted: those of an event, or stretches of rest.

    Parameters
    ----------
    recording : Recording
    preparation : Preparation
        Without an event, continuous data are taken as rest, whatever events they have.
    asked : BandSettings
    say : callable, optional

    Raises
    ------
    MajorantError
        If the recording holds averages, whose trials are gone.
    """
    if recording.kind == "evoked":
        raise MajorantError(
            f"{recording.path.name} holds averages, and activity that is not locked to the event "
            "is gone from them; give the continuous recording or its trials"
        )
    if recording.kind == "raw" and preparation.choice is None:
        overlap = None if asked.connectivity else OVERLAP
        preparation = replace(preparation, stretch=asked.length, overlap=overlap)
    return prepare(recording, preparation, say)


def image_band(
    prepared: Prepared,
    settings: ImageSettings,
    asked: BandSettings,
    say: Callable[[str], None] | None = None,
) -> PowerMap:
    """Image the power of a band of prepared trials.

    Parameters
    ----------
    prepared : Prepared
        With trials.
    settings : ImageSettings
        Of the solver ``auto`` eLORETA is taken. Regions of interest restrict the table of regions,
        and the measure of connectivity.
    asked : BandSettings
    say : callable, optional
        Called with every decision as it is made.

    Raises
    ------
    MajorantError
        If there are no trials, they are too short, or the solver cannot image a covariance.
    """
    account = Account(say) if say else Account()
    account.decisions.extend(prepared.decisions)
    if prepared.epochs is None:
        raise MajorantError("spectra are taken of trials, and this recording has none left")
    if settings.solver == "auto":
        settings = replace(settings, solver=DISTRIBUTED)
        account.note(
            "Solver: eLORETA, for power is spread over much of the cortex; the patch scan that "
            "auto is elsewhere looks for a few places."
        )
    sfreq = float(prepared.evoked.info["sfreq"])
    for band in (asked.band, asked.against or asked.band):
        checked_band(band, sfreq, len(prepared.evoked.times))
    if not settings.spec.abilities.covariance:
        raise MajorantError(
            f"{settings.spec.title} looks at time courses, and a spectrum has none; image it with "
            f"one of {able(lambda s: s.covariance)}"
        )
    imager = fitted_imager(prepared, settings, account)
    trials = trials_of(prepared, imager)
    n_trials, _, n_times = trials.shape
    whole = _whole(asked, prepared, sfreq, n_times)
    csd = cross_spectra(trials, sfreq, imager.info_["ch_names"], whole)
    account.note(
        f"Cross-spectra of {n_trials} trials of {n_times / sfreq:.3g} s (Hann window), one line "
        f"every {sfreq / n_times:.3g} Hz; power is their mean over {asked.band[0]:g} to "
        f"{asked.band[1]:g} Hz, the share that of {whole[0]:g} to {whole[1]:g} Hz."
    )
    powers = _powers(imager, csd, asked, whole, sfreq, account)
    if imager.snr_ is not None:
        account.note(regularisation(settings.snr, imager.snr_))
    spectrum = np.stack(
        [csd.get_data(index=k).diagonal().real for k in range(len(csd.frequencies))]
    )
    made = replace(
        _dressed(prepared, settings, asked, imager, powers),
        whole=whole,
        frequencies=np.array(csd.frequencies),
        spectrum=spectrum.T,
        trials=n_trials,
    )
    if asked.connectivity is not None:
        from majorant.spectra.connectivity import region_links

        links = region_links(imager, settings, trials, asked.connectivity, asked.band, account)
        made = replace(made, links=links)
    said = band_cautions(made.frequencies, made.spectrum, asked.band, n_trials, prepared)
    return replace(made, cautions=said, decisions=tuple(account.decisions))


@dataclass(frozen=True, eq=False)
class _Powers:
    """Density of the band, and the power of band, spectrum and other band, (n_locations,) each."""

    density: NDArray[np.float64]
    band: NDArray[np.float64]
    whole: NDArray[np.float64] | None
    other: NDArray[np.float64] | None

    def over(self, other: NDArray[np.float64] | None, rows: Any = slice(None)) -> Any:
        """Power of the band over another at every place, or of all of some places; or None."""
        if other is None:
            return None
        if isinstance(rows, slice):
            return self.band / np.maximum(other, np.finfo(float).tiny)
        return float(self.band[rows].sum() / max(other[rows].sum(), np.finfo(float).tiny))


def _powers(
    imager: SourceImager, csd: Any, asked: BandSettings, whole: Band, sfreq: float, account: Account
) -> _Powers:
    """Image the bands; several only where one matrix sees all of them."""
    density = band_power(imager, csd, asked.band, sfreq)
    lines = _lines(csd, asked.band)
    inverse = imager.inverse
    able = inverse.spec.abilities
    if not (able.linear or (able.adaptive and inverse.data_moment is not None)):
        account.note(
            f"{imager.spec_.title} is no one matrix for all frequencies, and finds other places in "
            "another band: no share of the spectrum and no ratio of bands is made of its maps."
        )
        return _Powers(density, lines * density, None, None)
    bands = [whole]
    if asked.against is not None:
        bands.append(asked.against)
        account.note(
            f"Ratio: the power of {asked.band[0]:g} to {asked.band[1]:g} Hz over that of "
            f"{asked.against[0]:g} to {asked.against[1]:g} Hz, each summed over its frequencies."
        )
    sums = [_lines(csd, band) * band_power(imager, csd, band, sfreq) for band in bands]
    return _Powers(density, lines * density, sums[0], sums[1] if len(sums) > 1 else None)


def band_power(imager: SourceImager, csd: Any, band: Band, sfreq: float) -> NDArray[np.float64]:
    """Mean density of a band at every place, in the unit of the estimate squared, per Hz.

    Parameters
    ----------
    imager : SourceImager
        Fitted.
    csd : mne.time_frequency.CrossSpectralDensity
        One-sided, V^2/Hz.
    band : (float, float)
        Hz.
    sfreq : float
        Hz.

    Returns
    -------
    array, shape (n_locations,)
    """
    from mne.time_frequency import CrossSpectralDensity

    mean, half = mean_over(csd, band), sfreq / 2
    # Density times half the sampling rate is, of white noise, its variance.
    as_variance = CrossSpectralDensity(
        half * mean._data, mean.ch_names, mean.frequencies, mean.n_fft, mean.tmin, mean.tmax
    )
    return np.asarray(imager.apply(as_variance).data)[:, 0] / half


def trials_of(prepared: Prepared, imager: SourceImager) -> NDArray[np.float64]:
    """The trials of an imager's channels over what is shown, average reference, V.

    Returns
    -------
    array, shape (n_trials, n_channels, n_times)
    """
    epochs, shown = prepared.epochs, prepared.evoked.times
    half = 0.5 / float(epochs.info["sfreq"])
    inside = (epochs.times > shown[0] - half) & (epochs.times < shown[-1] + half)
    data = epochs.get_data(picks=list(imager.info_["ch_names"]), copy=False)[..., inside]
    return projection(imager.info_) @ data


def _lines(csd: Any, band: Band) -> int:
    return int(in_band(np.asarray(csd.frequencies, float), band).sum())


def _whole(asked: BandSettings, prepared: Prepared, sfreq: float, n_times: int) -> Band:
    """The spectrum that trials and filter leave, the bands asked for included."""
    low, high = (edge or None for edge in prepared.settings.filter or (None, None))
    low = max(WHOLE[0], LEAST_CYCLES * sfreq / n_times, low or 0.0)
    high = min(WHOLE[1], 0.9 * sfreq / 2, high or np.inf)
    bands = [asked.band, *([asked.against] if asked.against else [])]
    return min(low, *(band[0] for band in bands)), max(high, *(band[1] for band in bands))


def _dressed(
    prepared: Prepared,
    settings: ImageSettings,
    asked: BandSettings,
    imager: SourceImager,
    found: _Powers,
) -> PowerMap:
    """Peaks, names and regions of the maps."""
    places, atlas = locate(imager.leadfield_), settings.naming()
    names = region_names(atlas, imager.leadfield_, places)

    def maxima(values: NDArray[np.float64] | None) -> tuple[Peak, ...]:
        if values is None:
            return ()
        listed = named(find_peaks(np.sqrt(values)[:, None], np.zeros(1), places), names)
        return tuple(replace(peak, amplitude=float(values[peak.location])) for peak in listed)

    titles, rows, _ = parts_of(atlas, imager.model, settings.chosen if settings.roi else None)
    regions = [
        RegionPower(
            title,
            len(own),
            float(found.density[own].mean()),
            found.over(found.whole, own),
            found.over(found.other, own),
        )
        for title, own in zip(titles, rows, strict=True)
    ]
    power, share = found.density, found.over(found.whole)
    maps = SourceMaps(
        values=power[:, None],
        positions_mni=places.mni,
        hemisphere=places.hemisphere,
        vertices=places.vertices,
        unit=imager.unit_,
        signed=False,
        parcels=places.parcels,
        names=names,
        atlas=atlas.name,
    )
    return PowerMap(
        asked=asked,
        whole=WHOLE,
        power=power,
        share=share,
        ratio=found.over(found.other),
        peaks=maxima(power),
        shares=maxima(share),
        regions=tuple(sorted(regions, key=lambda region: -region.power)),
        frequencies=np.zeros(0),
        spectrum=np.zeros((0, 0)),
        trials=0,
        imager=imager,
        prepared=prepared,
        settings=settings,
        sources=maps,
        decisions=(),
        cautions=(),
    )
