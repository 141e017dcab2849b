"""Regions: the theorem holds where trials are exchangeable, and fails where they are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from majorant.errors import MajorantError
from majorant.findings.facts import Region, Regions
from majorant.findings.regions.calibrate import STEPS, Calibration
from majorant.findings.regions.conformal import FEWEST, p_values, quantile, thresholds
from majorant.findings.regions.find import seldom
from majorant.findings.regions.scores import LINEAR, OTHERS, ranks
from majorant.findings.regions.shares import Share
from majorant.findings.regions.simulated import Window
from majorant.findings.regions.support import ALPHA, Seen, standing
from majorant.forward.leadfield import Leadfield
from majorant.imager.abilities import check_region
from majorant.linalg import spd_power

MANY = 1500
CERTAIN = 4.0
"""Standard errors that a count of repetitions may be off."""


def margin(share: float, n: int) -> float:
    return CERTAIN * float(np.sqrt(share * (1 - share) / n))


@pytest.mark.parametrize("n", [9, 20, 57])
@pytest.mark.parametrize("coverage", [0.5, 0.9])
def test_one_score_a_trial_is_covered_as_often_as_promised(n: int, coverage: float) -> None:
    rng = np.random.default_rng(n)
    scores = rng.exponential(size=(MANY, n + 1))
    hit = [s[-1] <= quantile(s[:-1], np.arange(n), coverage) for s in scores]
    assert np.mean(hit) >= coverage - margin(coverage, MANY)
    assert np.mean(hit) <= coverage + 1 / (n + 1) + margin(coverage, MANY)


def test_trials_of_many_bad_scores_count_once() -> None:
    """A peak of a new trial is covered though bad trials have many scores; without weights, not."""
    rng, hit, plain = np.random.default_rng(3), [], []
    for _ in range(MANY):
        good = rng.random(31) < 0.5
        counts = np.where(good, 8, 1)
        level = rng.exponential(size=31) + np.where(good, 0.0, 2.0)
        own = np.repeat(np.arange(31), counts)
        scores = level[own] + 0.1 * rng.random(len(own))
        known = own < 30
        new = rng.choice(scores[~known])
        hit.append(new <= quantile(scores[known], own[known], 0.8))
        plain.append(new <= quantile(scores[known], np.arange(known.sum()), 0.8))
    assert np.mean(hit) >= 0.8 - margin(0.8, MANY)
    assert np.mean(plain) < 0.8 - margin(0.8, MANY)


def test_every_third_is_covered_by_itself_where_it_has_trials() -> None:
    rng, hits = np.random.default_rng(4), {0: [], 1: [], 2: []}
    alone: list[bool] = []
    for _ in range(MANY):
        third = rng.integers(3, size=201)
        scores = rng.exponential(size=201) * (1 + 3 * third)
        limits, pooled = thresholds(scores[:-1], np.arange(200), third[:-1], 0.9)
        assert not pooled.any()
        hits[int(third[-1])].append(scores[-1] <= limits[third[-1]])
        if third[-1] == 2:
            alone.append(scores[-1] <= quantile(scores[:-1], np.arange(200), 0.9))
    for own in hits.values():
        assert np.mean(own) >= 0.9 - margin(0.9, len(own))
    assert np.mean(alone) < 0.86


def test_a_third_of_few_trials_is_covered_by_the_largest_of_them() -> None:
    rng, few, hit, plain = np.random.default_rng(7), FEWEST - 3, [], []
    third = np.repeat([0, 2], [60, few])
    for _ in range(MANY):
        scores = rng.exponential(size=60 + few) * (1 + 3 * third)
        new = rng.exponential() * 7
        limits, pooled = thresholds(scores, np.arange(60 + few), third, 0.9)
        assert pooled.tolist() == [False, True, True]
        hit.append(new <= limits[2])
        plain.append(new <= limits[1])
    share = few / (few + 1)
    assert np.mean(hit) >= share - margin(share, MANY)
    assert np.mean(plain) < share - margin(share, MANY)


def test_few_trials_take_the_quantile_of_all_or_none() -> None:
    n = FEWEST - 1
    scores, third = np.arange(2.0 * n), np.repeat([0, 1], n)
    limits, pooled = thresholds(scores, np.arange(2 * n), third, 0.9)
    assert pooled.all()
    of_all = quantile(scores, np.arange(2 * n), 0.9)
    assert limits.tolist() == [of_all, scores.max(), of_all]
    n = FEWEST
    scores, third = np.arange(2.0 * n), np.repeat([0, 1], n)
    limits, pooled = thresholds(scores, np.arange(2 * n), third, 0.91)
    assert limits.tolist() == [n - 1, 2 * n - 1, quantile(scores, np.arange(2 * n), 0.91)]
    assert pooled.tolist() == [False, False, True]
    # Of eleven no score is the quantile of .95, of 22 one is.
    limits, pooled = thresholds(scores, np.arange(2 * n), third, 0.95)
    assert pooled.all()
    assert np.isfinite(limits).all()
    assert quantile(np.arange(8.0), np.arange(8), 0.9) == np.inf
    assert quantile(np.arange(9.0), np.arange(9), 0.9) == 8.0


def test_a_rank_knows_no_unit_and_grows_away_from_the_peak() -> None:
    rng = np.random.default_rng(0)
    places, area = 100 * rng.random((200, 3)), 0.1 + rng.random(200)
    size = np.exp(-np.linalg.norm(places - places[7], axis=1) / 20)
    for density in (LINEAR, OTHERS):
        rank = ranks(size, 7, places, area, density)
        assert np.allclose(rank, ranks(3e-12 * size, 7, places, area, density))
        assert rank.argmin() == 7
        assert 0 < rank.min() < rank.max() == pytest.approx(1.0)
        near = np.argsort(np.linalg.norm(places - places[7], axis=1))
        assert (np.diff(rank[near]) >= 0).all()
    assert np.isfinite(ranks(np.eye(1, 200, 7)[0], 7, places, area, OTHERS)).all()


def _scores(sphere: Leadfield, seen: torch.Tensor, seed: int) -> np.ndarray:
    """Scores of sources on the sphere, seen through other heads, imaged by sLORETA."""
    generator = torch.Generator().manual_seed(seed)
    gain = sphere.gain
    inverse = spd_power(gain @ gain.mT + 3.0 * torch.eye(len(gain), dtype=torch.float64), -0.5)
    kernel = (inverse @ gain).mT
    kernel = kernel / kernel.norm(dim=1, keepdim=True)
    source = torch.randint(300, (len(seen),), generator=generator)
    signal = torch.stack([head[:, s] for head, s in zip(seen, source, strict=True)])
    signal = 6.0 * signal / signal.norm(dim=1, keepdim=True)
    noise = torch.randn(signal.shape, generator=generator, dtype=torch.float64)
    at: list[int] = source.tolist()
    maps = ((inverse @ (signal + 0.3 * noise).mT).mT @ kernel.mT).abs().numpy()
    places, area = 1e3 * sphere.positions.numpy(), np.ones(300)
    return np.array(
        [ranks(m, int(m.argmax()), places, area, LINEAR)[s] for m, s in zip(maps, at, strict=True)]
    )


def test_a_calibration_on_the_believed_head_covers_too_little(sphere: Leadfield) -> None:
    """Heads differ from the believed one: only trials on other heads are like a new recording."""
    generator = torch.Generator().manual_seed(8)
    n = 400

    def heads(bent: float) -> torch.Tensor:
        size = sphere.gain.norm(dim=0) / len(sphere.gain) ** 0.5
        noise = torch.randn(n, *sphere.gain.shape, generator=generator, dtype=torch.float64)
        return sphere.gain + bent * size * noise

    new = _scores(sphere, heads(0.7), 1)
    on_heads = quantile(_scores(sphere, heads(0.7), 2), np.arange(n), 0.9)
    on_one = quantile(_scores(sphere, heads(0.0), 3), np.arange(n), 0.9)
    # Quantiles of 400 trials have a coverage that scatters by 1.5 %, and so has the test.
    assert abs(float((new <= on_heads).mean()) - 0.9) < 4 * 0.022
    assert float((new <= on_one).mean()) < 0.8


def test_a_share_rises_and_is_never_certain() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=2000)
    hit = (rng.random(2000) < 1 / (1 + np.exp(-(0.5 + 2 * x)))).astype(float)
    share = Share.fitted(x, hit)
    assert share.level == pytest.approx(0.5, abs=0.3)
    assert share.slope == pytest.approx(2.0, abs=0.4)
    assert (np.diff(share(np.linspace(-3, 3, 50))) > 0).all()
    for degenerate in (
        Share.fitted(np.zeros(0), np.zeros(0)),
        Share.fitted(np.ones(9), np.ones(9)),
    ):
        assert 0 < float(degenerate(np.array(0.0))) < 1
    apart = Share.fitted(np.r_[-np.ones(9), np.ones(9)], np.r_[np.zeros(9), np.ones(9)])
    assert np.isfinite(apart.slope)
    assert Share.fitted(x, 1 - hit).slope == 0.0


def test_a_peak_that_is_seldom_a_source_is_told() -> None:
    places, name = np.arange(3), (("left frontal", 1.0),)
    lead = [Region(places, 2.0, name, real) for real in (0.9, 0.1)]
    further = [Region(places, 2.0, name, 0.5, usual) for usual in (0.5, 0.03)]
    none = np.zeros(2, np.int8)
    regions = Regions(0.9, (), (lead[0], *further, None), "", np.ones(2), none)
    assert [bool(text) for text in seldom(regions)] == [False, False, True, False]
    assert "at most 3 % of the peaks with a source" in seldom(regions)[2]
    weak = Regions(0.9, (), (lead[1],), "", np.ones(2), none)
    assert "10 % of such peaks" in seldom(weak)[0]


def _second_sources(rng: np.random.Generator, n: int) -> tuple[Calibration, np.ndarray]:
    """Trials of which some have no second source, and some one that is seen well and found."""
    there = rng.random(n) < 0.6
    beside = rng.normal(size=n)
    found = rng.random(n) < 1 / (1 + np.exp(-2 * beside))
    nothing, trials = np.zeros(0), np.flatnonzero(there)
    whole = np.zeros(0, np.int64)
    made = Calibration(
        n, nothing, whole, whole, whole, np.zeros((0, 3, len(STEPS))), nothing, whole, 1.0,
        beside[there], found[there].astype(float), trials,
        nothing, nothing, whole,
    )  # fmt: skip
    return made, np.stack([beside, found], axis=1)


def test_neither_found_nor_missed_sources_are_called_wrong_more_often_than_said() -> None:
    rng = np.random.default_rng(12)
    calls: dict[bool, list[int]] = {True: [], False: []}
    naive: list[bool] = []
    for _ in range(MANY):
        calibration, _ = _second_sources(rng, 101)
        _, new = _second_sources(rng, 1)
        at, hit = new[0]
        calls[bool(hit)].append(int(calibration.supported(np.array([at]))[0]))
        if hit:
            # Where more are missed than found a share of one half flags many that are found.
            naive.append(bool(Share.fitted(calibration.beside, calibration.found)(at) < 0.5))
    found, missed = np.array(calls[True]), np.array(calls[False])
    assert (found < 0).mean() <= ALPHA + margin(ALPHA, len(found))
    assert (missed > 0).mean() <= ALPHA + margin(ALPHA, len(missed))
    # They say something, too, and the rule that is not calibrated errs more often.
    assert (found > 0).mean() > 0.15
    assert (missed < 0).mean() > 0.15
    assert np.mean(naive) > 0.1


def test_few_trials_leave_support_open() -> None:
    calibration, _ = _second_sources(np.random.default_rng(1), 12)
    assert not calibration.supported(np.linspace(-9, 9, 7)).any()
    assert p_values(np.zeros(0), np.zeros(0, np.int64), np.array([0.3])).tolist() == [1.0]


def test_a_quantile_and_its_p_value_say_the_same() -> None:
    rng = np.random.default_rng(2)
    scores, trials = rng.normal(size=60), rng.integers(25, size=60)
    grid = np.sort(rng.normal(size=200))
    p = p_values(-scores, trials, -grid)
    assert (np.diff(p) <= 1e-12).all()
    limit = quantile(scores, trials, 0.9)
    assert ((p <= 0.1 + 1e-12) == (grid > limit)).all()


def test_a_place_that_is_seen_better_stands_higher() -> None:
    home = np.array([0, 0, 1, 2, -1])
    white = torch.tensor([[3.0, 1.0, 2.0, 0.0, 9.0], [0.0, 0.0, 0.0, 1.0, 9.0]])
    seen = Seen.of(white.double(), home, 3)
    np.testing.assert_allclose(seen.size, [5**0.5, 2.0, 1.0])
    np.testing.assert_allclose(standing(seen, 1), np.log(seen.size / 2))


def test_a_window_is_simulated_as_it_is_or_thinned() -> None:
    times = np.arange(-50, 250) / 500
    window = Window.of(torch.full((20, 300), 11**0.5, dtype=torch.float64), times, 500.0)
    assert window == Window(100, 17, 500 / 3, 10.0)
    assert window.times[window.before - 1] < 0 <= window.times[window.before]
    assert Window.of(torch.zeros(20, 1), np.zeros(1), 500.0) == Window(1, 0, 500.0, -10.0)


def test_what_is_no_probability_is_refused() -> None:
    assert check_region(None) is None
    assert check_region(0.9) == 0.9
    for wrong in (0.2, 90, "often"):
        with pytest.raises(MajorantError, match=r"expected 0.5 to 0.99, such as 0.9"):
            check_region(wrong)  # type: ignore[arg-type]
