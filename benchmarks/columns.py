"""Single locations or patches as columns, and how the unfolded solver compares with its parents.

``python -m benchmarks.columns --times 10 50 --n 64`` draws eight heads that nothing else uses (part
"validation" of the bank), simulates everyday data on them and prints, for every number of samples
and every solver: the mean earth mover's distance from the dense truth, one minus the cosine of the
maps, the area under the ROC curve, the error of the strongest location, processor seconds each,
and the paired difference of the first from the reference with a 95 % interval. The reference is
Champagne told the noise (``noise="given"`` on whitened data), converged: a gamma map.

``--heads FILE`` keeps the heads, which take a minute of one core to draw. ``--weights points:FILE``
and ``patches:FILE`` add corrections of one's own.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.forward.template_bank import template_bank
from majorant.metrics.localisation import roc_area
from majorant.simulate.everyday import Everyday, EverydayBatch, EverydaySettings, World
from majorant.simulate.everyday.heads import bank_world
from majorant.solvers.champagne import Champagne
from majorant.solvers.linear import SLORETA
from majorant.solvers.loop import solve
from majorant.weights.sbl import unfolded_sbl

HEADS, CAPS, SEED, STREAM = 8, (19, 128), 71, 9
SEEDS, BATCH, ACTIVE, SUPPORT, MOST = 600, 4, 0.1, 1e-3, 1500
REFERENCE = "gamma map, told the noise"
NAMES = ("EMD mm", "1 - cos", "AUC", "LE mm", "CPU s")


def heads(kept: Path | None) -> World:
    """Draw the heads, or read those that were drawn before."""
    if kept is not None and kept.exists():
        return torch.load(kept, weights_only=False)
    bank = template_bank("standard_1005", space="ico4")
    world = bank_world(bank, HEADS, SEED, "validation", electrodes=CAPS)
    if kept is not None:
        torch.save(world, kept)
    return world


def solvers(weights: list[str]) -> Mapping[str, Any]:
    """What is compared."""
    found: dict[str, Any] = {
        REFERENCE: Champagne(noise="given"),
        "sloreta": SLORETA(),
        "champagne, points": Champagne(),
        "champagne, patches": Champagne(basis="patches"),
        "unfolded, as published": unfolded_sbl(correction="mlp"),
        "unfolded, the default": unfolded_sbl(),
        "unfolded, the default on points": unfolded_sbl(basis="points"),
    }
    for given in weights:
        basis, file = given.split(":", 1)
        found[f"{basis}: {file}"] = unfolded_sbl(weights=file, basis=basis)  # type: ignore[arg-type]
    return found


class Judge:
    """Distances from the fine mesh to the locations of a solver."""

    def __init__(self, world: World) -> None:
        places = world.geometry.positions.double()
        self.cost = 1e3 * torch.cdist(world.cortex.positions.double(), places).numpy()

    def scores(self, batch: EverydayBatch, estimate: Tensor) -> NDArray[np.float64]:
        """EMD, 1 - cos, AUC and LE of every sample, (n_batch, 4)."""
        dense = torch.einsum("bkn,bkt->bnt", batch.dense().double(), batch.courses.double())
        truth, real = dense.norm(dim=2), batch.x.double().norm(dim=2)
        found, rows = estimate.double().norm(dim=2), []
        for i in range(len(batch)):
            seeds = batch.sources.seeds[i][batch.sources.active[i]].numpy()
            near = float(self.cost[seeds, int(found[i].argmax())].min())
            area = float(roc_area((real[i] > ACTIVE * real[i].max())[None], found[i][None]))
            cosine = float(torch.cosine_similarity(found[i], real[i], dim=0))
            rows.append((self._moved(truth[i], found[i]), 1.0 - cosine, area, near))
        return np.array(rows)

    def _moved(self, truth: Tensor, found: Tensor) -> float:
        import ot

        least = max(float(SUPPORT * found.max()), float(found.topk(MOST).values[-1]))
        there, here = truth > SUPPORT * truth.max(), found >= least
        a, b = (x.numpy() / float(x.sum()) for x in (truth[there], found[here]))
        ways = self.cost[np.ix_(there.numpy(), here.numpy())]
        return float(ot.emd2(a / a.sum(), b / b.sum(), ways, numItermax=1_000_000))


def main() -> None:
    """Simulate, solve, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, nargs="+", default=[10, 50])
    parser.add_argument("--n", type=int, default=64)
    parser.add_argument("--heads", type=Path)
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--only", nargs="*", help="Leave out all but these and the reference.")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    world = heads(asked.heads)
    judge, compared = Judge(world), solvers(asked.weights)
    if asked.only:
        compared = {
            k: v for k, v in compared.items() if k == REFERENCE or k in asked.only or ":" in k
        }
    for n_times in asked.times:
        settings = EverydaySettings(n_times=(n_times,))
        data = Everyday(world, STREAM, part="validation", settings=settings, seeds=SEEDS)
        rows: dict[str, list[NDArray[np.float64]]] = {name: [] for name in compared}
        for step in range(asked.n // BATCH):
            batch = data.batch(step, BATCH)
            for name, solver in compared.items():
                begin = time.process_time()
                estimate = solve(batch.problem(), solver).estimate
                spent = np.full((BATCH, 1), (time.process_time() - begin) / BATCH)
                rows[name].append(np.hstack([judge.scores(batch, estimate), spent]))
        report(n_times, {name: np.vstack(parts) for name, parts in rows.items()})


def report(n_times: int, rows: Mapping[str, NDArray[np.float64]]) -> None:
    """Print the table of one number of samples."""
    draw, reference = np.random.default_rng(0), rows[REFERENCE][:, 0]
    n = len(reference)
    print(f"\n{n} samples\n\n| T | solver | {' | '.join(NAMES)} | EMD less the gamma map's |")
    print("|" + "---|" * (len(NAMES) + 3))
    for name, values in rows.items():
        apart = values[:, 0] - reference
        means = apart[draw.integers(n, size=(2000, n))].mean(1)
        low, high = np.quantile(means, (0.025, 0.975))
        figures = " | ".join(f"{x:.3g}" for x in values.mean(0))
        print(
            f"| {n_times} | {name} | {figures} | {apart.mean():+.1f} ({low:+.1f}, {high:+.1f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
