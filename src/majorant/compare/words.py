"""What a comparison says in a sentence."""

from __future__ import annotations

import numpy as np

from majorant.atlas.gyri import gyri
from majorant.compare.agree import NEAR_MM, together
from majorant.compare.run import ComparedMoment, Comparison
from majorant.forward.cortex import lobe
from majorant.words import THIN, clock, instant, number

__all__ = ["headline", "listed", "site", "smallest_region"]


def headline(found: Comparison) -> tuple[str, str]:
    """Return who agrees where, and who does not.

    A strongest place that something speaks against agrees with nobody: it is named as such.
    """
    moment = found.moments[0]
    titles = [entry.title for entry in found.entries]
    when = instant(moment.time, clock(np.asarray(found.prepared.evoked.times)))
    if len(titles) == 1:
        return (
            f"At {when}, {titles[0]} puts the strongest activity in the {site(moment, 0)}"
            f"{_but(moment, 0)}.",
            "It is the only solver that fits these data, so there is nothing to compare it with.",
        )
    apart = moment.agreement.peaks.copy()
    doubted = [i for i, why in enumerate(moment.doubts) if why]
    apart[doubted], apart[:, doubted] = np.nan, np.nan
    group = together(apart)
    if len(group) < 2:
        own = "; ".join(f"{t}: {site(moment, i)}{_but(moment, i)}" for i, t in enumerate(titles))
        if len(doubted) == len(titles):
            first = f"At {when}, something speaks against the strongest activity of every solver."
        else:
            what = "activity that nothing speaks against" if doubted else "the strongest activity"
            first = (
                f"At {when}, no two solvers put {what} within {NEAR_MM:g}{THIN}mm of each other."
            )
        return first, f"{own}."
    own = [titles[i] for i in sorted(group)]
    where = site(moment, group[0])
    many = "all" if len(own) == len(titles) else "both" if len(own) == 2 else f"{len(own)}"
    first = (
        f"At {when}, {listed(own)} put the strongest activity within {NEAR_MM:g}{THIN}mm of one "
        f"place, in the {where}."
        if many != "all"
        else f"At {when}, all {len(own)} solvers put the strongest activity within "
        f"{NEAR_MM:g}{THIN}mm of one place, in the {where}."
    )
    rest = [i for i in range(len(titles)) if i not in group]
    others = [f"{titles[i]} {_away(moment, group[0], i)}" for i in rest]
    second = f"{'; '.join(others)}. " if others else ""
    return first, (
        f"{second}Agreement is no proof: solvers share the head, the data and many of their errors."
    )


def smallest_region(found: Comparison) -> str:
    """Say whose region of the leading peak is smallest; empty where none was asked for."""
    sizes = {e.title: e.region.area_cm2 for e in found.entries if e.region is not None}
    if not sizes:
        return ""
    said = ", ".join(f"{title} {number(max(size, 1.0), 2)} cm²" for title, size in sizes.items())
    if len(sizes) == 1:
        return f"Only one solver has a region: {said}."
    best = min(sizes, key=lambda title: sizes[title])
    return f"{best} says most surely where its leading source is. Regions: {said}."


def _away(moment: ComparedMoment, centre: int, other: int) -> str:
    distance = moment.agreement.peaks[centre, other]
    if not np.isfinite(distance):
        return "finds nothing then"
    where = f"{distance:.0f}{THIN}mm away, in the {site(moment, other)}"
    return f"puts it {where}{_but(moment, other)}"


def _but(moment: ComparedMoment, index: int) -> str:
    """What speaks against a solver's strongest place."""
    why = moment.doubts[index]
    return f", but that {why}" if why else ""


def site(moment: ComparedMoment, index: int) -> str:
    """Return side and gyrus of a solver's strongest location."""
    x, y, z = (float(v) for v in moment.peaks[index])
    if not np.isfinite(x):
        return "(nowhere)"
    known = gyri().name_of((x, y, z))
    if known:
        return known
    name = lobe((x, y, z))
    plain = {"frontal", "parietal", "temporal", "occipital"}
    noun = " lobe" if name in plain else "" if name == "insula" else " cortex"
    return f"{('left', 'right')[int(moment.vertices[index, 0])]} {name}{noun}"


def listed(names: list[str]) -> str:
    """Join names with commas and an "and"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
