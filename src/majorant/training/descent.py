"""The guard in training: a window of the unrolled solver counts as far as it lowers the energy.

At use :class:`majorant.majorants.guard.Guard` decides, with a fallback and a certificate. Here
nothing is promised, and everything has to be differentiable and free of branches that wait for the
device: the share ``tau`` of a window's displacement that is kept is the first of
``1, 1/2, 1/4, ...`` at which the energy does not rise, and 0 if there is none. ``tau`` is a
constant for the gradient. Samples are selected by masks, never mixed.

Source: the guard of ``docs/guarantees.md``, theorem 4, without its analytic step: where nothing
passes the sample stays, since an analytic step has nothing to teach a network.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState

HALVINGS = 3
"""How often a displacement is halved before the sample stays."""


@dataclass(frozen=True)
class Descent:
    """The guard of an unrolled solver.

    Attributes
    ----------
    window : int
        Iterations between two decisions.
    halvings : int
        How often a displacement is halved before the sample stays.
    """

    window: int = 2
    halvings: int = HALVINGS

    def keep(
        self, energy: CosineEnergy, accepted: Tensor, level: Tensor, proposed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the point that is kept, and its energy.

        Parameters
        ----------
        energy : CosineEnergy
        accepted : Tensor, shape (n_batch, n_columns, n_times)
            The last point that was kept.
        level : Tensor, shape (n_batch,), float64
            Its energy, from :func:`level_of`.
        proposed : Tensor, like ``accepted``
            Where the network went in one window.
        """
        share, reached = self._share(energy, accepted.detach(), level, proposed.detach())
        whole = share == 1.0
        if _read(proposed) and bool(whole.all()):
            return proposed, reached
        tau = share.to(proposed.dtype)[:, None, None]
        part = torch.where(whole[:, None, None], proposed, accepted + tau * (proposed - accepted))
        return torch.where((share > 0)[:, None, None], part, accepted), reached

    @torch.no_grad()
    def _share(
        self, energy: CosineEnergy, accepted: Tensor, level: Tensor, proposed: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The share of the displacement that is kept, and the energy there; NaN passes nothing."""
        share, reached = torch.zeros_like(level), level
        for k in range(self.halvings + 1):
            fraction = 0.5**k
            trial = proposed if k == 0 else accepted + fraction * (proposed - accepted)
            found = level_of(energy, trial)
            passed = (share == 0) & (found <= level)
            share = torch.where(passed, fraction, share)
            reached = torch.where(passed, found, reached)
            if _read(proposed) and bool((share > 0).all()):
                break
        return share, reached


@torch.no_grad()
def level_of(energy: CosineEnergy, x: Tensor) -> Tensor:
    """Energy of every sample, float64, shape (n_batch,); products in the precision of training."""
    return energy.value(SourceState(x.detach()))


def _read(x: Tensor) -> bool:
    """Whether reading a number waits for nothing, so that a branch may save work."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()
