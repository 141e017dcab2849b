"""What the estimate says in words: its headline, and the units and places that are written."""

from __future__ import annotations

import numpy as np

from majorant.findings.facts import Findings, Peak, SourceMaps
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
    """Return side and place in words, or side and lobe where the place has no name."""
    if peak.name:
        return f"{peak.hemisphere} {peak.name}"
    noun = " lobe" if peak.lobe in _LOBES else "" if peak.lobe == "insula" else " cortex"
    return f"{peak.hemisphere} {peak.lobe}{noun}".strip()


def headline(content: Findings) -> tuple[str, str]:
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
    if content.faint:
        head, _, rest = content.faint.partition(": ")
        return f"{head}.", f"{rest[:1].upper()}{rest[1:]}"
    unit, k = clock(content.times), content.leading
    if k is None:
        return _doubted(content)
    peak = content.peaks[k]
    scale = source_scale(content.sources, abs(peak.amplitude))
    trusted = "" if k == 0 else " that may be a source"
    first = (
        f"The strongest activity{trusted} is at {instant(peak.time, unit)} in the {place(peak)} "
        f"(MNI {mni(peak.mni)}{THIN}mm): {scale.say(peak.amplitude)}."
    )
    explained = float(content.explained[nearest(content.times, peak.time)])
    alone = ", so it is one of many" if peak.share < SMALL_SHARE else ""
    rest = "; most of it remains unexplained" if explained < 0.5 else ""
    second = (
        f"{percent(peak.share)} of the estimate’s energy at that moment lies within 30{THIN}mm of "
        f"it{alone}. The estimate explains {percent(explained)} of the variance recorded "
        f"then{rest}."
    )
    return first, f"{second}{_stronger(content, k)}"


def _stronger(content: Findings, k: int) -> str:
    """What is stronger than the headline, and why it is not in it."""
    if k == 0:
        return ""
    peak, unit = content.peaks[0], clock(content.times)
    more = f" (and {k - 1} more)" if k > 1 else ""
    return (
        f" The map is stronger at {instant(peak.time, unit)} in the {place(peak)}{more}, but that "
        f"{content.doubts[0]}."
    )


def _doubted(content: Findings) -> tuple[str, str]:
    """The headline where something speaks against every peak."""
    peak, unit, n = content.peaks[0], clock(content.times), len(content.peaks)
    first = (
        "Nothing here can be taken for a source: the strongest activity, at "
        f"{instant(peak.time, unit)} in the {place(peak)}, {content.doubts[0]}."
    )
    if n == 1:
        return first, _explained(content)
    each = "the other peak" if n == 2 else f"each of the other {n - 1} peaks"
    return first, f"Something speaks against {each} as well: the table of peaks says what."


def _explained(content: Findings) -> str:
    best = float(np.max(content.explained)) if len(content.explained) else 0.0
    if best <= 0:
        return "It explains nothing of the recorded variance."
    return f"At no moment does it explain more than {percent(best)} of the recorded variance."
