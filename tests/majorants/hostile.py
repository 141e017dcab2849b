"""Networks that propose steps: of random weights, of wild ones, and trained to do harm."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.energies.lengths import norm
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.networks.convlstm import CurvatureNetwork

from .conftest import SOURCES
from .proposals import rng

Weights = Literal["random", "wild", "huge", "nan", "adversarial"]
WEIGHTS: tuple[Weights, ...] = ("random", "wild", "huge", "nan", "adversarial")


class Learned(nn.Module):
    """A recurrent network that predicts an inverse curvature, as MM-Net's does.

    ``positive`` keeps it so; without, it is what R-MM-Net is: free to go anywhere.
    """

    def __init__(self, seed: int, dtype: torch.dtype, positive: bool) -> None:
        super().__init__()
        self.positive = positive
        self.net = CurvatureNetwork(SOURCES, 4, 3, 3, generator=rng(seed)).to(dtype)

    def forward(self, x: Tensor, g: Tensor) -> Tensor:
        size_x, size_g = norm(x).to(x), norm(g).clamp_min(1e-300).to(x)
        unit_x, unit_g = x / size_x[:, None, None], g / size_g[:, None, None]
        raw, _ = self.net(unit_g, unit_x, self.net.begin(x))
        p = F.softplus(raw) if self.positive else raw
        return x - p * size_x[:, None, None] * unit_g

    def rule(self, s: QuadraticSurrogate, step: int) -> Tensor:
        return self(s.state.x, s.gradient).detach()


def network(weights: Weights, energy: CosineEnergy, x: Tensor) -> Learned:
    net = Learned(0, x.dtype, positive=weights != "adversarial")
    if weights == "adversarial":
        _train_against(net, energy, x)
    with torch.no_grad():
        for p in net.parameters():
            if weights == "wild":
                p.mul_(1e3)
            if weights == "huge":
                p.copy_(1e20 * torch.randn(p.shape, generator=rng(1), dtype=torch.float64))
            if weights == "nan":
                p.fill_(torch.nan)
    return net.requires_grad_(False)


def _train_against(net: Learned, energy: CosineEnergy, x: Tensor) -> None:
    """Adam on the weights, *up* the energy after two steps."""
    optimiser = torch.optim.Adam(net.parameters(), lr=0.03)
    for _ in range(40):
        z = x
        for _ in range(2):
            z = net(z, energy.gradient(z))
        optimiser.zero_grad()
        (-energy.value(SourceState(z)).sum()).backward()
        optimiser.step()
