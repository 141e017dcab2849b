"""What regions share in a band, by measures that zero lag does not move: mne-connectivity's.

Two regions see mixtures of the same currents. Mixing is instant, so what it makes two courses share
has no lag: the imaginary part of coherence, the weighted phase lag index and the correlation of
envelopes after one course was taken out of the other do not see it. They do not see true links
without lag either. What they cannot take out is said here as well: two regions whose courses are
nearly the same mixture show each other's links with third ones (ghosts), and
:attr:`RegionLinks.leakage` says which these are.

References
----------
Nolte et al., "Identifying true brain interaction from EEG data using the imaginary part of
coherency", Clin. Neurophysiol. 115:2292, 2004.
Vinck et al., "An improved index of phase-synchronization ...", NeuroImage 55:1548, 2011.
Hipp et al., "Large-scale cortical correlation structure of spontaneous oscillatory activity",
Nat. Neurosci. 15:884, 2012.
Palva et al., "Ghost interactions in MEG/EEG source space", NeuroImage 173:632, 2018.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.atlas.atlas import Atlas
from majorant.errors import MajorantError, nearest
from majorant.imager.courses import RegionCourses, extracted, parts_of
from majorant.imager.estimate import as_estimate, picked_rows
from majorant.imager.imager import SourceImager
from majorant.imager.inverse import Job
from majorant.imaging.result import ImageSettings
from majorant.randomness import takes_rng
from majorant.registry import able
from majorant.spectra.cross import checked_band
from majorant.words import number, percent, written

__all__ = ["METHODS", "RegionLinks", "check_method", "connectivity", "region_links"]

ALIKE = 0.9
"""Correlation that leakage alone makes, from which two regions cannot be told apart."""
FEWEST, FEW = 10, 40
"""Trials below which nothing is computed, and below which it is said that they are few."""
MANY = 0.05
"""Share of the pairs above chance from which it is said that most are ghosts."""
DRAWS = 19
"""Shuffled data sets: one value in twenty of no link exceeds the largest of all of them."""
MINE = "Li et al. (2022), mne-connectivity, doi:10.5281/zenodo.7021081"


@dataclass(frozen=True)
class Measure:
    """One way to say how much two regions share.

    Attributes
    ----------
    name : str
        In mne-connectivity.
    title : str
        In words, as a headline.
    says : str
        What a value means and what it is blind to.
    citation : str
    """

    name: str
    title: str
    says: str
    citation: str


METHODS: Mapping[str, Measure] = {
    "imcoh": Measure(
        "imcoh",
        "Imaginary coherence",
        "The part of coherence that has a lag, 0 to 1. Links without lag, true ones too, are 0.",
        "Nolte et al. (2004), doi:10.1016/j.clinph.2004.04.029",
    ),
    "wpli": Measure(
        "wpli",
        "Weighted phase lag index",
        "How steadily one region leads the other, 0 to 1, whatever their power. Few trials make it "
        "large by chance.",
        "Vinck et al. (2011), doi:10.1016/j.neuroimage.2011.01.055",
    ),
    "dwpli": Measure(
        "wpli2_debiased",
        "Weighted phase lag index, squared, without bias",
        "The square of the weighted phase lag index, with what few trials add taken off; around 0 "
        "where there is no link, also below it.",
        "Vinck et al. (2011), doi:10.1016/j.neuroimage.2011.01.055",
    ),
    "envelope": Measure(
        "envelope",
        "Correlation of orthogonalised envelopes",
        "How alike the rises and falls of power are once what is instantly shared was taken out.",
        "Hipp et al. (2012), doi:10.1038/nn.3101",
    ),
}
"""Measures that zero-lag leakage alone does not raise."""


def check_method(name: str) -> Measure:
    """Look a measure up, and see that what computes it is installed.

    Raises
    ------
    MajorantError
        If there is none of that name, or mne-connectivity is not there.
    """
    if name not in METHODS:
        raise MajorantError(
            f"there is no measure of connectivity {name!r}{nearest(name, METHODS)}; choose from "
            f"{', '.join(METHODS)}"
        )
    _package()
    return METHODS[name]


def _package() -> Any:
    try:
        return importlib.import_module("mne_connectivity")
    except ImportError as error:
        raise MajorantError(
            "connectivity is computed by mne-connectivity, which is not installed; install it with "
            "pip install 'majorant[connectivity]'"
        ) from error


@dataclass(frozen=True, eq=False)
class RegionLinks:
    """What every pair of regions shares.

    Attributes
    ----------
    method : str
        Of :data:`METHODS`.
    band : (float, float)
        Hz.
    names : tuple of str
    matrix : array, shape (n_regions, n_regions)
        Symmetric, its diagonal 0.
    chance : float
        What no pair reaches in 19 of 20 recordings without any link.
    trials : int
    leakage : array or None, shape (n_regions, n_regions)
        Correlation, without its sign, that two courses have where nothing is linked; None where it
        is not known.
    atlas : str
    """

    method: str
    band: tuple[float, float]
    names: tuple[str, ...]
    matrix: NDArray[np.float64]
    chance: float
    trials: int
    leakage: NDArray[np.float64] | None = None
    atlas: str = ""

    @property
    def measure(self) -> Measure:
        """What the values are."""
        return METHODS[self.method]

    @property
    def citations(self) -> tuple[str, ...]:
        """What to cite."""
        return (self.measure.citation, MINE)

    def pairs(self) -> list[tuple[int, int]]:
        """Every pair once, the strongest link first."""
        rows, columns = np.triu_indices(len(self.names), 1)
        order = np.argsort(-self.matrix[rows, columns], kind="stable")
        return [(int(rows[k]), int(columns[k])) for k in order]

    def alike(self) -> list[tuple[str, str]]:
        """Pairs that leakage makes nearly one, the most alike first."""
        if self.leakage is None:
            return []
        rows, columns = np.triu_indices(len(self.names), 1)
        values = self.leakage[rows, columns]
        order = [k for k in np.argsort(-values, kind="stable") if values[k] >= ALIKE]
        return [(self.names[rows[k]], self.names[columns[k]]) for k in order]

    def sentences(self) -> tuple[str, ...]:
        """What was found, and what cannot be told."""
        above = sum(self.matrix[pair] > self.chance for pair in self.pairs())
        total, said = len(self.pairs()), []
        said.append(
            f"{above} of {total} pairs of regions are above {number(self.chance, 2)}, which the "
            f"largest of them reaches by chance in one recording of twenty ({self.trials} trials, "
            "each region’s shuffled for itself)."
        )
        if above > MANY * total:
            said.append(
                "A link between two places is shown by all regions around either, so most of these "
                "are few links seen many times (ghosts): of neighbours the strongest counts."
            )
        if self.trials < FEW:
            said.append(
                f"{self.trials} trials are few for connectivity: only strong links can be told "
                f"from chance; {FEW} and more are advised."
            )
        alike = self.alike()
        if alike:
            a, b = alike[0]
            more = f", and {len(alike) - 1} more pairs" if len(alike) > 1 else ""
            said.append(
                f"No measure can tell the {a} from the {b}{more}: their courses are "
                f"{percent(ALIKE)} alike or more by leakage alone, so a link of one with a third "
                "region is shown by the other as well. Take a coarser atlas, or read them as one."
            )
        return tuple(said)

    def rows(self) -> tuple[Sequence[str], list[Sequence[Any]]]:
        """Heads and rows of a table, one pair a row, the strongest first."""
        heads = ("region_a", "region_b", self.method, "above_chance", "leakage")
        rows: list[Sequence[Any]] = [
            (
                self.names[a],
                self.names[b],
                float(self.matrix[a, b]),
                int(self.matrix[a, b] > self.chance),
                "n/a" if self.leakage is None else float(self.leakage[a, b]),
            )
            for a, b in self.pairs()
        ]
        return heads, rows

    def summary(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "method": self.method,
            "title": self.measure.title,
            "band": list(self.band),
            "atlas": self.atlas,
            "trials": self.trials,
            "chance": self.chance,
            "regions": list(self.names),
            "matrix": self.matrix.tolist(),
            "alike_by_leakage": [list(pair) for pair in self.alike()],
            "sentences": list(self.sentences()),
        }


@takes_rng
def connectivity(
    courses: RegionCourses,
    method: str,
    band: tuple[float, float],
    *,
    seed: int = 0,
    leakage: NDArray[np.float64] | None = None,
) -> RegionLinks:
    """How much every pair of regions shares in a band.

    Parameters
    ----------
    courses : RegionCourses
        Of trials, signed: from an imager with fixed orientation or ``pick_ori="normal"``, by
        ``imager.extract(imager.apply(epochs, return_generator=True), "gyri")``.
    method : str
        Of :data:`METHODS`.
    band : (float, float)
        Hz.
    seed : int
        Of the shuffling that says what chance does.
    leakage : array, optional
        What to keep as :attr:`RegionLinks.leakage`.

    Raises
    ------
    MajorantError
        If there is no such measure, its package is missing, courses have no signs or are of one
        region, or trials are too few or too short.
    """
    check_method(method)
    data = np.asarray(courses.data, float)
    if data.ndim != 3:
        raise MajorantError(
            "connectivity is taken over trials, and these courses are of one estimate; extract "
            "those of imager.apply(epochs)"
        )
    if not courses.signed:
        raise MajorantError(
            "lengths have lost the sign that phases are made of; image with loose=0 or "
            "pick_ori='normal'"
        )
    n_trials, n_regions, n_times = data.shape
    if n_regions < 2:
        raise MajorantError(
            f"connectivity is between regions, and {n_regions} was given; name two or more, or all"
        )
    fewest = 3 if method == "envelope" else FEWEST
    if n_trials < fewest:
        raise MajorantError(
            f"connectivity of {n_trials} trials says nothing; {fewest} at least are needed, and "
            f"{FEW} are advised"
        )
    checked_band(band, courses.sfreq, n_times)
    if method == "envelope":
        data = _analytic(data, courses.sfreq, band)
    found = _measured(data, method, courses.sfreq, band)
    rng, most = np.random.default_rng(seed), 0.0
    for _ in range(DRAWS):
        shuffled = np.stack([data[rng.permutation(n_trials), k] for k in range(n_regions)], axis=1)
        most = max(most, float(_measured(shuffled, method, courses.sfreq, band).max()))
    return RegionLinks(method, band, courses.names, found, most, n_trials, leakage, courses.atlas)


def _measured(
    data: NDArray[Any], method: str, sfreq: float, band: tuple[float, float]
) -> NDArray[np.float64]:
    """The measure of every pair, symmetric, shape (n_regions, n_regions)."""
    package = _package()
    if method == "envelope":
        # Signs are kept until the mean is taken: envelopes without a link average to nothing.
        found = package.envelope_correlation(data, absolute=False, verbose="error")
        values = found.combine().get_data("dense")[..., 0]
    else:
        found = package.spectral_connectivity_epochs(
            data, method=METHODS[method].name, mode="fourier", sfreq=sfreq, fmin=band[0],
            fmax=band[1], faverage=True, verbose="error",
        )  # fmt: skip
        values = found.get_data("dense")[..., 0]
    lower = np.tril(values, -1) if method != "envelope" else np.tril((values + values.T) / 2, -1)
    if method in ("imcoh", "wpli"):
        lower = np.abs(lower)
    return np.nan_to_num(lower + lower.T)


def _analytic(
    data: NDArray[np.float64], sfreq: float, band: tuple[float, float]
) -> NDArray[np.complex128]:
    """Analytic signals of the band, without the ends that the filter makes up."""
    from mne.filter import create_filter, filter_data
    from scipy.signal import hilbert

    edge = len(create_filter(None, sfreq, *band, verbose="error")) // 2
    if data.shape[-1] < 6 * edge:
        raise MajorantError(
            f"trials of {data.shape[-1] / sfreq:.3g} s are too short for envelopes: the filter "
            f"takes {edge / sfreq:.2g} s off either end; take {6 * edge / sfreq:.2g} s or more"
        )
    filtered = filter_data(data, sfreq, *band, verbose="error")
    return np.asarray(hilbert(filtered, axis=-1))[..., edge:-edge]


def region_links(
    imager: SourceImager,
    settings: ImageSettings,
    trials: NDArray[np.float64],
    method: str,
    band: tuple[float, float],
    account: Account,
) -> RegionLinks:
    """Connectivity of the regions of an atlas in trials of the sensors.

    A region's course is linear in the data, so its filter is made once and the trials are never
    imaged; the same filters say what leakage alone makes two regions share.

    Parameters
    ----------
    imager : SourceImager
        Fitted, a solver of one kernel.
    settings : ImageSettings
        Its atlas and regions of interest; all where none are named.
    trials : array, shape (n_trials, n_channels, n_times)
        Of the imager's channels, V.
    method : str
    band : (float, float)
        Hz.
    account : Account

    Raises
    ------
    MajorantError
        If the solver has no kernel, or as of :func:`connectivity`.
    """
    check_method(method)
    inverse = imager.inverse
    if not inverse.spec.abilities.kernel:
        raise MajorantError(
            f"{imager.spec_.title} is no one matrix for all trials, so that courses of regions "
            "would jump between them; for connectivity take one of "
            f"{able(lambda s: s.kernel)}"
        )
    sfreq = float(imager.info_["sfreq"])
    white = inverse.white(trials, 1)
    moment = (white @ white.mT).mean(0) / white.shape[-1]
    kernel = inverse.kernel(Job(1, sfreq, inverse.chosen_snr(moment, 1)), moment)
    assert kernel is not None
    matrix = kernel.matrix[0] if kernel.matrix.ndim == 3 else kernel.matrix
    rows = picked_rows(matrix, inverse.model, "normal")
    filters = _filters(imager, settings.naming(), settings.chosen if settings.roi else None, rows)
    courses = RegionCourses(
        names=filters.names,
        data=filters.data @ white.numpy(),
        times=np.arange(trials.shape[-1]) / sfreq,
        sfreq=sfreq,
        unit=kernel.unit,
        mode=filters.mode,
        sizes=filters.sizes,
        atlas=filters.atlas,
        signed=True,
    )
    found = connectivity(
        courses, method, band, seed=settings.seed, leakage=_leakage(filters.data, inverse)
    )
    account.note(
        f"{found.measure.title} between {len(found.names)} regions of {found.atlas} over "
        f"{found.trials} trials, {written(band[0])} to {written(band[1])} Hz, by mne-connectivity; "
        f"courses are the {courses.mode} of the currents along the cortical normal."
    )
    for sentence in found.sentences():
        account.note(sentence)
    return found


def _filters(
    imager: SourceImager, atlas: Atlas, regions: Sequence[str] | None, rows: Any
) -> RegionCourses:
    """What turns whitened sensors into courses: the "courses" of the kernel's own columns."""
    model = imager.inverse.model
    stc = as_estimate(np.ascontiguousarray(rows.numpy()), model, 0.0, 1.0)
    return extracted(
        model,
        imager.forward_,
        stc,
        parts_of(atlas, model, regions),
        "auto",
        signed=True,
        labelled=(atlas.name, ""),
    )


def _leakage(filters: NDArray[np.float64], inverse: Any) -> NDArray[np.float64]:
    """Correlation that courses have where nothing is linked: alike sources everywhere, and noise.

    The sources have the prior's covariance at the power that it gives the data (the trace of
    ``L R L'`` is nine times the rank, an amplitude ratio of three), and the noise is white.
    """
    gain = inverse.operator(1).matrix().numpy()
    seen = (gain * np.asarray(inverse.model.prior)) @ gain.T
    seen *= 9 * len(seen) / np.trace(seen)
    both = filters @ (seen + np.eye(len(seen))) @ filters.T
    size = np.sqrt(np.maximum(both.diagonal(), np.finfo(float).tiny))
    return np.abs(both) / np.outer(size, size)
