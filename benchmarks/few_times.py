"""The unfolded solver on few samples, noise unknown, beside a gamma map that is told the noise.

``python -m benchmarks.few_times 5 10 20 50 --n 40`` takes the published test (5 to 20 patches, 0 to
20 dB, uneven sensors, a head that no solver knows) at every number of samples, and prints means
and the paired difference of the earth mover's distance from the reference, with a 95 % interval:
in mm, and as a share of the reference's. The reference is converged, and gets each sample whitened
by its own true noise; the others learn the noise.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from majorant.bench.sbl_methods import dense_map
from majorant.head import sparse
from majorant.metrics.localisation import bootstrap
from majorant.metrics.transport import SparseJudge, SparseScores
from majorant.problem import Solution
from majorant.simulate.sparse import SparseBatch, SparseLike, SparseSettings
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.weights.sbl import unfolded_sbl

SEED, BATCH = 7070, 8
REFERENCE = "gamma map, told the noise"
NAMES = ("emd", "auc", "f1")

Method = Callable[[SparseLike, SparseBatch], Solution]


def methods() -> Mapping[str, Method]:
    """What is compared; the reference first."""
    told, learning = (
        Champagne(noise="given"),
        {
            "Champagne": Champagne(),
            "unfolded, the default": unfolded_sbl(),
            "unfolded, mlp": unfolded_sbl(correction="mlp"),
            "unfolded, layers": unfolded_sbl(correction="layers"),
        },
    )
    found: dict[str, Method] = {
        REFERENCE: lambda data, batch: solve(data.problem(batch, "true-noise"), told)
    }
    for name, solver in learning.items():
        found[name] = lambda data, batch, own=solver: solve(data.problem(batch), own)
    return found


def rows(data: SparseLike, judge: SparseJudge, n: int) -> Mapping[str, SparseScores]:
    """Scores of every method on the same samples."""
    parts: dict[str, list[SparseScores]] = {name: [] for name in methods()}
    for first in range(0, n, BATCH):
        batch = data.batch(range(first, min(first + BATCH, n)))
        for name, method in methods().items():
            estimate = method(data, batch).estimate
            parts[name].append(judge.score(batch.x, estimate, batch.seeds, dense_map(batch)))
    return {
        name: SparseScores(
            **{key: torch.cat([vars(s)[key] for s in each]) for key in vars(each[0])}
        )
        for name, each in parts.items()
    }


def main() -> None:
    """Simulate, solve, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("times", type=int, nargs="+")
    parser.add_argument("--n", type=int, default=40)
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    inverting, generating = sparse.test_head()
    judge = SparseJudge(inverting, generating)
    whole = SparseLike(inverting, asked.seed, part="test", generating=generating)
    print("| T | solver | EMD mm | AUC | F1 | EMD less the gamma map's, mm | % |\n|" + "---|" * 7)
    for n_times in asked.times:
        data = replace(whole, settings=SparseSettings(n_times=n_times), space=whole.space)
        found = rows(data, judge, asked.n)
        reference = found[REFERENCE].emd
        for name, scores in found.items():
            means = " | ".join(f"{float(vars(scores)[key].mean()):.3g}" for key in NAMES)
            (apart,) = bootstrap((scores.emd - reference)[:, None])
            share = 100.0 / float(reference.mean())
            print(
                f"| {n_times} | {name} | {means} | {apart.mean:+.1f} ({apart.low:+.1f}, "
                f"{apart.high:+.1f}) | {share * apart.mean:+.0f} ({share * apart.low:+.0f}, "
                f"{share * apart.high:+.0f}) |",
                flush=True,
            )


if __name__ == "__main__":
    main()
