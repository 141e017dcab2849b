"""Neural masses beside The Virtual Brain's, per region and second, and clips beside their limit.

    python -m benchmarks.speed_neural_mass      # these rows of ``make bench`` alone

Both integrate the same columns with Heun's method and the same noise, 998 regions in steps of
0.5 ms. Theirs is measured only where ``tvb-library`` is installed. Ours simulates several runs at
once, as the data sets do; the count is of regions times simulated seconds either way. Both run in
turns, and the first turn, in which theirs is compiled, does not count; medians of wall time. On a
machine that others use, processor time says more: ``--processor``.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import numpy as np
import torch

from majorant.simulate import streams
from majorant.simulate.connectome import Connectome
from majorant.simulate.neural_mass import Integration, NeuralMass
from majorant.simulate.neural_mass_clips import ClipRecipe, collect

Row = tuple[str, float, float, str]
"""What was measured, ours and theirs in milliseconds, and what theirs is."""

REGIONS, RUNS, TURNS = 998, 32, 5
LIMIT_MS = 600_000.0
"""10,000 training clips may take ten minutes."""


def neural_mass_rows(clock: Callable[[], float] = time.perf_counter) -> Iterator[Row]:
    """Yield every row that can be measured here.

    Parameters
    ----------
    clock : callable
        Seconds: of the wall, or of the processor, summed over its cores.
    """
    for what, wired in (("alone", False), ("all wired to all", True)):
        if find_spec("tvb") is not None:
            turns = [(_ours(wired, clock), _theirs(wired, clock)) for _ in range(TURNS + 1)]
            ours, theirs = (statistics.median(side) for side in zip(*turns[1:], strict=True))
            yield f"a region-second, columns {what}", ours, theirs, "The Virtual Brain"
    began = clock()
    collect(ClipRecipe(), 10_000)
    yield "10,000 neural-mass clips", 1e3 * (clock() - began), LIMIT_MS, "limit"


def _wiring() -> tuple[np.ndarray, np.ndarray]:
    """Weights whose rows sum to 1, and lengths up to 100 mm."""
    rng = np.random.default_rng(0)
    weights = rng.random((REGIONS, REGIONS))
    np.fill_diagonal(weights, 0.0)
    return weights / weights.sum(1, keepdims=True), 100.0 * rng.random((REGIONS, REGIONS))


def _ours(wired: bool, clock: Callable[[], float]) -> float:
    """Milliseconds per region-second."""
    n_times = 10 if wired else 100
    weights, lengths = (torch.from_numpy(matrix) for matrix in _wiring())
    network = Connectome(weights, lengths) if wired else None
    model = NeuralMass(integration=Integration(warmup=0), connectome=network)
    gain, key = torch.full((RUNS, REGIONS), 3.25), streams.keys(0, torch.arange(RUNS))
    began = clock()
    model.run(gain, key, n_times)
    seconds = n_times / model.integration.sfreq
    return 1e3 * (clock() - began) / (REGIONS * RUNS * seconds)


def _theirs(wired: bool, clock: Callable[[], float], n_ms: float = 100.0) -> float:
    """Milliseconds per region-second."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from tvb.simulator import lab  # pyright: ignore[reportMissingImports]

            weights, lengths = _wiring()
            noise = np.zeros((6, REGIONS, 1))
            noise[4] = 0.0195**2 / 2
            simulator = lab.simulator.Simulator(
                model=lab.models.JansenRit(mu=np.array([0.087]), v0=np.array([6.0])),
                connectivity=lab.connectivity.Connectivity(
                    weights=weights if wired else 0.0 * weights,
                    tract_lengths=lengths,
                    region_labels=np.array([str(i) for i in range(REGIONS)]),
                    centres=np.zeros((REGIONS, 3)),
                    speed=np.array([3.0]),
                ),
                coupling=lab.coupling.SigmoidalJansenRit(
                    a=np.array([1.0]), cmin=np.array([0.0]), cmax=np.array([0.005])
                ),
                integrator=lab.integrators.HeunStochastic(
                    dt=0.5, noise=lab.noise.Additive(nsig=noise)
                ),
                monitors=(lab.monitors.SubSample(period=2.0),),
                simulation_length=n_ms,
            )
            simulator.configure()
            began = clock()
            simulator.run()
            spent = clock() - began
    finally:
        logging.disable(logging.NOTSET)
    return 1e3 * spent / (REGIONS * n_ms / 1e3)


def main(processor: bool) -> None:
    """Print the rows."""
    clock = time.process_time if processor else time.perf_counter
    for what, ours, theirs, beside in neural_mass_rows(clock):
        print(
            f"{what}: {ours:.4g} ms, {beside} {theirs:.4g} ms, {theirs / ours:.0f} times",
            flush=True,
        )


if __name__ == "__main__":
    main("--processor" in sys.argv[1:])
