"""Where a wrong head loses, and what takes it back: `python -m benchmarks.head_loss OUT [n] [m]`.

n heads of the bank's test part (skull, electrodes, cap and cortex unlike the believed ones), every
fifth the believed one itself (``right``): m single vertices of each one's fine mesh are seen by 64
electrodes at 10 dB over 15 samples, and imaged on 1,284 vertices: of the template as it stands, of
the template with electrodes where they are (digitised with 2 mm of noise), of the head itself, and
as the mean over either of the former and four heads drawn around it (training part); and, by
sLORETA, on the head with one thing wrong at a time. Errors are distances of the strongest source
from the truth.

Errors are kept in OUT as JSON, head by head, and a run goes on where it was; intervals are over
heads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from majorant import registry
from majorant.forward.bank import DrawnHead, HeadBank, HeadSpread
from majorant.forward.leadfield import Leadfield, average_reference
from majorant.forward.mesh import nearest_on_surface
from majorant.forward.template_bank import template_bank
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.loop import solve

NOISE = 0.002
SNR_DB, N_TIMES, N_BANK = 10.0, 15, 4
SPREAD = HeadSpread(shapes=1)
AROUND = HeadSpread(shapes=1, moved_mm=(0, 3), cap_deg=(0, 0))
"""Where electrodes were digitised."""
LOOSE = {"fixed": 0.0, "loose": 0.2, "free": 1.0}
HEADS = ("template", "digitised", "own")
MEANS = ("mean", "digitised mean")
WAYS: dict[tuple[str, str], tuple[str, ...]] = {
    ("sloreta", "fixed"): ("template", "own"),
    ("sloreta", "loose"): (*HEADS, *MEANS),
    ("scan", "fixed"): ("template",),
    ("scan", "free"): (*HEADS, *MEANS),
    ("unfolded-sbl", "loose"): (*HEADS, "digitised mean"),
    ("unfolded-sbl", "free"): ("template", "digitised"),
}
SHIPPED = {"sloreta": "loose", "scan": "free", "unfolded-sbl": "loose"}
"""How a solver treats the template's vertices unless told otherwise; a scan's loose is free."""


def cap(space: str = "ico3") -> HeadBank:
    """64 electrodes of the 10-05 system's upper head."""
    whole = template_bank("standard_1020", space=space)
    pairs = zip(whole.ch_names, whole.electrodes, strict=True)
    return whole.pick([name for name, place in pairs if place[2] > -0.02][:64])


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
    drawn = bank.draw(1, 0, split="train", spread=SPREAD)[0]
    return replace(drawn, skull=bank.skull, deform=(0.0, 0.0), electrodes=bank.electrodes)


def estimate(name: str, lead: Leadfield, loose: float, data: Tensor) -> Tensor:
    """Estimates of unit norm, (n_samples, n_locations, n_orient, n_times)."""
    rows = average_reference(lead.n_sensors)
    if loose == 0.0:
        lead = replace(lead, gain=lead.gain[:, 2::3], n_orient=1)
    prior = None
    if lead.n_orient == 3:
        prior = torch.tensor([loose, loose, 1.0]).double().repeat(lead.n_locations)
    operator = MatrixOperator(rows @ lead.gain, lead.n_orient, lead.geometry)
    found = solve(Problem(operator, rows @ data, None, prior), registry.make(name)).estimate
    found = found.double().unflatten(1, (lead.n_locations, lead.n_orient))
    return found / found.flatten(1).norm(dim=1)[:, None, None, None].clamp_min(1e-300)


def simulated(head: DrawnHead, m: int, seed: int) -> tuple[np.ndarray, Tensor]:
    """Vertices, and data of unit noise, (m, n_electrodes, n_times)."""
    rng = np.random.default_rng([seed, 29])
    fine = head.fine.gain
    chosen = rng.choice(fine.shape[1], m, replace=False)
    course = rng.standard_normal((m, N_TIMES + 4))
    course = np.stack([np.convolve(row, np.hanning(7)[1:-1], "valid") for row in course])
    seen = fine[:, chosen] - fine[:, chosen].mean(dim=0)
    signal = seen.mT[:, :, None] * torch.from_numpy(course)[:, None]
    noise = torch.from_numpy(rng.standard_normal(tuple(signal.shape)))
    noise = noise - noise.mean(dim=1, keepdim=True)
    size = [part.flatten(1).norm(dim=1)[:, None, None] for part in (signal, noise)]
    return chosen, signal * (size[1] / size[0]) * 10 ** (SNR_DB / 20) + noise


