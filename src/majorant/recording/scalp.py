"""Electrodes as directions from the centre of the head: the frontal pole, and what is covered."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["coverage", "directions", "frontal_pole"]

POLE_NAME = re.compile(r"n?fp(z|\d+)h?$", re.IGNORECASE)
POLE = (0.75, 0.35)
"""Frontal pole: forward component above the first, upward component below the second."""

REACH = 0.85
"""Cosine of the angle (about 32 degrees) around an electrode that counts as covered."""


def directions(info: Any) -> NDArray[np.float64]:
    """Unit vectors from the centre of the best sphere to every electrode, (n_channels, 3)."""
    places = np.array([channel["loc"][:3] for channel in info["chs"]], float)
    squares = (places**2).sum(axis=1)
    design = np.c_[2 * places, np.ones(len(places))]
    centre = np.linalg.lstsq(design, squares, rcond=None)[0][:3]
    out = places - centre
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def frontal_pole(info: Any) -> NDArray[np.int64]:
    """Electrodes over the eyes, by name where the names are known, else by place.

    Returns
    -------
    array of int
        Rows of the channels; empty where there are none.
    """
    named = [i for i, name in enumerate(info["ch_names"]) if POLE_NAME.fullmatch(name.strip())]
    if named:
        return np.array(named)
    out = directions(info)
    return np.flatnonzero((out[:, 1] > POLE[0]) & (out[:, 2] < POLE[1]))


def coverage(info: Any, n_points: int = 500) -> float:
    """Share of the upper half of the head that lies within 32 degrees of an electrode, 0 to 1."""
    k = np.arange(n_points) + 0.5
    up, turn = k / n_points, np.pi * (1 + 5**0.5) * k
    flat = np.sqrt(1 - up**2)
    points = np.c_[flat * np.cos(turn), flat * np.sin(turn), up]
    return float(((points @ directions(info).T).max(axis=1) >= REACH).mean())
