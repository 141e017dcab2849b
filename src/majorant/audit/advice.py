"""What an audit says in words: the headline, and recommendations with their reasons.

Every sentence is computed: no recommendation is made that the intervals do not carry.
"""

from __future__ import annotations

from dataclasses import dataclass

from majorant.audit.summary import ERROR, Audit, Change, Estimate, Group
from majorant.registry import SOLVERS
from majorant.words import THIN, written

__all__ = ["Advice", "advice", "headline", "ranged"]

HALF = 50.0
LITTLE_MM = 1.0
"""A gain of less than this is called little."""

APART_MM, APART_PERCENT = 3.0, 10.0
"""Solvers are called alike where their difference is known to be smaller; error, and extent."""


@dataclass(frozen=True)
class Advice:
    """A recommendation.

    Attributes
    ----------
    what : str
        What to do, one sentence.
    why : str
        The numbers behind it.
    """

    what: str
    why: str


def ranged(found: Estimate, unit: str, spec: str = ".0f") -> str:
    """Return a mean with its interval and unit."""
    low, high = written(found.low, spec), written(found.high, spec)
    return f"{written(found.mean, spec)}{THIN}{unit} (95{THIN}% interval {low} to {high})"


def width(found: Estimate, unit: str) -> str:
    """Return how far a difference that includes zero is known."""
    most = max(abs(found.low), abs(found.high))
    return f"less than {written(most, '.1f')}{THIN}{unit} either way, with 95{THIN}% confidence"


def headline(audit: Audit) -> tuple[str, str]:
    """Return what the audit says: one sentence with its numbers, and its conditions."""
    best, own = audit.ranked()[0], audit.settings
    errors = audit.values(best)[:, ERROR]
    found = audit.share(errors)
    first = (
        f"With {audit.cap.n} electrodes at {decibels(audit.level)}, {title(best)} is expected to "
        f"place {own.extent:g}{THIN}cm² of active cortex within {own.goal:g}{THIN}mm in "
        f"{found.mean:.0f}{THIN}% of cases (95{THIN}% interval {found.low:.0f} to "
        f"{found.high:.0f})."
    )
    second = (
        f"Its mean localisation error is {ranged(audit.estimate(errors), 'mm')}. The decibels are "
        "those of a source at the place of median visibility; all sources are equally strong and "
        "the noise is the same for all, so hidden places have less."
    )
    return first, second


def advice(audit: Audit) -> tuple[Advice, ...]:
    """Return the recommendations, the most useful first."""
    best = audit.ranked()[0]
    found = [_solver(audit), _extent(audit), _more(audit, best), _enough(audit, best)]
    return tuple(entry for entry in (*found, _where(audit, best)) if entry is not None)


def title(solver: str) -> str:
    """Name of a solver in sentences."""
    return SOLVERS[solver].title


def decibels(level: float) -> str:
    """A level with its unit."""
    return f"{written(level, '.3g')}{THIN}dB"


def _solver(audit: Audit) -> Advice | None:
    """Which solver to find the place with."""
    ranked = audit.ranked()
    if len(ranked) == 1:
        return None
    best, rest = ranked[0], ranked[1:]
    equal = [other for other in rest if not audit.against(other, best).clear]
    error = audit.estimate(audit.values(best)[:, ERROR])
    if equal and not _narrow(audit.against(equal[0], best), APART_MM):
        return None  # too few patches to tell them apart, or to call them alike
    if equal:
        names = " and ".join(title(name) for name in (best, *equal))
        apart = audit.against(equal[0], best)
        return Advice(
            f"To find where, use {' or '.join(title(name) for name in (best, *equal))}.",
            f"At {decibels(audit.level)} the errors of {names} cannot be told apart: "
            f"{title(best)} is {ranged(error, 'mm')} off, and on the same patches "
            f"{title(equal[0])} differs by nothing that these simulations could show "
            f"({width(apart, 'mm')}).",
        )
    apart = audit.against(rest[0], best)
    return Advice(
        f"To find where, use {title(best)}.",
        f"At {decibels(audit.level)} it is {ranged(error, 'mm')} off. The next, {title(rest[0])}, "
        f"is farther by {ranged(apart, 'mm', '.1f')} on the same patches.",
    )


def _narrow(found: Estimate, most: float) -> bool:
    """Whether a difference is known to be small."""
    return max(abs(found.low), abs(found.high)) <= most


def _extent(audit: Audit) -> Advice | None:
    """Which solver to read the extent from."""
    shares = {s: audit.overlap(audit.values(s)) for s in audit.solvers}
    ranked = sorted(shares, key=lambda s: -shares[s].mean())
    best = ranked[0]
    found = audit.estimate(shares[best])
    own = f"{audit.settings.extent:g}{THIN}cm²"
    why = (
        f"Of the cortex that is in a patch of {own} or above half the estimate’s maximum, "
        f"{ranged(found, '%')} is in both with {title(best)}"
    )
    if found.high < HALF:
        best_of = ", the best at it" if len(ranked) > 1 else ""
        return Advice("Do not read the extent of activity off these maps.", f"{why}{best_of}.")
    if len(ranked) == 1:
        return Advice(f"{title(best)} shows about how far activity extends.", f"{why}.")
    other = ranked[1]
    apart = audit.estimate(shares[best] - shares[other])
    if not apart.clear and not _narrow(apart, APART_PERCENT):
        return None
    if not apart.clear:
        return Advice(
            f"To see how far activity extends, use {title(best)} or {title(other)}.",
            f"{why}; {title(other)} cannot be told from it ({width(apart, 'percentage points')}).",
        )
    return Advice(
        f"To see how far activity extends, use {title(best)}.",
        f"{why}; with the next, {title(other)}, less by {ranged(apart, 'percentage points')}.",
    )


