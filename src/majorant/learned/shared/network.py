"""MM-Net without source numbers: one step, the same for every source.

A source is seen as a few time courses of its own: the iterate and its averages over neighbourhoods,
standardised maps of the data and of the residual, the start, and what the prior makes of the
iterate. From their lengths and angles, which know neither units nor the sampling of time, from
averages over neighbours and from a memory of its own, a small network predicts how much of each is
in the next iterate,

    x <- unit(e^c (a x + sum_j b_j f_j + p * d)),    p = softplus(.) >= 0,

with a gate ``c`` for the whole row, ``d`` the preconditioned descent direction of the data term and
``p`` the predicted inverse curvature. Everything depends on the rows of a window as wholes, so an
orthonormal change of samples changes the estimate by the same, and a hundred samples cost what
their rank costs.

Source: the MM-Net paper (arXiv 2026), equations 12 and 13, for what is minimised and for ``p``;
that weights are shared over sources, and steps need not be along the gradient, is ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from majorant.energies.lengths import dot, inverse, norm
from majorant.learned.shared.neighbourhoods import SCALES
from majorant.learned.shared.prior import PatchLayers, PatchPrior
from majorant.learned.shared.sight import Sight

FAINT = 1e-4
"""Power, relative to the mean over sources, below which a row counts as silent."""

DESCENT = (8, 9, 10, 11)
"""Courses that are descent directions of the data term: their share is not negative."""

ASKED = (0, 6, 13)
"""Courses whose angles with all courses are looked at: iterate, a map of the data, the prior's."""

GATE = (-6.0, 4.0)
"""Range of the logarithm of the factor that all of a source's next iterate has."""

N_COURSES = 14
StartKind = Literal["sloreta", "scan", "both"]
STARTS: tuple[StartKind, ...] = get_args(StartKind)

WHOLE = 6
"""Numbers that are the same for all sources of a sample, and the column norm."""


@dataclass(frozen=True)
class SharedSettings:
    """Sizes and rules; none of them is a number of sources.

    Attributes
    ----------
    hidden : int
        Width of both hidden layers.
    memory : int
        Numbers that a source remembers.
    channels : int
        Of the prior.
    iterations : int
        Steps it is trained for.
    weight : float
        Of the prior term (``lambda``).
    start : {"sloreta", "scan", "both"}
        Standardised map, patch scan, or the scan and half of the map; what it was trained from.
    scales_mm : tuple of float
        Standard deviations of the averages.
    """

    hidden: int = 40
    memory: int = 4
    channels: int = 6
    iterations: int = 4
    weight: float = 2.0
    start: StartKind = "both"
    scales_mm: tuple[float, ...] = tuple(1e3 * s for s in SCALES)


class Step(NamedTuple):
    """One step.

    Attributes
    ----------
    x : Tensor, shape (n_batch, n_sources, k)
        Where it leads, of norm ``sqrt(n_sources)``.
    memory : Tensor, shape (n_batch, n_sources, n_memory)
    made : Tensor, shape (n_batch, n_sources, k)
        What the prior makes of the point it began at.
    """

    x: Tensor
    memory: Tensor
    made: Tensor


