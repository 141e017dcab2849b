"""Which uncertainty an estimate gets, and the resampling behind it.

``auto`` takes what is cheap and fits the solver: the posterior of a Bayesian one; for a linear one
the trials where there are enough of them, else the noise in closed form; resampled noise for the
rest. A number asks for so many resampled data sets, of trials where there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.findings.facts import Uncertainty
from majorant.findings.faint import noise_level
from majorant.findings.uncertainty import from_draws, from_kernel, from_posterior, noise_like
from majorant.head.model import as_tensor
from majorant.imager.estimate import combined
from majorant.imager.inverse import Job
from majorant.problem import MajorantError, Problem, Solution
from majorant.randomness import takes_rng
from majorant.recording.prepare import Prepared
from majorant.recording.trials import baseline_samples
from majorant.weights.floors import shipped_floors

if TYPE_CHECKING:
    from majorant.imager.imager import SourceImager

__all__ = ["Asked", "assess", "check_asked"]

Asked = int | str
"""``"none"``, ``"auto"``, or how many resampled data sets."""

BY_TRIALS, BY_NOISE = 40, 8
"""Draws of ``auto``: averages through a kernel, and whole solves."""
ENOUGH_TRIALS = 20
"""Trials from which on ``auto`` resamples them."""
AT_ONCE = 128_000_000
"""Bytes of estimates that are solved in one batch."""


def check_asked(asked: Asked) -> Asked:
    """Refuse what is no way to measure uncertainty.

    Raises
    ------
    MajorantError
        If it is neither "none" nor "auto" nor a number of 2 or more.
    """
    text = str(asked).strip().lower()
    if text in ("none", "auto"):
        return text
    if text.isdigit() and int(text) >= 2:
        return int(text)
    raise MajorantError(
        f"the uncertainty is {asked!r}; expected 'none', 'auto', or a number of resampled data "
        "sets from 2"
    )


@dataclass(frozen=True, eq=False)
class _Case:
    """What is resampled."""

    imager: SourceImager
    prepared: Prepared
    problem: Problem
    solution: Solution
    kernel: Tensor | None
    generator: torch.Generator
    job: Job


@takes_rng
def assess(
    imager: SourceImager,
    prepared: Prepared,
    problem: Problem,
    solution: Solution,
    values: NDArray[np.float64],
    asked: Asked = "auto",
    *,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Uncertainty | None:
    """Measure how far an estimate can be trusted.

    Parameters
    ----------
    imager : SourceImager
        That made it.
    prepared : Prepared
        Of what; its trials, where it has them.
    problem : Problem
        Whitened, one sample.
    solution : Solution
    values : array, shape (n_locations, n_times)
        The estimate as it is shown.
    asked : "none", "auto" or int
        What is wanted; a number of resampled data sets.
    seed : int
        Of the resampling.
    progress : callable, optional
        Called with (draws done, draws).

    Returns
    -------
    Uncertainty or None
        None if none was asked for.
    """
    asked = check_asked(asked)
    if asked == "none":
        return None
    n_orient = imager.leadfield_.n_orient
    case = _case(imager, prepared, problem, solution, seed)
    if asked == "auto":
        if solution.variance is not None:
            return _posterior(imager, problem, solution)
        if case.kernel is not None and _n_trials(prepared) < ENOUGH_TRIALS:
            return from_kernel(case.kernel, solution.estimate[0], n_orient)
        n = BY_NOISE if case.kernel is None else BY_TRIALS
    else:
        n = int(asked)
    trials = _n_trials(prepared)
    if trials > 1 and (case.kernel is not None or asked != "auto"):
        data = _of_trials(case, n)
    else:
        data, trials = _of_noise(case, n), None
    drawn = _counted(_estimates(case, data, n), n, progress)
    return from_draws(values, drawn, n_orient, trials)


def _posterior(imager: SourceImager, problem: Problem, solution: Solution) -> Uncertainty:
    """Of the posterior, with the floors of the solver or those that come with it, and of noise."""
    assert solution.variance is not None
    variance, floor = solution.variance[0].double(), None
    added = shipped_floors(imager.spec_.name)
    if solution.floor is not None:
        floor = solution.floor[0].double()
    elif added is not None:
        floor = added.variance(problem, solution.estimate)[0]
        variance = variance + floor
    noise = (
        None if solution.noise is None else (solution.noise[0].double(), _found(problem, solution))
    )
    n_orient = imager.leadfield_.n_orient
    return from_posterior(variance, solution.estimate[0], n_orient, floor, noise)


def _found(problem: Problem, solution: Solution) -> bool:
    """Whether the data as a whole say that there is a source.

    By the count of the solver, or of a member of it; where nobody counts, by the sensors.
    """
    said = (solution.details, *solution.details.get("members", {}).values())
    counts = [np.ravel(one["n_sources"]) for one in said if "n_sources" in one]
    if counts:
        return any(bool(count.any()) for count in counts)
    y = problem.y[0].double()
    level = float(y.square().mean(0).max().sqrt())
    return level > noise_level(*y.shape)


def _case(
    imager: SourceImager, prepared: Prepared, problem: Problem, solution: Solution, seed: int
) -> _Case:
    y, evoked = problem.y[0], prepared.evoked
    job = Job(max(int(evoked.nave), 1), float(evoked.info["sfreq"]), imager.snr_)
    kernel = imager.inverse.kernel(job, y @ y.mT / y.shape[1])
    matrix = None
    if kernel is not None:
        matrix = kernel.matrix[0] if kernel.matrix.ndim == 3 else kernel.matrix
    generator = torch.Generator().manual_seed(seed)
    return _Case(imager, prepared, problem, solution, matrix, generator, job)


def _n_trials(prepared: Prepared) -> int:
    """Trials that can be redrawn; of a contrast those of both sides, or none."""
    if prepared.parts:
        counts = [_n_trials(part) for _, part in prepared.parts]
        return sum(counts) if min(counts) > 1 else 0
    return 0 if prepared.epochs is None else len(prepared.epochs)


def _counted(
    draws: Iterator[NDArray[np.float64]], n: int, progress: Callable[[int, int], None] | None
) -> Iterator[NDArray[np.float64]]:
    for done, drawn in enumerate(draws, 1):
        yield drawn
        if progress is not None:
            progress(done, n)


def _estimates(case: _Case, data: Iterator[Tensor], n: int) -> Iterator[NDArray[np.float64]]:
    """Estimates of whitened data sets, as shown; iterative solvers take several at once."""
    model, (columns, n_times) = case.imager.model, case.solution.estimate[0].shape
    if case.kernel is not None:
        for y in data:
            yield combined((case.kernel @ y).numpy(), model, None)
        return
    most = max(1, min(n, AT_ONCE // (8 * columns * n_times)))
    waiting: list[Tensor] = []
    for k, y in enumerate(data, 1):
        waiting.append(y)
        if len(waiting) == most or k == n:
            solved = case.imager.inverse.solve(torch.stack(waiting), case.job)
            for estimate in solved.estimate:
                yield combined(estimate.numpy(), model, None)
            waiting = []


def _of_noise(case: _Case, n: int) -> Iterator[Tensor]:
    """What the estimate predicts, plus noise; a kernel takes the data themselves: the same."""
    y = case.problem.y[0]
    predicted = y
    if case.kernel is None:
        estimate = case.solution.estimate.to(y.dtype)
        predicted = case.problem.operator.apply(estimate)[0].to(y.dtype)
    residual = y - predicted if case.kernel is None else y
    for _ in range(n):
        yield predicted + noise_like(residual, 1, case.generator)[0].to(y.dtype)


def _of_trials(case: _Case, n: int) -> Iterator[Tensor]:
    """Whitened averages of trials drawn with replacement."""
    imager, prepared, y = case.imager, case.prepared, case.problem.y[0]
    white = as_tensor(np.sqrt(case.job.nave) * imager.whitener_)
    for change in _changes(prepared, list(imager.info_["ch_names"]), n, case.generator):
        yield y + white @ as_tensor(change)


def _changes(
    prepared: Prepared, ch_names: list[str], n: int, generator: torch.Generator
) -> Iterator[NDArray[np.float64]]:
    """How averages of redrawn trials differ from that of all, (n_channels, n_times), V.

    Baseline and window are those of the average; its reference is in the whitener. The two sides of
    a contrast are redrawn each for itself.
    """
    if prepared.parts:
        sides = [_changes(part, ch_names, n, generator) for _, part in prepared.parts]
        for drawn in zip(*sides, strict=True):
            pairs = zip(prepared.parts, drawn, strict=True)
            yield np.sum([weight * change for (weight, _), change in pairs], axis=0)
        return
    epochs: Any = prepared.epochs
    times, count = epochs.times, len(epochs)
    data = epochs.get_data(picks=ch_names, copy=False)
    start = int(np.abs(times - prepared.evoked.times[0]).argmin())
    window = slice(start, start + len(prepared.evoked.times))
    before = baseline_samples(prepared)
    for _ in range(n):
        chosen = torch.randint(count, (count,), generator=generator).numpy()
        weights = np.bincount(chosen, minlength=count) / count - 1.0 / count
        change = np.tensordot(weights, data, axes=1)
        if before is not None:
            change = change - change[:, before].mean(axis=1, keepdims=True)
        yield np.asarray(change[:, window], dtype=np.float64)
