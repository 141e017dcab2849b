"""Four checks that need no truth: is there more than noise, and is it where it should be.

1. The share of the estimate that lies in occipital cortex, beside that of the baseline and of data
   whose channels were shuffled.
2. The noise variances that are learned from averages of ``n`` repetitions, beside what the
   repetitions themselves scatter: both should fall as ``1/n``.
3. The same share for averages of trials with random signs, which hold the noise and no response.
4. The agreement of maps from two halves of the trials.

Occipital cortex is the boxes of :func:`majorant.forward.cortex.lobe`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.bench.things_trials import ThingsTrials
from majorant.forward.cortex import lobe
from majorant.head.model import as_tensor
from majorant.head.places import locate
from majorant.imager.imager import SourceImager
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.randomness import takes_rng
from majorant.recording.noise import baseline_covariance
from majorant.registry import spec
from majorant.solvers.base import Solver
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.training.sbl import referenced

Array = NDArray[np.floating[Any]]
SOLVERS = ("mne", "dspm", "sloreta", "eloreta", "lcmv", "champagne", "unfolded-sbl", "mm-net")
NOISE_SOLVERS = ("champagne", "unfolded-sbl")
AVERAGES = 8
"""Averages of each number of repetitions."""

SPLITS = 10
"""Random halvings of the trials."""

STEPS = 100
"""Iterations of solvers without a depth of their own; every null repeats them."""


@takes_rng
@dataclass(frozen=True)
class CheckSettings:
    """How the checks are made.

    Attributes
    ----------
    window : tuple of float
        What is judged, s.
    baseline : tuple of float
        What it stands beside, s.
    flips, shuffles : int
        Averages with random signs, and with shuffled channels.
    space : str
        Source space on the template.
    seed : int
    """

    window: tuple[float, float] = (0.08, 0.13)
    baseline: tuple[float, float] = (-0.05, 0.0)
    flips: int = 39
    shuffles: int = 20
    space: str = "ico3"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("window", "baseline"):
            first, last = getattr(self, name)
            if not first < last:
                raise MajorantError(f"the {name} from {first} to {last} s is empty")
        if min(self.flips, self.shuffles) < 2:
            raise MajorantError("at least 2 averages with random signs and with shuffled channels")


@dataclass(frozen=True)
class Checked:
    """What one solver made of one participant.

    Attributes
    ----------
    solver : str
    chance : float
        Share of the locations that are occipital.
    share, baseline : float
        Occipital share of the estimate in the window and before the onset.
    shuffled : tuple of float
        Mean share with shuffled channels, and the largest.
    flipped : tuple of float
        Mean share with random signs, and the largest.
    p_flipped, p_shuffled : float
        Share of those that reach the true one, which counts among them.
    agreement : float
        Correlation of maps from two halves, mean over halvings.
    apart_mm : float
        Distance between their peaks, median over halvings.
    slope : float or None
        Of the logarithm of the learned noise over that of ``n``; -1 is ``1/n``.
    ratio : float or None
        Learned noise over that of the repetitions at the largest ``n``, median over channels.
    noise_correlation : float or None
        Of their logarithms over channels.
    """

    solver: str
    chance: float
    share: float
    baseline: float
    shuffled: tuple[float, float]
    flipped: tuple[float, float]
    p_shuffled: float
    p_flipped: float
    agreement: float
    apart_mm: float
    slope: float | None = None
    ratio: float | None = None
    noise_correlation: float | None = None


@dataclass(frozen=True, eq=False)
class Imaging:
    """A solver, fitted to the channels and the noise of a participant.

    Attributes
    ----------
    imager : SourceImager
    solver : Solver
    sfreq : float
    occipital : array, shape (n_locations,), bool
    positions : array, shape (n_locations, 3)
        MNI152, mm.
    """

    imager: SourceImager
    solver: Solver
    sfreq: float
    occipital: NDArray[np.bool_]
    positions: Array

    @classmethod
    def of(cls, name: str, trials: ThingsTrials, noise_cov: Any, space: str) -> Imaging:
        """Fit a solver, sources along the normals."""
        chosen = spec(name)
        on_regions = chosen.abilities.space == "regions"
        how = {} if on_regions else {"space": space, "loose": 0.0}
        imager = SourceImager(name, **how).fit(trials.info, noise_cov=noise_cov)
        places = locate(imager.model.leadfield)
        inside = np.array([lobe(place) == "occipital" for place in places.mni])
        options = {"snr": imager.snr} if imager.uses_snr else {}
        solver = chosen.make(**options)
        sfreq = float(trials.info["sfreq"])
        return cls(imager, solver, sfreq, inside, places.mni)

    def maps(self, data: Array, nave: int) -> Array:
        """Mean length of the estimate over time for a batch of averages.

        Parameters
        ----------
        data : array, shape (n_batch, n_channels, n_times)
            V, in the order of the fitted channels.
        nave : int
            Trials behind every average.

        Returns
        -------
        array, shape (n_batch, n_locations)
        """
        white = as_tensor(np.sqrt(nave) * self.imager.whitener_)
        model = self.imager.model
        operator = model.leadfield.transformed(white).operator()
        prior = as_tensor(model.prior)
        y = white @ as_tensor(data.astype(float))
        problem = Problem(operator, y, source_prior=prior)
        solver = self.solver.at(self.sfreq)
        found = solve(_in_float32(problem), solver, max_iter=_steps(solver))
        columns = found.estimate.double().unflatten(1, (-1, model.leadfield.n_orient))
        return columns.norm(dim=2).mean(dim=2).numpy()

    def share(self, maps: Array) -> Array:
        """Share of every map in occipital cortex, shape (n_batch,); of empty maps 0."""
        total = maps.sum(axis=1)
        return maps[:, self.occipital].sum(axis=1) / np.where(total > 0, total, 1.0)


def _steps(solver: Solver) -> int | None:
    """Iterations of a check; None is the solver's own number."""
    return STEPS if isinstance(solver, Champagne) else None