def wrong(truth: DrawnHead) -> Iterator[tuple[str, Leadfield]]:
    """The head with one thing wrong at a time."""
    bank = truth.bank
    smooth = replace(truth, deform=(0.0, 0.0))
    yield "the template's skull", free(replace(truth, skull=bank.skull))
    yield "the template's electrodes", free(replace(truth, electrodes=bank.electrodes))
    yield "the template's folds", free(smooth)
    for name, cortex in (
        ("the template's normals", (truth.cortex[0], smooth.cortex[1])),
        ("the template's places", (smooth.cortex[0], truth.cortex[1])),
    ):
        other = replace(truth)
        other.__dict__["cortex"] = cortex
        yield name, free(other)


def run(bank: HeadBank, seed: int, m: int) -> dict[str, list[float]]:
    """Errors of every way, mm, on one head."""
    rng, own = np.random.default_rng([seed, 23]), bank.anatomy
    believed = plain(bank)
    truth = bank.draw(1, 5, split="test", spread=SPREAD, start=seed)[0]
    truth = believed if seed % 5 == 4 else truth
    chosen, data = simulated(truth, m, seed)
    near = truth.electrodes + NOISE * rng.standard_normal(truth.electrodes.shape)
    near = nearest_on_surface(near, own.scalp, own.scalp_faces)
    heads = {
        "template": free(believed),
        "digitised": free(replace(believed, electrodes=near)),
        "own": free(truth),
    }
    moved = HeadBank(own, bank.ch_names, near, space=bank.space)
    drawn = {
        "mean": [
            heads["template"],
            *(free(one) for one in bank.draw(N_BANK, seed, split="train", spread=SPREAD)),
        ],
        "digitised mean": [
            heads["digitised"],
            *(free(one) for one in moved.draw(N_BANK, seed, split="train", spread=AROUND)),
        ],
    }
    places, out = heads["template"].positions.numpy(), {}

    def note(key: str, found: Tensor) -> None:
        best = found.square().sum(dim=(2, 3)).argmax(dim=1).numpy()
        apart = np.linalg.norm(places[best] - own.positions[chosen], axis=1)
        out[key] = (1e3 * apart).round(3).tolist()

    for (solver, way), names in WAYS.items():
        for name in names:
            leads = drawn.get(name) or [heads[name]]
            found = [estimate(solver, lead, LOOSE[way], data) for lead in leads]
            note(f"{solver}, {way}: {name}", torch.stack(found).mean(dim=0))
    for name, lead in wrong(truth):
        note(f"sloreta, fixed: own but {name}", estimate("sloreta", lead, 0.0, data))
    return out


def tables(folder: Path) -> None:
    """Print the tables."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("head*.json"))]
    for right in (False, True):
        rows = [one["errors"] for one in found if one["right"] is right]
        if not rows:
            continue
        n = sum(len(row["sloreta, fixed: own"]) for row in rows)
        print(f"\n{'right' if right else 'wrong'} heads: {len(rows)}, {n} sources\n")
        print("| solver, orientation: head | mean, mm | less than shipped (95 %) | of the cost |")
        print("|---|---|---|---|")
        for key in rows[0]:
            solver = key.split(",")[0]
            names = (key, *(f"{solver}, {SHIPPED[solver]}: {h}" for h in ("template", "own")))
            mine, base, own = (np.array([np.mean(row[k]) for row in rows]) for k in names)
            gained, cost = base - mine, float((base - own).mean())
            low, high = _interval(gained)
            share = f"{100 * gained.mean() / cost:.0f} %" if cost > 0.5 else ""
            print(
                f"| {key} | {mine.mean():.1f} | {gained.mean():+.1f} ({low:+.1f} to {high:+.1f}) | "
                f"{share} |"
            )


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Percentiles of the mean over resampled heads."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(4000, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def main(folder: Path, n: int, m: int) -> None:
    """Image what is not there yet, then print."""
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    bank = None
    for seed in range(n):
        path = folder / f"head{seed:03d}.json"
        if not path.exists():
            bank = bank or cap()
            errors = run(bank, seed, m)
            path.write_text(json.dumps({"right": seed % 5 == 4, "errors": errors}))
            print(f"{seed + 1} of {n} heads", file=sys.stderr, flush=True)
    tables(folder)


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[2:]]
    main(Path(sys.argv[1]), *(given + [0, 25][len(given) :]))
