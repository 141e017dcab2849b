"""MM-Net beside what its own matrix products take, guarded beside free, and how it grows.

    python -m benchmarks.speed_mmnet            # wall time, for a machine that is idle
    python -m benchmarks.speed_mmnet process    # processor time, for one that is not
    python -m benchmarks.speed_mmnet one        # on one thread

An unrolled solver is a chain of matrix products; everything else it does is overhead. So a solve
stands beside nothing but its products: the same shapes, as often, with nothing in between; and
beside as many operations in large square ones. Runs that are compared take turns, so a busy moment
of the machine hits all of them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.training_step import BATCH, Ways
from majorant.forward.leadfield import Leadfield
from majorant.learned.mmnet import MMNet
from majorant.learned.network import UnrolledNetwork
from majorant.learned.timegrid import TimeGrid
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.linalg import linear
from majorant.majorants.guard import Guard
from majorant.networks.autoencoder import Conv
from majorant.problem import MatrixOperator, Problem
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.loop import solve
from majorant.training.presets import preset
from majorant.weights.shipped import trained

Row = tuple[str, float, float, str]
"""What was measured, ours and theirs in milliseconds, and what theirs is."""

STEPS, REPEATS = 10, 9
SIZES = (1, 64)
"""Windows solved at once."""
SOURCES = (994, 2_562, 5_124, 10_242, 20_484)
TIMES = (64, 128, 256, 512, 1024)
SENSORS, SFREQ = 90, 512.0
SQUARE = 1024
PRESETS = ("cpu", "paper")
FAST = MMNetSettings(
    prior_hidden=256, prior_kernels=(1, 3, 1), outer=1, iterations=STEPS, start="sloreta", rate=128
)
"""The sizes of the shipped weights."""


@dataclass(frozen=True)
class Shape:
    """A matrix product of the solver.

    Attributes
    ----------
    rows, inner, columns : int
    often : int
        How many times in a solve.
    """

    rows: int
    inner: int
    columns: int
    often: int

    @property
    def operations(self) -> int:
        """Floating-point operations of all of them."""
        return 2 * self.rows * self.inner * self.columns * self.often


def shapes(
    network: UnrolledNetwork[Any], n_sensors: int, n_rows: int, steps: int = STEPS
) -> list[Shape]:
    """Return the products of a solve.

    Every step takes a gradient, backward through the prior and the adjoint of the lead field, and
    runs the curvature network; energies are taken at the start as well, forward through both.

    Parameters
    ----------
    network : UnrolledNetwork
    n_sensors : int
    n_rows : int
        Samples times time points, at the rate of the network.
    steps : int
    """
    n_sources = network.settings.n_sources
    prior = {id(layer) for layer in network.prior.modules()}
    found = [
        Shape(n_rows, n_sources, n_sensors, steps + 1),
        Shape(n_rows, n_sensors, n_sources, steps),
    ]
    for layer in network.modules():
        if isinstance(layer, Conv):
            n_out, n_in, kernel = layer.weight.shape
            found.append(Shape(n_rows, kernel * n_in, n_out, steps + (id(layer) in prior)))
            if id(layer) in prior:
                found.append(Shape(n_rows, kernel * n_out, n_in, steps))
    return found


def products(
    found: Sequence[Shape], product: Callable[[Tensor, Tensor], Tensor] | None = None
) -> Callable[[], None]:
    """Return what runs the products of a solve in turns, as a solve does, and nothing else.

    Parameters
    ----------
    found : sequence of Shape
    product : callable or None
        Of (rows, inner) and (columns, inner); None is ``torch.mm`` into memory that is at hand.
    """
    draw = torch.Generator().manual_seed(0)
    cases = [
        (
            torch.randn(s.rows, s.inner, generator=draw),
            torch.randn(s.columns, s.inner, generator=draw),
            torch.empty(s.rows, s.columns),
            s.often,
        )
        for s in found
    ]

    def run() -> None:
        for step in range(max(shape.often for shape in found)):
            for a, b, c, often in cases:
                if step < often:
                    torch.mm(a, b.T, out=c) if product is None else product(a, b)

    return run


def in_turns(
    runs: Sequence[Callable[[], object]],
    repeats: int = REPEATS,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median milliseconds of calls that take turns, each after one to warm up.

    Without that a call would pay for what the one before it left in the cache.

    Parameters
    ----------
    runs : sequence of callable
    repeats : int
    clock : callable
        Seconds; ``time.process_time`` on a machine that is busy otherwise.
    """
    spent: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, times in zip(runs, spent, strict=True):
            run()
            begin = clock()
            run()
            times.append(1e3 * (clock() - begin))
    return [statistics.median(times) for times in spent]


