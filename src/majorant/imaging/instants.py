"""The instants by which the page shows hours: of every stretch the strongest one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from majorant.imager.imager import SourceImager
from majorant.imager.streams import Reader
from majorant.recording.rank import projection

__all__ = ["STRETCHES", "Instants"]

STRETCHES = 400
"""Of a recording on the page, at most."""


class Instants:
    """Of every stretch of a recording the good instant at which the estimate is strongest.

    Parameters
    ----------
    n_times : int
    imager : SourceImager
        Fitted.

    Attributes
    ----------
    length : int
        Of a stretch, samples.
    """

    def __init__(self, n_times: int, imager: SourceImager) -> None:
        self.length = -(-n_times // STRETCHES)
        n, lead = -(-n_times // self.length), imager.leadfield_
        self._project = projection(imager.info_)
        self._height = np.full(n, -1.0)
        self._sample = np.zeros(n, np.int64)
        self._values = np.zeros((lead.n_locations, n))
        self._columns = np.zeros((lead.n_columns, n))
        self._changed: set[int] = set()

    def add(
        self, start: int, values: NDArray[np.float64], columns: Tensor, bad: NDArray[np.bool_]
    ) -> None:
        """Look through consecutive samples.

        Parameters
        ----------
        start : int
            The first of them.
        values : array, shape (n_locations, n)
        columns : Tensor, shape (n_columns, n)
        bad : array, shape (n_times,)
            Samples of the whole recording that are not to be shown.
        """
        height = np.abs(values).max(axis=0)
        height[bad[start : start + len(height)]] = -1.0
        stretch = (start + np.arange(len(height))) // self.length
        for k in np.unique(stretch):
            inside = np.flatnonzero(stretch == k)
            best = int(inside[height[inside].argmax()])
            if height[best] <= self._height[k]:
                continue
            self._height[k], self._sample[k] = height[best], start + best
            self._values[:, k] = values[:, best]
            self._columns[:, k] = columns[:, best].numpy()
            self._changed.add(int(k))

    def changes(self) -> dict[str, NDArray[Any]]:
        """What changed since it was last asked for."""
        index = np.array(sorted(self._changed), np.int64)
        self._changed.clear()
        held = {"height": self._height[index], "sample": self._sample[index]}
        return {
            "index": index, **held, "values": self._values[:, index],
            "columns": self._columns[:, index],
        }  # fmt: skip

    def restore(self, changes: Mapping[str, NDArray[Any]]) -> None:
        """Make the changes that another run told."""
        index = changes["index"]
        self._height[index], self._sample[index] = changes["height"], changes["sample"]
        self._values[:, index], self._columns[:, index] = changes["values"], changes["columns"]

    def clear(self) -> None:
        """Forget all of it."""
        self._height[:] = -1.0
        self._changed.clear()

    @property
    def _shown(self) -> NDArray[np.bool_]:
        """Stretches that have a good sample."""
        return self._height >= 0

    @property
    def sample(self) -> NDArray[np.int64]:
        """Where the instants are, shape (n_shown,)."""
        return self._sample[self._shown]

    @property
    def values(self) -> NDArray[np.float64]:
        """Estimates of the locations, shape (n_locations, n_shown)."""
        return self._values[:, self._shown]

    @property
    def columns(self) -> NDArray[np.float64]:
        """Estimates of the columns, shape (n_columns, n_shown)."""
        return self._columns[:, self._shown]

    def read(self, reader: Reader) -> NDArray[np.float64]:
        """Read the data of these instants, projected, shape (n_channels, n_shown)."""
        data = np.stack([reader.read(int(k), int(k) + 1)[:, 0] for k in self.sample], axis=1)
        return self._project @ data
