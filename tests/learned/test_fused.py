"""MM-Net by compiled loops: the same numbers, the same guarantee, for any batch."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from majorant.energies.cosine import CosineEnergy
from majorant.learned import fused
from majorant.learned.fused import kernels, rows, suits
from majorant.learned.fused.energy import FusedEnergy, Layers
from majorant.learned.fused.proposal import FusedProposal
from majorant.learned.mmnet import CurvatureProposal, MMNet
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.majorants.guard import Guard
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.loop import solve

SMALL = MMNetSettings(
    n_sources=20, prior_hidden=6, prior_kernels=(1, 3, 1), hidden=5, outer=1, iterations=6
)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def solver(scale: float = 1.0, made: MMNetSettings = SMALL, **options: Any) -> MMNet:
    network = MMNetwork(made, generator(1))
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(scale)
    return MMNet(network, **options)


def problem(batch: int = 1, n_times: int = 7, dtype: torch.dtype = torch.float32) -> Problem:
    gain = torch.randn(8, 20, generator=generator(2), dtype=torch.float64).to(dtype)
    y = torch.randn(batch, 8, n_times, generator=generator(3), dtype=torch.float64).to(dtype)
    return Problem(MatrixOperator(gain), y)


def energies(weight: float = 1.0, batch: int = 1) -> tuple[CosineEnergy, FusedEnergy]:
    given, network = problem(batch), MMNetwork(SMALL, generator(4))
    plain = CosineEnergy(given, network.prior, weight)
    layers = Layers(given.operator, network)
    return plain, FusedEnergy(given, network.prior, weight, layers)


@pytest.fixture(params=[512, 10])
def together(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """All samples at once, and one by one."""
    monkeypatch.setattr(rows, "TOGETHER", request.param)
    return request.param


@torch.no_grad()
def test_some_samples_have_the_energies_that_they_have_among_all(together: int) -> None:
    _, quick = energies(batch=4)
    x = torch.randn(4, 20, 7, generator=generator(5))
    whole, rows_ = quick.evaluate(x), torch.tensor([3, 1])
    some = quick.among(rows_).evaluate(x[rows_])
    torch.testing.assert_close(some.energy, whole.energy[rows_])
    torch.testing.assert_close(some.gradient, whole.gradient[rows_])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("weight", [1.0, 0.3])
@torch.no_grad()
def test_energy_parts_and_gradient_are_those_of_the_general_formulas(
    weight: float, batch: int, together: int
) -> None:
    plain, quick = energies(weight, batch)
    x = torch.randn(batch, 20, 7, generator=generator(5))
    expected, found = plain.evaluate(x), quick.evaluate(x)
    for name in ("energy", "fidelity", "prior", "cos_data", "norm_data", "norm_x", "norm_phi"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.steepness, expected.steepness)
    assert torch.equal(found.state.finite(), expected.state.finite())
    for mine, theirs in zip(found.slope.arrived, expected.slope.arrived, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    assert found.kept is not None
    assert expected.kept is not None
    torch.testing.assert_close(found.kept.output, expected.kept.output)
    for mine, theirs in zip(found.kept.slopes, expected.kept.slopes, strict=True):
        torch.testing.assert_close(mine, theirs)
    for mine, theirs in zip(found.kept.before, expected.kept.before, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"positive": False},
        {"prior_kernels": (1, 1, 1)},
        {"prior_kernels": (1, 5, 1), "inner": 1},
        {"weight": 0.5, "gamma": 1.3},
        {"start": "sloreta"},
    ],
)
@pytest.mark.parametrize("guard", [None, Guard("off", window=1), Guard(window=5), Guard(window=1)])
@pytest.mark.parametrize("batch", [1, 3])
def test_estimates_and_energies_are_those_of_the_plain_steps(
    change: dict[str, Any], guard: Guard | None, batch: int, together: int
) -> None:
    made, given = replace(SMALL, **change), problem(batch)
    quick, plain = (solver(made=made, guard=guard, fused=fused) for fused in (True, False))
    assert isinstance(quick.proposal(given), FusedProposal)
    found, expected = solve(given, quick), solve(given, plain)
    torch.testing.assert_close(found.estimate, expected.estimate, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(
        found.certificate.energy, expected.certificate.energy, rtol=0, atol=1e-6
    )
    assert torch.equal(found.certificate.refused, expected.certificate.refused)


@settings(deadline=None, max_examples=25)
@given(scale=st.sampled_from([0.1, 1.0, 30.0, 1e4, 1e20]), n_times=st.integers(1, 9))
def test_the_guard_keeps_the_descent_for_any_weights(scale: float, n_times: int) -> None:
    kept = solve(problem(n_times=n_times), solver(scale), max_iter=30)
    assert kept.certificate.holds()
    assert torch.isfinite(kept.estimate).all()


def test_without_the_guard_the_energy_rises() -> None:
    free = solve(problem(), solver(30.0), max_iter=30, guard=Guard("off", window=1))
    assert not free.certificate.holds()


def test_a_window_solved_alone_is_the_one_solved_among_others() -> None:
    among = solve(problem(batch=3), solver())
    for i in range(3):
        several = problem(batch=3)
        alone = solve(replace(several, y=several.y[i : i + 1]), solver())
        torch.testing.assert_close(alone.estimate[0], among.estimate[i], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1e38])
def test_a_prior_that_says_nothing_or_too_much_counts_as_in_the_general_formulas(
    value: float, together: int
) -> None:
    quick, plain = solver(), solver(fused=False)
    for each in (quick, plain):
        with torch.no_grad():
            each.network.prior.layers[2].weight.fill_(value)
    found, expected = solve(problem(2), quick), solve(problem(2), plain)
    torch.testing.assert_close(found.estimate, expected.estimate, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.certificate.energy, expected.certificate.energy)
    assert found.certificate.holds()


@torch.no_grad()
def test_one_sample_that_overflows_does_not_touch_its_mates(together: int) -> None:
    plain, quick = energies(batch=3)
    x = torch.randn(3, 20, 7, generator=generator(5))
    x[1] *= 3e38
    expected, found = plain.evaluate(x), quick.evaluate(x)
    alone = quick.evaluate(x[:1]), energies(batch=1)
    assert found.norm_phi[1] == 0
    assert torch.equal(found.norm_phi == 0, expected.norm_phi == 0)
    torch.testing.assert_close(found.prior, expected.prior)
    torch.testing.assert_close(found.gradient[0], alone[0].gradient[0], rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.gradient[2], expected.gradient[2], rtol=1e-4, atol=1e-6)


def test_samples_that_have_stopped_stay_where_they_are(together: int) -> None:
    given, quick = problem(3), solver()
    mixed = replace(given, y=given.y * torch.tensor([1.0, 0.0, 1.0])[:, None, None])
    found = solve(mixed, quick)
    expected = solve(given, quick)
    assert not found.estimate[1].any()
    for i in (0, 2):
        torch.testing.assert_close(found.estimate[i], expected.estimate[i], rtol=1e-4, atol=1e-4)


def test_a_network_that_says_nan_moves_nothing_past_the_guard(together: int) -> None:
    broken = solver()
    with torch.no_grad():
        broken.network.curvature.decode_1.weight[0, 0] = torch.nan
    found = solve(problem(3), broken, max_iter=20)
    assert found.certificate.holds()
    assert int(found.certificate.refused.min()) == 10
    assert torch.isfinite(found.estimate).all()


LINE = torch.linspace(-120, 120, 4801)
EDGES = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30, -1e30, 0.0, -0.0])


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (kernels.logistic, torch.sigmoid),
        (kernels.softplus, torch.nn.functional.softplus),
        (kernels.exponential, torch.exp),
    ],
)
def test_exponentials_are_right_to_the_rounding_of_float32(mine: Any, theirs: Any) -> None:
    inside = LINE.abs() < 87
    found = torch.tensor([mine(np.float32(z)) for z in LINE.tolist()])
    expected = theirs(LINE.double())
    torch.testing.assert_close(found[inside].double(), expected[inside], rtol=4e-7, atol=0.0)
    ends = torch.tensor([mine(np.float32(z)) for z in EDGES.tolist()])
    assert torch.isnan(ends[0])
    assert torch.isfinite(ends[2:3]).all()
    assert float(ends[2]) < 1e-37
    assert float(ends[4]) < 1e-37


def test_without_a_compiler_the_general_formulas_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fused, "_compiles", lambda: False)
    assert type(solver().proposal(problem())) is CurvatureProposal
    assert solve(problem(), solver()).certificate.holds()


def test_silent_data_stay_silent() -> None:
    silent = problem()
    found = solve(replace(silent, y=torch.zeros_like(silent.y)), solver())
    assert not found.estimate.any()
    assert "no data" in found.status[0].value or found.status[0].name == "NO_DATA"


def test_only_what_the_formulas_are_for_is_taken_by_them() -> None:
    network, one = solver().network, problem()
    assert suits(network, one)
    assert suits(network, problem(batch=2))
    assert not suits(network, problem(dtype=torch.float64))
    assert not suits(MMNetwork(replace(SMALL, outer=3), generator(0)), one)
    assert not suits(MMNetwork(replace(SMALL, prior_kernels=(3, 3, 3)), generator(0)), one)
    assert not suits(MMNetwork(replace(SMALL, step="gram"), generator(0)), one)
    each = problem().operator.matrix()
    assert each is not None
    assert not suits(network, Problem(MatrixOperator(each[None]), one.y))
    assert type(solver(fused=False).proposal(one)) is CurvatureProposal
    assert not isinstance(solver(limit="v2").proposal(one), FusedProposal)


def test_weights_are_laid_out_once_for_a_lead_field() -> None:
    quick, one = solver(), problem()
    first, second = (quick.majorant(one).energy for _ in range(2))
    assert isinstance(first, FusedEnergy)
    assert isinstance(second, FusedEnergy)
    assert first._layers is second._layers
    other = quick.majorant(problem()).energy
    assert isinstance(other, FusedEnergy)
    assert other._layers is not first._layers


def test_copies_and_other_processes_solve_the_same() -> None:
    one, quick = problem(), solver()
    expected = solve(one, quick).estimate
    for again in (copy.deepcopy(quick), pickle.loads(pickle.dumps(quick))):
        assert torch.equal(solve(one, again).estimate, expected)


def test_no_step_is_longer_than_ten_times_its_origin(together: int) -> None:
    free, given = Guard("off", window=1), problem(3)
    quick, plain = (
        solver(30.0, made=replace(SMALL, start="sloreta"), guard=free, fused=fused)
        for fused in (True, False)
    )
    found, expected = (solve(given, own, max_iter=1, keep_trace=True) for own in (quick, plain))
    first, second = (state.x.flatten(1).norm(dim=1) for state in found.trace)
    length = (found.trace[1].x - found.trace[0].x).flatten(1).norm(dim=1)
    torch.testing.assert_close(length, 10.0 * first, rtol=1e-4, atol=0)  # cut, not short
    assert (second > first).all()
    torch.testing.assert_close(found.trace[1].x, expected.trace[1].x, rtol=1e-4, atol=1e-3)
