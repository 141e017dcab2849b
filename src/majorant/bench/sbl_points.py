"""Points of the sparse Bayesian figures: what a method scored on some samples.

Every point is a mean over samples with its 95 % interval; for the earth mover's distance the median
is there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from majorant.bench.sbl_methods import Method, SparseOutcome, dense_map, methods_of
from majorant.forward.leadfield import Leadfield
from majorant.metrics.calibration import log_correlation
from majorant.metrics.localisation import Interval, bootstrap
from majorant.metrics.transport import SparseJudge
from majorant.networks.corrections import Corrections
from majorant.simulate.sparse import Setting, SparseBatch, SparseLike

BATCH = 20
"""Samples that are solved at once."""


@dataclass(frozen=True)
class Point:
    """One number of a figure.

    Attributes
    ----------
    figure, setting, method, metric : str
    axis : str
        What ``x`` is: "layer", "snr_db", "n_sources", "extent_mm", or "" for none.
    x : float
    value, low, high : float
        Mean over samples and its 95 % interval; the median where the metric says so.
    n : int
        Samples.
    """

    figure: str
    setting: str
    method: str
    axis: str
    x: float
    metric: str
    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class SparseBench:
    """What every figure needs.

    Attributes
    ----------
    data : SparseLike
        Test samples.
    judge : SparseJudge
    networks : mapping of mode, or name of a larger one, to Corrections
    layers : int
    best : int
        Steps of the best classical run.
    n : int
        Samples of a point.
    slow : bool
        Whether MNE-Python's solvers are run, too.
    say : callable
        Takes a line of text.
    meg : (inverting, generating) lead fields or None
        Of the MEG row.
    """

    data: SparseLike
    judge: SparseJudge
    networks: Mapping[str, Corrections]
    layers: int
    best: int
    n: int
    slow: bool = False
    say: Callable[[str], None] = print
    meg: tuple[Leadfield, Leadfield] | None = None

    def methods(self, *, few: bool = False) -> dict[str, Method]:
        """All methods, or the few that sweeps compare."""
        known = methods_of(self.networks, self.layers, self.best, slow=self.slow and not few)
        left_out = ("em-", "mne", "eloreta", "mackay-2") if few else ()
        return {k: v for k, v in known.items() if not k.startswith(left_out)}

    def varied(self, **settings: object) -> SparseLike:
        """The test data with other settings."""
        changed = replace(self.data.settings, **settings)
        return replace(self.data, settings=changed, space=self.data.space)


def score(
    bench: SparseBench,
    data: SparseLike,
    methods: Mapping[str, Method],
    figure: str,
    axis: str = "",
    x: float = 0.0,
    setting: Setting = "joint",
) -> list[Point]:
    """Judge methods on ``bench.n`` samples."""
    points: list[Point] = []
    for name, method in methods.items():
        parts = []
        for first in range(0, bench.n, BATCH):
            batch = data.batch(range(first, min(first + BATCH, bench.n)))
            outcome = method(data.problem(batch, setting), setting)
            parts.append(columns(bench.judge, outcome, batch))
        table = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        points += summarise(table, figure, setting, name, axis, x)
        emd = float(table["emd"].median())
        bench.say(f"  {setting} {axis} {x:g} {name}: EMD {emd:.1f} mm (median)")
    return points


def columns(judge: SparseJudge, outcome: SparseOutcome, batch: SparseBatch) -> dict[str, Tensor]:
    """All metrics of one batch, shape (n_batch,) each."""
    scores = judge.score(batch.x, outcome.estimate, batch.seeds, dense_map(batch))
    table = dict(vars(scores))
    nothing = torch.full_like(scores.emd, torch.nan)
    if not outcome.is_current:
        table["nmse"] = nothing
    found = outcome.noise
    table["noise"] = nothing if found is None else log_correlation(batch.noise, found)
    table["cost"] = nothing if outcome.cost is None else outcome.cost
    table["rises"] = torch.full_like(nothing, outcome.rises / len(batch))
    return table


def summarise(
    table: Mapping[str, Tensor], figure: str, setting: str, name: str, axis: str, x: float
) -> list[Point]:
    """Means, and for the EMD the median too; metrics that a method does not have are left out."""
    there = {key: v for key, v in table.items() if bool(torch.isfinite(v).all())}
    means = bootstrap(torch.stack(list(there.values()), 1))
    rows = dict(zip(there, means, strict=True)) | {"emd_median": _median(table["emd"])}
    return [
        Point(figure, setting, name, axis, x, key, i.mean, i.low, i.high, i.n)
        for key, i in rows.items()
    ]


def _median(values: Tensor, resamples: int = 2000, seed: int = 0) -> Interval:
    """Median and its 95 % bootstrap interval."""
    draw = torch.Generator().manual_seed(seed)
    chosen = torch.randint(len(values), (resamples, len(values)), generator=draw)
    medians = torch.quantile(values[chosen], 0.5, dim=1)
    low, high = torch.quantile(medians, torch.tensor([0.025, 0.975]).to(values)).tolist()
    return Interval(float(torch.quantile(values, 0.5)), low, high, len(values))
