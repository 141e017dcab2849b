"""Do intervals of 90 % hold nine tenths of every recording: ``python -m benchmarks.intervals``.

Posterior deviations of sparse Bayesian solvers and of the scan, with the floors that come with them
(``majorant.solvers.floors``), sample by sample: of every sample the share of the true currents, at
active locations and all times, that lie in their interval. Mean over samples in cells of electrodes
and level, and the tenth of the samples in which least is covered.

Data are everyday ones: one to six sources on the fine mesh, 50 samples, whitened by an estimated
covariance, and every head is another one than the solver believes. Floors are fitted on the bank's
training part; judged is on its test part (other skulls, sources and courses) and on far heads of it
(electrodes moved 3 to 6 mm, cortex 5 to 8 mm, normals turned 25 to 30 degrees).

    python -m benchmarks.intervals                          # judge what is shipped
    python -m benchmarks.intervals scan --heads 2           # one solver, fewer heads
    python -m benchmarks.intervals --fit src/majorant/weights/floors.json
    python -m benchmarks.intervals weights.safetensors --fit OUT.json   # and into their card

``--kept FOLDER`` keeps the heads, which take a second of one core each, and the samples.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from majorant.findings.regions.conformal import quantile
from majorant.forward.bank import HeadSpread
from majorant.forward.template_bank import template_bank
from majorant.head.sparse import TEN_TWENTY
from majorant.networks.corrections import Corrections
from majorant.problem import Problem, Solution
from majorant.simulate.everyday import Everyday, EverydaySettings, World
from majorant.simulate.everyday.heads import world_of
from majorant.simulate.everyday.parts import Part
from majorant.simulate.heads import spread_out
from majorant.simulate.sparse import SparseLike, SparseSettings
from majorant.solvers.champagne import Champagne
from majorant.solvers.floors import Floors, focus_of, scale_of, thirds_of
from majorant.solvers.loop import solve
from majorant.solvers.scan import Scan
from majorant.training.sbl import template_heads
from majorant.weights.floors import shipped_floors
from majorant.weights.sbl import unfolded_sbl

LEVEL, HALF = 0.9, 1.6449
COUNTS, LEVELS = (19, 32, 64, 128), (-5.0, 0.0, 5.0, 10.0, 20.0)
LOCATIONS, FOCUS = (2500.0,), (0.35,)
"""Edges of the floors: coarse meshes and fine ones, and how focal an estimate is."""
SPACES = ("ico3", "ico4")
FAR = HeadSpread(moved_mm=(3, 6), cap_deg=(1, 3), deformed_mm=(5, 8), turned_deg=(25, 30))
SEED, STREAM, SEEDS, TIMES, SHOWN = 71, 5, 600, 50, 12
EXTENTS = ((1, 2), (2, 5), (5, 20), (20, 10_000))
"""Active locations of a sample."""


def solvers() -> Mapping[str, Any]:
    """What has a posterior, without floors."""
    learned = {
        f"unfolded-{name}": unfolded_sbl(correction=name, recalibrated=False)
        for name in ("everyday", "mlp", "layers", "attention")
    }
    return {**learned, "champagne": Champagne(), "scan": Scan()}


def solver_of(name: str) -> Any:
    """One of them, or one's own weights."""
    if Path(name).is_file():
        return unfolded_sbl(weights=name, recalibrated=False)
    return solvers()[name]


@dataclass(frozen=True, eq=False)
class Judged:
    """One sample.

    Attributes
    ----------
    trial : int
        Samples of one number have the same sources on the same head.
    electrodes, locations : int
    level : float
        dB.
    focus : float
        See `focus_of`.
    third : array, shape (n_active,)
        Of the active locations.
    needed : array, shape (n_active, n_shown)
        Floor at which the interval would just hold the truth, in units of `scale_of`; 0 where the
        posterior does.
    """

    trial: int
    electrodes: int
    locations: int
    level: float
    focus: float
    third: np.ndarray
    needed: np.ndarray

    def held(self, floors: Floors | None) -> float:
        """Share of the truth that the interval holds."""
        if floors is None:
            return float((self.needed <= 0).mean())
        row = int(np.searchsorted(floors.locations, self.locations, side="right"))
        entry = int(np.searchsorted(floors.focus, self.focus, side="right"))
        own = np.array(floors.table[row][entry])[self.third]
        return float((self.needed <= own[:, None]).mean())


