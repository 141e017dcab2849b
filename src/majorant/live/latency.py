"""How long samples take, counted in bins so that a day's run needs no more room than a minute's."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Latency"]

BIN, LONGEST = 1e-4, 10.0
"""Width of a bin, and what the last bin begins with, s."""


class Latency:
    """Counts durations."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(round(LONGEST / BIN) + 1, np.int64)
        self._longest = 0.0

    def add(self, seconds: ArrayLike) -> None:
        """Count durations, s; what is below zero, for clocks differ a little, counts as zero."""
        values = np.maximum(np.atleast_1d(np.asarray(seconds, float)), 0.0)
        if not len(values):
            return
        place = np.minimum(values / BIN, len(self._counts) - 1).astype(np.int64)
        self._counts += np.bincount(place, minlength=len(self._counts))
        self._longest = max(self._longest, float(values.max()))

    def __len__(self) -> int:
        return int(self._counts.sum())

    def quantile(self, share: float) -> float:
        """Duration that a share of the samples stays below, s, good to 0.1 ms."""
        total = len(self)
        if not total:
            return 0.0
        place = int(np.searchsorted(np.cumsum(self._counts), share * total))
        return min((place + 1) * BIN, self._longest)

    def to_dict(self) -> dict[str, float]:
        """Median, 95 % and longest, ms."""
        return {
            "median_ms": 1e3 * self.quantile(0.5),
            "p95_ms": 1e3 * self.quantile(0.95),
            "max_ms": 1e3 * self._longest,
        }
