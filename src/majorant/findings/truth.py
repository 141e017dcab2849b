"""How far an estimate is from what was simulated: the same figures for page, summary, terminal.

A source lies between the locations of the estimate's mesh, so that even the nearest one is some
millimetres away; distances are from the source itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from majorant.findings.facts import Findings

__all__ = ["FoundSource", "against_truth", "truth_errors"]


@dataclass(frozen=True)
class FoundSource:
    """What the estimate has for a simulated source.

    Attributes
    ----------
    peak : int or None
        The listed peak nearest to it in space, from 0; None where no peak is listed.
    peak_mm, late_ms : float
        How far that peak is, and how much later; NaN without one.
    map_mm : float
        How far the maximum of the map over the whole cortex is at the source's own time.
    """

    peak: int | None
    peak_mm: float
    late_ms: float
    map_mm: float


def against_truth(content: Findings) -> tuple[FoundSource, ...]:
    """Compare the estimate with every simulated source, in the order of `content.truth`."""
    found = []
    for source in content.truth:
        sample = int(np.abs(content.times - source.time).argmin())
        top = int(np.abs(content.sources.values[:, sample]).argmax())
        map_mm = float(np.linalg.norm(content.sources.positions_mni[top] - source.mni))
        if not content.peaks:
            found.append(FoundSource(None, np.nan, np.nan, map_mm))
            continue
        away = [float(np.linalg.norm(np.subtract(p.mni, source.mni))) for p in content.peaks]
        best = int(np.argmin(away))
        late = round(1e3 * (content.peaks[best].time - source.time), 3)
        found.append(FoundSource(best, away[best], late, map_mm))
    return tuple(found)


def truth_errors(content: Findings) -> dict[str, float]:
    """Return the figures of :func:`against_truth` by name, with their units."""
    errors: dict[str, float] = {}
    for k, found in enumerate(against_truth(content), 1):
        if found.peak is not None:
            errors[f"source {k}: nearest peak away, mm"] = found.peak_mm
            errors[f"source {k}: nearest peak later by, ms"] = found.late_ms
        errors[f"source {k}: maximum of the map away, mm"] = found.map_mm
    return errors
