"""What the MNE door costs: a fit, a Raw beside `apply_inverse_raw`, and trials in batches.

Each is run in a Python of its own, so that the peak of the memory is its alone; beside wall time
stands the time of the processor, which other work on the machine disturbs less. The recording is
random; what is done to it does not depend on what it holds.

    python -m benchmarks.speed_door fit      # or apply, stream, long, mne, trials
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.speed import own_peak_mib
from majorant.problem import MajorantError

Row = tuple[str, float, float, str, str]
SECONDS, SFREQ, CHANNELS = 60.0, 500.0, 64
TRIALS = 32
MADE = "make_inverse_operator"
TIMES, APPLIED, LIMITS = 150, 25, {"mm-net": 60.0, "auto": 250.0}
"""Samples of an average, how often it is imaged (the fastest counts), and ms it may take."""

FITS = 5
"""Of which the fastest counts: the first one loads modules and the head."""


def door_rows() -> Iterator[Row]:
    """Time and memory above the recording itself: (what, ours, theirs, beside, unit)."""
    fit = _alone("fit")
    yield "fit of sLORETA, head in the cache, processor", *fit_pair(fit), MADE, "ms"
    for name, ms in _alone("apply").items():
        what = f"{name}, an average of {CHANNELS} x {TIMES}, processor"
        yield what, ms, LIMITS[name], "limit", "ms"
    ours, theirs = _alone("stream"), _alone("mne")
    what = f"sLORETA over {SECONDS:.0f} s of {CHANNELS} channels at {SFREQ:.0f} Hz"
    yield f"{what}, streamed", ours["ms"], theirs["ms"], "apply_inverse_raw", "ms"
    cpu = ours["cpu_ms"], theirs["cpu_ms"]
    yield f"{what}, processor", *cpu, "apply_inverse_raw", "ms"
    yield f"{what}, memory", ours["mib"], theirs["mib"], "apply_inverse_raw", "MiB"
    long = _alone("long")
    yield "sLORETA over 2 h, streamed, memory", long["mib"], 2048.0, "limit", "MiB"
    trials = _alone("trials")
    yield f"MM-Net, {TRIALS} trials together", trials["ms"], trials["apart_ms"], "one by one", "ms"


def fit_pair(found: dict[str, float]) -> tuple[float, float]:
    """Ours and MNE's milliseconds of the processor."""
    return found["cpu_ms"], found["mne_cpu_ms"]


def _alone(job: str) -> dict[str, float]:
    """Run one job in a Python of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.speed_door", job]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


class Meter:
    """Measures from when it is made: time of the wall and of the processor."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Times in ms, and the largest resident memory of this process so far in MiB."""
        return {
            "ms": 1e3 * (time.perf_counter() - self._wall),
            "cpu_ms": 1e3 * (time.process_time() - self._cpu),
            "mib": own_peak_mib(),
        }


def _info() -> Any:
    import mne
    from mne.proj import make_eeg_average_ref_proj

    names = mne.channels.make_standard_montage("biosemi64").ch_names[:CHANNELS]
    info: Any = mne.create_info(names, SFREQ, "eeg", verbose="error")
    info.set_montage("biosemi64")
    with info._unlock():
        info["projs"] = [make_eeg_average_ref_proj(info, verbose="error")]
    return info


def _raw(folder: Path, seconds: float) -> Any:
    """A recording on disk, so that reading it is part of the job, and memory is not."""
    import mne
    import numpy as np

    info = _info()
    rng = np.random.default_rng(0)
    minute = mne.io.RawArray(
        1e-5 * rng.standard_normal((CHANNELS, round(60 * SFREQ))), info, verbose="error"
    )
    minute.save(folder / "minute_raw.fif", verbose="error")
    files = [folder / "minute_raw.fif"] * max(1, round(seconds / 60))
    parts = [mne.io.read_raw_fif(file, preload=False, verbose="error") for file in files]
    return mne.concatenate_raws(parts, preload=False, verbose="error")


def _stream(folder: Path, seconds: float, space: str = "ico4") -> dict[str, float]:
    from majorant.imager.imager import SourceImager

    raw = _raw(folder, seconds)
    imager = SourceImager("sloreta", space=space, loose=0.2).fit(raw.info)
    meter, checked = Meter(), 0.0
    for piece in imager.stream(raw):
        checked += float(piece.data[0, 0])
    return {**meter.read(), "checked": checked}


