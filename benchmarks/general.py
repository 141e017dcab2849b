"""How the general weights do on what people record, beside linear maps and the benchmark's weights.

    python -m benchmarks.general        # 200 samples for each cap
    python -m benchmarks.general 50

Caps of four sizes on a head that nobody was trained on: a skull between those of the training, and
electrodes moved by another draw. One to three patches, -5 to 20 dB, noise of sensors and resting
cortex, whitened. LE and AUC are those of the strongest patch; ``1 - cos`` is the distance of the
whole estimate from the truth, which is what the network is trained for. Sources flow outwards and
inwards: weights that know outward ones only are shown the data and their negative, as recordings
are, and beside them stands the same network made one for both directions, without training.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import torch

from majorant import registry
from majorant.head.simulated import template_heads
from majorant.learned.directions import both_directions
from majorant.learned.mmnet import MMNet
from majorant.learned.unrolled import MMNetwork
from majorant.linalg import squared_norm, total
from majorant.metrics.localisation import Localisation
from majorant.simulate.general import OneHead
from majorant.simulate.heads import HeadRange
from majorant.solvers.base import Solver
from majorant.solvers.loop import solve
from majorant.weights.shipped import GENERAL, trained

CAPS = (19, 32, 64, 128)
SKULL = 0.0075
SEED, HEAD = 4242, 7
SNR = 3.0
"""Regularisation of the linear maps."""


def rows(n: int) -> Iterator[str]:
    """Score every solver on every cap; the rows of a Markdown table."""
    outward = trained("mm-net")
    assert isinstance(outward.network, MMNetwork)
    network = outward.network
    for count in CAPS:
        settings = HeadRange(electrodes=(count, count), skulls=(SKULL,), missing=0.0)
        data = OneHead(template_heads(1, HEAD, settings)[0], n, SEED, part="test")
        batch = data.batch(range(n))
        problem, judge = data.problem(batch), Localisation(data.leadfield, data.sfreq)
        solvers: dict[str, Solver] = {
            "MNE": registry.make("mne", snr=SNR),
            "sLORETA": registry.make("sloreta", snr=SNR),
            "MM-Net, SEREEGA": outward.changed(sfreq=data.sfreq, recordings=True),
            "MM-Net, SEREEGA, doubled": MMNet(both_directions(network), sfreq=data.sfreq),
            "MM-Net, general": trained("mm-net", GENERAL, sfreq=data.sfreq),
        }
        alone = (batch.times.abs().amax(2) > 0).sum(1) == 1
        for name, solver in solvers.items():
            solution = solve(problem, solver)
            x, truth = solution.estimate, batch.x
            norms = (squared_norm(x) * squared_norm(truth)).sqrt().clamp_min(1e-300)
            off = 1.0 - total(x * truth) / norms
            s = judge.score(truth, x, batch.seed)
            rises = int(solution.certificate.violations.sum())
            yield (
                f"| {count} | {name} | {off.mean():.3f} | {s.le.mean():.1f} | "
                f"{s.le[alone].mean():.1f} | {s.auc.mean():.1f} | {s.auc[alone].mean():.1f} | "
                f"{s.psnr.mean():.1f} | {rises} |"
            )


def main(arguments: Sequence[str]) -> None:
    """Print the table; arguments: [samples]."""
    torch.set_num_threads(1)
    print(
        "| electrodes | solver | 1 - cos | LE mm | LE, one source | AUC | AUC, one source | PSNR | "
        "rises |\n|---|---|---|---|---|---|---|---|---|"
    )
    for row in rows(int(arguments[0]) if arguments else 200):
        print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