def _in_float32(problem: Problem) -> Problem:
    """Half the time of a long run; the evidence itself stays in float64."""
    matrix, prior = problem.operator.matrix(), problem.source_prior
    if matrix is None:
        return problem
    operator = MatrixOperator(matrix.float(), n_orient=problem.operator.n_orient)
    return Problem(
        operator, problem.y.float(), source_prior=None if prior is None else prior.float()
    )


def noise_of(trials: ThingsTrials, baseline: tuple[float, float]) -> Any:
    """Noise covariance of a single trial from the baseline."""
    before = trials.data[:, :, trials.within(baseline)].astype(np.float64)
    return baseline_covariance(before, trials.info, nave=1, window=baseline, note=Account())


def check(name: str, trials: ThingsTrials, settings: CheckSettings) -> Checked:
    """Make the checks for one solver.

    Parameters
    ----------
    name : str
        Of the registry.
    trials : ThingsTrials
    settings : CheckSettings

    Raises
    ------
    MajorantError
        If there are too few trials, or a window is empty.
    """
    if len(trials) < 4:
        raise MajorantError(f"{len(trials)} trials are too few for halves; give at least 4")
    rng = np.random.default_rng(settings.seed)
    imaging = Imaging.of(name, trials, noise_of(trials, settings.baseline), settings.space)
    data = trials.data[:, :, trials.within(settings.window)].astype(np.float64)
    mean, n = data.mean(axis=0), len(data)
    before = trials.data[:, :, trials.within(settings.baseline)].mean(axis=0, dtype=np.float64)
    signs = _balanced_signs(rng, settings.flips, n)
    flips = np.einsum("fk,kct->fct", signs, data) / n
    shuffles = np.stack([mean[rng.permutation(len(mean))] for _ in range(settings.shuffles)])
    true = float(imaging.share(imaging.maps(mean[None], n))[0])
    flipped = imaging.share(imaging.maps(flips, n))
    shuffled = imaging.share(imaging.maps(shuffles, n))
    agreement, apart = _halves(imaging, data, rng)
    return Checked(
        solver=name,
        chance=float(imaging.occipital.mean()),
        share=true,
        baseline=float(imaging.share(imaging.maps(before[None], n))[0]),
        shuffled=(float(shuffled.mean()), float(shuffled.max())),
        flipped=(float(flipped.mean()), float(flipped.max())),
        p_shuffled=_rank(true, shuffled),
        p_flipped=_rank(true, flipped),
        agreement=agreement,
        apart_mm=apart,
    )


