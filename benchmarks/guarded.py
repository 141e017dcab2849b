"""What the guard costs a trained network, and what it saves: the tables of ``docs/training.md``.

    python -m benchmarks.guarded            # windows and lengths, 200 test samples
    python -m benchmarks.guarded montages   # 32 to 128 other electrodes, against sLORETA
    python -m benchmarks.guarded training   # windows against guards in training, ten minutes
    python -m benchmarks.guarded beyond     # what training over random lengths does

Source: simulations of SEREEGA type, the test part; metrics of :mod:`majorant.metrics.localisation`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import torch

from benchmarks import guarded_training
from benchmarks.rows_guarded import HEADER, Run, score
from majorant.forward.leadfield import Leadfield
from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.linear import SLORETA
from majorant.solvers.mm import ClassicalMM, SameAs
from majorant.weights.shipped import mm_net

WINDOWS = (0, 1, 2, 5, 10)
"""0 stands for no guard."""

MONTAGES = ("biosemi32", "biosemi64", "", "biosemi128")
"""The empty name stands for the 90 electrodes of the training."""


def windows(weights: str, n: int, leadfield: Leadfield) -> Iterator[Run]:
    """Windows against lengths, and classical MM on the same energy with as many gradients."""
    data = SereegaLike(leadfield, n, part="test")
    trained = mm_net(weights, sfreq=data.sfreq)
    steps = trained.network.settings.iterations
    for length in (steps, 2 * steps, 5 * steps):
        for window in WINDOWS:
            if window > length:
                continue
            guard = Guard(window=window) if window else Guard("off", window=1)
            words = f"window {window}" if window else "no guard"
            solver = MMNet(trained.network, sfreq=data.sfreq, guard=guard)
            yield score(f"MM-Net, {length} steps, {words}", data, solver, max_iter=length)
        classical = ClassicalMM(SameAs(trained, "gram"), max_iter=length)
        yield score(f"classical MM, {length} steps", data, classical, max_iter=length)


def montages(weights: str, n: int, leadfield: Leadfield) -> Iterator[Run]:
    """One network on other electrodes, with sLORETA on the same data."""
    from majorant.forward.template import template_leadfield

    for name in MONTAGES:
        head = template_leadfield(name) if name else leadfield
        data = SereegaLike(head, n, part="test")
        words = f"{name or 'its own'}, {head.n_sensors} electrodes"
        yield score(f"MM-Net, {words}", data, mm_net(weights, sfreq=data.sfreq))
        yield score(f"sLORETA, {words}", data, SLORETA(snr=5.0))


def main(arguments: Sequence[str]) -> None:
    """Print a table.

    Arguments: [windows|montages] [samples] [weights], or [training|beyond] [steps] [samples].
    """
    tables = {"windows": windows, "montages": montages}
    studies = {"training": guarded_training.guards, "beyond": guarded_training.beyond}
    rest = list(arguments)
    kind = rest.pop(0) if rest and rest[0] in tables | studies else "windows"
    head = Leadfield.template_small()
    if kind in studies:
        sizes = (guarded_training.STEPS, guarded_training.SAMPLES)
        steps, n = (int(rest[k]) if len(rest) > k else size for k, size in enumerate(sizes))
        rows = studies[kind](steps, n, head)
    else:
        weights = rest[1] if len(rest) > 1 else "sereega"
        rows = tables[kind](weights, int(rest[0]) if rest else 200, head)
    print(HEADER)
    for row in rows:
        print(row, flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
