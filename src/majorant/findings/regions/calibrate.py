"""Calibration: trials on the recording's own cap, noise and window, solved and scored.

Every trial has a head of its own from the template's bank, one or (three times in four) two sources
on the fine mesh, and a level near the recording's; the solver is given what it believes, as in the
recording. Of every trial are kept: the score of the source nearest the strongest peak; the scores
of other sources that another listed peak lies within 30 mm of; how the other source stood beside
the strongest, and whether it was found; and which further peaks had a source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.files.cache import Cache, Content
from majorant.findings.regions.conformal import p_values
from majorant.findings.regions.scores import ranks
from majorant.findings.regions.simulated import CalibratedCortex, Simulated, Window
from majorant.findings.regions.support import standing, supported
from majorant.metrics.peaks import list_peaks
from majorant.randomness import takes_rng
from majorant.simulate.everyday.trials import SOURCES, Drawn, Trials, drawn_trials, with_noise
from majorant.solvers.abilities import Abilities

if TYPE_CHECKING:
    from majorant.imager.imager import SourceImager

__all__ = [
    "NEAR_MM",
    "STEPS",
    "Calibration",
    "Trialled",
    "calibrated",
    "drawn_for",
    "height_of",
    "judge",
    "trials_for",
]

VERSION = 4
CALIBRATED_ON = replace(SOURCES, n_sources=(1, 2, 2, 2))
"""Two sources three times in four: regions of two hold them less often, and people have more."""
NEAR_MM = 30.0
"""A peak stands for what is nearer than this: two listed peaks at one time are farther apart."""
SPREAD_DB = 1.0
"""By how much the levels of trials differ from the step: what a recording's level is rounded by."""
TRIALS, TRIALS_LINEAR, TRIALS_NETWORK = 120, 300, 79
"""Trials for solvers that take their time, for those that are one matrix, and for networks, which
take a quarter of a second each or more. Of 79 some 18 have the deepest third's source in front."""
STEPS = np.append(1.0 - 10.0 ** (-np.arange(41) / 10.0), 1.0)
"""Scores at which areas are kept: finer where most of the cortex is."""

