"""Where electrodes lie on a head seen from above."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["reach", "sensor_positions"]

FITTED = 16
"""Electrodes from which on a sphere is fitted to them."""


def sensor_positions(info: Any) -> NDArray[np.float64] | None:
    """Return where electrodes lie on the head seen from above, shape (n_channels, 2).

    Azimuthal equidistant projection, nose up; radius 1 is 90 degrees from the top, seen from the
    centre of the sphere that fits the electrodes (the head frame's origin where none fits well).
    None where any position is missing.
    """
    places = np.array([channel["loc"][:3] for channel in info["chs"]], dtype=np.float64)
    if not np.isfinite(places).all() or (np.linalg.norm(places, axis=1) < 1e-6).any():
        return None
    places = places - _centre(places)
    radius = np.linalg.norm(places, axis=1)
    angle = np.arccos(np.clip(places[:, 2] / radius, -1, 1)) / (np.pi / 2)
    azimuth = np.arctan2(places[:, 1], places[:, 0])
    return np.stack([angle * np.cos(azimuth), angle * np.sin(azimuth)], axis=1)


def _centre(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the centre of the sphere that fits electrodes best, if it can be that of a head."""
    if len(places) < FITTED:
        return np.zeros(3)
    system = np.column_stack([2 * places, np.ones(len(places))])
    solution, _, rank, _ = np.linalg.lstsq(system, (places**2).sum(axis=1), rcond=1e-6)
    centre = solution[:3]
    radii = np.linalg.norm(places - centre, axis=1)
    fits = rank == 4 and 0.07 < radii.mean() < 0.13 and radii.std() < 0.1 * radii.mean()
    near = abs(centre[0]) < 0.015 and abs(centre[1]) < 0.04 and -0.02 < centre[2] < 0.07
    return centre if fits and near else np.zeros(3)


def reach(xy: NDArray[np.float64]) -> float:
    """Return the radius at which the head's outline is drawn: 1, or around the lowest electrode."""
    return max(1.0, 1.03 * float(np.hypot(*xy.T).max()))
