"""Line plots as inline SVG that take their colours from the page.

matplotlib draws with stand-in colours; they become CSS variables, so that one drawing serves light,
dark and print. Text stays text, in the reader's own font.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from majorant.words import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOUR", "SERIES", "WIDTH", "drawing", "plain", "tidy", "to_svg"]

_NAMES = ("ink", "muted", "grid", "mark", "s1", "s2", "s3", "s4", "s5", "s6")
COLOUR: Mapping[str, str] = {name: f"#0102{i + 16:02x}" for i, name in enumerate(_NAMES)}
"""Stand-ins of the page's colours, by the name of their CSS variable."""
SERIES = tuple(COLOUR[f"s{i}"] for i in range(1, 7))
WIDTH = 10.8
"""Inches of a full-width figure: 72 units of SVG each, so that 9 units of type read as 12 px."""

_FONTS = re.compile(r"'DejaVu Sans'[^;\"]*sans-serif")
_PATH = re.compile(r'(?<= d=")[^"]+')
_DECIMALS = re.compile(r"(-?\d+\.\d+)")
_IDENTIFIER = re.compile(r"(\bid=\"|url\(#|href=\"#)")
_PARTS: dict[Any, Any] = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": COLOUR["muted"],
    "axes.labelcolor": COLOUR["ink"],
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": COLOUR["grid"],
    "grid.linewidth": 0.6,
    "text.color": COLOUR["ink"],
    "xtick.color": COLOUR["muted"],
    "ytick.color": COLOUR["muted"],
    "xtick.labelcolor": COLOUR["ink"],
    "ytick.labelcolor": COLOUR["ink"],
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "font.size": 9,
    "axes.labelsize": 9,
    "lines.linewidth": 1.4,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "figure.dpi": 72,
    "savefig.dpi": 200,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Draw with matplotlib's defaults and the page's look, whatever the user's settings are."""
    import matplotlib
    import matplotlib.style

    with matplotlib.style.context("default"), matplotlib.rc_context(_PARTS):
        yield


def to_svg(figure: Figure, key: str, alt: str, titles: Mapping[str, str] | None = None) -> str:
    """Write a figure as an SVG element for a page.

    Parameters
    ----------
    figure : Figure
        Drawn within :func:`drawing`.
    key : str
        Prefix of all its identifiers, unique on the page.
    alt : str
        What a reader who does not see it is told; plain text.
    titles : mapping, optional
        Identifier of a group (``set_gid``) to the text shown when the pointer rests on it.
    """
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return tidy(buffer.getvalue(), key, alt, titles or {})


def tidy(text: str, key: str, alt: str, titles: Mapping[str, str]) -> str:
    """Return matplotlib's SVG small, coloured by CSS variables, and fit to stand in a page."""
    body = text[text.index("<svg") :]
    head, body = body.split(">", 1)
    box = re.search(r'viewBox="([^"]+)"', head)
    assert box is not None
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    pictures: list[str] = []

    def keep(match: re.Match[str]) -> str:
        pictures.append(re.sub(r"\s", "", match[0]))
        return f"@picture{len(pictures) - 1}@"

    body = re.sub(r"data:image/png;base64,[^\"]+", keep, body)
    body = re.sub(r"\s+", " ", body)
    body = re.sub(r"> <", "><", body)
    body = _PATH.sub(lambda path: _tenths(path[0]), body)
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body)
    body = _FONTS.sub("var(--sans)", body)
    for name, code in COLOUR.items():
        body = body.replace(code, f"var(--{name})")
    for group, title in titles.items():
        opening = f'<g id="{group}">'
        body = body.replace(opening, f"{opening}<title>{escape(title)}</title>", 1)
    body = _IDENTIFIER.sub(rf"\g<1>{key}-", body)
    for i, picture in enumerate(pictures):
        body = body.replace(f"@picture{i}@", picture)
    label = escape(alt)
    return f'<svg viewBox="{box[1]}" role="img" aria-label="{label}">{body}'.strip()


def _tenths(path: str) -> str:
    """Round to a tenth of a unit, an eighth of a pixel at full width."""
    parts = _DECIMALS.split(path)
    parts[1::2] = [f"{float(number):.1f}".removesuffix(".0") for number in parts[1::2]]
    return "".join(parts)


def plain(axes: Axes) -> None:
    """Take everything but the content off axes."""
    axes.set_axis_off()
    axes.grid(False)
