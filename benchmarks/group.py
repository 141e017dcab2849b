"""A group of subjects: how often a null effect is called one, and how long 12 subjects take.

``python -m benchmarks.group null [200]`` and ``python -m benchmarks.group time``. Subjects differ
in their level and in smooth noise over space and time; the truth is planted on the maps themselves,
so that the statistics are measured and not the solver.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from majorant.atlas.gyri import gyri
from majorant.group.load import StudyEstimates
from majorant.group.run import analyse
from majorant.group.statistics import adjacency, clusters

SUBJECTS, STEPS = 12, 4


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], mean: csr_array
) -> NDArray[np.float64]:
    """White noise, averaged over neighbours and over neighbouring samples some times."""
    values = rng.standard_normal(shape)
    for _ in range(STEPS):
        values = (mean @ values.reshape(-1, shape[-1]).T).T.reshape(shape)
        values = (values + np.roll(values, 1, axis=-2) + np.roll(values, -1, axis=-2)) / 3
    return values / values.std()


def averaging(neighbours: csr_array) -> csr_array:
    """The mean over a vertex and its neighbours, as a matrix."""
    own = neighbours + diags_array(np.ones(neighbours.shape[0]))
    return csr_array(diags_array(1 / np.asarray(own.sum(axis=1)).ravel()) @ own)


def null(repetitions: int) -> None:
    """Count how often clusters at p < 0.05 are found where there is nothing."""
    used = np.arange(642)
    neighbours = adjacency((used, used))
    mean, rng, hits = averaging(neighbours), np.random.default_rng(0), 0
    for k in range(repetitions):
        difference = smooth_noise(rng, (SUBJECTS, 10, 1284), mean)
        found = clusters(difference, neighbours, permutations=200, seed=k)
        hits += bool(found) and found[0].p < 0.05
    error = np.sqrt(hits / repetitions * (1 - hits / repetitions) / repetitions)
    print(f"false alarms: {hits} of {repetitions} = {hits / repetitions:.3f} ± {error:.3f}")


def timed() -> None:
    """Time the analysis of 12 subjects, two conditions, 5,124 vertices and 60 samples."""
    used = np.arange(2562)
    rng, mean = np.random.default_rng(0), averaging(adjacency((used, used)))
    data = smooth_noise(rng, (SUBJECTS, 2, 60, 5124), mean)
    data += 5 + rng.standard_normal((SUBJECTS, 1, 1, 1))
    place = np.flatnonzero(gyri().tables[0][used] == gyri().names.index("angular gyrus"))
    data[np.ix_(range(SUBJECTS), [0], range(30, 40), place)] += 2.0
    names = tuple(f"{k:02d}" for k in range(SUBJECTS))
    times = 0.01 * np.arange(-10, 50)
    study = StudyEstimates(names, ("a", "b"), data, times, (used, used), "dSPM", "dspm")
    start, wall = time.process_time(), time.perf_counter()
    result = analyse(study, gyri())
    print(result.headline)
    print(f"processor {time.process_time() - start:.1f} s, wall {time.perf_counter() - wall:.1f} s")


if __name__ == "__main__":
    if sys.argv[1:2] == ["null"]:
        null(int(sys.argv[2]) if len(sys.argv) > 2 else 200)
    elif sys.argv[1:] == ["time"]:
        timed()
    else:
        sys.exit(__doc__)
