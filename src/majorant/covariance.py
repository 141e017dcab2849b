"""Covariances from few and correlated samples: how many there are, and how far to shrink.

A covariance is shrunk toward a multiple of the identity by the oracle-approximating rule (Chen,
Wiesel, Eldar & Hero, IEEE Trans Signal Process 58, 2010, eq. 23), with the number of independent
samples in place of the number of samples (Bartlett, J R Stat Soc Suppl 8, 1946:
``n / sum_k (1 - |k|/n) rho_k^2``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shrunk", "independent_samples", "shrink"]


@dataclass(frozen=True)
class Shrunk:
    """A covariance after shrinkage.

    Attributes
    ----------
    matrix : array, shape (n, n)
    intensity : float
        Weight of the identity, 0 to 1.
    """

    matrix: NDArray[np.float64]
    intensity: float


def independent_samples(trials: NDArray[np.float64]) -> float:
    """Number of independent samples that estimate a covariance as well as these.

    Parameters
    ----------
    trials : array, shape (n_trials, n_channels, n_times)
        Means over time removed.

    Returns
    -------
    float
        Between 1 and ``n_trials * n_times``.
    """
    n_trials, _, n = trials.shape
    spectrum = np.fft.rfft(trials, 2 * n, axis=2)
    power = (spectrum.real**2 + spectrum.imag**2).sum(axis=(0, 1))
    correlation = np.fft.irfft(power)[:n]
    if correlation[0] <= 0:
        return 1.0
    squared = (correlation / correlation[0]) ** 2
    # Lag k sums n - k products, r_k = (1 - k/n) rho_k, so (1 - k/n) rho_k^2 = r_k^2 / (1 - k/n).
    taper = 1.0 - np.arange(n) / n
    total = 1.0 + 2.0 * (squared[1:] / taper[1:]).sum()
    return max(1.0, n_trials * n / total)


def shrink(matrix: NDArray[np.float64], n_samples: float) -> Shrunk:
    """Shrink a covariance toward a multiple of the identity.

    Parameters
    ----------
    matrix : array, shape (n, n)
        Empirical covariance, of full rank in the space it is given in, or not.
    n_samples : float
        Independent samples behind it.
    """
    n = len(matrix)
    trace, square = float(np.trace(matrix)), float((matrix * matrix).sum())
    top = (1.0 - 2.0 / n) * square + trace**2
    bottom = (n_samples + 1.0 - 2.0 / n) * (square - trace**2 / n)
    intensity = 1.0 if bottom <= 0 else min(1.0, max(0.0, top / bottom))
    mixed = (1.0 - intensity) * matrix + intensity * trace / n * np.eye(n)
    return Shrunk(mixed, intensity)
