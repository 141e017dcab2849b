"""Cross-spectral densities of trials, as MNE defines them, all frequencies at once.

The numbers are those of `mne.time_frequency.csd_array_fourier` (Hann window, the mean of every
trial removed, one-sided densities in V^2/Hz), which takes trial after trial; here one product of
matrices a frequency does it, so that a spectrum of 1 to 45 Hz costs no more than reading the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.errors import MajorantError

__all__ = ["LEAST_CYCLES", "check_edges", "checked_band", "cross_spectra", "in_band", "mean_over"]

LEAST_CYCLES = 3.0
"""Cycles of a band's lower edge that a trial holds at least."""


def cross_spectra(
    trials: NDArray[np.float64],
    sfreq: float,
    ch_names: Sequence[str],
    band: tuple[float, float],
    tmin: float = 0.0,
) -> Any:
    """Cross-spectral density of trials at every frequency of a band.

    Parameters
    ----------
    trials : array, shape (n_trials, n_channels, n_times)
        V.
    sfreq : float
        Hz.
    ch_names : sequence of str
    band : (float, float)
        Lower and upper edge, Hz, both taken.
    tmin : float
        Time of the first sample, s.

    Returns
    -------
    mne.time_frequency.CrossSpectralDensity
        One-sided, V^2/Hz.

    Raises
    ------
    MajorantError
        If the band is none, or the trials are too short for it.
    """
    from mne.time_frequency import CrossSpectralDensity

    n_trials, n_channels, n_times = trials.shape
    low, high = checked_band(band, sfreq, n_times)
    frequencies = np.fft.rfftfreq(n_times, 1 / sfreq)
    kept = np.flatnonzero((frequencies >= low - 1e-9) & (frequencies <= high + 1e-9))
    # numpy's Hann window of n samples, whose power is 3/8 of a rectangle's (Bendat & Piersol).
    window = np.hanning(n_times)
    found = np.zeros((len(kept), n_channels, n_channels), complex)
    for some in np.array_split(np.arange(n_trials), max(1, n_trials * n_times // 200_000)):
        part = trials[some]
        spectrum = np.fft.rfft((part - part.mean(axis=-1, keepdims=True)) * window)[..., kept]
        lines = spectrum.transpose(2, 1, 0)
        found += lines @ lines.conj().transpose(0, 2, 1)
    both = np.where((kept == 0) | (2 * kept == n_times), 1.0, 2.0)
    found *= (both * 8 / 3 / (n_times * sfreq * n_trials))[:, None, None]
    rows = np.triu_indices(n_channels)
    return CrossSpectralDensity(
        found[:, rows[0], rows[1]].T,
        ch_names=list(ch_names),
        frequencies=[float(frequencies[k]) for k in kept],
        n_fft=n_times,
        tmin=tmin,
        tmax=tmin + (n_times - 1) / sfreq,
    )


def check_edges(band: tuple[float, float]) -> tuple[float, float]:
    """Refuse two numbers that are no band.

    Raises
    ------
    MajorantError
        Saying what one is.
    """
    low, high = (float(edge) for edge in band)
    if not 0 < low < high < np.inf:
        raise MajorantError(
            f"the band from {low:g} to {high:g} Hz is none; give two positive frequencies, the "
            "lower one first"
        )
    return low, high


def checked_band(band: tuple[float, float], sfreq: float, n_times: int) -> tuple[float, float]:
    """Refuse a band that is none, or that trials of so many samples do not resolve.

    Raises
    ------
    MajorantError
        Saying what would do.
    """
    low, high = check_edges(band)
    if high >= sfreq / 2:
        raise MajorantError(
            f"the band ends at {high:g} Hz, and half the sampling rate is {sfreq / 2:g} Hz; give "
            "a lower band"
        )
    seconds = n_times / sfreq
    if low * seconds < LEAST_CYCLES:
        raise MajorantError(
            f"trials of {seconds:.3g} s hold {low * seconds:.2g} cycles of {low:g} Hz, and "
            f"{LEAST_CYCLES:g} are needed; give longer trials ({LEAST_CYCLES / low:.2g} s or more) "
            "or a higher band"
        )
    if (high - low) * seconds < 1:
        raise MajorantError(
            f"trials of {seconds:.3g} s tell frequencies {1 / seconds:.2g} Hz apart, and the band "
            f"is {high - low:.2g} Hz wide; give longer trials or a wider band"
        )
    return low, high


def in_band(frequencies: NDArray[np.float64], band: tuple[float, float]) -> NDArray[np.bool_]:
    """Which frequencies lie in a band, its edges included."""
    return (frequencies >= band[0] - 1e-9) & (frequencies <= band[1] + 1e-9)


def mean_over(csd: Any, band: tuple[float, float]) -> Any:
    """Mean of a density over the frequencies of a band, as `csd.mean` takes it.

    Parameters
    ----------
    csd : mne.time_frequency.CrossSpectralDensity
    band : (float, float)
        Hz.
    """
    inside = np.flatnonzero(in_band(np.asarray(csd.frequencies, float), band))
    return csd[inside].mean()
