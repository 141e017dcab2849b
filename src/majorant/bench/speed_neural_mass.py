"""Neural masses beside The Virtual Brain's, per region and second, and clips beside their limit.

Both integrate the same columns with Heun's method and the same noise, 998 regions in steps of
0.5 ms. Theirs is measured only where ``tvb-library`` is installed. Ours simulates several runs at
once, as the data sets do; the count is of regions times simulated seconds either way.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import torch

from majorant.simulate import streams
from majorant.simulate.connectome import Connectome
from majorant.simulate.neural_mass import Integration, NeuralMass
from majorant.simulate.neural_mass_clips import Recipe, collect

Row = tuple[str, float, float, str]
"""What was measured, ours and theirs in milliseconds, and what theirs is."""

REGIONS, RUNS = 998, 16
LIMIT_MS = 600_000.0
"""10,000 training clips may take ten minutes."""


def neural_mass_rows() -> Iterator[Row]:
    """Yield every row that can be measured here."""
    for what, wired in (("alone", False), ("all wired to all", True)):
        if find_spec("tvb") is not None:
            theirs = _theirs(wired)
            yield f"a region-second, columns {what}", _ours(wired), theirs, "The Virtual Brain"
    began = time.perf_counter()
    collect(Recipe(), 10_000)
    yield "10,000 neural-mass clips", 1e3 * (time.perf_counter() - began), LIMIT_MS, "limit"


def _wiring() -> tuple[np.ndarray, np.ndarray]:
    """Weights whose rows sum to 1, and lengths up to 100 mm."""
    rng = np.random.default_rng(0)
    weights = rng.random((REGIONS, REGIONS))
    np.fill_diagonal(weights, 0.0)
    return weights / weights.sum(1, keepdims=True), 100.0 * rng.random((REGIONS, REGIONS))


def _ours(wired: bool, n_times: int = 50) -> float:
    """Milliseconds per region-second."""
    weights, lengths = (torch.from_numpy(matrix) for matrix in _wiring())
    network = Connectome(weights, lengths) if wired else None
    model = NeuralMass(integration=Integration(warmup=0), connectome=network)
    gain, key = torch.full((RUNS, REGIONS), 3.25), streams.keys(0, torch.arange(RUNS))
    model.run(gain, key, 2)
    began = time.perf_counter()
    model.run(gain, key, n_times)
    seconds = n_times / model.integration.sfreq
    return 1e3 * (time.perf_counter() - began) / (REGIONS * RUNS * seconds)


def _theirs(wired: bool, n_ms: float = 100.0) -> float:
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
            began = time.perf_counter()
            simulator.run()
            spent = time.perf_counter() - began
    finally:
        logging.disable(logging.NOTSET)
    return 1e3 * spent / (REGIONS * n_ms / 1e3)
