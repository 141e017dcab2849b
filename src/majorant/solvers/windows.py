"""Long recordings, window by window, and either direction of current: for the one loop.

Windows overlap by half; each is a problem of its own, solved in one batch, and the estimates are
cross-faded with Hann weights that sum to one. The certificate of a recording is that of all its
windows: mean energies (which cannot rise where none of them does), sums of the counts.

Benchmarks simulate outward currents; real ones flow either way. A solver that knows one direction
only is shown the data and their negative, and the direction of the lower energy is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from majorant.problem import Certificate, MajorantError, Problem, Solution, Status

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


def worst_status(status: Sequence[Status]) -> Status:
    """The status of a recording: that of the window which ended worst."""
    return min(status, key=ORDER.index)


def window_length(window: float, sfreq: float) -> int:
    """Samples of a window.

    Raises
    ------
    MajorantError
        If it is shorter than two.
    """
    length = round(window * sfreq)
    if length < 2:
        raise MajorantError(
            f"a window of {window} s holds {length} samples at {sfreq:g} Hz; give a longer one"
        )
    return length


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


def cut(problem: Problem, starts: Sequence[int], length: int) -> Problem:
    """The windows of a batch of recordings as one batch; those of a recording are consecutive."""
    parts = torch.stack([problem.y[:, :, k : k + length] for k in starts], dim=1)
    return replace(problem, y=parts.flatten(0, 1))


def joined(parts: Solution, starts: list[int], n_times: int) -> Solution:
    """One solution per recording from those of its windows.

    Variances are means over the windows; numbers that a solver says of a sample become the list of
    its windows' numbers. No state is returned, for there is one a window.
    """
    n = len(starts)
    n_batch = len(parts.status) // n
    status = parts.status
    variance, floor, noise = (
        None if x is None else x.unflatten(0, (n_batch, n)).mean(1)
        for x in (parts.variance, parts.floor, parts.noise)
    )
    return Solution(
        estimate=cross_fade(parts.estimate.unflatten(0, (n_batch, n)), starts, n_times),
        status=tuple(worst_status(status[i * n : (i + 1) * n]) for i in range(n_batch)),
        certificate=_joined(parts.certificate, n_batch, n),
        trace=parts.trace,
        variance=variance,
        floor=floor,
        noise=noise,
        unit=parts.unit,
        details={"windows": n, **_grouped(parts.details, n_batch, n)},
    )


def both_ways(problem: Problem) -> Problem:
    """The data and their negative, one batch."""
    return replace(problem, y=torch.cat([problem.y, -problem.y]))


def lower(parts: Solution) -> Solution:
    """Of every sample the direction of the lower energy, turned back.

    ``details["inward"]`` names the samples whose data were turned.
    """
    final = parts.certificate.energy[-1]
    n = len(final) // 2
    inward = final[n:] < final[:n]
    kept = torch.arange(n, device=inward.device) + inward * n
    index = kept.tolist()
    sign = (1 - 2 * inward.to(parts.estimate.dtype))[:, None, None]
    variance, floor, noise = (
        None if x is None else x[kept] for x in (parts.variance, parts.floor, parts.noise)
    )
    return Solution(
        estimate=sign * parts.estimate[kept],
        status=tuple(parts.status[k] for k in index),
        certificate=_selected(parts.certificate, kept),
        trace=parts.trace,
        variance=variance,
        floor=floor,
        noise=noise,
        unit=parts.unit,
        details={**_picked(parts.details, index, 2 * n), "inward": inward.tolist()},
    )


def cross_fade(windows: Tensor, starts: Sequence[int], n_times: int) -> Tensor:
    """Join windows with Hann weights that sum to one at every sample.

    Parameters
    ----------
    windows : Tensor, shape (n_batch, n_windows, n_rows, length)
    starts : sequence of int
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


def _grouped(details: dict[str, Any], n_batch: int, n: int) -> dict[str, Any]:
    """What is said of windows, by recording."""
    return {
        key: [value[i * n : (i + 1) * n] for i in range(n_batch)]
        if isinstance(value, list) and len(value) == n_batch * n
        else value
        for key, value in details.items()
    }


def _picked(details: dict[str, Any], index: Sequence[int], length: int) -> dict[str, Any]:
    """What is said of the samples that are kept."""
    return {
        key: [value[k] for k in index]
        if isinstance(value, list) and len(value) == length
        else value
        for key, value in details.items()
    }


def _selected(parts: Certificate, kept: Tensor) -> Certificate:
    """The certificate of some samples."""
    return replace(
        parts,
        energy=parts.energy[:, kept],
        violations=parts.violations[kept],
        refused=parts.refused[kept],
        halvings=parts.halvings[kept],
        fallbacks=parts.fallbacks[kept],
        gradient=_kept(parts.gradient, kept),
        stationarity=_kept(parts.stationarity, kept),
        gap=_kept(parts.gap, kept),
    )


def _kept(values: Tensor | None, kept: Tensor) -> Tensor | None:
    return None if values is None else values[kept]


def _joined(parts: Certificate, n_batch: int, n: int) -> Certificate:
    """One certificate per recording from those of its windows."""

    def summed(counts: Tensor) -> Tensor:
        return counts.reshape(n_batch, n).sum(1)

    def worst(values: Tensor | None) -> Tensor | None:
        return None if values is None else values.reshape(n_batch, n).amax(1)

    return replace(
        parts,
        energy=parts.energy.unflatten(1, (n_batch, n)).mean(2),
        violations=summed(parts.violations),
        refused=summed(parts.refused),
        halvings=summed(parts.halvings),
        fallbacks=summed(parts.fallbacks),
        windows=n,
        gradient=worst(parts.gradient),
        stationarity=worst(parts.stationarity),
        gap=worst(parts.gap),
    )
