"""MM-Net without source numbers: one step, the same for every source.

A source is seen as a few time courses of its own: the iterate and its averages over neighbourhoods,
standardised maps of the data and of the residual, what the patch scan and the unfolded solver make
of the data, and what the prior makes of the iterate. From their lengths and angles, which know
neither units nor the sampling of time, from averages over neighbours and from a memory of its own,
and from the angles between all these maps as wholes, a small network predicts how much of each is
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

N_SCALES = len(SCALES)
DESCENT = slice(N_SCALES, 2 * N_SCALES + 1)
"""Courses that are descent directions of the data term: their share is not negative."""

ITERATE = DESCENT.stop
ASKED = slice(ITERATE, None)
"""Courses whose angles with all courses are looked at."""

GATE = (-6.0, 4.0)
"""Range of the logarithm of the factor that all of a source's next iterate has."""

N_ASKED = 5 + N_SCALES
N_COURSES = ITERATE + N_ASKED
POWERS = (ITERATE, ITERATE + 4, ITERATE + 6)
"""Courses whose power is compared with the strongest source's: the iterate and two of the maps."""

StartKind = Literal["sloreta", "mean"]
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
    start : {"sloreta", "mean"}
        Standardised map, or the mean of patch scan, unfolded solver and half of the map; what it
        was trained from.
    scales_mm : tuple of float
        Standard deviations of the averages.
    """

    hidden: int = 40
    memory: int = 4
    channels: int = 6
    iterations: int = 4
    weight: float = 2.0
    start: StartKind = "mean"
    scales_mm: tuple[float, ...] = tuple(1e3 * s for s in SCALES)


class Step(NamedTuple):
    """One step.

    Attributes
    ----------
    x : Tensor, shape (n_batch, n_sources, k)
        Where it leads, of norm ``sqrt(n_sources)``.
    memory : Tensor, shape (n_batch, n_sources, n_memory)
    """

    x: Tensor
    memory: Tensor


@dataclass(frozen=True, eq=False)
class Given:
    """What stays as it is from step to step.

    Attributes
    ----------
    sight : Sight
    y : Tensor, shape (n_batch, n_sensors, k)
        Data of norm 1.
    maps : Tensor, shape (n_batch, 1 + n_scales, n_sources, k)
        Standardised maps of the data.
    courses : Tensor, shape (n_batch, n_sources, 3 + n_scales, k)
        What scan and unfolded solver make of the data, and these maps.
    start : Tensor, shape (n_batch, n_sources, k)
        Where the steps begin, of norm ``sqrt(n_sources)``.
    """

    sight: Sight
    y: Tensor
    maps: Tensor
    courses: Tensor
    start: Tensor

    @classmethod
    def of(cls, sight: Sight, y: Tensor, estimates: Tensor | None = None) -> Given:
        """Look at data.

        Parameters
        ----------
        sight : Sight
        y : Tensor, shape (n_batch, n_sensors, k)
            Of norm 1.
        estimates : Tensor or None, shape (n_batch, 2, n_sources, k)
            Those of scan and unfolded solver, of any size; None takes the standardised map twice.
        """
        maps = sight.look(y[:, None])[:, 0]
        own = unit(maps[:, 0])
        pair = [own, own]
        if estimates is not None:
            whole = torch.nan_to_num(estimates, nan=0.0, posinf=0.0, neginf=0.0)
            pair = [unit(x) for x in whole.unbind(1)]
        seen = torch.cat([torch.stack(pair, 1), maps], 1).transpose(1, 2).contiguous()
        return cls(sight, y, maps, seen, unit(pair[0] + pair[1] + 0.5 * own))


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
        self.prior = PatchLayers(s.channels, N_SCALES, generator)
        n_seen = N_COURSES + N_ASKED * N_COURSES + N_SCALES + len(POWERS) + WHOLE + s.memory
        sizes = (n_seen, s.hidden, s.hidden, 1 + N_COURSES + 2 * s.memory)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.context = nn.Linear(N_COURSES + N_ASKED * N_COURSES, s.hidden, bias=False)
        with torch.no_grad():
            for layer in self.layers:
                weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
                drawn = torch.randn(weight.shape, generator=generator)
                weight.copy_(drawn / math.sqrt(weight.shape[1]))
                bias.zero_()
            self.layers[-1].get_parameter("weight").mul_(0.1)
            self.context.weight.zero_()

    def on(self, sight: Sight) -> PatchPrior:
        """Return the prior on the sources of a lead field."""
        return PatchPrior(self.prior, sight.near, sight.gain.shape[-1])

    def begin(self, x: Tensor) -> Tensor:
        """Return the empty memory for points like ``x``, (n_batch, n_sources, k)."""
        return x.new_zeros(*x.shape[:2], self.settings.memory)

    def courses(self, given: Given, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is seen of every source.

        Parameters
        ----------
        given : Given
        x : Tensor, shape (n_batch, n_sources, k)
            The iterate, of norm ``sqrt(n_sources)``.

        Returns
        -------
        courses : Tensor, shape (n_batch, n_sources, 15, k)
            Averages of the iterate (0 to 2), standardised maps of the residual (3 to 6), the
            iterate (7), what the prior makes of it (8; a constant for the gradient), and
            :attr:`Given.courses` (9 to 14).
        unexplained : Tensor, shape (n_batch,)
            ``1 - cos(L x, y)``.
        """
        sight = given.sight
        averages, seen = sight.near.average(x), sight.gain @ x
        over = inverse(norm(seen))
        cos = dot(seen, given.y) * over
        share = (cos * over).to(x.dtype)[:, None, None, None]
        residual = given.maps - share * sight.look(seen[:, None])[:, 0]
        with torch.no_grad():
            made = self.on(sight).trace(x, averages).output
        moving = torch.cat([averages, residual, x[:, None], made[:, None]], 1).transpose(1, 2)
        return torch.cat([moving, given.courses], 2), (1.0 - cos).to(x.dtype)

    def step(self, given: Given, x: Tensor, memory: Tensor, k: int) -> Step:
        """Take one step.

        Parameters
        ----------
        given : Given
        x : Tensor, shape (n_batch, n_sources, k)
            Of norm ``sqrt(n_sources)``.
        memory : Tensor, shape (n_batch, n_sources, n_memory)
        k : int
            Steps taken before.
        """
        courses, unexplained = self.courses(given, x)
        power = courses.square().sum(-1)
        size = (x.shape[1] / power.sum(1, keepdim=True).clamp_min(1e-24)).sqrt()
        power = power * size.square()
        products = courses[:, :, ASKED] @ courses.mT * size[:, :, ASKED, None] * size[:, :, None]
        seen = self._look(given, power, products, unexplained, k)
        spread = 0.3 * power.square().mean(1).clamp_min(1e-12).log()
        around = self.context(torch.cat([spread, products.mean(1).flatten(1)], 1))[:, None]
        h = F.silu(self.layers[0](torch.cat([seen, memory], -1)) + around)
        for layer in self.layers[1:-1]:
            h = F.silu(layer(h))
        m = self.settings.memory
        gate, shares, keep, new = self.layers[-1](h).split([1, N_COURSES, m, m], -1)
        memory = torch.lerp(torch.tanh(new), memory, torch.sigmoid(keep))
        moved = torch.cat(
            [
                shares[..., : DESCENT.start],
                F.softplus(shares[..., DESCENT] - 4.0),
                torch.sigmoid(shares[..., ITERATE : ITERATE + 1]),
                shares[..., ITERATE + 1 :],
            ],
            -1,
        )
        gated = gate.clamp(*GATE).exp() * moved * size
        return Step(unit((gated[:, :, None] @ courses)[:, :, 0]), memory)

    def _look(
        self, given: Given, power: Tensor, products: Tensor, unexplained: Tensor, k: int
    ) -> Tensor:
        """The numbers that say what a source looks like, (n_batch, n_sources, n_seen).

        Powers (n_batch, n_sources, 15) and products (n_batch, n_sources, 8, 15) are those of the
        courses at norm ``sqrt(n_sources)``.
        """
        n, y = power.shape[1], given.y
        over = (power + FAINT).rsqrt()
        angles = products * over[:, :, ASKED, None] * over[:, :, None]
        x = power[..., ITERATE]
        around = given.sight.near.average(x[..., None])[..., 0].movedim(1, -1)
        logs = (torch.cat([power, around], -1) + FAINT).log()
        chosen = torch.stack([logs[..., j] for j in POWERS], -1)
        relative = chosen - chosen.amax(1, keepdim=True)
        whole = [
            unexplained,
            x.square().mean(1).clamp_min(1e-12).log(),
            torch.linalg.matrix_norm(y @ y.mT),
            unexplained.new_full(unexplained.shape, min(1.0, k / self.settings.iterations)),
            unexplained.new_full(unexplained.shape, 0.3 * (math.log(y.shape[1]) - 4.0)),
        ]
        same = torch.stack(whole, -1)[:, None].expand(-1, n, -1)
        length = given.sight.size.reshape(-1, n, 1).expand(len(x), -1, -1)
        return torch.cat([0.3 * logs, angles.flatten(-2), 0.3 * relative, same, length], -1)


def unit(x: Tensor) -> Tensor:
    """Scale every sample to the norm ``sqrt(n_sources)``: the mean power of a row is 1."""
    scale = math.sqrt(x.shape[1]) * inverse(norm(x))
    return x * scale.to(x.dtype)[:, None, None]
