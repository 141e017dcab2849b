"""The sparse Bayesian benchmark: points, files, and a command in each of them."""

from __future__ import annotations

import csv
import math

import pytest
import torch

from majorant.bench import sbl, sbl_figures, sbl_plots, sbl_points
from majorant.bench.sbl_methods import SparseOutcome, best_steps, methods_of
from majorant.bench.sbl_volume import lengths_of, volume_data
from majorant.forward.leadfield import Leadfield
from majorant.metrics.transport import SparseJudge
from majorant.networks.corrections import Corrections, CorrectionSettings
from majorant.problem import MajorantError
from majorant.simulate.sparse import SparseLike, SparseSettings
from majorant.weights.sbl import weights_at


@pytest.fixture(scope="module")
def heads(sphere: Leadfield) -> tuple[Leadfield, Leadfield]:
    return sphere.subset(list(range(0, 300, 4))), sphere


@pytest.fixture(scope="module")
def bench(heads, tmp_path_factory) -> sbl_points.SparseBench:
    folder = tmp_path_factory.mktemp("weights")
    weights = {}
    for mode in ("free", "theta", "gated"):
        net = Corrections(CorrectionSettings(layers=2))
        weights[mode] = net.save(folder / f"{mode}.safetensors", {"mode": mode})
    settings = SparseSettings((2, 4), (0.0, 15.0), n_times=8)
    return sbl.prepare(3, weights=weights, heads=heads, settings=settings, say=lambda line: None)


def test_untrained_networks_score_as_their_parent(bench: sbl_points.SparseBench):
    points = sbl_points.score(bench, bench.data, bench.methods(), "3")
    by = {(p.method, p.metric): p for p in points}
    for mode in ("free", "theta", "gated"):
        for metric in ("emd", "auc", "nmse", "f1", "noise", "cost"):
            mine, theirs = by[f"unfolded {mode}", metric], by["cb-2", metric]
            assert mine.value == pytest.approx(theirs.value, rel=1e-6)
        assert by[f"unfolded {mode}", "rises"].value == 0.0
    assert ("sloreta", "nmse") not in by
    assert all(p.low <= p.value <= p.high for p in points)


def test_known_noise_is_not_learned(bench: sbl_points.SparseBench):
    points = sbl_points.score(bench, bench.data, bench.methods(few=True), "3", setting="true-noise")
    assert not [p for p in points if p.metric == "noise"]
    assert {p.setting for p in points} == {"true-noise"}


def test_layers_are_the_steps_of_the_parent(bench: sbl_points.SparseBench):
    points = sbl_figures.per_layer(bench)
    for layer in range(3):
        value = {p.method: p.value for p in points if p.metric == "emd" and p.x == layer}
        assert value["unfolded gated"] == pytest.approx(value["cb"], rel=1e-6)
    cost = [p.value for p in points if (p.method, p.metric) == ("mackay", "cost")]
    assert cost == sorted(cost, reverse=True)


def test_fresh_corrections_are_zero(bench: sbl_points.SparseBench):
    points = sbl_figures.learned(bench)
    assert len(points) == 3 * 2 * 2
    assert all(p.value == p.low == p.high == 0.0 for p in points)


def test_the_best_number_of_steps_is_one_of_the_candidates(bench: sbl_points.SparseBench, heads):
    assert bench.best in (10, 20, 30, 50, 100, 200)
    data = SparseLike(heads[0], settings=bench.data.settings, generating=heads[1])
    assert best_steps(data, SparseJudge(*heads), 2, (1, 2)) in (1, 2)


def test_slow_methods_run_too(bench: sbl_points.SparseBench):
    batch = bench.data.batch([0])
    problem = bench.data.problem(batch)
    made = methods_of({}, 2, 5, slow=True)
    for name in ("mxne", "gamma-map"):
        estimate = made[name](problem, "joint").estimate
        assert estimate.shape == batch.x.shape
        assert bool(torch.isfinite(estimate).all())


@pytest.mark.parametrize("figure", ["2", "4", "8"])
def test_a_figure_is_a_picture_and_a_table(
    bench: sbl_points.SparseBench, figure, tmp_path, monkeypatch
):
    monkeypatch.setattr(sbl, "prepare", lambda n, **_: bench)
    points = sbl.run_sbl(figure, 3, out=tmp_path, say=lambda _: None)
    assert (tmp_path / f"figure-{figure}.png").stat().st_size > 5_000
    with (tmp_path / f"figure-{figure}.csv").open(encoding="utf-8") as file:
        assert file.readline() == f"# majorant bench sbl --figure {figure} --n 3 --seed 777\n"
        rows = list(csv.DictReader(file))
    assert len(rows) == len(points)
    assert all(math.isfinite(float(row["value"])) for row in rows)


def test_a_figure_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(MajorantError, match="choose one of 2, 3, 4, 5, 7, 8, all"):
        sbl.run_sbl("6", out=tmp_path)


def test_a_volume_is_solved_with_three_columns_for_each_place(bench: sbl_points.SparseBench):
    data = volume_data(5, bench.data, ball_mm=35.0)
    batch = data.batch(range(3))
    problem = data.problem(batch)
    assert problem.operator.n_orient == 3
    matrix = problem.operator.matrix()
    assert matrix is not None
    assert matrix.shape[1] == 3 * data.leadfield.n_locations
    judge = SparseJudge(data.leadfield, data.generating)
    network = shipped("unfolded-gated")
    method = lengths_of(methods_of({"gated": network}, 10, 10)["unfolded gated"])
    table = sbl_points.columns(judge, method(problem, "joint"), batch)
    silent = sbl_points.columns(judge, SparseOutcome(torch.ones_like(batch.x)), batch)
    assert table["rises"].sum() == 0
    assert table["emd"].mean() < 0.8 * silent["emd"].mean()


def test_bars_of_five_settings_are_drawn(bench: sbl_points.SparseBench, tmp_path):
    metrics = ("emd_median", "auc", "f1", "correlation", "nmse", "noise")
    points = [
        sbl_points.Point("3", setting, "cb-2", "", 0.0, metric, 0.5, 0.4, 0.6, 3)
        for setting in ("joint", "true-noise", "baseline-noise", "MEG", "volume")
        for metric in metrics
    ]
    sbl_plots.draw("3", points, bench, tmp_path / "bars.png", "majorant bench sbl")
    assert (tmp_path / "bars.png").stat().st_size > 10_000


def shipped(name: str) -> Corrections:
    return Corrections.load(weights_at(name))[0]
