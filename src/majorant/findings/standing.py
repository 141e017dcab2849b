"""Which peaks may stand in a headline, and why the others may not.

The strongest place of a map is a statement about the brain only if nothing plainer explains it: the
eyes, an electrode that speaks alone, the end of the window, the time before the event, noise, or
leakage of a stronger source.
"""

from __future__ import annotations

import numpy as np

from majorant.findings.blinks import eyes
from majorant.findings.evidence import Observed, percent
from majorant.findings.faint import level_needed
from majorant.findings.shadows import SHADOW
from majorant.words import number

__all__ = ["at_edge", "doubts"]


def doubts(e: Observed) -> tuple[str, ...]:
    """Why each peak is not to be the headline, as the end of a sentence; "" where nothing speaks.

    Returns
    -------
    tuple of str, one for each peak
        Such as ``"lies at the edge of the window"``.
    """
    probably = eyes(e)
    return tuple(
        _before(e, k)
        or ("is probably the eyes and not the cortex" if k in probably else "")
        or _lone(e, k)
        or ("lies at the edge of the window" if at_edge(e, k) else "")
        or _noise(e, k)
        or _shadow(e, k)
        for k in range(len(e.peaks))
    )


def at_edge(e: Observed, k: int) -> bool:
    """Whether a peak is but the end of the window, beyond which the activity may go on."""
    if len(e.times) < 3 or not e.window:
        return False
    return e.sample(e.peaks[k].time) in (0, len(e.times) - 1)


def _lone(e: Observed, k: int) -> str:
    """A peak that rests on an electrode that speaks alone, and that was to be believed."""
    if not e.below or not e.below[k]:
        return ""
    return f"lies below {e.below[k]}, which shows what no other electrode does"


def _shadow(e: Observed, k: int) -> str:
    """A peak that leakage of a stronger one makes."""
    share, of = e.leaked[k] if e.leaked else (0.0, 0)
    if share < SHADOW:
        return ""
    return f"may be the shadow of peak {of + 1}, whose leakage alone gives {percent(share)} of it"


def _before(e: Observed, k: int) -> str:
    """Only a window that ends before the event lists what lies before it."""
    events = e.window and e.prepared.epochs is not None
    return "lies before the event" if events and e.peaks[k].time < 0 else ""


def _noise(e: Observed, k: int) -> str:
    """Against noise at the sensors, and against what the deviation allows at this very place."""
    if e.prepared.noise_kind == "ad hoc":
        return ""
    peak = e.peaks[k]
    t = e.sample(peak.time)
    if float(e.white_rms[t]) < level_needed(e):
        return "does not stand out from noise"
    if e.uncertainty is None:
        return ""
    row = e.uncertainty.own[peak.location]
    deviation = float(row[t if len(row) > 1 else 0])
    needed = e.uncertainty.needed
    ratio = np.inf if deviation <= 0 else abs(peak.amplitude) / deviation
    if ratio >= needed:
        return ""
    what = "its deviation" if e.uncertainty.noise is None else e.uncertainty.measure
    return (
        f"does not stand out from noise ({number(float(ratio), 2)} times {what}, "
        f"{number(needed, 2)} are needed)"
    )
