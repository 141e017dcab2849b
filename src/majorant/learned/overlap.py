"""Long recordings, window by window, for networks trained on short ones.

Windows as long as those of the training overlap by half; each is a problem of its own with its own
amplitude, solved in one batch through the one loop, and the estimates are cross-faded with Hann
weights that sum to one. The certificate of a recording is that of all its windows: mean energies
(which cannot rise where none of them does), sums of the counts.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from majorant.learned.mmnet import MMNet
from majorant.majorants.guard import Guard, GuardTest
from majorant.problem import Certificate, MajorantError, Problem, Solution, Status
from majorant.solvers.loop import solve

WINDOW = 0.125
"""Length of the training windows, s."""

ORDER = (Status.NOT_FINITE, Status.LIMIT, Status.CONVERGED, Status.NO_SOURCE, Status.NO_DATA)
"""A recording has the first of these that one of its windows has."""


def solve_long(
    problem: Problem,
    solver: MMNet,
    *,
    window: float = WINDOW,
    max_iter: int | None = None,
    guard: Guard | GuardTest | None = None,
) -> Solution:
    """Solve recordings of any length.

    Parameters
    ----------
    problem : Problem
        Data (n_batch, n_sensors, n_times) at the solver's ``sfreq``.
    solver : MMNet
    window : float
        Length of a window, s.
    max_iter, guard
        As of :func:`majorant.solvers.loop.solve`.

    Returns
    -------
    Solution
        ``details["windows"]`` says how many there were. Up to one and a half windows are solved
        as one.

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
    n_times = problem.n_times
    if n_times <= length * 3 // 2:
        whole = solve(problem, solver, max_iter=max_iter, guard=guard)
        return replace(whole, details={**whole.details, "windows": 1})
    starts = window_starts(n_times, length)
    cut = torch.stack([problem.y[:, :, k : k + length] for k in starts], dim=1)
    parts = solve(replace(problem, y=cut.flatten(0, 1)), solver, max_iter=max_iter, guard=guard)
    n_batch, n = problem.n_batch, len(starts)
    estimate = cross_fade(parts.estimate.unflatten(0, (n_batch, n)), starts, n_times)
    status = [parts.status[i * n : (i + 1) * n] for i in range(n_batch)]
    return Solution(
        estimate=estimate,
        status=tuple(min(own, key=ORDER.index) for own in status),
        certificate=_joined(parts.certificate, n_batch, n),
        unit=parts.unit,
        details={
            "windows": n,
            "network_rate": solver.network.settings.rate,
            "amplitude": torch.tensor(parts.details["amplitude"]).unflatten(0, (-1, n)).tolist(),
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