def windows(n: int, network: UnrolledNetwork[Any]) -> tuple[Problem, int]:
    """Return test windows of 90 x 64, and how many rows they are at the network's rate."""
    data = SereegaLike(Leadfield.template_small(), n, part="test")
    problem = data.problem(data.batch(range(n)))
    grid = TimeGrid.between(problem.n_times, data.sfreq, network.settings.rate)
    return problem, n * (problem.n_times if grid is None else grid.down.shape[1])


def window_rows(
    solver: MMNet, sizes: Sequence[int] = SIZES, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Row]:
    """Ten guarded steps beside their products, and beside free ones, which ask for no energies.

    A single window is taken by the compiled loops, and by the general formulas.
    """
    free, usual = Guard("off", window=STEPS), solver.changed(fused=False)
    square = torch.randn(SQUARE, SQUARE, generator=torch.Generator().manual_seed(0))
    for n in sizes:
        problem, n_rows = windows(n, solver.network)
        refused = int(solve(problem, solver, max_iter=STEPS).certificate.refused.sum())
        found = shapes(solver.network, problem.operator.n_sensors, n_rows)
        guarded, plain, off, bare, quick, best = in_turns(
            (
                lambda p=problem: solve(p, solver, max_iter=STEPS),
                lambda p=problem: solve(p, usual, max_iter=STEPS),
                lambda p=problem: solve(p, solver, max_iter=STEPS, guard=free),
                products(found),
                products(found, linear),
                lambda: square @ square,
            ),
            clock=clock,
        )
        operations = sum(shape.operations for shape in found)
        peak = 2e-6 * SQUARE**3 / best
        what = f"MM-Net, {n} window{'s' if n > 1 else ''} of 90 x 64, ten steps"
        ways = ((what, guarded), (f"{what}, general", plain))
        for name, ours in ways if n == 1 else ways[:1]:
            yield name, ours, bare, "its products alone"
            yield name, ours, quick, "its products by oneDNN"
            yield name, ours, operations / peak / 1e6, "as many operations in square products"
        yield f"{what}, guard ({refused} refused)", guarded, off, "guard off"


def made(n_sources: int, n_times: int = 64) -> tuple[Problem, MMNet]:
    """Return one random window of a size, and an untrained solver for it."""
    draw = torch.Generator().manual_seed(0)
    lead = torch.randn(SENSORS, n_sources, generator=draw)
    problem = Problem(MatrixOperator(lead), torch.randn(1, SENSORS, n_times, generator=draw))
    network = MMNetwork(replace(FAST, n_sources=n_sources), draw)
    return problem, MMNet(network, sfreq=SFREQ, guard=Guard("off", window=1))


def growth_rows(
    sources: Sequence[int] = SOURCES,
    times: Sequence[int] = TIMES,
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Row]:
    """Time per source and per time point beside that of the smallest: linear growth is 1."""
    for what, sizes, cases in (
        ("sources", sources, [made(n) for n in sources]),
        ("times", times, [made(sources[0], n) for n in times]),
    ):
        spent = in_turns(
            [lambda c=case: solve(c[0], c[1], max_iter=STEPS) for case in cases], 5, clock
        )
        for size, ms in zip(sizes, spent, strict=True):
            ours, first = 1e3 * ms / size, 1e3 * spent[0] / sizes[0]
            yield f"MM-Net, {size:,} {what}: per 1,000 {what}", ours, first, f"{sizes[0]:,} {what}"


def mmnet_rows(
    solver: MMNet | None = None, clock: Callable[[], float] = time.perf_counter
) -> Iterator[Row]:
    """Yield every row of a solve; the packaged solver by default."""
    yield from window_rows(solver or trained("mm-net"), clock=clock)
    yield from growth_rows(clock=clock)


def training_rows(presets: Sequence[str] = PRESETS) -> Iterator[tuple[str, float, float, str]]:
    """One training step in every way beside the closed form: what, ours, theirs, unit."""
    for name in presets:
        costs = list(Ways(replace(preset(name), batch=BATCH)).costs())
        plain = costs[0]
        for cost in costs:
            title = f"Training step, {name} size, {cost.name}"
            yield title, 1e3 * cost.seconds, 1e3 * plain.seconds, "ms"
            yield f"{title}, memory", cost.mebibytes, plain.mebibytes, "MiB"


def main() -> None:
    """Print the rows of a solve; ``process`` counts the processor's time, not the clock's."""
    clock = time.process_time if "process" in sys.argv[1:] else time.perf_counter
    if "one" in sys.argv[1:]:
        torch.set_num_threads(1)
    for what, ours, theirs, beside in mmnet_rows(clock=clock):
        print(f"{what:60s} {ours:9.2f} {theirs:9.2f} ms  {theirs / ours:.2f}  {beside}", flush=True)


if __name__ == "__main__":
    main()
