"""What every solver must keep, as checks that anybody can run on their own.

    from majorant.testing import check_solver
    check_solver(MySolver())

The checks need torch alone. Each makes a tiny problem, and says in one sentence what was found
where a solver does not keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from majorant.errors import MajorantError
from majorant.forward.leadfield import Leadfield
from majorant.problem import MatrixOperator, Problem, Solution, Status
from majorant.randomness import takes_rng
from majorant.registry import spec
from majorant.solvers.base import IterativeSolver, KernelSolver, Solver
from majorant.solvers.loop import count_rises, solve

__all__ = ["CHECKS", "Bench", "check_solver"]

TOLERANCE: Mapping[torch.dtype, float] = MappingProxyType(
    {torch.float64: 1e-8, torch.float32: 2e-3}
)
"""Of a comparison, relative to the largest value of the estimate. Iterative solvers carry rounding
from step to step, so single precision is compared loosely."""

QUICK: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"mean": {"members": ("scan", "sloreta"), "weights": None}, "champagne": {"max_iter": 33}}
)
"""Settings with which a solver keeps the same and takes less time."""


@dataclass(frozen=True, eq=False)
class Bench:
    """A solver and a tiny problem for it.

    Attributes
    ----------
    solver : Solver
    problem : Problem
        Whitened: unit noise.
    regions : bool
        Whether the solver knows its sources by their number.
    """

    solver: Solver
    problem: Problem
    regions: bool = False

    def solve(self, problem: Problem | None = None) -> Solution:
        """Solve as a user would."""
        return solve(problem or self.problem, self.solver)

    @property
    def tolerance(self) -> float:
        """What counts as equal, in the precision in which the solver works."""
        return TOLERANCE[self.solver.abilities.precision or self.problem.y.dtype]

    def close(self, found: Tensor, expected: Tensor) -> bool:
        """Whether two estimates are equal up to rounding."""
        scale = expected.abs().max().clamp_min(torch.finfo(expected.dtype).tiny)
        return bool((found - expected).abs().max() <= self.tolerance * scale)

    @property
    def gain(self) -> Tensor:
        """The lead field as a matrix."""
        matrix = self.problem.operator.matrix()
        assert matrix is not None
        return matrix

    def posed(self, gain: Tensor, y: Tensor, prior: Tensor | None, **more: Any) -> Problem:
        """The problem with other parts."""
        own = self.problem.operator
        operator = MatrixOperator(gain, own.n_orient, own.geometry)
        return Problem(operator, y, source_prior=prior, **more)


@takes_rng
def tiny_problem(
    n_orient: int = 1,
    dtype: torch.dtype = torch.float64,
    n_batch: int = 1,
    *,
    n_sensors: int = 7,
    n_locations: int = 12,
    n_times: int = 9,
    seed: int = 0,
    leadfield: Leadfield | None = None,
) -> Problem:
    """Make a whitened problem of a few sources and sensors.

    Parameters
    ----------
    n_orient : {1, 3}
    dtype : torch.dtype
    n_batch, n_sensors, n_locations, n_times : int
    seed : int
    leadfield : Leadfield, optional
        In place of random columns.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    if leadfield is None:
        gain = normal(n_sensors, n_locations * n_orient)
    else:
        gain = leadfield.gain[:: max(1, leadfield.n_sensors // n_sensors)][:n_sensors]
        gain = gain - gain.mean(0)
        gain = 3.0 * gain[1:] / gain[1:].norm(dim=0).mean()
    bump = torch.exp(-((torch.arange(n_times) - n_times / 2) ** 2) / (n_times / 4) ** 2)
    active = torch.randint(gain.shape[1], (n_batch,), generator=generator)
    y = 4.0 * gain[:, active].mT[:, :, None] * bump.to(gain) + normal(
        n_batch, gain.shape[0], n_times
    )
    prior = 0.5 + torch.rand(gain.shape[1], generator=generator, dtype=torch.float64)
    prior = prior.unflatten(0, (-1, n_orient)).mean(1).repeat_interleave(n_orient)
    own = None if leadfield is not None else prior.to(dtype)
    geometry = None if leadfield is None else leadfield.geometry
    operator = MatrixOperator(gain.to(dtype), n_orient, geometry)
    return Problem(operator, y.to(dtype), source_prior=own)


def _shape(bench: Bench) -> str | None:
    solution, y = bench.solve(), bench.problem.y
    shape = (y.shape[0], bench.problem.operator.n_columns, y.shape[2])
    if tuple(solution.estimate.shape) != shape:
        return f"the estimate has shape {tuple(solution.estimate.shape)}; expected {shape}"
    if solution.estimate.dtype != y.dtype:
        return f"the estimate is {solution.estimate.dtype}, the data {y.dtype}"
    if not bool(torch.isfinite(solution.estimate).all()):
        return "the estimate holds NaN or infinite values"
    if len(solution.status) != len(y):
        return f"{len(solution.status)} statuses for {len(y)} samples"
    return None


def _inputs(bench: Bench) -> str | None:
    problem = bench.problem
    before = [part.clone() for part in (problem.y, bench.gain)]
    prior = None if problem.source_prior is None else problem.source_prior.clone()
    state = torch.get_rng_state()
    bench.solve()
    same = all(map(torch.equal, before, (problem.y, bench.gain)))
    if not same or not _equal(prior, problem.source_prior):
        return "data, lead field or prior were changed in place"
    if not torch.equal(state, torch.get_rng_state()):
        return "the global random numbers were used; take a seed or a torch.Generator"
    return None


def _equal(before: Tensor | None, after: Tensor | None) -> bool:
    return before is None or (after is not None and torch.equal(before, after))


def _alone(bench: Bench) -> str | None:
    together = bench.solve().estimate
    for k, y in enumerate(bench.problem.y):
        alone = bench.solve(replace(bench.problem, y=y[None])).estimate[0]
        if not bench.close(alone, together[k]):
            return f"sample {k} is another alone than among its batch mates"
    return None


def _sensors(bench: Bench) -> str | None:
    order = torch.arange(bench.gain.shape[0]).flip(0)
    mixed = bench.posed(
        bench.gain[order].contiguous(), bench.problem.y[:, order], bench.problem.source_prior
    )
    same = bench.close(bench.solve(mixed).estimate, bench.solve().estimate)
    return None if same else "the order of the sensors changes the estimate"


def _sources(bench: Bench) -> str | None:
    if bench.regions:
        return None
    n = bench.problem.operator.n_orient
    places = torch.arange(bench.problem.operator.n_locations).flip(0)
    order = (places[:, None] * n + torch.arange(n)).flatten()
    prior = bench.problem.source_prior
    mixed = bench.posed(
        bench.gain[:, order].contiguous(), bench.problem.y, None if prior is None else prior[order]
    )
    same = bench.close(bench.solve(mixed).estimate, bench.solve().estimate[:, order])
    return None if same else "the order of the sources changes the estimate"


def _units(bench: Bench) -> str | None:
    """Sensors in another unit, data, lead field and noise alike, change nothing."""
    n, factor = bench.gain.shape[0], 1e3
    noise = None if bench.regions else torch.full((n,), factor**2, dtype=bench.problem.y.dtype)
    other = bench.posed(
        factor * bench.gain, factor * bench.problem.y, bench.problem.source_prior, noise=noise
    )
    same = bench.close(bench.solve(other).estimate, bench.solve().estimate)
    return None if same else "the unit of the sensors changes the estimate"


def _sign(bench: Bench) -> str | None:
    turned = bench.solve(replace(bench.problem, y=-bench.problem.y)).estimate
    same = bench.close(-turned, bench.solve().estimate)
    return None if same else "turning the sign of the data does not turn that of the estimate"


def _scale(bench: Bench) -> str | None:
    larger = bench.solve(replace(bench.problem, y=4.0 * bench.problem.y)).estimate
    same = bench.close(larger / 4.0, bench.solve().estimate)
    return None if same else "the estimate does not grow with the data"


def _windows(bench: Bench) -> str | None:
    try:
        single = bench.solve(replace(bench.problem, y=bench.problem.y[:, :, 4:5]))
    except MajorantError:
        single = None
    if single is not None and not bool(torch.isfinite(single.estimate).all()):
        return "a window of one sample gives NaN or infinite values; image it, or refuse it"
    try:
        replace(bench.problem, y=bench.problem.y[:, :, :0])
    except MajorantError:
        return None
    return "an empty window is not refused"


def _silence(bench: Bench) -> str | None:
    solution = bench.solve(replace(bench.problem, y=torch.zeros_like(bench.problem.y)))
    if bool((solution.estimate != 0).any()):
        return "data of zeros do not give an estimate of zeros"
    if any(status is not Status.NO_DATA for status in solution.status):
        return f"data of zeros end as {solution.status[0].name}, not as NO_DATA"
    return None


def _certificate(bench: Bench) -> str | None:
    """What the certificate says is worked out again, from the estimate and the accepted states."""
    solver, problem = bench.solver, bench.problem
    if isinstance(solver, KernelSolver):
        kernel = solver.kernel(problem)
        miss = kernel.matrix.to(kernel.target.dtype) @ kernel.regularised - kernel.target
        own = torch.linalg.matrix_norm(miss) / torch.linalg.matrix_norm(kernel.target)
        said = kernel.apply(problem).certificate.residual
        if said is None or not torch.allclose(said, own.expand_as(said), rtol=1e-6, atol=1e-15):
            return "the residual of the normal equations is not the one in the certificate"
        return None if bool(own.max() < 1e-5) else f"the normal equations miss by {own.max():.1e}"
    solution = solve(problem, solver, keep_trace=True)
    certificate = solution.certificate
    if not torch.equal(count_rises(certificate.energy), certificate.violations):
        return "the rises of the energy are not those in the certificate"
    if certificate.guard != "off" and not certificate.holds():
        return "the energy rose although a guard was on"
    majorant = solver.majorant(problem)
    for k, state in enumerate(solution.trace):
        every = torch.ones(problem.n_batch, dtype=torch.bool)
        again = majorant.at(state).settled(every).energy
        if not torch.allclose(again, certificate.energy[k], rtol=1e-6, atol=1e-6):
            return f"the energy of accepted state {k} is not the one in the certificate"
    return None


CHECKS: Mapping[str, Callable[[Bench], str | None]] = MappingProxyType(
    {
        "shape, dtype and finite values": _shape,
        "inputs are not changed": _inputs,
        "batch mates do not matter": _alone,
        "order of the sensors": _sensors,
        "order of the sources": _sources,
        "unit of the sensors": _units,
        "sign of the data": _sign,
        "scale of the data": _scale,
        "empty and one-sample windows": _windows,
        "silence": _silence,
        "honest certificate": _certificate,
    }
)
"""Every check: what it is about, and what returns a sentence where it fails."""


def bench_of(
    solver: str | Solver, n_orient: int = 1, dtype: torch.dtype = torch.float64, n_batch: int = 1
) -> Bench:
    """A solver of the registry, or one's own, on a tiny problem that suits it."""
    if not isinstance(solver, str):
        return Bench(solver, tiny_problem(n_orient, dtype, n_batch))
    own = spec(solver)
    regions = own.abilities.space == "regions"
    head = Leadfield.template_small() if regions else None
    size = {"n_sensors": 16, "n_times": 12} if regions else {}
    problem = tiny_problem(n_orient, dtype, n_batch, leadfield=head, **size)
    return Bench(own.make(**QUICK.get(own.name, {})), problem, regions)


def check_solver(
    solver: str | Solver,
    *,
    orientations: tuple[int, ...] | None = None,
    dtypes: tuple[torch.dtype, ...] = (torch.float64, torch.float32),
    batches: tuple[int, ...] = (1, 3),
) -> None:
    """Run every check on a solver.

    Parameters
    ----------
    solver : str or Solver
        A name of the registry, or a solver of one's own.
    orientations : tuple of int or None
        Columns per location to try; None is 1 and 3, or what the registry says.
    dtypes : tuple of torch.dtype
    batches : tuple of int
        Samples solved at once.

    Raises
    ------
    AssertionError
        Listing every check that failed, where, and what was found.
    MajorantError
        If it is neither a solver nor the name of one.
    """
    if not isinstance(solver, (str, IterativeSolver, KernelSolver)):
        name = solver.__name__ if isinstance(solver, type) else "MySolver"
        raise MajorantError(
            f"a {type(solver).__name__} is no solver; give one that is made, as {name}(), or the "
            "name of one"
        )
    if orientations is None:
        fixed_only = isinstance(solver, str) and spec(solver).abilities.orientations == ("fixed",)
        orientations = (1,) if fixed_only else (1, 3)
    failures = []
    for n_orient in orientations:
        for dtype in dtypes:
            for n_batch in batches:
                bench = bench_of(solver, n_orient, dtype, n_batch)
                for title, check in CHECKS.items():
                    found = check(bench)
                    if found is not None:
                        where = f"{n_orient} columns, {dtype}, {n_batch} samples"
                        failures.append(f"{title} ({where}): {found}")
    if failures:
        raise AssertionError("\n".join(failures))
