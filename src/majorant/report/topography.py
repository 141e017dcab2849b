"""Maps of potentials over the head, interpolated by spherical splines.

The spline is exact at the electrodes, smooth in between, and tame beyond the last of them, also
with eight electrodes (Perrin et al. 1989, Electroencephalogr. Clin. Neurophysiol. 72:184-187, with
m = 4). One small matrix serves every map of a page.
"""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from majorant.report.colour import DIVERGING
from majorant.report.pictures import data_uri
from majorant.report.sensors import reach
from majorant.words import escape

__all__ = [
    "HeadMap",
    "coefficients",
    "kernel",
    "spherical_spline",
    "trusted",
]

TERMS, STIFFNESS, RIDGE = 40, 4, 1e-7
AT_ONCE = 8192
"""Values that a series is summed for at once."""
GRID = 96
"""Pixels across a map; the reader's browser smooths them."""
TRUSTED = (0.28, 0.5)
"""Least and largest distance to the nearest electrode, in radii of the head's circle (90 degrees),
beyond which a map is a guess and fades; between, one and a half times the usual spacing."""
BOX = "-122 -122 244 244"
"""View box of a map whose head has radius 100: leaves room for nose and ears."""
LEVELS = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)
"""Contours, as shares of the colour bar's end."""


def spherical_spline(
    sensors: NDArray[np.float64], targets: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the matrix that carries values at sensors to targets.

    Parameters
    ----------
    sensors, targets : array, shape (n, 3), (m, 3)
        Unit vectors.

    Returns
    -------
    array, shape (m, n)
        Rows sum to one.
    """
    bent = kernel(targets @ sensors.T)
    return np.hstack([bent, np.ones((len(targets), 1))]) @ _weights(sensors)


def coefficients(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what turns values at electrodes into weights of the kernel at each, and a constant.

    Parameters
    ----------
    xy : array, shape (n, 2)
        Places of the electrodes as :func:`majorant.report.sensors.sensor_positions` gives them.

    Returns
    -------
    array, shape (n + 1, n)
    """
    return _weights(_lift(xy))


def _weights(sensors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve the spline's system for unit values at each electrode."""
    n = len(sensors)
    bent = kernel(sensors @ sensors.T)
    system = np.ones((n + 1, n + 1))
    system[:n, :n] = bent + RIDGE * np.trace(bent) / n * np.eye(n)
    system[n, n] = 0.0
    solved = np.linalg.solve(system, np.vstack([np.eye(n), np.zeros(n)]))
    return np.asarray(solved, dtype=np.float64)


def kernel(cosine: NDArray[np.float64]) -> NDArray[np.float64]:
    """Perrin's g: a sum of Legendre polynomials of the cosine between two directions."""
    n = np.arange(1, TERMS + 1)
    factors = (2 * n + 1) / (n * (n + 1.0)) ** STIFFNESS / (4 * np.pi)
    series = np.concatenate([[0.0], factors])
    flat = np.clip(cosine, -1, 1).ravel()
    # Forty terms are faster over what stays in the processor's own memory.
    parts = [
        np.polynomial.legendre.legval(flat[start : start + AT_ONCE], series)
        for start in range(0, max(flat.size, 1), AT_ONCE)
    ]
    return np.asarray(np.concatenate(parts).reshape(cosine.shape), dtype=np.float64)


def _lift(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo the azimuthal equidistant projection: unit vectors, shape (n, 3)."""
    radius = np.hypot(*xy.T)
    with np.errstate(invalid="ignore"):
        aside = np.where(radius > 0, np.sin(radius * np.pi / 2) / radius, np.pi / 2)
    return np.column_stack([xy * aside[:, None], np.cos(radius * np.pi / 2)])


def _spacing(xy: NDArray[np.float64]) -> float:
    """Return the median distance to the nearest other electrode."""
    if len(xy) < 2:
        return 0.0
    apart = np.hypot(xy[:, None, 0] - xy[:, 0], xy[:, None, 1] - xy[:, 1])
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


def trusted(xy: NDArray[np.float64]) -> float:
    """Return the distance from the nearest electrode beyond which a map is a guess."""
    return min(max(1.5 * _spacing(xy), TRUSTED[0]), TRUSTED[1])


class HeadMap:
    """A head seen from above, nose up, on which maps are drawn.

    Parameters
    ----------
    xy : array, shape (n_channels, 2)
        Places of the electrodes as :func:`majorant.report.sensors.sensor_positions` gives them.
    names : sequence of str
        Of the channels; shown when the pointer rests on an electrode.

    Attributes
    ----------
    reach : float
        Angle from the top at the head's circle, in units of 90 degrees: 1, or as far as the lowest
        electrode.
    sparse : bool
        Whether parts of the head are far from all electrodes.
    """

    def __init__(self, xy: NDArray[np.float64], names: tuple[str, ...]) -> None:
        self.xy, self.names = xy, names
        self.reach = reach(xy)
        self._line = np.linspace(-self.reach, self.reach, GRID)
        x, y = np.meshgrid(self._line, self._line)
        distance = np.hypot(x, y)
        step = self._line[1] - self._line[0]
        self._inside = distance <= self.reach
        gap = np.min(np.hypot(x[..., None] - xy[:, 0], y[..., None] - xy[:, 1]), axis=2)
        firm = trusted(xy)
        self.sparse = bool((gap[self._inside] > firm).any())
        faith = np.clip(1 - (gap - firm) / 0.15, 0.1, 1.0)
        self._alpha = np.clip((self.reach - distance) / step, 0.0, 1.0) * faith
        # The corners are beyond the map; they take the values of its rim.
        shrink = np.minimum(1.0, 1.02 * self.reach / np.maximum(distance, 1e-9))
        points = np.stack([(x * shrink).ravel(), (y * shrink).ravel()], axis=1)
        self._matrix = spherical_spline(_lift(xy), _lift(points))

    def outline(self) -> Markup:
        """Return the SVG symbol `#head` (circle, nose, ears, electrodes) that maps refer to."""
        size = 2.6 if len(self.names) <= 80 else 1.5
        dots = "".join(
            f'<circle cx="{100 * x:.1f}" cy="{-100 * y:.1f}" r="{size}">'
            f"<title>{escape(name)}</title></circle>"
            for (x, y), name in zip(self.xy / self.reach, self.names, strict=True)
        )
        shape = (
            '<circle r="100"/><path d="M-16 -98.7L0 -116L16 -98.7"/>'
            '<path d="M-99 -18Q-113 -22 -110 0T-99 20"/><path d="M99 -18Q113 -22 110 0T99 20"/>'
        )
        return Markup(
            '<svg class="hidden" aria-hidden="true"><defs><g id="head">'
            f'<g class="skull">{shape}</g><g class="electrodes">{dots}</g></g></defs></svg>'
        )

    def draw(self, values: NDArray[np.float64], limit: float, alt: str) -> Markup:
        """Return a map as an SVG element.

        Parameters
        ----------
        values : array, shape (n_channels,)
        limit : float
            Value of the strongest colour, in the unit of the values.
        alt : str
            What the map shows; plain text.
        """
        grid = (self._matrix @ values).reshape(GRID, GRID) / (limit or 1.0)
        paint = np.dstack([DIVERGING.colours((grid + 1) / 2), self._alpha])[::-1]
        picture = Image.fromarray(np.rint(paint * 255).astype(np.uint8), "RGBA")
        return Markup(
            f'<svg class="topography" viewBox="{BOX}" role="img" aria-label="{escape(alt)}">'
            f'<image href="{data_uri(picture)}" x="-100" y="-100" width="200" height="200"/>'
            f'<path class="contour" d="{self._contours(grid)}"/><use href="#head"/></svg>'
        )

    def _contours(self, grid: NDArray[np.float64]) -> str:
        import contourpy

        inside = np.ma.masked_array(grid, mask=~self._inside)
        generator = contourpy.contour_generator(self._line, self._line, inside)
        strokes = []
        for level in LEVELS:
            for line in generator.lines(level):
                assert isinstance(line, np.ndarray)
                thin = line[:: 2 if len(line) > 12 else 1] if len(line) > 3 else line
                ends = np.vstack([thin, line[-1:]]) * (100 / self.reach, -100 / self.reach)
                strokes.append("M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in ends))
        return "".join(strokes)
