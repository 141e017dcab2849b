"""Pictures of the cortex: the template, inflated, with an estimate on it.

Grey is the folding (dark sulci, light gyri); colour fades in where the estimate is large.
The colours differ in lightness as much as in hue and avoid red against green: magnitudes run from
dark red to pale yellow, signed values also from dark blue to pale cyan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.surfaces import Surfaces
from majorant.report.colour import COLD, DOUBT, WARM, gradient
from majorant.report.marks import Mark, draw_marks
from majorant.report.raster import Camera, Raster, rasterise

__all__ = [
    "SIDES",
    "VIEWS",
    "Cortex",
    "Scale",
    "Veil",
    "View",
    "colours",
    "ramp",
]


@dataclass(frozen=True)
class View:
    """One side of the cortex.

    Attributes
    ----------
    name : str
        As a caption says it.
    hemispheres : tuple of int
        0 left, 1 right.
    camera : Camera
    surface : {"inflated", "pial"}
        One hemisphere is shown inflated, so that the folds hide nothing; both together as they lie
        in the head, so that the place is recognised.
    """

    name: str
    hemispheres: tuple[int, ...]
    camera: Camera
    surface: Literal["inflated", "pial"] = "inflated"

    @property
    def aspect(self) -> float:
        """Width over height of the picture."""
        return 16 / 11 if len(self.hemispheres) == 1 else 1.0


VIEWS = (
    View("left, outer side", (0,), Camera((1, 0, 0))),
    View("right, outer side", (1,), Camera((-1, 0, 0))),
    View("from above", (0, 1), Camera((0, 0, -1), (0, 1, 0)), "pial"),
    View("left, inner side", (0,), Camera((-1, 0, 0))),
    View("right, inner side", (1,), Camera((1, 0, 0))),
    View("from behind", (0, 1), Camera((0, 1, 0)), "pial"),
)


SIDES = tuple(VIEWS[i] for i in (0, 1, 3, 4))
"""Both hemispheres, inflated, from outside and from inside."""


SMALL = 0.6
"""Height of small pictures over that of large ones: sharp on dense screens, too."""


@dataclass(frozen=True)
class Scale:
    """How values become colours.

    Attributes
    ----------
    limit : float
        Value of the strongest colour; in the unit of the estimate, positive.
    signed : bool
        Whether negative values have colours of their own.
    doubt : bool
        Whether the values are uncertainties, which have a ramp of their own.
    """

    limit: float
    signed: bool
    doubt: bool = False


@dataclass(frozen=True)
class Veil:
    """Which sizes are covered by the grey of the cortex, in the unit of the estimate.

    A single threshold makes any map look focal; between two, colour fades in.

    Attributes
    ----------
    clear_from : float
        Sizes from here on hide the grey.
    hidden_to : float
        Sizes up to here leave it bare; smaller than `clear_from`.
    """

    hidden_to: float
    clear_from: float

    def opacity(self, size: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return 0 where hidden, 1 where clear."""
        width = max(self.clear_from - self.hidden_to, np.finfo(float).tiny)
        return np.clip((size - self.hidden_to) / width, 0.0, 1.0)


def colours(values: NDArray[np.floating], scale: Scale) -> NDArray[np.float64]:
    """Return RGB between 0 and 1, shape (..., 3), for values in the estimate's unit."""
    size = np.clip(np.abs(values) / scale.limit, 0.0, 1.0)
    warm = (DOUBT if scale.doubt else WARM).colours(size)
    if not scale.signed:
        return warm
    return np.where((np.asarray(values) < 0)[..., None], COLD.colours(size), warm)


def ramp(scale: Scale) -> str:
    """Return the colours as a CSS gradient, from the lowest value on the left to the highest."""
    if not scale.signed:
        return (DOUBT if scale.doubt else WARM).ramp()
    cold = [((1 - at) / 2, code) for at, code in reversed(COLD.stops)]
    return gradient((*cold, *(((1 + at) / 2, code) for at, code in WARM.stops)))


