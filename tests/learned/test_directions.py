"""A network for both directions is odd, and holds what the network for one direction knew."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from majorant.errors import MajorantError
from majorant.learned.directions import both_directions, doubled, symmetrised
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.problem import MatrixOperator

SMALL = MMNetSettings(n_sources=9, prior_hidden=6, prior_kernels=(1, 3, 1), hidden=5, outer=1)


def network(settings: MMNetSettings = SMALL) -> MMNetwork:
    generator = torch.Generator().manual_seed(1)
    made = MMNetwork(settings, generator).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.3 * torch.rand(parameter.shape, generator=generator))
    return made


def arrays() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    x, g = torch.randn(2, 3, 9, 7, generator=generator, dtype=torch.float64)
    return x, g


def test_the_prior_is_the_difference_of_both_signs() -> None:
    one, (x, _) = network(), arrays()
    two = both_directions(one)
    torch.testing.assert_close(two.double().prior(x), one.prior(x) - one.prior(-x))


@pytest.mark.parametrize("outer", [1, 3])
def test_the_step_is_odd(outer: int) -> None:
    one, (x, g) = network(replace(SMALL, outer=outer)), arrays()
    two = both_directions(one).double()
    geometry = two.geometry(MatrixOperator(torch.eye(4, 9)), torch.float64)
    there, back = two.begin(x), two.begin(x)
    a, b = x, -x
    for _ in range(3):
        a, there = two.step(a, g, there, geometry)
        b, back = two.step(b, -g, back, geometry)
        torch.testing.assert_close(a, -b)
    assert not torch.allclose(one.step(x, g, one.begin(x), geometry)[0], a)


def test_sizes_are_twice_those_of_one_direction() -> None:
    settings = doubled(SMALL)
    assert (settings.prior_hidden, settings.hidden) == (12, 10)
    assert both_directions(network()).settings == settings


def test_what_was_trained_on_is_made_odd_again() -> None:
    two, (x, g) = both_directions(network()).double(), arrays()
    same = symmetrised(two)
    for a, b in zip(two.parameters(), same.parameters(), strict=True):
        assert torch.equal(a, b)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in two.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    geometry = two.geometry(MatrixOperator(torch.eye(4, 9)), torch.float64)

    @torch.no_grad()
    def apart(of: MMNetwork) -> float:
        a, there = of.step(x, g, of.begin(x), geometry)
        b, back = of.step(-x, -g, of.begin(x), geometry)
        a, _ = of.step(a, of.prior(a), there, geometry)
        b, _ = of.step(b, of.prior(b), back, geometry)
        return float((a + b).norm() / a.norm())

    assert apart(two) > 1e-3
    assert apart(symmetrised(two)) < 1e-12


def test_another_step_is_refused() -> None:
    with pytest.raises(MajorantError, match="step='diagonal'"):
        both_directions(network(replace(SMALL, step="gram")))
