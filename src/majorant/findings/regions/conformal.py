"""Split conformal quantiles over trials that hold several scores each, for every third of depth.

**Theorem.** Let trials 1 to n + 1 be exchangeable, and let trial i hold scores ``s_i1 .. s_im`` of
its matched peaks (``m = m_i >= 1``, an own number for every trial). Let ``q`` be the smallest value
at which

    sum_i (1 / (n + 1)) (1 / m_i) #{j : s_ij <= q}  >=  c.

Then a peak drawn at random from those of trial n + 1 has a score of at most q with probability c or
more (infinity, if no value reaches c). With one score a trial this is split conformal prediction
(Vovk, Gammerman and Shafer, "Algorithmic learning in a random world", 2005; Lei et al., JASA
113:1094, 2018), and without ties at most ``c + 1 / (n + 1)``; with several it is Lee, Barber and
Willett, "Distribution-free inference with hierarchical data", 2023, theorem 1.

A region is the set of places whose score is at most q. Scores are thresholded by the third of depth
of the *place that is asked about* (label-conditional, Vovk et al. section 4.6): the theorem then
holds for the sources of every third by itself, deep ones included, for trials whose source lies
there are exchangeable among themselves. Where a third has too few trials the quantile of all
trials takes its place, or its own largest score where that is larger: of n trials with one score
each, that is the quantile of ``n / (n + 1)``, which is then all that is promised of the third.

The same read the other way round is a p-value: the mass of trials, the new one counted whole, whose
scores are not above a given one. Over new trials it is at most ``a`` with probability ``a`` or
less. With those of one class alone (sources that were found, or missed) the promise is one for
every class (Vovk, Lindsay, Nouretdinov and Gammerman, "Mondrian confidence machine", 2003).

What is exchangeable and what is not is said in docs/guarantees.md.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "p_values", "quantile", "thresholds"]

FEWEST = 11
"""Trials below which a third has no quantile of its own; nor has it where that is infinite. Of
eleven, the largest score is the quantile of .91."""

Array = NDArray[np.float64]
Index = NDArray[np.int64]


def quantile(scores: Array, trials: Index, coverage: float) -> float:
    """Return the quantile of the theorem.

    Parameters
    ----------
    scores : array, shape (n_scores,)
    trials : array, shape (n_scores,)
        Of which trial every score is.
    coverage : float
        Between 0 and 1.

    Returns
    -------
    float
        Infinity where there are too few trials.
    """
    _, own, counts = np.unique(trials, return_inverse=True, return_counts=True)
    n = len(counts)
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum((1.0 / counts[own])[order])
    # One mass for every trial, in units of 1 / (n + 1); rounding must not cost a whole score.
    enough = mass >= coverage * (n + 1) - 1e-9
    return float(scores[order][np.argmax(enough)]) if enough.any() else math.inf


def p_values(scores: Array, trials: Index, new: Array) -> Array:
    """Return how usual scores as low as some new ones are.

    Parameters
    ----------
    scores, trials : array, shape (n_scores,)
        Of one class, and of which trial every score is.
    new : array
        Any shape.

    Returns
    -------
    array, shape of ``new``
        Above 0; a score drawn from a new trial of this class has a value of at most ``a`` with
        probability ``a`` or less. 1 where there are no trials.
    """
    _, own, counts = np.unique(trials, return_inverse=True, return_counts=True)
    order = np.argsort(scores, kind="stable")
    mass = np.concatenate([[0.0], np.cumsum((1.0 / counts[own])[order])])
    below = mass[np.searchsorted(scores[order], new, side="right")]
    return (1.0 + below) / (len(counts) + 1)


def thresholds(
    scores: Array, trials: Index, groups: Index, coverage: float, n_groups: int = 3
) -> tuple[Array, NDArray[np.bool_]]:
    """Return the quantile of every group, and which have none of their own.

    Parameters
    ----------
    scores, trials : array, shape (n_scores,)
    groups : array, shape (n_scores,)
        From 0 to ``n_groups - 1``.
    coverage : float
    n_groups : int

    Returns
    -------
    limits : array, shape (n_groups,)
        Of all trials where a group has too few of its own, or its largest score if that is larger.
    pooled : array of bool, shape (n_groups,)
    """
    limits = np.full(n_groups, quantile(scores, trials, coverage))
    pooled = np.ones(n_groups, dtype=bool)
    for group in range(n_groups):
        own = groups == group
        few = len(np.unique(trials[own])) < FEWEST
        mine = math.inf if few else quantile(scores[own], trials[own], coverage)
        if math.isfinite(mine):
            limits[group], pooled[group] = mine, False
        else:
            limits[group] = max(limits[group], scores[own].max(initial=-math.inf))
    return limits, pooled