class Cortex:
    """The template's cortex, ready to be drawn on.

    Parameters
    ----------
    surfaces : Surfaces
        Of the template.
    height : int
        Pixels of a picture; its width follows from the view.
    """

    def __init__(self, surfaces: Surfaces, height: int) -> None:
        self.surfaces, self.height = surfaces, height
        self._rasters: dict[View, Raster] = {}
        self._bare: dict[View, _Ground] = {}

    @cached_property
    def small(self) -> Cortex:
        """The same cortex for pictures that are shown at less than half the size."""
        return Cortex(self.surfaces, round(SMALL * self.height))

    def _vertices(self, view: View) -> NDArray[np.float32]:
        return self.surfaces.pial if view.surface == "pial" else self.surfaces.inflated

    def _normals(self, view: View) -> NDArray[np.float64]:
        pial = view.surface == "pial"
        return self.surfaces.normals if pial else self.surfaces.inflated_normals

    def raster(self, view: View) -> Raster:
        """Return the geometry of a view, computed once."""
        if view not in self._rasters:
            vertices = self._vertices(view)
            faces = [
                self.surfaces.faces[side] + place * vertices.shape[1]
                for place, side in enumerate(view.hemispheres)
            ]
            self._rasters[view] = rasterise(
                vertices[list(view.hemispheres)].reshape(-1, 3),
                np.concatenate(faces),
                view.camera,
                width=round(view.aspect * self.height),
                height=self.height,
            )
        return self._rasters[view]

    def draw(
        self,
        view: View,
        values: NDArray[np.floating],
        scale: Scale,
        veil: Veil,
        marks: Sequence[Mark] = (),
        mark_size: float = 1.0,
    ) -> Image.Image:
        """Draw an estimate.

        Parameters
        ----------
        view : View
        values : array, shape (2, n_vertices)
            In the estimate's unit; NaN where there is none.
        scale : Scale
        veil : Veil
        marks : sequence of Mark
            Those on the far side are left out.
        mark_size : float
            1 for a picture shown at half its pixels; larger where it is shown smaller.

        Returns
        -------
        PIL.Image.Image
            RGBA, with nothing behind the cortex.
        """
        raster, ground = self.raster(view), self._ground(view)
        at_pixels = np.nan_to_num(raster.interpolate(self._of(view, values)))
        opacity = veil.opacity(np.abs(at_pixels))
        painted = np.flatnonzero(opacity)
        share, light = opacity[painted, None], ground.light[painted, None]
        paint = colours(at_pixels[painted], scale) * (0.55 + 0.45 * light)
        canvas = ground.canvas.copy()
        canvas.reshape(-1, 4)[raster.pixels[painted], :3] = _bytes(
            (1 - share) * ground.grey[painted, None] + share * paint
        )
        image = Image.fromarray(canvas, "RGBA")
        places = raster.screen
        shown = [(mark, tuple(places[self._row(view, mark)])) for mark in self.seen(view, marks)]
        draw_marks(image, shown, mark_size * self.height / 34)
        return image

    def _ground(self, view: View) -> _Ground:
        """Return a view without an estimate, drawn once."""
        if view not in self._bare:
            raster = self.raster(view)
            normals = self._of(view, self._normals(view))
            facing = normals @ view.camera.axes().T
            lamp = np.array([-0.25, 0.45, 0.86])
            light = raster.interpolate(np.clip(facing @ (lamp / np.linalg.norm(lamp)), 0.0, 1.0))
            depth = raster.interpolate(self._of(view, self.surfaces.sulc))
            fold = 1 / (1 + np.exp(-depth / 0.12))
            grey = (0.80 - 0.26 * fold) * (0.45 + 0.55 * light)
            self._bare[view] = _Ground(grey, light, _bare(raster, grey))
        return self._bare[view]

    @staticmethod
    def _of(view: View, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the values of the hemispheres in the view, as its mesh numbers them."""
        return np.concatenate([values[side] for side in view.hemispheres])

    def mark_at(self, hemisphere: str, mni: tuple[float, float, float]) -> Mark:
        """Return the cross for a simulated source, at the vertex nearest its MNI152 position."""
        side = 1 if hemisphere == "right" else 0
        away = mni305_to_mni152(self.surfaces.pial[side]) - np.asarray(mni)
        return Mark(side, int(np.linalg.norm(away, axis=1).argmin()), "truth")

    def seen(self, view: View, marks: Sequence[Mark]) -> list[Mark]:
        """Return the marks that lie on the side shown."""
        visible = self.raster(view).visible
        return [
            mark
            for mark in marks
            if mark.hemisphere in view.hemispheres and visible[self._row(view, mark)]
        ]

    def _row(self, view: View, mark: Mark) -> int:
        """Return the mark's vertex as the view's mesh numbers it."""
        block = view.hemispheres.index(mark.hemisphere)
        return block * self.surfaces.inflated.shape[1] + mark.vertex


@dataclass(frozen=True, eq=False)
class _Ground:
    """A view without an estimate.

    Attributes
    ----------
    grey, light : array, shape (n_covered,)
        Of the folds; how much light falls on the covered pixels.
    canvas : array, shape (height, width, 4), uint8
    """

    grey: NDArray[np.float64]
    light: NDArray[np.float64]
    canvas: NDArray[np.uint8]


def _bare(raster: Raster, grey: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the folds, RGBA; their outline fades over a pixel, instead of a staircase."""
    covered = np.zeros((raster.height, raster.width), dtype=np.float32)
    covered.ravel()[raster.pixels] = 1.0
    alpha = np.pad(covered, 1)
    rows = (alpha[:-2] + 2 * alpha[1:-1] + alpha[2:]) / 4
    mean = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
    canvas = np.zeros((raster.height, raster.width, 4), dtype=np.uint8)
    canvas.reshape(-1, 4)[raster.pixels, :3] = _bytes(grey)[:, None]
    canvas[..., 3] = _bytes(np.where(covered > 0, np.clip(2 * mean - 0.5, 0.0, 1.0), 0.0))
    return canvas


def _bytes(share: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return shares of 0 to 1 as 0 to 255."""
    return np.rint(share.astype(np.float32) * 255).astype(np.uint8)
