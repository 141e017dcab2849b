"""How often an electrode is called alone that is not, and found that is.

Everyday samples (one to six sources of any size, -5 to 20 dB, another head in every session, noise
of resting cortex with a covariance estimated from a short baseline) on caps of 19 to 128
electrodes. Nobody is alone in them as they are, in noise, and with a single vertex of cortex right
below an electrode, as local as a source gets. Then one electrode of a sample drifts (a ramp from
the first third of the window on) or pops (a jump that decays with a tenth of it), to a largest
value in deviations of its own noise; a hit names that electrode, and first.

    python -m benchmarks.lone            # 40 sessions a cap, the tables of docs/recording.md
    python -m benchmarks.lone 10 19 32   # fewer sessions, some caps
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.regions import CAPS, cap_info
from majorant import SourceImager
from majorant.recording.lone import currents_of, lone_within
from majorant.simulate.everyday import Everyday, EverydaySettings, Session
from majorant.simulate.everyday.cortex import Lists
from majorant.simulate.everyday.heads import world_of

HEADS, SEED, SEEDS = 8, 7, 600
SETTINGS = EverydaySettings(n_times=(100,))
SILENT = replace(SETTINGS, snr_db=(-80.0, -80.0))
LEVELS = (10, 20, 30)
"""dB, of vertices below an electrode."""
SIZES = {"drifts": (6, 12, 30), "pops": (12, 30)}
NEAREST = 10

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


def counted(cap: str, sessions: int) -> dict[str, list[bool]]:
    """What was called alone, or found, in the samples of every case."""
    imager = SourceImager("sloreta").fit(cap_info(cap))
    bank = imager.around_()  # type: ignore[misc]
    names = list(bank.ch_names)
    world = world_of(bank, [names] * HEADS, SEED, "test", fixed=False)
    lists = Lists.grow(world.cortex, "test", 1, SEEDS)
    data, silent = (
        Everyday(world, SEED, part="test", settings=own, lists=lists) for own in (SETTINGS, SILENT)
    )
    away = torch.cdist(torch.from_numpy(bank.electrodes), world.cortex.positions).numpy()
    near = away.argsort(axis=1)[:, :NEAREST]
    info = imager.info_
    places = np.array([info["chs"][info["ch_names"].index(n)]["loc"][:3] for n in names])
    currents = currents_of(places)
    assert currents is not None
    rng, found = np.random.default_rng(SEED), defaultdict(list)
    for number in range(sessions):
        session = data.session(number)
        noise = silent.session(number).batch([0]).y[0].double().numpy()
        white = session.whitener.numpy()
        seen = currents @ white.T
        for name, y, electrode in cases(session, noise, near, rng):
            called = [k for k, _ in lone_within(y, white, seen)]
            found[name].append(bool(called) if electrode is None else called[:1] == [electrode])
    return found


def main(sessions: int, caps: list[str]) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    made = {cap: counted(cap, sessions) for cap in caps}
    print("| | " + " | ".join(f"{cap} electrodes" for cap in caps) + " |")
    print("|---" * (1 + len(caps)) + "|")
    for name in made[caps[0]]:
        cells = [f"{sum(made[cap][name])} of {len(made[cap][name])}" for cap in caps]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40, sys.argv[2:] or list(CAPS))
