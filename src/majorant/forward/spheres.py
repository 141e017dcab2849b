"""The lead field of a head of three concentric spheres: no head model is asked for, or made.

For questions that any head answers alike, such as whether some current could make what an electrode
shows; sources are imaged on better heads (:mod:`majorant.forward.template`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from majorant.errors import MajorantError

__all__ = ["directions", "fitted_sphere", "three_spheres"]

INNER, OUTER = 81 / 88, 85 / 88
"""Radii of the skull, as shares of the head's."""
BRAIN, SKULL = 0.3, 0.006
"""S/m, brain and scalp, and skull."""
TERMS, SMALL = 80, 1e-6
"""Terms of the series at most; it ends where they are so small beside the largest."""


def fitted_sphere(places: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Centre and radius of the sphere nearest to some places, by linear least squares.

    Parameters
    ----------
    places : array, shape (n, 3)
        Metres; four at least, not in one plane.
    """
    rows = np.c_[2 * places, np.ones(len(places))]
    found = np.linalg.lstsq(rows, (places**2).sum(axis=1), rcond=None)[0]
    return found[:3], float(np.sqrt(max(found[3] + found[:3] @ found[:3], 0.0)))


def directions(n: int) -> NDArray[np.float64]:
    """Unit vectors all over a sphere, shape (n, 3), about evenly (a spiral of golden angles)."""
    k = np.arange(n) + 0.5
    height, turn = 1 - 2 * k / n, np.pi * (1 + 5**0.5) * k
    wide = np.sqrt(1 - height**2)
    return np.c_[wide * np.cos(turn), wide * np.sin(turn), height]


def three_spheres(
    electrodes: NDArray[np.float64], ways: NDArray[np.float64], depth: float, radius: float
) -> NDArray[np.float64]:
    """Lead field of dipoles at one depth in a head of three spheres about the origin.

    The series of Ary, Klein & Fender, IEEE Trans Biomed Eng 28:447 (1981), eq. 2; brain and scalp
    conduct alike.

    Parameters
    ----------
    electrodes : array, shape (n_electrodes, 3)
        Unit vectors, from the centre to where they are on the head.
    ways : array, shape (n_dipoles, 3)
        Unit vectors, from the centre to the dipoles.
    depth : float
        Distance of the dipoles from the centre, as a share of the head's radius; within the brain.
    radius : float
        Of the head, metres.

    Returns
    -------
    array, shape (n_dipoles, 3, n_electrodes)
        Of the three components of every dipole, V/(A m), against infinity.

    Raises
    ------
    MajorantError
        If the dipoles are not in the brain.
    """
    if not 0 < depth < INNER:
        raise MajorantError(
            f"dipoles at {depth:g} of the head's radius are not in the brain; give a share between "
            f"0 and {INNER:.3f}"
        )
    cosine = ways @ electrodes.T
    radial, turning = np.zeros_like(cosine), np.zeros_like(cosine)
    before, now = np.ones_like(cosine), cosine.copy()
    slope_before, slope = np.zeros_like(cosine), np.ones_like(cosine)
    for n, weight in enumerate(_weights(depth), start=1):
        radial += n * weight * now
        turning += weight * slope
        after = ((2 * n + 1) * cosine * now - n * before) / (n + 1)
        slope_before, slope = slope, slope_before + (2 * n + 1) * now
        before, now = now, after
    radial, turning = (part / (4 * np.pi * BRAIN * radius**2) for part in (radial, turning))
    aside = electrodes.T[None] - cosine[:, None] * ways[..., None]
    return radial[:, None] * ways[..., None] + turning[:, None] * aside


def _weights(depth: float) -> NDArray[np.float64]:
    """Weights of the terms, from the first on."""
    n, ratio = np.arange(1, TERMS + 1), SKULL / BRAIN
    odd = 2 * n + 1
    both = (n + 1) * ratio + n
    lost = both * (n * ratio / (n + 1) + 1) + (1 - ratio) * both * (INNER**odd - OUTER**odd)
    lost = lost - n * (1 - ratio) ** 2 * (INNER / OUTER) ** odd
    weights = ratio * odd**3 / (lost * n * (n + 1)) * depth ** (n - 1)
    return weights[n * weights > SMALL * (n * weights).max()]
