"""Source imaging: how far an estimate lies from the truth, on recordings with known sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from benchopt import BaseObjective

Judge = Callable[[int, np.ndarray], dict[str, float]]


class Objective(BaseObjective):
    """Means over the recordings of a data set."""

    name = "Source imaging"
    url = "https://benchopt.github.io"
    min_benchopt_version = "1.8"
    sampling_strategy = "run_once"
    requirements = ("pip::majorant",)

    def set_data(self, recordings: Sequence[tuple[Any, Any]], forward: Any, judge: Judge) -> None:
        """Take what a data set has.

        Parameters
        ----------
        recordings : sequence of (mne.Evoked, mne.Covariance)
        forward : mne.Forward
            Believed; the truth may have been seen by another.
        judge : callable
            From the number of a recording and an estimate, (n_locations, n_times), to figures.
        """
        self.recordings, self.forward, self.judge = recordings, forward, judge

    def get_objective(self) -> dict[str, Any]:
        """What a solver may see: no truth."""
        return {"recordings": self.recordings, "forward": self.forward}

    def evaluate_result(self, estimates: Sequence[np.ndarray]) -> dict[str, float]:
        """Judge the estimates of all recordings; `value` is the mean distance, mm."""
        scores = [self.judge(k, values) for k, values in enumerate(estimates)]
        means = {name: float(np.mean([s[name] for s in scores])) for name in scores[0]}
        return {"value": means["emd"], **means}

    def get_one_result(self) -> dict[str, Any]:
        """An estimate of nothing, for benchopt's own tests."""
        rows = self.forward["nsource"]
        return {"estimates": [np.zeros((rows, len(e.times))) for e, _ in self.recordings]}
