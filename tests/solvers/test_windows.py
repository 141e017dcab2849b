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
