"""Numbers and times as people read them, and text from outside made safe to show."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Scaled",
    "calm",
    "clock",
    "escape",
    "file_labels",
    "instant",
    "mni",
    "nearest",
    "number",
    "percent",
    "written",
]

THIN = "\u202f"
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Scaled:
    """A unit for reading: multiply by `factor`, write `label` behind (or along the axis).

    Attributes
    ----------
    factor : float
    label : str
        Unit as written behind a number.
    axis : str
        Quantity and unit as written along an axis or over a column.
    """

    factor: float
    label: str
    axis: str

    def say(self, value: float) -> str:
        """Return the value with its unit."""
        return f"{number(value * self.factor)}{THIN}{self.label}"


def escape(text: Any) -> str:
    """Return text from outside, safe within HTML: escaped, without control or bidi characters."""
    return html.escape(calm(text), quote=True)


def calm(text: Any) -> str:
    """Return text from outside without control or bidi characters; not escaped."""
    text = str(text)
    return text if text.isprintable() else "".join(_calm(c) for c in text)


def _calm(character: str) -> str:
    """Return a space for any blank, a question mark for what steers instead of showing."""
    if character.isspace():
        return character if character in (THIN, "\u00a0") else " "
    return character if character.isprintable() else "\ufffd"


def number(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits and a true minus sign."""
    if not math.isfinite(value):
        return "not finite"
    if value == 0:
        return "0"
    # Rounding may carry into the next place: 0.996 with two digits is 1.0, as 1.01 is.
    size = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if size >= max(5, digits) or size < -3:
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa} × 10{str(int(power)).translate(_RAISED)}".replace("-", "−")
    return f"{value:.{max(0, digits - 1 - size)}f}".replace("-", "−")


def written(value: float, spec: str = ".3g") -> str:
    """Return a number formatted for a sentence: with a true minus sign, and no minus zero."""
    shown = format(value, spec)
    if "e" in shown and math.isfinite(value):
        return number(value, int(spec.strip(".eg") or 3))
    return shown.removeprefix("-") if float(shown) == 0 else shown.replace("-", "−")


def percent(share: float) -> str:
    """Return a share of 0 to 1 in percent; never rounds up to all or down to nothing."""
    if 0 < share < 0.005:
        return f"less than 1{THIN}%"
    if 0.995 <= share < 1:
        return f"over 99{THIN}%"
    return f"{100 * share:.0f}{THIN}%"


def clock(times: NDArray[np.floating]) -> Scaled:
    """Return the unit of a time axis: milliseconds, or seconds where it is long."""
    span = float(np.ptp(times)) if len(times) else 0.0
    if span > 10 or (len(times) and float(np.abs(times).max()) > 100):
        return Scaled(1.0, "s", "Time (s)")
    return Scaled(1e3, "ms", "Time (ms)")


def instant(time: float, unit: Scaled) -> str:
    """Return a time with its unit, to the millisecond."""
    spec = ".0f" if unit.label == "ms" else ".3f"
    return f"{written(time * unit.factor, spec)}{THIN}{unit.label}"


def nearest(times: NDArray[np.floating], time: float) -> int:
    """Return the index of the sample nearest a time."""
    return int(np.abs(np.asarray(times) - time).argmin())


def mni(position: tuple[float, float, float]) -> str:
    """Return MNI coordinates, whole millimetres."""
    return ", ".join(written(v, ".0f") for v in position)


def file_labels(names: Sequence[str]) -> list[str]:
    """Names as they may stand in those of files, no two alike whatever their case.

    Parameters
    ----------
    names : sequence of str
        Of conditions, events or solvers; untrusted.
    """
    labels: list[str] = []
    for name in names:
        plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40].strip("-") or "condition"
        label, k = plain, 1
        while label.casefold() in {other.casefold() for other in labels}:
            k += 1
            label = f"{plain}-{k}"
        labels.append(label)
    return labels
