"""The one loop: a proposal runs a window of steps, the guard decides, the certificate remembers.

Every solver of the package, classical or learned, enters through :func:`solve`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
    recheck: bool = True,
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
    recheck : bool
        Whether the energies of the start and of what is returned are computed again, in float64
        from their definition, and the gradient at the end with them. A stream that has no time for
        that leaves it out; what the guard takes is the same.
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
    own, options = _guard(solver.guard, guard), _Options(keep_trace, recheck, progress)

    def whole(shown: Problem) -> Solution:
        if not solver.either:
            return _iterate(shown, solver, limit, own, options)
        return lower(_iterate(both_ways(shown), solver, limit, own, options))

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


@dataclass(frozen=True)
class _Options:
    """What a caller asks beside the solution; see :func:`solve`."""

    keep_trace: bool
    recheck: bool
    progress: Callable[[int, int], None] | None


def _iterate(
    problem: Problem, solver: IterativeSolver[Any], limit: int, guard: Guard, options: _Options
) -> Solution:
    majorant, proposal = solver.majorant(problem), solver.proposal(problem)
    current = _again(majorant.at(solver.start(problem)), options)
    memory = proposal.begin(problem, current)
    silent = (problem.y == 0).flatten(1).all(1)
    broken = ~_whole(current)
    active = ~silent & ~broken
    converged = torch.zeros_like(active)
    counts = [torch.zeros_like(active, dtype=torch.int64) for _ in range(3)]
    lowest = current
    energies, trace = [current.energy], [current.state] if options.keep_trace else []
    done = 0
    while done < limit and bool(active.any()):
        steps = min(guard.window, limit - done)
        moving = None if bool(active.all()) else active
        ahead, memory = proposal.advance(majorant, current, memory, steps, moving)
        done += steps
        verdict = guard.decide(majorant, current, ahead, active)
        latest = lowest is current
        before, current = verdict.before, verdict.surrogate
        lowest, energies[-1] = before if latest else lowest, before.energy
        whole = _whole(current)
        if not bool(whole.all()):
            broken = broken | (active & ~whole)
            current = _either(majorant, whole, current, before)
        tallies = (verdict.refused, verdict.halvings, verdict.fallbacks)
        counts = [old + new for old, new in zip(counts, tallies, strict=True)]
        higher = (current.energy > lowest.energy) & (guard.test != "off")
        lowest = _either(majorant, higher, lowest, current) if bool(higher.any()) else current
        energies.append(current.energy)
        if options.keep_trace:
            trace.append(current.state)
        stopped = active & solver.converged(before, current)
        converged, active = converged | stopped, active & ~stopped & ~broken
        if options.progress is not None:
            options.progress(done, limit)
    latest, lowest = lowest is current, _again(lowest, options)
    if latest:
        energies[-1] = lowest.energy
    reading = solver.read(problem, lowest)
    certificate = _certificate(majorant, guard, torch.stack(energies), counts, reading.parts)
    if options.recheck:
        certificate = ended(certificate, lowest, guard)
    return Solution(
        estimate=reading.estimate,
        status=_status(silent, broken, reading.unexplained, converged, solver.ended(limit)),
        certificate=replace(certificate, state=solver.certifies(problem)),
        trace=tuple(trace),
        state=lowest.state,
        variance=reading.variance,
        floor=reading.floor,
        noise=reading.noise,
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


def _again(surrogate: Surrogate[Any], options: _Options) -> Surrogate[Any]:
    """The same, its energy in float64 from its definition."""
    every = torch.ones_like(surrogate.energy, dtype=torch.bool)
    return surrogate.settled(every, again=True) if options.recheck else surrogate


def _either(
    majorant: Majorant[Any], chosen: Tensor, one: Surrogate[Any], other: Surrogate[Any]
) -> Surrogate[Any]:
    """Some samples of one and the rest of another, with the energies that are known of both."""
    energy = torch.where(chosen, one.energy, other.energy)
    doubt = torch.where(chosen, torch.as_tensor(one.doubt), torch.as_tensor(other.doubt))
    return majorant.at(one.state.where(chosen, other.state)).restated(energy, doubt)


def ended(certificate: Certificate, end: Surrogate[Any], guard: Guard) -> Certificate:
    """The certificate with what is true where the solve ended.

    Whatever was decided on the way: an end that lies above the start is a violation.
    """
    rises = certificate.violations
    if guard.test != "off":
        rises = torch.maximum(rises, (~_allowed(certificate.energy[0], end.energy)).to(rises))
    return replace(
        certificate,
        violations=rises,
        gradient=end.steepness(),
        stationarity=end.stationarity(),
        gap=end.gap(),
    )


def _allowed(before: Tensor, after: Tensor) -> Tensor:
    """Whether an energy did not rise by what counts; NaN did."""
    return after <= before + VIOLATION * before.abs().clamp_min(1.0)


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
    return (~_allowed(energy[:-1], energy[1:])).sum(0)


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
