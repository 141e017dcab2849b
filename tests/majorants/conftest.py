"""Small problems whose Hessians can be written down densely."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MatrixOperator, Problem

SOURCES, SENSORS, TIMES, HIDDEN = 5, 4, 3, 6

Build = Callable[..., tuple[CosineEnergy, Tensor]]


def build(
    seed: int = 0,
    n_batch: int = 3,
    *,
    scale: float = 1.0,
    gain: float = 2.0,
    weight: float = 1.0,
    tikhonov: float = 0.0,
    prior: bool = True,
    dtype: torch.dtype = torch.float64,
) -> tuple[CosineEnergy, Tensor]:
    """A random cosine energy and points of norm about ``scale``."""
    g = torch.Generator().manual_seed(seed)
    matrix = torch.randn(SENSORS, SOURCES, generator=g, dtype=dtype)
    y = torch.randn(n_batch, SENSORS, TIMES, generator=g, dtype=dtype)
    x = scale * torch.randn(n_batch, SOURCES, TIMES, generator=g, dtype=dtype)
    network = None
    if prior:
        network = Autoencoder((SOURCES, HIDDEN, HIDDEN, SOURCES), generator=g).to(dtype)
        network.requires_grad_(False)
        for w in network.weights:
            w.mul_(gain)
    problem = Problem(MatrixOperator(matrix), y)
    return CosineEnergy(problem, network, weight, tikhonov), x


@pytest.fixture(scope="session")
def cosine() -> Build:
    """Build a random cosine energy and points."""
    return build


def plain(energy: CosineEnergy, index: int, x: Tensor) -> Tensor:
    """The energy of one sample as the textbook writes it, twice differentiable."""
    problem = energy.problem
    a, y = (problem.operator.apply(x[None])[0]).flatten(), problem.y[index].flatten()
    size = torch.sqrt(a @ a + energy.tikhonov**2 * (x * x).sum())
    u = 1 - (a @ y) / (size * y.norm())
    if energy.prior is None:
        return u
    p = energy.prior(x[None])[0]
    return u + energy.weight * (1 - (x * p).sum() / (x.norm() * p.norm()))


@pytest.fixture(scope="session")
def hessian() -> Callable[[CosineEnergy, int, Tensor], Tensor]:
    """Dense Hessian of one sample, by automatic differentiation of the textbook form."""

    def dense(energy: CosineEnergy, index: int, x: Tensor) -> Tensor:
        n = x[index].numel()
        h = torch.autograd.functional.hessian(lambda z: plain(energy, index, z), x[index])
        return torch.as_tensor(h).reshape(n, n)

    return dense
