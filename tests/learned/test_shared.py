"""MM-Net shared over sources: descent for any weights, symmetries, norms in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.geometry import SourceGeometry
from majorant.learned.shared.neighbourhoods import Neighbourhoods
from majorant.learned.shared.network import SharedNetwork, SharedSettings, StartKind, unit
from majorant.learned.shared.prior import STEEPEST, PatchLayers, PatchPrior, shrink, shrink_bend
from majorant.learned.shared.solver import SharedMMNet
from majorant.learned.unfolded import UnfoldedSBL
from majorant.majorants.cosine import CosineMajorant, HessianProducts
from majorant.majorants.guard import Guard
from majorant.problem import FunctionOperator, MatrixOperator, Problem
from majorant.solvers.loop import solve
from majorant.testing import check_solver

N, SENSORS = 40, 9
SETTINGS = SharedSettings(hidden=8, memory=2, channels=3)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int = 0, scale: float = 1.0, start: StartKind = "mean") -> SharedNetwork:
    made = SharedNetwork(replace(SETTINGS, start=start), generator(seed))
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(scale)
    return made


def shared(made: SharedNetwork, guard: Guard | None = None) -> SharedMMNet:
    """Beside a short unfolded solver: what it finds does not matter here."""
    return SharedMMNet(made, UnfoldedSBL(layers=2, basis="patches"), guard=guard)


def geometry(n_orient: int = 1) -> SourceGeometry:
    place = 0.05 * torch.rand(N, 3, generator=generator(7), dtype=torch.float64)
    return SourceGeometry(place, torch.zeros(0, 2, dtype=torch.int64), n_orient=n_orient)


def problem(
    seed: int = 0,
    batch: int = 4,
    times: int = 6,
    n_orient: int = 1,
    dtype: torch.dtype = torch.float64,
) -> Problem:
    g = generator(100 + seed)
    gain = torch.randn(SENSORS, n_orient * N, generator=g, dtype=torch.float64).to(dtype)
    y = torch.randn(batch, SENSORS, times, generator=g, dtype=torch.float64).to(dtype)
    return Problem(MatrixOperator(gain, n_orient, geometry(n_orient)), y)


def near(a: Tensor, b: Tensor, tolerance: float = 1e-4) -> bool:
    return bool((a - b).norm() <= tolerance * b.norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e20])
@pytest.mark.parametrize("n_orient", [1, 3])
def test_the_energy_never_rises_for_any_weights(
    dtype: torch.dtype, scale: float, n_orient: int
) -> None:
    for seed in range(3):
        given = problem(seed, n_orient=n_orient, dtype=dtype)
        found = solve(given, shared(network(seed, scale)), max_iter=9)
        energy = found.certificate.energy
        assert found.certificate.holds()
        assert bool((energy[1:] <= energy[:-1]).all())
        assert bool(torch.isfinite(found.estimate).all())


class Hostile(SharedNetwork):
    """Turns against the data and doubles its step every time."""

    def step(self, *given: object, **named: object):  # type: ignore[no-untyped-def]
        made = super().step(*given, **named)  # type: ignore[arg-type]
        return made._replace(x=-3.0 * made.x)


def test_an_adversary_does_not_raise_it_and_without_the_guard_it_does() -> None:
    hostile = Hostile(SETTINGS, generator(0))
    solver = shared(hostile)
    kept = solve(problem(), solver, max_iter=6).certificate
    assert kept.holds()
    assert int(kept.refused.sum()) > 0
    assert bool((kept.energy[-1] < kept.energy[0]).all())  # the analytic step does the work
    free = solve(problem(), shared(hostile, guard=Guard("off", window=1)), max_iter=6)
    assert not free.certificate.holds()


def test_permuting_the_sources_permutes_the_estimate() -> None:
    """Without the scan, which chooses among equal patches by number."""
    given, solver = problem(), shared(network(start="sloreta"))
    order = torch.randperm(N, generator=generator(3))
    gain, place = given.operator.matrix(), geometry()
    assert gain is not None
    moved = replace(place, positions=place.positions[order])
    other = Problem(MatrixOperator(gain[:, order], 1, moved), given.y)
    assert near(solve(other, solver).estimate, solve(given, solver).estimate[:, order])


@pytest.mark.parametrize("start", ["sloreta", "mean"])
def test_turning_columns_turns_the_estimate(start: StartKind) -> None:
    """Those of each location by itself; all alike where neighbours are joined to patches."""
    given, solver = problem(n_orient=3), shared(network(start=start))
    gain = given.operator.matrix()
    assert gain is not None
    q = torch.linalg.qr(torch.randn(N, 3, 3, generator=generator(5), dtype=torch.float64))[0]
    q = q if start == "sloreta" else q[:1].expand(N, 3, 3)
    turned = torch.einsum("nso,sop->nsp", gain.unflatten(1, (N, 3)), q).flatten(1)
    other = Problem(MatrixOperator(turned, 3, geometry(3)), given.y)
    expected = torch.einsum("bsot,sop->bspt", solve(given, solver).estimate.unflatten(1, (N, 3)), q)
    assert near(solve(other, solver).estimate, expected.flatten(1, 2))


@pytest.mark.parametrize("times", [4, 20])
def test_units_sign_and_the_sampling_of_time_do_not_matter(times: int) -> None:
    given, solver = problem(times=times), shared(network())
    found, gain = solve(given, solver).estimate, given.operator.matrix()
    assert gain is not None
    scaled = Problem(MatrixOperator(1e-7 * gain, 1, geometry()), -1e-5 * given.y)
    assert near(solve(scaled, solver).estimate, -1e2 * found)
    q = torch.linalg.qr(torch.randn(times, times, generator=generator(1), dtype=torch.float64))[0]
    assert near(solve(replace(given, y=given.y @ q), solver).estimate, found @ q)


def test_batch_mates_do_not_matter() -> None:
    given, solver = problem(batch=5), shared(network(scale=3.0))
    whole = solve(given, solver).estimate
    for k in range(5):
        alone = solve(replace(given, y=given.y[k : k + 1]), solver).estimate
        assert near(alone, whole[k : k + 1])


def test_matrices_geometry_and_orientations_may_be_missing() -> None:
    given, solver = problem(), shared(network())
    gain = given.operator.matrix()
    assert gain is not None
    functions = FunctionOperator(
        lambda x: gain @ x,
        lambda y: gain.mT @ y,
        n_sensors=SENSORS,
        n_columns=N,
        norm_bound=float(torch.linalg.matrix_norm(gain, 2)),
    )
    bare = Problem(MatrixOperator(gain), given.y)
    assert near(solve(Problem(functions, given.y), solver).estimate, solve(bare, solver).estimate)


@pytest.mark.parametrize("n_orient", [1, 3])
def test_the_contract_of_solvers_is_kept(n_orient: int) -> None:
    check_solver(shared(network()), orientations=(n_orient,), batches=(3,))


def prior(seed: int = 0) -> PatchPrior:
    layers = PatchLayers(4, 3, generator(seed)).double().requires_grad_(False)
    return PatchPrior(layers, Neighbourhoods.of(geometry(), N), N)


def test_the_pullback_is_the_gradient() -> None:
    x = torch.randn(2, N, 3, generator=generator(0), dtype=torch.float64, requires_grad=True)
    v = torch.randn(2, N, 3, generator=generator(1), dtype=torch.float64)
    kept = prior().trace(x)
    (slope,) = torch.autograd.grad((kept.output * v).sum(), x)
    assert near(prior().pullback(kept, v)[0], slope, 1e-9)


def test_norms_hold() -> None:
    """Jacobian and second derivative of random priors stay below the norms in closed form."""
    for seed in range(4):
        phi = prior(seed)
        norms, g = phi.norms(), generator(seed)
        for size in (0.1, 1.0, 10.0):
            x = size * torch.randn(1, N, 2, generator=g, dtype=torch.float64)
            d = torch.randn(1, N, 2, generator=g, dtype=torch.float64)
            d = d / d.norm()
            left, right, here = (phi(x + t * d) for t in (-1e-3, 1e-3, 0.0))
            assert float((right - left).norm()) / 2e-3 <= norms.lipschitz
            assert float((right + left - 2.0 * here).norm()) / 1e-6 <= norms.bending
        jacobian = torch.autograd.functional.jacobian(phi, x[:, :, :1])
        assert isinstance(jacobian, Tensor)
        assert float(torch.linalg.matrix_norm(jacobian.reshape(N, N), 2)) <= norms.lipschitz


def test_a_shrinkage_bends_by_no_more_than_is_said() -> None:
    tau = torch.tensor(0.7, dtype=torch.float64)
    worst = 0.0
    for seed in range(300):
        g = generator(seed)
        z = (
            torch.rand((), generator=g, dtype=torch.float64)
            * 3
            * torch.nn.functional.normalize(torch.randn(3, generator=g, dtype=torch.float64), dim=0)
        )
        d = torch.nn.functional.normalize(torch.randn(3, generator=g, dtype=torch.float64), dim=0)
        second = sum(w * shrink(z + t * d, tau)[0] for t, w in ((-1e-4, 1), (0.0, -2), (1e-4, 1)))
        assert isinstance(second, Tensor)
        bent, bound = float(second.norm()) / 1e-8, float(shrink_bend(z, tau))
        assert bent <= bound + 1e-5 <= STEEPEST / 0.7 + 2e-5
        worst = max(worst, bent / bound)
    assert worst > 0.95  # the bound is attained


def test_version_2_bounds_the_hessian_of_this_prior_too() -> None:
    for seed in range(4):
        given = problem(seed, batch=1, times=2)
        energy = CosineEnergy(given, prior(seed))
        majorant = CosineMajorant(energy, "v2", prior(seed).norms)
        x = torch.randn(1, N, 2, generator=generator(seed), dtype=torch.float64)
        apply = HessianProducts(energy, SourceState(x))
        basis = torch.eye(2 * N, dtype=torch.float64).reshape(-1, 1, N, 2)
        hessian = torch.stack([apply(v).flatten() for v in basis])
        largest = torch.linalg.eigvalsh((hessian + hessian.mT) / 2)[-1]
        limit = majorant.at(SourceState(x)).curvature.step_limit()
        assert float(largest) <= float(1.0 / limit.flatten()[0])


def test_scales_are_lengths() -> None:
    """A smooth map has the same averages on a coarse and on a fine grid; rows sum to one."""
    found = []
    for step in (0.004, 0.002):
        n = round(0.06 / step)
        grid = torch.stack(
            torch.meshgrid(*[torch.arange(n, dtype=torch.float64) * step] * 2, indexing="ij"), -1
        ).reshape(-1, 2)
        place = torch.cat([grid, torch.zeros(len(grid), 1, dtype=torch.float64)], 1)
        bare = SourceGeometry(place, torch.zeros(0, 2, dtype=torch.int64))
        made = Neighbourhoods.of(bare, len(place))
        assert np.allclose(made.rows.sum(1), 1.0, atol=1e-6)
        norm = np.linalg.norm(made.rows[: len(place)].toarray(), 2)
        assert norm <= made.bounds[0]
        smooth = torch.exp(-((grid - 0.03) / 0.01).square().sum(1))
        middle = int((grid - 0.028).norm(dim=1).argmin())
        found.append(made.average(smooth[None, :, None])[0, :, middle, 0])
    assert torch.allclose(found[0], found[1], atol=0.05)
    ones = torch.ones(1, N, 1, dtype=torch.float64)
    assert near(unit(ones), ones, 1e-12)
