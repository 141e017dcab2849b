"""The paper's learned baselines: counts, their own formulas, the loop, the guard, the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy
from majorant.learned.families import as_solver
from majorant.learned.fourdvarnet import FourDVarNetwork, FourDVarSettings
from majorant.learned.meta_curvature import MetaCurvatureNetwork, MetaCurvatureSettings
from majorant.learned.modgrad import ModGradNetwork, ModGradSettings
from majorant.learned.network import Geometry, UnrolledNetwork
from majorant.learned.windows import join, split
from majorant.majorants.guard import Guard
from majorant.networks.convlstm import square_parameters
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.solvers.loop import solve
from majorant.training.bilevel import bilevel_loss, unroll

SMALL = {"n_sources": 20, "prior_hidden": 6}
MAKERS: dict[str, tuple[Callable[..., Any], Any]] = {
    "4dvarnet": (FourDVarNetwork, FourDVarSettings(**SMALL, hidden=5)),
    "meta-curvature": (MetaCurvatureNetwork, MetaCurvatureSettings(**SMALL, n_times=7)),
    "modgrad": (ModGradNetwork, ModGradSettings(**SMALL, n_times=7, context=30)),
}
every_method = pytest.mark.parametrize("name", MAKERS)


def network(name: str, seed: int = 0, scale: float = 1.0, **changes: Any) -> UnrolledNetwork[Any]:
    make, settings = MAKERS[name]
    made = make(replace(settings, **changes), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(scale)
    return made


def problem(batch: int = 5, times: int = 7, dtype: torch.dtype = torch.float64) -> Problem:
    g = torch.Generator().manual_seed(1)
    gain = torch.randn(8, 20, generator=g, dtype=torch.float64).to(dtype)
    y = torch.randn(batch, 8, times, generator=g, dtype=torch.float64).to(dtype)
    return Problem(MatrixOperator(gain), y)


def test_the_paper_sizes_have_the_paper_counts() -> None:
    made = FourDVarNetwork(FourDVarSettings())
    assert square_parameters(made, made.prior) == 3_043_714
    assert sum(p.numel() for p in made.parameters()) == 1_557_058
    expected = {
        (MetaCurvatureNetwork, MetaCurvatureSettings, 64): 1_804_677,
        (MetaCurvatureNetwork, MetaCurvatureSettings, 500): 2_050_581,
        (ModGradNetwork, ModGradSettings, 64): 1_341_676,
        (ModGradNetwork, ModGradSettings, 500): 7_119_548,
    }
    for (make, settings, n_times), count in expected.items():
        assert sum(p.numel() for p in make(settings(n_times=n_times)).parameters()) == count


@every_method
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e15])
def test_under_the_guard_the_energy_never_rises_for_any_weights(name: str, scale: float) -> None:
    guarded = as_solver(network(name, 1, scale), guard=Guard(window=2))
    certificate = solve(problem(), guarded, max_iter=20).certificate
    assert certificate.holds()
    assert bool((certificate.energy[1:] <= certificate.energy[:-1]).all())


@every_method
def test_as_published_nothing_guards_and_rises_are_counted(name: str) -> None:
    net = network(name, 1, 5.0, relative=True, **({} if name == "4dvarnet" else {"step": 5.0}))
    certificate = solve(problem(), as_solver(net), max_iter=20).certificate
    assert certificate.guard == "off"
    assert not certificate.holds()


@every_method
@pytest.mark.parametrize("start", ["noise", "sloreta"])
def test_samples_do_not_depend_on_their_mates(name: str, start: str) -> None:
    net, whole = network(name, start=start, relative=True), problem()
    together = solve(whole, as_solver(net)).estimate
    for k in range(5):
        alone = solve(replace(whole, y=whole.y[k : k + 1]), as_solver(net)).estimate
        assert torch.allclose(alone[0], together[k], rtol=1e-9, atol=1e-12)


@every_method
def test_data_of_another_scale_give_the_same_estimate_at_that_scale(name: str) -> None:
    net, whole = network(name, relative=True), problem()
    one, other = (
        solve(replace(whole, y=factor * whole.y), as_solver(net)).estimate for factor in (1.0, 1e-6)
    )
    assert torch.allclose(one * 1e-6, other, rtol=1e-9)


@every_method
@pytest.mark.parametrize("relative", [False, True])
def test_the_engine_of_mm_net_trains_it(name: str, relative: bool) -> None:
    """A few steps on one batch lower its loss, with a gradient for every parameter that is used."""
    g = torch.Generator().manual_seed(3)
    step = {} if name == "4dvarnet" else {"step": 0.3}
    net = network(name, relative=relative, start="sloreta", iterations=4, **step)
    gain = torch.randn(8, 20, generator=g)
    truth = torch.zeros(16, 20, 7)
    truth[torch.arange(16), torch.arange(16)] = torch.randn(16, 7, generator=g)
    data = Problem(MatrixOperator(gain), gain @ truth)
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = bilevel_loss(net, unroll(net, data, Geometry()), truth)
        optimiser.zero_grad()
        loss.total.backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in net.parameters())
        optimiser.step()
        losses.append(float(loss.total.detach()))
    assert losses[-1] < losses[0] - 0.02


def one_step(net: UnrolledNetwork[Any], x: Tensor, g: Tensor, memory: Any) -> tuple[Tensor, Any]:
    return net.step(x, g, memory, Geometry())


def points() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(5)
    return torch.randn(3, 20, 7, generator=g), torch.randn(3, 20, 7, generator=g)


def test_4dvarnet_fades_from_the_learned_step_to_plain_descent() -> None:
    net = network("4dvarnet", descent=0.4)
    (x, g), memory = points(), net.begin(points()[0])
    for k in range(1, 4):
        after, seen = one_step(net, x, g, memory)
        modulated = net.decode(seen.hidden)  # type: ignore[operator]
        assert torch.allclose(x - after, modulated / k + 0.4 * k / 10 * g, atol=1e-6)
        memory = seen


def test_untrained_meta_curvature_is_gradient_descent() -> None:
    net = network("meta-curvature", step=0.25)
    x, g = points()
    assert torch.allclose(one_step(net, x, g, None)[0], x - 0.25 * g)


def test_meta_curvature_multiplies_from_both_sides() -> None:
    net = network("meta-curvature", step=0.5)
    x, g = points()
    with torch.no_grad():
        for p in (net.over_sources, net.over_time, net.factor):
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))  # type: ignore[operator, union-attr]
    bent = torch.einsum("ij,bjt,st->bis", net.over_sources, g, net.over_time)
    assert torch.allclose(one_step(net, x, g, None)[0], x - 0.5 * net.factor * bent, atol=1e-5)


def test_the_context_of_modgrad_is_minus_the_slope_of_the_energy_after_the_step() -> None:
    net = network("modgrad", step=0.2).double()
    assert isinstance(net, ModGradNetwork)
    data = problem(batch=2)
    energy = CosineEnergy(data, net.prior)
    x = net.start(data).contiguous() * 1e3
    gradient = energy.gradient(x)
    after, memory = one_step(net, x, gradient, net.begin(x))
    _, taught = one_step(net, after, energy.gradient(after), memory)

    def value(context: Tensor) -> Tensor:
        return energy.evaluate(x - 0.2 * net.mask(context) * gradient).energy

    context, tiny = torch.zeros(2, 30, dtype=torch.float64), 1e-6
    with torch.no_grad():
        for k in (0, 11, 29):
            moved = context.clone()
            moved[:, k] = tiny
            back = context.clone()
            back[:, k] = -tiny
            slope = (value(moved) - value(back)) / (2 * tiny)
            assert torch.allclose(taught.context[:, k], -slope, rtol=1e-4, atol=1e-9)


def test_windows_are_cut_and_joined() -> None:
    x = torch.arange(2 * 3 * 10.0).reshape(2, 3, 10)
    parts = split(x, 4)
    assert parts.shape == (6, 3, 4)
    assert torch.equal(parts[0], x[0, :, :4])
    assert torch.equal(parts[5, :, :2], x[1, :, 8:])
    assert not parts[5, :, 2:].any()
    assert torch.equal(join(parts, 10), x)
    assert torch.equal(join(split(x, 10), 10), x)


@pytest.mark.parametrize("name", ["meta-curvature", "modgrad"])
@pytest.mark.parametrize("times", [3, 7, 17])
def test_other_lengths_are_treated_window_by_window(name: str, times: int) -> None:
    net = network(name, relative=True)
    solution = solve(problem(times=times), as_solver(net, guard=Guard(window=2)))
    assert solution.estimate.shape == (5, 20, times)
    assert solution.certificate.holds()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: FourDVarSettings(hidden=0), "1 or more"),
        (lambda: FourDVarSettings(descent=-1.0), "descent"),
        (lambda: MetaCurvatureSettings(step=0.0), "step"),
        (lambda: MetaCurvatureSettings(n_times=0), "1 or more"),
        (lambda: ModGradSettings(step=-1.0), "step"),
        (lambda: ModGradSettings(start="nowhere"), "start"),
        (lambda: ModGradSettings(rate=0.0), "rate"),
    ],
)
def test_bad_settings_are_one_sentence(make: Callable[[], object], says: str) -> None:
    with pytest.raises(MajorantError, match=says):
        make()
