"""The patch scan: its energy never rises, its algebra is the definition, it finds what is there."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.forward.patches import nearest_edges, patch_basis
from majorant.geometry import SourceGeometry
from majorant.majorants.base import Surrogate
from majorant.problem import FunctionOperator, MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.loop import solve
from majorant.solvers.scan import Scan
from majorant.solvers.scan.bound import at_likelihood
from majorant.solvers.scan.likelihood import Found, Sources
from majorant.solvers.scan.number import Doubt, Order
from majorant.solvers.scan.pencil import Others, best_direction, explained
from majorant.solvers.scan.search import Products
from majorant.solvers.scan.solver import Projections

RADII = (20.0, 40.0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def data(lead: Leadfield, places: list[list[int]], noise: float = 0.1, seed: int = 0) -> Tensor:
    """Patches with random courses of unit power at the sensors, one sample, 30 times."""
    gain = lead.gain - lead.gain.mean(0)
    topographies = torch.stack([gain[:, k].sum(1) for k in places], 1)
    topographies = topographies / topographies.norm(dim=0)
    y = topographies @ normal(len(places), 30, seed=seed)
    return (y + noise * normal(*y.shape, seed=seed + 1) / len(gain) ** 0.5)[None]


def posed(lead: Leadfield, y: Tensor, **more: Any) -> Problem:
    gain = lead.gain - lead.gain.mean(0)
    return Problem(MatrixOperator(gain, lead.n_orient, lead.geometry), y, **more)


@pytest.mark.parametrize("n_orient", [1, 3])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_the_energy_never_rises_and_is_that_of_its_definition(n_orient: int, scale: float) -> None:
    columns = normal(12, 20 * n_orient, seed=3)
    # Nearly parallel columns are what makes sweeps go back and forth.
    columns = columns + 3.0 * columns[:, :1]
    y = scale * normal(4, 12, 9, seed=5)
    problem = Problem(MatrixOperator(columns, n_orient), y)
    solution = solve(problem, Scan(n_most=6, penalty=0.0, patience=6, max_iter=40), keep_trace=True)
    energy = solution.certificate.energy
    assert bool((energy[1:] <= energy[:-1]).all())
    assert bool((energy[-1] < energy[0] - 1).all())
    assert int(solution.certificate.refused.sum()) == 0
    for k, state in enumerate(solution.trace):
        for b in range(len(y)):
            kept = [
                columns.unflatten(1, (-1, n_orient))[:, p] for p in state.now.index[b] if p >= 0
            ]
            if not kept or n_orient > 1:
                continue
            seen = torch.cat(kept, 1)
            left = y[b] - seen @ torch.linalg.lstsq(seen, y[b]).solution
            share = left.square().sum() / y[b].square().sum()
            own = 0.5 * y[b].numel() * share.log()
            assert float(energy[k, b]) == pytest.approx(float(own), rel=1e-9)


@dataclass(frozen=True)
class Spoiled(Projections):
    """Takes the patch that explains least, or one at random, where a sweep would be due."""

    how: str = "worst"

    def propose(self, surrogate: Surrogate[Found], memory: Products) -> tuple[Found, Products]:
        state, sweep = surrogate.state, at_likelihood(surrogate).sweep
        if bool((state.now.count < 2).any()):
            return sweep(state, surrogate.energy, memory)
        rows = torch.arange(len(state.now.index))
        kept = sweep.search.renewed(memory, state.now)
        there = state.now.there
        there[:, 0] = False
        scores = sweep.search.scores(kept, rows, sweep.search.others(kept, rows, there))
        patch = scores.argmin(1) if self.how == "worst" else (7 * state.now.index[:, 0] + 3) % 20
        now = state.now.placed(rows, torch.zeros_like(rows), patch, state.now.direction[:, 0])
        return replace(state, now=now), kept


@dataclass(frozen=True)
class Sabotaged(Scan):
    how: str = "worst"

    def proposal(self, problem: Problem) -> Projections:
        return Spoiled(self.how)


@pytest.mark.parametrize("how", ["worst", "random"])
def test_a_spoiled_projection_raises_the_energy_where_nobody_guards(how: str) -> None:
    columns = normal(12, 20, seed=3)
    problem = Problem(MatrixOperator(columns), normal(3, 12, 9, seed=5))
    solver = Sabotaged(n_most=3, penalty=0.0, patience=3, max_iter=12, how=how)
    free = solve(problem, solver, guard="off").certificate
    assert int(free.violations.sum()) > 0
    guarded = solve(problem, solver).certificate
    assert guarded.holds()
    assert int(guarded.refused.sum()) > 0
    honest = solve(
        problem, Scan(n_most=3, penalty=0.0, patience=3, max_iter=12), guard="off"
    ).certificate
    assert honest.holds()


@pytest.mark.parametrize("n_orient", [1, 3])
def test_fast_scores_are_the_definition(n_orient: int) -> None:
    columns, y = normal(9, 10 * n_orient, seed=1), normal(2, 9, 7, seed=2)
    problem = Problem(MatrixOperator(columns, n_orient), y)
    sweep = Scan(n_most=4).majorant(problem).sweep
    search, rows = sweep.search, torch.arange(2)
    way = normal(2, n_orient, seed=4)
    way = way / way.norm(dim=1, keepdim=True)
    sources = Sources.none(2, 4, n_orient)
    for place, patch in enumerate((3, 7)):
        sources = sources.placed(rows, torch.full((2,), place), torch.tensor([patch] * 2), way)
    kept = search.renewed(search.products(), sources)
    scores = search.scores(kept, rows, search.others(kept, rows, sources.there))
    sample = search.likelihood.sample.y
    for b in range(2):
        seen = sources.topographies(search.dictionary)[b].mT[:, :2]
        off = torch.eye(9, dtype=torch.float64) - seen @ torch.linalg.pinv(seen)
        for p in range(10):
            atoms = search.dictionary.atoms[p].mT
            left = atoms.mT @ off @ atoms
            if n_orient == 1 and float(left) < search.close:
                assert float(scores[b, p]) == 0
                continue
            power = atoms.mT @ off @ sample[b] @ sample[b].mT @ off @ atoms
            ridge = left + (search.close * torch.eye(n_orient) if n_orient > 1 else 0)
            best = torch.linalg.eigvals(torch.linalg.solve(ridge, power)).real.max()
            assert float(scores[b, p]) == pytest.approx(float(best), rel=2e-4)


@pytest.mark.parametrize("n_orient", [1, 3])
def test_what_decides_is_the_pencil_off_the_others(n_orient: int) -> None:
    seen, data_ = normal(1, 3, 8, seed=5), normal(1, 8, 6, seed=6)
    seen = seen / seen.norm(dim=2, keepdim=True)
    atoms = normal(1, 4, n_orient, 8, seed=7)
    moment = data_ @ data_.mT
    there = torch.tensor([[True, True, False]])
    off, power, left = Others.of(seen, there, moment).pencil(atoms)
    others = seen[0, :2].mT
    projector = torch.eye(8, dtype=torch.float64) - others @ torch.linalg.pinv(others)
    wanted = atoms @ projector
    torch.testing.assert_close(off, wanted, rtol=1e-7, atol=1e-8)
    torch.testing.assert_close(power, wanted @ moment[0] @ wanted.mT, rtol=1e-7, atol=1e-7)
    torch.testing.assert_close(left, wanted @ wanted.mT, rtol=1e-7, atol=1e-8)
    direction = best_direction(power, left)
    values = explained(power, left, direction)
    for way in normal(20, n_orient, seed=8):
        other = (way / way.norm()).expand(1, 4, n_orient)
        assert (explained(power, left, other) <= 1.01 * values).all()


def test_a_patch_costs_more_than_the_best_of_many_wins_of_noise() -> None:
    sensors, patches, tries = 7, 1000, 300
    atoms = torch.nn.functional.normalize(normal(patches, sensors, seed=1), dim=1)
    for times in (1, 3):
        y = normal(tries, sensors, times, seed=2)
        share = (atoms @ y).square().sum(2).amax(1) / y.square().sum((1, 2))
        won = -sensors * times * torch.log1p(-share)
        asked = Order(sensors * times, patches, times, 1, 0.4, 2, 0.0).charge
        assert float((won > asked).double().mean()) < 0.08  # five in a hundred at most
        bare = 0.4 * (times + 2) * math.log(sensors * times) + 2 * math.log(patches)
        if times == 1:
            assert float((won > bare).double().mean()) > 0.2  # the criterion alone would not do


def test_single_locations_and_patches_are_found_with_their_size(sphere: Leadfield) -> None:
    basis = patch_basis(sphere.geometry, 300, RADII)
    ball = basis.members[[-1]].indices.tolist()
    y = torch.cat([data(sphere, [[17]], seed=4), data(sphere, [ball], seed=8)])
    solution = solve(posed(sphere, y), Scan(radii_mm=RADII))
    assert solution.details["n_sources"] == [1, 1]
    assert solution.details["location"][0] == [17]
    assert solution.details["radius_mm"] == [[0.0], [40.0]]
    mean = solution.estimate[1].square().sum(1)
    assert float(mean[ball].sum() / mean.sum()) > 0.95
    assert solution.variance is not None
    assert bool((solution.variance >= 0).all())
    assert all(status is Status.CONVERGED for status in solution.status)


def test_the_number_of_sources_is_found_and_noise_has_none(sphere: Leadfield) -> None:
    places = [[20], [140], [260]]
    y = torch.cat([data(sphere, places[:k], seed=k) for k in (1, 2, 3)])
    silence = normal(1, 40, 30, seed=99)
    solution = solve(posed(sphere, torch.cat([y, silence - silence.mean(1)])), Scan(radii_mm=RADII))
    assert solution.details["n_sources"] == [1, 2, 3, 0]
    assert [sorted(own) for own in solution.details["location"][:3]] == [
        [20], [20, 140], [20, 140, 260],
    ]  # fmt: skip
    # What noise gives is one uncertain source, and the details say that none is supported.
    assert float(solution.estimate[3].abs().max()) > 0


def test_few_times_do_not_make_sources_of_noise(sphere: Leadfield) -> None:
    for n_times in (1, 3, 10):
        y = normal(20, 40, n_times, seed=n_times)
        found = solve(posed(sphere, y - y.mean(1, keepdim=True)), Scan(radii_mm=RADII))
        assert sum(n > 0 for n in found.details["n_sources"]) <= 1
        assert bool(torch.isfinite(found.estimate).all())


def hostile(n_orient: int, seed: int) -> dict[str, Tensor]:
    """Lead fields that a scan may run out of, each of 8 sensors and 12 locations."""
    columns = normal(8, 12 * n_orient, seed=seed)
    n = columns.shape[1]
    alike, silent = columns.clone(), columns.clone()
    alike[:, 3:], silent[:, ::2] = columns[:, :1], 0.0
    return {
        "random": columns,
        "of rank 2": normal(8, 2, seed=seed) @ normal(2, n, seed=seed + 1),
        "of rank 1": normal(8, 1, seed=seed) @ normal(1, n, seed=seed + 1),
        "collinear": alike,
        "nearly collinear": columns[:, :1] + 1e-9 * columns,
        "partly silent": silent,
        "silent": torch.zeros_like(columns),
        "of all scales": columns * 10.0 ** torch.linspace(-30, 30, n, dtype=torch.float64),
    }


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("n_orient", [1, 3])
def test_no_lead_field_and_no_scale_makes_it_stumble(n_orient: int, dtype: torch.dtype) -> None:
    for name, columns in hostile(n_orient, seed=3).items():
        scales = (1e-30, 1.0, 1e30) if name == "random" else (1.0,)
        y = normal(3, 8, 5, seed=12)
        y[1] = columns @ normal(columns.shape[1], 5, seed=4) / columns.abs().max().clamp_min(1e-9)
        y[2] = 0.0
        for scale in scales:
            problem = Problem(MatrixOperator(columns.to(dtype), n_orient), (scale * y).to(dtype))
            solution = solve(problem, Scan(n_most=4, patience=4))
            assert solution.variance is not None
            assert bool(torch.isfinite(solution.estimate).all()), (name, scale)
            assert bool(torch.isfinite(solution.variance).all()), (name, scale)
            assert solution.certificate.holds(), (name, scale)


def test_an_error_of_the_head_is_no_further_source(sphere: Leadfield) -> None:
    gain = sphere.gain - sphere.gain.mean(0)
    y = torch.zeros(8, 40, 50, dtype=torch.float64)
    for b in range(8):
        seen = gain[:, 30 * b] / gain[:, 30 * b].norm()
        wrong = normal(40, seed=b)
        wrong = wrong - wrong.mean()
        seen = seen + 0.3 * wrong / wrong.norm()
        y[b] = seen[:, None] @ normal(1, 50, seed=10 + b) + 0.01 * normal(40, 50, seed=20 + b)
    blind = solve(posed(sphere, y), Scan(radii_mm=RADII, head_error=0.0)).details["n_sources"]
    knowing = solve(posed(sphere, y), Scan(radii_mm=RADII)).details["n_sources"]
    assert knowing == [1] * 8
    assert min(blind) > 1


def test_without_an_error_of_the_head_the_criterion_is_that_of_white_noise() -> None:
    problem = Problem(MatrixOperator(normal(9, 20)), normal(3, 9, 7, seed=5))
    likelihood = Scan().majorant(problem).energy
    sources = Sources.none(3, 4, 1)
    for place, patch in enumerate((3, 11)):
        rows = torch.arange(3)
        one = torch.ones(3, 1, dtype=torch.float64)
        sources = sources.placed(rows, torch.full((3,), place), torch.tensor([patch] * 3), one)
    found = Doubt.of(likelihood, sources, 0.0)
    noise = likelihood.residual(sources).square().mean((1, 2))
    assert torch.allclose(found.noise, noise, rtol=1e-10)
    assert torch.allclose(found.value, 63 * (noise.log() + 1), rtol=1e-10)
    doubted = Doubt.of(likelihood, sources, 0.1)
    assert bool((doubted.noise < found.noise).all())


def test_amplitudes_are_those_of_the_currents(sphere: Leadfield) -> None:
    x = torch.zeros(1, 300, 25, dtype=torch.float64)
    x[0, 41] = 1e-8 * normal(25, seed=6)
    gain = sphere.gain - sphere.gain.mean(0)
    found = solve(posed(sphere, gain @ x), Scan(radii_mm=RADII, head_error=0.0)).estimate
    assert torch.allclose(found, x, atol=1e-3 * float(x.abs().max()))


def test_the_best_direction_is_the_first_eigenvector_of_the_pencil_with_its_share() -> None:
    factors = normal(2, 40, 3, 3, seed=11)
    power, left = factors @ factors.mT
    share = 0.05
    found = best_direction(power, left, share)
    whole = left + share * torch.eye(3).double()
    for a, b, d in zip(power, whole, found, strict=True):
        values, vectors = torch.linalg.eig(torch.linalg.solve(b, a))
        best = vectors[:, values.real.argmax()].real
        assert float(torch.cosine_similarity(best, d, dim=0).abs()) == pytest.approx(1.0, abs=1e-9)
        assert float(d[d.abs().argmax()]) > 0


def test_an_orientation_of_its_own_is_found_in_any_frame(sphere: Leadfield) -> None:
    free = normal(40, 900, seed=7)
    y = (free[:, 60:63] @ torch.tensor([[0.6], [0.0], [-0.8]], dtype=torch.float64)) @ normal(1, 20)
    y = (y + 0.05 * normal(40, 20, seed=1))[None]
    turn = torch.linalg.qr(normal(300, 3, 3, seed=2))[0]
    # axes[p, o] is the direction of column o: the columns are the gain along it.
    turned = torch.einsum("npc,poc->npo", free.unflatten(1, (-1, 3)), turn).flatten(1)
    plain = replace(sphere.geometry, n_orient=3)
    problem = Problem(MatrixOperator(free, 3, plain), y)
    other = Problem(MatrixOperator(turned, 3, replace(plain, axes=turn)), y)
    one, two = (solve(p, Scan(radii_mm=RADII)) for p in (problem, other))
    assert one.details["location"] == [[20]]
    direction = one.estimate[0, 60:63] @ one.estimate[0, 60:63].mT
    along = torch.linalg.eigh(direction)[1][:, -1].abs()
    assert torch.allclose(along, torch.tensor([0.6, 0.0, 0.8], dtype=torch.float64), atol=0.05)
    back = torch.einsum("poc,pot->pct", turn, two.estimate[0].unflatten(0, (-1, 3))).flatten(0, 1)
    assert torch.allclose(back, one.estimate[0], atol=1e-6 * float(back.abs().max()))


def test_it_sees_the_data_up_to_scale_and_nothing_else(sphere: Leadfield) -> None:
    y = data(sphere, [[20], [140]], noise=0.5)
    solver = Scan(radii_mm=RADII)
    plain = solve(posed(sphere, y), solver)
    for factor in (1e-20, 1e20):
        large = solve(posed(sphere, factor * y), solver)
        assert torch.allclose(large.estimate / factor, plain.estimate, rtol=1e-9)
        assert torch.equal(large.certificate.energy.round(decimals=6),
                           plain.certificate.energy.round(decimals=6))  # fmt: skip
    single = Problem(
        MatrixOperator(1e-3 * (sphere.gain - sphere.gain.mean(0)).float(), 1, sphere.geometry),
        (1e-3 * y).float(),
    )
    close = solve(single, solver).estimate.double() - plain.estimate
    assert float(close.abs().max()) < 2e-3 * float(plain.estimate.abs().max())


def test_columns_of_no_prior_variance_are_left_out(sphere: Leadfield) -> None:
    y = data(sphere, [[20]])
    prior = torch.ones(300, dtype=torch.float64)
    prior[20] = 0.0
    solution = solve(posed(sphere, y, source_prior=prior), Scan(radii_mm=()))
    assert float(solution.estimate[0, 20].abs().max()) == 0
    assert 20 not in solution.details["location"][0]


def test_patches_follow_edges_and_volumes_find_their_own(sphere: Leadfield) -> None:
    basis = patch_basis(sphere.geometry, 300, RADII)
    assert basis.n_patches > 500
    assert torch.equal(basis.centre[:300], torch.arange(300))
    assert int((basis.radius == 0).sum()) == 300
    reached = basis.members[basis.radius.numpy() == 0.04].sum(0)
    assert (reached > 0).all()
    steps = torch.arange(4, dtype=torch.float64)
    grid = 0.01 * torch.cartesian_prod(steps, steps, steps)
    edges = nearest_edges(grid)
    inside = int(((edges == 21).any(1)).sum())
    assert inside == 26  # the cube around it, with its edges and corners
    volume = SourceGeometry(grid, torch.zeros(0, 2, dtype=torch.int64))
    assert patch_basis(volume, 64, (12.0,)).n_patches == 128
    halves = torch.arange(64) // 32
    assert bool((halves[nearest_edges(grid, halves)].diff(dim=1) == 0).all())
    nowhere = SourceGeometry(torch.zeros(5, 3, dtype=torch.float64), torch.zeros(0, 2).long())
    assert patch_basis(nowhere, 5).n_patches == 5


def test_balls_grown_cell_by_cell_are_those_of_the_whole_graph() -> None:
    # Cells of the small balls are 3 * 0.35 * 12 mm = 13 mm wide here, on a sheet of 150 mm.
    grid = torch.cartesian_prod(torch.arange(30.0), torch.arange(30.0)).double()
    places = torch.cat([0.005 * grid, 1e-3 * normal(900, 1, seed=2)], 1) - 0.05
    geometry = SourceGeometry(places, nearest_edges(places))
    first, second = geometry.edges.T
    apart = torch.full((900, 900), math.inf, dtype=torch.float64).fill_diagonal_(0.0)
    apart[first, second] = apart[second, first] = (places[first] - places[second]).norm(dim=1)
    for via in range(900):
        apart = torch.minimum(apart, apart[:, via, None] + apart[via])
    for shape in ({}, {"falloff": 1.0, "spacing": 0.0}, {"falloff": 0.5, "spacing": 0.25}):
        basis = patch_basis(geometry, 900, (6.0, 12.0), **shape)
        expected = apart[basis.centre] <= basis.radius[:, None]
        assert torch.equal(torch.from_numpy(basis.members.toarray()) > 0, expected)
        assert len(basis.radius.unique()) == 3


def test_a_dictionary_is_prepared_once_and_few_are_kept(sphere: Leadfield) -> None:
    solver, y = Scan(radii_mm=RADII), data(sphere, [[20]])
    problem = posed(sphere, y)
    first = solver.dictionary(problem)
    assert solver.dictionary(replace(problem, y=2.0 * y)) is first
    others = [posed(sphere, y) for _ in range(3)]
    for other in others:
        assert solver.dictionary(other) is not first
    assert len(solver.shelf._dictionaries) == solver.shelf.size
    assert len(solver.shelf._bases) == 1
    noisy = replace(problem, noise=torch.full((40,), 4.0, dtype=torch.float64))
    assert solver.dictionary(noisy) is not solver.dictionary(problem)


def test_what_it_cannot_do_is_said_in_a_sentence(sphere: Leadfield) -> None:
    gain = normal(5, 8)
    free = FunctionOperator(
        lambda x: gain @ x, lambda y: gain.mT @ y, n_sensors=5, n_columns=8, norm_bound=10.0
    )
    with pytest.raises(MajorantError, match=r"matrix-free.*give the lead field as MatrixOperator"):
        solve(Problem(free, normal(1, 5, 3)), Scan())
    with pytest.raises(MajorantError, match="2 lead fields"):
        solve(Problem(MatrixOperator(normal(2, 5, 8)), normal(2, 5, 3)), Scan())
    for wrong, says in (
        ({"tau": 0.0}, "tau is 0"),
        ({"n_most": 0}, "n_most is 0"),
        ({"penalty": -1.0}, "penalty of -1"),
        ({"head_error": -0.1}, "a head_error of -0.1"),
        ({"radii_mm": (-1.0,)}, "radii_mm is"),
        ({"falloff": -1.0}, "falloff is -1"),
        ({"spacing": 2.0}, "spacing 2"),
    ):
        with pytest.raises(MajorantError, match=says):
            Scan(**wrong)
    search = Scan().majorant(posed(sphere, data(sphere, [[20]]))).energy
    with pytest.raises(MajorantError, match="no gradient"):
        search.value_and_grad(Scan().start(posed(sphere, data(sphere, [[20]]))))


def test_a_graded_patch_is_found_by_its_fall_off(sphere: Leadfield) -> None:
    basis = patch_basis(sphere.geometry, sphere.n_locations, RADII, falloff=1.0, spacing=0.0)
    chosen = int(((basis.centre == 120) & (basis.radius == 0.04)).nonzero()[0, 0])
    map_ = torch.from_numpy(basis.members[[chosen]].toarray()[0])
    assert float(map_[120]) == 1.0
    assert 0.1 < float(map_[map_ > 0].min()) < 0.5
    gain = sphere.gain - sphere.gain.mean(0)
    y = (gain @ map_)[:, None] * normal(30, seed=1)
    y = y + 0.02 * y.square().mean().sqrt() * normal(*y.shape, seed=2)
    one = Scan(radii_mm=RADII, n_most=1, head_error=0.0, tau=1.0)
    scan = replace(one, falloff=1.0, spacing=0.0)
    solution = solve(posed(sphere, y[None]), scan)
    found = solution.estimate[0].norm(dim=1)
    assert float(torch.cosine_similarity(found, map_, dim=0)) > 0.999
    assert solution.details["location"] == [[120]]
    # The two share a shelf, and what was prepared for one is not taken for the other.
    balls = solve(posed(sphere, y[None]), replace(one, falloff=0.0))
    even = balls.estimate[0].norm(dim=1)
    assert float(torch.cosine_similarity(even, map_, dim=0)) < 0.97


def test_what_noise_gives_is_told_apart_from_not_knowing_the_place(sphere: Leadfield) -> None:
    clean = data(sphere, [[17]], noise=0.0)
    noise = 0.3 * normal(200, *clean.shape[1:], seed=9) / clean.shape[1] ** 0.5
    solution = solve(posed(sphere, clean + noise), Scan(radii_mm=RADII))
    estimate = solution.estimate.unflatten(1, (-1, sphere.n_orient))
    strongest = int(estimate.square().sum((0, 2, 3)).argmax())
    repeated = estimate[:, strongest].norm(dim=1).std(0).mean()
    assert solution.noise is not None
    assert solution.variance is not None
    noise_there = solution.noise.unflatten(1, estimate.shape[1:3])[:, strongest].mean().sqrt()
    place_too = solution.variance.unflatten(1, estimate.shape[1:3])[:, strongest].sum(1).mean()
    assert noise_there < repeated < 1.6 * noise_there  # noise moves the place, too
    assert place_too.sqrt() > 3.0 * noise_there
