"""What a warp gains for sources: `python benchmarks/warp_sources.py [n_heads] [n_sources]`.

Persons are known warps of the template with a cortex of their own (deformed, normals turned) and
another skull; single vertices of their fine mesh are seen by 64 electrodes, digitised with 2 mm of
noise, at 10 dB, and imaged by sLORETA on the template as it stands, on the template warped to what
was digitised, and on the person's own head. Prints the distance of the strongest source from the
truth, both as places of the template, with paired intervals over persons and sources.
"""

from __future__ import annotations

import sys
from functools import partial

import numpy as np
import torch

from majorant.forward import electrodes as electrode_room
from majorant.forward.bank import HeadBank, HeadSpread
from majorant.forward.deform import smooth_field
from majorant.forward.leadfield import Leadfield, average_reference
from majorant.forward.mesh import nearest_on_surface
from majorant.forward.template import template_head, template_leadfield
from majorant.forward.template_bank import template_anatomy
from majorant.forward.template_warp import warp_anatomy, warped_leadfield
from majorant.problem import Problem
from majorant.solvers.linear import SLORETA
from majorant.solvers.loop import solve

NOISE = 0.002
SPREAD = HeadSpread(moved_mm=(0, 0), cap_deg=(0, 0), shapes=1)
"""Electrodes were digitised: they are where they are said to be, up to the noise."""


def main(n_heads: int, n_sources: int) -> None:
    """Print the table."""
    head, anatomy = template_head(), template_anatomy()
    listed = electrode_room.montage_electrodes("standard_1020")
    placed = electrode_room.align(listed, head)
    keep = np.flatnonzero(placed.positions[:, 2] > -0.02)[:64]
    cap, names = placed.positions[keep], [placed.ch_names[i] for i in keep.tolist()]
    errors: dict[str, list[float]] = {}
    for seed in range(n_heads):
        rng = np.random.default_rng([seed, 11])
        factors = np.diag(1 + 0.06 * rng.standard_normal() + 0.04 * rng.standard_normal(3))
        known = partial(_known, factors, head.scalp.mean(axis=0), int(rng.integers(2**30)))
        person = warp_anatomy(anatomy, known)  # type: ignore[arg-type]
        sites = nearest_on_surface(known(cap), person.scalp, person.scalp_faces)
        bank = HeadBank(person, names, sites, space="ico4")
        # Another person's folds: the drawn head's cortex, in the person's own skull.
        truth = bank.draw(1, seed, split="test", spread=SPREAD)[0]
        noisy = sites + NOISE * rng.standard_normal(sites.shape)
        marks = known(head.fiducials) + NOISE * rng.standard_normal((3, 3))
        where = dict(zip(names, noisy, strict=True))
        fiducials = dict(zip(("lpa", "nasion", "rpa"), marks, strict=True))
        heads = {
            "template": template_leadfield(where, fiducials=fiducials, space="ico4", fixed=True),
            "warped": warped_leadfield(where, fiducials, space="ico4", fixed=True)[0],
            "own": truth.leadfield,
        }
        fine = truth.fine.gain
        chosen = rng.choice(fine.shape[1], n_sources, replace=False)
        data = _data(fine[:, chosen], rng)
        believed = heads["template"].positions.numpy()
        for name, lead in heads.items():
            found = _strongest(lead, data)
            apart = np.linalg.norm(believed[found] - anatomy.positions[chosen], axis=1)
            errors.setdefault(name, []).extend((1e3 * apart).tolist())
        print(f"{seed + 1} of {n_heads} persons", flush=True)
    table = {name: np.array(values) for name, values in errors.items()}
    print("| head | mean error, mm | median | less than on the template (95 %) |")
    print("|---|---|---|---|")
    for name, values in table.items():
        low, high = _interval(table["template"] - values, n_heads)
        print(
            f"| {name} | {values.mean():.1f} | {np.median(values):.1f} | {low:.1f} to {high:.1f} |"
        )


def _known(factors: np.ndarray, middle: np.ndarray, key: int, x: np.ndarray) -> np.ndarray:
    bend = smooth_field(x, 0.06, 3, np.random.default_rng(key)) / 3**0.5
    return middle + (x - middle) @ factors + 0.003 * bend


def _data(topographies: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """One sample of every source at 10 dB, shape (n_electrodes, n_sources), average reference."""
    seen = topographies - topographies.mean(dim=0)
    noise = torch.from_numpy(rng.standard_normal(tuple(seen.shape)))
    noise = noise - noise.mean(dim=0)
    return seen + noise * (seen.norm(dim=0) / noise.norm(dim=0)) * 10 ** (-10 / 20)


def _strongest(lead: Leadfield, data: torch.Tensor) -> np.ndarray:
    """The strongest location of sLORETA, for each column of the data."""
    rows = average_reference(lead.n_sensors)
    problem = Problem(lead.transformed(rows).operator(), (rows @ data)[None])
    estimate = solve(problem, SLORETA()).estimate[0]
    return estimate.abs().argmax(dim=0).numpy()


def _interval(paired: np.ndarray, n_heads: int) -> tuple[float, float]:
    """Percentiles of the mean over resampled persons."""
    rng, by_head = np.random.default_rng(0), paired.reshape(n_heads, -1).mean(axis=1)
    means = by_head[rng.integers(n_heads, size=(4000, n_heads))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    main(*(given + [10, 50][len(given) :]))
