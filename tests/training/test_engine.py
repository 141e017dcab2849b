"""A step of training: what it keeps, what it waits for, and what does not change it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from majorant.energies.cosine import CosineEnergy
from majorant.forward.leadfield import Leadfield
from majorant.learned.unrolled import MMNetwork
from majorant.majorants.spectral import tap_sum_bound
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.training import compiled
from majorant.training.bilevel import Iteration, Unrolling, bilevel_loss, iterate, unroll
from majorant.training.descent import Descent, level_of
from majorant.training.engine import REIN, Engine
from majorant.training.fit import simulated
from majorant.training.presets import FAST, Recipe
from majorant.training.schedule import descent, focused, iterations, phases, warm

SMALL = Recipe(
    "small",
    replace(FAST, n_sources=10, prior_hidden=6, hidden=5, iterations=3),
    n_train=64,
    batch=8,
    rate=3e-3,
    prior_rate=3e-3,
    average=0.9,
    deep=0.5,
)


OVERSHOT = -2.0
"""A step along the gradient, in lengths of the state, of which a quarter lowers the energy."""


def engine(path: Leadfield, recipe: Recipe = SMALL, **options: Any) -> Engine:
    return Engine(recipe, simulated(recipe, path, "train", recipe.n_train), **options)


def weights(of: Engine, steps: int) -> list[Tensor]:
    for _ in range(steps):
        of.update()
    return [p.detach().clone() for p in of.network.parameters()]


def case(seed: int = 0, gain: float = 1.0) -> tuple[MMNetwork, Problem, Any]:
    """A network and a problem; with a large gain its steps overshoot."""
    g = torch.Generator().manual_seed(seed)
    network = MMNetwork(replace(SMALL.network, n_sources=9, initial=gain), g)
    operator = MatrixOperator(torch.randn(4, 9, generator=g))
    problem = Problem(operator, torch.randn(5, 4, 7, generator=g))
    return network, problem, network.geometry(operator, torch.float32)


@pytest.mark.parametrize("window", [1, 2, 5])
def test_under_the_guard_no_window_raises_the_energy(window: int) -> None:
    network, problem, geometry = case(gain=30.0)
    energy = CosineEnergy(problem, network.prior)
    start = level_of(energy, network.start(problem))
    free = unroll(network, problem, geometry, Unrolling(6))
    kept = unroll(network, problem, geometry, Unrolling(6, Descent(window)))
    ends = [x for k, x in enumerate(kept, start=1) if k % window == 0 or k == 6]
    levels = torch.stack([start, *(level_of(energy, x) for x in ends)])
    assert bool((levels[1:] <= levels[:-1] + 1e-6).all())
    unguarded = torch.stack([start, *(level_of(energy, x) for x in free)])
    assert bool((unguarded[1:] > unguarded[:-1] + 1e-6).any())
    loss = bilevel_loss(network, kept, torch.randn_like(kept[-1])).total
    loss.backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in network.parameters())


def test_a_guard_that_refuses_nothing_changes_nothing() -> None:
    network, problem, geometry = case(gain=0.01)
    free = unroll(network, problem, geometry, Unrolling(4))
    kept = unroll(network, problem, geometry, Unrolling(4, Descent(2)))
    assert all(torch.equal(a, b) for a, b in zip(free, kept, strict=True))


def test_samples_are_judged_one_by_one_and_tau_is_a_constant() -> None:
    _, problem, _ = case()
    energy = CosineEnergy(problem)
    x = problem.operator.adjoint(problem.y)
    slope = energy.gradient(x)
    unit = slope * (x.norm(dim=(1, 2)) / slope.norm(dim=(1, 2)))[:, None, None]
    size = torch.tensor([-0.01, 0.01, OVERSHOT, torch.nan, -0.02])
    target = x + size[:, None, None] * unit
    given = x.clone().requires_grad_()
    guard = Descent(1, halvings=3)
    kept, level = guard.keep(energy, given, level_of(energy, x), target + (given - x))
    shares = torch.tensor([1.0, 0.0, 0.25, 0.0, 1.0])
    expected = torch.where(shares[:, None, None] > 0, x + shares[:, None, None] * (target - x), x)
    torch.testing.assert_close(kept, expected)
    torch.testing.assert_close(level, level_of(energy, kept))
    pull = torch.autograd.grad(kept.nan_to_num().sum(), given)[0]
    torch.testing.assert_close(pull[[0, 1, 2, 4]], torch.ones_like(pull[[0, 1, 2, 4]]))


class Waits(TorchDispatchMode):
    """Counts how often the host reads a number of a tensor."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_nothing_in_a_step_waits_for_the_device(
    path: Leadfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(SMALL, guard="on", guard_window=1, warm=0)
    looks, masks = engine(path, recipe), engine(path, recipe, fused=True)
    problem, truth, geometry = masks._pairs(torch.arange(8), 0)
    monkeypatch.setattr(masks, "_pairs", lambda own, epoch: (problem, truth, geometry))
    monkeypatch.setattr(looks, "_pairs", lambda own, epoch: (problem, truth, geometry))
    with Waits() as seen:
        looks.loss(torch.arange(8))
    assert seen.count > 0
    looks.update()
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    with Waits() as seen:
        masks.loss(torch.arange(8)).total.backward()
    assert seen.count == 0
    masks.update()
    pairs = zip(looks.network.parameters(), masks.network.parameters(), strict=True)
    assert max(float((a - b).detach().abs().max()) for a, b in pairs) < 1e-5


