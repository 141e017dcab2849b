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
    if equal:
        names = " and ".join(title(name) for name in (best, *equal))
        apart = audit.against(equal[0], best)
        return Advice(
            f"To find where, use {' or '.join(title(name) for name in (best, *equal))}.",
            f"At {decibels(audit.level)} the errors of {names} cannot be told apart: "
            f"{title(best)} is {ranged(error, 'mm')} off, and {title(equal[0])} farther by "
            f"{ranged(apart, 'mm', '.1f')} on the same patches.",
        )
    apart = audit.against(rest[0], best)
    return Advice(
        f"To find where, use {title(best)}.",
        f"At {decibels(audit.level)} it is {ranged(error, 'mm')} off. The next, {title(rest[0])}, "
        f"is farther by {ranged(apart, 'mm', '.1f')} on the same patches.",
    )


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
    choice = title(best) if apart.clear else f"{title(best)} or {title(other)}"
    less = ranged(apart, "percentage points")
    return Advice(
        f"To see how far activity extends, use {choice}.",
        f"{why}; with the next, {title(other)}, less by {less}.",
    )


def _more(audit: Audit, best: str) -> Advice | None:
    """Whether more electrodes or more trials are worth more."""
    changes = {change.job.key: change for change in audit.changes(best)}
    trials = _trials(audit, best)
    more = changes.get(f"electrodes-{2 * audit.cap.n}")
    said = f"four times as many trials (+6{THIN}dB) change the error of {title(best)} by " + ranged(
        trials.error_gain, "mm", ".1f"
    )
    if more is None:
        what = "Average more trials." if _helps(trials) else "More trials will not help much."
        return Advice(what, said[0].upper() + said[1:] + ".")
    why = (
        f"{said[0].upper()}{said[1:]}; {more.job.electrodes} electrodes instead of {audit.cap.n} "
        f"by {ranged(more.error_gain, 'mm', '.1f')}."
    )
    helpful = sorted(filter(_helps, (trials, more)), key=lambda c: c.error_gain.mean)
    if not helpful:
        return Advice(
            f"Neither more trials nor more than {audit.cap.n} electrodes will help much at "
            f"{decibels(audit.level)}.",
            f"{why} What is left is owed to the head model and to the solver.",
        )
    if helpful[0] is trials:
        return Advice("Spend time on more trials rather than money on electrodes.", why)
    return Advice(
        f"Take more electrodes: {more.job.electrodes} are worth more than four times the trials.",
        why,
    )


def _trials(audit: Audit, best: str) -> Change:
    """What four times the trials change."""
    return next(change for change in audit.changes(best) if change.job.key == "trials-4")


def _helps(change: Change) -> bool:
    """Whether a gain is certain, and not little."""
    return change.error_gain.high < 0 and change.error_gain.mean <= -LITTLE_MM


def _enough(audit: Audit, best: str) -> Advice | None:
    """From which level on the error hardly falls."""
    levels = audit.settings.snr_levels
    if len(levels) == 1:
        return None
    errors = [audit.values(best, level=i)[:, ERROR] for i in range(len(levels))]
    last = errors[-1].mean()
    first = next(i for i, e in enumerate(errors) if e.mean() - last <= LITTLE_MM)
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
    spoken = [g for g in audit.groups if g.kind != "all" and g.enough]
    groups = [(g, audit.share(errors, g.rows)) for g in spoken]
    if not groups:
        return None
    poor = sorted(((g, e) for g, e in groups if e.mean < HALF), key=lambda pair: pair[1].mean)
    goal = f"{audit.settings.goal:g}{THIN}mm"
    if not poor:
        worst, found = min(groups, key=lambda pair: pair[1].mean)
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
