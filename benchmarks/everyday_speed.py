"""What a sample of everyday data costs, ms of CPU: `python -m benchmarks.everyday_speed`.

64 electrodes, 5,124 locations, 50 samples, batches of 16, one thread.
"""

from __future__ import annotations

import time

import torch

from majorant.forward.template_bank import template_bank
from majorant.simulate.everyday import Everyday, EverydaySettings
from majorant.simulate.everyday.activity import clips
from majorant.simulate.everyday.heads import world_of

SIZE, STEPS, SFREQ = 16, 20, 128.0


def main() -> None:
    """Print the figures of docs/everyday.md."""
    torch.set_num_threads(1)
    bank = template_bank("biosemi64")
    world = world_of(bank, [bank.ch_names], 1, "test")
    settings = EverydaySettings(n_times=(50,), sfreq=(SFREQ,))
    data = Everyday(world, part="test", settings=settings)
    clips(SFREQ, "test")
    data.session(0)
    fresh = _timed(lambda k: data.session(k + 1))
    session = data.session(0)
    made = _timed(lambda k: session.batch(range(SIZE * k, SIZE * (k + 1)))) / SIZE
    batch = session.batch(range(SIZE))
    dense = _timed(lambda k: batch.x) / SIZE
    print(f"a sample {made:.2f} ms, its truth on the locations {dense:.2f}, a session {fresh:.0f}")


def _timed(work: object) -> float:
    """Mean CPU of a call, ms."""
    assert callable(work)
    start = time.process_time()
    for k in range(STEPS):
        work(k)
    return 1e3 * (time.process_time() - start) / STEPS


if __name__ == "__main__":
    main()
