"""What MM-Net adds to the start that it was trained from: `python -m benchmarks.starts [n] [seed]`.

The rows of Table I that begin at a scan for one patch, and the start alone, scaled to the data, on
the same test samples.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch

from majorant.bench.methods import Method, MethodOutcome, judging, measure
from majorant.bench.rows import Row, as_markdown
from majorant.bench.table1 import FROM, TESTS, TableData
from majorant.forward.leadfield import Leadfield
from majorant.simulate.dataset import Batch, SimulatedPairs
from majorant.solvers.loop import solve
from majorant.weights.shipped import domains, trained


def method(data: SimulatedPairs, start: str, domain: str, steps: int | None) -> Method:
    """The solver, with so many steps; None is all."""
    solver = trained("mm-net", domain, sfreq=data.sfreq, start=start)
    parameters = sum(p.numel() for p in solver.network.parameters())

    def run(batch: Batch) -> MethodOutcome:
        solution = solve(data.problem(batch), solver, max_iter=steps)
        kept = solution.certificate
        return MethodOutcome(solution.estimate, int(kept.violations.sum()), int(kept.refused.sum()))

    return Method(run, domain, 0 if steps == 0 else parameters)


def rows(n: int, seed: int) -> Iterator[Row]:
    """Score starts and solvers on both kinds of data."""
    head, on = Leadfield.template_small(), TableData(n, seed)
    for test in TESTS:
        data = on.half(test, head)
        for name, start in FROM.items():
            for domain in domains("mm-net", start):
                for steps, said in ((0, f"{name}, the start alone"), (None, name)):
                    made = method(data, start, domain, steps)
                    yield measure(said, test, made, data, judging(data), None)


def main(n: int, seed: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    print(as_markdown(list(rows(n, seed))))


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:3]]
    main(*given, *(500, 7007)[len(given) :])
