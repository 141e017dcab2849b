"""Are posterior intervals and learned noise honest: ``python -m majorant.bench.sbl_calibration``.

Coverage on matched simulations (the data come from the head that the solver knows), as it is and
after one factor on all standard deviations, fitted on validation samples; over all locations, and
over those that are truly active. Noise at five sources and 10 dB, matched and on an unknown head.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from majorant.bench import sbl_heads
from majorant.energies.variances import Variances
from majorant.metrics.calibration import (
    coverage,
    coverage_by_thirds,
    log_correlation,
    recalibrate,
)
from majorant.simulate.sparse import SparseBatch, SparseLike, SparseSettings
from majorant.solvers.base import IterativeSolver
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.weights.sbl import unfolded_sbl

FITTED, JUDGED, STEPS = 16, 24, 10


def solvers() -> dict[str, IterativeSolver[Variances]]:
    """What is compared."""
    return {
        "cb-10": Champagne(tol=0.0, max_iter=STEPS),
        "mackay-10": Champagne("mackay", tol=0.0, max_iter=STEPS),
        "unfolded gated": unfolded_sbl(),
    }


def coverage_lines(data: SparseLike) -> Iterator[str]:
    """Coverage of 90 % intervals, raw and recalibrated by thirds of depth."""
    held_out = replace(data, part="validation", space=data.space)
    depth = -data.leadfield.gain.norm(dim=0)
    fitted, judged = held_out.batch(range(FITTED)), data.batch(range(JUDGED))
    for name, solver in solvers().items():
        first = solve(held_out.problem(fitted), solver)
        last = solve(data.problem(judged), solver)
        assert first.variance is not None
        assert last.variance is not None
        for which in ("all", "active"):
            of_first, of_last = (_where(batch, which) for batch in (fitted, judged))
            raw = coverage(judged.x, last.estimate, last.variance, where=of_last)
            fit = recalibrate(fitted.x, first.estimate, first.variance, where=of_first)
            thirds = coverage_by_thirds(
                judged.x, last.estimate, last.variance, depth, factor=fit.factor, where=of_last
            )
            after = ", ".join(f"{share:.3f}" for share in thirds)
            yield f"{name}, {which}: {raw:.3f}; times {fit.factor:.2f}: {after}"


def _where(batch: SparseBatch, which: str) -> torch.Tensor | None:
    return None if which == "all" else batch.x.norm(dim=2) > 0


def noise_lines(data: SparseLike, what: str) -> Iterator[str]:
    """Correlation of the logarithms of noise variances."""
    batch = data.batch(range(JUDGED))
    for name, solver in solvers().items():
        found = torch.tensor(solve(data.problem(batch), solver).details["noise_variance"])
        mean = float(log_correlation(batch.noise, found).mean())
        yield f"{name}, {what}: correlation of log noise {mean:.3f}"


def main() -> None:
    """Measure and print."""
    inverting, generating = sbl_heads.test_head()
    matched = SparseLike(inverting, 777, part="test")
    for line in coverage_lines(matched):
        print(line)
    five = SparseSettings((5, 5), snr_db=(10.0, 10.0))
    same = replace(matched, seed=778, settings=five, space=matched.space)
    for line in noise_lines(same, "matched"):
        print(line)
    other = SparseLike(inverting, 778, part="test", settings=five, generating=generating)
    for line in noise_lines(other, "unknown head"):
        print(line)


if __name__ == "__main__":
    main()
