"""The limit: what the data allow whoever knows how they were made.

A matched filter over the whole generative family (every seed and order of the patches): in white
noise, the patch whose topography explains the most energy is the maximum-likelihood one. It knows
the family, so it is a row of the benchmark and no solver for users. It bounds localisation error
and AUC; its time course is what the data have at that place, noise included, so TE and PSNR of a
solver may be better.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from majorant.simulate.dataset import Batch, SimulatedPairs

CHUNK = 16
"""Samples whose candidates are compared at once; 16 take some 12 MB."""


class MatchedFilter:
    """Maximum-likelihood choice among all patches.

    Parameters
    ----------
    data : SimulatedPairs
        The data set whose family is searched.
    waveform : {"unknown", "known"}
        Whether the time course is free, and estimated with the patch, or given.
    """

    def __init__(
        self, data: SimulatedPairs, waveform: Literal["unknown", "known"] = "unknown"
    ) -> None:
        self.data, self.waveform = data, waveform
        topographies = data.patches.topographies(data.leadfield.gain.to(data.device, data.dtype))
        self._norm = topographies.norm(dim=2).flatten()
        self._unit = topographies.flatten(0, 1) / self._norm[:, None]

    def estimate(self, batch: Batch) -> Tensor:
        """Return the most likely sources, shape (n_batch, n_locations, n_times).

        Parameters
        ----------
        batch : Batch
            Of the same data set. Its waveform is looked at only where it is said to be known.
        """
        best, course = zip(
            *(
                self._known(y, time) if self.waveform == "known" else self._unknown(y)
                for y, time in zip(batch.y.split(CHUNK), batch.time.split(CHUNK), strict=True)
            ),
            strict=True,
        )
        chosen, n = torch.cat(best), self.data.patches.n_locations
        maps = self.data.patches.maps(chosen % n, chosen // n)
        return maps[:, :, None] * torch.cat(course)[:, None, :]

    def _known(self, y: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Sources are positive along the normal, so the largest correlation wins, not its size."""
        topography = torch.einsum("bnt,bt->bn", y, time) / time.square().sum(1, keepdim=True)
        strength, best = (topography @ self._unit.T).max(dim=1)
        return best, (strength / self._norm[best])[:, None] * time

    def _unknown(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The best time course of a patch is its projection; what it explains is its energy."""
        courses = self._unit @ y
        best = courses.square().sum(dim=2).argmax(dim=1)
        rows = torch.arange(len(y), device=y.device)
        return best, courses[rows, best] / self._norm[best, None]