@pytest.mark.parametrize("fused", [False, True])
def test_a_gradient_that_is_not_finite_is_no_step(
    path: Leadfield, monkeypatch: pytest.MonkeyPatch, fused: bool
) -> None:
    made = engine(path, fused=fused)
    made.update()
    before = weights(made, 0)
    pairs = made._pairs

    def broken(own: Tensor, epoch: int) -> Any:
        problem, truth, geometry = pairs(own, epoch)
        return problem, truth * torch.nan, geometry

    monkeypatch.setattr(made, "_pairs", broken)
    assert all(torch.equal(a, b) for a, b in zip(before, weights(made, 1), strict=True))
    monkeypatch.setattr(made, "_pairs", pairs)
    assert not all(torch.equal(a, b) for a, b in zip(before, weights(made, 1), strict=True))


def test_a_batch_too_large_for_the_memory_is_one_sentence(
    path: Leadfield, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = engine(path)

    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("tried to allocate")

    monkeypatch.setattr(made, "iteration", full)
    with pytest.raises(MajorantError, match="take --checkpointing"):
        made.update()


def test_checkpointing_takes_the_same_steps(path: Leadfield) -> None:
    recipe = replace(SMALL, guard="late", guard_after=0.0)
    plain = weights(engine(path, recipe), 3)
    again = weights(engine(path, replace(recipe, checkpointing=True)), 3)
    for a, b in zip(plain, again, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_checkpointing_keeps_less(path: Leadfield) -> None:
    network, problem, geometry = case()

    def kept(checkpointing: bool) -> int:
        sizes: dict[int, int] = {}

        def pack(t: Tensor) -> Tensor:
            sizes[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            unroll(network, problem, geometry, Unrolling(10, checkpointing=checkpointing))
        return sum(sizes.values())

    assert kept(True) < 0.5 * kept(False)


@pytest.mark.parametrize("error", [RuntimeError, OSError, ImportError, AssertionError])
def test_without_a_compiler_training_goes_on_and_says_so(
    path: Leadfield, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def no_compiler() -> Iteration:
        def fails(*_: Any) -> Any:
            raise error("no working C++ compiler was found\nand more lines")

        return fails

    monkeypatch.setattr(compiled, "_compiled", no_compiler)
    said: list[str] = []
    made = engine(path, compiled=True, say=said.append)
    assert len(said) == 1
    assert "no working C++ compiler" in said[0]
    assert "\n" not in said[0]
    assert made.iteration is iterate
    same = zip(weights(made, 2), weights(engine(path), 2), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


def test_what_is_compiled_by_default() -> None:
    assert compiled.worth_it(torch.device("cuda"), None)
    assert not compiled.worth_it(torch.device("cpu"), None)
    assert compiled.worth_it(torch.device("cpu"), True)
    assert not compiled.worth_it(torch.device("cuda"), False)


def test_a_step_is_a_function_of_its_number() -> None:
    recipe = replace(SMALL, lengths=(2, 7), warm=5, guard="late", guard_after=0.5, epochs=20)
    drawn = [iterations(recipe, k) for k in range(recipe.steps)]
    assert set(drawn) == set(range(2, 8))
    assert drawn == [iterations(recipe, k) for k in range(recipe.steps)]
    assert {warm(recipe, k) for k in range(recipe.steps)} == set(range(6))
    assert [descent(recipe, k) is not None for k in (0, 79, 80, 159)] == [False, False, True, True]
    assert descent(replace(recipe, guard="on"), 0) == Descent(2)
    assert descent(SMALL, 10**6) is None
    narrow = replace(recipe, focus=24, widen=0.25)
    assert [focused(narrow, k) for k in (0, 39, 40)] == [True, True, False]
    assert [share for share, _ in phases(narrow)] == [0.25, 0.25, 0.5]


def test_random_lengths_and_warm_starts_train(path: Leadfield) -> None:
    recipe = replace(SMALL, lengths=(1, 4), warm=3, guard="on")
    made = engine(path, recipe)
    losses = torch.stack([made.update() for _ in range(4)])
    assert bool(losses.isfinite().all())
    made.step = 2
    again = engine(path, recipe)
    again.step = 2
    assert iterations(recipe, made.step) == iterations(recipe, again.step)


def test_early_windows_are_cut_around_the_peak(path: Leadfield) -> None:
    recipe = replace(SMALL, focus=24, widen=0.5)
    made = engine(path, recipe)
    problem, truth, _ = made._pairs(torch.arange(6), 0)
    assert problem.n_times == truth.shape[2] == 6
    peak = truth.abs().amax(1)
    assert bool((peak.amax(1) > 0.9).all())
    made.step = recipe.steps
    whole, _, _ = made._pairs(torch.arange(6), 0)
    assert whole.n_times == 16
    with pytest.raises(MajorantError, match="cannot be cut"):
        engine(path, replace(recipe, focus=1_000))


def test_recipes_refuse_what_trains_nothing() -> None:
    with pytest.raises(MajorantError, match="guard in training"):
        replace(SMALL, guard="sometimes")
    with pytest.raises(MajorantError, match="lengths"):
        replace(SMALL, lengths=(4, 2))
    with pytest.raises(MajorantError, match="trains nothing"):
        replace(SMALL, batch=0)
    odd = replace(SMALL, lengths=(1, 4), guard="late", warm=2, focus=24, checkpointing=True)
    assert Recipe.from_dict(odd.to_dict()) == odd
    assert "guard" not in SMALL.to_dict()


def test_layers_of_the_prior_are_held_to_their_norm(path: Leadfield) -> None:
    def norms(recipe: Recipe) -> list[float]:
        trained = engine(path, recipe)
        weights(trained, REIN)
        return [float(tap_sum_bound(w)) for w in trained.network.prior.weights]

    free = norms(SMALL)
    cap = 0.5 * min(free)
    assert max(norms(replace(SMALL, spectral=cap))) <= cap * (1 + 1e-5)
    assert min(free) > cap
    assert norms(replace(SMALL, spectral=10 * max(free))) == free
