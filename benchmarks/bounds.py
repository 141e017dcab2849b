"""How the bounds of the cosine energy behave: the numbers of ``docs/guarantees.md``.

Every number there that is not a proof comes from here::

    python -m benchmarks.bounds          # all of them, a few minutes on one core
    python -m benchmarks.bounds hessian  # one of them
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from benchmarks.reference import (
    LBFGS,
    EnergyComparison,
    GradientDescent,
    compare_energies,
)
from majorant.energies.cosine import CosineEnergy, SourceState, cosine_distance
from majorant.energies.lengths import norm
from majorant.forward.leadfield import Leadfield
from majorant.linalg import squared_norm
from majorant.majorants.cosine import BOUNDS, HessianProducts, data_curvature
from majorant.majorants.prior import LayerNorms, PriorBounds, gauss_newton
from majorant.majorants.spectral import lanczos_estimate, power_estimate
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MatrixOperator, Problem
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.loop import solve
from majorant.solvers.mm import ClassicalMM, Cosine, Minimise
from majorant.weights.shipped import mm_net

PriorRule = Literal["uniform", "version1", "ball", "diagonal"]


def rng(seed: int) -> torch.Generator:
    """A generator of its own for every experiment."""
    return torch.Generator().manual_seed(seed)


def global_majorant_gap(n_draws: int, seed: int = 0) -> float:
    """Smallest gap of theorem 1 over random a, y, b, relative to ``1 + |b|^2/|a|^2``.

    Dimensions 2 to 9; a third of the ``b`` close to ``a``, a third close to zero and against ``y``.
    """
    g, worst = rng(seed), math.inf
    for dimension in range(2, 10):
        n = n_draws // 8
        a, y, b = torch.randn(3, n, dimension, generator=g, dtype=torch.float64)
        size = 10 ** (6 * torch.rand(n, 1, generator=g, dtype=torch.float64) - 6)
        which = torch.randint(3, (n, 1), generator=g)
        b = torch.where(which == 0, a + size * b, torch.where(which == 1, -size * y, b))
        size_a = norm(a)
        unit_a, unit_y = a / size_a[:, None], y / norm(y)[:, None]
        c = (unit_a * unit_y).sum(1)
        slope = -(unit_y - c[:, None] * unit_a) / size_a[:, None]
        ratio = squared_norm(b - a) / size_a**2
        bound = cosine_distance(a, y) + (slope * (b - a)).sum(1) + (1 + c) * ratio
        gap = (bound - cosine_distance(b, y)) / (1 + ratio)
        worst = min(worst, float(gap.min()))
    return worst


def data_step_rises(n_problems: int, gamma: float, seed: int = 0) -> int:
    """Rises of the data term alone after the step of the local bound, random problems."""
    g, rises = rng(seed), 0
    for _ in range(n_problems // 200):
        matrix = torch.randn(4, 6, generator=g, dtype=torch.float64)
        y = torch.randn(200, 4, 1, generator=g, dtype=torch.float64)
        x = torch.randn(200, 6, 1, generator=g, dtype=torch.float64)
        energy = CosineEnergy(Problem(MatrixOperator(matrix), y))
        point = energy.evaluate(x)
        size = torch.linalg.matrix_norm(matrix, 2)
        mu = data_curvature("local", point.cos_data) * size**2 / point.norm_data**2
        there = energy.value(SourceState(x - gamma * point.gradient / mu[:, None, None]))
        rises += int((there > point.energy + 1e-12).sum())
    return rises


def prior_alone(prior: Autoencoder, x: Tensor) -> CosineEnergy:
    """The prior term by itself: silent data leave a constant."""
    n, sources, times = x.shape
    silent = Problem(MatrixOperator(x.new_ones(1, sources)), x.new_zeros(n, 1, times))
    return CosineEnergy(silent, prior)


def handmade() -> tuple[Autoencoder, Tensor]:
    """A prior and a point where version 2's own step raises the prior term.

    ``W1 = [0 10]``, ``W2 = [1 0]'``, ``W3 = [-1 1; 0.1 0.1]``, ``x = (1, -1/2)``. The one hidden
    unit is off at ``x`` and the step switches it on: nothing at ``x`` could have told.
    """
    prior = Autoencoder((2, 1, 2, 2), (1, 1, 1)).double().requires_grad_(False)
    values = ([[0.0, 10.0]], [[1.0], [0.0]], [[-1.0, 1.0], [0.1, 0.1]])
    for w, v in zip(prior.weights, values, strict=True):
        w.copy_(torch.tensor(v, dtype=torch.float64)[..., None])
    return prior, torch.tensor([[[1.0], [-0.5]]], dtype=torch.float64)


@dataclass(frozen=True)
class Search:
    """What an adversarial search found."""

    cases: int
    rises: int
    largest: float


def search_prior(
    rule: PriorRule,
    gamma: float = 1.0,
    n_networks: int = 100,
    n_starts: int = 50,
    n_steps: int = 100,
    seed: int = 0,
) -> Search:
    """Search for points and weights where a step of ``gamma / bound`` raises the prior term.

    Adam moves the points and the weights of their network to raise the change of the energy,
    relative to the change to first order. A case is a start; it counts once.
    """
    g, rises, largest = rng(seed), 0, -math.inf
    for _ in range(n_networks):
        prior = Autoencoder((4, 4, 4, 4), (1, 1, 1), generator=g).double()
        with torch.no_grad():
            for w in prior.weights:
                w.mul_(10 ** (torch.rand(1, generator=g, dtype=torch.float64) - 0.5))
        x = torch.randn(n_starts, 4, 1, generator=g, dtype=torch.float64)
        x = x * 10 ** (2 * torch.rand(n_starts, 1, 1, generator=g, dtype=torch.float64) - 1)
        x.requires_grad_()
        energy = prior_alone(prior, x)
        optimiser = torch.optim.Adam([x, *prior.parameters()], lr=0.03)
        best = torch.full((n_starts,), -math.inf, dtype=torch.float64)
        for _ in range(n_steps):
            point = energy.evaluate(x)
            mu = _rule(PriorBounds(prior), rule)(point)
            mu = mu if rule == "diagonal" else mu[:, None, None]
            there = energy.evaluate(x - gamma * point.gradient / mu)
            rise = there.prior - point.prior
            best = torch.maximum(best, rise.detach())
            first_order = (point.gradient**2 / mu).flatten(1).sum(1)
            optimiser.zero_grad()
            (-rise / (first_order + 1e-12)).sum().backward()
            optimiser.step()
        rises += int((best > 1e-9).sum())
        largest = max(largest, float(best.max()))
    return Search(n_networks * n_starts, rises, largest)


def _rule(bounds: PriorBounds, rule: PriorRule) -> Callable[..., Tensor]:
    return {
        "uniform": bounds.uniform,
        "version1": bounds.version1,
        "ball": bounds.ball,
        "diagonal": bounds.diagonal,
    }[rule]


def _hessians(n_problems: int, seed: int) -> list[tuple[Autoencoder, Tensor, Tensor]]:
    """Random priors with points and the dense Hessians of the prior term there."""
    g, found = rng(seed), []
    for _ in range(n_problems):
        prior = Autoencoder((5, 6, 6, 5), (3, 3, 3), generator=g).double().requires_grad_(False)
        for w in prior.weights:
            w.mul_(10 ** float(torch.rand(1, generator=g) - 0.2))
        x = torch.randn(1, 5, 3, generator=g, dtype=torch.float64)
        basis = torch.eye(15, dtype=torch.float64).reshape(15, 5, 3)
        products = HessianProducts(
            prior_alone(prior, x.expand(15, -1, -1)), SourceState(x.expand(15, -1, -1))
        )
        dense = products(basis).reshape(15, 15)
        found.append((prior, x, 0.5 * (dense + dense.mT)))
    return found


def hessian_tightness(n_problems: int = 400, seed: int = 0) -> Mapping[str, tuple[float, float]]:
    """Version 2 (norm product and exact Jacobian), version 1 and ball over the top eigenvalue.

    Returns the smallest and the median ratio; a smallest ratio of at least 1 is a bound.
    """
    ratios: dict[str, list[float]] = {}
    for prior, x, dense in _hessians(n_problems, seed):
        top = float(torch.linalg.eigvalsh(dense)[-1])
        point, bounds = prior_alone(prior, x).evaluate(x), PriorBounds(prior)
        assert point.kept is not None
        jacobian = torch.autograd.functional.jacobian(lambda z, p=prior: p(z).flatten(), x)
        exact = torch.linalg.matrix_norm(torch.as_tensor(jacobian).reshape(15, 15), 2)[None]
        rough = gauss_newton(point, bounds.jacobian_norm(point))
        sharp = bounds.uniform(point) - rough + gauss_newton(point, exact)
        for name, value in {
            "version 2, norm product": bounds.uniform(point),
            "version 2, exact |J|": sharp,
            "version 1": bounds.version1(point),
            "ball (global)": bounds.ball(point),
        }.items():
            ratios.setdefault(name, []).append(float(value) / top)
    return {
        name: (min(r), float(torch.tensor(r, dtype=torch.float64).median()))
        for name, r in ratios.items()
    }


@dataclass(frozen=True)
class Estimates:
    """Hessian-vector estimates relative to the largest eigenvalue."""

    mean: float
    worst: float


def hessian_estimates(
    n_problems: int = 400, n_iter: int = 3, seed: int = 0
) -> tuple[Mapping[str, Estimates], float]:
    """Estimates after ``n_iter`` products, and how often plain power iteration ends negative."""
    g, negative, starts = rng(seed + 1), 0, 0
    ratios: dict[str, list[Tensor]] = {"power, shifted": [], "lanczos": []}
    for prior, x, dense in _hessians(n_problems, seed):
        values = torch.linalg.eigvalsh(dense)
        start = torch.randn(5, 15, 1, generator=g, dtype=torch.float64)

        def product(v: Tensor, h: Tensor = dense) -> Tensor:
            return h @ v

        bound = PriorBounds(prior, LayerNorms.of(prior)).uniform(prior_alone(prior, x).evaluate(x))
        shift = bound.expand(5)
        few = power_estimate(product, start, shift, n_iter)
        ratios["power, shifted"].append(few / values[-1])
        ratios["lanczos"].append(lanczos_estimate(product, start, n_iter) / values[-1])
        plain = power_estimate(product, start, torch.zeros(5, dtype=torch.float64), 200)
        negative, starts = negative + int((plain < 0).sum()), starts + 5
    found = {name: torch.cat(r) for name, r in ratios.items()}
    return (
        {name: Estimates(float(r.mean()), float(r.min())) for name, r in found.items()},
        negative / starts,
    )


def classical_energies(
    n_iter: int = 100, n_batch: int = 8, seed: int = 0
) -> Mapping[str, tuple[float, float]]:
    """Mean energy at the start and after ``n_iter`` steps of classical MM, for every bound.

    20 sensors, 60 sources, 16 times, an untrained prior of 12 hidden channels. Gradient descent
    and L-BFGS (``n_iter`` gradients) stand beside it.
    """
    g = rng(seed)
    prior = Autoencoder((60, 12, 12, 60), generator=g).double().requires_grad_(False)
    matrix = torch.randn(20, 60, generator=g, dtype=torch.float64)
    y = torch.randn(n_batch, 20, 16, generator=g, dtype=torch.float64)
    problem = Problem(MatrixOperator(matrix), y)
    solvers: dict[str, Minimise] = {
        bound: ClassicalMM(Cosine(prior, bound=bound), n_iter, tolerance=-1.0) for bound in BOUNDS
    }
    same = Cosine(prior, bound="v2")
    solvers["gradient descent"] = GradientDescent(same, n_iter, tolerance=-1.0)
    solvers["l-bfgs"] = LBFGS(same, 1, evaluations=n_iter)
    found: dict[str, tuple[float, float]] = {}
    for name, solver in solvers.items():
        energy = solve(problem, solver).certificate.energy.mean(1)
        found[name] = (float(energy[0]), float(energy[-1]))
    return found


def _say_classical() -> None:
    for name, (before, after) in classical_energies().items():
        print(f"classical, {name}: {before:.4f} -> {after:.4f} after 100 steps")


def final_energies(n: int = 16) -> EnergyComparison:
    """The packaged MM-Net under its guard against the classical methods, on simulated test data."""
    data = SereegaLike(Leadfield.template_small(), n, part="test")
    problem = Problem(data.leadfield.operator(torch.float32), data.batch(range(n)).y)
    return compare_energies(problem, mm_net("sereega"), bounds=("gram", "v2", "global"))


def _say_final() -> None:
    for line in final_energies().lines():
        print(f"final energy, {line}")


def _say_global() -> None:
    gap = global_majorant_gap(1_600_000)
    print(f"theorem 1, smallest relative gap over 1,600,000 draws: {gap:.1e}")


def _say_data() -> None:
    for gamma in (1.0, 1.99):
        rises = data_step_rises(20_000, gamma)
        print(f"data term, local bound, gamma {gamma}: {rises} rises in 20,000 problems")


def _say_handmade() -> None:
    prior, x = handmade()
    energy, bounds = prior_alone(prior, x), PriorBounds(prior)
    point = energy.evaluate(x)
    for gamma in (1.0, 1.9):
        mu = bounds.uniform(point)
        there = energy.evaluate(x - gamma * point.gradient / mu[:, None, None])
        print(
            f"handmade prior, gamma {gamma}: bound {float(mu):.3f}, prior term "
            f"{float(point.prior):.4f} -> {float(there.prior):.4f}"
        )


def _say_search() -> None:
    rules: tuple[PriorRule, ...] = ("uniform", "diagonal", "version1", "ball")
    for rule in rules:
        for gamma in (1.0, 1.9):
            found = search_prior(rule, gamma, n_networks=100 if rule == "uniform" else 20)
            print(
                f"search, {rule}, gamma {gamma}: {found.rises} of {found.cases} cases rise, "
                f"largest {found.largest:.3g}"
            )


def _say_hessian() -> None:
    for name, (least, median) in hessian_tightness().items():
        print(f"over the largest eigenvalue, {name}: least {least:.2f}, median {median:.1f}")


def _say_estimates() -> None:
    negative = 0.0
    for n_iter in (3, 8):
        found, negative = hessian_estimates(n_iter=n_iter)
        for name, e in found.items():
            words = f"mean {e.mean:.2f}, worst {e.worst:.2f} of the eigenvalue"
            print(f"{n_iter} products, {name}: {words}")
    print(f"plain power iteration ends on a negative eigenvalue in {negative:.0%} of starts")


PARTS: Mapping[str, Callable[[], None]] = {
    "global": _say_global,
    "data": _say_data,
    "handmade": _say_handmade,
    "search": _say_search,
    "hessian": _say_hessian,
    "estimates": _say_estimates,
    "classical": _say_classical,
    "final": _say_final,
}


def main(parts: list[str]) -> int:
    """Print the parts asked for, or all."""
    unknown = [p for p in parts if p not in PARTS]
    if unknown:
        print(f"there is no part {unknown[0]!r}; choose of {', '.join(PARTS)}", file=sys.stderr)
        return 2
    for name in parts or PARTS:
        PARTS[name]()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