def _of_mne(folder: Path, seconds: float) -> dict[str, float]:
    import mne
    from mne.minimum_norm import apply_inverse_raw, make_inverse_operator

    from majorant.head.template import template_forward

    raw = _raw(folder, seconds)
    cov = mne.make_ad_hoc_cov(raw.info, verbose="error")
    forward = template_forward(raw.info, "ico4").forward
    no_depth: Any = None
    inverse = make_inverse_operator(raw.info, forward, cov, depth=no_depth, verbose="error")
    meter = Meter()
    stc: Any = apply_inverse_raw(raw, inverse, 1 / 9, "sLORETA", buffer_size=1000, verbose="error")
    checked = float(stc.data[0, 0])
    return {**meter.read(), "checked": checked}


def _fit() -> dict[str, float]:
    """A fit with the head in the cache, and MNE's inverse operator of the same forward."""
    import mne
    from mne.minimum_norm import make_inverse_operator

    from majorant.imager.imager import SourceImager

    info = _info()
    cov = mne.make_ad_hoc_cov(info, verbose="error")
    forward = SourceImager("sloreta").fit(info, noise_cov=cov).forward_
    ours, theirs = [], []
    for _ in range(FITS):
        meter = Meter()
        SourceImager("sloreta").fit(info, noise_cov=cov)
        ours.append(meter.read())
        meter = Meter()
        make_inverse_operator(info, forward, cov, loose=0.2, depth=0.8, verbose="error")
        theirs.append(meter.read()["cpu_ms"])
    best = min(ours, key=lambda found: found["cpu_ms"])
    return {**best, "mne_cpu_ms": min(theirs)}


def _apply() -> dict[str, float]:
    """Imaging an average by a fitted imager: processor time, ms, of every solver of LIMITS."""
    import mne
    import numpy as np

    from majorant.imager.imager import SourceImager

    info, rng = _info(), np.random.default_rng(0)
    course = np.exp(-(((np.arange(TIMES) / SFREQ - 0.12) / 0.03) ** 2))
    data = 3.0 * rng.standard_normal((CHANNELS, 1)) * course
    data = 1e-6 * (data + rng.standard_normal((CHANNELS, TIMES)))
    average, found = mne.EvokedArray(data, info, verbose="error"), {}
    for name in LIMITS:
        imager = SourceImager(name).fit(info)
        imager.apply(average)
        each = []
        for _ in range(APPLIED):
            meter = Meter()
            imager.apply(average)
            each.append(meter.read()["cpu_ms"])
        found[name] = min(each)
    return found


def _trials() -> dict[str, float]:
    import mne
    import numpy as np

    from majorant.imager.imager import SourceImager

    info, n_times = _info(), 63
    data = 1e-5 * np.random.default_rng(0).standard_normal((TRIALS, CHANNELS, n_times))
    epochs = mne.EpochsArray(data, info, verbose="error")
    imager = SourceImager("mm-net").fit(info)
    imager.apply(epochs)  # loads what is compiled
    meter = Meter()
    imager.apply(epochs)
    together = meter.read()
    meter = Meter()
    for k in range(TRIALS):
        imager.apply(epochs[k])
    return {**together, **{f"apart_{name}": value for name, value in meter.read().items()}}


def main(job: str) -> None:
    """Run one job and print what it cost."""
    jobs = {
        "fit": lambda folder: _fit(),
        "apply": lambda folder: _apply(),
        "stream": lambda folder: _stream(folder, SECONDS),
        "long": lambda folder: _stream(folder, 7200.0, "ico3"),
        "mne": lambda folder: _of_mne(folder, SECONDS),
        "trials": lambda folder: _trials(),
    }
    if job not in jobs:
        raise MajorantError(f"there is no job {job!r}; choose one of {', '.join(jobs)}")
    with tempfile.TemporaryDirectory(prefix="majorant-") as folder:
        print(json.dumps(jobs[job](Path(folder))))


if __name__ == "__main__":
    main(sys.argv[1])