def _more(audit: Audit, best: str) -> Advice | None:
    """Whether more electrodes or more trials are worth more; nothing where that is not known."""
    changes = {change.job.key: change for change in audit.changes(best)}
    trials = _trials(audit, best)
    larger = [n for n in audit.cap.sizes() if n > audit.cap.n]
    more = changes[f"electrodes-{min(larger)}"] if larger else None
    asked = [trials] if more is None else [trials, more]
    said = {change.job.key: _change(audit, best, change) for change in asked}
    helpful = sorted(filter(_helps, asked), key=lambda c: c.error_gain.mean)
    useless = [change for change in asked if _useless(change)]
    if not helpful:
        if not useless:
            return None
        why = _sentences([said[change.job.key] for change in useless])
        if len(useless) == 2:
            return Advice(
                f"Neither more trials nor more than {audit.cap.n} electrodes will help much at "
                f"{decibels(audit.level)}.",
                f"{why} What is left is owed to the head model and to the solver.",
            )
        if useless[0] is trials:
            return Advice("More trials will not help much.", why)
        return Advice(f"More than {audit.cap.n} electrodes will not help much.", why)
    known = [said[change.job.key] for change in asked if change in helpful or change in useless]
    why = _sentences(known)
    if helpful[0] is trials:
        if more is None or more not in useless + helpful:
            return Advice("Average more trials.", why)
        return Advice("Spend time on more trials rather than money on electrodes.", why)
    assert more is not None
    if trials in helpful or trials in useless:
        return Advice(
            f"Take more electrodes: {more.job.electrodes} are worth more than four times the "
            "trials.",
            why,
        )
    return Advice(f"Take more electrodes: {more.job.electrodes} instead of {audit.cap.n}.", why)


def _sentences(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _change(audit: Audit, best: str, change: Change) -> str:
    gain = ranged(change.error_gain, "mm", ".1f")
    if change.job.key.startswith("trials"):
        return f"four times as many trials (+6{THIN}dB) change the error of {title(best)} by {gain}"
    return (
        f"{audit.cap.called(change.job.electrodes)} instead of {audit.cap.n} change the error of "
        f"{title(best)} by {gain}"
    )


def _trials(audit: Audit, best: str) -> Change:
    """What four times the trials change."""
    return next(change for change in audit.changes(best) if change.job.key == "trials-4")


def _helps(change: Change) -> bool:
    """Whether a gain is certain, and not little."""
    return change.error_gain.high < 0 and change.error_gain.mean <= -LITTLE_MM


def _useless(change: Change) -> bool:
    """Whether it is certain that a gain, if there is any, is little."""
    return change.error_gain.low > -LITTLE_MM


def _enough(audit: Audit, best: str) -> Advice | None:
    """From which level on the error hardly falls."""
    levels = audit.settings.snr_levels
    if len(levels) == 1:
        return None
    errors = [audit.values(best, level=i)[:, ERROR] for i in range(len(levels))]
    left = [audit.estimate(e - errors[-1]) for e in errors]
    first = next(i for i, rest in enumerate(left) if rest.mean <= LITTLE_MM)
    # A level is advised where the one below it is certainly worse.
    if first == 0 or left[first - 1].low <= 0:
        return None
    falls = ", ".join(
        f"{e.mean():.0f} at {decibels(level)}" for e, level in zip(errors, levels, strict=True)
    )
    if first == len(levels) - 1 and audit.level == levels[-1] and not _helps(_trials(audit, best)):
        return Advice(
            f"Aim for {decibels(levels[-1])}; averaging n trials adds 10 log₁₀ n.",
            f"The error of {title(best)} falls up to there, and more trials than that bring "
            f"little: {falls} (mm).",
        )
    if first == len(levels) - 1:
        return Advice(
            f"Aim for {decibels(levels[-1])} or more; averaging n trials adds 10 log₁₀ n.",
            f"The error of {title(best)} still falls at the end of the range: {falls} (mm).",
        )
    return Advice(
        f"Aim for {decibels(levels[first])} or more; averaging n trials adds 10 log₁₀ n.",
        f"Beyond it the error of {title(best)} falls by less than {LITTLE_MM:g}{THIN}mm: {falls} "
        "(mm).",
    )


def _where(audit: Audit, best: str) -> Advice | None:
    """Which parts of the cortex a hypothesis should not rest on."""
    errors = audit.values(best)[:, ERROR]
    spoken = [g for g in audit.groups if g.kind in ("lobe", "depth") and g.enough]
    groups = [(g, audit.share(errors, g.rows)) for g in spoken]
    if not groups:
        return None
    poor = sorted(((g, e) for g, e in groups if e.high < HALF), key=lambda pair: pair[1].mean)
    goal = f"{audit.settings.goal:g}{THIN}mm"
    if not poor:
        worst, found = min(groups, key=lambda pair: pair[1].mean)
        if found.low < HALF:
            return None
        return Advice(
            "No lobe and no third of the depths is out of reach.",
            f"The worst is the {_place(worst)}, found within {goal} in {ranged(found, '%')} of "
            "cases.",
        )
    names = "; ".join(f"{_place(g)}: {ranged(e, '%')}" for g, e in poor)
    return Advice(
        f"Do not rest a hypothesis on the {', '.join(_place(g) for g, _ in poor)}.",
        f"There {title(best)} is within {goal} in fewer than half of the cases. {names}.",
    )


def _place(group: Group) -> str:
    if group.kind == "depth":
        return group.name.split(" (")[0]
    return group.name + (
        " lobe"
        if group.name in ("frontal", "parietal", "temporal", "occipital")
        else " cortex"
        if "/" in group.name
        else ""
    )
