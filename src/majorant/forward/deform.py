"""Other people's heads, drawn: cortices that lie and fold elsewhere, skulls of another thickness.

Fields are smooth random functions of the place, sums of cosines with random directions (random
Fourier features of a Gaussian covariance). A cortex is moved by one with a length of 40 mm, so that
whole gyri move together, and its normals are then turned by one with a length of 15 mm, about the
width of a fold: opposite banks of a sulcus turn together, neighbouring gyri do not.
"""

from __future__ import annotations

import numpy as np

from majorant.forward.mesh import cast_rays_near
from majorant.forward.surfaces import vertex_normals

__all__ = [
    "Deformed",
    "deform_cortex",
    "keep_inside",
    "rotation_between",
    "smooth_field",
    "thicken",
    "turned_by",
]

MOVE_LENGTH = 0.040
TURN_LENGTH = 0.015
THICKNESS_LENGTH = 0.050
N_WAVES = 64
MIN_DEPTH = 0.001
"""Metres: sources stay this far under the inner skull."""
LARGEST_SHARE = 0.85
"""Of the way from inner skull to scalp: where the outer skull ends at most."""

Deformed = tuple[np.ndarray, np.ndarray]
"""Positions and unit normals, shape (n, 3) each."""


def smooth_field(
    points: np.ndarray, length: float, n_components: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw a smooth random function with unit variance and evaluate it.

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        Metres.
    length : float
        Of its Gaussian covariance ``exp(-d^2 / (2 length^2))``, metres.
    n_components : int
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (n, n_components), float64

    Notes
    -----
    Rahimi and Recht, "Random features for large-scale kernel machines", 2007.
    """
    waves = rng.standard_normal((N_WAVES, 3)) / length
    phase = rng.uniform(0.0, 2.0 * np.pi, N_WAVES)
    height = rng.standard_normal((N_WAVES, n_components))
    # Radians need no more than single precision here, and cosines cost half.
    angle = (points @ waves.T + phase).astype(np.float32)
    return np.sqrt(2.0 / N_WAVES) * (np.cos(angle) @ height)


def deform_cortex(
    positions: np.ndarray,
    normals: np.ndarray,
    faces: np.ndarray,
    shell: tuple[np.ndarray, np.ndarray],
    *,
    moved_mm: float,
    turned_deg: float,
    rng: np.random.Generator,
) -> Deformed:
    """Move a cortex smoothly and turn its normals.

    Parameters
    ----------
    positions, normals : ndarray, shape (n, 3)
        Metres; unit vectors.
    faces : ndarray, shape (n_faces, 3)
        The mesh of the positions.
    shell : tuple of ndarray
        Vertices and faces of the inner skull, which no source leaves.
    moved_mm : float
        Root mean square of the displacement, mm, before what would leave the skull is damped.
    turned_deg : float
        Root mean square of the angle between normals before and after, degrees. Moving turns
        already; what lacks is added.
    rng : numpy.random.Generator

    Returns
    -------
    positions, normals : ndarray, shape (n, 3)
    """
    step = smooth_field(positions, MOVE_LENGTH, 3, rng)
    step *= 1e-3 * moved_mm / max(float(np.sqrt((step**2).sum(1).mean())), 1e-12)
    moved = _under(positions, step, *shell)
    # The mesh's own normals before and after: a foreign normal (a region's) turns as the mesh does.
    own, new = vertex_normals(positions, faces), vertex_normals(moved, faces)
    turned = _rotate(normals, rotation_between(own, new))
    lacking = np.deg2rad(turned_deg) ** 2 - turned_by(normals, turned) ** 2
    if lacking > 0:
        turn = smooth_field(positions, TURN_LENGTH, 3, rng)
        # Of a rotation vector, only the part across the normal turns it.
        across = turn - (turn * turned).sum(1, keepdims=True) * turned
        turn *= np.sqrt(lacking / (across**2).sum(1).mean())
        turned = _rotate(turned, turn)
    return moved, turned


def keep_inside(positions: np.ndarray, shell: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Bring places that lie outside a shell, or hardly under it, to 1 mm under it.

    Parameters
    ----------
    positions : ndarray, shape (n, 3)
        Metres; moved along the ray from the shell's centre.
    shell, faces : ndarray, shape (m, 3), (n_faces, 3)
    """
    centre = shell.mean(axis=0)
    away = positions - centre
    radius = np.linalg.norm(away, axis=1, keepdims=True)
    ray = away / radius
    limit = cast_rays_near(centre, ray, shell, faces)[:, None] - MIN_DEPTH
    return centre + ray * np.minimum(radius, limit)


def turned_by(before: np.ndarray, after: np.ndarray) -> float:
    """Return the root mean square of the angle between unit vectors, radians."""
    angle = np.arccos(np.clip((before * after).sum(1), -1.0, 1.0))
    return float(np.sqrt((angle**2).mean()))


def _under(
    positions: np.ndarray, step: np.ndarray, shell: np.ndarray, faces: np.ndarray
) -> np.ndarray:
    """Take steps, damped where they lead out of a shell."""
    centre = shell.mean(axis=0)
    start = positions - centre
    radius = np.linalg.norm(start, axis=1, keepdims=True)
    ray = start / radius
    room = cast_rays_near(centre, ray, shell, faces)[:, None] - MIN_DEPTH - radius
    room = np.maximum(room, 1e-6)
    outward = (step * ray).sum(1, keepdims=True)
    damped = np.where(outward > 0, room * -np.expm1(-np.maximum(outward, 0) / room), outward)
    return keep_inside(positions + step + (damped - outward) * ray, shell, faces)


def rotation_between(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return the smallest rotations that take unit vectors to others, as rotation vectors."""
    axis = np.cross(before, after)
    sine = np.linalg.norm(axis, axis=1, keepdims=True)
    angle = np.arctan2(sine, (before * after).sum(1, keepdims=True))
    return axis * angle / np.maximum(sine, 1e-12)


def _rotate(vectors: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Rotate unit vectors by rotation vectors (Rodrigues)."""
    angle = np.linalg.norm(rotation, axis=1, keepdims=True)
    axis = rotation / np.maximum(angle, 1e-12)
    along = (axis * vectors).sum(1, keepdims=True) * axis
    turned = along + np.cos(angle) * (vectors - along) + np.sin(angle) * np.cross(axis, vectors)
    return turned / np.linalg.norm(turned, axis=1, keepdims=True)


def thicken(
    shells: np.ndarray, factor: float, spread: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the shells with a skull of another thickness.

    Parameters
    ----------
    shells : ndarray, shape (3, n, 3)
        Inner skull, outer skull and scalp; the inner skull and the scalp are kept.
    factor : float
        Of the thickness, everywhere.
    spread : float
        Standard deviation of the logarithm of a further factor that varies smoothly over the head.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray, shape (3, n, 3)
    """
    inner, outer, scalp = shells
    local = spread * smooth_field(inner, THICKNESS_LENGTH, 1, rng)
    thick = np.linalg.norm(outer - inner, axis=1, keepdims=True)
    gap = np.linalg.norm(scalp - inner, axis=1, keepdims=True)
    share = np.minimum(factor * np.exp(local) * thick / gap, LARGEST_SHARE)
    return np.stack([inner, inner + share * (scalp - inner), scalp])
