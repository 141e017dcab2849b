"""MM-Net: counts, descent for any weights, independence of samples, bad input."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch

from majorant.learned.mmnet import MMNet
from majorant.learned.timegrid import TimeGrid
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.majorants.guard import Guard
from majorant.majorants.prior import LayerNorms
from majorant.networks.autoencoder import Autoencoder
from majorant.networks.convlstm import square_parameters
from majorant.problem import MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.loop import solve

SMALL = MMNetSettings(
    n_sources=20,
    prior_hidden=6,
    prior_kernels=(1, 3, 1),
    hidden=5,
    outer=1,
    iterations=6,
    step="gram",
    start="sloreta",
)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network(seed: int = 0, scale: float = 1.0, **changes: object) -> MMNetwork:
    made = MMNetwork(replace(SMALL, **changes), generator(seed))  # type: ignore[arg-type]
    with torch.no_grad():
        for p in made.parameters():
            p.mul_(scale)
    return made


def problem(
    seed: int = 0, batch: int = 5, times: int = 7, dtype: torch.dtype = torch.float64, n: int = 8
) -> Problem:
    g = generator(100 + seed)
    gain = torch.randn(n, 20, generator=g, dtype=torch.float64).to(dtype)
    y = torch.randn(batch, n, times, generator=g, dtype=torch.float64).to(dtype)
    return Problem(MatrixOperator(gain), y)


def test_the_paper_sizes_have_the_paper_counts() -> None:
    made = MMNetwork(MMNetSettings(), generator(0))
    assert sum(p.numel() for p in made.prior.parameters()) == 812_544
    assert square_parameters(made, made.prior) == 2_947_364
    assert sum(p.numel() for p in made.parameters()) == 1_525_796


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1e20])
@pytest.mark.parametrize("step", ["gram", "diagonal"])
def test_the_energy_never_rises_for_any_weights(
    dtype: torch.dtype, scale: float, step: str
) -> None:
    solver = MMNet(network(1, scale, step=step))
    solution = solve(problem(dtype=dtype), solver, max_iter=40)
    assert solution.certificate.holds()
    energy = solution.certificate.energy
    assert bool((energy[1:] <= energy[:-1]).all())
    assert bool(torch.isfinite(solution.estimate).all())


def test_without_the_guard_the_energy_does_rise() -> None:
    solver = MMNet(network(1, 30.0))
    free = solve(problem(), solver, max_iter=40, guard=Guard("off", window=1))
    assert not free.certificate.holds()


def test_a_prior_of_nan_is_refused() -> None:
    made = network(2)
    with torch.no_grad():
        next(made.prior.parameters()).fill_(torch.nan)
    with pytest.raises(MajorantError, match="no energy"):
        MMNet(made)


def test_the_fallback_does_the_work_of_a_broken_network() -> None:
    made = network(2)
    with torch.no_grad():
        made.curvature.decode_1.weight.fill_(torch.nan)
    certificate = solve(problem(), MMNet(made), max_iter=20).certificate
    assert int(certificate.fallbacks.min()) > 0
    assert bool((certificate.energy[-1] < certificate.energy[0]).all())


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("start", ["sloreta", "noise", "minimum-norm", "scan", "mean"])
def test_batch_mates_and_order_do_not_matter(dtype: torch.dtype, bound: float, start: str) -> None:
    solver, whole = MMNet(network(3, start=start)), problem(dtype=dtype)
    together = solve(whole, solver).estimate
    alone = torch.cat(
        [solve(Problem(whole.operator, whole.y[i : i + 1]), solver).estimate for i in range(5)]
    )
    order = torch.tensor([3, 1, 4, 0, 2])
    turned = solve(Problem(whole.operator, whole.y[order]), solver).estimate
    size = together.abs().amax()
    assert float((alone - together).abs().max() / size) < bound
    assert float((turned - together[order]).abs().max() / size) < bound


def test_untrained_weights_enlarge_rounding_in_single_precision_and_nothing_else() -> None:
    solver, apart = MMNet(network(1, 30.0)), {}
    for dtype in (torch.float64, torch.float32):
        whole = problem(dtype=dtype)
        together = solve(whole, solver, max_iter=20)
        alone = [
            solve(Problem(whole.operator, whole.y[i : i + 1]), solver, max_iter=20)
            for i in range(5)
        ]
        assert all(each.certificate.holds() for each in (together, *alone))
        found = torch.cat([each.estimate for each in alone])
        size = together.estimate.abs().amax()
        apart[dtype] = float((found - together.estimate).abs().max() / size)
    assert apart[torch.float64] < 1e-8  # nothing is shared over the batch
    assert apart[torch.float32] < 1.0


def test_one_network_serves_any_montage_length_and_number_of_iterations() -> None:
    solver = MMNet(network(4))
    for sensors, times, limit in ((8, 7, 6), (3, 1, 1), (19, 30, 25), (8, 2, 0)):
        solution = solve(problem(n=sensors, times=times), solver, max_iter=limit)
        assert solution.estimate.shape == (5, 20, times)
        assert solution.certificate.holds()


def test_the_amplitude_is_what_the_data_ask_for() -> None:
    given = problem()
    one = solve(given, MMNet(network(5)))
    ten = solve(Problem(given.operator, 10 * given.y), MMNet(network(5)))
    torch.testing.assert_close(ten.estimate, 10 * one.estimate, rtol=1e-6, atol=1e-9)
    seen = given.operator.apply(one.estimate)
    torch.testing.assert_close(
        (seen * given.y).flatten(1).sum(1), (seen * seen).flatten(1).sum(1), rtol=1e-9, atol=1e-9
    )


def test_statuses_say_what_happened() -> None:
    given = problem()
    y = given.y.clone()
    y[0] = 0
    solution = solve(Problem(given.operator, y), MMNet(network(6)))
    assert solution.status[0] is Status.NO_DATA
    assert solution.estimate[0].eq(0).all()
    assert set(solution.status[1:]) == {Status.TRAINED}
    lost = solve(given, MMNet(network(6, start="noise")), max_iter=0)
    assert Status.NO_SOURCE in lost.status
    assert lost.estimate[[s is Status.NO_SOURCE for s in lost.status]].eq(0).all()


def test_resampling_keeps_what_is_smooth() -> None:
    grid = TimeGrid.between(64, 512.0, 128.0)
    assert grid is not None
    assert grid.down.shape == (64, 16)
    torch.testing.assert_close(grid.up @ grid.down, torch.eye(16, dtype=torch.float64))
    t = torch.arange(64, dtype=torch.float64) / 512
    bump = torch.exp(-((t - 0.06) ** 2) / (2 * 0.0083**2))
    assert float((bump @ grid.down @ grid.up - bump).abs().max()) < 2e-3
    assert TimeGrid.between(64, 512.0, 512.0) is None
    solver = MMNet(network(7, rate=128.0), sfreq=512.0)
    assert solve(problem(times=64), solver).estimate.shape == (5, 20, 64)


def test_a_thousand_iterations_never_raise_the_energy() -> None:
    """In single precision; in both, for hostile weights, in tests/majorants/test_guard.py."""
    data = problem(batch=2, times=3, dtype=torch.float32)
    solution = solve(data, MMNet(network(8, 3.0)), max_iter=1000)
    energy = solution.certificate.energy
    assert bool((energy[1:] <= energy[:-1]).all())
    assert bool((energy[-1] < energy[0]).all())


def test_data_that_are_not_whitened_are_refused() -> None:
    given = problem()
    noisy = Problem(given.operator, given.y, noise=torch.ones(8, dtype=torch.float64))
    with pytest.raises(MajorantError, match="whitened"):
        solve(noisy, MMNet(network()))


def test_another_source_space_is_refused() -> None:
    given = Problem(MatrixOperator(torch.ones(4, 21)), torch.ones(1, 4, 3))
    with pytest.raises(MajorantError, match="made for 20 sources"):
        solve(given, MMNet(network()))
    with pytest.raises(MajorantError, match="sampling rate"):
        MMNet(network(), sfreq=0.0)


def test_what_was_made_of_weights_survives_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A solver is told another rate at every call of a door, and measures no layer again."""
    counted: list[int] = []
    measure = LayerNorms.of.__func__  # type: ignore[attr-defined]

    def counting(cls: type[LayerNorms], prior: Autoencoder) -> LayerNorms:
        counted.append(1)
        return measure(cls, prior)

    monkeypatch.setattr(LayerNorms, "of", classmethod(counting))
    solver, given = MMNet(network(scale=30.0)), problem()
    for rate in (512.0, 256.0, 512.0):
        solution = solve(given, solver.at(rate))
        assert int(solution.certificate.fallbacks.sum())  # the analytic step needs the norms
    assert counted == [1]
    assert solver.at(256.0).prepared.like(given) is solver.prepared.like(given)


def test_copies_make_their_own() -> None:
    solver = MMNet(network())
    solver.prepared.norms()
    other = pickle.loads(pickle.dumps(solver))
    assert torch.equal(solve(problem(), other).estimate, solve(problem(), solver).estimate)
