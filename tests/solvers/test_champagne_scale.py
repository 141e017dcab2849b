"""Evidence solvers at any scale of data and lead field, in both precisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from majorant.energies.units import normalised
from majorant.learned.unfolded import UnfoldedSBL
from majorant.problem import MatrixOperator, Problem, Solution, Status
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

from .bayes import easy

SCALES = (1e-30, 1e-12, 1e20, 1e30)
"""Of the data; estimates in float32 hold no more."""


def _solvers(noise: Any) -> tuple[Any, ...]:
    unfolded = UnfoldedSBL("mlp", "gated", 3, noise=noise)
    with torch.no_grad():
        for weight in unfolded.corrections.parameters():
            weight.fill_(0.05)
    return Champagne(noise=noise, max_iter=32), Champagne("cb", noise, max_iter=4), unfolded


def _close(own: Solution, one: Solution, scale: float, rtol: float) -> None:
    assert bool(torch.isfinite(own.estimate).all())
    size = one.estimate.double().abs().amax()
    miss = (own.estimate.double() / scale - one.estimate.double()).abs().amax()
    assert float(miss) < rtol * float(size)
    assert own.variance is not None
    assert one.variance is not None
    torch.testing.assert_close(
        own.variance / scale**2, one.variance, rtol=rtol, atol=rtol * float(one.variance.max())
    )
    first, second = (
        torch.tensor(s.details["noise_variance"], dtype=torch.float64) for s in (one, own)
    )
    torch.testing.assert_close(second / scale**2, first, rtol=rtol, atol=0.0)
    assert own.status == one.status


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-5), (torch.float32, 2e-3)])
def test_the_scale_of_the_data_does_not_matter_where_noise_is_learned(dtype, rtol) -> None:
    double = easy(batch=1)[0]
    lead = double.operator.matrix().to(dtype)
    for solver in _solvers("diagonal"):
        one = solve(Problem(MatrixOperator(lead), double.y.to(dtype)), solver)
        for scale in SCALES:
            y = (scale * double.y).to(dtype)
            _close(solve(Problem(MatrixOperator(lead), y), solver), one, scale, rtol)


@pytest.mark.parametrize(("dtype", "rtol"), [(torch.float64, 1e-5), (torch.float32, 2e-3)])
def test_nor_where_it_is_given(dtype, rtol) -> None:
    double, _, variance = easy(batch=1)
    lead = double.operator.matrix().to(dtype)
    given = Problem(MatrixOperator(lead), double.y.to(dtype), noise=variance[0])
    for solver in _solvers("given"):
        one = solve(given, solver)
        for scale in SCALES:
            y, noise = (scale * double.y).to(dtype), scale**2 * variance[0]
            own = solve(Problem(MatrixOperator(lead), y, noise=noise), solver)
            _close(own, one, scale, rtol)


def test_the_scale_of_the_lead_field_is_that_of_the_estimate_inverted() -> None:
    double = easy(batch=1)[0]
    lead = double.operator.matrix()
    for solver in _solvers("diagonal"):
        one = solve(double, solver)
        for scale in (1e-20, 1e9, 1e20):
            own = solve(Problem(MatrixOperator(scale * lead), double.y), solver)
            torch.testing.assert_close(scale * own.estimate, one.estimate, rtol=1e-4, atol=1e-4)


def test_samples_of_every_scale_share_a_batch() -> None:
    """Float32: each sample is what it is alone."""
    double = easy(batch=3)[0]
    scales = torch.tensor([1e-20, 1.0, 1e20]).double()[:, None, None]
    lead = double.operator.matrix().float()
    mixed = Problem(MatrixOperator(lead), (scales * double.y).float())
    found = solve(mixed, Champagne("cb", max_iter=5))
    plain = solve(Problem(MatrixOperator(lead), double.y.float()), Champagne("cb", max_iter=5))
    torch.testing.assert_close(
        found.estimate.double() / scales, plain.estimate.double(), rtol=1e-3, atol=1e-3
    )


def test_the_evidence_counts_in_the_units_of_the_caller() -> None:
    problem = easy(batch=2)[0]
    one = solve(problem, Champagne("cb", max_iter=3))
    own = solve(replace(problem, y=1e-6 * problem.y), Champagne("cb", max_iter=3))
    shift = 2.0 * problem.operator.n_sensors * torch.tensor(1e-6).double().log()
    torch.testing.assert_close(own.certificate.energy, one.certificate.energy + shift)


def test_units_are_powers_of_two_and_alter_no_digit() -> None:
    problem = easy(batch=2)[0]
    own, units = normalised(problem, learned=True)
    for unit in (*units.data.tolist(), float(units.lead)):
        assert torch.tensor(unit).log2() % 1 == 0
    assert torch.equal(own.y * units.data[:, None, None], problem.y)
    silent = replace(problem, y=torch.zeros_like(problem.y))
    assert set(solve(silent, Champagne()).status) == {Status.NO_DATA}