def _rank(true: float, null: Array) -> float:
    return float((1 + (null >= true).sum()) / (1 + len(null)))


def _balanced_signs(rng: np.random.Generator, count: int, n: int) -> Array:
    """As many plus as minus, so that the response cancels and does not shrink by chance alone."""
    signs = np.where(np.arange(n) < n // 2, 1.0, -1.0)
    return np.stack([rng.permutation(signs) for _ in range(count)])


def _halves(imaging: Imaging, data: Array, rng: np.random.Generator) -> tuple[float, float]:
    """Correlation of the maps of two halves, and the distance of their peaks."""
    half = len(data) // 2
    orders = [rng.permutation(len(data)) for _ in range(SPLITS)]
    parts = [order[first : first + half] for order in orders for first in (0, half)]
    maps = imaging.maps(np.stack([data[part].mean(axis=0) for part in parts]), half)
    pairs = maps.reshape(SPLITS, 2, -1)
    centred = pairs - pairs.mean(axis=2, keepdims=True)
    size = np.linalg.norm(centred, axis=2)
    product = (centred[:, 0] * centred[:, 1]).sum(axis=1)
    together = np.where(size.min(axis=1) > 0, product / np.maximum(size.prod(axis=1), 1e-300), 0.0)
    peaks = imaging.positions[pairs.argmax(axis=2)]
    return float(together.mean()), float(
        np.median(np.linalg.norm(peaks[:, 0] - peaks[:, 1], axis=1))
    )


def check_noise(
    checked: Checked,
    trials: ThingsTrials,
    settings: CheckSettings,
    counts: Sequence[int] | None = None,
) -> Checked:
    """Add the second check: learned noise beside the scatter of repetitions.

    Averages of ``n`` trials of one image are inverted with the noise learned, along fixed normals,
    in sensor space under the average reference; the variances are medians over channels and means
    over images. The whole trial is used: a short window holds too few independent samples to tell
    noise from sources.

    Parameters
    ----------
    checked : Checked
        Of a solver that learns the noise; others are returned as they are.
    trials : ThingsTrials
    settings : CheckSettings
    counts : sequence of int, optional
        Repetitions that are averaged; powers of two by default.
    """
    if checked.solver not in NOISE_SOLVERS:
        return checked
    shown, repeated = np.unique(trials.conditions, return_counts=True)
    most = int(repeated.min())
    counts = counts or [2**k for k in range(1, 12) if 2**k <= most]
    if len(counts) < 2:
        return checked
    imager = SourceImager("mne", space=settings.space, loose=0.0).fit(trials.info)
    lead = referenced(imager.model.leadfield).operator()
    solver = spec(checked.solver).make()
    images = [trials.data[trials.conditions == code] for code in shown[:16]]
    scatter = np.mean([image.var(axis=0, ddof=1).mean(axis=1) for image in images], axis=0)
    learned, seen = [], []
    for count in counts:
        parts = [
            image[i : i + count] for image in images for i in range(0, most - count + 1, count)
        ]
        means = np.stack([part.mean(axis=0) for part in parts[:AVERAGES]]).astype(np.float64)
        unit = np.abs(means).max()
        problem = _in_float32(Problem(lead, as_tensor(means / unit)))
        found = solve(problem, solver, max_iter=_steps(solver))
        variance = unit**2 * np.array(found.details["noise_variance"])
        learned.append(variance.mean(axis=0))
        seen.append(scatter / count)
    levels, logs = np.log(np.median(learned, axis=1)), np.log(counts)
    return replace(
        checked,
        slope=float(np.polyfit(logs, levels, 1)[0]),
        ratio=float(np.median(learned[-1] / seen[-1])),
        noise_correlation=float(np.corrcoef(np.log(learned[-1]), np.log(seen[-1]))[0, 1]),
    )
