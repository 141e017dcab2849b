"""The autoencoder's explicit Jacobian products are those of automatic differentiation."""

from __future__ import annotations

import pytest
import torch

from majorant.networks.autoencoder import (
    Autoencoder,
    Conv,
    soft_relu,
    soft_relu_curvature,
    soft_relu_slope,
)
from majorant.problem import MajorantError


def network(seed: int = 0, kernels: tuple[int, ...] = (3, 3, 3)) -> Autoencoder:
    return Autoencoder(
        (7, 5, 4, 7), kernels, generator=torch.Generator().manual_seed(seed)
    ).double()


@pytest.mark.parametrize("kernels", [(3, 3, 3), (1, 3, 1), (5, 1, 3)])
@pytest.mark.parametrize("times", [1, 2, 9])
def test_jacobian_products_equal_autograd(kernels: tuple[int, ...], times: int) -> None:
    phi, g = network(kernels=kernels), torch.Generator().manual_seed(1)
    x, v = (torch.randn(3, 7, times, generator=g, dtype=torch.float64) for _ in range(2))
    kept = phi.trace(x)
    _, back = torch.autograd.functional.vjp(phi, x, v)
    _, forth = torch.autograd.functional.jvp(phi, x, v)
    pulled, arrived = phi.pullback(kept, v)
    torch.testing.assert_close(pulled, back, rtol=1e-12, atol=1e-14)
    assert [a.shape for a in arrived] == [z.shape for z in kept.before]
    torch.testing.assert_close(phi.pushforward(kept, v), forth, rtol=1e-12, atol=1e-14)


def test_settled_layers_do_the_same_and_forget_when_moved() -> None:
    phi, g = network(kernels=(3, 1, 3)), torch.Generator().manual_seed(2)
    x = torch.randn(2, 7, 5, generator=g, dtype=torch.float64)
    kept = phi.trace(x)
    before = kept.output, phi.pullback(kept, x)[0]
    for layer in phi.modules():
        if isinstance(layer, Conv):
            layer.settle()
    kept = phi.trace(x)
    assert torch.equal(kept.output, before[0])
    assert torch.equal(phi.pullback(kept, x)[0], before[1])
    assert phi.float()(x.float()).dtype == torch.float32


def test_soft_relu_and_its_derivatives() -> None:
    z = torch.linspace(-3, 3, 101, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(soft_relu(z, 0.1).sum(), z, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), z)
    torch.testing.assert_close(soft_relu_slope(z, 0.1).detach(), slope.detach())
    torch.testing.assert_close(soft_relu_curvature(z, 0.1).detach(), curvature)
    assert float(soft_relu_curvature(z.detach(), 0.1).max()) <= 1 / 0.2 + 1e-12
    assert float(soft_relu(torch.tensor([-1e6]), 0.1)) > 0


def test_the_paper_size_has_the_paper_count() -> None:
    assert sum(p.numel() for p in Autoencoder().parameters()) == 812_544


def test_the_start_is_the_generator_s_alone() -> None:
    before = torch.get_rng_state()
    first, second = network(3), network(3)
    assert all(torch.equal(a, b) for a, b in zip(first.weights, second.weights, strict=True))
    assert torch.equal(before, torch.get_rng_state())
    assert not torch.equal(first.weights[0], network(4).weights[0])


def test_sizes_that_make_no_autoencoder_are_refused() -> None:
    with pytest.raises(MajorantError, match="no autoencoder"):
        Autoencoder((7, 5, 6), (1, 1))
    with pytest.raises(MajorantError, match="taps"):
        Autoencoder((7, 5, 7), (2, 1))


def test_a_settled_layer_knows_its_size_until_its_weights_change() -> None:
    prior = Autoencoder((7, 4, 4, 7), (1, 3, 1), generator=torch.Generator().manual_seed(0))
    found = prior.gains(5)
    for layer in prior.layers:
        assert isinstance(layer, Conv)
        layer.settle()
    assert prior.gains(5) == found
    with torch.no_grad():
        for w in prior.weights:
            w.mul_(2.0)
    doubled = prior.double().gains(5)
    for old, new in zip(found, doubled, strict=True):
        assert new.own == pytest.approx(2.0 * old.own)
