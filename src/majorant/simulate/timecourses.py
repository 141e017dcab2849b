"""Time courses of simulated sources: autoregressive, pink, and evoked bursts.

Every course has root mean square 1, whatever its kind. All are functions of a key per course
(``simulate/streams.py``), so a course does not depend on the batch it is drawn in.

Source: the simulations of arXiv:2606.07196 (AR(5) and evoked bursts) and common practice (pink).
"""

from __future__ import annotations

from functools import cache
from typing import Literal, get_args

import torch
from torch import Tensor

from majorant.problem import MajorantError
from majorant.simulate import streams

Kind = Literal["ar", "pink", "erp"]

ORDER = 5
RADIUS = (0.9, 1.0)
"""Spectral radius of the autoregressive models: oscillations that last, and do not explode."""

BANK = 256
"""Autoregressive models that are drawn from."""

BURN_IN = 100
"""Samples after which a model has forgotten that it started from zero."""

ERP_BAND = (1.0, 5.0)
"""Hz: frequencies of evoked bursts."""


def courses(
    key: Tensor, n_times: int, sfreq: float, kinds: tuple[Kind, ...] = ("ar", "pink", "erp")
) -> Tensor:
    """Draw time courses; each of the kinds given is equally likely.

    Parameters
    ----------
    key : Tensor, shape (n,), int64
        One key per course.
    n_times : int
        Samples; with a single one every course is a number of magnitude 1.
    sfreq : float
        Sampling rate, Hz.
    kinds : tuple of {"ar", "pink", "erp"}

    Returns
    -------
    Tensor, shape (n, n_times), float32
        Root mean square 1.

    Raises
    ------
    MajorantError
        If a kind is unknown, or the length or the rate is not positive.
    """
    unknown = set(kinds) - set(get_args(Kind))
    if unknown or not kinds:
        raise MajorantError(
            f"time courses {kinds} were asked for; choose from {', '.join(get_args(Kind))}"
        )
    if n_times < 1 or not sfreq > 0:
        raise MajorantError(
            f"{n_times} samples at {sfreq} Hz cannot hold a time course; give at least one sample "
            "and a positive rate"
        )
    chosen = streams.integers(streams.fork(key, 0), 1, len(kinds))[:, 0]
    drawn = torch.zeros(len(key), n_times, device=key.device)
    for position, kind in enumerate(kinds):
        mine = (chosen == position).nonzero()[:, 0]
        if len(mine):
            drawn[mine] = _MAKERS[kind](streams.fork(key[mine], 1), n_times, sfreq)
    power = drawn.square().mean(1, keepdim=True).sqrt()
    return drawn / power.clamp_min(1e-6)


@cache
def ar_models(count: int = BANK, seed: int = 0) -> Tensor:
    """Return stable autoregressive models: coefficients, shape (count, 5), float32.

    Coefficients are normal with deviation 0.5, redrawn until the spectral radius lies in
    ``RADIUS``.
    """
    generator = torch.Generator().manual_seed(seed)
    kept: list[Tensor] = []
    while sum(map(len, kept)) < count:
        drawn = 0.5 * torch.randn(1024, ORDER, generator=generator, dtype=torch.float64)
        companion = torch.diag_embed(torch.ones(1024, ORDER - 1, dtype=torch.float64), offset=-1)
        companion[:, 0] = drawn
        radius = torch.linalg.eigvals(companion).abs().amax(1)
        kept.append(drawn[(radius >= RADIUS[0]) & (radius < RADIUS[1])])
    return torch.cat(kept)[:count].float()


def _autoregressive(key: Tensor, n_times: int, sfreq: float) -> Tensor:
    model = streams.integers(streams.fork(key, 0), 1, BANK)[:, 0]
    weights = ar_models().to(key.device)[model]
    total = n_times + BURN_IN
    noise = streams.normal(streams.fork(key, 1), (total,))
    past = torch.zeros(len(key), ORDER, device=key.device)
    samples = []
    for t in range(total):
        now = (weights * past).sum(1) + noise[:, t]
        past = torch.cat([now[:, None], past[:, :-1]], 1)
        samples.append(now)
    return torch.stack(samples[BURN_IN:], 1)


def _pink(key: Tensor, n_times: int, sfreq: float) -> Tensor:
    """White noise whose power falls as ``1 / f``; drawn four times as long, so it does not wrap."""
    long = 4 * n_times + 4
    spectrum = torch.fft.rfft(streams.normal(key, (long,)))
    order = torch.arange(spectrum.shape[1], device=key.device).clamp_min(1)
    return torch.fft.irfft(spectrum / order.sqrt(), n=long)[:, :n_times]


def _evoked(key: Tensor, n_times: int, sfreq: float) -> Tensor:
    """A sine of 1 to 5 Hz under a Hann window of random place and length."""
    u = streams.uniform(key, 4)
    time = (torch.arange(n_times, device=key.device) + 0.5) / n_times
    frequency = ERP_BAND[0] + (ERP_BAND[1] - ERP_BAND[0]) * u[:, 0]
    centre, length = 0.2 + 0.6 * u[:, 1], 0.5 + 0.5 * u[:, 2]
    offset = ((time - centre[:, None]) / length[:, None]).clamp(-0.5, 0.5)
    window = 0.5 + 0.5 * torch.cos(2.0 * torch.pi * offset)
    seconds = n_times / sfreq
    phase = 2.0 * torch.pi * (frequency[:, None] * time * seconds + u[:, 3:4])
    return (window + 1e-3) * torch.sin(phase)


_MAKERS = {"ar": _autoregressive, "pink": _pink, "erp": _evoked}
