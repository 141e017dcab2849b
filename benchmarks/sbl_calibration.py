"""Are posterior intervals and learned noise honest: ``python -m benchmarks.sbl_calibration``.

Coverage of 90 % intervals on matched simulations (the data come from the head that the solver
knows), by thirds of depth: as the posterior is, and with a floor of the standard deviation for each
third, fitted on the active locations of validation samples of *another* head and cap; over all
locations, and over those that are truly active. The same sample by sample, for caps of 19 and 63
electrodes and at low levels: pooled numbers hide samples in which little is covered. Noise at five
sources and 10 dB, matched and on an unknown head.

``intervals`` stops after the intervals. ``--write FILE ...`` fits the floors for networks and
stores them in their cards.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from majorant.energies.gaussian import GaussianModel
from majorant.energies.variances import Variances
from majorant.head import sparse as sbl_heads
from majorant.learned.factors import EDGES, read_factors
from majorant.learned.unfolded import UnfoldedSBL
from majorant.metrics.calibration import (
    coverage_by_thirds,
    covered,
    floors_by_thirds,
    log_correlation,
    with_floors,
)
from majorant.networks.corrections import Corrections
from majorant.simulate.sparse import SparseBatch, SparseLike, SparseSettings
from majorant.solvers.base import IterativeSolver
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve
from majorant.training.sbl import template_heads
from majorant.weights.sbl import basis_of, unfolded_sbl

FITTED, JUDGED, STEPS = 96, 48, 10
LEVEL = 0.9


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


def fitted(
    solver: IterativeSolver[Variances], data: SparseLike, n: int = FITTED
) -> tuple[float, float, float]:
    """Floors of a solver, from validation samples of ``data``."""
    held_out = replace(data, part="validation", space=data.space)
    batch = held_out.batch(range(n))
    found = solve(held_out.problem(batch), solver)
    assert found.variance is not None
    return floors_by_thirds(
        batch.x, found.estimate, found.variance, depth_of(data), LEVEL, active(batch)
    )


def coverage_lines(data: SparseLike, other: SparseLike, n: int = JUDGED) -> Iterator[str]:
    """Coverage raw and recalibrated on another head, by thirds of depth."""
    batch, depth = data.batch(range(n)), depth_of(data)
    for name, solver in solvers().items():
        floors = fitted(solver, other)
        found = solve(data.problem(batch), solver)
        assert found.variance is not None
        wide = with_floors(found.estimate, found.variance, depth, floors)
        for which, where in (("all", None), ("active", active(batch))):
            for what, variance in (("raw", found.variance), ("recalibrated", wide)):
                shares = coverage_by_thirds(
                    batch.x, found.estimate, variance, depth, LEVEL, where=where
                )
                text = ", ".join(f"{share:.3f}" for share in shares)
                yield f"{name}, {which}, {what}: {text}"
        yield f"{name}: floors {', '.join(f'{floor:.3f}' for floor in floors)}"


def sample_lines(data: SparseLike, other: SparseLike, what: str, n: int = JUDGED) -> Iterator[str]:
    """Coverage of active locations, pooled, and sample by sample: mean and lowest tenth."""
    batch, depth = data.batch(range(n)), depth_of(data)
    where = active(batch)
    for name, solver in solvers().items():
        found = solve(data.problem(batch), solver)
        assert found.variance is not None
        wide = with_floors(found.estimate, found.variance, depth, fitted(solver, other))
        inside = covered(batch.x, found.estimate, wide, LEVEL)
        each = torch.stack([own[at].double().mean() for own, at in zip(inside, where, strict=True)])
        pooled = float(inside[where].double().mean())
        low = float(each.quantile(0.1))
        yield (
            f"{name}, {what}: pooled {pooled:.3f}, mean over samples {float(each.mean()):.3f}, "
            f"a tenth of them below {low:.3f}"
        )


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


def store(path: Path, data: SparseLike) -> tuple[float, ...]:
    """Fit the floors for a network and write them into its card."""
    network, card = Corrections.load(path)
    solver = UnfoldedSBL(network, card.get("mode", "gated"), basis=basis_of(card))
    found = fitted(solver, data)
    floors = tuple(round(floor, 4) for floor in found)
    held = {
        "floors": floors,
        "unit": "largest root mean square of a column; added in quadrature",
        "level": LEVEL,
        "thirds": "columns by length, longest first",
        "where": "active locations",
        "fitted on": f"{FITTED} validation samples, {data.leadfield.n_sensors} electrodes, matched",
    }
    network.save(path, {**card, "recalibration": held})
    return floors


def main() -> None:
    """Measure and print, or fit and store."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", nargs="?", choices=("all", "intervals"), default="all")
    parser.add_argument("--write", type=Path, nargs="+", default=[], metavar="FILE")
    asked = parser.parse_args()
    inverting, generating = sbl_heads.test_head()
    matched = SparseLike(inverting, 777, part="test")
    if asked.write:
        for path in asked.write:
            print(f"{path.name}: floors {store(path, matched)}")
        return
    few, _, usual, _ = (SparseLike(head, 780, part="test") for head, _ in template_heads())
    for line in coverage_lines(matched, usual):
        print(line, flush=True)
    for count, data in ((19, few), (63, usual)):
        other = usual if data is few else few
        for levels in ((0.0, 20.0), (0.0, 0.0)):
            own = replace(data, settings=SparseSettings(snr_db=levels), space=data.space)
            words = f"{count} electrodes, {levels[0]:g} to {levels[1]:g} dB"
            for line in sample_lines(own, other, words):
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
