"""What holds for every linear solver: the normal equations, independence, dtype, clear refusals."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from majorant import registry
from majorant.problem import FunctionOperator, MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.base import KernelSolver
from majorant.solvers.eloreta import ELORETA
from majorant.solvers.lcmv import LCMV
from majorant.solvers.linear import DSPM, SLORETA, MinimumNorm
from majorant.solvers.loop import solve

N_SENSORS, N_LOCATIONS, N_TIMES = 12, 40, 30
STATIC: list[KernelSolver] = [
    MinimumNorm(),
    DSPM(),
    SLORETA(),
    SLORETA(joint=True),
    ELORETA(max_iter=100),
    ELORETA(max_iter=100, force_equal=True),
]
EVERY = [*STATIC, LCMV(), LCMV(weight_norm="unit-noise-gain"), LCMV(weight_norm="unit-gain")]
every_solver = pytest.mark.parametrize("solver", EVERY, ids=str)
every_orientation = pytest.mark.parametrize("n_orient", [1, 3])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def noise_matrix() -> Tensor:
    mixing = torch.eye(N_SENSORS, dtype=torch.float64) + 0.2 * draw(N_SENSORS, N_SENSORS, seed=5)
    return mixing @ mixing.mT


def make(n_orient: int, n_batch: int = 3, **options: Tensor) -> Problem:
    gain = draw(N_SENSORS, N_LOCATIONS * n_orient)
    y = draw(n_batch, N_SENSORS, N_TIMES, seed=1)
    prior = torch.rand(
        N_LOCATIONS * n_orient, generator=torch.Generator().manual_seed(2), dtype=torch.float64
    )
    return Problem(MatrixOperator(gain, n_orient), y, source_prior=0.1 + prior, **options)


def assert_same(found: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    assert found.shape == expected.shape
    assert float((found - expected).abs().max()) <= tolerance * float(expected.abs().max())


@every_solver
@every_orientation
@pytest.mark.parametrize("given", ["identity", "variances", "matrix"])
def test_the_normal_equations_hold(solver: KernelSolver, n_orient: int, given: str) -> None:
    noise = {"identity": None, "variances": noise_matrix().diagonal(), "matrix": noise_matrix()}
    solution = solve(dataclasses.replace(make(n_orient), noise=noise[given]), solver)
    assert solution.certificate.residual is not None
    assert solution.certificate.residual.shape == (3,)
    assert float(solution.certificate.residual.max()) < 1e-12
    assert solution.certificate.holds()


@every_solver
def test_a_kernel_that_was_tampered_with_shows_in_the_certificate(solver: KernelSolver) -> None:
    problem = make(3)
    kernel = solver.kernel(problem)
    bent = dataclasses.replace(kernel, matrix=kernel.matrix * (1 + 0.01 * draw(N_SENSORS, seed=3)))
    residual = bent.apply(problem).certificate.residual
    assert residual is not None
    assert float(residual.min()) > 1e-3


@every_solver
@every_orientation
def test_batch_mates_and_their_order_do_not_matter(solver: KernelSolver, n_orient: int) -> None:
    problem, order = make(n_orient, n_batch=4), [2, 0, 3, 1]
    together = solve(problem, solver).estimate
    shuffled = solve(dataclasses.replace(problem, y=problem.y[order]), solver).estimate
    assert_same(shuffled, together[order])
    for k in range(4):
        alone = solve(dataclasses.replace(problem, y=problem.y[k : k + 1]), solver).estimate
        assert_same(alone[0], together[k])


@every_solver
@every_orientation
def test_the_order_of_channels_and_of_sources_does_not_matter(
    solver: KernelSolver, n_orient: int
) -> None:
    problem = make(n_orient, noise=noise_matrix())
    generator = torch.Generator().manual_seed(7)
    channels = torch.randperm(N_SENSORS, generator=generator)
    places = torch.randperm(N_LOCATIONS, generator=generator)
    columns = (places[:, None] * n_orient + torch.arange(n_orient)).flatten()
    gain, prior, noise = problem.operator.matrix(), problem.source_prior, problem.noise
    assert gain is not None
    assert prior is not None
    assert noise is not None
    moved = Problem(
        MatrixOperator(gain[channels][:, columns], n_orient),
        problem.y[:, channels],
        noise[channels][:, channels],
        prior[columns],
    )
    assert_same(solve(moved, solver).estimate, solve(problem, solver).estimate[:, columns], 1e-9)


@every_solver
@every_orientation
def test_an_estimate_has_the_dtype_of_the_data(solver: KernelSolver, n_orient: int) -> None:
    wide = make(n_orient)
    gain = wide.operator.matrix()
    assert gain is not None
    narrow = Problem(
        MatrixOperator(gain.float(), n_orient), wide.y.float(), source_prior=wide.source_prior
    )
    solution = solve(narrow, solver)
    assert solution.estimate.dtype == torch.float32
    assert solution.certificate.energy.dtype == torch.float64
    assert_same(solution.estimate.double(), solve(wide, solver).estimate, 1e-5)


@every_solver
@pytest.mark.parametrize("factor", [-3.0, 1e-6, 1e6])
def test_the_estimate_scales_with_the_data(solver: KernelSolver, factor: float) -> None:
    problem = make(3)
    scaled = dataclasses.replace(problem, y=factor * problem.y)
    expected = factor * solve(problem, solver).estimate
    if isinstance(solver, LCMV):  # its filters see data and noise together only in their ratio
        assert_same(solve(scaled, solver).estimate, expected, 1e-9)
    else:
        assert_same(solve(scaled, solver).estimate, expected)


@every_solver
@every_orientation
def test_zero_data_are_named_and_give_zero(solver: KernelSolver, n_orient: int) -> None:
    problem = make(n_orient)
    y = problem.y.clone()
    y[1] = 0
    solution = solve(dataclasses.replace(problem, y=y), solver)
    assert [status is Status.NO_DATA for status in solution.status] == [False, True, False]
    assert not solution.estimate[1].any()
    assert float(solution.certificate.energy[0, 1]) == 0.0
    assert torch.isfinite(solution.estimate).all()
    assert_same(solution.estimate[2], solve(problem, solver).estimate[2])


@every_solver
@every_orientation
def test_given_noise_is_the_same_as_whitening_before(solver: KernelSolver, n_orient: int) -> None:
    problem = make(n_orient)
    factor = torch.linalg.cholesky(noise_matrix())
    gain = problem.operator.matrix()
    assert gain is not None
    coloured = dataclasses.replace(
        problem,
        operator=MatrixOperator(factor @ gain, n_orient),
        y=factor @ problem.y,
        noise=noise_matrix(),
    )
    assert_same(solve(coloured, solver).estimate, solve(problem, solver).estimate, 1e-9)


@every_solver
@every_orientation
def test_one_lead_field_per_sample_equals_each_alone(solver: KernelSolver, n_orient: int) -> None:
    problem, gains = make(n_orient), draw(3, N_SENSORS, N_LOCATIONS * n_orient, seed=9)
    together = solve(dataclasses.replace(problem, operator=MatrixOperator(gains, n_orient)), solver)
    for k in range(3):
        one = dataclasses.replace(
            problem, operator=MatrixOperator(gains[k], n_orient), y=problem.y[k : k + 1]
        )
        assert_same(together.estimate[k], solve(one, solver).estimate[0], 1e-10)


@every_solver
def test_a_matrix_free_operator_gives_the_same(solver: KernelSolver) -> None:
    problem = make(3)
    gain = problem.operator.matrix()
    assert gain is not None
    free = FunctionOperator(
        lambda x: gain @ x,
        lambda y: gain.mT @ y,
        n_sensors=N_SENSORS,
        n_columns=3 * N_LOCATIONS,
        norm_bound=1e3,
        n_orient=3,
    )
    found = solve(dataclasses.replace(problem, operator=free), solver).estimate
    assert_same(found, solve(problem, solver).estimate)


@every_solver
@every_orientation
def test_a_location_that_no_sensor_sees_is_zero(solver: KernelSolver, n_orient: int) -> None:
    problem = make(n_orient)
    gain = problem.operator.matrix()
    assert gain is not None
    blind = gain.clone()
    blind[:, :n_orient] = 0
    blinded = dataclasses.replace(problem, operator=MatrixOperator(blind, n_orient))
    estimate = solve(blinded, solver).estimate
    assert torch.isfinite(estimate).all()
    assert not estimate[:, :n_orient].any()


@pytest.mark.parametrize("name", ["mne", "dspm", "sloreta", "eloreta", "lcmv"])
def test_the_registry_makes_them(name: str) -> None:
    solution = solve(make(1), registry.make(name))
    unit = {"mne": "Am", "dspm": "dSPM", "sloreta": "sLORETA", "eloreta": "Am", "lcmv": "LCMV"}
    assert solution.unit == unit[name]


def test_a_kernel_refuses_other_sensors_and_other_batches() -> None:
    problem = make(1)
    fewer = Problem(MatrixOperator(draw(N_SENSORS - 1, N_LOCATIONS)), problem.y[:, 1:])
    with pytest.raises(MajorantError, match="reads 12 sensors and the problem has 11"):
        MinimumNorm().kernel(problem).apply(fewer)
    with pytest.raises(MajorantError, match="holds 3 samples and the problem has 1"):
        LCMV().kernel(problem).apply(dataclasses.replace(problem, y=problem.y[:1]))


def test_lead_fields_must_be_as_many_as_samples() -> None:
    with pytest.raises(MajorantError, match="2 lead fields for 3 samples"):
        Problem(MatrixOperator(draw(2, N_SENSORS, N_LOCATIONS)), make(1).y)


@pytest.mark.parametrize(
    ("noise", "message"),
    [
        (torch.zeros(N_SENSORS), "the noise covariance is not positive definite"),
        (torch.eye(N_SENSORS) - 1 / N_SENSORS, "the noise covariance is"),
        (torch.eye(N_SENSORS).index_fill(1, torch.tensor([0]), 1.0), "is not symmetric"),
    ],
)
def test_a_noise_covariance_that_is_none_is_refused(noise: Tensor, message: str) -> None:
    with pytest.raises(MajorantError, match=message):
        solve(make(1, noise=noise.double()), MinimumNorm())


def test_noise_of_very_different_units_is_not_called_singular() -> None:
    variances = torch.logspace(-26, -12, N_SENSORS, dtype=torch.float64)
    assert torch.isfinite(solve(make(1, noise=variances), MinimumNorm()).estimate).all()


@pytest.mark.parametrize("solver", STATIC, ids=str)
def test_nothing_to_see_is_refused(solver: KernelSolver) -> None:
    empty = Problem(MatrixOperator(torch.zeros(N_SENSORS, N_LOCATIONS)), make(1).y)
    with pytest.raises(MajorantError, match="no sensor sees any source"):
        solve(empty, solver)


def test_settings_that_mean_nothing_are_refused() -> None:
    for kind in (MinimumNorm, DSPM, SLORETA, ELORETA):
        with pytest.raises(MajorantError, match="snr is 0"):
            kind(snr=0.0)
        with pytest.raises(MajorantError, match="rank is 0"):
            kind(rank=0)
        with pytest.raises(MajorantError, match="rank is 13, but there are only 12"):
            solve(make(1), kind(rank=13))
    with pytest.raises(MajorantError, match="at least one iteration"):
        ELORETA(max_iter=0)
    with pytest.raises(MajorantError, match="at least one iteration"):
        ELORETA(max_iter=2.5)  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="reg is -1"):
        LCMV(reg=-1)
    with pytest.raises(MajorantError, match="no weight_norm 'nai'"):
        LCMV(weight_norm="nai")  # pyright: ignore[reportArgumentType]
    short = dataclasses.replace(make(1), y=make(1).y[:, :, :5])
    with pytest.raises(MajorantError, match="5 time points"):
        solve(short, LCMV(reg=0.0))
