"""Long recordings: windows are cross-faded, and the promise holds for all of them."""

from __future__ import annotations

import pytest
import torch

from majorant.learned.directions import both_directions
from majorant.learned.mmnet import MMNet
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.problem import MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.loop import solve
from majorant.solvers.windows import cross_fade, window_starts

SETTINGS = MMNetSettings(
    n_sources=20, prior_hidden=6, prior_kernels=(1, 3, 1), hidden=5, outer=1, start="sloreta"
)


def parts(times: int) -> tuple[Problem, MMNet]:
    g = torch.Generator().manual_seed(0)
    operator = MatrixOperator(torch.randn(8, 20, generator=g, dtype=torch.float64))
    y = torch.randn(3, 8, times, generator=g, dtype=torch.float64)
    solver = MMNet(MMNetwork(SETTINGS, g), sfreq=512.0, recordings=True)
    return Problem(operator, y), solver


@pytest.mark.parametrize(("n_times", "length"), [(100, 16), (97, 16), (33, 16), (17, 16)])
def test_cross_fading_windows_of_a_recording_gives_it_back(n_times: int, length: int) -> None:
    x = torch.randn(2, 4, n_times, generator=torch.Generator().manual_seed(0))
    starts = window_starts(n_times, length)
    cut = torch.stack([x[:, :, k : k + length] for k in starts], dim=1)
    torch.testing.assert_close(cross_fade(cut, starts, n_times), x)


def test_a_long_recording_keeps_shape_promise_and_independence() -> None:
    problem, solver = parts(200)
    y = problem.y.clone()
    y[1] = 0
    solution = solve(Problem(problem.operator, y), solver)
    assert solution.estimate.shape == (3, 20, 200)
    assert solution.certificate.holds()
    assert solution.certificate.energy.shape[1] == 3
    assert solution.status == (Status.TRAINED, Status.NO_DATA, Status.TRAINED)
    assert solve(problem, solver, max_iter=2).status == (Status.LIMIT,) * 3
    assert solution.details["windows"] == 6
    alone = solve(Problem(problem.operator, y[2:]), solver)
    torch.testing.assert_close(alone.estimate[0], solution.estimate[2], rtol=1e-10, atol=1e-12)


def test_the_direction_of_the_current_does_not_matter() -> None:
    problem, solver = parts(200)
    out = solve(problem, solver)
    turned = solve(Problem(problem.operator, -problem.y), solver)
    torch.testing.assert_close(turned.estimate, -out.estimate)


def test_a_network_for_both_directions_sees_the_data_once() -> None:
    problem, solver = parts(64)
    assert isinstance(solver.network, MMNetwork)
    both = MMNet(both_directions(solver.network), sfreq=512.0, recordings=True)
    assert both.network.settings.signed
    solution = solve(problem, both)
    alone = solve(problem, both.changed(recordings=False))
    torch.testing.assert_close(solution.estimate, alone.estimate)
    assert "inward" not in solution.details
    turned = solve(Problem(problem.operator, -problem.y), both)
    torch.testing.assert_close(turned.estimate, -solution.estimate)


def test_a_short_recording_is_one_window() -> None:
    problem, solver = parts(64)
    together = solve(problem, solver)
    assert together.details["windows"] == 1
    outward = [not inward for (inward,) in together.details["inward"]]
    assert any(outward)
    alone = solve(problem, solver.changed(recordings=False)).estimate
    torch.testing.assert_close(together.estimate[outward], alone[outward])
    with pytest.raises(MajorantError, match="holds 1 samples"):
        solve(problem, solver.at(8.0))


def test_the_direction_of_the_lower_energy_is_kept() -> None:
    problem, solver = parts(64)
    kept = solve(problem, solver)
    own = [
        solve(Problem(problem.operator, way * problem.y), solver.changed(recordings=False))
        for way in (1.0, -1.0)
    ]
    ends = torch.stack([each.certificate.energy[-1] for each in own])
    assert (ends[0] - ends[1]).abs().min() > 1e-6
    torch.testing.assert_close(kept.certificate.energy[-1], ends.amin(0))
    inward = torch.tensor(kept.details["inward"]).flatten()
    assert torch.equal(inward, ends[1] < ends[0])
    assert inward.any()
    assert not inward.all()


def test_a_recording_has_the_counts_of_its_own_windows() -> None:
    problem, solver = parts(200)
    y = problem.y.clone()
    y[1] = 0  # nothing happens there
    with torch.no_grad():
        for p in solver.network.parameters():
            p.mul_(30.0)
    certificate = solve(Problem(problem.operator, y), solver).certificate
    assert certificate.refused[1] == certificate.fallbacks[1] == 0
    for k in (0, 2):
        alone = solve(Problem(problem.operator, y[k : k + 1]), solver).certificate
        for name in ("refused", "halvings", "fallbacks", "violations"):
            assert getattr(certificate, name)[k] == getattr(alone, name)[0]
        assert certificate.refused[k] > 0
    assert certificate.windows == 6


def test_the_amplitude_does_not_know_the_sampling_rate() -> None:
    problem, solver = parts(16)
    slow = solver.changed(recordings=False, sfreq=solver.network.settings.rate)
    times, fine = (3 * (torch.arange(n, dtype=torch.float64) + 0.5) / n for n in (16, 64))
    shape = problem.y[:, :, :1]
    coarse = solve(Problem(problem.operator, shape * torch.sin(times)), slow)
    dense = solve(
        Problem(problem.operator, shape * torch.sin(fine)),
        slow.changed(sfreq=4 * solver.network.settings.rate),
    )
    sizes = [torch.tensor(each.details["amplitude"]) for each in (coarse, dense)]
    torch.testing.assert_close(sizes[0], sizes[1], rtol=0.1, atol=0)
    peak = [each.estimate.abs().amax((1, 2)) for each in (coarse, dense)]
    torch.testing.assert_close(peak[0], peak[1], rtol=0.1, atol=0)
