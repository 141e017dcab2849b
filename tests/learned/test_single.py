"""One window is solved by formulas of its own: the same estimates, the same guarantee."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from majorant.energies.cosine import CosineEnergy
from majorant.learned.mmnet import CurvatureProposal, MMNet, SingleProposal
from majorant.learned.single import Layers, SingleEnergy, suits
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


def energies(weight: float = 1.0) -> tuple[CosineEnergy, SingleEnergy]:
    given, prior = problem(), SMALL.prior(generator(4))
    lead = given.operator.matrix()
    assert lead is not None
    plain = CosineEnergy(given, prior, weight)
    return plain, SingleEnergy(given, prior, weight, Layers(lead, prior))


@pytest.mark.parametrize("weight", [1.0, 0.3])
@torch.no_grad()
def test_energy_parts_and_gradient_are_those_of_the_general_formulas(weight: float) -> None:
    plain, single = energies(weight)
    x = torch.randn(1, 20, 7, generator=generator(5))
    expected, found = plain.evaluate(x), single.evaluate(x)
    for name in ("energy", "fidelity", "prior", "cos_data", "norm_data", "norm_x", "cos_prior"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-6, atol=0)
    torch.testing.assert_close(found.gradient, expected.gradient, rtol=1e-4, atol=1e-6)
    for mine, theirs in zip(found.arrived, expected.arrived, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    assert found.kept is not None
    assert expected.kept is not None
    for mine, theirs in zip(found.kept.slopes, expected.kept.slopes, strict=True):
        torch.testing.assert_close(mine, theirs)
    slope, size = single.slope(x[0].mT)
    torch.testing.assert_close(slope.mT[None], plain.gradient(x), rtol=1e-4, atol=1e-6)
    assert size == pytest.approx(float(x.double().norm()))


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
def test_estimates_and_energies_are_those_of_the_plain_steps(
    change: dict[str, Any], guard: Guard | None
) -> None:
    made = replace(SMALL, **change)
    quick, plain = (solver(made=made, guard=guard, single=single) for single in (True, False))
    assert isinstance(quick.proposal(problem()), SingleProposal)
    found, expected = solve(problem(), quick), solve(problem(), plain)
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
    together = solve(problem(batch=3), solver())
    for i in range(3):
        several = problem(batch=3)
        alone = solve(replace(several, y=several.y[i : i + 1]), solver())
        torch.testing.assert_close(alone.estimate[0], together.estimate[i], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, float("inf")])
def test_a_prior_that_says_nothing_or_too_much_is_the_general_formulas_matter(value: float) -> None:
    quick, plain = solver(), solver(single=False)
    for each in (quick, plain):
        with torch.no_grad():
            each.network.prior.layers[2].weight.fill_(1e38 if value else 0.0)
    found, expected = solve(problem(), quick), solve(problem(), plain)
    torch.testing.assert_close(found.estimate, expected.estimate, rtol=1e-4, atol=1e-4)
    assert found.certificate.holds()


def test_silent_data_stay_silent() -> None:
    silent = problem()
    found = solve(replace(silent, y=torch.zeros_like(silent.y)), solver())
    assert not found.estimate.any()
    assert "no data" in found.status[0].value or found.status[0].name == "NO_DATA"


def test_only_what_the_formulas_are_for_is_taken_by_them() -> None:
    network, one = solver().network, problem()
    assert suits(network, one)
    assert not suits(network, problem(batch=2))
    assert not suits(network, problem(dtype=torch.float64))
    assert not suits(MMNetwork(replace(SMALL, outer=3), generator(0)), one)
    assert not suits(MMNetwork(replace(SMALL, prior_kernels=(3, 3, 3)), generator(0)), one)
    assert not suits(MMNetwork(replace(SMALL, step="gram"), generator(0)), one)
    each = problem().operator.matrix()
    assert each is not None
    assert not suits(network, Problem(MatrixOperator(each[None]), one.y))
    assert type(solver(single=False).proposal(one)) is CurvatureProposal
    assert not isinstance(solver(limit="v2").proposal(one), SingleProposal)


def test_weights_are_laid_out_once_for_a_lead_field() -> None:
    quick, one = solver(), problem()
    first, second = (quick.majorant(one).energy for _ in range(2))
    assert isinstance(first, SingleEnergy)
    assert isinstance(second, SingleEnergy)
    assert first._layers is second._layers
    other = quick.majorant(problem()).energy
    assert isinstance(other, SingleEnergy)
    assert other._layers is not first._layers


def test_copies_and_other_processes_solve_the_same() -> None:
    one, quick = problem(), solver()
    expected = solve(one, quick).estimate
    for again in (copy.deepcopy(quick), pickle.loads(pickle.dumps(quick))):
        assert torch.equal(solve(one, again).estimate, expected)
