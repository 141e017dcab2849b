"""Growing a network: it starts classical, learns, goes on where it stopped, and knows its file."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.learned.unfolded import UnfoldedSBL
from majorant.networks.corrections import Corrections, CorrectionSettings
from majorant.problem import MajorantError
from majorant.simulate.sparse import SparseLike, SparseSettings
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.training.growth import Ground, LayerwiseSettings, layer_loss, recomputes, stages
from majorant.training.layerwise import Layerwise
from majorant.training.loop import LOG
from majorant.training.sbl import Changes, streams_of, train_sbl

SMALL = LayerwiseSettings(
    correction=CorrectionSettings(layers=3),
    data=SparseSettings((2, 4), (0.0, 15.0), n_times=12),
    batch=4,
    steps_new=3,
    steps_all=2,
    steps_last=4,
    rate=1e-2,
    validation=4,
    save_every=2,
)


@pytest.fixture(scope="module")
def head(sphere: Leadfield) -> Leadfield:
    return sphere.subset(list(range(0, 300, 4)))


@pytest.fixture(scope="module")
def heads(sphere: Leadfield, head: Leadfield) -> list[SparseLike]:
    return streams_of([(head, sphere), (head.pick(head.ch_names[:20]), None)], SMALL)


def test_the_plan_grows_layer_by_layer():
    plan = [(s.name, s.layers, s.frozen) for s in stages(SMALL)]
    assert plan == [
        ("new", 1, 0),
        ("new", 2, 1),
        ("all", 2, 0),
        ("new", 3, 2),
        ("all", 3, 0),
        ("last", 3, 0),
    ]
    rates = {s.name: s.rate for s in stages(SMALL)}
    assert rates["all"] == pytest.approx(0.1 * rates["new"])


def test_phase_one_leaves_earlier_layers_alone(heads, tmp_path):
    run = Layerwise(replace(SMALL, steps_all=0, steps_last=0), heads, tmp_path)
    run.run()
    assert len(run.corrections.stages) > 1
    held = [s.state_dict() for s in run.corrections.stages]
    longer = Layerwise(replace(SMALL, steps_all=0, steps_last=0), heads, tmp_path / "b")
    longer.plan = longer.plan[:1]
    longer.run()
    for name, value in longer.corrections.stages[0].state_dict().items():
        assert torch.equal(value, held[0][name])


def test_a_run_that_was_interrupted_goes_on_bit_for_bit(heads, tmp_path):
    whole = Layerwise(SMALL, heads, tmp_path / "a").run()
    for _ in range(60):
        part = Layerwise(SMALL, heads, tmp_path / "b")
        part.run(minutes=0.0)
        if part.at.stage >= len(part.plan):
            break
    other = part.corrections
    assert len(other.stages) == len(whole.stages)
    for one, two in zip(whole.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_run_goes_on_with_its_own_seed(tmp_path, head):
    options = {"heads": [(head, None)], "minutes": 0.0}
    first = train_sbl(tmp_path, "tiny", Changes(layers=1, seed=7), **options)
    again = train_sbl(tmp_path, "tiny", Changes(layers=1), **options)
    assert first.settings.seed == again.settings.seed == 7
    with pytest.raises(MajorantError, match="holds a run with other settings"):
        train_sbl(tmp_path, "tiny", Changes(layers=1, seed=8), **options)


def test_learning_lowers_the_loss(heads, tmp_path):
    settings = replace(SMALL, mode="free", steps_last=40, correction=CorrectionSettings(layers=2))
    run = Layerwise(settings, heads, tmp_path)
    fresh = Corrections(settings.correction)
    run.corrections, trained = fresh, run.run()
    run.corrections = trained
    after = run.judge(2)
    run.corrections = fresh
    assert after < run.judge(2)


def test_a_layer_that_does_not_help_is_taken_away(heads, tmp_path):
    stubborn = replace(SMALL, worthwhile=0.9)
    run = Layerwise(stubborn, heads, tmp_path)
    run.run()
    assert len(run.corrections.stages) == 1
    assert UnfoldedSBL(run.corrections).max_iter == 1
    back, card = Corrections.load(tmp_path / "weights.safetensors")
    assert len(back.stages) == 1
    assert card["finished"] is True


def test_a_folder_of_another_run_is_refused(heads, tmp_path):
    Layerwise(SMALL, heads, tmp_path).run(minutes=0.0)
    with pytest.raises(MajorantError, match="other settings"):
        Layerwise(replace(SMALL, rate=1e-4), heads, tmp_path)


def test_a_run_of_version_0_1_is_refused_with_what_to_do(heads, tmp_path):
    (tmp_path / "checkpoint.safetensors").write_bytes(b"")
    with pytest.raises(MajorantError, match=r"version 0\.1.*--initial .*weights\.safetensors"):
        Layerwise(SMALL, heads, tmp_path)


def test_the_log_can_be_read(heads, tmp_path):
    Layerwise(SMALL, heads, tmp_path).run()
    rows = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert {what for row in rows for what in row} >= {"training", "validation", "stage"}
    assert all(row.get("training", 1) > 0 and row.get("validation", 1) > 0 for row in rows)


def test_gradients_that_are_not_finite_stop_the_run(heads, tmp_path, monkeypatch):
    run = Layerwise(replace(SMALL, steps_new=20), heads, tmp_path)
    monkeypatch.setattr(run, "_loss", lambda here, *_: here.energy.sum() * torch.nan)
    with pytest.raises(MajorantError, match="not finite"):
        run.run()


def test_the_loss_of_the_truth_is_zero_but_for_the_noise(heads):
    head = heads[1]
    batch = head.batch(range(3))
    solver = Champagne("cb", tol=0.0)
    problem = head.problem(batch)
    here = solver.majorant(problem).at(solver.start(problem))
    here.evidence.mean = lambda y: batch.x
    silent = replace(SMALL, noise_weight=0.0, transport_weight=1.0)
    ground = Ground.of(head.leadfield.positions, silent.widths_mm)
    assert float(layer_loss(here, batch, silent, ground)) == pytest.approx(0.0, abs=1e-4)
    assert float(layer_loss(here, batch, SMALL)) > 0.01


def test_the_ground_tells_a_near_miss_from_a_far_one(path: Leadfield):
    ground = Ground.of(path.positions, (5.0, 10.0, 20.0, 40.0))
    spikes = torch.eye(10)
    apart = ground.apart(spikes[:1].expand(10, -1), spikes)
    assert float(apart[0]) == 0.0
    assert bool((apart.diff() > 0).all())
    assert float(apart[-1]) <= 1.0


def test_the_door(tmp_path, head):
    run = train_sbl(tmp_path, "tiny", Changes(layers=1), heads=[(head, None)], minutes=0.0)
    assert run.settings.correction.layers == 1
    weights, card = Corrections.load(tmp_path / "weights.safetensors")
    assert card["mode"] == "gated"
    problem = run.heads[0].problem(run.heads[0].batch(range(2)))
    assert solve(problem, UnfoldedSBL(weights)).certificate.holds()
    with pytest.raises(MajorantError, match="no preset 'huge'"):
        train_sbl(tmp_path, preset="huge")


def test_one_set_of_weights_is_gone_on_from_with_one_for_every_layer(heads, tmp_path):
    shared = replace(SMALL, correction=CorrectionSettings(layers=3, shared=True), steps_all=0)
    one = Layerwise(shared, heads, tmp_path / "one").run()
    attention = CorrectionSettings("attention", layers=3, neighbours=4)
    run = Layerwise(replace(SMALL, correction=attention), heads, tmp_path / "own", one)
    problem = heads[0].problem(run.held_out[0])
    before, after = (solve(problem, UnfoldedSBL(net)) for net in (one, run.corrections))
    torch.testing.assert_close(after.estimate, before.estimate, rtol=1e-3, atol=1e-5)
    run.run()
    first, last = (list(run.corrections.stages[k].parameters()) for k in (0, 2))
    assert any(not torch.equal(a, b) for a, b in zip(first, last, strict=True))


def test_what_fills_the_memory_is_made_again_on_the_way_back():
    large = replace(SMALL, batch=32, correction=CorrectionSettings("attention", layers=10))
    assert recomputes(large, 5124, 10)
    assert not recomputes(replace(large, batch=8), 1284, 10)
    assert not recomputes(replace(large, correction=CorrectionSettings(layers=10)), 5124, 10)
    assert recomputes(SMALL, 10, 21)
