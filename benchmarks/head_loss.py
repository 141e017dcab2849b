"""Where a wrong head loses, and what takes it back: `python -m benchmarks.head_loss OUT [n] [m]`.

Persons are known warps of the template with folds, a skull and electrodes of their own; m single
vertices of each one's fine mesh are seen by 64 electrodes, digitised with 2 mm of noise, at 10 dB
over 30 samples. They are imaged on the template as it stands, on the template warped to what was
digitised, on the mean over heads drawn around that, and on the person's own head, with sources
along the normals, loose (0.2) and free; and, by sLORETA, on the person's head with one thing wrong
at a time. Errors are distances of the strongest source from the truth, as places of the template.

One in four persons is the template itself (``right``): what is gained elsewhere must not be lost
there. Every person's errors are kept in OUT as JSON, and a run goes on where it was;
``python -m benchmarks.head_loss OUT`` prints the tables of docs/heads.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.warp_sources import _known as known_warp
from majorant import registry
from majorant.forward import electrodes as electrode_room
from majorant.forward.bank import DrawnHead, HeadBank, HeadSpread
from majorant.forward.leadfield import Leadfield, average_reference
from majorant.forward.mesh import nearest_on_surface
from majorant.forward.template import template_head
from majorant.forward.template_bank import template_anatomy
from majorant.forward.template_warp import warp_anatomy, warp_template
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.loop import solve

NOISE = 0.002
SNR_DB, N_TIMES, N_BANK = 10.0, 30, 6
TRUE = HeadSpread(moved_mm=(0, 0), cap_deg=(0, 0), shapes=1)
"""Electrodes were digitised: they are where they are said to be, up to the noise."""
AROUND = HeadSpread(moved_mm=(0, 3), cap_deg=(0, 0), shapes=1)
LOOSE = {"fixed": 0.0, "loose": 0.2, "free": 1.0}
WAYS = {
    "sloreta": ("fixed", "loose", "free"),
    "scan": ("fixed", "free"),
    "unfolded-sbl": ("fixed", "loose"),
}


@dataclass(frozen=True)
class Person:
    """One head, what was digitised on it, and its data.

    Attributes
    ----------
    truth : DrawnHead
    where, marks : dict
        Electrodes and fiducials as digitised.
    right : bool
        Whether the head is the template itself.
    """

    truth: DrawnHead
    where: dict[str, np.ndarray]
    marks: dict[str, np.ndarray]
    right: bool


def person_of(seed: int) -> Person:
    """Draw a person."""
    head, anatomy = template_head(), template_anatomy()
    listed = electrode_room.montage_electrodes("standard_1020")
    placed = electrode_room.align(listed, head)
    keep = np.flatnonzero(placed.positions[:, 2] > -0.02)[:64]
    cap, names = placed.positions[keep], [placed.ch_names[i] for i in keep.tolist()]
    rng, right = np.random.default_rng([seed, 23]), seed % 4 == 3
    if right:
        bank = HeadBank(anatomy, names, cap)
        drawn = bank.draw(1, seed, split="test", spread=TRUE)[0]
        truth = replace(drawn, skull=bank.skull, deform=(0.0, 0.0))
        sites, marks = cap, head.fiducials
    else:
        factors = np.diag(1 + 0.06 * rng.standard_normal() + 0.04 * rng.standard_normal(3))
        warp = partial(known_warp, factors, head.scalp.mean(axis=0), int(rng.integers(2**30)))
        own = warp_anatomy(anatomy, warp)  # type: ignore[arg-type]
        sites = nearest_on_surface(warp(cap), own.scalp, own.scalp_faces)
        truth = HeadBank(own, names, sites).draw(1, seed, split="test", spread=TRUE)[0]
        marks = warp(head.fiducials)
    noisy = sites + NOISE * rng.standard_normal(sites.shape)
    near = marks + NOISE * rng.standard_normal((3, 3))
    return Person(
        truth,
        dict(zip(names, noisy, strict=True)),
        dict(zip(("lpa", "nasion", "rpa"), near, strict=True)),
        right,
    )


def free(head: DrawnHead) -> Leadfield:
    """The lead field of a head's vertices, columns along two tangents and the normal."""
    bank = head.bank
    seen = bank._seen(head.electrodes, head.skull, head.shape, head.spread)
    index = bank._space.index.numpy()
    positions, normals = (part[index] for part in head.cortex)
    helper = np.where(np.abs(normals[:, [0]]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    one = np.cross(normals, helper)
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    axes = (one, np.cross(normals, one), normals)
    gain = torch.stack([seen(positions, axis) for axis in axes], dim=2).flatten(1)
    return replace(bank.believed, gain=gain, n_orient=3)


def plain(bank: HeadBank) -> DrawnHead:
    """The believed head of a bank, as one of its draws."""
    drawn = bank.draw(1, 0, split="train", spread=AROUND)[0]
    nothing = {"deform": (0.0, 0.0), "shape": (0, 0), "electrodes": bank.electrodes}
    return replace(drawn, skull=bank.skull, **nothing)


def estimate(name: str, lead: Leadfield, loose: float, data: Tensor) -> Tensor:
    """Estimates of unit norm, (n_samples, n_locations, n_orient, n_times)."""
    rows = average_reference(lead.n_sensors)
    if loose == 0.0 and lead.n_orient == 3:
        lead = replace(lead, gain=lead.gain[:, 2::3], n_orient=1)
    prior = None
    if lead.n_orient == 3:
        prior = torch.tensor([loose, loose, 1.0]).double().repeat(lead.n_locations)
    operator = MatrixOperator(rows @ lead.gain, lead.n_orient, lead.geometry)
    solver = registry.make(name)
    precision = solver.abilities.precision or torch.float64
    if precision != torch.float64:
        operator = MatrixOperator(operator.matrix().to(precision), lead.n_orient, lead.geometry)
    posed = Problem(operator, (rows @ data).to(precision), None, prior)
    found = solve(posed, solver).estimate.double()
    found = found.unflatten(1, (-1, found.shape[1] // lead.n_locations))
    return found / found.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(1e-300)


def strongest(found: Tensor) -> np.ndarray:
    """The strongest location of every sample."""
    return found.square().sum(dim=(2, 3)).argmax(dim=1).numpy()


def simulated(person: Person, m: int, seed: int) -> tuple[np.ndarray, Tensor]:
    """Vertices, and data of unit noise, (m, n_electrodes, n_times)."""
    rng = np.random.default_rng([seed, 29])
    fine = person.truth.fine.gain
    chosen = rng.choice(fine.shape[1], m, replace=False)
    course = rng.standard_normal((m, N_TIMES + 4))
    course = np.stack([np.convolve(row, np.hanning(7)[1:-1], "valid") for row in course])
    seen = fine[:, chosen] - fine[:, chosen].mean(dim=0)
    signal = seen.mT[:, :, None] * torch.from_numpy(course)[:, None]
    noise = torch.from_numpy(rng.standard_normal(tuple(signal.shape)))
    noise = noise - noise.mean(dim=1, keepdim=True)
    size = [part.flatten(1).norm(dim=1)[:, None, None] for part in (signal, noise)]
    return chosen, signal * (size[1] / size[0]) * 10 ** (SNR_DB / 20) + noise


def run(seed: int, m: int) -> dict[str, list[float]]:
    """Errors of every way, mm, of one person."""
    person, head, anatomy = person_of(seed), template_head(), template_anatomy()
    chosen, data = simulated(person, m, seed)
    asked = electrode_room.digitised_electrodes(person.where, person.marks)
    names = asked.ch_names
    stands = plain(HeadBank(anatomy, names, electrode_room.align(asked, head).positions))
    warped = warp_template(person.where, person.marks)
    bank = HeadBank(warped.person, names, warped.electrodes)
    heads = {"template": free(stands), "warped": free(plain(bank)), "own": free(person.truth)}
    drawn = [free(one) for one in bank.draw(N_BANK, seed, split="train", spread=AROUND)]
    places = heads["template"].positions.numpy()
    out: dict[str, list[float]] = {}

    def note(key: str, found: Tensor) -> None:
        apart = np.linalg.norm(places[strongest(found)] - anatomy.positions[chosen], axis=1)
        out[key] = (1e3 * apart).round(3).tolist()

    for solver, ways in WAYS.items():
        for way in ways:
            for name, lead in heads.items():
                note(f"{solver}/{way}/{name}", estimate(solver, lead, LOOSE[way], data))
            mean = sum(_summed(estimate(solver, lead, LOOSE[way], data)) for lead in drawn)
            assert isinstance(mean, Tensor)
            note(f"{solver}/{way}/mean over heads", mean)
        print(f"person {seed}: {solver}", file=sys.stderr, flush=True)
    for name, lead in wrong(person):
        note(f"sloreta/fixed/own, {name}", estimate("sloreta", lead, 0.0, data))
    return out


def _summed(found: Tensor) -> Tensor:
    """What is averaged over heads: signed along normals, else lengths."""
    return found if found.shape[2] == 1 else found.norm(dim=2, keepdim=True)


def wrong(person: Person) -> Iterator[tuple[str, Leadfield]]:
    """The person's head with one thing wrong at a time."""
    truth = person.truth
    own = truth.bank.true
    noisy = nearest_on_surface(np.stack(list(person.where.values())), own.scalp, own.scalp_faces)
    yield "the template's skull", free(replace(truth, skull=truth.bank.skull))
    yield "electrodes 2 mm off", free(replace(truth, electrodes=noisy))
    smooth = replace(truth, deform=(0.0, 0.0))
    yield "the template's folds", free(smooth)
    if any(truth.deform):
        moved, turned = truth.cortex[0], smooth.cortex[1]
        straight = replace(truth)
        straight.__dict__["cortex"] = (moved, turned)
        yield "the template's normals", free(straight)
        back = replace(truth)
        back.__dict__["cortex"] = (smooth.cortex[0], truth.cortex[1])
        yield "the template's places", free(back)


def tables(folder: Path) -> None:
    """Print the tables."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]
    for right in (False, True):
        rows = [one["errors"] for one in found if one["right"] is right]
        if not rows:
            continue
        n = sum(len(row["sloreta/fixed/own"]) for row in rows)
        print(f"\n{'right' if right else 'wrong'} heads: {len(rows)} persons, {n} sources\n")
        print("| solver, orientation, head | mean, mm | less than shipped (95 %) | of the cost |")
        print("|---|---|---|---|")
        for key in rows[0]:
            solver = key.split("/")[0]
            base = f"{solver}/{WAYS[solver][1]}/template"
            own = f"{solver}/fixed/own"
            means = {k: np.array([np.mean(row[k]) for row in rows]) for k in (key, base, own)}
            gained = means[base] - means[key]
            low, high = _interval(gained)
            cost = float((means[base] - means[own]).mean())
            print(
                f"| {key} | {means[key].mean():.1f} | {gained.mean():+.1f} ({low:.1f} to "
                f"{high:.1f}) | {100 * gained.mean() / cost:.0f} % |"
            )


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Percentiles of the mean over resampled persons."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(4000, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def main(folder: Path, n: int, m: int) -> None:
    """Image what is not there yet, then print."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(n):
        path = folder / f"person{seed:03d}.json"
        if not path.exists():
            errors = run(seed, m)
            path.write_text(json.dumps({"right": seed % 4 == 3, "errors": errors}))
    tables(folder)


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[2:]]
    main(Path(sys.argv[1]), *(given + [0, 30][len(given) :]))
