"""Metrics: by hand, against a slow reference, and what must not change them."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.metrics.localisation import Localisation, Scores, bootstrap, roc_area
from majorant.problem import MajorantError
from majorant.simulate.dataset import SereegaLike

METRICS = [field.name for field in dataclasses.fields(Scores)]


def slow(head: Leadfield, sfreq: float, x: np.ndarray, e: np.ndarray, s: int) -> dict[str, float]:
    """One sample, by the definitions, with loops and without shared code."""
    n, times = x.shape
    t = max(range(times), key=lambda k: abs(x[s, k]))
    near: dict[int, int] = {s: 0}
    frontier = [s]
    for hop in range(1, 8):
        reached = []
        for i, j in head.edges.tolist():
            for a, b in ((i, j), (j, i)):
                if a in frontier and b not in near:
                    near[b] = hop
                    reached.append(b)
        frontier = reached
    positions = head.positions.numpy() * 1000
    found = max(sorted(near), key=lambda k: abs(e[k, t]))
    anywhere = max(range(n), key=lambda k: abs(e[k, t]))
    later = max(range(times), key=lambda k: abs(e[found, k]))
    a, b = x / np.abs(x).max(), e / np.abs(e).max()
    error = np.mean((a - b) ** 2)
    pairs = [(p, q) for p in range(n) for q in range(n) if x[p, t] != 0 and x[q, t] == 0]
    wins = [
        1.0 if abs(e[p, t]) > abs(e[q, t]) else 0.5 if abs(e[p, t]) == abs(e[q, t]) else 0.0
        for p, q in pairs
    ]
    return {
        "le": math.dist(positions[s], positions[found]),
        "le_cortex": math.dist(positions[s], positions[anywhere]),
        "te": abs(t - later) * 1000 / sfreq,
        "nmse": np.mean((x[:, t] / np.abs(x[:, t]).max() - e[:, t] / np.abs(e[:, t]).max()) ** 2),
        "psnr": 10 * math.log10((a.min() - b.max()) ** 2 / error),
        "psnr_unit": 10 * math.log10(1 / error),
        "auc": 100 * float(np.mean(wins)),
        "empty": 0.0,
    }


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def judged(sphere: Leadfield) -> tuple[Localisation, Tensor, Tensor, Tensor]:
    data = SereegaLike(sphere, 6, part="test", dtype=torch.float64)
    batch = data.batch(range(6))
    estimate = batch.x + 0.3 * normal(6, 300, 64)
    return Localisation(sphere, 512.0), batch.x, estimate, batch.seed


def same(a: Scores, b: Scores, tolerance: float = 1e-9) -> bool:
    return all(
        torch.allclose(getattr(a, m).double(), getattr(b, m).double(), atol=tolerance)
        for m in METRICS
    )


@pytest.mark.parametrize("kind", ["noisy", "random", "ties", "coarse"])
def test_metrics_agree_with_a_slow_reference(sphere: Leadfield, kind: str) -> None:
    data = SereegaLike(sphere, 4, part="test", dtype=torch.float64)
    batch = data.batch(range(4))
    estimate = {
        "noisy": batch.x + 0.2 * normal(4, 300, 64),
        "random": normal(4, 300, 64),
        "ties": (batch.x + 0.4 * normal(4, 300, 64)).mul(8).round() + batch.x,
        "coarse": data.operator().adjoint(batch.y),
    }[kind]
    scores = Localisation(sphere, 512.0).score(batch.x, estimate, batch.seed)
    for b in range(4):
        expected = slow(sphere, 512.0, batch.x[b].numpy(), estimate[b].numpy(), int(batch.seed[b]))
        for name, value in expected.items():
            assert float(getattr(scores, name)[b]) == pytest.approx(value, abs=1e-9), name


def test_a_case_by_hand(path: Leadfield) -> None:
    x, e = torch.zeros(1, 10, 4), torch.zeros(1, 10, 4)
    x[0, 2, 1], x[0, 3, 1], x[0, 2, 2] = 2.0, 1.0, 1.0
    e[0, 4, 1], e[0, 3, 1], e[0, 4, 3] = -5.0, 2.5, 10.0
    scores = Localisation(path, 100.0).score(x, e, torch.tensor([2]))
    assert float(scores.le) == pytest.approx(20.0)
    assert float(scores.te) == pytest.approx(20.0)
    # Maps at the peak: (1, 1/2, 0) against (0, 1/2, -1) at locations 2, 3, 4.
    assert float(scores.nmse) == pytest.approx(2.0 / 10)
    # Arrays: truth 1, 1/2, 1/2; estimate -1/2, 1/4, 1; one entry shared: (3, t1).
    error = (1 + (1 / 2 - 1 / 4) ** 2 + (1 / 2) ** 2 + (1 / 2) ** 2 + 1) / 40
    assert float(scores.psnr) == pytest.approx(10 * math.log10((0 - 1) ** 2 / error), abs=1e-6)
    # Positives 2 (score 0, ties with 7 of 8 negatives) and 3 (beats 7, loses to location 4).
    assert float(scores.auc) == pytest.approx(100 * (7 * 0.5 + 7) / 16)


def test_the_paper_s_range_uses_the_largest_signed_value(path: Leadfield) -> None:
    x, e = torch.zeros(1, 10, 2), torch.zeros(1, 10, 2)
    x[0, 2, 0] = 1.0
    e[0, 2, 0], e[0, 3, 0] = -1.0, 0.5
    scores = Localisation(path, 100.0).score(x, e, torch.tensor([2]))
    error = (4 + 0.25) / 20
    assert float(scores.psnr) == pytest.approx(10 * math.log10(0.25 / error), abs=1e-6)
    assert float(scores.psnr_unit) == pytest.approx(-10 * math.log10(error), abs=1e-6)


def test_the_maximum_is_looked_for_in_the_zone_only(path: Leadfield) -> None:
    x, e = torch.zeros(1, 10, 1), torch.zeros(1, 10, 1)
    x[0, 0, 0] = 1.0
    e[0, 7, 0], e[0, 8, 0] = 1.0, 2.0
    scores = Localisation(path, 100.0).score(x, e, torch.tensor([0]))
    assert float(scores.le) == pytest.approx(70.0)
    assert float(scores.le_cortex) == pytest.approx(80.0)


def test_the_truth_scores_perfectly(judged: tuple) -> None:
    judge, x, _, seed = judged
    means = {name: i.mean for name, i in judge.score(x, x, seed).summary().items()}
    assert means == {
        "le": 0.0,
        "le_cortex": 0.0,
        "te": 0.0,
        "nmse": 0.0,
        "psnr": 120.0,
        "psnr_unit": 120.0,
        "auc": 100.0,
    }


@pytest.mark.parametrize("scale", [1e-9, 0.3, 1e9])
def test_a_positive_scale_changes_nothing(judged: tuple, scale: float) -> None:
    judge, x, e, seed = judged
    assert same(judge.score(x, e, seed), judge.score(x, scale * e, seed))
    assert same(judge.score(x, e, seed), judge.score(x / scale, e, seed))


def test_batch_mates_and_order_do_not_matter(judged: tuple) -> None:
    judge, x, e, seed = judged
    whole = judge.score(x, e, seed)
    parts = [judge.score(x[i : i + 1], e[i : i + 1], seed[i : i + 1]) for i in range(6)]
    assert same(whole, Scores.cat(parts))
    flipped = judge.score(x.flip(0), e.flip(0), seed.flip(0))
    assert same(whole, Scores(**{m: getattr(flipped, m).flip(0) for m in METRICS}))


def test_renaming_the_locations_changes_nothing(sphere: Leadfield, judged: tuple) -> None:
    judge, x, e, seed = judged
    order = torch.randperm(300, generator=torch.Generator().manual_seed(1))
    shuffled = Localisation(sphere.subset(order), 512.0)
    renamed = shuffled.score(x[:, order], e[:, order], order.argsort()[seed])
    assert same(judge.score(x, e, seed), renamed)


def test_sign_changes_signed_metrics_only(judged: tuple) -> None:
    judge, x, e, seed = judged
    one, other = judge.score(x, e, seed), judge.score(x, -e, seed)
    for name in ("le", "le_cortex", "te", "auc"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert bool((other.nmse > one.nmse).all())


def test_area_is_half_for_a_constant_score_and_turns_with_the_ranking() -> None:
    positive = torch.rand(20, 50, generator=torch.Generator().manual_seed(0)) < 0.3
    score = normal(20, 50)
    assert torch.equal(
        roc_area(positive, torch.ones(20, 50)), torch.full((20,), 0.5, dtype=torch.float64)
    )
    assert torch.allclose(
        roc_area(positive, score) + roc_area(positive, -score),
        torch.tensor(1.0, dtype=torch.float64),
    )
    assert torch.equal(roc_area(positive, score), roc_area(positive, score.exp()))


def test_an_estimate_of_zeros_is_a_blind_guess_and_is_counted(judged: tuple) -> None:
    judge, x, e, seed = judged
    mixed = e.clone()
    mixed[2] = 0.0
    scores = judge.score(x, mixed, seed)
    assert scores.empty.tolist() == [False, False, True, False, False, False]
    assert float(scores.auc[2]) == 50.0
    distance = judge.distance(seed)[2]
    assert float(scores.le[2]) == pytest.approx(float(distance[judge.zone(seed)[2]].mean()))
    assert float(scores.le_cortex[2]) == pytest.approx(float(distance.mean()))
    assert all(bool(torch.isfinite(getattr(scores, m)).all()) for m in METRICS)
    keep = torch.arange(6) != 2
    plain = judge.score(x, e, seed)
    assert all(torch.equal(getattr(scores, m)[keep], getattr(plain, m)[keep]) for m in METRICS)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_estimate_that_is_not_finite_is_refused_by_sample(judged: tuple, value: float) -> None:
    judge, x, e, seed = judged
    broken = e.clone()
    broken[4, 7, 3] = value
    with pytest.raises(MajorantError, match=r"samples \[4\]"):
        judge.score(x, broken, seed)


def test_what_cannot_be_judged_is_refused(path: Leadfield, judged: tuple) -> None:
    judge, x, e, seed = judged
    with pytest.raises(MajorantError, match="shapes"):
        judge.score(x, e[:, :-1], seed)
    with pytest.raises(MajorantError, match="one per sample"):
        judge.score(x, e, seed[:2])
    with pytest.raises(MajorantError, match="zero at its seed"):
        judge.score(torch.zeros_like(x), e, seed)
    with pytest.raises(MajorantError, match="both classes"):
        judge.score(torch.ones_like(x), e, seed)
    with pytest.raises(MajorantError, match="no edges"):
        Localisation(Leadfield.from_arrays(torch.ones(2, 3)), 100.0)


def test_the_interval_covers_the_mean_and_shrinks_as_the_square_root() -> None:
    hits = 0
    for trial in range(100):
        interval = bootstrap(normal(60, 1, seed=trial).exp(), 400)[0]
        hits += interval.low <= math.exp(0.5) <= interval.high
    assert 80 <= hits <= 99
    wide, narrow = (bootstrap(normal(n, 1))[0] for n in (100, 10_000))
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(10, rel=0.15)
    single = bootstrap(torch.tensor([[3.0]]))[0]
    assert (single.mean, single.low, single.high, single.n) == (3.0, 3.0, 3.0, 1)


def test_a_random_estimate_scores_what_chance_scores(template: Leadfield) -> None:
    data = SereegaLike(template, 150, part="test")
    batch = data.batch(range(150))
    estimate = torch.randn(batch.x.shape, generator=torch.Generator().manual_seed(0))
    found = Localisation(template, 512.0).score(batch.x, estimate, batch.seed).summary()
    expected = {"le": (41, 2.5), "auc": (50, 1.5), "nmse": (0.095, 0.01), "psnr": (12.6, 0.3)}
    expected["te"] = (10, 3)
    for name, (value, tolerance) in expected.items():
        assert found[name].mean == pytest.approx(value, abs=tolerance), name


def test_a_lone_spike_at_the_seed_has_a_high_psnr(template: Leadfield) -> None:
    data = SereegaLike(template, 150, part="test")
    batch = data.batch(range(150))
    spike = torch.zeros_like(batch.x)
    rows = torch.arange(150)
    spike[rows, batch.seed, batch.time.argmax(dim=1)] = 1.0
    found = Localisation(template, 512.0).score(batch.x, spike, batch.seed).summary()
    assert found["le"].mean == found["te"].mean == 0.0
    assert found["psnr"].mean == pytest.approx(32, abs=1)
    assert found["nmse"].mean == pytest.approx(0.006, abs=0.002)
