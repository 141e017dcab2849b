"""What the figures of the sparse Bayesian benchmark measure; each returns its points.

| figure | what it shows |
|---|---|
| 2 | maps of one sample |
| 3 | all metrics, noise learned and noise known; one row for MEG, one for a volume |
| 4 | metrics after every layer |
| 5 | signal-to-noise ratio, number of sources, number of times |
| 7 | extent of the sources |
| 8 | the learned corrections over layers |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from majorant.bench.sbl_methods import dense_map, mode_of
from majorant.bench.sbl_points import BATCH, Point, SparseBench, score, summarise
from majorant.bench.sbl_volume import volume
from majorant.learned.unfolded import UnfoldedSBL
from majorant.metrics.calibration import log_correlation
from majorant.metrics.transport import SparseJudge
from majorant.simulate.sparse import Setting, SparseLike
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

SNRS = (-10.0, -5.0, 0.0, 5.0, 10.0, 15.0, 20.0)
COUNTS = (1, 2, 3, 5, 10, 15, 20, 25, 30)
LENGTHS = (1, 20, 50, 100)
EXTENTS = (0.0, 5.0, 10.0, 15.0, 20.0, 30.0)


def overall(bench: SparseBench) -> list[Point]:
    """Figure 3: every method, with the noise learned and with the true noise."""
    settings: tuple[Setting, ...] = ("joint", "true-noise", "baseline-noise")
    points = [
        point
        for setting in settings
        for point in score(bench, bench.data, bench.methods(), "3", setting=setting)
    ]
    return points if bench.meg is None else points + magnetic(bench) + volume(bench)


def magnetic(bench: SparseBench) -> list[Point]:
    """The row of figure 3 for MEG: 102 magnetometers, given as arrays, and the same networks."""
    assert bench.meg is not None
    inverting, generating = bench.meg
    data = SparseLike(
        inverting,
        bench.data.seed,
        part="test",
        settings=bench.data.settings,
        generating=generating,
    )
    there = replace(bench, data=data, judge=SparseJudge(inverting, generating))
    rows = score(there, data, bench.methods(few=True), "3")
    return [replace(point, setting="MEG") for point in rows]


def per_layer(bench: SparseBench) -> list[Point]:
    """Figure 4: after every layer or step; two steps a layer for the classical rules, too."""
    points: list[Point] = []
    batch = bench.data.batch(range(bench.n))
    problem, dense = bench.data.problem(batch), dense_map(batch)
    runs = {
        "cb": Champagne("cb", tol=0.0),
        "mackay": Champagne("mackay", tol=0.0),
        **{
            f"unfolded {name}": UnfoldedSBL(net, mode_of(name))
            for name, net in bench.networks.items()
        },
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


def robustness(bench: SparseBench) -> list[Point]:
    """Figure 5: noise, number of sources and of times, also beyond the training's."""
    methods = bench.methods(few=True)
    points: list[Point] = []
    for snr in SNRS:
        points += score(bench, bench.varied(snr_db=(snr, snr)), methods, "5", "snr_db", snr)
    for count in COUNTS:
        data = bench.varied(n_sources=(count, count))
        points += score(bench, data, methods, "5", "n_sources", float(count))
    for length in LENGTHS:
        data = bench.varied(n_times=length)
        points += score(bench, data, methods, "5", "n_times", float(length))
    return points


def extents(bench: SparseBench) -> list[Point]:
    """Figure 7: extent of the sources."""
    methods = bench.methods(few=True)
    return [
        point
        for extent in EXTENTS
        for point in score(
            bench, bench.varied(extent_mm=(extent,)), methods, "7", "extent_mm", extent
        )
    ]


def learned(bench: SparseBench) -> list[Point]:
    """Figure 8: mean and spread of the corrections of every layer, before any guard."""
    points: list[Point] = []
    batch = bench.data.batch(range(min(bench.n, BATCH)))
    problem = bench.data.problem(batch)
    for own, network in bench.networks.items():
        solver = UnfoldedSBL(network, mode_of(own))
        majorant = solver.majorant(problem)
        with torch.no_grad():
            states = [here.state for here in solver.unfold(problem, network.depth)]
            step = solver.proposal(problem)
            memory = step.begin(problem, majorant.at(states[0]))
            for layer, state in enumerate(states[:-1]):
                stage = network.stage(layer)
                if stage is None:
                    continue
                clues = step.clues(majorant.at(state), replace(memory, layer=layer))
                for what, c in zip(("sources", "sensors"), stage(clues), strict=True):
                    low, middle, high = torch.quantile(
                        c.flatten()[:: max(1, c.numel() // 100_000)],
                        torch.tensor([0.1, 0.5, 0.9]),
                    ).tolist()
                    name = f"unfolded {own}"
                    points.append(
                        Point("8", what, name, "layer", layer + 1.0, "c", middle, low, high, len(c))
                    )
    return points


def one_sample(bench: SparseBench) -> list[Point]:
    """Figure 2: metrics of the sample whose maps are drawn."""
    first = replace(bench, n=1)
    return score(first, bench.data, bench.methods(few=True), "2")


DRAWN: Mapping[str, Callable[[SparseBench], list[Point]]] = {
    "2": one_sample,
    "3": overall,
    "4": per_layer,
    "5": robustness,
    "7": extents,
    "8": learned,
}
