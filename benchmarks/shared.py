"""MM-Net with shared weights beside others on whole regions: `python -m benchmarks.shared [n]`.

64 electrodes of a head that is not the believed one (skull of 0.0075 S/m where 0.006 is believed,
electrodes moved by 4 mm), one to three sources, -5 to 20 dB, 75 samples a row; sources are balls of
regions, regions grown at random, single regions, and large grown ones. Prints 1 - cos of the whole
map, the error of the strongest point within seven steps of the seed in mm, AUC, how many windows
the guard refused and how often the returned energy rose.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import torch

from majorant import registry
from majorant.head.simulated import template_heads
from majorant.linalg import squared_norm, total
from majorant.metrics.localisation import Localisation
from majorant.simulate.general import GeneralSettings, OneHead
from majorant.simulate.heads import HeadRange
from majorant.simulate.patches import PatchSettings
from majorant.solvers.base import Solver
from majorant.solvers.loop import solve
from majorant.weights.shipped import GENERAL, mm_net_shared, trained

FAMILIES = {
    "balls of 1-3 steps": PatchSettings(orders=(1, 2, 3)),
    "grown, 1-3": PatchSettings(orders=(1, 2, 3), growth="random"),
    "single regions": PatchSettings(orders=(0,)),
    "grown, 4-5": PatchSettings(orders=(4, 5), growth="random"),
}
HEAD, SEED = 4711, 91


def rows(n: int) -> Iterator[str]:
    """Score every solver on every family; the rows of a Markdown table."""
    settings = HeadRange(electrodes=(64, 64), skulls=(0.0075,), missing=0.0)
    (head,) = template_heads(1, HEAD, settings)
    for family, patch in FAMILIES.items():
        data = OneHead(
            head, n, SEED, part="test", settings=GeneralSettings(n_times=75, patch=patch)
        )
        batch = data.batch(range(n))
        problem, judge = data.problem(batch), Localisation(data.leadfield, data.sfreq)
        truth = batch.x
        solvers: dict[str, Solver] = {
            "sLORETA": registry.make("sloreta", snr=3.0),
            "patch scan": registry.make("scan"),
            "MM-Net, general": trained("mm-net", GENERAL, sfreq=data.sfreq),
            "MM-Net, shared": mm_net_shared(),
        }
        for name, solver in solvers.items():
            began = time.process_time()
            solution = solve(problem, solver)
            took = 1000.0 * (time.process_time() - began) / n
            x, certificate = solution.estimate, solution.certificate
            norms = (squared_norm(x) * squared_norm(truth)).sqrt().clamp_min(1e-300)
            off = 1.0 - total(x * truth) / norms
            s = judge.score(truth, x, batch.seed)
            windows = max(1, len(certificate.energy) - 1) * n
            le, auc = s.le.mean(), s.auc.mean()
            yield (
                f"| {family} | {name} | {off.mean():.2f} | {le:.1f} | {auc:.0f} | "
                f"{100.0 * int(certificate.refused.sum()) / windows:.0f} % | "
                f"{int(certificate.violations.sum())} | {took:.0f} |"
            )


def main(n: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print("| sources | solver | 1 - cos | LE mm | AUC | refused | rises | ms |\n|" + "---|" * 8)
    for row in rows(n):
        print(row, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
