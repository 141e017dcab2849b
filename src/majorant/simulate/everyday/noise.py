"""Noise of a recording, and its covariance as a user would estimate it.

Three parts add up at the sensors: their own noise (white in time, uneven over electrodes), resting
cortex with a spectrum of ``1 / f``, and its alpha rhythm, strongest at the back of the head. At
every frequency f the sensors' covariance is ``D + rest (P(f) C + alpha A(f) C')``; noise is drawn
in the frequency domain from the root of it (of twice the length, so that its ends do not meet).

The covariance is estimated from stretches of such noise, shrunk as the product does it
(:mod:`majorant.covariance`), and what whitens is made from the estimate, errors and all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.covariance import independent_samples, shrink
from majorant.linalg import cholesky
from majorant.simulate import streams
from majorant.simulate.everyday.settings import EverydaySettings

STRETCH = 64
"""Samples of a stretch of baseline."""
CORNER_HZ = 0.5
"""Below this the spectrum of resting cortex is flat: recordings are high-passed."""
HILLS = 12
HILL = 0.025
"""Metres: resting power has some hills of this deviation over the cortex."""


@dataclass(frozen=True, eq=False)
class Background:
    """The noise of one session, in the coordinates of the average-referenced sensors.

    Attributes
    ----------
    sensors, cortex, alpha : Tensor, shape (n, n), float64
        Covariances of the three parts, the sensors' of mean variance 1.
    slope : float
        Exponent of the spectrum of resting cortex.
    peak_hz : float
        Of the alpha rhythm.
    sfreq : float
        Hz.
    """

    sensors: Tensor
    cortex: Tensor
    alpha: Tensor
    slope: float
    peak_hz: float
    sfreq: float

    def roots(self, n_times: int) -> Tensor:
        """Roots of the covariance at the frequencies of ``n_times`` samples, (n_freqs, n, n)."""
        frequency = torch.fft.rfftfreq(n_times, 1.0 / self.sfreq, dtype=torch.float64)
        slow = (frequency + CORNER_HZ) ** -self.slope
        wave = 1.0 / (1.0 + ((frequency - self.peak_hz) / 1.0).square())
        slow, wave = slow / slow.mean(), wave / wave.mean()
        total = (
            self.sensors
            + slow[:, None, None] * self.cortex
            + wave[:, None, None] * self.alpha
            + 1e-9 * torch.eye(len(self.sensors), dtype=torch.float64)
        )
        return cholesky(total, "the noise covariance")


def draw_background(
    generator: torch.Generator,
    reference: Tensor,
    gain: Tensor,
    positions: Tensor,
    settings: EverydaySettings,
    sfreq: float,
) -> Background:
    """Draw the noise of a session.

    Parameters
    ----------
    generator : torch.Generator
    reference : Tensor, shape (n, n_electrodes)
        Orthonormal coordinates of the average-referenced sensors.
    gain : Tensor, shape (n_electrodes, n_regions), float64
        What the electrodes see of resting regions.
    positions : Tensor, shape (n_regions, 3)
        Metres.
    settings : EverydaySettings
    sfreq : float
        Hz.
    """
    u = torch.rand(4, generator=generator, dtype=torch.float64).tolist()
    n = reference.shape[1]
    spread = settings.uneven * torch.randn(n, generator=generator, dtype=torch.float64)
    sensors = _unit((reference * spread.exp()) @ reference.mT)
    seen = reference @ gain
    pick = torch.randint(len(positions), (HILLS,), generator=generator)
    heights = torch.randn(HILLS, generator=generator, dtype=torch.float64)
    away = torch.cdist(positions, positions[pick])
    power = (torch.exp(-0.5 * (away / HILL).square()) @ (2.0 * heights)).exp()
    back = positions[:, 1] - torch.quantile(positions[:, 1], 0.05)
    occipital = torch.exp(-0.5 * (back / (1.4 * HILL)).square()) * power.sqrt()
    rest, alpha = settings.rest * u[0] ** 2, 2.0 * u[1] ** 2
    return Background(
        sensors=sensors,
        cortex=rest * _unit((seen * power) @ seen.mT),
        alpha=rest * alpha * _unit((seen * occipital) @ seen.mT),
        slope=0.7 + 0.8 * u[2],
        peak_hz=8.5 + 3.0 * u[3],
        sfreq=sfreq,
    )


def _unit(covariance: Tensor) -> Tensor:
    """Scale a covariance to a mean variance of 1."""
    return covariance * (len(covariance) / covariance.trace())


def coloured(white: Tensor, roots: Tensor, n_times: int) -> Tensor:
    """Colour white noise in space and time.

    Parameters
    ----------
    white : Tensor, shape (n_batch, n, n_long)
        Standard normal.
    roots : Tensor, shape (n_long // 2 + 1, n, n)
        See :meth:`Background.roots`.
    n_times : int
        Samples kept.

    Returns
    -------
    Tensor, shape (n_batch, n, n_times)
    """
    spectrum = torch.fft.rfft(white)
    # (f, n, n) times (f, n, batch): one product per frequency for all samples at once.
    turned = torch.view_as_real(spectrum.permute(2, 1, 0)).flatten(2)
    mixed = torch.view_as_complex((roots @ turned).unflatten(2, (-1, 2)).contiguous())
    return torch.fft.irfft(mixed.permute(2, 1, 0), n=white.shape[2])[:, :, :n_times]


def long(n_times: int) -> int:
    """Samples that are drawn so that the ends of those kept do not meet."""
    return 2 * ((3 * n_times + 3) // 4 + 4)


def noise(key: Tensor, roots: Tensor, n_times: int, dtype: torch.dtype) -> Tensor:
    """Draw the noise of samples, (n_batch, n, n_times), in the coordinates of ``roots``."""
    white = streams.normal(key, (roots.shape[1], long(n_times)), dtype)
    return coloured(white, roots, n_times)


def estimated_whitener(
    generator: torch.Generator, background: Background, stretches: int
) -> tuple[Tensor, float]:
    """Estimate the covariance from a baseline and make what whitens, errors and all.

    Parameters
    ----------
    generator : torch.Generator
    background : Background
    stretches : int
        Of 64 samples.

    Returns
    -------
    whitener : Tensor, shape (n, n), float64
        Along the principal axes of the estimate, as MNE's.
    intensity : float
        How far the covariance was shrunk, 0 to 1.
    """
    n, length = len(background.sensors), long(STRETCH)
    white = torch.randn(stretches, n, length, generator=generator, dtype=torch.float32)
    drawn = coloured(white, background.roots(length).float(), STRETCH).double()
    centred = drawn - drawn.mean(2, keepdim=True)
    flat = centred.transpose(0, 1).reshape(n, -1)
    empirical = (flat @ flat.mT / (stretches * (STRETCH - 1))).numpy()
    shrunk = shrink(empirical, independent_samples(centred.numpy()))
    values, vectors = torch.linalg.eigh(torch.from_numpy(shrunk.matrix))
    return values.clamp_min(1e-12).rsqrt()[:, None] * vectors.mT, shrunk.intensity
