"""Whether any source stands out from noise, in one sentence where none does.

Two tests, either of which is enough to say so. At the sensors: whitened data of noise alone have a
mean square of one, and its largest value over the window is known (chi-squared, Bonferroni over
times); a floor allows for a noise covariance that was estimated. On the map: the estimate over its
own deviation, against what noise reaches anywhere (:mod:`majorant.findings.uncertainty`), or two
where that is not known. Where a deviation is also of where a source is, what noise alone makes of
the estimate stands for it.
"""

from __future__ import annotations

import numpy as np
from scipy.special import chdtri

from majorant.findings.evidence import Observed
from majorant.findings.facts import SURE
from majorant.words import number

__all__ = ["faint", "level_needed", "noise_level", "strongest_ratio"]

ERROR = 0.05
"""Share of recordings of noise in which something seems to stand out."""


def faint(e: Observed) -> str | None:
    """Say that no source stands out from noise, and what was measured; None where one does."""
    if not e.peaks or e.prepared.noise_kind == "ad hoc":
        return None
    when, needed = e.peaks[0].time, level_needed(e)
    level = float(e.white_rms[e.sample(when)])
    if all(e.white_rms[e.sample(peak.time)] < needed for peak in e.peaks):
        return (
            f"No source stands out from noise: at {e.at(when)}, when the estimate is strongest, "
            f"the data are {level:.1f} times what noise alone would give, and {needed:.1f} times "
            "are needed. Places are not to be trusted; average more trials."
        )
    doubt = e.uncertainty
    if doubt is None:
        return None
    if doubt.noise is None and e.strongest < SURE:
        return (
            "No source stands out from noise: the estimate is nowhere more than "
            f"{number(e.strongest, 2)} times its {doubt.name}, so zero is not ruled out at any "
            "place. Average more trials."
        )
    if e.strongest >= doubt.needed:
        return None
    return (
        "No source stands out from noise: the estimate is nowhere more than "
        f"{number(e.strongest, 2)} times {doubt.measure}, and noise alone reaches "
        f"{number(doubt.needed, 2)}. Places are not to be trusted; average more trials."
    )


def level_needed(e: Observed) -> float:
    """Root mean square of the whitened data that noise alone does not reach at any time."""
    return max(e.settings.low_snr, noise_level(e.rank, len(e.times)))


def noise_level(rank: int, n_times: int) -> float:
    """The same without a floor: chi-squared of as many degrees as the rank, Bonferroni over times.

    Parameters
    ----------
    rank : int
        Of the whitened data; 0 where there are none, and nothing is asked for.
    n_times : int
    """
    return float(np.sqrt(chdtri(rank, ERROR / n_times) / rank)) if rank > 0 else 0.0


def strongest_ratio(values: np.ndarray, deviation: np.ndarray) -> float:
    """Largest ratio of an estimate and its deviation; where both are zero there is none."""
    ratio = np.abs(values) / np.where(deviation > 0, deviation, np.inf)
    return float(ratio.max(initial=0.0))
