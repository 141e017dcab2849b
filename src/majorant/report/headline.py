"""What the estimate says in words: its headline, and the units and places that are written."""

from __future__ import annotations

import numpy as np

from majorant.findings.facts import PageContent, Peak, SourceMaps
from majorant.words import THIN, Scaled, clock, instant, mni, nearest, percent

__all__ = ["headline", "place", "source_scale"]

SMALL_SHARE = 0.2
"""Share of the energy near the strongest peak below which the headline calls it one of many."""
_LOBES = {"frontal", "parietal", "temporal", "occipital"}
_PREFIXES = (("fAm", 1e15), ("pAm", 1e12), ("nAm", 1e9), ("µAm", 1e6), ("mAm", 1e3), ("Am", 1.0))


def source_scale(maps: SourceMaps, largest: float) -> Scaled:
    """Return the unit in which amplitudes up to `largest` (in the estimate's unit) are written."""
    if maps.unit != "Am":
        return Scaled(1.0, f"({maps.unit})", f"{maps.unit} statistic (no unit)")
    label, factor = "nAm", 1e9
    if largest > 0 and not 0.1 <= largest * factor < 1e4:
        fitting = [pair for pair in _PREFIXES if largest * pair[1] >= 1]
        label, factor = fitting[-1] if fitting else _PREFIXES[0]
    return Scaled(factor, label, f"Source amplitude ({label})")


def place(peak: Peak) -> str:
    """Return side and lobe in words."""
    noun = " lobe" if peak.lobe in _LOBES else "" if peak.lobe == "insula" else " cortex"
    return f"{peak.hemisphere} {peak.lobe}{noun}".strip()


def headline(content: PageContent) -> tuple[str, str]:
    """Return what the estimate says: one sentence, and how far it can be leaned on.

    Returns
    -------
    tuple of str
        Plain text, to be escaped.
    """
    if not content.peaks:
        zero = not np.any(content.sources.values)
        why = "the estimate is zero everywhere" if zero else "the estimate has no clear maximum"
        return f"Nothing stands out: {why}.", _explained(content)
    peak = content.peaks[0]
    unit = clock(content.times)
    scale = source_scale(content.sources, abs(peak.amplitude))
    first = (
        f"The strongest activity is at {instant(peak.time, unit)} in the {place(peak)} "
        f"(MNI {mni(peak.mni)}{THIN}mm): {scale.say(peak.amplitude)}."
    )
    if content.faint:
        head, _, rest = content.faint.partition(": ")
        return f"{head}.", f"{rest[:1].upper()}{rest[1:]}"
    explained = float(content.explained[nearest(content.times, peak.time)])
    alone = ", so it is one of many" if peak.share < SMALL_SHARE else ""
    rest = "; most of it remains unexplained" if explained < 0.5 else ""
    second = (
        f"{percent(peak.share)} of the estimate’s energy at that moment lies within 30{THIN}mm of "
        f"it{alone}. The estimate explains {percent(explained)} of the variance recorded "
        f"then{rest}."
    )
    return first, second


def _explained(content: PageContent) -> str:
    best = float(np.max(content.explained)) if len(content.explained) else 0.0
    if best <= 0:
        return "It explains nothing of the recorded variance."
    return f"At no moment does it explain more than {percent(best)} of the recorded variance."