def heads(part: Part, space: str, n: int, spread: HeadSpread | None, kept: Path | None) -> World:
    """Draw as many heads of every cap, or read those that were drawn before."""
    name = f"{part}{'-far' if spread else ''}-{space}-{n}.pt"
    if kept is not None and (kept / name).exists():
        return torch.load(kept / name, weights_only=False)
    bank = template_bank("standard_1005", space=space)
    generator = torch.Generator().manual_seed(SEED + len(part))
    place, caps = torch.as_tensor(bank.electrodes), []
    for k in range(n):
        for count in COUNTS:
            if count == len(TEN_TWENTY) and k % 2 == 0:
                caps.append(list(TEN_TWENTY))
                continue
            drawn = spread_out(place, count, generator).sort().values.tolist()
            caps.append([bank.ch_names[i] for i in drawn])
    world = world_of(bank, caps, SEED, part, spread=spread)
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        torch.save(world, kept / name)
    return world


def everyday(solver: Any, world: World, part: Part, per_head: int) -> Iterator[Judged]:
    """Samples of every head and level.

    Floors are fitted on the same sources at all levels, which then differ in nothing else, and are
    judged on other ones at each.
    """
    lists = None
    for turn, level in enumerate(LEVELS):
        settings = EverydaySettings(n_times=(TIMES,), snr_db=(level, level))
        stream = STREAM if part == "train" else STREAM + turn
        data = Everyday(world, stream, part=part, settings=settings, seeds=SEEDS, lists=lists)
        lists = data.drawer.lists  # pyright: ignore[reportAttributeAccessIssue]
        for number, head in enumerate(world.heads):
            batch = data.session(number).batch(range(per_head))
            problem = batch.problem()
            found = solve(problem, solver)
            for one in judged(problem, found, batch.x, head.believed.n_sensors, level):
                yield replace(one, trial=number * per_head + one.trial)


def published(solver: Any, n: int) -> Iterator[Judged]:
    """Patches as in the published test, 5 to 20 of them, on the head that the solver knows."""
    heads_ = template_heads()
    for count, number in ((19, 0), (63, 2)):
        data = SparseLike(heads_[number][0], 780, part="test")
        for level in (0.0, 10.0, 20.0):
            settings = SparseSettings(snr_db=(level, level))
            own = SparseLike(
                heads_[number][0], 780, part="test", settings=settings, space=data.space
            )
            batch = own.batch(range(n))
            problem = own.problem(batch)
            yield from judged(problem, solve(problem, solver), batch.x, count, level)


def judged(
    problem: Problem, found: Solution, truth: Tensor, electrodes: int, level: float
) -> Iterator[Judged]:
    """Every sample of a batch that has an active location."""
    assert found.variance is not None
    x, mean, variance = truth.double(), found.estimate.double(), found.variance.double()
    scale, focus = scale_of(problem, found.estimate), focus_of(problem, found.estimate)
    third = thirds_of(problem.operator).expand(len(x), -1)
    shown = torch.linspace(0, x.shape[2] - 1, min(SHOWN, x.shape[2])).long()
    for i in range(len(x)):
        at = x[i].norm(dim=1) > 0
        if not bool(at.any()):
            continue
        missed = ((x[i] - mean[i])[at][:, shown].abs() / HALF).square() - variance[i][at][:, None]
        needed = missed.clamp_min(0).sqrt() / scale[i]
        numbers = i, electrodes, problem.operator.n_locations, level, float(focus[i])
        yield Judged(*numbers, third[i][at].numpy(), needed.numpy())


def fitted(found: Sequence[Judged]) -> Floors:
    """Floors of samples: a conformal quantile for every combination."""
    row = np.searchsorted(LOCATIONS, [one.locations for one in found], side="right")
    entry = np.searchsorted(FOCUS, [one.focus for one in found], side="right")
    rows = []
    for k in range(len(LOCATIONS) + 1):
        entries = []
        for j in range(len(FOCUS) + 1):
            own = [found[i] for i in np.flatnonzero((row == k) & (entry == j))]
            entries.append((_floor(own, 0), _floor(own, 1), _floor(own, 2)))
        rows.append(tuple(entries))
    return Floors(LOCATIONS, FOCUS, tuple(rows))


def _floor(found: Sequence[Judged], third: int) -> float:
    """The quantile of what trials need in a third of the columns."""
    own = [(one.trial, one.needed[one.third == third].ravel()) for one in found]
    own = [(trial, values) for trial, values in own if len(values)]
    if not own:
        raise SystemExit("a combination has no sample: fit on more heads")
    trials = np.concatenate([np.full(len(values), trial) for trial, values in own])
    needed = np.concatenate([values for _, values in own]).astype(np.float64)
    q = quantile(needed, trials, LEVEL)
    return round(float(q if np.isfinite(q) else needed.max()), 3)


