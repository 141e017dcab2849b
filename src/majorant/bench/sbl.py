"""The figures of the unfolded sparse Bayesian paper, redrawn: what is learned, and what is not.

Every figure is a table of points first, written as CSV beside its PNG, with the command that made
it in the first line. Data come from a head, a mesh and a skull that no solver knows
(:mod:`majorant.bench.sbl_heads`).

| figure | what it shows |
|---|---|
| 2 | maps of one sample |
| 3 | all metrics, noise learned and noise known |
| 4 | metrics after every layer |
| 5 | signal-to-noise ratio and number of sources |
| 7 | extent of the sources |
| 8 | the learned corrections over layers |
"""

from __future__ import annotations

import csv
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from majorant.bench import sbl_heads
from majorant.bench.sbl_methods import MODES, Method, Outcome, best_steps, dense_map, methods_of
from majorant.learned.clues import read_clues, read_columns
from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.metrics.calibration import log_correlation
from majorant.metrics.localisation import Interval, bootstrap
from majorant.metrics.transport import SparseJudge
from majorant.networks.corrections import Corrections
from majorant.problem import MajorantError
from majorant.simulate.sparse import Setting, SparseLike, SparseSettings
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.weights.sbl import load_unfolded, shipped_unfolded

FIGURES = ("2", "3", "4", "5", "7", "8")
SNRS = (-10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
COUNTS = (1, 2, 3, 5, 10, 15, 20, 25, 30)
EXTENTS = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0)
BATCH = 20
VALIDATION = 16


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
class Bench:
    """What every figure needs.

    Attributes
    ----------
    data : SparseLike
        Test samples.
    judge : SparseJudge
    networks : mapping of mode to Corrections
    layers : int
    best : int
        Steps of the best classical run.
    n : int
        Samples of a point.
    slow : bool
        Whether MNE-Python's solvers are run, too.
    say : callable
        Takes a line of text.
    """

    data: SparseLike
    judge: SparseJudge
    networks: Mapping[Mode, Corrections]
    layers: int
    best: int
    n: int
    slow: bool = False
    say: Callable[[str], None] = print

    def methods(self, *, few: bool = False) -> dict[str, Method]:
        """All methods, or the few that sweeps compare."""
        known = methods_of(self.networks, self.layers, self.best, slow=self.slow and not few)
        left_out = ("em-", "mne", "eloreta", "mackay-2") if few else ()
        return {k: v for k, v in known.items() if not k.startswith(left_out)}

    def varied(self, **settings: object) -> SparseLike:
        """The test data with other settings."""
        changed = replace(self.data.settings, **settings)
        return replace(self.data, settings=changed, space=self.data.space)


def run_sbl(
    figure: str = "all",
    n: int = 40,
    *,
    out: str | os.PathLike[str] = "out/sbl",
    weights: Mapping[Mode, str | os.PathLike[str]] | None = None,
    json_file: str | os.PathLike[str] | None = None,
    seed: int = 777,
    slow: bool = False,
    heads: tuple[sbl_heads.Leadfield, sbl_heads.Leadfield] | None = None,
    say: Callable[[str], None] = print,
) -> list[Point]:
    """Draw figures of the sparse Bayesian benchmark.

    Parameters
    ----------
    figure : {"2", "3", "4", "5", "7", "8", "all"}
    n : int
        Samples of every point.
    out : path
        Folder for ``figure-N.png`` and ``figure-N.csv``.
    weights : mapping of mode to path, optional
        Networks of one's own; the packaged ones by default.
    json_file : path, optional
        All points in one file.
    seed : int
        Of the test data.
    slow : bool
        Whether to run MNE-Python's MxNE and gamma map, too; figure 3 only.
    heads : (inverting, generating) lead fields, optional
        :func:`majorant.bench.sbl_heads.test_head` by default. Any arrays will do, MEG as well.
    say : callable
        Takes a line of text for every step.

    Returns
    -------
    list of Point

    Raises
    ------
    MajorantError
        If the figure is unknown or nothing can be written.
    """
    if figure not in (*FIGURES, "all") or n < 2:
        raise MajorantError(
            f"figure {figure!r} with {n} samples was asked for; choose one of "
            f"{', '.join(FIGURES)}, all, and at least 2 samples"
        )
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MajorantError(f"{folder} cannot be made ({error.strerror})") from error
    bench = prepare(n, weights=weights, seed=seed, slow=slow, heads=heads, say=say)
    wanted = FIGURES if figure == "all" else (figure,)
    asked = ["--figure", figure, "--n", str(n), "--seed", str(seed)]
    command = shlex.join(["majorant", "bench", "sbl", *asked, *(["--slow"] if slow else [])])
    points: list[Point] = []
    for name in wanted:
        say(f"Figure {name}")
        made = DRAWN[name](bench)
        write_csv(folder / f"figure-{name}.csv", made, command)
        _plot(name, made, bench, folder / f"figure-{name}.png", command)
        points += made
    if json_file is not None:
        text = json.dumps({"command": command, "points": [asdict(p) for p in points]}, indent=1)
        Path(json_file).write_text(text + "\n", encoding="utf-8")
    return points


