"""Which cap suffices: the fewest electrodes known to be about as good as any larger cap tried.

A cap *suffices* where the error of the audit's best solver, on the same patches with the same
noise, is known (95 %) to be within 3 mm of that of every larger cap. It says nothing of whether any
of them is good enough for a study; shares within the goal do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.audit.advice import APART_MM, Advice, decibels, ranged, title
from majorant.audit.cap import Cap
from majorant.audit.jobs import AuditJob
from majorant.audit.settings import AuditSettings
from majorant.audit.summary import ERROR, Audit, Estimate, averaged, resampled, shared
from majorant.words import THIN

__all__ = ["CapLine", "Sufficing", "cap_line", "which_suffices"]


@dataclass(frozen=True)
class CapLine:
    """What one cap gives, as soon as it is known.

    Attributes
    ----------
    electrodes : int
    called : str
        The cap in words.
    level : float
        dB.
    errors, within : mapping
        By solver, the smallest error first: mm, and share found within the goal, %.
    """

    electrodes: int
    called: str
    level: float
    errors: Mapping[str, Estimate]
    within: Mapping[str, Estimate]

    def cells(self) -> list[str]:
        """The line in words: the cap, and each solver."""
        return [
            f"{self.called}, {decibels(self.level)}",
            *(
                f"{title(name)} {error.mean:.0f}{THIN}mm ({error.low:.0f} to {error.high:.0f}), "
                f"{self.within[name].mean:.0f}{THIN}% found"
                for name, error in self.errors.items()
            ),
        ]


def cap_line(
    settings: AuditSettings, cap: Cap, job: AuditJob, scores: Mapping[str, NDArray[np.float64]]
) -> CapLine:
    """Say what a cap gives at the level that the audit speaks of.

    Parameters
    ----------
    settings : AuditSettings
    cap : Cap
    job : AuditJob
    scores : mapping
        By solver, (n_levels, n_patches, 3).
    """
    at = settings.planning if len(job.levels) > 1 else 0
    errors = {name: found[at][:, ERROR] for name, found in scores.items()}
    ranked = sorted(errors, key=lambda name: errors[name].mean())
    counts = resampled(settings.seed, settings.n)[:, : job.n]
    return CapLine(
        job.electrodes,
        cap.called(job.electrodes),
        job.levels[at],
        {name: averaged(counts, errors[name]) for name in ranked},
        {name: shared(errors[name], settings.goal) for name in ranked},
    )


@dataclass(frozen=True)
class Sufficing:
    """Which cap suffices.

    Attributes
    ----------
    electrodes : int or None
        Of that cap; None where none is known to.
    solver : str
        By which it is judged: the one with the smallest error in this audit.
    advice : Advice
        The answer, and the numbers behind it.
    caps : tuple of (int, Estimate, Estimate)
        Electrodes, error in mm, share found within the goal in %; on the same patches.
    """

    electrodes: int | None
    solver: str
    advice: Advice
    caps: tuple[tuple[int, Estimate, Estimate], ...]

    def record(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "electrodes": self.electrodes,
            "solver": self.solver,
            "answer": self.advice.what,
            "why": self.advice.why,
            "within_mm": APART_MM,
            "caps": [
                {"electrodes": n, "error": asdict(error), "within": asdict(within)}
                for n, error, within in self.caps
            ],
        }


def which_suffices(audit: Audit) -> Sufficing:
    """Answer by the caps of an audit: the audited one, half, twice and four times as many."""
    best = audit.ranked()[0]
    errors = _errors(audit, best)
    sizes = sorted(errors)
    caps = tuple(
        (n, audit.estimate(errors[n]), shared(errors[n], audit.settings.goal)) for n in sizes
    )
    enough = None
    for n in sizes[:-1]:
        more = [audit.estimate(errors[n] - errors[larger]) for larger in sizes if larger > n]
        if max(found.high for found in more) < APART_MM:
            enough = n
            break
    return Sufficing(enough, best, _answer(audit, best, errors, enough), caps)


def _errors(audit: Audit, solver: str) -> dict[int, NDArray[np.float64]]:
    """Errors on the same patches, by number of electrodes."""
    other = [job for job in audit.jobs[1:] if job.trials == 1]
    n = min((job.n for job in other), default=audit.settings.n)
    found = {audit.cap.n: audit.values(solver)[:n, ERROR]}
    for job in other:
        found[job.electrodes] = audit.values(solver, job.key)[:n, ERROR]
    return found


def _answer(
    audit: Audit, solver: str, errors: Mapping[int, NDArray[np.float64]], enough: int | None
) -> Advice:
    sizes, asked = sorted(errors), "Which cap suffices:"
    if len(sizes) == 1:
        return Advice(
            f"{asked} no other cap could be tried.",
            f"{sizes[0]} electrodes are the only ones there are; take a montage with more places.",
        )
    called = audit.cap.called
    tried = f"{', '.join(map(called, sizes[:-1]))} and {called(sizes[-1])}"
    who, level = title(solver), decibels(audit.level)
    within = f"{APART_MM:g}{THIN}mm"
    if enough is None:
        gain = audit.estimate(errors[sizes[-2]] - errors[sizes[-1]])
        return Advice(
            f"{asked} none of those tried is known to.",
            f"Of {tried}, none but the largest is known to be within {within} of every larger one "
            f"at {level}. With {sizes[-1]} instead of {sizes[-2]} electrodes the error of {who} "
            f"falls by {ranged(gain, 'mm', '.1f')}, so more may help still; more patches (--n) "
            "tell more.",
        )
    error = audit.estimate(errors[enough])
    gain = audit.estimate(errors[enough] - errors[sizes[-1]])
    return Advice(
        f"{asked} {called(enough)}.",
        f"Of {tried}, these are the fewest whose error is known to be within {within} of that of "
        f"every larger cap at {level}: with {who} {ranged(error, 'mm')}, which is "
        f"{ranged(gain, 'mm', '.1f')} more than with {sizes[-1]}.",
    )
