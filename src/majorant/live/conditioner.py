"""A filter that looks back only, and keeps its state from chunk to chunk."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

__all__ = ["Conditioner"]

ORDER, HIGHEST = 2, 0.45
"""Order of the Butterworth filter, and share of the rate above which an upper edge is left out."""

Band = tuple[float | None, float | None]


class Conditioner:
    """A causal Butterworth band-pass.

    Parameters
    ----------
    band : tuple of (float or None)
        Edges, Hz.
    sfreq : float
        Hz.
    """

    def __init__(self, band: Band, sfreq: float) -> None:
        low, high = band
        low = low if low and low < HIGHEST * sfreq else None
        high = high if high and high < HIGHEST * sfreq else None
        self.band: Band = (low, high)
        self.sfreq = sfreq
        self._sos: NDArray[np.float64] | None = None
        if low is not None or high is not None:
            kind = "bandpass" if low and high else "highpass" if low else "lowpass"
            edges = [edge for edge in (low, high) if edge is not None]
            self._sos = np.asarray(
                signal.butter(ORDER, edges if len(edges) == 2 else edges[0], kind, fs=sfreq,
                              output="sos")
            )  # fmt: skip
        self._state: NDArray[np.float64] | None = None

    def reset(self) -> None:
        """Forget what came before."""
        self._state = None

    def __call__(self, data: NDArray[np.float64]) -> NDArray[np.float64]:
        """Filter a chunk (n_channels, n)."""
        if self._sos is None or not data.shape[1]:
            return data
        if self._state is None:
            # As if the first sample had stood there for ever: an offset causes no ringing.
            rest = signal.sosfilt_zi(self._sos)
            self._state = rest[:, None, :] * data[None, :, :1]
        filtered, self._state = signal.sosfilt(self._sos, data, axis=1, zi=self._state)
        return np.asarray(filtered)

    def delay(self, frequency: float = 10.0) -> float:
        """By how much an oscillation of some Hz comes later, s."""
        if self._sos is None:
            return 0.0
        near = np.array([frequency - 0.05, frequency + 0.05])
        _, response = signal.sosfreqz(self._sos, near, fs=self.sfreq)
        phase = np.unwrap(np.angle(response))
        return float(-(phase[1] - phase[0]) / (2 * np.pi * (near[1] - near[0])))
