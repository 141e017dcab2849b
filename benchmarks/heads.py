"""How right and how fast the bank of heads is: `python -m benchmarks.heads [n_direct] [n_heads]`.

Prints the largest and the median error of drawn lead fields against MNE's boundary elements solved
anew for the same head, how far drawn heads are from the believed one, and seconds and memory.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from benchmarks.speed import own_peak_mib
from majorant.forward import shells
from majorant.forward.bank import DrawnHead, HeadBank
from majorant.forward.template import template_head
from majorant.forward.template_bank import template_bank

N_ELECTRODES = 64


def main(n_direct: int, n_heads: int) -> None:
    """Print the figures of docs/heads.md."""
    started = time.perf_counter()
    whole = template_bank("standard_1020", space="ico4", progress=_say)
    bank = whole.pick(whole.ch_names[:N_ELECTRODES])
    believed = bank.believed
    heads = bank.draw(n_heads, 0)
    for shape in {head.shape for head in heads}:
        first = next(head for head in heads if head.shape == shape)
        assert first.leadfield.n_columns == believed.n_columns
    print(f"first build: {time.perf_counter() - started:.1f} s")
    _errors(bank, n_direct)
    wall, cpu = time.perf_counter(), time.process_time()
    before, apart = own_peak_mib(), []
    for head in bank.draw(n_heads, 1):
        apart.append(_apart(head.leadfield.gain, believed.gain))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(
        f"{n_heads} heads, {N_ELECTRODES} x {believed.n_columns}: {wall:.1f} s "
        f"({cpu:.1f} s of CPU, {torch.get_num_threads()} threads), "
        f"{own_peak_mib() - before:.0f} MiB more at the peak"
    )
    middle = np.percentile(np.stack(apart), [10, 50, 90])
    print("error of a topography, 10/50/90 %: " + " / ".join(f"{x:.2f}" for x in middle))
    cpu = time.process_time()
    fine = bank.draw(1, 1)[0].fine
    print(f"fine mesh, {fine.n_columns} columns: {time.process_time() - cpu:.1f} s of CPU")


def _errors(bank: HeadBank, n: int) -> None:
    """Solve for some drawn heads by MNE, and compare."""
    worst, typical = [], []
    for number in range(n):
        head = bank.draw(1, 2, start=number)[0]
        direct = _direct(bank, head)
        error = np.abs(head.leadfield.gain.numpy() - direct)
        worst.append(error.max() / np.abs(direct).max())
        relative = np.linalg.norm(error, axis=0) / np.linalg.norm(direct, axis=0)
        typical.append(float(np.median(relative)))
    print(
        f"against MNE's own solution of {n} heads: largest error "
        f"{max(worst):.1e} of the largest gain, median of a column {np.median(typical):.1e}"
    )


def _direct(bank: HeadBank, head: DrawnHead) -> np.ndarray:
    """What MNE solves for one head."""
    from dataclasses import replace

    layers = bank._shells(head.shape, head.spread)
    conductivity = (0.3, head.skull, 0.3)
    solution = shells._solve(layers, bank.anatomy.shell_faces, conductivity)
    model = replace(template_head(), shells=layers, conductivity=conductivity, solution=solution)
    index = bank.anatomy.space(bank.space).index.numpy()
    positions, normals = (part[index] for part in head.cortex)
    free = shells.compute_gain(model, positions, normals, bank.ch_names, head.electrodes)
    return np.einsum("nsk,sk->ns", free.reshape(len(bank.ch_names), -1, 3), normals)


def _apart(gain: torch.Tensor, believed: torch.Tensor) -> np.ndarray:
    """Error of every topography, average reference and unit norm, shape (n_sources,)."""
    parts = [x - x.mean(dim=0) for x in (gain, believed)]
    a, b = (x / x.norm(dim=0) for x in parts)
    return (a - b).norm(dim=0).numpy()


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    main(*(given + [5, 100][len(given) :]))