def table(found: Sequence[Judged], floors: Floors | None) -> Iterator[str]:
    """Rows of cells: with floors, and the posterior alone."""
    yield "| electrodes | level, dB | samples | mean over samples | a tenth of them below | raw |"
    yield "|---" * 6 + "|"
    counts = sorted({one.electrodes for one in found})
    levels = sorted({one.level for one in found})
    cells: list[tuple[int | None, float | None]] = [(c, v) for c in counts for v in levels]
    cells += [*((c, None) for c in counts), *((None, v) for v in levels), (None, None)]
    for count, level in cells:
        own = [o for o in found if count in (None, o.electrodes) and level in (None, o.level)]
        names = "all" if count is None else count, "all" if level is None else f"{level:g}"
        yield f"| {names[0]} | {names[1]} | {_shares(own, floors)} |"


def extents(found: Sequence[Judged], floors: Floors | None) -> Iterator[str]:
    """The same by the number of active locations."""
    yield "| active locations | samples | mean over samples | a tenth of them below | raw |"
    yield "|---" * 5 + "|"
    for low, high in EXTENTS:
        own = [one for one in found if low <= len(one.third) < high]
        words = f"{low}" if high == low + 1 else f"{low} to {high - 1}" if high < 999 else f"{low}+"
        if own:
            yield f"| {words} | {_shares(own, floors)} |"


def _shares(found: Sequence[Judged], floors: Floors | None) -> str:
    held = np.array([one.held(floors) for one in found])
    raw = np.mean([one.held(None) for one in found])
    return f"{len(held)} | {held.mean():.2f} | {np.quantile(held, 0.1):.2f} | {raw:.2f}"


def recorded(
    name: str, part: Part, space: str, spread: HeadSpread | None, asked: argparse.Namespace
) -> list[Judged]:
    """Samples of a solver on everyday data, from the folder where they were judged before."""
    file = None
    if asked.kept is not None:
        far = "-far" if spread else ""
        file = (
            asked.kept / f"{Path(name).stem}-{part}{far}-{space}-{asked.heads}-{asked.samples}.pt"
        )
        if file.exists():
            return [Judged(**row) for row in torch.load(file, weights_only=False)]
    world = heads(part, space, asked.heads, spread, asked.kept)
    found = list(everyday(solver_of(name), world, part, asked.samples))
    if file is not None:
        torch.save([vars(one) for one in found], file)
    return found


def fit(asked: argparse.Namespace) -> None:
    """Fit floors and write them into a file, beside those of other solvers in it."""
    held = json.loads(asked.fit.read_text()) if asked.fit.exists() else {}
    for name in asked.solvers:
        found = [one for s in asked.spaces for one in recorded(name, "train", s, None, asked)]
        words = f"{len(found)} samples of everyday data on {' and '.join(asked.spaces)}"
        held[name] = {**fitted(found).to_card(), "level": LEVEL, "fitted on": words}
        print(name, held[name]["table"], flush=True)
        if Path(name).is_file():
            network, card = Corrections.load(name)
            network.save(name, {**card, "recalibration": held[name]})
    asked.fit.write_text(json.dumps(held, indent=1) + "\n")


def main() -> None:
    """Judge and print, or fit and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "solvers", nargs="*", help=f"of {', '.join(solvers())}, or a file of weights"
    )
    parser.add_argument("--heads", type=int, default=5, help="of every cap")
    parser.add_argument("--samples", type=int, default=6, help="of every head and level")
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=SPACES)
    parser.add_argument("--fit", type=Path, metavar="FILE")
    parser.add_argument("--kept", type=Path, metavar="FOLDER")
    asked = parser.parse_args()
    asked.solvers = asked.solvers or ["unfolded-everyday", "scan"]
    torch.set_num_threads(1)
    if asked.fit is not None:
        fit(asked)
        return
    kinds: tuple[tuple[str, HeadSpread | None], ...]
    kinds = (("the bank's test part", None), ("far heads", FAR))
    for name in asked.solvers:
        floors, every = shipped_floors(name), []
        for words, spread in kinds:
            for space in asked.spaces:
                found = recorded(name, "test", space, spread, asked)
                every += found
                print(f"\n{name}, {space}, {words}\n", *table(found, floors), sep="\n", flush=True)
        print(f"\n{name}, all of these\n", *table(every, floors), sep="\n")
        print("", *extents(every, floors), sep="\n")
        patches = list(published(solvers()[name], 24))
        print(f"\n{name}, patches as published\n", *table(patches, floors), sep="\n", flush=True)


if __name__ == "__main__":
    main()
