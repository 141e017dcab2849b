"""Are posterior intervals and learned noise honest: ``python -m benchmarks.sbl_calibration``.

Coverage of 90 % intervals on matched simulations (the data come from the head that the solver
knows), by thirds of depth: as the posterior is, and with the floors that come with the solver,
which were fitted on everyday data and other heads; over all locations, and over those that are
truly active. Noise at five sources and 10 dB, matched and on an unknown head. Sample by sample:
``benchmarks/intervals.py``.

``intervals`` stops after the intervals.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace

import torch

from majorant.energies.gaussian import GaussianModel
from majorant.energies.variances import Variances
from majorant.head import sparse as sbl_heads
from majorant.learned.factors import EDGES, read_factors
from majorant.metrics.calibration import coverage_by_thirds, log_correlation
from majorant.simulate.sparse import SparseBatch, SparseLike, SparseSettings
from majorant.solvers.base import IterativeSolver
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.weights.floors import shipped_floors
from majorant.weights.sbl import unfolded_sbl

JUDGED, STEPS, LEVEL = 48, 10, 0.9
FLOORED = {
    "unfolded everyday": "unfolded-everyday",
    "unfolded gated": "unfolded-mlp",
    "unfolded layers": "unfolded-layers",
    "unfolded attention": "unfolded-attention",
}
"""Whose floors a solver is judged with; the classical ones have none."""


def solvers() -> dict[str, IterativeSolver[Variances]]:
    """What is compared."""
    return {
        "cb-10": Champagne("cb", tol=0.0, max_iter=STEPS),
        "mackay-10": Champagne("mackay", tol=0.0, max_iter=STEPS),
        "unfolded everyday": unfolded_sbl(recalibrated=False),
        "unfolded gated": unfolded_sbl(correction="mlp", recalibrated=False),
        "unfolded layers": unfolded_sbl(correction="layers", recalibrated=False),
        "unfolded attention": unfolded_sbl(correction="attention", recalibrated=False),
    }


def coverage_lines(data: SparseLike, n: int = JUDGED) -> Iterator[str]:
    """Coverage raw and with floors, by thirds of depth."""
    batch, depth = data.batch(range(n)), depth_of(data)
    problem = data.problem(batch)
    for name, solver in solvers().items():
        found = solve(problem, solver)
        floors = shipped_floors(FLOORED[name]) if name in FLOORED else None
        assert found.variance is not None
        shown = {"raw": found.variance}
        if floors is not None:
            shown["recalibrated"] = found.variance + floors.variance(problem, found.estimate)
        for which, where in (("all", None), ("active", active(batch))):
            for what, variance in shown.items():
                shares = coverage_by_thirds(
                    batch.x, found.estimate, variance, depth, LEVEL, where=where
                )
                text = ", ".join(f"{share:.3f}" for share in shares)
                yield f"{name}, {which}, {what}: {text}"


def depth_of(data: SparseLike) -> torch.Tensor:
    """Minus the length of the columns: grows with depth."""
    return -data.leadfield.gain.norm(dim=0)


def active(batch: SparseBatch) -> torch.Tensor:
    """Locations with a source, shape (n_batch, n_locations)."""
    return batch.x.norm(dim=2) > 0


def noise_lines(data: SparseLike, what: str) -> Iterator[str]:
    """Correlation of the logarithms of noise variances; of what factors leave, too."""
    batch = data.batch(range(JUDGED))
    left = read_factors(GaussianModel(data.problem(batch))).noise
    for number, edge in enumerate(EDGES):
        mean = float(log_correlation(batch.noise, left[..., number].exp().float()).mean())
        yield f"factors, edge {edge}, {what}: correlation of log noise {mean:.3f}"
    for name, solver in solvers().items():
        found = torch.tensor(solve(data.problem(batch), solver).details["noise_variance"])
        mean = float(log_correlation(batch.noise, found).mean())
        yield f"{name}, {what}: correlation of log noise {mean:.3f}"


def main() -> None:
    """Measure and print, or fit and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=("all", "intervals"), default="all")
    asked = parser.parse_args()
    inverting, generating = sbl_heads.test_head()
    matched = SparseLike(inverting, 777, part="test")
    for line in coverage_lines(matched):
        print(line, flush=True)
    if asked.part == "intervals":
        return
    five = SparseSettings((5, 5), snr_db=(10.0, 10.0))
    same = replace(matched, seed=778, settings=five, space=matched.space)
    for line in noise_lines(same, "matched"):
        print(line)
    other = SparseLike(inverting, 778, part="test", settings=five, generating=generating)
    for line in noise_lines(other, "unknown head"):
        print(line)


if __name__ == "__main__":
    main()
