"""Long recordings, window by window, for networks trained on short ones.

Windows as long as those of the training overlap by half; each is a problem of its own with its own
amplitude, solved in one batch through the one loop, and the estimates are cross-faded with Hann
weights that sum to one. The certificate of a recording is that of all its windows: mean energies
(which cannot rise where none of them does), sums of the counts.

Benchmarks simulate outward currents; real ones flow either way. A network that was trained on one
direction is shown the data and their negative, and the direction of the lower energy is kept; one
that was trained on both sees the data as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard, GuardTest
from majorant.problem import Certificate, MajorantError, Problem, Solution, Status
from majorant.solvers.loop import solve

ORDER = (
    Status.NOT_FINITE,
    Status.LIMIT,
    Status.TRAINED,
    Status.COMPLETE,
    Status.CONVERGED,
    Status.DIRECT,
    Status.NO_SOURCE,
    Status.NO_DATA,
)
"""A recording has the first of these that one of its windows has."""


def solve_long(
    problem: Problem,
    solver: MMNet,
    *,
    window: float | None = None,
    max_iter: int | None = None,
    guard: Guard | GuardTest | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Solution:
    """Solve recordings of any length, with currents of either direction.

    Parameters
    ----------
    problem : Problem
        Data (n_batch, n_sensors, n_times) at the solver's ``sfreq``.
    solver : MMNet
    window : float or None
        Length of a window, s; None takes that of the training.
    max_iter, guard, progress
        As of :func:`majorant.solvers.loop.solve`.

    Returns
    -------
    Solution
        ``details["windows"]`` says how many there were. Up to one and a half windows are solved
        as one. A network that took the steps of its training has not run into a limit.

    Raises
    ------
    MajorantError
        If a window is shorter than two samples.
    """
    window = solver.window if window is None else window
    length = round(window * solver.sfreq)
    if length < 2:
        raise MajorantError(
            f"a window of {window} s holds {length} samples at {solver.sfreq} Hz; give a longer one"
        )
    n_batch, n_times = problem.n_batch, problem.n_times
    starts, length = cut_starts(n_times, length)
    n = len(starts)
    cut = torch.stack([problem.y[:, :, k : k + length] for k in starts], dim=1).flatten(0, 1)
    parts = solve_windows(
        replace(problem, y=cut), solver, max_iter=max_iter, guard=guard, progress=progress
    )
    status = parts.status
    return Solution(
        estimate=cross_fade(parts.estimate.unflatten(0, (n_batch, n)), starts, n_times),
        status=tuple(worst_status(status[i * n : (i + 1) * n]) for i in range(n_batch)),
        certificate=_joined(parts.certificate, n_batch, n),
        unit=parts.unit,
        details={
            "windows": n,
            "network_rate": solver.network.settings.rate,
            "amplitude": [parts.details["amplitude"][i * n : (i + 1) * n] for i in range(n_batch)],
            "inward": [parts.details["inward"][i * n : (i + 1) * n] for i in range(n_batch)],
        },
    )


def solve_windows(
    problem: Problem,
    solver: MMNet,
    *,
    max_iter: int | None = None,
    guard: Guard | GuardTest | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Solution:
    """Solve windows as they are, each with the direction of current that has the lower energy.

    Parameters and errors as of :func:`majorant.solvers.loop.solve`; every sample is a window.

    Returns
    -------
    Solution
        ``details["inward"]`` names the windows whose data were turned.
    """
    n, signed = problem.n_batch, solver.network.settings.signed
    shown = problem if signed else replace(problem, y=torch.cat([problem.y, -problem.y]))
    parts = solve(shown, solver, max_iter=max_iter, guard=guard, progress=progress)
    final = parts.certificate.energy[-1]
    inward = torch.zeros(n, dtype=torch.bool) if signed else final[n:] < final[:n]
    kept = torch.arange(n, device=inward.device) + inward * n
    sign = (1 - 2 * inward.to(parts.estimate.dtype))[:, None, None]
    steps = solver.max_iter if max_iter is None else max_iter
    done = steps == solver.network.settings.iterations
    ended = [Status.TRAINED if done and s is Status.LIMIT else s for s in parts.status]
    amplitude = torch.tensor(parts.details["amplitude"])[kept.cpu()]
    return Solution(
        estimate=sign * parts.estimate[kept],
        status=tuple(ended[k] for k in kept.tolist()),
        certificate=_selected(parts.certificate, kept),
        unit=parts.unit,
        details={
            "network_rate": solver.network.settings.rate,
            "amplitude": amplitude.tolist(),
            "inward": inward.tolist(),
        },
    )


def worst_status(status: Sequence[Status]) -> Status:
    """The status of a recording: that of the window which ended worst."""
    return min(status, key=ORDER.index)


def cut_starts(n_times: int, length: int) -> tuple[list[int], int]:
    """First samples and length of the windows of a recording; up to one and a half are one."""
    if n_times <= length * 3 // 2:
        return [0], n_times
    return window_starts(n_times, length), length


def window_starts(n_times: int, length: int) -> list[int]:
    """First samples of windows that overlap by half and end with the recording."""
    hop = max(1, length // 2)
    starts = list(range(0, n_times - length, hop))
    return [*starts, n_times - length]


def cross_fade(windows: Tensor, starts: list[int], n_times: int) -> Tensor:
    """Join windows with Hann weights that sum to one at every sample.

    Parameters
    ----------
    windows : Tensor, shape (n_batch, n_windows, n_rows, length)
    starts : list of int
        First sample of every window.
    n_times : int

    Returns
    -------
    Tensor, shape (n_batch, n_rows, n_times)
    """
    length = windows.shape[-1]
    phase = (torch.arange(length, dtype=torch.float64, device=windows.device) + 0.5) / length
    hann = torch.sin(torch.pi * phase) ** 2
    total = torch.zeros(n_times, dtype=torch.float64, device=windows.device)
    for k in starts:
        total[k : k + length] += hann
    joined = windows.new_zeros(windows.shape[0], windows.shape[2], n_times)
    for i, k in enumerate(starts):
        share = (hann / total[k : k + length]).to(windows.dtype)
        joined[:, :, k : k + length] += windows[:, i] * share
    return joined


def _selected(parts: Certificate, kept: Tensor) -> Certificate:
    """The certificate of some samples."""
    return replace(
        parts,
        energy=parts.energy[:, kept],
        violations=parts.violations[kept],
        refused=parts.refused[kept],
        halvings=parts.halvings[kept],
        fallbacks=parts.fallbacks[kept],
    )


def _joined(parts: Certificate, n_batch: int, n: int) -> Certificate:
    """One certificate per recording from those of its windows."""

    def summed(counts: Tensor) -> Tensor:
        return counts.reshape(n_batch, n).sum(1)

    return replace(
        parts,
        energy=parts.energy.unflatten(1, (n_batch, n)).mean(2),
        violations=summed(parts.violations),
        refused=summed(parts.refused),
        halvings=summed(parts.halvings),
        fallbacks=summed(parts.fallbacks),
    )
