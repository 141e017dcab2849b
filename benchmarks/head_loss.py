"""Where a wrong head loses, and what takes it back: `python -m benchmarks.head_loss OUT [n] [m]`.

n heads of the bank's test part: of three, two have skull, electrodes, cap and cortex unlike the
believed ones (``wrong``), one the cortex of the S1200 average beside (``S1200``, where its wheel is
installed); every fifth is the believed one itself (``right``). m single vertices of each one's fine
mesh are seen by 64 electrodes at 10 dB over 15 samples, and imaged on 1,284 vertices:

- ``template``: as it stands;
- ``digitised``: with electrodes where they are, up to 2 mm of noise in every coordinate;
- ``heads``: by the mean lead field over that head and 31 drawn around it (training part), their
  skulls as likely as a recording of the head makes them (`majorant.head.skull`: 60 windows and
  rest, learned from 44 recordings of the training part);
- ``heads, weighed``: the same, weighed by what single places leave of the m windows;
- ``all but ...``: on the head itself with one thing the template's;
- ``own``: on the head itself.

Errors are distances of the strongest source from the truth, kept in OUT as JSON, head by head; a
run goes on where it was. Intervals are over heads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from majorant import registry
from majorant.forward.bank import DrawnHead, HeadBank, HeadSpread
from majorant.forward.leadfield import Leadfield, average_reference
from majorant.forward.mesh import nearest_on_surface
from majorant.forward.other_cortex import s1200_anatomy
from majorant.forward.template_bank import template_bank
from majorant.head.elsewhere import mean_over_heads
from majorant.head.skull import Heard, calibrated, simulate_recording, skull_grid, smoothing
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.loop import solve

NOISE = 0.002
SNR_DB, N_TIMES, N_BANK = 10.0, 15, 31
SPREAD = HeadSpread(shapes=1)
AROUND = HeadSpread(shapes=1, moved_mm=(0, 3), cap_deg=(0, 0))
"""Where electrodes were digitised."""
N_LEARNED, N_WINDOWS = 44, 60
SHARE = 10 ** (-SNR_DB / 10) / (1 + 10 ** (-SNR_DB / 10))
SOLVERS: dict[str, tuple[str, float, dict[str, Any]]] = {
    "sLORETA": ("sloreta", 0.2, {}),
    "sLORETA, joint": ("sloreta", 0.2, {"joint": True}),
    "auto (scan)": ("scan", 1.0, {}),
    "unfolded SBL": ("unfolded-sbl", 0.2, {}),
}
"""Name, variance of tangential columns (a scan's loose is free) and options."""
ORDER = ("template", "digitised", "heads", "heads, weighed", "own")
THINGS = ("skull", "electrodes", "places", "normals", "folds")
FOLDS = "all but folds"


def cap(space: str = "ico3") -> HeadBank:
    """64 electrodes of the 10-05 system's upper head."""
    whole = template_bank("standard_1020", space=space)
    pairs = zip(whole.ch_names, whole.electrodes, strict=True)
    return whole.pick([name for name, place in pairs if place[2] > -0.02][:64])


def free(head: DrawnHead, index: np.ndarray | None = None) -> Leadfield:
    """The lead field of a head's vertices, columns along two tangents and the normal."""
    bank = head.bank
    seen = bank._seen(head.electrodes, head.skull, head.shape, head.spread)
    index = bank._space.index.numpy() if index is None else index
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


def strongest(name: str, lead: Leadfield, data: Tensor) -> np.ndarray:
    """The strongest location of every sample."""
    solver, loose, options = SOLVERS[name]
    rows = average_reference(lead.n_sensors)
    prior = torch.tensor([loose, loose, 1.0]).double().repeat(lead.n_locations)
    operator = MatrixOperator(rows @ lead.gain, lead.n_orient, lead.geometry)
    posed = Problem(operator, rows @ data, None, prior)
    found = solve(posed, registry.make(solver, **options)).estimate
    found = found.unflatten(1, (lead.n_locations, lead.n_orient))
    return found.square().sum(dim=(2, 3)).argmax(dim=1).numpy()


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


def missing(truth: DrawnHead) -> Iterator[tuple[str, Leadfield]]:
    """The head with one thing wrong at a time."""
    bank = truth.bank
    smooth = replace(truth, deform=(0.0, 0.0))
    yield "skull", free(replace(truth, skull=bank.skull))
    yield "electrodes", free(replace(truth, electrodes=bank.electrodes))
    yield "folds", free(smooth)
    for name, cortex in (
        ("normals", (truth.cortex[0], smooth.cortex[1])),
        ("places", (smooth.cortex[0], truth.cortex[1])),
    ):
        other = replace(truth)
        other.__dict__["cortex"] = cortex
        yield name, free(other)


def heard(bank: HeadBank, head: DrawnHead, key: int) -> Heard:
    """What a simulated recording of a head says of its skull."""
    if "grid" not in _MADE:
        _MADE["grid"] = skull_grid(bank)
    if bank.true.subject not in _MADE:
        _MADE[bank.true.subject] = smoothing(bank)
    grid, mix = _MADE["grid"], _MADE[bank.true.subject]
    levels = np.full(N_WINDOWS, SNR_DB)
    return simulate_recording(grid, head, mix, levels, 20, SHARE, key)


_MADE: dict[str, Any] = {}
"""Nine skulls of the believed head, and neighbours on every cortex, once a run."""


def learn(bank: HeadBank, folder: Path) -> list[Heard]:
    """Recordings of the training part to learn from, kept in a file."""
    path = folder / "learned.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    while len(lines) < N_LEARNED:
        k = len(lines)
        one = heard(bank, bank.draw(1, 77, split="train", start=k)[0], k)
        parts = {"windows": one.windows.tolist(), "rest": one.rest.tolist(), "skull": one.skull}
        lines.append(json.dumps(parts))
        with path.open("a") as file:
            file.write(lines[-1] + "\n")
    rows = [json.loads(line) for line in lines[:N_LEARNED]]
    return [Heard(np.array(row["windows"]), np.array(row["rest"]), row["skull"]) for row in rows]


def kind_of(seed: int) -> str:
    """Of which kind a head is."""
    return "right" if seed % 5 == 4 else "S1200" if seed % 5 == 2 else "wrong"


def run(bank: HeadBank, seed: int, m: int, learned: list[Heard]) -> dict[str, list[float]]:
    """Errors of every solver on every head, mm."""
    rng, own = np.random.default_rng([seed, 23]), bank.anatomy
    kind, believed, index = kind_of(seed), plain(bank), None
    if kind == "S1200":
        bank = bank.with_cortex(s1200_anatomy(own))
        used = own.positions[bank._space.index.numpy()]
        index = np.unique(KDTree(bank.true.positions).query(used)[1])
    truth = bank.draw(1, 5, split="test", spread=SPREAD, start=seed)[0]
    truth = believed if kind == "right" else truth
    chosen, data = simulated(truth, m, seed)
    true = bank.true.positions[chosen]
    near = truth.electrodes + NOISE * rng.standard_normal(truth.electrodes.shape)
    near = nearest_on_surface(near, own.scalp, own.scalp_faces)
    digitised = free(replace(believed, electrodes=near))
    said = calibrated(learned).says(heard(bank, truth, 500_000 + seed))
    moved = HeadBank(own, bank.ch_names, near, space=bank.space)
    drawn = moved.iterate(N_BANK, seed, split="train", spread=said.weighted(AROUND))
    others = tuple(free(one).gain for one in drawn)
    leads = {"template": free(believed), "digitised": digitised}
    for name, windows in (("heads", None), ("heads, weighed", data)):
        mean = mean_over_heads(digitised, others, windows)
        leads[name] = replace(digitised, gain=mean.gain)
    places, out = dict.fromkeys(leads, leads["template"].positions.numpy()), {}
    leads["own"] = _on_own(truth, index)
    places["own"] = bank.true.positions[bank._space.index if index is None else index]
    if kind == "wrong":
        for name, lead in missing(truth):
            leads[f"all but {name}"], places[f"all but {name}"] = lead, places["template"]
    for solver in SOLVERS:
        for name, lead in leads.items():
            if name.startswith("all but") and name != FOLDS and solver != "auto (scan)":
                continue
            apart = np.linalg.norm(places[name][strongest(solver, lead, data)] - true, axis=1)
            out[f"{solver}: {name}"] = (1e3 * apart).round(3).tolist()
    return out


def _on_own(truth: DrawnHead, index: np.ndarray | None) -> Leadfield:
    """The lead field of the head itself, with neighbours only where it has the template's."""
    lead = free(truth, index)
    if index is None:
        return lead
    n = len(index)
    return Leadfield.from_arrays(
        gain=lead.gain,
        positions=truth.bank.true.positions[index],
        normals=truth.bank.true.normals[index],
        edges=_nearest(truth.bank.true.positions[index]),
        hemisphere=truth.bank.true.hemisphere[index],
        vertices=np.arange(n),
        ch_names=list(lead.ch_names),
        n_orient=3,
        kind="vertices",
        subject="S1200",
    )


def _nearest(positions: np.ndarray) -> np.ndarray:
    """Each location with its six nearest, (n_edges, 2)."""
    near = KDTree(positions).query(positions, 7)[1][:, 1:]
    pairs = np.stack([np.repeat(np.arange(len(near)), 6), near.ravel()], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def tables(folder: Path) -> None:
    """Print the tables: heads outside the bank beside those that are right, then each kind."""
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("head*.json"))]
    for kind, of in (
        ("outside the bank", ("wrong", "S1200")),
        ("wrong", ("wrong",)),
        ("S1200", ("S1200",)),
    ):
        rows = [one["errors"] for one in found if one["kind"] in of]
        right = [one["errors"] for one in found if one["kind"] == "right"]
        if not rows:
            continue
        n = sum(len(row["sLORETA: own"]) for row in rows)
        print(f"\n{kind}: {len(rows)} heads, {n} sources; where it was right: {len(right)} heads\n")
        gain = "less than on the template (95 %) | of the cost | where it was right, mm"
        print(f"| solver: head | mean error, mm | {gain} |\n|---|---|---|---|---|")
        for solver in SOLVERS:
            for name in (*ORDER, *(f"all but {name}" for name in THINGS)):
                keys = (f"{solver}: {name}", f"{solver}: template", f"{solver}: own")
                if any(keys[0] not in row for row in rows):
                    continue
                mine, base, own = (np.array([np.mean(row[k]) for row in rows]) for k in keys)
                gained, cost = base - mine, float((base - own).mean())
                low, high = _interval(gained)
                share = f"{100 * gained.mean() / cost:.0f} %" if cost > 0.5 else ""
                there = [np.mean(row[keys[0]]) for row in right if keys[0] in row]
                print(
                    f"| {keys[0]} | {mine.mean():.1f} | {gained.mean():+.1f} ({low:+.1f} to "
                    f"{high:+.1f}) | {share} | {f'{np.mean(there):.1f}' if there else ''} |"
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
    bank, learned = None, []
    for seed in range(n):
        path = folder / f"head{seed:03d}.json"
        if not path.exists():
            if bank is None:
                bank = cap()
                learned = learn(bank, folder)
            errors = run(bank, seed, m, learned)
            path.write_text(json.dumps({"kind": kind_of(seed), "errors": errors}))
            print(f"{seed + 1} of {n} heads", file=sys.stderr, flush=True)
    tables(folder)


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[2:]]
    main(Path(sys.argv[1]), *(given + [0, 25][len(given) :]))
