"""One row of a table of accuracy: a solver that is run over a data set, timed and scored."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from majorant.bench.rows import NOT_TRAINED, Row
from majorant.metrics.localisation import Localisation, Scores
from majorant.simulate.dataset import Batch, SimulatedPairs

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "mne": {"snr": 5.0},
    "sloreta": {"snr": 5.0},
}
"""The linear rows: fixed orientation, no depth weighting, ``lambda^2 = 1 / 25``."""

BATCH, POINTS = 50, 12_500
"""Samples solved at once, and samples times time points."""


@dataclass(frozen=True)
class MethodOutcome:
    """What one method made of one batch.

    Attributes
    ----------
    estimate : Tensor, shape (n_batch, n_locations, n_times)
    violations, refused : int
        Sums over the batch, from the certificate.
    """

    estimate: Tensor
    violations: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Method:
    """A row's solver, ready to run.

    Attributes
    ----------
    solve : callable
        From a batch to an outcome.
    trained_on : str
        "-" where nothing was trained.
    parameters : int
        Trained ones.
    training_minutes : float or None
        On one core.
    """

    solve: Callable[[Batch], MethodOutcome]
    trained_on: str = NOT_TRAINED
    parameters: int = 0
    training_minutes: float | None = None


def judging(data: SimulatedPairs) -> Callable[[Batch, Tensor], Scores]:
    """Return what scores an estimate of a batch of these data at its seeds."""
    judge = Localisation(data.leadfield, data.sfreq)
    return lambda batch, estimate: judge.score(batch.x, estimate, batch.seed)


def measure(
    name: str,
    test: str,
    method: Method,
    data: SimulatedPairs,
    score: Callable[[Batch, Tensor], Scores],
    progress: Callable[[str, int], None] | None,
) -> Row:
    """Score one method on a data set.

    Parameters
    ----------
    name, test : str
        What the row says of the method and of the data.
    method : Method
    data : SimulatedPairs
    score : callable
        From a batch and its estimate to scores, see :func:`judging`.
    progress : callable or None
        Called with the name and the number of samples just done.
    """
    with torch.no_grad():  # what is made once, and compiled, is not what a sample costs
        method.solve(data.batch([0]))
    parts, seconds, violations, refused = [], 0.0, 0, 0
    for batch in data.batches(max(1, min(BATCH, POINTS // data.n_times))):
        began = time.perf_counter()
        with torch.no_grad():
            outcome = method.solve(batch)
        if batch.y.is_cuda:
            torch.cuda.synchronize()
        seconds += time.perf_counter() - began
        violations, refused = violations + outcome.violations, refused + outcome.refused
        parts.append(score(batch, outcome.estimate))
        if progress is not None:
            progress(name, len(batch))
    scores = Scores.cat(parts)
    return Row(
        test=test,
        trained_on=method.trained_on,
        method=name,
        n=len(data),
        metrics=scores.summary(),
        empty=int(scores.empty.sum()),
        violations=violations,
        refused=refused,
        ms_per_sample=1000.0 * seconds / len(data),
        parameters=method.parameters,
        training_minutes=method.training_minutes,
    )