class SharedNetwork(nn.Module):
    """Prior and step.

    Parameters
    ----------
    settings : SharedSettings
    generator : torch.Generator or None
        Draws the start of all parameters.
    """

    def __init__(self, settings: SharedSettings, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.settings = s = settings
        m = len(s.scales_mm)
        self.prior = PatchLayers(s.channels, m, generator)
        n_seen = N_COURSES + len(ASKED) * N_COURSES + 3 + m + WHOLE + s.memory
        sizes = (n_seen, s.hidden, s.hidden, 1 + N_COURSES + 2 * s.memory)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        with torch.no_grad():
            for layer in self.layers:
                weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
                drawn = torch.randn(weight.shape, generator=generator)
                weight.copy_(drawn / math.sqrt(weight.shape[1]))
                bias.zero_()
            self.layers[-1].get_parameter("weight").mul_(0.1)

    def on(self, sight: Sight) -> PatchPrior:
        """Return the prior on the sources of a lead field."""
        return PatchPrior(self.prior, sight.near, sight.gain.shape[-1])

    def begin(self, x: Tensor) -> Tensor:
        """Return the empty memory for points like ``x``, (n_batch, n_sources, k)."""
        return x.new_zeros(*x.shape[:2], self.settings.memory)

    def courses(
        self, sight: Sight, x: Tensor, start: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is seen of every source.

        Parameters
        ----------
        sight : Sight
        x, start : Tensor, shape (n_batch, n_sources, k)
            Of norm ``sqrt(n_sources)``.
        y : Tensor, shape (n_batch, n_sensors, k)
            Of norm 1.

        Returns
        -------
        courses : Tensor, shape (n_batch, n_sources, 14, k)
            Each of norm ``sqrt(n_sources)``: the iterate and its averages (0 to 3), standardised
            maps of the data (4 to 7) and of the residual (8 to 11), the start (12), and what the
            prior makes of the iterate (13).
        unexplained : Tensor, shape (n_batch,)
            ``1 - cos(L x, y)``.
        made : Tensor, like ``x``
            What the prior makes of the iterate.
        """
        averages = sight.near.average(x)
        seen = sight.gain @ x
        over = inverse(norm(seen))
        cos = dot(seen, y) * over
        residual = y - seen * (cos * over).to(y.dtype)[:, None, None]
        maps = sight.look(torch.stack([y, residual], 1)).flatten(1, 2)
        made = self.on(sight).trace(x, averages).output
        known = torch.cat([x[:, None], averages, maps, start[:, None], made[:, None]], 1)
        size = torch.linalg.vector_norm(known, dim=(2, 3), keepdim=True)
        known = known * (math.sqrt(x.shape[1]) / size.clamp_min(1e-12))
        return known.transpose(1, 2).contiguous(), (1.0 - cos).to(y.dtype), made

    def step(
        self, sight: Sight, x: Tensor, start: Tensor, y: Tensor, memory: Tensor, k: int
    ) -> Step:
        """Take one step.

        Parameters
        ----------
        sight, x, start, y
            As of :meth:`courses`.
        memory : Tensor, shape (n_batch, n_sources, n_memory)
        k : int
            Steps taken before.
        """
        courses, unexplained, made = self.courses(sight, x, start, y)
        h = torch.cat([self._look(sight, courses, unexplained, y, k), memory], -1)
        for layer in self.layers[:-1]:
            h = F.silu(layer(h))
        raw = self.layers[-1](h)
        m = self.settings.memory
        gate, shares, keep, new = raw.split([1, N_COURSES, m, m], -1)
        memory = torch.lerp(torch.tanh(new), memory, torch.sigmoid(keep))
        first, last = DESCENT[0], DESCENT[-1] + 1
        moved = torch.cat(
            [
                torch.sigmoid(shares[..., :1]),
                shares[..., 1:first],
                F.softplus(shares[..., first:last] - 2.0),
                shares[..., last:],
            ],
            -1,
        )
        gated = gate.clamp(*GATE).exp() * moved
        return Step(unit((gated[:, :, None] @ courses)[:, :, 0]), memory, made)

    def _look(
        self, sight: Sight, courses: Tensor, unexplained: Tensor, y: Tensor, k: int
    ) -> Tensor:
        """The numbers that say what a source looks like, (n_batch, n_sources, n_seen)."""
        n = courses.shape[1]
        power = courses.square().sum(-1)
        over = (power + FAINT).rsqrt()
        asked = torch.stack([courses[:, :, j] * over[:, :, j, None] for j in ASKED], 2)
        angles = (asked @ courses.mT * over[:, :, None]).flatten(-2)
        x = power[..., 0]
        around = sight.near.average(x[..., None])[..., 0].movedim(1, -1)
        logs = (torch.cat([power, around], -1) + FAINT).log()
        chosen = torch.stack([logs[..., 0], logs[..., 4], logs[..., 6]], -1)
        relative = chosen - chosen.amax(1, keepdim=True)
        whole = [
            unexplained,
            x.square().mean(1).clamp_min(1e-12).log(),
            torch.linalg.matrix_norm(y @ y.mT),
            unexplained.new_full(unexplained.shape, min(1.0, k / self.settings.iterations)),
            unexplained.new_full(unexplained.shape, 0.3 * (math.log(y.shape[1]) - 4.0)),
        ]
        same = torch.stack(whole, -1)[:, None].expand(-1, n, -1)
        size = sight.size.reshape(-1, n, 1).expand(len(x), -1, -1)
        return torch.cat([0.3 * logs, angles, 0.3 * relative, same, size], -1)


def unit(x: Tensor) -> Tensor:
    """Scale every sample to the norm ``sqrt(n_sources)``: the mean power of a row is 1."""
    scale = math.sqrt(x.shape[1]) * inverse(norm(x))
    return x * scale.to(x.dtype)[:, None, None]
