"""How often an electrode is called alone that is not, and found that is.

Everyday samples (one to six sources of any size, -5 to 20 dB, another head in every session, noise
of resting cortex with a covariance estimated from a short baseline) on caps of 19 to 128
electrodes. Nobody is alone in them as they are, in noise, and with a single vertex of cortex right
below an electrode, as local as a source gets. Then one electrode of a sample drifts (a ramp from
the first third of the window on) or pops (a jump that decays with a tenth of it), to a largest
value in deviations of its own noise; a hit names that electrode, and first.

Most faults do no harm beside stronger sources: `harmful` counts those of which sLORETA's map makes
its maximum, below the electrode, and how many of them are found.

    python -m benchmarks.lone            # 40 sessions a cap
    python -m benchmarks.lone harmful    # the same
    python -m benchmarks.lone 10 19 32   # fewer sessions, some caps
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.regions import CAPS, cap_info
from majorant import SourceImager, registry
from majorant.problem import Problem
from majorant.recording.lone import currents_of, lone_within
from majorant.simulate.everyday import Everyday, EverydaySettings, Session
from majorant.simulate.everyday.cortex import Lists
from majorant.simulate.everyday.heads import world_of
from majorant.solvers.loop import solve

HEADS, SEED, SEEDS = 8, 7, 600
SETTINGS = EverydaySettings(n_times=(100,))
SILENT = replace(SETTINGS, snr_db=(-80.0, -80.0))
LEVELS = (10, 20, 30)
"""dB, of vertices below an electrode."""
SIZES = {"drifts": (6, 12, 30), "pops": (12, 30)}
NEAREST = 10

Counting = Callable[[str, int], dict[str, list[bool]]]
Case = tuple[str, NDArray[np.float64], int | None]
"""Its name, white data, and the electrode that is alone."""


def cases(
    session: Session, noise: NDArray[np.float64], near: NDArray[np.int64], rng: Any
) -> Iterator[Case]:
    """The samples of a session; ``near`` has the vertices below every electrode."""
    white = session.whitener.numpy()
    samples = session.batch(range(5)).y.double().numpy()
    yield from (("everyday", y, None) for y in samples)
    yield "noise", noise, None
    when = np.arange(noise.shape[1]) / noise.shape[1]
    electrode = int(rng.integers(white.shape[1]))
    topography = white @ session.head.seen[int(rng.choice(near[electrode]))].double().numpy()
    source = np.outer(topography, np.exp(-0.5 * ((when - 0.6) / 0.07) ** 2))
    for level in LEVELS:
        loud = np.linalg.norm(noise) / np.linalg.norm(source) * 10 ** (level / 20)
        yield f"vertex below, {level} dB", noise + loud * source, None
    back = np.linalg.pinv(white)
    deviation = np.sqrt((back**2).sum(axis=1))
    later = np.clip(when - 0.5, 0, None)
    courses = {
        "drifts": np.clip((when - 1 / 3) * 1.5, 0, None),
        "pops": (when >= 0.5) * np.exp(-later / 0.1),
    }
    for kind, course in courses.items():
        for size in SIZES[kind]:
            fault = size * deviation[electrode] * np.outer(white[:, electrode], course)
            yield f"{kind} to {size}, in noise", noise + fault, electrode
            yield f"{kind} to {size}, everyday", samples[0] + fault, electrode


@dataclass(frozen=True, eq=False)
class Worn:
    """A cap, and what is needed to record with it.

    Attributes
    ----------
    currents : array, shape (n_places, 3, n_electrodes)
        Of the head of spheres.
    near : array, shape (n_electrodes, 10)
        Vertices below every electrode.
    data, silent : Everyday
        With sources, and without.
    """

    currents: NDArray[np.float64]
    near: NDArray[np.int64]
    data: Everyday
    silent: Everyday


def worn(cap: str) -> Worn:
    """Put a cap on heads that are not the believed one."""
    imager = SourceImager("sloreta").fit(cap_info(cap))
    bank = imager.around_()  # type: ignore[misc]
    names, info = list(bank.ch_names), imager.info_
    world = world_of(bank, [names] * HEADS, SEED, "test", fixed=False)
    lists = Lists.grow(world.cortex, "test", 1, SEEDS)
    data, silent = (
        Everyday(world, SEED, part="test", settings=own, lists=lists) for own in (SETTINGS, SILENT)
    )
    away = torch.cdist(torch.from_numpy(bank.electrodes), world.cortex.positions).numpy()
    places = np.array([info["chs"][info["ch_names"].index(n)]["loc"][:3] for n in names])
    currents = currents_of(places)
    assert currents is not None
    return Worn(currents, away.argsort(axis=1)[:, :NEAREST], data, silent)


def counted(cap: str, sessions: int) -> dict[str, list[bool]]:
    """What was called alone, or found, in the samples of every case."""
    own, rng, found = worn(cap), np.random.default_rng(SEED), defaultdict(list)
    for number in range(sessions):
        session = own.data.session(number)
        noise = own.silent.session(number).batch([0]).y[0].double().numpy()
        white = session.whitener.numpy()
        seen = own.currents @ white.T
        for name, y, electrode in cases(session, noise, own.near, rng):
            called = [k for k, _ in lone_within(y, white, seen)]
            found[name].append(bool(called) if electrode is None else called[:1] == [electrode])
    return found


def harmful(cap: str, sessions: int) -> dict[str, list[bool]]:
    """Of drifts that bring sLORETA's maximum below their electrode: whether they were found."""
    own, rng, found = worn(cap), np.random.default_rng(SEED), defaultdict(list)
    for number in range(sessions):
        session = own.data.session(number)
        white, samples = session.whitener.numpy(), session.batch(range(2)).y.double().numpy()
        gain = session.head.believed.gain.double()
        gain = (gain - gain.mean(0)).unflatten(1, (-1, session.operator.n_orient))
        sees_best = gain.square().sum(2).argmax(0)
        deviation = np.sqrt((np.linalg.pinv(white) ** 2).sum(axis=1))
        course = np.clip((np.arange(samples.shape[2]) / samples.shape[2] - 1 / 3) * 1.5, 0, None)
        for clean in samples:
            electrode = int(rng.integers(white.shape[1]))
            if sees_best[_maximum(session, clean)] == electrode:
                continue
            for size in SIZES["drifts"]:
                fault = size * deviation[electrode] * np.outer(white[:, electrode], course)
                if sees_best[_maximum(session, clean + fault)] == electrode:
                    called = lone_within(clean + fault, white, own.currents @ white.T)
                    found[f"drifts to {size}"].append(electrode in [k for k, _ in called])
    return found


def _maximum(session: Session, y: NDArray[np.float64]) -> int:
    """Location of the maximum of sLORETA's map."""
    problem = Problem(session.operator, torch.from_numpy(y)[None].to(session.data.dtype))
    found = solve(problem, registry.make("sloreta", snr=3.0)).estimate[0]
    columns = found.unflatten(0, (-1, session.operator.n_orient))
    return int(columns.norm(dim=1).amax(1).argmax())


def main(sessions: int, caps: list[str], count: Counting) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    made = {cap: count(cap, sessions) for cap in caps}
    print("| | " + " | ".join(f"{cap} electrodes" for cap in caps) + " |")
    print("|---" * (1 + len(caps)) + "|")
    for name in made[caps[0]]:
        cells = [f"{sum(made[cap][name])} of {len(made[cap][name])}" for cap in caps]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    given = sys.argv[1:]
    asked = given[:1] == ["harmful"]
    given = given[1:] if asked else given
    number = int(given[0]) if given else 40
    main(number, given[1:] or list(CAPS), harmful if asked else counted)
