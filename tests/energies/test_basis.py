"""Patches as columns of the evidence: read off on the cortex, exactly, under the same guard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from majorant.energies.basis import expansion, on_patches
from majorant.forward.leadfield import Leadfield
from majorant.geometry import SourceGeometry
from majorant.learned.unfolded import UnfoldedSBL
from majorant.majorants.guard import Guard
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def posed(sphere: Leadfield) -> Problem:
    """A wide patch and a single location, one of them louder in every sample."""
    lead = sphere.gain.double() / sphere.gain.double().std()
    geometry = sphere.geometry
    near = (geometry.positions - geometry.positions[20]).norm(dim=1) < 0.026
    x = torch.zeros(2, 300, 20).double()
    x[:, near] = normal(2, 1, 20, seed=1)
    x[:, 200] += torch.tensor([1.0, 8.0]).double()[:, None] * normal(2, 20, seed=2)
    clean = lead @ x
    y = clean + 0.2 * clean.std() * normal(*clean.shape, seed=3)
    return Problem(MatrixOperator(lead, geometry=geometry), y)


def free(problem: Problem, seed: int = 5) -> tuple[Problem, Tensor]:
    """Three columns per location along axes of its own, and the axes."""
    geometry = problem.operator.geometry
    assert geometry is not None
    own = replace(geometry, n_orient=3, axes=torch.linalg.qr(normal(300, 3, 3, seed=seed)).Q)
    wide = normal(40, 300, 3, seed=seed + 1) + 2.0 * problem.operator.matrix()[:, :, None]
    columns = torch.einsum("nlc,loc->nlo", wide, own.axes)
    return Problem(MatrixOperator(columns.flatten(1), 3, own), problem.y), own.axes


@pytest.mark.parametrize("kind", ["fixed", "free", "loose"])
def test_mean_and_variance_on_the_cortex_are_those_of_the_posterior(posed, kind) -> None:
    problem = posed if kind == "fixed" else free(posed)[0]
    if kind == "loose":
        prior = torch.tensor([0.2, 0.2, 1.0]).double().repeat(300)
        problem = replace(problem, source_prior=prior)
    solver = Champagne("mackay", basis="patches", max_iter=6)
    solution = solve(problem, solver)
    model = solver.majorant(problem).energy.model
    assert model.expanded is not None
    assert model.units is not None
    dense, lead = model.expanded.to_dense(), problem.operator.matrix()
    gamma = torch.diag_embed(model.spread(solution.state.gamma))
    units, noise = model.units, solution.state.log_noise.exp()
    gamma = gamma * units.sources.square()[:, None, None]
    noise = noise * units.data.square()[:, None]
    prior = dense @ gamma @ dense.mT
    sigma = lead @ prior @ lead.mT + torch.diag_embed(noise)
    back = torch.linalg.solve(sigma, lead @ prior).mT
    torch.testing.assert_close(solution.estimate, back @ problem.y, rtol=1e-6, atol=1e-9)
    by_noise = (back @ torch.diag_embed(noise) @ back.mT).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(solution.noise, by_noise, rtol=1e-6, atol=1e-12)
    assert solution.variance is not None
    known = (prior - back @ lead @ prior).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(solution.variance, known, rtol=1e-6, atol=1e-9)
    second = problem.y @ problem.y.mT / problem.n_times
    fit = torch.linalg.solve(sigma, second).diagonal(dim1=1, dim2=2).sum(1)
    torch.testing.assert_close(solution.certificate.energy[-1], torch.logdet(sigma) + fit)


def test_the_frame_of_the_columns_does_not_matter(posed) -> None:
    own, axes = free(posed)
    turned = torch.einsum("nlo,loc->nlc", own.operator.matrix().unflatten(1, (-1, 3)), axes)
    geometry = replace(own.operator.geometry, axes=None)
    shared = Problem(MatrixOperator(turned.flatten(1), 3, geometry), own.y)
    solver = Champagne("mackay", basis="patches", max_iter=5)
    one, other = solve(own, solver).estimate, solve(shared, solver).estimate
    back = torch.einsum("blot,loc->blct", one.unflatten(1, (-1, 3)), axes).flatten(1, 2)
    torch.testing.assert_close(other, back, rtol=1e-6, atol=1e-8)


def test_patches_find_an_extended_source_better_and_a_single_location_still(posed) -> None:
    maps = {}
    for basis in ("points", "patches"):
        solution = solve(posed, Champagne(basis=basis))
        assert bool((solution.certificate.energy.diff(dim=0) <= 0).all())
        maps[basis] = solution.estimate.norm(dim=2)
    geometry = posed.operator.geometry
    assert geometry is not None
    near = (geometry.positions - geometry.positions[20]).norm(dim=1) < 0.026
    cosine = {
        k: float(torch.cosine_similarity(m[0], near.double(), dim=0)) for k, m in maps.items()
    }
    assert cosine["patches"] > cosine["points"] + 0.15
    assert int(maps["patches"][1].argmax()) == 200


@pytest.mark.parametrize("mode", ["gated", "theta", "exact"])
def test_the_guard_holds_on_patches_whatever_the_weights(posed, mode) -> None:
    solver = UnfoldedSBL("mlp", mode, 5, basis="patches")
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in solver.corrections.parameters():
            weight.copy_(2.0 * torch.randn(weight.shape, generator=draw))
    solution = solve(posed, solver)
    assert solution.estimate.shape == (2, 300, 20)
    assert bool((solution.certificate.energy.diff(dim=0) <= 0).all())
    free_of_it = UnfoldedSBL(
        solver.corrections, "free", basis="patches", guard=Guard("off", window=1)
    )
    assert not solve(posed, free_of_it).certificate.holds()


def test_zero_corrections_on_patches_are_convex_bounding_bit_for_bit(posed) -> None:
    classical = solve(posed, Champagne("cb", tol=0.0, basis="patches"), max_iter=4)
    fresh = solve(posed, UnfoldedSBL("mlp", "gated", 4, basis="patches"))
    assert torch.equal(fresh.estimate, classical.estimate)
    assert torch.equal(fresh.certificate.energy, classical.certificate.energy)


def test_where_nobody_says_where_sources_are_there_are_points_alone(posed) -> None:
    bare = Problem(MatrixOperator(posed.operator.matrix()), posed.y)
    one = SourceGeometry(torch.zeros(300, 3).double(), torch.zeros(0, 2, dtype=torch.int64))
    alone = Problem(MatrixOperator(posed.operator.matrix(), geometry=one), posed.y)
    points = solve(posed, Champagne("mackay", max_iter=4))
    for problem in (bare, alone):
        assert expansion(problem.operator) is None
        found = solve(problem, Champagne("mackay", basis="patches", max_iter=4))
        assert torch.equal(found.estimate, points.estimate)


def test_a_lead_field_per_sample_and_given_noise(posed) -> None:
    lead = posed.operator.matrix()
    many = MatrixOperator(torch.stack([lead, 1.5 * lead]), geometry=posed.operator.geometry)
    solver: Any = Champagne("mackay", "given", basis="patches", max_iter=4)
    noise = torch.full((40,), 0.3).double()
    together = solve(Problem(many, posed.y, noise=noise), solver)
    for i, matrix in enumerate((lead, 1.5 * lead)):
        operator = MatrixOperator(matrix, geometry=posed.operator.geometry)
        alone = solve(Problem(operator, posed.y[i : i + 1], noise=noise), solver)
        torch.testing.assert_close(together.estimate[i], alone.estimate[0], rtol=1e-6, atol=1e-8)


def test_a_matrix_per_location_is_refused() -> None:
    with pytest.raises(MajorantError, match="patches have one variance"):
        Champagne(orientation="block", basis="patches")
    with pytest.raises(MajorantError, match="basis 'balls' is unknown"):
        Champagne(basis="balls")  # type: ignore[arg-type]


def test_patch_columns_are_sums_of_columns(posed) -> None:
    own, expanded = on_patches(posed)
    assert expanded is not None
    assert on_patches(posed)[0].operator is own.operator
    direct = posed.operator.matrix() @ expanded.to_dense()
    torch.testing.assert_close(own.operator.matrix(), direct)
    lengths = expanded.to_dense().square().sum(0)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))