def prepare(
    n: int,
    *,
    weights: Mapping[Mode, str | os.PathLike[str]] | None = None,
    seed: int = 777,
    slow: bool = False,
    heads: tuple[sbl_heads.Leadfield, sbl_heads.Leadfield] | None = None,
    settings: SparseSettings | None = None,
    say: Callable[[str], None] = print,
) -> Bench:
    """Build the test head, load the networks, and choose the steps of the best classical run."""
    inverting, generating = heads or sbl_heads.test_head()
    networks: dict[Mode, Corrections] = {
        mode: load_unfolded(None if weights is None else weights[mode], mode)[0]
        for mode in MODES
        if (shipped_unfolded(mode).exists() if weights is None else mode in weights)
    }
    data = SparseLike(
        inverting, seed, part="test", settings=settings or SparseSettings(), generating=generating
    )
    judge = SparseJudge(inverting, generating)
    held_out = replace(data, part="validation", space=data.space)
    best = best_steps(held_out, judge, min(n, VALIDATION))
    layers = max((net.depth for net in networks.values()), default=10)
    say(f"Convex bounding is at its best on validation samples after {best} steps.")
    return Bench(data, judge, networks, layers, best, n, slow, say)


def score(
    bench: Bench,
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


def columns(judge: SparseJudge, outcome: Outcome, batch) -> dict[str, Tensor]:
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


def overall(bench: Bench) -> list[Point]:
    """Figure 3: every method, with the noise learned and with the true noise."""
    settings: tuple[Setting, ...] = ("joint", "true-noise", "baseline-noise")
    return [
        point
        for setting in settings
        for point in score(bench, bench.data, bench.methods(), "3", setting=setting)
    ]


def per_layer(bench: Bench) -> list[Point]:
    """Figure 4: after every layer or step; two steps a layer for the classical rules, too."""
    points: list[Point] = []
    batch = bench.data.batch(range(bench.n))
    problem, dense = bench.data.problem(batch), dense_map(batch)
    runs = {
        "cb": Champagne(tol=0.0),
        "mackay": Champagne("mackay", tol=0.0),
        **{f"unfolded {mode}": UnfoldedSBL(net, mode) for mode, net in bench.networks.items()},
    }
    for name, solver in runs.items():
        solution = solve(problem, solver, max_iter=bench.layers, keep_trace=True)
        majorant, energy = solver.majorant(problem), solution.certificate.energy
        for layer, state in enumerate(solution.trace):
            evidence = majorant.at(state).evidence
            scores = bench.judge.score(batch.x, evidence.mean(problem.y), batch.seeds, dense)
            table = dict(vars(scores)) | {
                "noise": log_correlation(batch.noise, evidence.noise_variance()),
                "cost": energy[layer],
            }
            if layer:
                before = energy[layer - 1]
                rose = energy[layer] > before + 1e-6 * before.abs().clamp_min(1.0)
                table["rises"] = rose.double()
            points += summarise(table, "4", "joint", name, "layer", float(layer))
        bench.say(f"  {name}: {int(solution.certificate.violations.sum())} rises")
    return points


def robustness(bench: Bench) -> list[Point]:
    """Figure 5: signal-to-noise ratio and number of sources, also beyond the training's."""
    methods = bench.methods(few=True)
    points: list[Point] = []
    for snr in SNRS:
        points += score(bench, bench.varied(snr_db=(snr, snr)), methods, "5", "snr_db", snr)
    for count in COUNTS:
        data = bench.varied(n_sources=(count, count))
        points += score(bench, data, methods, "5", "n_sources", float(count))
    return points


def extents(bench: Bench) -> list[Point]:
    """Figure 7: extent of the sources."""
    methods = bench.methods(few=True)
    return [
        point
        for extent in EXTENTS
        for point in score(
            bench, bench.varied(extent_mm=(extent,)), methods, "7", "extent_mm", extent
        )
    ]


def learned(bench: Bench) -> list[Point]:
    """Figure 8: mean and spread of the corrections of every layer, before any guard."""
    points: list[Point] = []
    batch = bench.data.batch(range(min(bench.n, BATCH)))
    problem = bench.data.problem(batch)
    for mode, network in bench.networks.items():
        solver = UnfoldedSBL(network, mode)
        majorant = solver.majorant(problem)
        with torch.no_grad():
            states = [here.state for here in solver.unfold(problem, network.depth)]
            fields = read_columns(majorant.energy.model, network.needs_neighbours)
            for layer, state in enumerate(states[:-1]):
                stage = network.stage(layer)
                if stage is None:
                    continue
                clues = read_clues(
                    majorant.at(state), fields, network.progress(layer), torch.float32
                )
                for what, c in zip(("sources", "sensors"), stage(clues), strict=True):
                    low, middle, high = torch.quantile(
                        c.flatten()[:: max(1, c.numel() // 100_000)],
                        torch.tensor([0.1, 0.5, 0.9]),
                    ).tolist()
                    name = f"unfolded {mode}"
                    points.append(
                        Point("8", what, name, "layer", layer + 1.0, "c", middle, low, high, len(c))
                    )
    return points


def one_sample(bench: Bench) -> list[Point]:
    """Figure 2: metrics of the sample whose maps are drawn."""
    first = replace(bench, n=1)
    return score(first, bench.data, bench.methods(few=True), "2")


DRAWN: Mapping[str, Callable[[Bench], list[Point]]] = {
    "2": one_sample,
    "3": overall,
    "4": per_layer,
    "5": robustness,
    "7": extents,
    "8": learned,
}


def write_csv(path: Path, points: Sequence[Point], command: str) -> None:
    """Write points, the command first."""
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"# {command}\n")
        writer = csv.DictWriter(file, fieldnames=list(Point.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(asdict(point) for point in points)


def _plot(name: str, points: Sequence[Point], bench: Bench, path: Path, command: str) -> None:
    from majorant.bench import sbl_plots

    sbl_plots.draw(name, points, bench, path, command)
