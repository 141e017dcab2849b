"""Which score makes the smallest regions: lengths and powers of the density, and plain rivals.

Trials of the training part, 64 electrodes, -2 to 12 dB; thresholds of one half are judged on the
other half, so that a score is not rewarded for its luck. Region of the strongest peak, thresholds
by third of depth.

    python -m benchmarks.region_scores sloreta 300
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.regions import cap_info
from majorant import SourceImager
from majorant.findings.regions.conformal import thresholds
from majorant.findings.regions.scores import Density, ranks
from majorant.findings.regions.simulated import CalibratedCortex, Simulated, Window
from majorant.metrics.peaks import list_peaks
from majorant.simulate.everyday.trials import drawn_trials, with_noise

LENGTHS, POWERS = (6.0, 8.0, 12.0, 20.0), (0.0, 0.5, 1.0, 2.0, 4.0)
Score = Callable[[Any, int], Any]


def scores(cortex: CalibratedCortex) -> dict[str, Score]:
    """All scores by name: of the magnitude of a map and the location of its peak."""
    places, area = cortex.places.mni, cortex.area

    def distance(size: Any, peak: int) -> Any:
        return np.linalg.norm(places - places[peak], axis=1)

    def rank(size: Any, peak: int) -> Any:
        return ranks(size, peak, places, area, Density(1e9, 1.0))

    def made(density: Density) -> Score:
        return lambda size, peak: ranks(size, peak, places, area, density)

    grid = {
        f"{length:g} mm, power {power:g}": made(Density(length, power))
        for length in LENGTHS
        for power in POWERS
    }
    return {"distance": distance, "height": rank, **grid}


def main(solver: str, n: int) -> None:
    """Print coverage and area of every score."""
    torch.set_num_threads(1)
    imager = SourceImager(solver).fit(cap_info("64"))
    own, window = Simulated.of(imager, 1), Window(60, 10, 100.0, 5.0)
    drawn = drawn_trials(own.bank, n, 1)
    trials = with_noise(
        drawn, own.rows, n_times=60, sfreq=100.0, snr_db=(-2.0, 12.0), seed=1, before=10
    )
    cortex, kept = own.cortex, []
    for k, values in enumerate(own.estimates(trials.y, window.sfreq)):
        peaks = list_peaks(values, window.times, cortex.places.mni, cortex.places.edges)
        sources = cortex.home[trials.seeds[k][trials.seeds[k] >= 0].numpy()]
        s, t = peaks[0]
        away = np.linalg.norm(cortex.places.mni[sources] - cortex.places.mni[s], axis=1)
        kept.append((np.abs(values[:, t]).astype(float), s, int(sources[away.argmin()])))
    print("| score | covered | by third of depth | median cm2 | mean |\n|---|---|---|---|---|")
    for name, score in scores(cortex).items():
        print(f"| {name} | {_row(cortex, [(score(m, s), at) for m, s, at in kept])} |", flush=True)


def _row(cortex: CalibratedCortex, scored: list[tuple[Any, int]]) -> str:
    own = np.array([score[at] for score, at in scored])
    third = np.array([cortex.third[at] for _, at in scored])
    hit, area, number = np.zeros(len(own), bool), np.zeros(len(own)), np.arange(len(own))
    for half in (0, 1):
        know, new = number % 2 == half, number % 2 != half
        limits, _ = thresholds(own[know], number[know], third[know], 0.9)
        for k in number[new]:
            inside = scored[k][0] <= limits[cortex.third]
            hit[k], area[k] = inside[scored[k][1]], cortex.area[inside].sum()
    thirds = " ".join(f"{hit[third == k].mean():.2f}" for k in range(3))
    return f"{hit.mean():.2f} | {thirds} | {np.median(area):.0f} | {area.mean():.0f}"


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sloreta", int((*sys.argv, 300)[2]))
