"""How well a known warp of the template is recovered: `python benchmarks/warp.py [n_heads]`.

Prints the table of docs/heads.md.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np

from majorant.forward import electrodes as electrode_room
from majorant.forward.deform import smooth_field
from majorant.forward.electrodes import Electrodes, rigid_to_template
from majorant.forward.mesh import nearest_on_surface
from majorant.forward.template import template_head
from majorant.forward.template_bank import template_anatomy
from majorant.forward.warp import Points, fit_warp

BENDS = ((0.000, 0.060), (0.003, 0.060), (0.004, 0.050), (0.005, 0.045))
"""Root mean square and length of the bend, metres."""
NOISE = 0.002


def main(n_heads: int) -> None:
    """Print a row for every bend."""
    head, cortex = template_head(), template_anatomy().positions
    listed = electrode_room.montage_electrodes("standard_1020")
    cap = electrode_room.align(listed, head).positions
    cap = cap[cap[:, 2] > -0.02][:64]
    upper = head.scalp[head.scalp[:, 2] > -0.03]
    print("| bend, mm (over mm) | turned only: scalp, cortex | warped: scalp, cortex | worst |")
    print("|---|---|---|---|")
    for size, length in BENDS:
        rows = []
        for seed in range(n_heads):
            rng = np.random.default_rng([seed, 7])
            factors = np.diag(1 + 0.06 * rng.standard_normal() + 0.04 * rng.standard_normal(3))
            key, middle = int(rng.integers(2**30)), head.scalp.mean(axis=0)

            known = partial(_known, factors, middle, size, length, key)
            places = known(cap) + NOISE * rng.standard_normal(cap.shape)
            marks = known(head.fiducials) + NOISE * rng.standard_normal((3, 3))
            names = tuple(f"E{i}" for i in range(len(cap)))
            rigid = rigid_to_template(Electrodes("cap", names, places, marks), head)
            turned = [x @ rigid[:3, :3].T + rigid[:3, 3] for x in (places, marks)]
            truth = [known(x) @ rigid[:3, :3].T + rigid[:3, 3] for x in (upper, cortex)]
            warp = fit_warp(Points(*turned), head.scalp, head.scalp_faces, head.fiducials)
            row = []
            for f in (np.asarray, warp):
                feet = nearest_on_surface(truth[0], f(head.scalp), head.scalp_faces)
                row += [_rms(feet - truth[0]), _rms(f(cortex) - truth[1])]
            rows.append(row)
        a = np.array(rows)
        m, worst = a.mean(axis=0), a.max(axis=0)
        print(
            f"| {1e3 * size:.0f} ({1e3 * length:.0f}) | {m[0]:.1f}, {m[1]:.1f} | "
            f"{m[2]:.1f}, {m[3]:.1f} | {worst[2]:.1f}, {worst[3]:.1f} |",
            flush=True,
        )


def _known(
    factors: np.ndarray, middle: np.ndarray, size: float, length: float, key: int, x: np.ndarray
) -> np.ndarray:
    bend = smooth_field(x, length, 3, np.random.default_rng(key)) / 3**0.5
    return middle + (x - middle) @ factors + size * bend


def _rms(step: np.ndarray) -> float:
    return 1e3 * float(np.sqrt((step**2).sum(1).mean()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