Progress = Callable[[int, int], None] | None
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What trials showed.

    Attributes
    ----------
    n_trials : int
    lead, lead_trial, lead_third, lead_place : array, shape (n_lead,)
        Scores of the strongest peaks' sources, of which trial, in which third and at which location
        they lie.
    lead_area : array, shape (n_lead, 3, n_steps)
        cm2 of every third of depth whose score is at most that of `STEPS`.
    other, other_trial : array, shape (n_other,)
        Of the sources near further peaks.
    lead_near : float
        Share of strongest peaks with a source within 30 mm.
    beside, found, beside_trial : array, shape (n_second,)
        How a source stood beside the one nearest the strongest peak (:mod:`.support`), and whether
        a listed peak lay within 30 mm of it, and nearer to it than to that one.
    weight, real, weight_trial : array, shape (n_further,)
        Height of a further peak in the map of its own moment (log of the share of its maximum), and
        whether it had a source.
    """

    n_trials: int
    lead: NDArray[np.float64]
    lead_trial: Index
    lead_third: Index
    lead_place: Index
    lead_area: NDArray[np.float64]
    other: NDArray[np.float64]
    other_trial: Index
    lead_near: float
    beside: NDArray[np.float64]
    found: NDArray[np.float64]
    beside_trial: Index
    weight: NDArray[np.float64]
    real: NDArray[np.float64]
    weight_trial: Index

    def supported(self, at: NDArray[np.float64]) -> NDArray[np.int8]:
        """Whether sources of some standings would be found: 1, -1 for missed, 0 for left open."""
        return supported(at, self.beside, self.found, self.beside_trial)

    def usual(self, height: NDArray[np.float64]) -> float:
        """How many peaks with a source are as low in the map of their moment, at most."""
        hit = self.real > 0.5
        return float(p_values(self.weight[hit], self.weight_trial[hit], height))


@takes_rng
def calibrated(
    imager: SourceImager,
    window: Window,
    nave: int = 1,
    *,
    n: int | None = None,
    seed: int = 0,
    progress: Progress = None,
    simulated: Simulated | None = None,
) -> Calibration:
    """Calibrate a fitted imager for a window, or read it from the cache.

    Parameters
    ----------
    imager : SourceImager
    window : Window
    nave : int
        Trials behind the data.
    n : int, optional
        Trials; by default as many as :func:`trials_for` says.
    seed : int
    progress : callable, optional
        Called with (done, total).
    simulated : Simulated, optional
        Where it was made before.

    Raises
    ------
    MajorantError
        If the head is none that the bank knows.
    """
    own = simulated or Simulated.of(imager, nave)
    n = n or trials_for(imager.spec_.abilities)

    def build() -> Content:
        return _run(own, window, n, seed, progress).tensors(), {}

    kept = Cache().get("regions", VERSION, own.key(window, n, seed), build)[0]
    return Trialled.read(kept)


def trials_for(able: Abilities) -> int:
    """How many trials a solver is given: 79 to 300, so that a new cap takes some 20 s."""
    if able.linear:
        return TRIALS_LINEAR
    return TRIALS_NETWORK if able.single or able.precision is not None else TRIALS


class Trialled:
    """Collects what trials show."""

    def __init__(self) -> None:
        self.rows: dict[str, list[float]] = {name: [] for name in _COLUMNS}
        self.areas: list[NDArray[np.float64]] = []
        self.n_trials, self.near = 0, 0

    def tensors(self) -> dict[str, Tensor]:
        """As a file holds it."""
        own = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in self.rows.items()}
        counts = torch.tensor([self.n_trials, self.near], dtype=torch.int64)
        areas = np.array(self.areas).reshape(-1, 3, len(STEPS)).astype(np.float32)
        return {**own, "counts": counts, "lead_area": torch.from_numpy(areas)}

    @staticmethod
    def read(kept: Any) -> Calibration:
        """The calibration of what `tensors` gave."""
        n, near = kept["counts"].tolist()
        own = {name: kept[name].numpy() for name in _COLUMNS}
        for name in _WHOLE:
            own[name] = own[name].astype(np.int64)
        own["lead_area"] = kept["lead_area"].numpy().astype(np.float64)
        return Calibration(n_trials=n, lead_near=near / max(n, 1), **own)


_COLUMNS = (
    "lead",
    "lead_trial",
    "lead_third",
    "lead_place",
    "other",
    "other_trial",
    "beside",
    "found",
    "beside_trial",
    "weight",
    "real",
    "weight_trial",
)
_WHOLE = ("lead_trial", "lead_third", "lead_place", "other_trial", "beside_trial", "weight_trial")


def _run(own: Simulated, window: Window, n: int, seed: int, progress: Progress) -> Trialled:
    total = 2 * n

    def drawing(done: int, _: int) -> None:
        if progress is not None:
            progress(done, total)

    def solving(done: int, _: int) -> None:
        if progress is not None:
            progress(n + done, total)

    drawn = drawn_for(own, n, seed, drawing)
    trials = simulated_data(own, drawn, window, seed)
    kept = Trialled()
    values = own.estimates(trials.y, window.sfreq, solving)
    for k, estimate in enumerate(values):
        judge(own, window, trials, k, estimate, kept)
    return kept


def drawn_for(own: Simulated, n: int, seed: int, progress: Progress = None) -> Drawn:
    """Sources and heads of trials, from the cache where this cap was calibrated before."""
    return drawn_trials(
        own.bank, n, seed, settings=CALIBRATED_ON, spread=own.spread, progress=progress
    )


def simulated_data(own: Simulated, drawn: Drawn, window: Window, seed: int) -> Trials:
    """Trials at the level of a recording."""
    level = (window.level_db - SPREAD_DB, window.level_db + SPREAD_DB)
    return with_noise(
        drawn,
        own.rows,
        n_times=window.n_times,
        sfreq=window.sfreq,
        snr_db=level,
        seed=seed,
        before=window.before,
    )


def _areas(score: NDArray[np.float64], cortex: CalibratedCortex) -> NDArray[np.float64]:
    """Area of every third whose score is at most that of the steps, (3, n_steps)."""
    step = np.searchsorted(STEPS, score)
    out = np.zeros((3, len(STEPS)))
    np.add.at(out, (cortex.third, np.minimum(step, len(STEPS) - 1)), cortex.area)
    return np.cumsum(out, axis=1)


def height_of(size: NDArray[np.floating], location: int) -> float:
    """Height of a peak in the map of its moment, as the log of the share of the maximum.

    Leakage of a source is there with the source, so its peaks are below that of the same moment.
    """
    return float(np.log(max(float(size[location]), 1e-300) / max(float(size.max()), 1e-300)))


def log_moments(trials: Trials, k: int, first: int) -> NDArray[np.float64]:
    """Moments of the sources of a trial, as logarithms of their ratio to that of one of them."""
    there = trials.seeds[k] >= 0
    moments = np.log(trials.moment[k][there].clamp_min(1e-300).numpy())
    return moments - moments[first]


def judge(
    own: Simulated,
    window: Window,
    trials: Trials,
    k: int,
    values: NDArray[np.float64],
    kept: Trialled,
) -> None:
    """Score one trial."""
    cortex, places = own.cortex, own.cortex.places
    there = (trials.seeds[k] >= 0).numpy()
    sources = cortex.home[trials.seeds[k][there].numpy()]
    peaks = list_peaks(values, window.times, places.mni, places.edges)
    add, kept.n_trials = kept.rows, kept.n_trials + 1
    if not peaks:
        add["lead"].append(1.0)
        add["lead_trial"].append(k)
        add["lead_third"].append(int(cortex.third[sources[0]]))
        add["lead_place"].append(int(sources[0]))
        kept.areas.append(_areas(np.ones(len(cortex.area)), cortex))
        return
    at = np.array([s for s, _ in peaks])
    away = np.linalg.norm(places.mni[sources][:, None] - places.mni[at][None], axis=2)
    heights = [height_of(np.abs(values[:, t]), s) for s, t in peaks]
    add["weight"] += heights[1:]
    add["weight_trial"] += [k] * (len(peaks) - 1)
    add["real"] += (away[:, 1:].min(axis=0) <= NEAR_MM).astype(float).tolist()
    first = int(away[:, 0].argmin())
    stands = standing(own.seen, int(at[0]))[sources] + log_moments(trials, k, first)
    second = np.arange(len(sources)) != first
    add["beside"] += stands[second].tolist()
    add["beside_trial"] += [k] * int(second.sum())
    # The peak of the nearer source is none of another's.
    own_peak = (away <= NEAR_MM) & ((away < away[first]) | ~second[:, None])
    add["found"] += own_peak.any(axis=1)[second].astype(float).tolist()
    kept.near += bool(away[first, 0] <= NEAR_MM)
    for a, source in enumerate(sources):
        b = 0 if a == first else 1 + int(away[a, 1:].argmin()) if len(peaks) > 1 else -1
        if b < 0 or (b > 0 and away[a, b] > NEAR_MM):
            continue
        size_now = np.abs(values[:, peaks[b][1]]).astype(float)
        everywhere = ranks(size_now, at[b], places.mni, cortex.area, own.density)
        score = float(everywhere[source])
        if b == 0:
            add["lead"].append(score)
            add["lead_trial"].append(k)
            add["lead_third"].append(int(cortex.third[source]))
            add["lead_place"].append(int(source))
            kept.areas.append(_areas(everywhere, cortex))
        else:
            add["other"].append(score)
            add["other_trial"].append(k)
