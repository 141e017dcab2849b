"""What things cost, as ratios measured side by side: ``make bench``.

A time alone says as much about the machine as about the program, so each row stands beside a
reference run in the same minutes on the same machine. Medians, because machines are shared.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Timing:
    """One row.

    Attributes
    ----------
    what : str
        What was measured.
    ours, theirs : float
        Ours and the reference's (or the limit we set ourselves).
    beside : str
        What the reference is.
    unit : str
        Of both: milliseconds, or MiB of memory.
    """

    what: str
    ours: float
    theirs: float
    beside: str
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        """How many times faster, or smaller, than the reference; above 1 is better."""
        return self.theirs / self.ours


def median_ms(function: Callable[[], object], repeats: int = 5) -> float:
    """Median wall time of a call in milliseconds, after one call to warm up."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def run_python(code: str, **environment: str) -> None:
    """Run a line of code in a Python of its own."""
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, **environment})


def peak_mib(command: list[str]) -> float:
    """Peak resident memory of a command, MiB."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    # Linux counts kilobytes, macOS bytes.
    return usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def own_peak_mib() -> float:
    """Peak resident memory of this process so far, MiB.

    On Linux what ``getrusage`` says of a process holds that of the one that started it, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def import_rows() -> Iterator[Timing]:
    """What ``import majorant`` adds to a bare Python; the limit is 60 ms."""
    bare = median_ms(lambda: run_python("pass"), 9)
    ours = median_ms(lambda: run_python("import majorant"), 9)
    yield Timing("import majorant, over bare Python", max(ours - bare, 1e-3), 60.0, "limit")


def slip_rows() -> Iterator[Timing]:
    """Processor time of help, and of mistakes that need no numerical library."""
    for words, limit in (
        (["--help"], 400.0),
        (["image", "--nope"], 600.0),
        (["image", "nowhere.fif"], 600.0),
        (["image", "nowhere.fif", "--solver", "nope"], 600.0),
        (["audit", "--solvers", "nope"], 600.0),
    ):
        times = [_processor_ms([sys.executable, "-m", "majorant", *words]) for _ in range(5)]
        name = f"majorant {' '.join(words)}"
        yield Timing(name, statistics.median(times), limit, "limit, processor time")


def _processor_ms(command: list[str]) -> float:
    """Processor time of a command, milliseconds, however it ends."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return 1e3 * (usage.ru_utime + usage.ru_stime)


def head_rows() -> Iterator[Timing]:
    """The template head, made for the first time and from the cache."""
    code = (
        "import time; from majorant.forward.template import template_leadfield as f;"
        "t = time.perf_counter(); f('standard_90', space='regions');"
        "print(time.perf_counter() - t)"
    )
    with tempfile.TemporaryDirectory() as cache:
        seconds = []
        for _ in range(4):
            out = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", code],
                check=True,
                capture_output=True,
                text=True,
                env={**os.environ, "MAJORANT_CACHE": cache},
            )
            seconds.append(float(out.stdout.split()[-1]))
    yield Timing("template head, first time", 1e3 * seconds[0], 20_000.0, "limit")
    yield Timing("template head, cached", 1e3 * statistics.median(seconds[1:]), 500.0, "limit")


def image_rows() -> Iterator[Timing]:
    """``majorant image`` as a user runs it, start to exit; the limits are 15 s and 1.5 GiB."""
    with tempfile.TemporaryDirectory() as folder:
        for name, what, solver in _jobs():
            command = [sys.executable, "-m", "majorant.cli", "image", *what, "--overwrite"]
            command += ["--solver", solver, "--out", f"{folder}/{name}-{solver}"]

            def run(command: list[str] = command) -> None:
                subprocess.run(command, check=True, capture_output=True)

            title = f"image {name}, {solver}"
            yield Timing(title, median_ms(run, 1), 15_000.0, "limit")
            yield Timing(f"{title}, memory", peak_mib(command), 1536.0, "limit", "MiB")


def _jobs() -> Iterator[tuple[str, list[str], str]]:
    """The demonstration, and a recording where MAJORANT_RECORDINGS names its folder."""
    folder = os.environ.get("MAJORANT_RECORDINGS")
    real = Path(folder) / "audvis-ave.fif.gz" if folder else None
    for solver in ("sloreta", "champagne"):
        yield "demo", ["--demo"], solver
        if real is not None and real.is_file():
            yield "audvis", [str(real), "--condition", "Left Auditory"], solver


def rows() -> Iterator[Timing]:
    """Every row, in the order of the table."""
    from benchmarks.speed_champagne import champagne_rows, ended_rows
    from benchmarks.speed_door import door_rows
    from benchmarks.speed_live import live_rows
    from benchmarks.speed_mmnet import mmnet_rows, training_rows
    from benchmarks.speed_neural_mass import neural_mass_rows
    from benchmarks.speed_unfolded import batch_seconds, calibrain_rows, unfolded_rows

    yield from import_rows()
    yield from slip_rows()
    yield from head_rows()
    yield from image_rows()
    for name, ours, theirs, _ in champagne_rows():
        yield Timing(name, ours, theirs, "MNE, gamma only")
    for name, ours, limit in ended_rows():
        yield Timing(name, ours, limit, "limit, processor time")
    for name, ours, theirs, _ in unfolded_rows():
        yield Timing(name, ours, theirs, "plain step")
    for name, ours, theirs, _ in calibrain_rows():
        yield Timing(name, ours, theirs, "calibrain's joint map")
    what = "Unfolded, 32 problems of 63 x 5,124, ten layers"
    yield Timing(what, 1e3 * batch_seconds(), 6_000.0, "limit")
    for name, ours, theirs, beside in mmnet_rows():
        yield Timing(name, ours, theirs, beside)
    for name, ours, theirs, unit in training_rows():
        yield Timing(name, ours, theirs, "closed form, eager", unit)
    for row in neural_mass_rows():
        yield Timing(*row)
    for row in door_rows():
        yield Timing(*row)
    for row in live_rows():
        yield Timing(*row)


def main() -> None:
    """Measure, and print every row as it comes; a ratio above 1 is faster, or smaller."""
    print(f"{os.cpu_count()} cores\n")
    print(
        "| what | ours | beside it | unit | beside | ratio |\n|---|---|---|---|---|---|", flush=True
    )
    for row in rows():
        ours, theirs, ratio = map(_figures, (row.ours, row.theirs, row.ratio))
        print(
            f"| {row.what} | {ours} | {theirs} | {row.unit} | {row.beside} | {ratio} |", flush=True
        )


def _figures(value: float) -> str:
    """Write three figures, and no power of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
