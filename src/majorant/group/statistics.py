"""Tests over subjects: clusters over space and time, and effects by region.

Clusters are MNE's (`mne.stats.spatio_temporal_cluster_1samp_test`; Maris and Oostenveld 2007,
doi:10.1016/j.jneumeth.2007.03.024): signs of whole subjects are flipped, so that the chance of any
cluster under the null hypothesis is at most the level. What a small p says is that the conditions
differ, not that a cluster's borders in space or time are where the effect's are (Sassenhagen and
Draschkow 2019, doi:10.1111/psyp.13335).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_array
from scipy.spatial import KDTree
from scipy.stats import nct
from scipy.stats import t as student

from majorant.errors import MajorantError
from majorant.forward.graph import contract_edges, mesh_edges
from majorant.forward.template import template_surfaces
from majorant.randomness import takes_rng

__all__ = ["Cluster", "Effect", "adjacency", "clusters", "effects", "t_values"]

CHUNK = 250
"""Permutations that are made at once."""
HIGHEST = 1e6
"""Effect size up to which an interval is sought."""


@dataclass(frozen=True, eq=False)
class Cluster:
    """Neighbouring vertices and times at which subjects differ in the same direction.

    Attributes
    ----------
    p : float
        Corrected over all of space and time.
    mass : float
        Sum of its t values, with their sign.
    times, vertices : array of int
        Its points: samples, and rows of the estimate.
    peak : (int, int)
        Sample and row of its largest t.
    t : float
        There.
    """

    p: float
    mass: float
    times: NDArray[np.int64]
    vertices: NDArray[np.int64]
    peak: tuple[int, int]
    t: float


@dataclass(frozen=True)
class Effect:
    """The difference in one region, averaged over the window.

    Attributes
    ----------
    region : str
    mean : float
        Over subjects, in the unit of the estimate.
    t, p, q : float
        Student's t over subjects, two-sided p, and p after Benjamini and Hochberg over regions.
    d : float
        Cohen's d of differences: the mean over their standard deviation.
    low, high : float
        Its 95 % interval, by the noncentral t distribution.
    """

    region: str
    mean: float
    t: float
    p: float
    q: float
    d: float
    low: float
    high: float


def adjacency(vertices: Sequence[NDArray[np.int64]]) -> csr_array:
    """Which vertices of the template are neighbours, shape (n, n).

    The cells of the vertices on the sphere, each with all vertices of fsaverage5 that are nearest
    it, touch or do not.
    """
    surfaces, pairs, start = template_surfaces(), [], 0
    for side, own in enumerate(vertices):
        if len(own):
            sphere = surfaces.sphere[side].astype(np.float64)
            cells = KDTree(sphere[own]).query(sphere)[1]
            edges = mesh_edges(torch.from_numpy(surfaces.faces[side]).to(torch.int64))
            pairs.append(contract_edges(edges, torch.as_tensor(cells)).numpy() + start)
        start += len(own)
    both = np.concatenate([*pairs, *(pair[:, ::-1] for pair in pairs)])
    return csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(start, start))


def t_values(difference: NDArray[np.float64]) -> NDArray[np.float64]:
    """Student's t over subjects (the first axis); 0 where all subjects agree exactly."""
    spread = difference.std(axis=0, ddof=1) / np.sqrt(len(difference))
    return np.divide(difference.mean(axis=0), spread, out=np.zeros_like(spread), where=spread > 0)


Mapped = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Sequence[Any]]
"""Calls a function with each of some arguments, here or on a cluster, in their order."""


