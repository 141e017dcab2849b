"""How late a live estimate is: from when a sample is taken to when its estimate is there.

64 channels at 500 Hz come in real time, and are taken as the command takes them: all that have come
since the last time, not oftener than every 10 ms, on one thread. Beside it stands the limit of
50 ms.

    python -m benchmarks.speed_live
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from majorant.imager.imager import SourceImager
from majorant.live.chunks import Chunk, Chunks
from majorant.live.engine import engine_for, one_thread
from majorant.live.follow import Following, Toll, follow
from majorant.live.regions import find_regions

__all__ = ["live_rows", "paced", "run_live"]

Row = tuple[str, float, float, str]
"""What was measured, ours and the limit in milliseconds, and that it is one."""

SFREQ, HOP, LIMIT_MS = 500.0, 0.010, 50.0
SECONDS = 8.0
SOLVERS = ("sloreta", "auto", "mm-net")


def live_rows() -> Iterator[Row]:
    """Yield median and 95 % of the latency of every solver named above."""
    for solver in SOLVERS:
        latency = run_live(solver).latency
        for name, share in (("median", 0.5), ("95 %", 0.95)):
            yield f"live, {solver}, {name}", 1e3 * latency.quantile(share), LIMIT_MS, "limit"


def paced(data: np.ndarray, sfreq: float, hop: float) -> Chunks:
    """Hand out samples when their time has come, as an amplifier does."""
    start, done, looked = time.perf_counter(), 0, 0.0
    while done < data.shape[1]:
        time.sleep(max(hop - (time.perf_counter() - looked), 1e-3))
        looked = time.perf_counter()
        come = min(int((looked - start) * sfreq), data.shape[1])
        if come > done:
            times = start + np.arange(done + 1, come + 1) / sfreq
            yield Chunk(data[:, done:come], times, sfreq)
            done = come


def run_live(solver: str, seconds: float = SECONDS, seed: int = 0) -> Toll:
    """Follow simulated data of 64 electrodes for some seconds."""
    import mne

    montage = mne.channels.make_standard_montage("biosemi64")
    info = mne.create_info(montage.ch_names, SFREQ, "eeg", verbose="error")
    info.set_montage(montage, verbose="error")
    imager = SourceImager(solver, space="regions").fit(info)
    rng = np.random.default_rng(seed)
    data = 10e-6 * rng.standard_normal((len(montage.ch_names), round(seconds * SFREQ)))
    engine = engine_for(imager, find_regions(imager.leadfield_, []), SFREQ)
    with one_thread():
        return follow(paced(data, SFREQ, HOP), engine, _Nowhere(), time.perf_counter, Following())


class _Nowhere:
    """Keeps nothing."""

    def write(self, times: np.ndarray, values: np.ndarray) -> None:
        """Let go."""


if __name__ == "__main__":
    for what, ours, limit, _ in live_rows():
        print(f"{what}: {ours:.1f} ms (limit {limit:.0f})")
