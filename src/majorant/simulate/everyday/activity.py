"""What sources do: deflections, complexes, bursts, rhythms, slow courses, neural-mass spikes.

A course is a function of its code: one integer stands for all of its parameters, its phases and
its noise, and belongs to one part of the data alone (:mod:`.parts`). Spikes are cut from
neural-mass clips, of which every part has its own.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from majorant.simulate import streams
from majorant.simulate.everyday.parts import Part, own_codes, owned
from majorant.simulate.general import spikes
from majorant.simulate.timecourses import courses

CLIPS = 3
"""Kind of numbered thing, see :func:`majorant.simulate.everyday.parts.owned`."""
COURSES = 4
"""Seed of all courses: a code means the same everywhere."""
KINDS = ("deflection", "complex", "burst", "rhythm", "slow", "spike")
WIDTH_MS = (40.0, 300.0)
BURST_HZ = (4.0, 35.0)
RHYTHM_HZ = (5.0, 28.0)


def draw_codes(key: Tensor, count: int, part: Part) -> Tensor:
    """Draw codes that a part owns, shape (n_batch, count), int64."""
    return own_codes(part, streams.bits(key, count) & ((1 << 40) - 1))


def play(code: Tensor, n_times: int, sfreq: float, part: Part) -> Tensor:
    """Return the courses of codes.

    Parameters
    ----------
    code : Tensor, shape (n,), int64
    n_times : int
    sfreq : float
        Hz.
    part : {"train", "validation", "test"}
        Whose clips spikes are cut from.

    Returns
    -------
    Tensor, shape (n, n_times), float32
        Largest magnitude 1.
    """
    key = streams.keys(COURSES, code)
    u = streams.uniform(key, 13)
    kind, u = (u[:, 12] * len(KINDS)).long().clamp_max(len(KINDS) - 1), u[:, :12]
    time = torch.arange(n_times, dtype=torch.float32, device=code.device) / sfreq
    made = torch.zeros(len(code), n_times, device=code.device)
    for number, name in enumerate(KINDS):
        mine = (kind == number).nonzero()[:, 0]
        if len(mine):
            made[mine] = _MAKERS[name](u[mine], key[mine], time, sfreq, part)
    largest = made.abs().amax(1, keepdim=True)
    # A window may miss a deflection altogether: what is left of it counts, a silence does not.
    return torch.where(largest > 1e-12, made / largest.clamp_min(1e-12), 1.0)


def _between(u: Tensor, low: float, high: float) -> Tensor:
    return low + (high - low) * u


def _log_between(u: Tensor, low: float, high: float) -> Tensor:
    return low * (high / low) ** u


def _deflection(u: Tensor, key: Tensor, time: Tensor, sfreq: float, part: Part) -> Tensor:
    """One Gaussian, ``exp(-(t - c)^2 / 2 tau^2)`` with ``tau = width / 6``."""
    span = len(time) / sfreq
    tau = _log_between(u[:, 0], *WIDTH_MS)[:, None] / 6e3
    centre = _between(u[:, 1], 0.1, 0.9)[:, None] * span
    return torch.exp(-0.5 * ((time - centre) / tau).square())


def _complex(u: Tensor, key: Tensor, time: Tensor, sfreq: float, part: Part) -> Tensor:
    """Three Gaussians of changing sign, each later and broader, as evoked components are."""
    span = len(time) / sfreq
    tau = _log_between(u[:, 0], *WIDTH_MS) / 6e3
    centre = _between(u[:, 1], 0.05, 0.6) * span
    out, sign = torch.zeros(len(u), len(time)), 1.0
    for k in range(3):
        size = _between(u[:, 2 + k], 0.3, 1.0)
        out = out + sign * size[:, None] * torch.exp(
            -0.5 * ((time - centre[:, None]) / tau[:, None]).square()
        )
        centre = centre + _between(u[:, 5 + k], 2.5, 4.5) * tau
        tau, sign = tau * _between(u[:, 8 + k], 1.0, 1.6), -sign
    return out


def _burst(u: Tensor, key: Tensor, time: Tensor, sfreq: float, part: Part) -> Tensor:
    """A sine under a Gaussian of two to five of its periods."""
    span = len(time) / sfreq
    frequency = _log_between(u[:, 0], BURST_HZ[0], min(BURST_HZ[1], 0.4 * sfreq))[:, None]
    tau = _between(u[:, 1], 0.35, 0.9)[:, None] / frequency
    centre = _between(u[:, 2], 0.1, 0.9)[:, None] * span
    phase = 2 * torch.pi * (frequency * (time - centre) + u[:, 3:4])
    return torch.exp(-0.5 * ((time - centre) / tau).square()) * torch.sin(phase)


def _rhythm(u: Tensor, key: Tensor, time: Tensor, sfreq: float, part: Part) -> Tensor:
    """A sine that waxes and wanes slowly."""
    frequency = _log_between(u[:, 0], *RHYTHM_HZ)[:, None]
    slow = 2 * torch.pi * (_between(u[:, 1], 0.3, 2.0)[:, None] * time + u[:, 2:3])
    phase = 2 * torch.pi * (frequency * time + u[:, 3:4])
    return (1.0 + _between(u[:, 4], 0.0, 0.9)[:, None] * torch.sin(slow)) * torch.sin(phase)


def _slow(u: Tensor, key: Tensor, time: Tensor, sfreq: float, part: Part) -> Tensor:
    """Pink noise, or a slow wave under a window."""
    return courses(streams.fork(key, 1), len(time), sfreq, ("pink", "erp"))


def _spike(u: Tensor, key: Tensor, time: Tensor, sfreq: float, part: Part) -> Tensor:
    """A window around a spike of a neural-mass column."""
    bank, width = clips(sfreq, part), len(time)
    own = (u[:, 0] * len(bank)).long().clamp_max(len(bank) - 1)
    long = torch.nn.functional.pad(bank[own], (width, width))
    place = (u[:, 1] * width).long()
    begin = (long.argmax(1) - place).clamp(0, long.shape[1] - width)
    return long.gather(1, begin[:, None] + torch.arange(width))


@cache
def clips(sfreq: float, part: Part) -> Tensor:
    """Return the neural-mass waveforms that a part owns, (n, n_samples) float32."""
    bank = spikes(sfreq)
    return bank[owned(part, len(bank), CLIPS)]


_MAKERS = {
    "deflection": _deflection,
    "complex": _complex,
    "burst": _burst,
    "rhythm": _rhythm,
    "slow": _slow,
    "spike": _spike,
}
