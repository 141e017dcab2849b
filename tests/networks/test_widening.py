"""Attention that starts from a pointwise network: the same function, and it can leave it."""

from __future__ import annotations

import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.learned.unfolded import UnfoldedSBL
from majorant.networks.corrections import Clues, Corrections, CorrectionSettings
from majorant.networks.widening import unshared, widened
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.solvers.loop import solve


def _trained(shared: bool = True) -> Corrections:
    """A pointwise network whose weights are all drawn, heads included."""
    made = Corrections(CorrectionSettings("mlp", 3, shared, hidden=8), seed=1).double()
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in made.parameters():
            drawn = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
            parameter.copy_(0.3 * drawn)
    return made


def _clues() -> Clues:
    draw = torch.Generator().manual_seed(6)
    return Clues(
        torch.randn(2, 30, 9, generator=draw, dtype=torch.float64),
        torch.randn(2, 9, 7, generator=draw, dtype=torch.float64),
        torch.randint(30, (1, 30, 4), generator=draw),
        torch.rand(1, 30, 4, generator=draw, dtype=torch.float64),
    )


@pytest.mark.parametrize("shared", [True, False])
def test_it_computes_what_the_pointwise_network_does(shared):
    narrow, clues = _trained(shared), _clues()
    wide = widened(narrow, neighbours=4)
    assert len(wide.stages) == len(narrow.stages)
    for old, new in zip(narrow.stages, wide.stages, strict=True):
        for expected, found in zip(old(clues), new(clues), strict=True):
            assert expected.abs().max() > 0.1
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-14)


def test_the_solver_is_the_same(sphere: Leadfield):
    y = torch.randn(2, sphere.n_sensors, 12, generator=torch.Generator().manual_seed(7)).double()
    problem = Problem(MatrixOperator(sphere.gain.double()), y)
    narrow = _trained()
    one, two = (solve(problem, UnfoldedSBL(net)) for net in (narrow, widened(narrow)))
    torch.testing.assert_close(two.estimate, one.estimate, rtol=1e-9, atol=0)


def test_what_is_seen_has_a_gradient_and_what_asks_follows():
    wide, clues = widened(_trained(), neighbours=4), _clues()
    (stage,) = wide.stages
    stage(clues)[0].square().sum().backward()
    seen = stage.source[0].weight.grad[:, 8:]
    assert (seen.abs() > 0).all()
    assert stage.query.weight.grad.abs().max() == 0
    with torch.no_grad():
        stage.source[0].weight.grad.mul_(-1e-2)
        stage.source[0].weight += stage.source[0].weight.grad
    wide.zero_grad()
    stage(clues)[0].square().sum().backward()
    assert stage.query.weight.grad.abs().max() > 0
    assert stage.nearness.grad.abs() > 0


def test_other_kinds_are_refused():
    with pytest.raises(MajorantError, match="'bias' cannot be widened"):
        widened(Corrections(CorrectionSettings("bias", 3)))


@pytest.mark.parametrize("kind", ["mlp", "attention"])
def test_a_copy_for_every_layer_computes_the_same(sphere: Leadfield, kind: str) -> None:
    one = _trained() if kind == "mlp" else widened(_trained())
    each = unshared(one)
    assert len(each.stages) == each.settings.layers == 3
    assert not each.settings.shared
    y = torch.randn(2, sphere.n_sensors, 12, generator=torch.Generator().manual_seed(8)).double()
    problem = Problem(MatrixOperator(sphere.gain.double()), y)
    a, b = (solve(problem, UnfoldedSBL(net)) for net in (one, each))
    assert torch.equal(a.estimate, b.estimate)
    with torch.no_grad():
        next(each.stages[1].parameters()).add_(1.0)
    assert not torch.equal(
        next(each.stages[0].parameters()), next(each.stages[1].parameters())
    )  # copies, not one set under three names


def test_layers_of_their_own_are_not_copied_again() -> None:
    with pytest.raises(MajorantError, match="weights of their own in every layer already"):
        unshared(_trained(shared=False))
