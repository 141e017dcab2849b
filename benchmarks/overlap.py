"""How many test truths of Table I occur in the training of the packaged weights, and if it matters.

    python -m benchmarks.overlap           # the share, seconds
    python -m benchmarks.overlap 2000      # and the error of both kinds, so many samples

A truth of SEREEGA type is a seed, a radius of one to three edges, a width of two and a centre of a
hundred: 596,400 members. Training draws from the same family, so some truths of the test have been
seen, with other noise.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from majorant.bench.methods import judging
from majorant.forward.leadfield import Leadfield
from majorant.simulate import streams
from majorant.simulate.dataset import PATCH, WAVEFORM, Part, SereegaLike
from majorant.simulate.waveforms import draw_gaussians
from majorant.solvers.loop import solve
from majorant.weights.shipped import trained

TEST, SEED = 2_000, 6006
BATCH = 50


def members(head: Leadfield, n: int, seed: int, part: Part) -> Tensor:
    """Number of the member of the family that every sample is, shape (n,), int64."""
    data = SereegaLike(head, n, seed, part=part)
    _, key = data.chosen(range(n))
    at, row = (draw[:, 0] for draw in data.patches.draw(streams.fork(key, PATCH)))
    width, centre = draw_gaussians(streams.fork(key, WAVEFORM), data.settings.waveform)
    place = 8 * at + data.patches.orders[row]
    return 1_000_000 * place + 1_000 * width.to(torch.int64) + centre.to(torch.int64)


def runs(recipe: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    """Data seed and number of training samples of every run that the weights went through."""
    for one in (*recipe.get("before", ()), recipe):
        yield int(one["data_seed"]), int(one["n_train"])


def main(arguments: list[str]) -> int:
    """Print the share, and the errors where they are asked for."""
    head, solver = Leadfield.template_small(), trained("mm-net", "sereega")
    assert solver.card is not None
    seen = torch.cat([members(head, n, seed, "train") for seed, n in runs(solver.card.recipe)])
    tested = members(head, TEST, SEED, "test")
    known = torch.isin(tested, seen)
    print(f"{len(seen):,} samples of training, {len(seen.unique()):,} members of 596,400")
    print(f"test truths that occur in the training: {100 * float(known.double().mean()):.1f} %")
    if not arguments:
        return 0
    n = min(TEST, int(arguments[0]))
    data = SereegaLike(head, n, SEED, part="test")
    solver = solver.at(data.sfreq)
    score, errors = judging(data), []
    for first in range(0, n, BATCH):
        batch = data.batch(range(first, min(n, first + BATCH)))
        errors.append(score(batch, solve(data.problem(batch), solver).estimate).le)
    error = torch.cat(errors)
    for words, rows in (("seen in training", known[:n]), ("not seen", ~known[:n])):
        own = error[rows]
        half = 1.96 * float(own.std() / len(own) ** 0.5)
        print(f"{words}: {len(own)} samples, LE {float(own.mean()):.2f} mm (± {half:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
