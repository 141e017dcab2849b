"""The rows beyond the published table: one thing changed in each."""

from __future__ import annotations

import pytest
import torch

from majorant.bench import extended
from majorant.bench.extended import LimitedMMNet
from majorant.energies.cosine import SourceState
from majorant.forward.leadfield import Leadfield
from majorant.learned.mmnet import MMNet
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.simulate.dataset import SereegaLike


@pytest.fixture(scope="module")
def solver() -> MMNet:
    settings = MMNetSettings(
        300, 4, (1, 3, 1), hidden=3, outer=1, iterations=3, start="sloreta", rate=64.0
    )
    return MMNet(MMNetwork(settings, torch.Generator().manual_seed(0)), sfreq=512.0)


def test_every_row_is_there_and_only_unguarded_ones_may_rise(
    sphere: Leadfield, solver: MMNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extended, "LENGTHS", (1, 12))
    monkeypatch.setattr(extended, "LEVELS_DB", (0.0,))
    rows = extended.extended(sphere, 2, solver=solver, heads=False)
    names = [row.method for row in rows]
    assert len(names) == len(set(names)) == 2 + 3 + 3 + 4 + 1
    assert names[0] == "mm-net"
    free = [row for row in rows if "off" in row.method or "no guard" in row.method]
    assert all(row.violations == 0 for row in rows if row not in free)
    assert all(row.parameters == rows[0].parameters > 0 for row in rows)


@pytest.mark.parametrize("bound", extended.LIMITS)
def test_a_limited_step_is_no_longer_than_the_bound_allows(
    sphere: Leadfield, solver: MMNet, bound: extended.Bound
) -> None:
    data = SereegaLike(sphere, 3, part="test")
    problem = data.problem(data.batch(range(3)))
    limited = LimitedMMNet(solver, bound)
    point = limited.majorant(problem).at(limited.start(problem))
    assert isinstance(point, QuadraticSurrogate)
    proposal = limited.proposal(problem)
    ahead, _ = proposal.propose(point, proposal.begin(problem, point))
    free, _ = proposal.inner.propose(point, proposal.begin(problem, point))
    step, wanted = ahead.x - point.state.x, free.x - point.state.x
    allowed = point.curvature.step_limit() * point.gradient.abs()
    assert bool((step.abs() <= allowed * (1 + 1e-4) + 1e-6).all())
    assert bool((step * wanted >= 0).all())
    assert bool((step.abs() <= wanted.abs() + 1e-6).all())
    assert not torch.allclose(step, wanted)
    assert isinstance(ahead, SourceState)
