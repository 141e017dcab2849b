"""Marks on pictures of the cortex: rings for peaks, crosses for simulated sources, dots for lone
locations. White on black, so that they show on any colour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

__all__ = ["PALE", "WHITE", "Mark", "bold", "draw_marks"]

WHITE, BLACK = "#ffffff", "#000000"
PALE = "#9aa2aa"
"""Of a peak that something speaks against."""
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mark:
    """A place to point out.

    Attributes
    ----------
    hemisphere, vertex : int
    kind : {"peak", "truth", "dot"}
        A ring, a cross, or a filled dot.
    label : str
        A short text beside the mark.
    colour : str
        Of a dot or a ring, as ``#rrggbb``.
    """

    hemisphere: int
    vertex: int
    kind: Literal["peak", "truth", "dot"] = "peak"
    label: str = ""
    colour: str = WHITE


def draw_marks(
    image: Image.Image, marks: Iterable[tuple[Mark, tuple[float, float]]], radius: float
) -> None:
    """Draw marks at pixel positions; `radius`, in pixels, is that of a ring."""
    pen, font = ImageDraw.Draw(image), bold(round(1.7 * radius))
    for mark, (x, y) in marks:
        if mark.kind == "dot":
            pen.ellipse(_box(x, y, 0.62 * radius), BLACK)
            pen.ellipse(_box(x, y, 0.46 * radius), mark.colour)
        elif mark.kind == "truth":
            for colour, stroke in ((BLACK, 0.62 * radius), (WHITE, 0.28 * radius)):
                arm = 0.55 * radius + stroke / 4
                for slope in (-1, 1):
                    ends = (x - arm, y - slope * arm, x + arm, y + slope * arm)
                    pen.line(ends, fill=colour, width=round(stroke))
        else:
            for colour, stroke in ((BLACK, 0.5 * radius), (mark.colour, 0.2 * radius)):
                box = _box(x, y, radius + stroke / 2)
                pen.ellipse(box, outline=colour, width=max(round(stroke), 1))
        aside = 1.4 * radius if x < image.width - 4 * radius else -1.4 * radius
        pen.text(
            (x + aside, max(0.0, y - 2.2 * radius)),
            mark.label,
            anchor="la" if aside > 0 else "ra",
            font=font,
            fill=WHITE if mark.kind == "dot" else mark.colour,
            stroke_width=round(0.22 * radius),
            stroke_fill=BLACK,
        )


def _box(x: float, y: float, radius: float) -> Box:
    return x - radius, y - radius, x + radius, y + radius


@cache
def bold(size: int) -> ImageFont.FreeTypeFont:
    """Return the bold sans that matplotlib carries, of a size in pixels."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
    return ImageFont.truetype(str(path), size)
