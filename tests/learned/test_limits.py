"""The papers' limits: the p that was used lies in the interval, and only the guard descends."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from majorant.energies.cosine import SourceState
from majorant.learned.fourdvarnet import FourDVarNetwork, FourDVarSettings
from majorant.learned.limits import LIMITS, Limit, Limited, interval
from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.solvers.loop import solve
from majorant.weights.shipped import mm_net

from .test_mmnet import network, problem

FREE = Guard("off", window=1)


@pytest.mark.parametrize(
    ("limit", "step", "positive"),
    [
        ("v2", "diagonal", True),
        ("v2", "gram", True),
        ("v2", "diagonal", False),
        ("v1", "diagonal", True),
        ("hvp", "diagonal", True),
    ],
)
def test_the_p_of_every_step_lies_between_nu_and_nu_bar(
    limit: Limit, step: str, positive: bool
) -> None:
    gamma = 1.5
    made = network(1, 3.0, step=step, positive=positive, gamma=gamma)
    solver = MMNet(made, limit=limit, guard=FREE)
    given = problem()
    majorant = solver.majorant(given)
    states = solve(given, solver, keep_trace=True).trace
    assert len(states) == 7
    reached = 0
    for before, after in pairwise(states):
        point = majorant.at(before)
        low, high = interval(point)
        assert bool((low <= 1e-8 * (before.x**2).sum((1, 2), keepdim=True)).all())
        moving = point.gradient.abs() > 1e-9 * point.gradient.abs().max()
        p = torch.where(moving, (before.x - after.x) / (gamma * point.gradient), low)
        room = 1e-9 * before.x.abs().max() / point.gradient.abs().clamp_min(1e-9)  # of x + step
        assert bool((p >= low - room).all())
        assert bool((p <= high * (1 + 1e-9) + room).all())
        reached += int((p > 0.99 * high).sum())
    assert reached > 0  # the limit is felt


def test_within_the_limits_a_step_is_the_network_s_own() -> None:
    made, given = network(2, step="diagonal"), problem()
    solver = MMNet(made, limit="v2")
    limited = solver.proposal(given)
    assert isinstance(limited, Limited)
    surrogate = solver.majorant(given).at(solver.start(given))
    open_above = QuadraticSurrogate(
        surrogate.state, surrogate.energy, lambda: surrogate.gradient, Open, surrogate.point
    )
    one, _ = limited.propose(open_above, limited.begin(given, open_above))
    two, _ = limited.inner.propose(open_above, limited.begin(given, open_above))
    torch.testing.assert_close(one.x, two.x, rtol=1e-12, atol=1e-12)


class Open:
    """A curvature without an upper limit."""

    def step_limit(self) -> torch.Tensor:
        return torch.full((5, 1, 1), 1e9, dtype=torch.float64)


@pytest.mark.parametrize("limit", LIMITS)
def test_under_the_guard_nothing_rises_with_a_limit_either(limit: Limit) -> None:
    for scale in (1.0, 1e20):
        kept = solve(problem(), MMNet(network(3, scale), limit=limit), max_iter=20).certificate
        assert kept.holds()
        assert bool((kept.energy[1:] <= kept.energy[:-1]).all())
        if scale == 1.0:  # at 1e20 the bounds are infinite, and nothing moves
            assert bool((kept.energy[-1] < kept.energy[0]).all())
    assert {"v1": "version 1", "v2": "version 2"}.get(limit, "Hessian") in kept.bound


def test_a_limit_alone_is_no_guarantee_and_rises_are_counted() -> None:
    """The network and the point of docs/guarantees.md, section 6."""
    sizes = {"n_sources": 2, "prior_hidden": 2, "prior_kernels": (1, 1, 1)}
    made = network(0, **sizes, step="diagonal", weight=100.0).double()
    values = ([[0.0, 10.0], [-5.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]], [[-1.0, 1.0], [0.1, 0.1]])
    with torch.no_grad():
        for w, v in zip(made.prior.weights, values, strict=True):
            w.copy_(torch.tensor(v, dtype=torch.float64)[..., None])
        for p in made.curvature.parameters():
            p.zero_()
        made.curvature.decode_1.bias.fill_(1e3)  # asks for far more than any limit allows
        made.curvature.decode_2.bias.fill_(1e3)
    x = torch.tensor([[[1.0], [-0.5]]], dtype=torch.float64)
    given = Problem(MatrixOperator(1e-3 * torch.eye(2, dtype=torch.float64)), x.clone())
    solver = Placed(made, limit="v2", guard=FREE)
    free = solve(given, solver, max_iter=10)
    assert int(free.certificate.violations.sum()) > 0
    kept = solve(given, solver, max_iter=10, guard=Guard())
    assert kept.certificate.holds()


class Placed(MMNet):
    """Starts at the data."""

    def start(self, problem: Problem) -> SourceState:
        return SourceState(problem.y.clone())


def test_what_cannot_be_limited_is_refused() -> None:
    with pytest.raises(MajorantError, match="no limit 'v3'; choose one of v1, v2, hvp"):
        MMNet(network(), limit="v3")  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="leave out the other"):
        MMNet(network(), limit="v2", bound="gram")
    other = FourDVarNetwork(FourDVarSettings(n_sources=20, prior_hidden=4, hidden=4))
    with pytest.raises(MajorantError, match="predict a curvature"):
        MMNet(other, limit="v2")
    assert mm_net(limit="v2").limit == "v2"
