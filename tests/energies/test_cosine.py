"""The cosine energy: closed form against automatic differentiation, and the corners."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from majorant.energies.cosine import CosineEnergy, SourceState, cosine_distance
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MajorantError, MatrixOperator, Problem


def parts(
    seed: int = 0, batch: int = 4, times: int = 6, **options: float
) -> tuple[CosineEnergy, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    gain = torch.randn(5, 9, generator=g, dtype=torch.float64)
    y = torch.randn(batch, 5, times, generator=g, dtype=torch.float64)
    prior = Autoencoder((9, 4, 4, 9), (1, 3, 1), generator=g).double()
    x = torch.randn(batch, 9, times, generator=g, dtype=torch.float64)
    return CosineEnergy(Problem(MatrixOperator(gain), y), prior, **options), x


def plain(energy: CosineEnergy, x: torch.Tensor) -> torch.Tensor:
    """The energy as it is written on paper."""
    flat = torch.nn.functional.cosine_similarity
    lx, y = energy.problem.operator.apply(x), energy.problem.y
    if energy.tikhonov:
        lx, y = torch.cat([lx, energy.tikhonov * x], 1), torch.cat([y, torch.zeros_like(x)], 1)
    u = 1 - flat(lx.flatten(1), y.flatten(1))
    assert energy.prior is not None
    return u + energy.weight * (1 - flat(x.flatten(1), energy.prior(x).flatten(1)))


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    exponent=st.floats(-6, 6),
    weight=st.sampled_from([1.0, 0.3]),
    tikhonov=st.sampled_from([0.0, 0.5]),
)
def test_value_and_gradient_equal_autograd(
    seed: int, exponent: float, weight: float, tikhonov: float
) -> None:
    energy, x = parts(seed, weight=weight, tikhonov=tikhonov)
    x = (x * 10.0**exponent).requires_grad_()
    expected = plain(energy, x)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    with torch.no_grad():
        point = energy.evaluate(x.detach())
    torch.testing.assert_close(point.energy, expected.detach(), rtol=1e-10, atol=1e-12)
    error = ((point.gradient - slope).norm() / slope.norm()).detach()
    assert float(error) < 1e-10
    torch.testing.assert_close(
        energy.value(SourceState(x.detach())).detach(), point.energy.detach()
    )
    torch.testing.assert_close(energy.gradient(x.detach()).detach(), point.gradient)


def test_small_angles_survive_single_precision() -> None:
    g = torch.Generator().manual_seed(2)
    a, e = (torch.randn(200, 90, 64, generator=g, dtype=torch.float64) for _ in range(2))
    b = a + 1e-4 * e
    truth = cosine_distance(a, b)
    single = cosine_distance(a.float(), b.float())
    assert float(((single - truth) / truth).abs().max()) < 1e-3
    close = a + 1e-9 * e  # an angle of 1e-9: one minus the cosine is 5e-19, and 0 by its formula
    turned = e - a * ((a * e).sum((1, 2)) / (a * a).sum((1, 2)))[:, None, None]
    angle = 1e-9 * turned.flatten(1).norm(dim=1) / a.flatten(1).norm(dim=1)
    torch.testing.assert_close(cosine_distance(a, close), 0.5 * angle**2, rtol=1e-3, atol=0)
    naive = 1 - torch.nn.functional.cosine_similarity(a.float().flatten(1), b.float().flatten(1))
    assert float(((naive - truth) / truth).abs().max()) > 1e-1


@pytest.mark.parametrize("tikhonov", [0.0, 0.5])
def test_zero_vectors_are_defined(tikhonov: float) -> None:
    energy, x = parts(tikhonov=tikhonov)
    y = energy.problem.y.clone()
    y[0] = 0
    x[1] = 0
    assert energy.prior is not None
    with torch.no_grad():
        energy.prior.get_parameter("layers.2.weight").zero_()
    zeroed = CosineEnergy(Problem(energy.problem.operator, y), energy.prior, tikhonov=tikhonov)
    point = zeroed.evaluate(x)
    assert torch.isfinite(point.gradient).all()
    torch.testing.assert_close(point.fidelity[:2], torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(point.prior, torch.ones(4, dtype=torch.float64))
    assert point.gradient[1].eq(0).all()
    alone = CosineEnergy(Problem(energy.problem.operator, y)).evaluate(x)
    torch.testing.assert_close(alone.energy, alone.fidelity)


def test_samples_do_not_see_each_other() -> None:
    energy, x = parts(batch=4)
    whole = energy.evaluate(x)
    one = CosineEnergy(
        Problem(energy.problem.operator, energy.problem.y[2:3]), energy.prior
    ).evaluate(x[2:3])
    torch.testing.assert_close(one.gradient[0], whole.gradient[2], rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(one.energy[0], whole.energy[2], rtol=1e-12, atol=1e-14)


def test_long_steps_are_shortened_and_others_left_alone() -> None:
    energy, x = parts()
    target = x.clone()
    target[0] += 1e9
    target[1] += 0.1
    target[2] = torch.nan
    limited = energy.admissible(SourceState(x), SourceState(target))
    step = (limited.x - x).flatten(1).norm(dim=1)
    torch.testing.assert_close(step[0], 10 * x[0].norm())
    assert torch.equal(limited.x[1], target[1])
    assert limited.finite().tolist() == [True, True, False, True]


def test_states_are_selected_not_mixed() -> None:
    bad = SourceState(torch.full((2, 3, 4), torch.nan))
    good = SourceState(torch.ones(2, 3, 4))
    chosen = good.where(torch.tensor([True, False]), bad)
    assert chosen.finite().tolist() == [True, False]
    half = good.toward(SourceState(torch.zeros(2, 3, 4)), 0.5)
    assert half.x.eq(0.5).all()


def test_mistakes_are_named() -> None:
    energy, _ = parts()
    with pytest.raises(MajorantError, match="negative"):
        CosineEnergy(energy.problem, weight=-1.0)
    with pytest.raises(MajorantError, match="made for 7 sources"):
        CosineEnergy(energy.problem, Autoencoder((7, 2, 7), (1, 1)))


def test_a_prior_that_overflows_says_nothing() -> None:
    energy, x = parts()
    assert energy.prior is not None
    x, problem = (
        x.float(),
        Problem(
            MatrixOperator(torch.randn(5, 9, generator=torch.Generator().manual_seed(1))),
            energy.problem.y.float(),
        ),
    )
    prior = energy.prior.float()
    with torch.no_grad():
        for p in prior.parameters():
            p.mul_(1e20)
        point = CosineEnergy(problem, prior).evaluate(x)
    assert torch.isfinite(point.energy).all()
    torch.testing.assert_close(point.prior, torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(point.gradient, CosineEnergy(problem).evaluate(x).gradient)


@pytest.mark.parametrize("alone", [False, True])
def test_some_samples_have_the_energies_that_they_have_among_all(alone: bool) -> None:
    energy, x = parts(3, batch=5, tikhonov=0.5)
    if alone:
        matrix = energy.problem.operator.matrix()
        assert matrix is not None
        own = MatrixOperator(matrix * torch.arange(1.0, 6.0).double()[:, None, None])
        energy = CosineEnergy(Problem(own, energy.problem.y), energy.prior, tikhonov=0.5)
    with torch.no_grad():
        whole = energy.evaluate(x)
        rows = torch.tensor([4, 1])
        some = energy.among(rows)
        point = some.evaluate(x[rows])
        torch.testing.assert_close(point.energy, whole.energy[rows])
        torch.testing.assert_close(point.gradient, whole.gradient[rows])
        torch.testing.assert_close(some.doubt(point), energy.doubt(whole)[rows])
        again = some.among(torch.tensor([1])).evaluate(x[[1]])
    torch.testing.assert_close(again.energy, whole.energy[[1]])


def test_a_float32_energy_of_some_samples_is_settled_as_among_all() -> None:
    energy, x = parts(4)
    assert isinstance(energy.prior, Autoencoder)
    problem = Problem(
        MatrixOperator(energy.problem.operator.matrix().float()),  # pyright: ignore
        energy.problem.y.float(),
    )
    single = CosineEnergy(problem, energy.prior.float())
    every = torch.ones(4, dtype=torch.bool)
    with torch.no_grad():
        exact, _ = single.exact(SourceState(x.float()), every)
        rows = torch.tensor([2, 0])
        some, _ = single.among(rows).exact(SourceState(x.float()[rows]), every[:2])
    torch.testing.assert_close(some, exact[rows], rtol=0, atol=0)


def test_a_point_is_settled_once_and_every_other_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    double, x = parts(5)
    single = CosineEnergy(
        Problem(
            MatrixOperator(double.problem.operator.matrix().float()),  # pyright: ignore
            double.problem.y.float(),
        )
    )
    asked, own = [], CosineEnergy._exact
    monkeypatch.setattr(
        CosineEnergy, "_exact", lambda self, x, rows: asked.append(rows) or own(self, x, rows)
    )
    here, there = SourceState(x.float()), SourceState(2.0 * x.float() + 1.0)
    every = torch.ones(4, dtype=torch.bool)
    some = torch.tensor([True, False, True, True])
    first = single.exact(here, every)[0]
    other = single.exact(there, every)[0]
    assert len(asked) == 2
    assert bool((first != other).all())
    assert torch.equal(single.exact(here, every.clone())[0], first)
    assert len(asked) == 2
    assert torch.equal(single.exact(here, some)[0], first[some])
    assert len(asked) == 3
    rows = torch.tensor([2, 3])
    assert torch.equal(single.among(rows).exact(SourceState(here.x[rows]), every[:2])[0], first[2:])
    assert len(asked) == 4
