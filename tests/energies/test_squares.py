"""Whitened squares: closed form, autograd and the minimum-norm solution agree."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from majorant.energies.cosine import SourceState
from majorant.energies.lengths import norm
from majorant.energies.squares import SquaresEnergy
from majorant.majorants.squares import SquaresMajorant
from majorant.problem import FunctionOperator, MajorantError, MatrixOperator, Operator, Problem

SENSORS, COLUMNS, TIMES = 5, 8, 3


def problem(
    seed: int = 0, noise: str = "none", prior: bool = False, free: bool = False, batch: int = 2
) -> Problem:
    g = torch.Generator().manual_seed(seed)
    matrix = torch.randn(SENSORS, COLUMNS, generator=g, dtype=torch.float64)
    y = torch.randn(batch, SENSORS, TIMES, generator=g, dtype=torch.float64)
    root = torch.randn(SENSORS, SENSORS, generator=g, dtype=torch.float64)
    covariance = {
        "none": None,
        "variances": 0.5 + torch.rand(SENSORS, generator=g, dtype=torch.float64),
        "matrix": root @ root.mT + 0.1 * torch.eye(SENSORS, dtype=torch.float64),
    }[noise]
    variance = 0.2 + torch.rand(COLUMNS, generator=g, dtype=torch.float64)
    operator: Operator = MatrixOperator(matrix)
    if free:
        operator = FunctionOperator(
            lambda x: matrix @ x,
            lambda v: matrix.mT @ v,
            n_sensors=SENSORS,
            n_columns=COLUMNS,
            norm_bound=float(torch.linalg.matrix_norm(matrix, 2)) * (1 + 1e-9),
        )
    return Problem(operator, y, covariance, variance if prior else None)


def somewhere(p: Problem, seed: int = 1, scale: float = 1.0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(p.n_batch, COLUMNS, TIMES, generator=g, dtype=torch.float64)


CASES = [(n, p, f) for n in ("none", "variances", "matrix") for p in (False, True) for f in (0, 1)]


@pytest.mark.parametrize(("noise", "prior", "free"), CASES)
def test_the_gradient_is_that_of_autograd_and_of_the_textbook(
    noise: str, prior: bool, free: bool
) -> None:
    for scale in (1e-6, 1.0, 1e6):
        p = problem(0, noise, prior, free)
        energy = SquaresEnergy(p, 0.3)
        x = somewhere(p, scale=scale).requires_grad_()
        (expected,) = torch.autograd.grad(energy.value(SourceState(x)).sum(), x)
        value, gradient = energy.value_and_grad(SourceState(x.detach()))
        assert torch.allclose(gradient.x, expected, rtol=1e-10, atol=1e-10 * scale)
        assert torch.equal(value, energy.value(SourceState(x.detach())))
        residual = p.operator.apply(x) - p.y
        covariance = torch.eye(SENSORS, dtype=torch.float64)
        if p.noise is not None:
            covariance = p.noise if p.noise.ndim == 2 else torch.diag(p.noise)
        variance = 1.0 if p.source_prior is None else p.source_prior[:, None]
        plain = 0.5 * (residual * torch.linalg.solve(covariance, residual)).flatten(1).sum(1)
        plain = plain + 0.5 * 0.09 * (x**2 / variance).flatten(1).sum(1)
        assert torch.allclose(value, plain.detach(), rtol=1e-10)


@pytest.mark.parametrize(("noise", "prior", "free"), CASES)
def test_the_majorant_is_exact_and_its_minimiser_is_the_minimum_norm_estimate(
    noise: str, prior: bool, free: bool
) -> None:
    p = problem(2, noise, prior, free)
    energy = SquaresEnergy(p, 0.3)
    for bound in ("operator",) if free else ("operator", "gram"):
        surrogate = SquaresMajorant(energy, bound).at(SourceState(somewhere(p)))  # pyright: ignore
        there = SourceState(somewhere(p, 5))
        rise = energy.value(there) - surrogate.energy
        assert torch.allclose(surrogate.change(there), rise, rtol=1e-9)
        best = surrogate.minimiser()
        assert norm(energy.value_and_grad(best)[1].x).max() < 1e-5
        rise = energy.value(best) - surrogate.energy
        assert torch.allclose(rise, -surrogate.promise(), rtol=1e-6)


@pytest.mark.parametrize(("noise", "prior", "free"), CASES)
def test_the_scalar_majorant_holds_for_every_step(noise: str, prior: bool, free: bool) -> None:
    p = problem(3, noise, prior, free)
    energy = SquaresEnergy(p, 0.3)
    surrogate = SquaresMajorant(energy).at(SourceState(somewhere(p)))
    for seed in range(20):
        there = SourceState(somewhere(p, seed, 10.0 ** (seed % 5 - 2)))
        rise = energy.value(there) - surrogate.energy
        assert (rise <= surrogate.change(there) * (1 + 1e-12) + 1e-12).all()
    best = surrogate.minimiser()
    assert (energy.value(best) <= surrogate.energy - surrogate.promise() + 1e-12).all()


def test_a_long_step_is_shortened_and_a_start_at_zero_may_move() -> None:
    p = problem(4)
    energy = SquaresEnergy(p, 0.1)
    zero = SourceState(torch.zeros(2, COLUMNS, TIMES, dtype=torch.float64))
    far = SourceState(somewhere(p, scale=1e20))
    step = norm(energy.admissible(zero, far).x)
    assert (step > 0).all()
    assert torch.allclose(step, 10 * norm(p.y) / energy.norm_bound())
    near = SourceState(somewhere(p, scale=1e-3))
    assert torch.equal(energy.admissible(zero, near).x, near.x)


def test_settings_that_make_no_energy_are_refused() -> None:
    p = problem()
    with pytest.raises(MajorantError, match="may not be negative"):
        SquaresEnergy(p, -1.0)
    pinned = Problem(p.operator, p.y, source_prior=torch.tensor([0.0] + [1.0] * (COLUMNS - 1)))
    with pytest.raises(MajorantError, match="1 columns have prior variance 0"):
        SquaresEnergy(pinned)
    singular = Problem(p.operator, p.y, noise=torch.ones(SENSORS, SENSORS))
    with pytest.raises(MajorantError, match="has to be positive"):
        SquaresEnergy(singular)
    with pytest.raises(MajorantError, match="choose 'scalar', 'gram' or 'operator'"):
        SquaresMajorant(SquaresEnergy(p), "exact")  # pyright: ignore[reportArgumentType]
    with pytest.raises(MajorantError, match="choose 'operator'"):
        SquaresMajorant(SquaresEnergy(problem(free=True)), "gram")
