"""Every colour of the pages' pictures, once: palettes of one quantity, and of two signs.

Estimates fade in from the grey of the cortex, so their colours run from dark to pale (`WARM`,
`COLD`, `DOUBT`); maps that cover everything run from pale to dark (`BLUE`, `BROWN`, `PURPLE`;
`GREEN` the other way), and so differ in lightness for every kind of colour vision and in print.
Colours of text and lines are CSS variables of ``page.css``, which knows dark screens and paper.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLUE",
    "BROWN",
    "COLD",
    "DIVERGING",
    "DOUBT",
    "GREEN",
    "INK",
    "MUTED",
    "PURPLE",
    "WARM",
    "Palette",
    "gradient",
    "hex_codes",
]

INK, MUTED, WHITE = "#171b20", "#5b6570", "#ffffff"
"""Text, and text of less weight, on white: the page's own, for pictures that are files."""

Stops = tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Palette:
    """Colours of one quantity.

    Attributes
    ----------
    stops : tuple of (float, str)
        Positions from 0 to 1 and colours as ``#rrggbb``.
    """

    stops: Stops

    def colours(self, share: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return RGB between 0 and 1, shape (..., 3), for positions on the scale."""
        places = [at for at, _ in self.stops]
        rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for _, c in self.stops])
        at = np.clip(share, 0.0, 1.0)
        return np.stack([np.interp(at, places, rgb[:, k]) for k in range(3)], axis=-1)

    def ramp(self) -> str:
        """Return the colours as a CSS gradient from left to right."""
        return gradient(self.stops)

    def tint(self, share: float) -> str:
        """Return one colour as ``#rrggbb``."""
        return hex_codes(self.colours(np.array([share])))[0]

    def ink(self, share: float) -> str:
        """Return the colour of text on it: dark or white, whichever contrasts more.

        Contrast is that of the Web Content Accessibility Guidelines 2.1: (L1 + 0.05) /
        (L2 + 0.05), with L the relative luminance.
        """
        ground = _luminance(self.colours(np.array(share)))
        dark = _luminance(np.array([int(INK[i : i + 2], 16) / 255 for i in (1, 3, 5)]))
        return WHITE if 1.05 / (ground + 0.05) > (ground + 0.05) / (dark + 0.05) else INK


def gradient(stops: Stops) -> str:
    """Return colours at positions from 0 to 1 as a CSS gradient from left to right."""
    shown = ", ".join(f"{code} {100 * at:.0f}%" for at, code in stops)
    return f"linear-gradient(to right, {shown})"


def hex_codes(rgb: NDArray[np.floating]) -> list[str]:
    """Return RGB between 0 and 1, shape (n, 3), as ``#rrggbb``."""
    whole = np.rint(255 * rgb).astype(int)
    return [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in whole]


def _luminance(rgb: NDArray[np.floating]) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))


WARM = Palette(
    ((0.0, "#3f0f12"), (0.3, "#8f1d1a"), (0.55, "#dd5a16"), (0.8, "#fbb03b"), (1.0, "#fff6c4"))
)
COLD = Palette(
    ((0.0, "#0b1b4a"), (0.3, "#173f9e"), (0.55, "#2280dd"), (0.8, "#5fc4f2"), (1.0, "#d6fbff"))
)
DOUBT = Palette(
    ((0.0, "#20123a"), (0.3, "#3c3a86"), (0.6, "#32879c"), (0.85, "#74cba4"), (1.0, "#eafbe2"))
)
"""Magnitudes, their negative, and uncertainty: each from dark to pale."""

_PALE = "#f6f3ec"
BLUE = Palette(
    ((0.0, _PALE), (0.25, "#c2d6e6"), (0.5, "#75a5d0"), (0.75, "#3c62ab"), (1.0, "#1c2158"))
)
BROWN = Palette(
    ((0.0, _PALE), (0.25, "#f2d3a3"), (0.5, "#e39c52"), (0.75, "#b05a24"), (1.0, "#55230c"))
)
PURPLE = Palette(
    ((0.0, _PALE), (0.25, "#e4c6dc"), (0.5, "#c286b7"), (0.75, "#8a4588"), (1.0, "#3d174a"))
)
GREEN = Palette(
    ((0.0, "#0d2f33"), (0.25, "#20665f"), (0.5, "#5fa588"), (0.75, "#b4d6b1"), (1.0, _PALE))
)
DIVERGING = Palette(
    tuple(
        (i / 10, code)
        for i, code in enumerate(
            (
                *("#053061", "#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7"),
                *("#fddbc7", "#f4a582", "#d6604d", "#b2182b", "#67001f"),
            )
        )
    )
)
"""Potentials from negative to positive: ColorBrewer's RdBu, which every colour vision tells
apart."""
