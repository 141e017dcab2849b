"""Time courses of simulated sources.

Source: the SEREEGA-type recipe of the MM-Net paper: one Gaussian deflection in 64 samples at
512 Hz. The range of centres is estimated from the published benchmark rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.problem import MajorantError
from majorant.simulate import streams


@dataclass(frozen=True)
class GaussianSettings:
    """One Gaussian deflection, ``exp(-(t - c)^2 / (2 tau^2))`` with ``tau = width / 6``.

    Attributes
    ----------
    n_times : int
        Samples.
    sfreq : float
        Sampling rate, Hz.
    width_ms, centre_ms : tuple of float
        Widths and centres are drawn uniformly from these ranges and rounded up to whole
        milliseconds.
    """

    n_times: int = 64
    sfreq: float = 512.0
    width_ms: tuple[float, float] = (49.0, 51.0)
    centre_ms: tuple[float, float] = (12.4, 111.6)

    def __post_init__(self) -> None:
        if self.n_times < 1 or not self.sfreq > 0:
            raise MajorantError(
                f"{self.n_times} samples at {self.sfreq} Hz cannot hold a waveform; give at least "
                "one sample and a positive rate"
            )
        for name, (low, high) in (("width_ms", self.width_ms), ("centre_ms", self.centre_ms)):
            if not low <= high or (name == "width_ms" and not low > 0):
                raise MajorantError(
                    f"{name} is ({low}, {high}); expected an increasing range"
                    + (" of positive widths" if name == "width_ms" else "")
                )


def draw_gaussians(key: Tensor, settings: GaussianSettings) -> tuple[Tensor, Tensor]:
    """Draw a width and a centre per sample.

    Parameters
    ----------
    key : Tensor, shape (n_batch,), int64
        One key per sample, see :func:`majorant.simulate.streams.keys`.
    settings : GaussianSettings

    Returns
    -------
    width, centre : Tensor, shape (n_batch,), float32
        Whole milliseconds.
    """
    draws = streams.uniform(key, 2)
    (low, high), (first, last) = settings.width_ms, settings.centre_ms
    width = torch.ceil(low + (high - low) * draws[:, 0])
    centre = torch.ceil(first + (last - first) * draws[:, 1])
    return width, centre


def gaussians(
    width: Tensor, centre: Tensor, settings: GaussianSettings, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Evaluate Gaussian deflections.

    Parameters
    ----------
    width, centre : Tensor, shape (...)
        Milliseconds.
    settings : GaussianSettings
        For the time axis, which starts at 0 ms.
    dtype : torch.dtype

    Returns
    -------
    Tensor, shape (..., n_times)
        Unitless, 1 at the centre.
    """
    step = 1000.0 / settings.sfreq
    times = torch.arange(settings.n_times, device=width.device, dtype=dtype) * step
    offset = (times - centre.to(dtype)[..., None]) * (6.0 / width.to(dtype)[..., None])
    return torch.exp(-0.5 * offset.square())
