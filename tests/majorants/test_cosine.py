"""Bounds of the cosine energy: Hessians are bounded, and global majorants bound every step."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState, cosine_distance
from majorant.majorants.cosine import (
    BOUNDS,
    CosineMajorant,
    HessianEstimate,
    HessianProducts,
    cosine_eigenvalues,
    data_curvature,
)
from majorant.majorants.prior import PriorBounds
from majorant.majorants.quadratic import Curvature, GramCurvature
from majorant.networks.autoencoder import Autoencoder, soft_relu_curvature
from majorant.problem import FunctionOperator, MajorantError, MatrixOperator, Problem

from .conftest import Build, build

Dense = Callable[[CosineEnergy, int, Tensor], Tensor]


def as_matrix(curvature: Curvature, index: int, like: Tensor) -> Tensor:
    """The curvature of one sample as a matrix, by polarisation of its form."""
    n = like[index].numel()
    eye = torch.eye(n, dtype=like.dtype).reshape(n, *like.shape[1:])

    def form(v: Tensor) -> Tensor:
        whole = torch.zeros(like.shape, dtype=like.dtype)
        whole[index] = v
        return curvature.form(whole)[index]

    p = torch.zeros(n, n, dtype=like.dtype)
    for i in range(n):
        p[i, i] = form(eye[i])
    for i in range(n):
        for j in range(i):
            p[i, j] = p[j, i] = 0.5 * (form(eye[i] + eye[j]) - p[i, i] - p[j, j])
    return p


def quadratic(a: Tensor, y: Tensor, b: Tensor, curvature: Tensor) -> Tensor:
    """Right-hand side of theorem 1, rows of a, y, b being vectors."""
    size_a, unit_y = a.norm(dim=1), y / y.norm(dim=1, keepdim=True)
    unit_a = a / size_a[:, None]
    c = (unit_a * unit_y).sum(1)
    slope = -(unit_y - c[:, None] * unit_a) / size_a[:, None]
    step = b - a
    linear = (slope * step).sum(1)
    return cosine_distance(a, y) + linear + 0.5 * curvature * (step**2).sum(1) / size_a**2


def cosines(a: Tensor, y: Tensor) -> Tensor:
    return (a * y).sum(1) / (a.norm(dim=1) * y.norm(dim=1))


def test_eigenvalues_of_the_cosine_are_those_of_its_hessian() -> None:
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        a, y = torch.randn(2, 6, generator=g, dtype=torch.float64)
        h = torch.autograd.functional.hessian(
            lambda z, y=y: 1 - torch.nn.functional.cosine_similarity(z, y, dim=0), a
        )
        found = torch.linalg.eigvalsh(torch.as_tensor(h)) * (a @ a)
        low, middle, high = cosine_eigenvalues(cosines(a[None], y[None]))
        expected = torch.cat([low, middle.repeat(4), high]).sort().values
        assert torch.allclose(found, expected, atol=1e-10)
        assert high <= 2 / math.sqrt(3) + 1e-12


def test_the_local_constant_is_the_largest_eigenvalue_of_all_angles() -> None:
    cosine = torch.linspace(-1, 1, 2001, dtype=torch.float64)
    largest = cosine_eigenvalues(cosine)[2]
    assert torch.equal(data_curvature("state", cosine), largest)
    constant = data_curvature("local", cosine)
    assert (constant >= largest).all()
    assert float(constant[0]) == pytest.approx(float(largest.max()), abs=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    size_a=st.floats(-6, 6),
    size_b=st.floats(-6, 6),
    dimension=st.integers(1, 5),
)
def test_the_global_majorant_of_the_cosine_holds_for_every_step(
    seed: int, size_a: float, size_b: float, dimension: int
) -> None:
    g = torch.Generator().manual_seed(seed)
    a, y, b = torch.randn(3, 200, dimension, generator=g, dtype=torch.float64)
    a, b = a * 10**size_a, b * 10**size_b
    b = torch.where(torch.rand(200, 1, generator=g) < 0.3, a + 1e-3 * b, b)
    bound = quadratic(a, y, b, 2 * (1 + cosines(a, y)))
    slack = 1e-12 * (1 + (b.norm(dim=1) / a.norm(dim=1)) ** 2)
    assert (cosine_distance(b, y) <= bound + slack).all()


def test_an_optimiser_finds_no_step_above_the_global_majorant_and_one_above_the_others() -> None:
    g = torch.Generator().manual_seed(1)

    def search(rule: Callable[[Tensor], Tensor]) -> float:
        points = torch.randn(3, 300, 3, generator=g, dtype=torch.float64).requires_grad_()
        optimiser = torch.optim.Adam([points], lr=0.02)
        worst = -math.inf
        for _ in range(250):
            a, y, b = points.unbind()
            a = a / a.norm(dim=1, keepdim=True)
            excess = cosine_distance(b, y) - quadratic(a, y, b, rule(cosines(a, y)))
            worst = max(worst, float(excess.max().detach()))
            optimiser.zero_grad()
            (-excess.sum()).backward()
            optimiser.step()
        return worst

    assert search(lambda c: 2 * (1 + c)) <= 1e-12
    assert search(lambda c: 1.98 * (1 + c)) > 1e-3  # the constant cannot be lowered
    assert search(lambda c: data_curvature("local", c)) > 0.1
    assert search(lambda c: data_curvature("state", c)) > 0.1


@pytest.mark.parametrize("case", ["sum below pi", "sum above pi", "difference"])
def test_the_three_cases_of_the_proof_are_identities_and_inequalities(case: str) -> None:
    # half-angles A = alpha/2, t = beta/2 on a grid; guarantees.md, proof of theorem 1
    half = torch.linspace(0, math.pi / 2, 401, dtype=torch.float64)[1:-1]
    a, t = torch.meshgrid(half, half, indexing="ij")
    tan, cos_a = torch.tan(a), torch.cos(a)
    m, c = torch.cos(2 * t), torch.cos(2 * a)
    if case == "sum below pi":
        where, sigma = a + t <= math.pi / 2, 2 * a + 2 * t
        factor = 2 * (1 - torch.cos(t)) * (1 + 2 * torch.cos(t) - tan * torch.sin(t))
    elif case == "sum above pi":
        where, sigma = a + t > math.pi / 2, 2 * math.pi - 2 * a - 2 * t
        factor = 2 * (1 + torch.cos(t)) * (tan * torch.sin(t) + 1 - 2 * torch.cos(t))
    else:
        where, sigma = torch.ones_like(a, dtype=torch.bool), (2 * a - 2 * t).abs()
        factor = 2 * (1 - torch.cos(t)) * (1 + 2 * torch.cos(t) + tan * torch.sin(t))
    h = 4 * torch.cos(sigma / 2) * cos_a - torch.cos(sigma) - m * (2 + c)
    assert torch.allclose(h, 2 * cos_a**2 * factor, atol=1e-11)
    assert (factor[where] >= -1e-12).all()


@pytest.mark.parametrize("bound", [*BOUNDS])
@pytest.mark.parametrize(("weight", "tikhonov"), [(0.6, 0.0), (0.6, 0.7), (0.0, 0.7), (0.0, 20.0)])
def test_every_bound_is_above_the_hessian_at_the_point(
    bound: str, weight: float, tikhonov: float, hessian: Dense
) -> None:
    """Also where the ridge outweighs the lead field and no prior makes up for it."""
    for seed, gain in ((0, 1.0), (1, 3.0)):
        energy, x = build(seed, 2, gain=gain, weight=weight, tikhonov=tikhonov)
        curvature = CosineMajorant(energy, bound).curvature(energy.evaluate(x))
        for i in range(2):
            gap = as_matrix(curvature, i, x) - hessian(energy, i, x)
            assert torch.linalg.eigvalsh(gap)[0] >= -1e-9 * gap.abs().max()


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), exponent=st.floats(-6, 6), gain=st.floats(-1, 1))
def test_bounds_are_above_the_hessian_at_every_scale(
    seed: int, exponent: float, gain: float
) -> None:
    energy, x = build(seed, 1, scale=10.0**exponent, gain=10.0**gain)
    g = torch.Generator().manual_seed(seed + 1)
    directions = torch.randn(40, *x.shape[1:], generator=g, dtype=x.dtype)
    point = energy.evaluate(x)
    many = CosineEnergy(
        Problem(energy.problem.operator, energy.problem.y.expand(40, -1, -1)), energy.prior
    )
    products = HessianProducts(many, SourceState(x.expand(40, -1, -1)))
    form = (directions * products(directions)).flatten(1).sum(1)
    square = directions.square().flatten(1).sum(1)
    for bound in BOUNDS:
        curvature = CosineMajorant(energy, bound).curvature(point)
        limit = 1.0 / float(curvature.step_limit().amin())
        assert (form <= limit * square * (1 + 1e-9)).all(), bound


@pytest.mark.parametrize("bound", ["global", "gram-global"])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_global_bounds_hold_for_every_step_of_the_whole_energy(bound: str, weight: float) -> None:
    for seed in range(6):
        energy, x = build(seed, 64, gain=4.0, weight=weight, tikhonov=0.3 * (seed % 2))
        surrogate = CosineMajorant(energy, bound).at(SourceState(x))
        g = torch.Generator().manual_seed(seed)
        for size in (1e-4, 1e-2, 0.3, 1.0, 3.0, 30.0):
            step = size * torch.randn(x.shape, generator=g, dtype=x.dtype)
            for there in (SourceState(x + step), SourceState(step), SourceState(-size * x)):
                rise = energy.value(there) - surrogate.energy
                assert (rise <= surrogate.change(there) + 1e-11 * (1 + size**2)).all()


def test_the_kind_says_where_a_bound_holds() -> None:
    energy, _ = build()
    alone, _ = build(prior=False)
    kinds = {name: CosineMajorant(energy, name).kind for name in BOUNDS}
    assert {k for k, v in kinds.items() if v == "global"} == {"global", "gram-global"}
    assert CosineMajorant(alone, "gram").kind == "global"
    assert CosineMajorant(alone, "v2").kind == "local"
    assert HessianEstimate(CosineMajorant(energy, "v2")).kind == "estimated"


@pytest.mark.parametrize("bound", [*BOUNDS])
def test_the_minimiser_minimises_the_bound_and_the_promise_is_kept(bound: str) -> None:
    energy, x = build(3, 4)
    surrogate = CosineMajorant(energy, bound).at(SourceState(x))
    best = surrogate.minimiser()
    assert torch.allclose(surrogate.change(best), -surrogate.promise(), rtol=1e-6)
    assert torch.allclose(surrogate.slope(best), -2 * surrogate.promise(), rtol=1e-6)
    g = torch.Generator().manual_seed(0)
    for _ in range(10):
        step = torch.randn(x.shape, generator=g, dtype=x.dtype) * (best.x - x).abs()
        other = SourceState(best.x + 0.1 * step)
        assert (surrogate.change(other) >= surrogate.change(best) - 1e-12).all()
    uniform = x - surrogate.curvature.step_limit() * surrogate.gradient
    assert (
        surrogate.change(SourceState(uniform))
        <= 0.5 * surrogate.slope(SourceState(uniform)) + 1e-12
    ).all()  # Diag(1/p) >= P


@pytest.mark.parametrize("bound", [*BOUNDS])
@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_no_promise_exceeds_its_limit(bound: str, weight: float) -> None:
    for seed in range(8):
        energy, x = build(seed, 4)
        held = CosineEnergy(energy.problem, energy.prior, weight)
        surrogate = CosineMajorant(held, bound).at(SourceState(x * 10.0 ** (seed - 4)))
        over = surrogate.promise_limit() < surrogate.promise() * (1 - 1e-12)
        assert not over.any()


def test_the_gram_structured_step_is_the_dense_solution() -> None:
    energy, x = build(4, 2, tikhonov=0.2)
    surrogate = CosineMajorant(energy, "gram").at(SourceState(x))
    assert isinstance(surrogate.curvature, GramCurvature)
    for i in range(2):
        p = as_matrix(surrogate.curvature, i, x)
        expected = torch.linalg.solve(p, surrogate.gradient[i].flatten())
        found = surrogate.curvature.solve(surrogate.gradient)[i].flatten()
        assert torch.allclose(found, expected, rtol=1e-8, atol=1e-12)


def test_the_structured_step_promises_more_than_the_uniform_one() -> None:
    energy, x = build(5, 16)
    promises = {
        name: CosineMajorant(energy, name).at(SourceState(x)).promise()
        for name in ("v2", "v2-structural", "gram", "gram-global", "global", "v1")
    }
    assert (promises["v2-structural"] >= promises["v2"]).all()
    assert (promises["gram-global"] >= promises["global"]).all()
    assert (promises["v2"] >= promises["v1"]).all()


def test_a_hessian_estimate_underestimates_and_is_no_bound(hessian: Dense) -> None:
    ratios: dict[str, list[float]] = {"power": [], "lanczos": []}
    for seed in range(12):
        energy, x = build(seed, 1)
        base = CosineMajorant(energy, "v2")
        shift = 1.0 / base.curvature(energy.evaluate(x)).step_limit().flatten()
        true = torch.linalg.eigvalsh(hessian(energy, 0, x))[-1]
        for method in ("power", "lanczos"):
            rule = HessianEstimate(base, method, n_iter=3)
            found = rule.estimate(SourceState(x), shift)
            assert found <= true + 1e-10
            ratios[method].append(float(found / true))
        exact = HessianEstimate(base, "lanczos", n_iter=15).estimate(SourceState(x), shift)
        assert torch.allclose(exact[0], true, rtol=1e-6)
    assert max(ratios["power"]) < 0.9
    assert min(ratios["lanczos"]) < 0.95


def test_a_negative_estimate_is_replaced_by_the_analytic_bound() -> None:
    energy, x = build(0, 4, prior=False)
    energy = CosineEnergy(Problem(energy.problem.operator, -energy.problem.operator.apply(x)))
    base = CosineMajorant(energy, "v2")  # at the maximum of the distance all curvature is negative
    point = energy.evaluate(x)
    rule = HessianEstimate(base)
    assert (rule.estimate(SourceState(x), torch.ones(4, dtype=torch.float64)) <= 1e-9).all()
    surrogate = rule.at(SourceState(x))
    assert torch.allclose(surrogate.curvature.step_limit(), base.curvature(point).step_limit())


def test_samples_do_not_see_each_other(cosine: Build) -> None:
    energy, x = cosine(6, 5)
    for bound in BOUNDS:
        whole = CosineMajorant(energy, bound).at(SourceState(x))
        one = CosineEnergy(Problem(energy.problem.operator, energy.problem.y[2:3]), energy.prior)
        alone = CosineMajorant(one, bound).at(SourceState(x[2:3]))
        assert torch.allclose(whole.minimiser().x[2], alone.minimiser().x[0], rtol=1e-12), bound
        assert torch.allclose(whole.promise()[2], alone.promise()[0], rtol=1e-12)


@pytest.mark.parametrize("bound", [*BOUNDS])
def test_where_a_norm_vanishes_nothing_moves_and_nothing_is_nan(bound: str) -> None:
    energy, x = build(7, 2)
    x[0] = 0.0
    surrogate = CosineMajorant(energy, bound).at(SourceState(x))
    there = surrogate.minimiser()
    assert torch.isfinite(there.x).all()
    assert torch.equal(there.x[0], x[0])
    assert (surrogate.promise() >= 0).all()


def test_unknown_bounds_and_missing_matrices_are_refused_with_a_sentence() -> None:
    energy, _ = build()
    with pytest.raises(MajorantError, match="choose one of global, gram-global"):
        CosineMajorant(energy, "version 3")
    free = FunctionOperator(lambda v: v, lambda v: v, n_sensors=4, n_columns=4, norm_bound=1.0)
    blind = CosineEnergy(Problem(free, torch.ones(1, 4, 2)))
    for bound in ("gram", "v2-diagonal"):
        with pytest.raises(MajorantError, match="matrix-free"):
            CosineMajorant(blind, bound)
    CosineMajorant(blind, "global")
    with pytest.raises(MajorantError, match="choose 'lanczos' or 'power'"):
        HessianEstimate(CosineMajorant(energy), "qr")  # pyright: ignore[reportArgumentType]


def test_the_version_1_bound_asks_for_three_layers() -> None:
    from majorant.networks.autoencoder import Autoencoder

    energy, x = build(prior=False)
    two = CosineEnergy(energy.problem, Autoencoder((5, 4, 5), (1, 1)).double())
    with pytest.raises(MajorantError, match="made for three layers and the prior has 2"):
        CosineMajorant(two, "v1").at(SourceState(x)).promise()
    assert (CosineMajorant(two, "v2").at(SourceState(x)).promise() > 0).all()


def test_float32_bounds_agree_with_float64() -> None:
    energy, x = build(8, 3)
    narrow, _ = build(8, 3, dtype=torch.float32)
    narrow = CosineEnergy(
        Problem(
            MatrixOperator(torch.as_tensor(energy.problem.operator.matrix()).float()),
            energy.problem.y.float(),
        ),
        None,
    )
    wide = CosineEnergy(energy.problem)
    for bound in BOUNDS:
        a = CosineMajorant(wide, bound).at(SourceState(x)).minimiser().x
        b = CosineMajorant(narrow, bound).at(SourceState(x.float())).minimiser().x
        assert b.dtype == torch.float32
        assert torch.allclose(a.float(), b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("bound", [*BOUNDS])
def test_what_a_step_promises_is_what_its_solution_wins(bound: str) -> None:
    energy, x = build(21, 3)
    surrogate = CosineMajorant(energy, bound).at(SourceState(x))
    g = surrogate.gradient
    won = (g * surrogate.curvature.solve(g)).sum((1, 2))
    torch.testing.assert_close(surrogate.curvature.dual(g), won, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(2 * surrogate.promise(), won, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("bound", ["global", "gram-global", "gram"])
def test_the_global_bound_is_tight_where_the_step_goes_through_zero_against_the_data(
    bound: str,
) -> None:
    # b to 0 along -y: the distance tends to 2, and no smaller constant than 2 (1 + c) reaches it
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(2, 40, 4, 1, generator=g, dtype=torch.float64)
    problem = Problem(MatrixOperator(torch.eye(4, dtype=torch.float64)), y)
    energy = CosineEnergy(problem)
    surrogate = CosineMajorant(energy, bound).at(SourceState(x))
    there = SourceState(-1e-9 * y)
    gap = surrogate.change(there) - (energy.value(there) - surrogate.energy)
    assert (gap >= -1e-8).all()
    assert (gap[surrogate.energy < 1.9] <= 1e-7).all()


def test_the_ball_is_what_theorem_3_says() -> None:
    energy, x = build(5, 6, gain=2.0)
    assert isinstance(energy.prior, Autoencoder)
    rules = PriorBounds(energy.prior)
    point = energy.evaluate(x)
    sizes, k, eps = rules.norms.spectral, 2 / math.sqrt(3), energy.prior.eps
    rho = math.prod(sizes)
    bend = sum(
        math.prod(sizes[:i]) ** 2 * math.prod(sizes[i:]) / (2 * eps) for i in range(1, len(sizes))
    )
    for i in range(6):
        p = float(energy.prior(x[i : i + 1]).norm())
        size, cos = float(x[i].norm()), float(point.cos_prior[i])
        steep = math.sqrt(1 - cos**2) * (1 / size + rho / p)
        found = []
        for theta in torch.linspace(0.2, 0.8, 13).tolist():
            radius = theta * min(size, p / rho)
            near = (k * (1 / size**2 + rho**2 / p**2) + 2 * rho / (size * p)) / (1 - theta) ** 2
            near += bend / ((1 - theta) * p)
            far = 2 * (2 - float(point.prior[i]) + steep * radius) / radius**2
            found.append(max(near, far))
        assert float(rules.ball(point)[i]) == pytest.approx(min(found), rel=1e-6)


def test_version_2_is_gauss_newton_and_a_residual() -> None:
    energy, x = build(6, 4, gain=3.0)
    assert isinstance(energy.prior, Autoencoder)
    rules, point = PriorBounds(energy.prior), energy.evaluate(x)
    kept = point.kept
    assert kept is not None
    (one, two, three), k = rules.norms.spectral, 2 / math.sqrt(3)
    for i in range(4):
        bends = [
            float((r[i] * soft_relu_curvature(z[i], energy.prior.eps)).clamp_min(0).max())
            for r, z in zip(point.slope.arrived, kept.before, strict=True)
        ]
        steep = [float(slope[i].max()) for slope in kept.slopes]
        size, p = float(x[i].norm()), float(kept.output[i].norm())
        inner = one * steep[0] * two
        rho = inner * steep[1] * three
        gauss = k * (1 / size**2 + rho**2 / p**2) + 2 * rho / (size * p)
        residual = bends[0] * one**2 + bends[1] * inner**2
        assert residual > 0
        assert float(rules.uniform(point)[i]) == pytest.approx(gauss + residual, rel=1e-6)
