"""The convex bound of the evidence lies above it everywhere, and a weaker claim would be false."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from majorant.energies.evidence import EvidenceEnergy, Statistics
from majorant.energies.gaussian import GaussianModel
from majorant.energies.variances import Covariance, LogVariance, Part, Variances, log_ratio
from majorant.majorants.evidence import EvidenceMajorant, EvidenceSurrogate
from majorant.problem import MatrixOperator, Problem

BATCH, SENSORS, LOCATIONS = 8, 6, 5
KINDS = [("fixed", "diagonal"), ("tied", "scalar"), ("block", "full"), ("block", "diagonal")]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def majorant(orientation="fixed", noise="diagonal", times: int = 8, seed: int = 0):
    lead, y = (
        normal(SENSORS, 3 * LOCATIONS, seed=seed),
        normal(BATCH, SENSORS, times, seed=seed + 1),
    )
    model = GaussianModel(Problem(MatrixOperator(lead, 3), y), orientation=orientation, noise=noise)
    return EvidenceMajorant(EvidenceEnergy(model))


def shaken(part: Part, size: float, seed: int) -> Part:
    """Far away in the geometry of the part, full rank."""
    if isinstance(part, LogVariance):
        return LogVariance(part.log + size * normal(*part.log.shape, seed=seed))
    assert isinstance(part, Covariance)
    d = part.matrix.shape[-1]
    factor = normal(*part.matrix.shape, seed=seed)
    scale = (size * normal(*part.matrix.shape[:2], seed=seed + 1)).exp()[..., None, None]
    return Covariance(scale * (factor @ factor.mT / d + 1e-3 * torch.eye(d).double()))


def shake(state: Variances, size: float, seed: int) -> Variances:
    return Variances(shaken(state.gamma, size, seed), shaken(state.noise, size, seed + 2))


def rise_above(bound: EvidenceMajorant, here: EvidenceSurrogate, there: Variances) -> Tensor:
    """How far the cost rises above the bound, beyond rounding; never positive if it is one.

    Where the covariance is singular to working precision there is no cost to compare.
    """
    change = here.change(there)
    trial = bound.at(there)
    slack = 1e-11 * (1 + change.abs() + here.energy.abs() + trial.energy.abs())
    excess = trial.energy - here.energy - change - slack - here.rounding - trial.rounding
    return torch.where(torch.isfinite(trial.energy), excess, -torch.inf)


@pytest.mark.parametrize(("orientation", "noise"), KINDS)
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    size=st.sampled_from([1e-3, 0.1, 1.0, 3.0, 9.0]),
    start=st.sampled_from([0.0, 1.0, 3.0]),
    times=st.sampled_from([6, 20]),
)
def test_no_step_lands_above_the_bound(orientation, noise, seed, size, start, times) -> None:
    bound = majorant(orientation, noise, times, seed % 97)
    here = bound.at(shake(bound.energy.model.start, start, seed))
    assert bool((rise_above(bound, here, shake(here.state, size, seed + 10)) <= 0).all())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    coordinate=st.integers(0, 15 + SENSORS - 1),
    step=st.floats(-40, 20),
)
def test_no_step_of_one_variance_lands_above_the_bound(seed, coordinate, step) -> None:
    bound = majorant(seed=seed % 97)
    here = bound.at(shake(bound.energy.model.start, 2.0, seed))
    both = torch.cat([here.state.log_gamma, here.state.log_noise], 1)
    both[:, coordinate] += step
    gamma, noise = both[:, :15], both[:, 15:]
    there = Variances(LogVariance(gamma), LogVariance(noise))
    assert bool((rise_above(bound, here, there) <= 0).all())


def climb(
    bound: EvidenceMajorant, here: EvidenceSurrogate, weight: float, steps: int = 60
) -> Tensor:
    """An adversary: gradient ascent on the cost minus the (weighted) bound."""
    step = torch.cat([here.state.log_gamma, here.state.log_noise], 1)
    step = (0.3 * normal(*step.shape, seed=4)).requires_grad_()
    worst = torch.full((BATCH,), -torch.inf).double()
    optimiser = torch.optim.Adam([step], lr=0.1)
    n = here.state.log_gamma.shape[1]
    for _ in range(steps):
        there = Variances(
            LogVariance(here.state.log_gamma + step[:, :n]),
            LogVariance(here.state.log_noise + step[:, n:]),
        )
        excess = bound.at(there).energy - here.energy - weight * here.change(there)
        worst = torch.maximum(worst, excess.detach())
        optimiser.zero_grad()
        (-excess.sum()).backward()
        optimiser.step()
    return worst


def test_an_adversary_finds_no_step_above_the_bound() -> None:
    bound = majorant()
    here = bound.at(shake(bound.energy.model.start, 1.0, 3))
    assert float(climb(bound, here, 1.0).max()) < 1e-9


@pytest.mark.parametrize("which", ["z", "a", "w", "b"])
def test_a_weakened_bound_is_found_out(which) -> None:
    bound = majorant(times=2)
    here = bound.at(shake(bound.energy.model.start, 1.0, 3))
    s = here.statistics
    weak = {k: getattr(s, k) * (0.9 if k == which else 1.0) for k in ("z", "a", "w", "b")}
    here.evidence.statistics = Statistics(**weak)
    assert float(climb(bound, here, 1.0).max()) > 1e-4


def test_half_of_the_bound_is_found_out() -> None:
    bound = majorant()
    here = bound.at(shake(bound.energy.model.start, 1.0, 3))
    assert float(climb(bound, here, 0.5).max()) > 1e-2


@pytest.mark.parametrize(("orientation", "noise"), KINDS)
def test_the_bound_touches_with_the_slope_of_the_cost(orientation, noise) -> None:
    bound = majorant(orientation, noise)
    here = bound.at(shake(bound.energy.model.start, 0.5, 5))
    assert float(here.change(here.state).abs().max()) < 1e-10
    there = shake(here.state, 0.5, 6)
    near = here.state.toward(there, 1e-6)
    first = here.slope(there)
    torch.testing.assert_close(1e6 * here.change(near), first, rtol=1e-2, atol=1e-2)
    true = 1e6 * (bound.at(near).energy - here.energy)
    torch.testing.assert_close(true, first, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("orientation", "noise"), KINDS)
def test_the_minimiser_minimises_the_bound(orientation, noise) -> None:
    bound = majorant(orientation, noise, times=12)
    here = bound.at(shake(bound.energy.model.start, 0.5, 7))
    best = here.minimiser()
    least = here.change(best)
    torch.testing.assert_close(here.promise(), -least)
    assert bool((least < 0).all())
    for seed in range(6):
        other = best.toward(shake(best, 1.0, seed), 10.0 ** -(seed % 3))
        assert bool((here.change(other) >= least - 1e-10).all())


def test_every_factor_between_one_and_q_is_safe_also_when_clipped() -> None:
    bound = majorant()
    here = bound.at(shake(bound.energy.model.start, 2.0, 8))
    s = here.statistics
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        share = torch.rand(BATCH, 15 + SENSORS, generator=generator, dtype=torch.float64)
        clip = 3 * torch.rand(BATCH, 1, generator=generator, dtype=torch.float64)
        gamma, noise = (share[:, :15] * log_ratio(s.a, s.z), share[:, 15:] * log_ratio(s.b, s.w))
        there = Variances(
            LogVariance(here.state.log_gamma + gamma.clamp(-clip, clip)),
            LogVariance(here.state.log_noise + noise.clamp(-clip, clip)),
        )
        assert bool((here.change(there) <= 1e-12).all())


def test_the_minimiser_stays_in_the_box() -> None:
    bound = majorant()
    model = bound.energy.model
    start = model.start
    low = model.within(
        start, Variances(LogVariance(start.log_gamma - 1e4), LogVariance(start.log_noise - 1e4))
    )
    best = bound.at(low).minimiser()
    assert bool((best.log_gamma >= low.log_gamma).all())
    assert bool((best.log_noise >= low.log_noise).all())


def test_a_block_that_loses_what_fits_has_no_finite_bound() -> None:
    bound = majorant("block", "diagonal")
    here = bound.at(bound.energy.model.start)
    assert isinstance(here.state.gamma, Covariance)
    flat = Covariance(here.state.gamma.matrix * torch.tensor([1.0, 1.0, 0.0]).double())
    assert bool(torch.isinf(here.change(Variances(flat, here.state.noise))).all())


@pytest.mark.parametrize("times", [1, 2, 9])
def test_the_bound_of_blocks_holds_where_few_times_make_them_singular(times) -> None:
    bound = majorant("block", "diagonal", times)
    here = bound.at(bound.energy.model.start)
    for _ in range(4):
        best = here.minimiser()
        after = bound.at(best)
        assert bool((after.energy - here.energy <= here.change(best) + 1e-9).all())
        assert bool((here.change(best) < 0).all())
        here = after
