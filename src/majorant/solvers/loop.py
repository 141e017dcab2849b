"""The one loop: a proposal runs a window of steps, the guard decides, the certificate remembers.

Every solver of the package, classical or learned, enters through :func:`solve`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.guard import VIOLATION, Guard, GuardTest
from majorant.problem import Certificate, MajorantError, Problem, Solution, Status
from majorant.solvers.base import IterativeSolver, KernelSolver, Solver
from majorant.solvers.windows import both_ways, cut, cut_starts, joined, lower, window_length


def solve(
    problem: Problem,
    solver: Solver,
    *,
    max_iter: int | None = None,
    guard: Guard | GuardTest | None = None,
    keep_trace: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Solution:
    """Solve a batch of problems.

    Parameters
    ----------
    problem : Problem
        What is to be solved; samples are independent, and stay so.
    solver : KernelSolver or IterativeSolver
        What solves it. Where it works on windows, longer data are cut, and the estimates
        cross-faded (:mod:`majorant.solvers.windows`).
    max_iter : int or None
        Iteration limit; None takes the solver's.
    guard : Guard, its test as a word, or None
        Overrides the solver's guard. Under any but ``"off"`` the answer is the accepted iterate
        of lowest energy, which is the last one unless the bound that was tested is none.
    keep_trace : bool
        Whether to return every accepted state (of every window, where data are cut).
    progress : callable or None
        Called with (iterations done, iteration limit).

    Returns
    -------
    Solution

    Raises
    ------
    MajorantError
        If the limit is no number of iterations, the solver's guard is no guard, or the solver
        cannot treat the problem.
    """
    solver.require(problem.operator)
    if isinstance(solver, KernelSolver):
        return solver.kernel(problem).apply(problem)
    limit = solver.max_iter if max_iter is None else max_iter
    if not isinstance(limit, Integral) or limit < 0:
        raise MajorantError(f"max_iter is {limit}; it counts iterations, give 0 or more")
    if not isinstance(solver.guard, Guard):
        raise MajorantError(
            f"the solver's guard is {solver.guard!r}; give Guard({solver.guard!r}), or name the "
            "test to solve(guard=...)"
        )
    own = _guard(solver.guard, guard)

    def whole(shown: Problem) -> Solution:
        if not solver.either:
            return _iterate(shown, solver, limit, own, keep_trace, progress)
        return lower(_iterate(both_ways(shown), solver, limit, own, keep_trace, progress))

    window, sfreq = solver.abilities.window, solver.sfreq
    if not solver.cuts or window is None or sfreq is None:
        return whole(problem)
    starts, length = cut_starts(problem.n_times, window_length(window, sfreq))
    return joined(whole(cut(problem, starts, length)), starts, problem.n_times)


def _guard(own: Guard, asked: Guard | GuardTest | None) -> Guard:
    """The solver's guard, another one, or the solver's with another test."""
    if asked is None:
        return own
    if isinstance(asked, Guard):
        return asked
    return replace(own, test=asked, window=1 if asked == "majorant" else own.window)


def _iterate(
    problem: Problem,
    solver: IterativeSolver[Any],
    limit: int,
    guard: Guard,
    keep_trace: bool,
    progress: Callable[[int, int], None] | None,
) -> Solution:
    majorant, proposal = solver.majorant(problem), solver.proposal(problem)
    current = majorant.at(solver.start(problem))
    memory = proposal.begin(problem, current)
    silent = (problem.y == 0).flatten(1).all(1)
    broken = ~_whole(current)
    active = ~silent & ~broken
    converged = torch.zeros_like(active)
    counts = [torch.zeros_like(active, dtype=torch.int64) for _ in range(3)]
    lowest = current
    energies, trace = [current.energy], [current.state] if keep_trace else []
    done = 0
    while done < limit and bool(active.any()):
        steps = min(guard.window, limit - done)
        moving = None if bool(active.all()) else active
        ahead, memory = proposal.advance(majorant, current, memory, steps, moving)
        done += steps
        verdict = guard.decide(majorant, current, ahead, active)
        before, current = current, verdict.surrogate
        whole = _whole(current)
        if not bool(whole.all()):
            broken = broken | (active & ~whole)
            current = majorant.at(current.state.where(whole, before.state))
        tallies = (verdict.refused, verdict.halvings, verdict.fallbacks)
        counts = [old + new for old, new in zip(counts, tallies, strict=True)]
        higher = (current.energy > lowest.energy) & (guard.test != "off")
        mixed = bool(higher.any())
        lowest = majorant.at(lowest.state.where(higher, current.state)) if mixed else current
        energies.append(current.energy)
        if keep_trace:
            trace.append(current.state)
        stopped = active & solver.converged(before, current)
        converged, active = converged | stopped, active & ~stopped & ~broken
        if progress is not None:
            progress(done, limit)
    reading = solver.read(problem, lowest)
    return Solution(
        estimate=reading.estimate,
        status=_status(silent, broken, reading.unexplained, converged, solver.ended(limit)),
        certificate=_certificate(majorant, guard, torch.stack(energies), counts, reading.parts),
        trace=tuple(trace),
        state=lowest.state,
        variance=reading.variance,
        unit=reading.unit,
        details=dict(reading.details),
    )


def _certificate(
    majorant: Majorant[Any],
    guard: Guard,
    energy: Tensor,
    counts: list[Tensor],
    parts: tuple[Certificate, ...],
) -> Certificate:
    """What was promised and kept, from the energies and the tallies, with those of the parts."""
    return Certificate(
        energy=energy,
        violations=count_rises(energy) + sum(part.violations for part in parts),
        refused=counts[0] + sum(part.refused for part in parts),
        halvings=counts[1] + sum(part.halvings for part in parts),
        fallbacks=counts[2] + sum(part.fallbacks for part in parts),
        energy_name=majorant.energy.name,
        bound=majorant.name,
        kind=majorant.kind,
        guard=guard.test if guard.test == "off" else f"{guard.test}, window {guard.window}",
    )


def _whole(surrogate: Surrogate[Any]) -> Tensor:
    """Which samples are finite, and have a finite energy."""
    return surrogate.state.finite() & torch.isfinite(surrogate.energy)


def count_rises(energy: Tensor) -> Tensor:
    """Violations: rises above ``1e-6 max(1, |u|)``, or energies that are not finite, per sample.

    Parameters
    ----------
    energy : Tensor, shape (n_accepted + 1, n_batch)

    Returns
    -------
    Tensor, shape (n_batch,), int64
    """
    allowed = energy[:-1] + VIOLATION * energy[:-1].abs().clamp_min(1.0)
    return (~(energy[1:] <= allowed)).sum(0)


def _status(
    silent: Tensor,
    broken: Tensor,
    unexplained: Tensor | None,
    converged: Tensor,
    end: Status,
) -> tuple[Status, ...]:
    lost = torch.zeros_like(silent) if unexplained is None else unexplained
    columns = (silent, broken, lost, converged)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(
        Status.NO_DATA
        if is_silent
        else Status.NOT_FINITE
        if is_broken
        else Status.NO_SOURCE
        if is_lost
        else Status.CONVERGED
        if is_converged
        else end
        for is_silent, is_broken, is_lost, is_converged in rows
    )
