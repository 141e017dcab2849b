"""Views of a triangle mesh: which point of the surface every pixel shows.

A view is rasterised once, with a depth buffer, into triangle corners and barycentric weights per
pixel; any number of maps is then drawn by one gather each. Against painting ten thousand polygons
per map this is faster (about 0.06 s for a view and 0.02 s for a map, where nilearn's `plot_surf`
takes 0.12 to 0.22 s for each and its import 1.5 s, which thirty pictures a page would feel), has no
wrong overlaps at folds, and blends values smoothly within triangles.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from majorant.files.cache import Cache

__all__ = ["Camera", "Raster", "rasterise"]

VERSION = 1
KEPT = 150
"""Height of pictures from which on their geometry is kept in the cache, pixels."""

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """An orthographic camera.

    Attributes
    ----------
    looking : tuple of float
        Direction of sight, in the mesh's coordinates (x right, y front, z up).
    up : tuple of float
        What points up in the picture.
    """

    looking: Vector
    up: Vector = (0.0, 0.0, 1.0)

    def axes(self) -> NDArray[np.float64]:
        """Return rows right, up, towards the viewer, shape (3, 3), orthonormal."""
        looking = np.asarray(self.looking, dtype=np.float64)
        looking /= np.linalg.norm(looking)
        right = np.cross(looking, self.up)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(right, looking), -looking])


@dataclass(frozen=True, eq=False)
class Raster:
    """A mesh seen by a camera.

    Attributes
    ----------
    height, width : int
        Pixels.
    pixels : array, shape (n_covered,), int64
        Flat indices of the pixels that show the mesh, ascending.
    corners : array, shape (n_covered, 3), int64
        Vertices of the triangle each of them shows.
    weights : array, shape (n_covered, 3)
        Barycentric weights; each row sums to one.
    screen : array, shape (n_vertices, 2)
        Column and row of every vertex, in pixels.
    visible : array, shape (n_vertices,), bool
        Whether nothing lies in front of the vertex.
    """

    height: int
    width: int
    pixels: NDArray[np.int64]
    corners: NDArray[np.int64]
    weights: NDArray[np.float32]
    screen: NDArray[np.float64]
    visible: NDArray[np.bool_]

    def interpolate(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return values at the covered pixels; vertices of NaN count only where all are.

        Parameters
        ----------
        values : array, shape (n_vertices,)

        Returns
        -------
        array, shape (n_covered,)
        """
        known = np.isfinite(values)
        if known.all():
            return self._blend @ values
        total = self._blend @ known.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            blended = (self._blend @ np.where(known, values, 0.0)) / total
        return np.where(total > 0.5, blended, np.nan)

    @cached_property
    def _blend(self) -> csr_array:
        """From vertices to covered pixels, shape (n_covered, n_vertices)."""
        n, n_vertices = len(self.pixels), len(self.visible)
        starts = np.arange(0, 3 * n + 1, 3)
        weights = self.weights.astype(np.float64).ravel()
        return csr_array((weights, self.corners.ravel(), starts), shape=(n, n_vertices))


