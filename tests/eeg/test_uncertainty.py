"""Standard deviations equal what repeated noise gives, and noise does not reach its limit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from majorant.findings.facts import Uncertainty
from majorant.findings.faint import strongest_ratio
from majorant.findings.uncertainty import (
    from_draws,
    from_kernel,
    from_posterior,
    noise_like,
    reached,
)
from majorant.findings.uncertainty_choice import _found, assess, check_asked
from majorant.forward.leadfield import Leadfield
from majorant.imager.estimate import combined
from majorant.imager.imager import SourceImager
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.recording.file import load_recording
from majorant.recording.prepare import Prepared, prepare
from majorant.recording.settings import Preparation
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.solvers.scan import Scan
from majorant.weights.sbl import unfolded_sbl


def kernel(n_locations: int, n_orient: int, rank: int = 12, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (n_locations * n_orient, rank)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def noise(rank: int, n_times: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((rank, n_times), generator=generator, dtype=torch.float64)


def lengths(columns: torch.Tensor, n_orient: int) -> np.ndarray:
    return columns.unflatten(0, (-1, n_orient)).norm(dim=1).numpy()


def test_a_kernels_deviation_is_that_of_repeated_noise():
    matrix = kernel(7, 1)
    found = from_kernel(matrix, torch.zeros(7, 4, dtype=torch.float64), 1)
    repeated = (matrix @ noise(12, 20_000, 1)).std(dim=1).numpy()
    np.testing.assert_allclose(found.deviation[:, 0], repeated, rtol=0.03)


def test_a_vectors_deviation_is_that_of_its_length():
    matrix, strong = kernel(5, 3), 100 * noise(12, 1, 2)
    estimate = matrix @ strong
    found = from_kernel(matrix, estimate, 3).deviation[:, 0]
    repeated = lengths(estimate + matrix @ noise(12, 20_000, 3), 3).std(axis=1)
    np.testing.assert_allclose(found, repeated, rtol=0.03)


@pytest.mark.parametrize("n_orient", [1, 3])
def test_noise_alone_does_not_reach_its_limit_and_would_reach_a_usual_one(n_orient: int):
    matrix, n_times = kernel(40, n_orient), 30
    limit = reached(40, n_times, n_orient)
    over, over_usual = 0, 0
    for seed in range(200):
        estimate = matrix @ noise(12, n_times, seed)
        found = from_kernel(matrix, estimate, n_orient)
        assert found.stands == limit
        size = lengths(estimate, n_orient)
        strongest = strongest_ratio(size, found.deviation)
        over += strongest > limit
        over_usual += strongest > 3.0
    assert over <= 20  # 10 are expected at most
    assert over_usual > 100


def test_the_posterior_is_passed_on():
    variance = torch.tensor([4.0, 0.0, 9.0])
    found = from_posterior(variance, torch.zeros(3, 5), 1)
    np.testing.assert_allclose(found.deviation[:, 0], [2, 0, 3])
    along = from_posterior(torch.tensor([1.0, 4.0, 9.0]), torch.tensor([[0.0], [0.0], [7.0]]), 3)
    np.testing.assert_allclose(along.deviation, [[3.0]])
    assert found.stands is None


def test_a_floor_widens_the_band_and_not_what_peaks_are_compared_with():
    variance, floor = torch.tensor([5.0, 4.0, 13.0]), torch.tensor([1.0, 4.0, 4.0])
    found = from_posterior(variance, torch.zeros(3, 5), 1, floor)
    np.testing.assert_allclose(found.deviation[:, 0] ** 2, variance)
    np.testing.assert_allclose(found.own[:, 0] ** 2, [4, 0, 9])
    bare = from_posterior(variance, torch.zeros(3, 5), 1)
    np.testing.assert_allclose(bare.own, bare.deviation)
    assert "missed" in found.how
    assert "missed" not in bare.how


@pytest.mark.parametrize("name", ["scan", "unfolded-sbl"])
def test_a_source_that_may_be_anywhere_stands_out_and_noise_alone_does_not(
    sphere: Leadfield, name: str
):
    solver = Scan() if name == "scan" else unfolded_sbl(recalibrated=False)
    gain = sphere.gain - sphere.gain.mean(0)
    operator = MatrixOperator(gain, sphere.n_orient, sphere.geometry)
    n, sensors, n_times = 60, len(gain), 40
    white = torch.stack([noise(sensors, n_times, seed) for seed in range(n)])
    course = torch.sin(torch.arange(n_times) / 5.0).double()
    topographies = gain[:, 160 : 160 + n].mT  # where electrodes end
    unit = topographies / topographies.norm(dim=1, keepdim=True)
    seen = 2.0 * sensors**0.5 * unit[:, :, None] * course
    counts = {}
    for data, y in (("noise", white), ("source", white + seen)):
        found = solve(Problem(operator, y), solver)
        assert found.variance is not None
        assert found.noise is not None
        stands, of_posterior = 0, 0
        for k in range(n):
            told = found.noise[k], name == "scan" and found.details["n_sources"][k] > 0
            one = from_posterior(found.variance[k], found.estimate[k], sphere.n_orient, noise=told)
            size = lengths(found.estimate[k], sphere.n_orient)
            stands += strongest_ratio(size, one.own) >= one.needed
            of_posterior += strongest_ratio(size, one.deviation) >= 2.0
        counts[data] = stands, of_posterior
    assert counts["noise"][0] <= 6  # three are expected at most
    assert counts["source"][0] >= 58
    # What was asked before: is it at this very place?
    assert counts["source"][1] < counts["source"][0] - 10


@pytest.mark.parametrize(("strength", "least", "most"), [(0.0, 0.0, 0.1), (2.0, 1.0, 1.0)])
def test_where_no_solver_counts_the_sensors_say_whether_there_is_a_source(strength, least, most):
    rank, n_times, n = 30, 40, 100
    seen = strength * rank**0.5 * torch.sin(torch.arange(n_times) / 5.0).double()
    operator = MatrixOperator(torch.eye(rank).double())
    said: list[bool] = []
    for seed in range(n):
        y = noise(rank, n_times, seed)
        y[0] += seen
        posed = Problem(operator, y[None])
        solution = solve(posed, Champagne(max_iter=1))
        said.append(_found(posed, solution))
        counted = replace(solution, details={"members": {"scan": {"n_sources": [0]}}})
        assert not _found(posed, counted)  # who counts is believed
    assert least <= np.mean(said) <= most


def test_draws_agree_with_the_closed_form():
    matrix, data = kernel(6, 1), noise(12, 8, 5)
    values = (matrix @ data).numpy()
    drawn = ((matrix @ (data + noise(12, 8, 100 + i))).numpy() for i in range(2000))
    found = from_draws(values, drawn)
    exact = from_kernel(matrix, matrix @ data, 1).deviation
    np.testing.assert_allclose(found.deviation, np.broadcast_to(exact, (6, 8)), rtol=0.1)
    assert found.draws == 2000
    assert "2000 estimates" in found.how


def test_drawn_noise_has_unit_variance_and_the_spectrum_of_the_residuals():
    time = torch.arange(200, dtype=torch.float64)
    residual = torch.sin(0.3 * time)[None] * noise(20, 1, 0) + 0.1 * noise(20, 200, 1)
    drawn = noise_like(residual, 50, torch.Generator().manual_seed(0))
    assert drawn.shape == (50, 20, 200)
    assert float(drawn.square().mean()) == pytest.approx(1.0, abs=0.1)
    power = torch.fft.rfft(drawn).abs().square().mean((0, 1))
    assert int(power.argmax()) == round(0.3 * 200 / (2 * np.pi))
    across = torch.corrcoef(drawn[:, :, ::7].transpose(0, 1).flatten(1)) - torch.eye(20)
    assert float(across.abs().max()) < 0.35


@pytest.mark.parametrize("residual", [torch.zeros(3, 50), torch.ones(3, 1)])
def test_without_a_spectrum_the_noise_is_white(residual: torch.Tensor):
    drawn = noise_like(residual, 4000, torch.Generator().manual_seed(0))
    assert float(drawn.square().mean()) == pytest.approx(1.0, abs=0.05)


@pytest.fixture(scope="module")
def prepared(files: dict[str, Path]) -> Prepared:
    return prepare(load_recording(files["epochs"]), Preparation(event="loud"))


def assessed(
    prepared: Prepared, forward: Any, asked: int | str, solver: str = "mne", **more: Any
) -> tuple[Uncertainty | None, np.ndarray, SourceImager]:
    imager = SourceImager(solver, loose=1, **more)
    imager.fit(prepared.evoked.info, forward, prepared.noise_cov)
    problem, solution = imager.problem(prepared.evoked), imager.solve(prepared.evoked)
    values = combined(solution.estimate[0].numpy(), imager.model, None)
    return assess(imager, prepared, problem, solution, values, asked), values, imager


def test_every_solver_has_what_fits_it(prepared: Prepared, sphere_forward: Any):
    none, _, _ = assessed(prepared, sphere_forward, "none")
    assert none is None
    linear, values, _ = assessed(prepared, sphere_forward, "auto")
    assert linear is not None
    assert linear.name == "standard deviation from noise"  # 14 trials are too few
    assert linear.deviation.shape == values.shape
    bayes, _, _ = assessed(prepared, sphere_forward, "auto", "champagne", max_iter=3)
    assert bayes is not None
    assert bayes.name == "posterior standard deviation"
    assert bayes.plain is not None
    assert (bayes.deviation > bayes.plain).all()
    assert bayes.own is bayes.noise
    patches, _, _ = assessed(prepared, sphere_forward, "auto", "scan")
    assert patches is not None
    assert patches.plain is not None
    assert (patches.deviation > patches.plain).all()
    assert patches.noise is not None
    assert patches.own is patches.noise
    assert "what noise alone gives" in patches.how
    both, _, _ = assessed(prepared, sphere_forward, "auto", "mean", members=("scan", "sloreta"))
    assert both is not None
    assert both.noise is None  # a member without a posterior says nothing of noise


def test_trials_are_resampled_where_there_are_some(prepared: Prepared, sphere_forward: Any):
    found, values, _ = assessed(prepared, sphere_forward, 300)
    assert found is not None
    assert found.name == "standard deviation over trials"
    assert found.draws == 300
    without = replace(prepared, epochs=None)
    closed, _, _ = assessed(without, sphere_forward, "auto")
    again, _, _ = assessed(without, sphere_forward, 300)
    assert closed is not None
    assert again is not None
    assert again.name == "standard deviation over resampled noise"
    strong = values > 6 * closed.deviation
    assert strong.any()
    # Independent samples, so trials vary as their noise covariance says.
    for other in (found, again):
        ratio = np.median((other.deviation / closed.deviation)[strong])
        assert ratio == pytest.approx(1.0, abs=0.2)


def test_solvers_that_iterate_are_resampled_in_batches(prepared: Prepared, sphere_forward: Any):
    seen: list[tuple[int, int]] = []
    imager = SourceImager("champagne", loose=1, max_iter=2)
    imager.fit(prepared.evoked.info, sphere_forward, prepared.noise_cov)
    problem, solution = imager.problem(prepared.evoked), imager.solve(prepared.evoked)
    values = combined(solution.estimate[0].numpy(), imager.model, None)
    progress = lambda done, of: seen.append((done, of))  # noqa: E731
    bare = replace(prepared, epochs=None)
    first = assess(imager, bare, problem, solution, values, 3, progress=progress)
    second = assess(imager, bare, problem, solution, values, "3")
    other = assess(imager, bare, problem, solution, values, 3, seed=1)
    assert first is not None
    assert second is not None
    assert other is not None
    np.testing.assert_array_equal(first.deviation, second.deviation)
    assert not np.array_equal(first.deviation, other.deviation)
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("wrong", ["maybe", "1", 0, -3, "2.5", ""])
def test_what_is_no_way_to_measure_is_refused(wrong: Any):
    with pytest.raises(MajorantError, match="expected 'none', 'auto', or a number"):
        check_asked(wrong)