@takes_rng
def clusters(
    difference: NDArray[np.float64],
    neighbours: csr_array,
    *,
    level: float = 0.01,
    permutations: int = 1000,
    seed: int = 0,
    mapped: Mapped | None = None,
) -> list[Cluster]:
    """Find clusters over space and time, the most significant first.

    Parameters
    ----------
    difference : array, shape (n_subjects, n_times, n_vertices)
    neighbours : sparse array, shape (n_vertices, n_vertices)
    level : float
        Two-sided p of a single point above which it takes no part in a cluster. It sets what kind
        of effect is seen best, and not how often a null effect is called one.
    permutations : int
        Made in chunks of 250, each with a seed of its own, so that the result does not depend on
        where they are made.
    seed : int
    mapped : callable, optional
        Makes the chunks, at once where it can; None makes them here, one after the other.

    Raises
    ------
    MajorantError
        If level or permutations make no sense.
    """
    if not 0 < level < 1 or permutations < 100:
        raise MajorantError(
            f"the level is {level:g} and there are {permutations} permutations; expected a level "
            "between 0 and 1 and 100 permutations or more"
        )
    threshold = float(student.isf(level / 2, len(difference) - 1))
    # Few subjects allow fewer flips than were asked for: all are made then, at once.
    sizes = [permutations] if 2 ** (len(difference) - 1) <= permutations else _chunks(permutations)
    seeds = np.random.SeedSequence(seed).generate_state(len(sizes)).tolist()
    jobs = [
        (difference, neighbours, threshold, n, own) for n, own in zip(sizes, seeds, strict=True)
    ]
    parts = [_flipped(*job) for job in jobs] if mapped is None else mapped(_flipped, jobs)
    t, found, _ = parts[0]
    # The first of every chunk is the study as it is.
    largest = np.concatenate([parts[0][2], *(part[2][1:] for part in parts[1:])])
    made = []
    for samples, rows in found:
        own = t[samples, rows]
        chance = np.mean(largest >= abs(own.sum()) * (1 - 1e-9))
        best = int(np.abs(own).argmax())
        made.append(
            Cluster(
                p=float(chance),
                mass=float(own.sum()),
                times=np.asarray(samples),
                vertices=np.asarray(rows),
                peak=(int(samples[best]), int(rows[best])),
                t=float(own[best]),
            )
        )
    return sorted(made, key=lambda one: (one.p, -abs(one.mass)))


def _chunks(permutations: int) -> list[int]:
    """Sizes of chunks, each with the study as it is for one of its permutations."""
    rest, sizes = permutations - 1, []
    while rest > 0:
        sizes.append(min(CHUNK, rest) + 1)
        rest -= CHUNK
    return sizes


def _flipped(
    difference: NDArray[np.float64],
    neighbours: csr_array,
    threshold: float,
    permutations: int,
    seed: int,
) -> tuple[NDArray[np.float64], list[Any], NDArray[np.float64]]:
    """t values, clusters, and the largest mass under every flip, that of the study first."""
    from mne.stats import spatio_temporal_cluster_1samp_test
    from mne.utils import use_log_level

    whole: Any = {"buffer_size": None}
    with use_log_level("error"):
        t, found, _, largest = spatio_temporal_cluster_1samp_test(
            difference,
            threshold=threshold,
            n_permutations=permutations,
            adjacency=neighbours.tocoo(),
            seed=seed,
            out_type="indices",
            **whole,
        )
    return t, found, np.abs(np.asarray(largest))


def effects(values: NDArray[np.float64], names: Sequence[str]) -> list[Effect]:
    """Test every region, the smallest p first.

    Parameters
    ----------
    values : array, shape (n_subjects, n_regions)
        Differences.
    names : sequence of str
    """
    from mne.stats import fdr_correction

    n = len(values)
    t = t_values(values)
    p = 2 * student.sf(np.abs(t), n - 1)
    q = fdr_correction(p)[1]
    made = []
    for k, name in enumerate(names):
        low, high = _interval(float(t[k]), n)
        d = float(t[k]) / np.sqrt(n)
        made.append(
            Effect(name, float(values[:, k].mean()), float(t[k]), float(p[k]), float(q[k]), d, low,
                   high)
        )  # fmt: skip
    return sorted(made, key=lambda one: one.p)


def _interval(t: float, n: int) -> tuple[float, float]:
    """95 % interval of d: the noncentralities under which t is at the edges of likelihood."""
    found = []
    for tail in (0.975, 0.025):

        def above(shift: float, tail: float = tail) -> float:
            chance = float(nct.cdf(t, n - 1, shift))
            # Too far out to be computed, it is what it tends to.
            return (float(shift < t) if np.isnan(chance) else chance) - tail

        reach = 5.0 + 2 * abs(t)
        while reach < HIGHEST and not (above(-reach) > 0 > above(reach)):
            reach *= 2
        edge: Any = brentq(above, -reach, reach)
        found.append(float(edge) / np.sqrt(n))
    return found[0], found[1]
