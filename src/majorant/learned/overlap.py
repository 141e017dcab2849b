"""Long recordings, window by window, for networks trained on short ones.

Windows as long as those of the training overlap by half; each is a problem of its own with its own
amplitude, solved in one batch through the one loop, and the estimates are cross-faded with Hann
weights that sum to one. The certificate of a recording is that of all its windows: mean energies
(which cannot rise where none of them does), sums of the counts.

Simulated currents flow outwards; real ones flow either way, and a network that has seen one
direction only is not odd. So every window is solved for the data and for their negative, and the
direction of the lower energy is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard, GuardTest
from majorant.problem import Certificate, MajorantError, Problem, Solution, Status
from majorant.solvers.loop import solve

WINDOW = 0.125
"""Length of the training windows, s."""

ORDER = (
    Status.NOT_FINITE,
    Status.LIMIT,
    Status.TRAINED,
    Status.CONVERGED,
    Status.NO_SOURCE,
    Status.NO_DATA,
)
"""A recording has the first of these that one of its windows has."""


def solve_long(
    problem: Problem,
    solver: MMNet,
    *,
    window: float = WINDOW,
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
    window : float
        Length of a window, s.
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
    length = round(window * solver.sfreq)
    if length < 2:
        raise MajorantError(
            f"a window of {window} s holds {length} samples at {solver.sfreq} Hz; give a longer one"
        )
    n_batch, n_times = problem.n_batch, problem.n_times
    short = n_times <= length * 3 // 2
    length = n_times if short else length
    starts = [0] if short else window_starts(n_times, length)
    n = len(starts)
    cut = torch.stack([problem.y[:, :, k : k + length] for k in starts], dim=1).flatten(0, 1)
    both = replace(problem, y=torch.cat([cut, -cut]))
    parts = solve(both, solver, max_iter=max_iter, guard=guard, progress=progress)
    final = parts.certificate.energy[-1]
    inward = final[n_batch * n :] < final[: n_batch * n]
    kept = torch.arange(n_batch * n, device=inward.device) + inward * (n_batch * n)
    sign = (1 - 2 * inward.to(parts.estimate.dtype))[:, None, None]
    estimate = (sign * parts.estimate[kept]).unflatten(0, (n_batch, n))
    steps = solver.max_iter if max_iter is None else max_iter
    done = steps == solver.network.settings.iterations
    ended = [Status.TRAINED if done and s is Status.LIMIT else s for s in parts.status]
    status = [ended[k] for k in kept.tolist()]
    amplitude = torch.tensor(parts.details["amplitude"])[kept.cpu()].unflatten(0, (n_batch, n))
    return Solution(
        estimate=cross_fade(estimate, starts, n_times),
        status=tuple(min(status[i * n : (i + 1) * n], key=ORDER.index) for i in range(n_batch)),
        certificate=_joined(parts.certificate, kept, n_batch, n),
        unit=parts.unit,
        details={
            "windows": n,
            "network_rate": solver.network.settings.rate,
            "amplitude": amplitude.tolist(),
            "inward": inward.reshape(n_batch, n).tolist(),
        },
    )


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


def _joined(parts: Certificate, kept: Tensor, n_batch: int, n: int) -> Certificate:
    """One certificate per recording from those of the windows that were kept."""

    def summed(counts: Tensor) -> Tensor:
        return counts[kept].reshape(n_batch, n).sum(1)

    return replace(
        parts,
        energy=parts.energy[:, kept].unflatten(1, (n_batch, n)).mean(2),
        violations=summed(parts.violations),
        refused=summed(parts.refused),
        halvings=summed(parts.halvings),
        fallbacks=summed(parts.fallbacks),
    )
