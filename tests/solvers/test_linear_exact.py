"""What is special to each linear solver: what it minimises, standardises and finds exactly."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield, average_reference
from majorant.problem import MatrixOperator, Problem, Status
from majorant.solvers.base import KernelSolver
from majorant.solvers.eloreta import ELORETA
from majorant.solvers.lcmv import LCMV
from majorant.solvers.linear import DSPM, SLORETA, MinimumNorm
from majorant.solvers.loop import solve

N_SENSORS, N_LOCATIONS = 20, 120


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uniform(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def uneven_gain(n_orient: int) -> Tensor:
    """A random lead field whose columns differ in strength by a factor of twenty."""
    n_columns = N_LOCATIONS * n_orient
    return draw(N_SENSORS, n_columns) * (0.05 + uniform(n_columns, seed=1))


def misses(
    solver: KernelSolver, gain: Tensor, n_orient: int, prior: Tensor | None = None
) -> tuple[int, int]:
    """Count the single sources, one at every location, whose strongest estimate lies elsewhere."""
    n_locations = gain.shape[1] // n_orient
    moments = draw(n_locations, n_orient, seed=2)
    data = (gain.mT.unflatten(0, (n_locations, n_orient)) * moments[:, :, None]).sum(1)
    problem = Problem(MatrixOperator(gain, n_orient), data[:, :, None], source_prior=prior)
    estimate = solve(problem, solver).estimate[:, :, 0]
    found = estimate.unflatten(1, (n_locations, n_orient)).norm(dim=2).argmax(1)
    return int((found != torch.arange(n_locations)).sum()), n_locations


@pytest.mark.parametrize("solver", [SLORETA(), SLORETA(snr=1.0), ELORETA(), ELORETA(snr=1.0)])
def test_one_source_of_fixed_orientation_is_found_exactly(solver: KernelSolver) -> None:
    gain, prior = uneven_gain(1), 0.01 + uniform(N_LOCATIONS, seed=3)
    assert misses(solver, gain, 1)[0] == 0
    assert misses(solver, gain, 1, prior)[0] == 0
    assert misses(MinimumNorm(), gain, 1)[0] > 0


@pytest.mark.parametrize("solver", [SLORETA(joint=True), ELORETA(max_iter=50)])
def test_one_source_of_any_orientation_is_found_exactly(solver: KernelSolver) -> None:
    gain = uneven_gain(3)
    depth = (0.01 + uniform(N_LOCATIONS, seed=3)).repeat_interleave(3)
    assert misses(solver, gain, 3)[0] == 0
    assert misses(solver, gain, 3, depth)[0] == 0


def test_joint_standardisation_is_exact_for_loose_orientation_too() -> None:
    loose = torch.tensor([0.2, 0.2, 1.0]).double().repeat(N_LOCATIONS)
    assert misses(SLORETA(joint=True), uneven_gain(3), 3, loose)[0] == 0


@pytest.mark.parametrize("solver", [SLORETA(), ELORETA(force_equal=True), MinimumNorm(), DSPM()])
def test_pooling_the_columns_of_a_location_costs_the_exactness(solver: KernelSolver) -> None:
    assert misses(solver, uneven_gain(3), 3)[0] > 0


@pytest.mark.parametrize("solver", [SLORETA(), ELORETA()])
def test_every_region_of_the_template_is_found_exactly(
    solver: KernelSolver, template: Leadfield
) -> None:
    gain = average_reference(template.n_sensors) @ template.gain
    assert misses(solver, gain, 1) == (0, template.n_locations)


@pytest.mark.parametrize("n_orient", [1, 3])
def test_the_energy_in_the_certificate_is_the_least_there_is(n_orient: int) -> None:
    gain, y = uneven_gain(n_orient), draw(2, N_SENSORS, 7, seed=4)
    prior = 0.1 + uniform(gain.shape[1], seed=5)
    solver = MinimumNorm(snr=2.0, normalise=False)
    solution = solve(Problem(MatrixOperator(gain, n_orient), y, source_prior=prior), solver)

    def energy(x: Tensor) -> Tensor:
        fit = (y - gain @ x).square().sum((1, 2))
        return fit + 0.25 * (x.square() / prior[:, None]).sum((1, 2))

    least = energy(solution.estimate)
    assert torch.allclose(solution.certificate.energy[0], least, rtol=1e-10)
    for seed in range(5):
        other = solution.estimate + 1e-3 * draw(*solution.estimate.shape, seed=seed)
        assert (energy(other) > least).all()


def test_dspm_of_noise_has_unit_variance() -> None:
    mixing = torch.eye(N_SENSORS).double() + 0.2 * draw(N_SENSORS, N_SENSORS, seed=6)
    noise, y = mixing @ mixing.mT, draw(1, N_SENSORS, 1)
    for n_orient in (1, 3):
        operator = MatrixOperator(uneven_gain(n_orient), n_orient)
        matrix = DSPM().kernel(Problem(operator, y, noise)).matrix
        passed = ((matrix @ noise) * matrix).sum(1).unflatten(0, (N_LOCATIONS, n_orient)).sum(1)
        assert torch.allclose(passed, torch.ones_like(passed))


@pytest.mark.parametrize("force_equal", [False, True])
@pytest.mark.parametrize("n_orient", [1, 3])
def test_eloreta_reaches_its_fixed_point(n_orient: int, force_equal: bool) -> None:
    gain = uneven_gain(n_orient)
    problem = Problem(MatrixOperator(gain, n_orient), draw(1, N_SENSORS, 1))
    kernel = ELORETA(eps=1e-12, max_iter=500, force_equal=force_equal).kernel(problem)
    assert kernel.details["converged"]
    inverse = torch.linalg.inv(kernel.regularised)
    columns = gain.mT.unflatten(0, (N_LOCATIONS, n_orient))
    power = columns @ inverse @ columns.mT
    values, vectors = torch.linalg.eigh(power)
    roots = values.sqrt().mean(1, keepdim=True).expand_as(values) if force_equal else values.sqrt()
    expected = ((vectors / roots[:, None]) @ vectors.mT @ columns).flatten(0, 1)
    ratio = kernel.target.norm() / expected.norm()  # the trace of R is fixed, the equation's is not
    assert torch.allclose(kernel.target, ratio * expected, rtol=1e-9, atol=1e-12)


def test_eloreta_says_when_it_stopped_at_its_limit() -> None:
    problem = Problem(MatrixOperator(uneven_gain(3), 3), draw(2, N_SENSORS, 4))
    short, full = solve(problem, ELORETA(max_iter=2)), solve(problem, ELORETA(max_iter=100))
    assert set(short.status) == {Status.LIMIT}
    assert short.details["iterations"] == 2
    assert short.details["change"] > short.details["eps"]
    assert not short.details["converged"]
    assert set(full.status) == {Status.CONVERGED}
    assert full.details["change"] < full.details["eps"]


def test_eloreta_does_not_see_depth_weighting() -> None:
    operator, y = MatrixOperator(uneven_gain(3), 3), draw(1, N_SENSORS, 4)
    loose = torch.tensor([0.2, 0.2, 1.0]).double().repeat(N_LOCATIONS)
    depth = (0.01 + uniform(N_LOCATIONS, seed=3)).repeat_interleave(3)
    plain = solve(Problem(operator, y, source_prior=loose), ELORETA())
    weighted = solve(Problem(operator, y, source_prior=loose * depth), ELORETA())
    free = solve(Problem(operator, y), ELORETA())
    assert torch.allclose(plain.estimate, weighted.estimate, rtol=1e-9)
    assert not torch.allclose(plain.estimate, free.estimate, rtol=1e-2)


@pytest.mark.parametrize("solver", [MinimumNorm(), DSPM(), SLORETA(), ELORETA(), ELORETA(snr=5)])
def test_the_size_of_the_prior_and_of_the_lead_field_do_not_matter(solver: KernelSolver) -> None:
    gain, y = uneven_gain(3), draw(1, N_SENSORS, 4)
    prior = (0.1 + uniform(N_LOCATIONS, seed=5)).repeat_interleave(3)
    one = solve(Problem(MatrixOperator(gain, 3), y, source_prior=prior), solver).estimate
    other = solve(Problem(MatrixOperator(gain, 3), y, source_prior=1e-18 * prior), solver).estimate
    volts = solve(Problem(MatrixOperator(1e6 * gain, 3), y, source_prior=prior), solver).estimate
    assert torch.allclose(one, other, rtol=1e-9)
    in_moments = solver.kernel(Problem(MatrixOperator(gain, 3), y)).unit == "Am"
    assert torch.allclose(one, 1e6 * volts if in_moments else volts, rtol=1e-9)


@pytest.mark.parametrize("kind", [MinimumNorm, DSPM, SLORETA, ELORETA])
def test_a_projected_rank_is_the_same_as_a_declared_one(kind: type) -> None:
    """Average-referenced sensors, one too many, with rank n - 1; and the n - 1 that remain."""
    gain, y = uneven_gain(1), draw(1, N_SENSORS, 4)
    gain, y = gain - gain.mean(0), y - y.mean(1, keepdim=True)
    reduce = average_reference(N_SENSORS)
    declared = solve(Problem(MatrixOperator(gain), y), kind(rank=N_SENSORS - 1)).estimate
    projected = solve(Problem(MatrixOperator(reduce @ gain), reduce @ y), kind()).estimate
    assert torch.allclose(declared, projected, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("n_orient", [1, 3])
def test_lcmv_passes_every_location_with_unit_gain(n_orient: int) -> None:
    gain, y = uneven_gain(n_orient), draw(2, N_SENSORS, 50, seed=8)
    problem = Problem(MatrixOperator(gain, n_orient), y)
    kernel = LCMV(weight_norm="unit-gain").kernel(problem)
    blocks = kernel.matrix @ gain
    for k in range(N_LOCATIONS):
        span = slice(k * n_orient, (k + 1) * n_orient)
        unit = torch.eye(n_orient).double().expand(2, -1, -1)
        assert torch.allclose(blocks[:, span, span], unit, atol=1e-9)
    power = ((kernel.matrix @ kernel.regularised) * kernel.matrix).sum((1, 2))
    assert torch.allclose(kernel.apply(problem).certificate.energy[0], power, rtol=1e-9)


def test_lcmv_of_unit_noise_gain_passes_unit_noise() -> None:
    mixing = torch.eye(N_SENSORS).double() + 0.2 * draw(N_SENSORS, N_SENSORS, seed=6)
    noise = mixing @ mixing.mT
    problem = Problem(MatrixOperator(uneven_gain(3), 3), draw(2, N_SENSORS, 50), noise)
    for norm in ("unit-noise-gain", "unit-noise-gain-invariant"):
        matrix = LCMV(weight_norm=norm).kernel(problem).matrix
        passed = ((matrix @ noise) * matrix).sum(2)
        assert torch.allclose(passed, torch.ones_like(passed))


def test_lcmv_has_no_prior() -> None:
    problem = Problem(MatrixOperator(uneven_gain(3), 3), draw(1, N_SENSORS, 50))
    prior = uniform(3 * N_LOCATIONS, seed=5)
    weighted = dataclasses.replace(problem, source_prior=prior)
    assert torch.equal(solve(problem, LCMV()).estimate, solve(weighted, LCMV()).estimate)


def test_lcmv_suppresses_what_a_fixed_kernel_lets_through() -> None:
    """Two strong independent sources: the beamformer's map at one is freer of the other."""
    gain = uneven_gain(1)
    gain = gain / gain.norm(dim=0)
    sources = torch.zeros(1, N_LOCATIONS, 2000, dtype=torch.float64)
    sources[0, 3], sources[0, 77] = 30 * draw(2000, seed=10), 30 * draw(2000, seed=11)
    problem = Problem(MatrixOperator(gain), gain @ sources + draw(1, N_SENSORS, 2000, seed=12))

    def leak(solver: KernelSolver) -> float:
        course = solve(problem, solver).estimate[0, 3]
        return float(torch.corrcoef(torch.stack([course, sources[0, 77]]))[0, 1].abs())

    assert leak(LCMV(reg=0.0)) < 0.2 * leak(MinimumNorm())


@pytest.mark.parametrize("rank", [None, 3])
def test_the_prior_is_scaled_to_the_rank_of_the_sensors(rank: int | None) -> None:
    g = torch.Generator().manual_seed(0)
    gain = torch.randn(5, 9, generator=g, dtype=torch.float64)
    problem = Problem(MatrixOperator(gain), torch.randn(1, 5, 2, generator=g, dtype=torch.float64))
    kernel = MinimumNorm(snr=2.0, rank=rank).kernel(problem)
    signal = kernel.regularised - 0.25 * torch.eye(5, dtype=torch.float64)
    assert float(signal.trace()) == pytest.approx(rank or 5)
