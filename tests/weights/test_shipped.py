"""The weights in the package: what they promise on fresh samples, on other montages, at length."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.learned.shared.stored import read_shared
from majorant.majorants.guard import Guard
from majorant.metrics.localisation import Localisation, Scores
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.registry import make
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.base import Solver
from majorant.solvers.loop import solve
from majorant.training.bilevel import distance
from majorant.weights.shipped import FOLDER, load, mm_net, mm_net_shared, shipped

N = 50
SEED = 2026
"""Not the seed of the benchmark, nor of the training."""


def scored(head: Leadfield, solver: Solver) -> tuple[Scores, int]:
    data = SereegaLike(head, N, SEED, part="test")
    batch = data.batch(range(N))
    solution = solve(data.problem(batch), solver)
    scores = Localisation(data.leadfield, data.sfreq).score(batch.x, solution.estimate, batch.seed)
    return scores, int(solution.certificate.violations.sum())


@pytest.fixture(scope="module")
def template() -> Leadfield:
    return Leadfield.template_small()


def test_the_card_says_what_the_file_is(template: Leadfield) -> None:
    network, card = load("sereega", "mm-net")
    assert shipped("mm-net", "sereega").stat().st_size < 8e6
    assert card.sfreq == network.settings.rate == 128.0
    assert {"LE", "AUC", "PSNR", "violations"} <= set(card.metrics["test"]["sereega"])
    assert "--n 2000" in card.metrics["test"]["command"]
    assert all(card.metrics["test"][kind]["violations"] == 0 for kind in ("sereega", "nmm"))
    assert card.recipe["n_train"] > 0
    card.require(template.geometry)
    card.require(template.pick(list(template.ch_names[:40])).geometry)
    with pytest.raises(MajorantError, match="was trained on the source space"):
        card.require(template.subset(range(900)).geometry)


def test_fresh_samples_are_localised_without_a_rise(template: Leadfield) -> None:
    scores, rises = scored(template, mm_net("sereega"))
    assert rises == 0
    assert float(scores.le.mean()) < 5.5
    assert float(scores.auc.mean()) > 99.5
    assert float(scores.psnr.mean()) > 34.0


@pytest.mark.parametrize("electrodes", [32, 60])
def test_other_montages_are_localised_better_than_by_sloreta(
    template: Leadfield, electrodes: int
) -> None:
    order = torch.randperm(90, generator=torch.Generator().manual_seed(electrodes))
    few = template.pick([template.ch_names[i] for i in order[:electrodes].sort().values.tolist()])
    ours, rises = scored(few, mm_net("sereega"))
    theirs, _ = scored(few, make("sloreta", snr=5.0))
    assert rises == 0
    assert float(ours.le.mean()) < float(theirs.le.mean())


def test_far_beyond_the_training_the_guard_holds_and_its_absence_shows(
    template: Leadfield,
) -> None:
    data = SereegaLike(template, 10, SEED, part="test")
    problem = data.problem(data.batch(range(10)))
    guarded = solve(problem, mm_net("sereega"), max_iter=30)
    assert guarded.certificate.holds()
    energy = guarded.certificate.energy
    assert bool((energy[1:] <= energy[:-1]).all())
    free = solve(problem, mm_net("sereega", guard=Guard("off", window=1)), max_iter=30)
    assert not free.certificate.holds()


def test_either_direction_of_current_is_imaged(template: Leadfield) -> None:
    data = SereegaLike(template, 10, SEED, part="test")
    batch = data.batch(range(10))
    problem = data.problem(batch)
    turned = solve(replace(problem, y=-problem.y), mm_net("sereega"))
    scores = Localisation(data.leadfield, data.sfreq).score(-batch.x, turned.estimate, batch.seed)
    assert float(scores.le.mean()) < 8.0


def test_shared_weights_serve_any_sources_without_a_rise(template: Leadfield) -> None:
    network, card = read_shared(FOLDER / "mm-net-shared.safetensors")
    assert card.source_space == "any"
    assert sum(p.numel() for p in network.parameters()) < 20_000
    assert (FOLDER / "mm-net-shared.safetensors").stat().st_size < 1e5
    data = SereegaLike(template, 6, SEED, part="test")
    batch = data.batch(range(6))
    problem = replace(data.problem(batch), y=batch.y[:, :, ::4])
    found, plain = solve(problem, mm_net_shared()), solve(problem, make("sloreta", snr=5.0))
    assert found.certificate.holds()
    ours, theirs = (distance(batch.x[:, :, ::4], s.estimate).mean() for s in (found, plain))
    assert float(ours) < 0.8 * float(theirs)
    few = template.subset(range(0, 994, 2)).operator()
    y = torch.randn(3, few.n_sensors, 5, generator=torch.Generator().manual_seed(0))
    few = MatrixOperator(few.matrix().to(y), 1, few.geometry)
    assert solve(Problem(few, y), mm_net_shared()).certificate.holds()
    with pytest.raises(MajorantError, match="no shared weights"):
        mm_net_shared("general")
