"""Simulated data of an audit: one patch, one brief deflection, noise, at several levels at once.

A patch is active for some 50 ms of a window of 125 ms, outwards or inwards at random. The noise is
white at the electrodes, drawn once per patch and scaled to every level, so that levels are compared
on the same draws. Data and lead field are brought to the ``n - 1`` orthonormal coordinates of the
average reference and divided by the noise, as solvers see real recordings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from majorant.audit.heads import AuditHead
from majorant.audit.patches import Patches
from majorant.forward.leadfield import average_reference
from majorant.problem import MatrixOperator, Problem
from majorant.simulate import noise, streams
from majorant.simulate.waveforms import GaussianSettings, draw_gaussians, gaussians

__all__ = ["SFREQ", "AuditTrials", "noise_scale"]

WAVEFORM = GaussianSettings()
SFREQ = WAVEFORM.sfreq
COURSE, SIGN, NOISE = range(3)


def noise_scale(patches: Patches, rows: Sequence[int]) -> float:
    """Deviation of the noise at an electrode at 0 dB, in the unit of ``Patches.seen``.

    At 0 dB the patch of median visibility has as much power as the noise, over the cap and the
    window.
    """
    seen = patches.seen[:, rows]
    size = (seen - seen.mean(dim=1, keepdim=True)).norm(dim=1) / (len(rows) - 1) ** 0.5
    times = torch.tensor([62.5])
    course = gaussians(torch.tensor([50.0]), times, WAVEFORM)[0]
    return float(size.median() * course.double().square().mean().sqrt())


@dataclass(frozen=True, eq=False)
class AuditTrials:
    """Data of one cap.

    Attributes
    ----------
    head : AuditHead
    patches : Patches
    rows : sequence of int
        Electrodes of the cap, among all of the head.
    deviation : float
        Of the noise at 0 dB, see :func:`noise_scale`.
    seed : int
    """

    head: AuditHead
    patches: Patches
    rows: tuple[int, ...]
    deviation: float
    seed: int

    @cached_property
    def basis(self) -> Tensor:
        """Orthonormal coordinates of the average reference, (n - 1, n)."""
        return average_reference(len(self.rows))

    @cached_property
    def gain(self) -> Tensor:
        """Believed lead field in these coordinates, arbitrary unit, (n - 1, n_locations)."""
        return self.basis @ self.head.believed.gain[list(self.rows)]

    def problem(
        self, index: Tensor, level_db: float, prior: Tensor | None = None
    ) -> tuple[Problem, Tensor]:
        """Make data.

        Parameters
        ----------
        index : Tensor, shape (n_batch,), int64
            Patches.
        level_db : float
        prior : Tensor or None, shape (n_locations,)
            Depth weighting.

        Returns
        -------
        problem : Problem
            Unit noise.
        peak : Tensor, shape (n_batch,), int64
            Sample at which the patch is strongest.
        """
        key = streams.keys(self.seed, index)
        width, centre = draw_gaussians(streams.fork(key, COURSE), WAVEFORM)
        course = gaussians(width, centre, WAVEFORM)
        sign = 1.0 - 2.0 * streams.integers(streams.fork(key, SIGN), 1, 2)
        seen = (self.patches.seen[index][:, list(self.rows)] @ self.basis.T * sign).float()
        drawn = noise.white(streams.fork(key, NOISE), len(self.basis), WAVEFORM.n_times)
        deviation = self.deviation * 10.0 ** (-level_db / 20.0)
        y = seen[:, :, None] * course[:, None, :] / deviation + drawn
        believed = (self.gain / deviation).float()
        operator = MatrixOperator(believed, geometry=self.head.believed.geometry)
        return Problem(operator, y, source_prior=prior), course.argmax(dim=1)

    @property
    def snr_db(self) -> Tensor:
        """Signal-to-noise ratio of every patch at the level of 0 dB, dB, shape (n_patches,)."""
        seen = self.patches.seen[:, list(self.rows)]
        size = (seen - seen.mean(dim=1, keepdim=True)).norm(dim=1)
        return 20.0 * torch.log10(size / size.median())
