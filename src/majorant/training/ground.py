"""How far maps lie apart, as training sees it: a smooth distance, and the exact one.

The smooth one compares maps behind Gaussian kernels. The exact one is the earth mover's distance
that solvers are judged by. By the duality of Kantorovich it is ``sum u p + sum v q`` with
potentials ``u_i + v_j <= c_ij`` that the linear programme gives for nothing, and ``v`` is its
gradient with respect to the second map: a maximum of linear functions has the gradient of the one
that attains it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from majorant.extras import needed

SUPPORT = 1e-3
"""Entries of a map below this share of its maximum do not take part in the linear programme."""


@dataclass(frozen=True)
class Ground:
    """What the transport terms need of a source space.

    Attributes
    ----------
    kernels : tuple of Tensor, each (n_locations, n_locations)
        Gaussian smoothing that keeps the sum of a map.
    shares : tuple of float
        Weights of the widths; they sum to 1.
    ways_cm : Tensor, shape (n_locations, n_locations)
        Straight distances, float64.
    """

    kernels: tuple[Tensor, ...]
    shares: tuple[float, ...]
    ways_cm: Tensor

    @classmethod
    def of(cls, positions: Tensor, widths_mm: Sequence[float]) -> Ground:
        """Make the kernels.

        Parameters
        ----------
        positions : Tensor, shape (n_locations, 3)
            Metres.
        widths_mm : sequence of float
            Standard deviations.
        """
        apart = 1e3 * torch.cdist(positions, positions)
        kernels = [torch.exp(-0.5 * (apart / width).square()) for width in widths_mm]
        unit = tuple((k / k.sum(1, keepdim=True)).float() for k in kernels)
        return cls(unit, tuple(width / sum(widths_mm) for width in widths_mm), 0.1 * apart.double())

    def apart(self, real: Tensor, found: Tensor) -> Tensor:
        """Distance between maps, each normalised to sum 1, in [0, 1]; shape (n_batch,).

        Half the absolute difference of the smoothed maps, weighted by the width: what is still
        different behind a wide kernel has to be carried far. It bounds no transport, but falls with
        it, and can be differentiated.
        """
        rest = real / real.sum(1, keepdim=True) - found / found.sum(1, keepdim=True)
        parts = [
            share * (rest @ kernel).abs().sum(1)
            for share, kernel in zip(self.shares, self.kernels, strict=True)
        ]
        return 0.5 * torch.stack(parts).sum(0)

    def moved_cm(self, real: Tensor, found: Tensor) -> Tensor:
        """Earth mover's distance between maps in cm, differentiable in ``found``; (n_batch,).

        Exact where no entry of ``found`` lies below a thousandth of its maximum; what is left out
        is counted with the potential that transport could give it, so faint haze has a gradient,
        too. NaN where a map is not finite.

        Parameters
        ----------
        real, found : Tensor, shape (n_batch, n_locations)
            Positive.
        """
        share = real.double() / real.double().sum(1, keepdim=True)
        other = found.double() / found.double().sum(1, keepdim=True)
        ways = self.ways_cm.cpu().numpy()
        both = [
            _potentials(p, q, ways)
            for p, q in zip(share.cpu().numpy(), other.detach().cpu().numpy(), strict=True)
        ]
        u, v = (torch.as_tensor(np.stack(side)).to(other) for side in zip(*both, strict=True))
        return (u * share).sum(1) + (v * other).sum(1)


def _potentials(p: np.ndarray, q: np.ndarray, ways: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Dual potentials of both maps at every location; admissible, also where nothing was moved."""
    ot = needed("ot")

    if not (np.isfinite(p).all() and np.isfinite(q).all()):
        return np.full_like(p, np.nan), np.full_like(q, np.nan)
    rows, columns = (np.flatnonzero(map_ > SUPPORT * map_.max()) for map_ in (p, q))
    block = np.ascontiguousarray(ways[np.ix_(rows, columns)])
    a, b = p[rows] / p[rows].sum(), q[columns] / q[columns].sum()
    _, log = ot.emd2(a, b, block, numItermax=1_000_000, log=True)
    v = (ways[rows] - np.asarray(log["u"])[:, None]).min(0)
    return (ways - v[None]).min(1), v
