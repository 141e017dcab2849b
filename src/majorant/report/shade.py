"""Maps that cover the cortex: every place has a value, and none is hidden.

An estimate fades into the grey of the cortex where it is small (`cortex.py`); a map of expected
errors must not. Colours run from pale to dark, so that they differ in lightness for every kind of
colour vision and in print; the folds show through as shading. Where there is no value (the medial
wall) the cortex stays grey.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from majorant.forward.surfaces import Surfaces, vertex_normals
from majorant.report.colour import Palette
from majorant.report.cortex import View
from majorant.report.raster import Raster, rasterise

__all__ = ["Shade"]

WALL = 0.62
"""Lightness of what has no value."""
FOLDS = 0.86
"""Lightness of the depth of a sulcus."""


class Shade:
    """The template's cortex, ready to be covered.

    Parameters
    ----------
    surfaces : Surfaces
    height : int
        Pixels of a picture; its width follows from the view.
    """

    def __init__(self, surfaces: Surfaces, height: int) -> None:
        self.surfaces, self.height = surfaces, height
        self._ground: dict[View, tuple[Raster, NDArray[np.float64]]] = {}

    def draw(
        self, view: View, values: NDArray[np.floating], palette: Palette, ends: Sequence[float]
    ) -> Image.Image:
        """Draw a map.

        Parameters
        ----------
        view : View
        values : array, shape (2, n_vertices)
            NaN where there is none.
        palette : Palette
        ends : sequence of float, length 2
            Values of its first and last colour; beyond them colours stay.

        Returns
        -------
        PIL.Image.Image
            RGBA, with nothing behind the cortex.
        """
        raster, light = self._lit(view)
        own = np.concatenate([values[side] for side in view.hemispheres]).astype(float)
        known = raster.interpolate(np.isfinite(own).astype(float))
        at_pixels = raster.interpolate(np.nan_to_num(own)) / np.maximum(known, 1e-6)
        share = (at_pixels - ends[0]) / (ends[1] - ends[0])
        solid = np.clip(2.0 * known - 0.5, 0.0, 1.0)[:, None]
        rgb = (solid * palette.colours(share) + (1.0 - solid) * WALL) * light[:, None]
        canvas = np.zeros((raster.height * raster.width, 4), dtype=np.float32)
        canvas[raster.pixels, :3] = rgb
        canvas[raster.pixels, 3] = 1.0
        shaped = canvas.reshape(raster.height, raster.width, 4)
        return Image.fromarray(np.rint(255 * _soft(shaped)).astype(np.uint8), "RGBA")

    def _lit(self, view: View) -> tuple[Raster, NDArray[np.float64]]:
        """Return the geometry of a view and the light on its pixels, computed once."""
        if view not in self._ground:
            mesh = self.surfaces.pial if view.surface == "pial" else self.surfaces.inflated
            n = mesh.shape[1]
            faces = [self.surfaces.faces[s] + i * n for i, s in enumerate(view.hemispheres)]
            sides = list(view.hemispheres)
            raster = rasterise(
                mesh[sides].reshape(-1, 3),
                np.concatenate(faces),
                view.camera,
                width=round(view.aspect * self.height),
                height=self.height,
            )
            pairs = ((mesh[s], self.surfaces.faces[s]) for s in sides)
            normals = np.concatenate([vertex_normals(*pair) for pair in pairs])
            lamp = np.array([-0.25, 0.45, 0.86])
            facing = normals @ view.camera.axes().T @ (lamp / np.linalg.norm(lamp))
            lit = raster.interpolate(np.clip(facing, 0.0, 1.0))
            deep = raster.interpolate(np.concatenate([self.surfaces.sulc[s] for s in sides]))
            fold = 1.0 - (1.0 - FOLDS) / (1.0 + np.exp(-deep / 0.12))
            self._ground[view] = (raster, (0.62 + 0.38 * lit) * fold)
        return self._ground[view]


def _soft(canvas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fade the outline over a pixel, instead of a staircase."""
    alpha = np.pad(canvas[..., 3], 1)
    rows = (alpha[:-2] + 2 * alpha[1:-1] + alpha[2:]) / 4
    mean = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    canvas[..., 3] = np.where(canvas[..., 3] > 0, np.clip(2 * mean - 0.5, 0.0, 1.0), 0.0)
    return np.clip(canvas, 0.0, 1.0)
