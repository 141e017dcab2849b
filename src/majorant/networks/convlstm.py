"""Two convolutional LSTMs that predict a curvature from a gradient and a state.

The network of MM-Net: one stream reads the gradient, a second reads the state and the first; the
product of their decoded outputs says how curved the energy is, source by source and sample by
sample. The published form works on an image of width 1, where only the middle column of a 3 x 3
kernel sees data: a convolution over time is the same function with a third of the parameters, and
its start is scaled as the 3 x 3 form would be.

Source: the MM-Net paper (arXiv 2026), section 3; ConvLSTM of Shi et al. (2015), arXiv:1506.04214.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from majorant.networks.autoencoder import Conv

SQUARE = 3
"""Columns of the published kernels, of which one sees data."""


@dataclass(frozen=True)
class Memory:
    """What the two cells remember between iterations.

    Attributes
    ----------
    hidden_1, cell_1, hidden_2, cell_2 : Tensor, shape (n_batch, n_hidden, n_times)
    """

    hidden_1: Tensor
    cell_1: Tensor
    hidden_2: Tensor
    cell_2: Tensor


class ConvLSTM(nn.Module):
    """A convolutional LSTM cell over time.

    Parameters
    ----------
    n_in, n_hidden : int
        Channels.
    kernel : int
        Taps.
    generator : torch.Generator or None
        Draws the start.
    """

    def __init__(
        self, n_in: int, n_hidden: int, kernel: int = 3, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.gates = Conv(
            n_in + n_hidden,
            4 * n_hidden,
            kernel,
            generator=generator,
            bias=True,
            fan=SQUARE * kernel,
        )

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Take one iteration: input (n_batch, n_in, n_times) to new hidden and cell."""
        n = hidden.shape[1]
        gates, new = self.gates(torch.cat([x, hidden], dim=1)).split((3 * n, n), dim=1)
        let_in, keep, let_out = gates.sigmoid().chunk(3, dim=1)
        cell = keep * cell + let_in * new.tanh()
        return let_out * cell.tanh(), cell


class CurvatureNetwork(nn.Module):
    """Gradient encoder, state encoder, two ConvLSTMs, two decoders.

    Parameters
    ----------
    n_sources : int
    n_hidden : int
        Channels of the cells; 48 in the paper.
    outer, inner : int
        Taps of the encoders and decoders, and of the cells; 3 and 3 in the paper. With
        ``outer=1`` sources are projected pointwise in time.
    generator : torch.Generator or None
        Draws the start.
    gain : float
        Scale of the start of encoders and decoders; 1 in the paper.
    """

    def __init__(
        self,
        n_sources: int = 994,
        n_hidden: int = 48,
        outer: int = 3,
        inner: int = 3,
        *,
        generator: torch.Generator | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()

        def conv(n_in: int, n_out: int) -> Conv:
            return Conv(
                n_in,
                n_out,
                outer,
                generator=generator,
                bias=True,
                fan=SQUARE * outer if outer > 1 else None,
                gain=gain,
            )

        self.n_hidden = n_hidden
        self.encode_gradient = conv(n_sources, n_hidden)
        self.encode_state = conv(n_sources, n_hidden)
        self.cell_1 = ConvLSTM(n_hidden, n_hidden, inner, generator)
        self.cell_2 = ConvLSTM(2 * n_hidden, n_hidden, inner, generator)
        self.decode_1 = conv(n_hidden, n_sources)
        self.decode_2 = conv(n_hidden, n_sources)

    def begin(self, x: Tensor) -> Memory:
        """Return an empty memory for states like ``x``, (n_batch, n_sources, n_times)."""
        empty = x.new_zeros(x.shape[0], self.n_hidden, x.shape[2])
        return Memory(empty, empty, empty, empty)

    def forward(self, gradient: Tensor, state: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        """Return the product of the decoded streams and the new memory.

        Parameters
        ----------
        gradient, state : Tensor, shape (n_batch, n_sources, n_times)
            Each divided by its own root mean square, sample by sample.
        """
        h1, c1 = self.cell_1(self.encode_gradient(gradient), memory.hidden_1, memory.cell_1)
        both = torch.cat([self.encode_state(state), h1], dim=1)
        h2, c2 = self.cell_2(both, memory.hidden_2, memory.cell_2)
        return self.decode_1(h1) * self.decode_2(h2), Memory(h1, c1, h2, c2)


def square_parameters(module: nn.Module, prior: nn.Module) -> int:
    """Count parameters as the published 3 x 3 form of the curvature network has them.

    Parameters
    ----------
    module : nn.Module
        The whole network; kernels over time of the curvature network count ``SQUARE`` times.
    prior : nn.Module
        Its prior, a network over time in the paper too: it counts as it is.
    """
    own = {id(p) for p in prior.parameters()}
    return sum(
        p.numel() * (SQUARE if p.ndim == 3 and id(p) not in own else 1) for p in module.parameters()
    )
