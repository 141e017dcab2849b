"""What bands of uncertainty cover, per solver: ``python -m benchmarks.coverage``.

Patches on the packaged head (994 regions, 90 electrodes) with Gaussian waveforms, 20 dB, noise of
unit variance; the data come from the head that the solvers know, which is the best case. Two things
can be asked of a 90 % interval of half width 1.645 standard deviations:

- does it hold the mean of the estimates of other noise draws (repetition)? That is what a deviation
  from noise, or from resampling, promises;
- does it hold the simulated current (truth)? That a posterior promises, and nobody else; it cannot
  be asked of a statistic.

Only strong places count: regions whose mean estimate reaches a tenth of its largest value (for
repetition), and regions of the patch (for truth), at times above a tenth of the waveform's peak.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from majorant.findings.uncertainty import from_draws, from_kernel, from_posterior, noise_like
from majorant.forward.leadfield import Leadfield
from majorant.metrics.calibration import recalibrate
from majorant.problem import Problem, Solution
from majorant.registry import SOLVERS
from majorant.simulate.dataset import SereegaLike
from majorant.solvers.base import KernelSolver, Solver
from majorant.solvers.loop import solve
from majorant.weights.floors import shipped_floors

SNR_DB, LEVEL, WIDTH = 20.0, 0.90, 1.6449
REPEATS = 8
"""Noise draws whose mean estimate is what a repetition would find."""
DRAWS = 8
"""Resampled data sets behind a deviation; what `auto` takes."""
STRONG = 0.1
HOPELESS = 1e4
"""Factor above which there is none: some deviations are zero where the truth is not."""


@dataclass(frozen=True)
class Case:
    """Simulated samples in whitened sensors.

    Attributes
    ----------
    problem : Problem
        Clean data, unit noise.
    truth : Tensor, shape (n, n_locations, n_times)
    """

    problem: Problem
    truth: Tensor


@dataclass(frozen=True)
class Row:
    """Shares of values in their interval; None where the question makes no sense.

    Attributes
    ----------
    solver, deviation : str
    repetition : float
    truth : float or None
    factor : float or None
        On the deviations, that would make the truth covered.
    """

    solver: str
    deviation: str
    repetition: float
    truth: float | None
    factor: float | None

    def line(self) -> str:
        """The row in Markdown."""
        cells = [f"{self.repetition:.2f}", "" if self.truth is None else f"{self.truth:.2f}"]
        lost = self.factor is not None and self.factor > HOPELESS
        cells.append("none" if lost else "" if self.factor is None else f"{self.factor:.3g}")
        return f"| {self.solver} | {self.deviation} | {' | '.join(cells)} |"


def simulate(n: int, seed: int = 333) -> Case:
    """Draw samples whose noise has unit variance at every whitened sensor."""
    data = SereegaLike(Leadfield.template_small(), n, seed, part="test", dtype=torch.float64)
    batch, operator = data.batch(range(n)), data.operator()
    x = batch.x
    clean = operator.apply(x)
    size = clean.flatten(1).norm(dim=1) / clean[0].numel() ** 0.5
    scale = (10 ** (SNR_DB / 20) / size)[:, None, None]
    return Case(Problem(operator, scale * clean), scale * x)


def noisy(problem: Problem, seed: int) -> Problem:
    """Add unit noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(problem.y.shape, generator=generator, dtype=problem.y.dtype)
    return replace(problem, y=problem.y + noise)


def run(problem: Problem, solver: Solver) -> Solution:
    """Solve as an average of a recording is solved."""
    return solve(problem, solver)


def deviations(
    problem: Problem, solver: Solver, solution: Solution, name: str = ""
) -> tuple[str, Tensor]:
    """What `--uncertainty auto` gives every sample, (n, n_locations, n_times), and its name."""
    samples = [replace(problem, y=problem.y[i : i + 1]) for i in range(problem.n_batch)]
    floors = shipped_floors(name)
    if solution.variance is not None and floors is not None:
        added = floors.variance(problem, solution.estimate)
        solution = replace(solution, variance=solution.variance + added, floor=added)
    found = [_of_sample(sample, solver, solution, i) for i, sample in enumerate(samples)]
    shape = solution.estimate.shape[1:]
    return found[0][0], torch.stack([one.expand(shape) for _, one in found])


def _of_sample(problem: Problem, solver: Solver, solution: Solution, i: int) -> tuple[str, Tensor]:
    estimate = solution.estimate[i].double()
    if solution.variance is not None:
        found = from_posterior(solution.variance[i], estimate, 1)
    elif isinstance(solver, KernelSolver):
        matrix = solver.kernel(problem).matrix
        found = from_kernel(matrix[0] if matrix.ndim == 3 else matrix, estimate, 1)
    else:
        predicted = problem.operator.apply(estimate[None])
        generator = torch.Generator().manual_seed(i)
        drawn = predicted + noise_like((problem.y - predicted)[0], DRAWS, generator)
        again = run(replace(problem, y=drawn), solver).estimate.double().numpy()
        found = from_draws(estimate.numpy(), iter(again))
    return found.name, torch.as_tensor(found.deviation)


def coverage_of(name: str, case: Case) -> Row:
    """Measure one solver."""
    solver = SOLVERS[name].make()
    problem = noisy(case.problem, 1)
    solution = run(problem, solver)
    kind, deviation = deviations(problem, solver, solution, name)
    estimate = solution.estimate.double()
    others = [run(noisy(case.problem, 2 + k), solver).estimate.double() for k in range(REPEATS)]
    mean = torch.stack(others).mean(0)
    # The mean itself varies by one part in REPEATS of the variance.
    width = WIDTH * deviation * (1 + 1 / REPEATS) ** 0.5
    strong = mean.abs() >= STRONG * mean.abs().amax((1, 2), keepdim=True)
    repetition = float(((estimate - mean).abs() <= width)[strong].double().mean())
    if solution.unit != "Am":
        return Row(name, kind, repetition, None, None)
    active = case.truth.abs() >= STRONG * case.truth.abs().amax((1, 2), keepdim=True)
    inside = ((estimate - case.truth).abs() <= WIDTH * deviation)[active]
    factor = _factor(case.truth, estimate, deviation, active)
    return Row(name, kind, repetition, float(inside.double().mean()), factor)


def _factor(truth: Tensor, estimate: Tensor, deviation: Tensor, active: Tensor) -> float:
    """Factor on the deviations at which nine tenths of the active values are covered."""
    true, found = (t[active].reshape(1, -1, 1) for t in (truth, estimate))
    variance = deviation[active].square().reshape(1, -1)
    return recalibrate(true, found, variance, LEVEL).factor


def rows(n: int, names: tuple[str, ...] = tuple(SOLVERS)) -> Iterator[Row]:
    """Measure solvers one after the other, on the same samples."""
    case = simulate(n)
    for name in names:
        yield coverage_of(name, case)


def main(say: Callable[[str], None] = print) -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description="What bands of uncertainty cover, per solver.")
    parser.add_argument("--n", type=int, default=12, help="samples")
    parser.add_argument("--solvers", default=",".join(SOLVERS), help="names, with commas")
    asked = parser.parse_args()
    say("| solver | deviation | repetition | truth | factor |\n|---|---|---|---|---|")
    for row in rows(asked.n, tuple(asked.solvers.split(","))):
        say(row.line())


if __name__ == "__main__":
    main()