def rasterise(
    vertices: NDArray[np.floating],
    faces: NDArray[np.integer],
    camera: Camera,
    *,
    width: int,
    height: int,
    margin: float = 0.03,
) -> Raster:
    """Project a closed mesh into a picture of given size, filling it up to a margin.

    Which triangle a pixel shows is most of the work; for pictures of some size it is done once and
    kept in the cache.

    Parameters
    ----------
    vertices : array, shape (n_vertices, 3)
    faces : array, shape (n_faces, 3)
        Outward by the right-hand rule; those that face away are not drawn.
    camera : Camera
    width, height : int
        Pixels.
    margin : float
        Share of the picture left free on each side.

    Returns
    -------
    Raster
    """
    seen = np.asarray(vertices, dtype=np.float64) @ camera.axes().T
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    scale = (1 - 2 * margin) * min(np.array([width, height]) / (high - low))
    middle = (low + high) / 2
    column = (seen[:, 0] - middle[0]) * scale + width / 2 - 0.5
    row = (middle[1] - seen[:, 1]) * scale + height / 2 - 0.5
    screen, depth = np.stack([column, row], axis=1), seen[:, 2]

    def build() -> tuple[dict[str, Tensor], dict[str, Any]]:
        shown = _shown(screen, depth, faces, width, height)
        return dict(zip(("pixels", "face"), map(torch.from_numpy, shown), strict=True)), {}

    if height < KEPT:
        found, _ = build()
    else:
        marks = [
            hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()
            for a in (screen, depth, faces)
        ]
        found, _ = Cache(lambda _: None).get("view", VERSION, [*marks, width, height], build)
    pixels, face = found["pixels"].numpy().astype(np.int64), found["face"].numpy()
    corners = np.asarray(faces, dtype=np.int64)[face]
    weights = _weights(screen, corners, pixels % width, pixels // width)
    buffer = np.full(width * height, -np.inf)
    buffer[pixels] = np.einsum("ij,ij->i", depth[corners], weights)
    place = np.rint(screen).astype(np.int64)
    at = np.clip(place[:, 1], 0, height - 1) * width + np.clip(place[:, 0], 0, width - 1)
    tolerance = 0.02 * float(depth.max() - depth.min())
    return Raster(
        height=height,
        width=width,
        pixels=pixels,
        corners=corners,
        weights=weights.astype(np.float32),
        screen=screen,
        visible=depth >= buffer[at] - tolerance,
    )


def _shown(
    screen: NDArray[np.float64],
    depth: NDArray[np.float64],
    faces: NDArray[np.integer],
    width: int,
    height: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return the pixels that show the mesh, ascending, and the triangle that each of them shows."""
    triangle = screen[faces]
    one, two = triangle[:, 1] - triangle[:, 0], triangle[:, 2] - triangle[:, 0]
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    # Rows run downwards, so faces turned to the viewer have negative area.
    front = np.flatnonzero(area < -1e-9)
    pixels, face, weights = _cover(triangle[front], width, height)
    nearness = np.einsum("ij,ij->i", depth[np.asarray(faces)[front][face]], weights)
    order = np.lexsort((nearness, pixels))
    last = np.append(pixels[order][1:] != pixels[order][:-1], True)
    kept = order[last]
    return pixels[kept].astype(np.int32), front[face[kept]].astype(np.int32)


def _cover(
    triangle: NDArray[np.float64], width: int, height: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return pixel, triangle and barycentric weights of every (triangle, pixel inside it)."""
    low = np.ceil(triangle.min(axis=1) - 1e-9).astype(np.int64).clip(0)
    high = np.floor(triangle.max(axis=1) + 1e-9).astype(np.int64)
    high = np.minimum(high, np.array([width - 1, height - 1]))
    size = (high - low + 1).clip(0)
    count = size.prod(axis=1)
    face = np.repeat(np.arange(len(triangle)), count)
    nth = np.arange(len(face)) - np.repeat(np.cumsum(count) - count, count)
    x = low[face, 0] + nth % size[face, 0]
    y = low[face, 1] + nth // size[face, 0]
    corners = np.arange(3 * len(triangle)).reshape(-1, 3)[face]
    weights = _weights(triangle.reshape(-1, 2), corners, x, y)
    inside = (weights > -1e-7).all(axis=1)
    return (y * width + x)[inside], face[inside], weights[inside]


def _weights(
    screen: NDArray[np.float64],
    corners: NDArray[np.int64],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Barycentric weights (n, 3) of pixels, each in a triangle whose corners are rows of screen."""
    across, down = (np.ascontiguousarray(part).take(corners.T) for part in screen.T)
    one, two = (
        (across[1] - across[0], down[1] - down[0]),
        (across[2] - across[0], down[2] - down[0]),
    )
    area = one[0] * two[1] - one[1] * two[0]
    weights = np.empty((len(corners), 3))
    for corner in range(3):
        a, b = (corner + 1) % 3, (corner + 2) % 3
        away = (across[b] - across[a]) * (y - down[a]) - (down[b] - down[a]) * (x - across[a])
        weights[:, corner] = away / area
    return weights
