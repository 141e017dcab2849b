"""Data as people record them: several sources of any time course, any cap, any level of noise.

The published benchmarks have one patch, one kind of waveform, one cap and one level of noise. A
solver for other people's recordings is trained on the mixture instead: one to three patches, each
with its own course (deflections, bursts, rhythms, spikes of neural mass), sensor noise and resting
cortex together, white or pink in time, whitened as recordings are; and on many heads, none of which
is the one that the solver believes (:mod:`majorant.simulate.heads`).

All samples of a batch have the same head: that of the turn, see :meth:`General.turn`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from majorant.problem import MajorantError, MatrixOperator
from majorant.randomness import takes_rng
from majorant.simulate import noise, streams
from majorant.simulate.dataset import LEVEL, NOISE, PATCH, WAVEFORM, Batch, Part, SimulatedPairs
from majorant.simulate.heads import SimulatedHead
from majorant.simulate.neural_mass_clips import ClipRecipe, ClipSettings, collect
from majorant.simulate.patches import PatchSettings
from majorant.simulate.timecourses import courses
from majorant.simulate.waveforms import GaussianSettings, draw_gaussians, gaussians

COUNT, SIZE, COLOUR, KIND = range(20, 24)
SPIKES = 600
"""Neural-mass clips that spikes are cut from."""
KINDS = ("deflection", "deflection", "spike", "course")
"""What a patch does; deflections are twice as likely."""


@dataclass(frozen=True)
class GeneralSettings:
    """The mixture.

    Attributes
    ----------
    n_times : int
    sfreq : float
        Hz.
    n_patches : tuple of int
        Numbers of patches, equally likely.
    weakest : float
        Peak of the weakest patch relative to the strongest.
    snr_db : tuple of float
        Range of the signal-to-noise ratio of the white data, dB.
    width_ms : tuple of float
        Of deflections.
    pink : float
        Share of samples whose noise is pink in time.
    patch : PatchSettings
    """

    n_times: int = 32
    sfreq: float = 128.0
    n_patches: tuple[int, ...] = (1, 2, 3)
    weakest: float = 0.4
    snr_db: tuple[float, float] = (-5.0, 20.0)
    width_ms: tuple[float, float] = (45.0, 300.0)
    pink: float = 0.5
    patch: PatchSettings = field(default_factory=PatchSettings)


@dataclass(frozen=True)
class Several(Batch):
    """Samples of several patches; ``space``, ``time``, ``seed`` are those of the strongest.

    Attributes
    ----------
    spaces : Tensor, shape (n_batch, n_patches, n_locations)
    times : Tensor, shape (n_batch, n_patches, n_times)
    """

    spaces: Tensor
    times: Tensor

    def sources(self, grid: Tensor | None = None) -> Tensor:
        """The sources, all patches together; see :meth:`Batch.sources`."""
        times = self.times if grid is None else self.times @ grid
        return (times.mT @ self.spaces).mT


class OneHead(SimulatedPairs):
    """Samples of one head.

    Parameters
    ----------
    head : SimulatedHead
        White sensors.
    n, seed, part, redraw, device, dtype
        As of :class:`majorant.simulate.dataset.SereegaLike`.
    settings : GeneralSettings, optional
    """

    @takes_rng
    def __init__(
        self,
        head: SimulatedHead,
        n: int | None = None,
        seed: int = 333,
        *,
        part: Part = "train",
        settings: GeneralSettings | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.settings = settings or GeneralSettings()
        patch = self.settings.patch
        super().__init__(head.true, n, seed, part, patch, "none", device, dtype)
        self.leadfield = head.believed
        gain = head.believed.gain.to(self.device, self.dtype)
        self._operator = MatrixOperator(gain, geometry=head.believed.geometry)

    @property
    def sfreq(self) -> float:
        """Sampling rate, Hz."""
        return self.settings.sfreq

    @property
    def n_times(self) -> int:
        """Samples of a window."""
        return self.settings.n_times

    def operator(self) -> MatrixOperator:
        """The operator that the solver believes, always the same object."""
        return self._operator

    def batch(self, index: Tensor | Sequence[int] | range, epoch: int = 0) -> Several:
        """Make samples; see :meth:`SimulatedPairs.batch`."""
        s = self.settings
        chosen, key = self.chosen(index)
        most = max(s.n_patches)
        seed, row = self.patches.draw(streams.fork(key, PATCH), most)
        peak = self._peaks(key, most)
        times = peak[:, :, None] * self._courses(streams.fork(key, WAVEFORM), most)
        signal = torch.einsum("bkn,bkt->bnt", self._topographies[row, seed], times)
        low, high = s.snr_db
        snr_db = low + (high - low) * streams.uniform(streams.fork(key, LEVEL), 1)[:, 0]
        fresh = streams.fork(streams.fork(key, NOISE), epoch if self.redraw else 0)
        y = signal + noise.at_snr(signal, self._noise(fresh, signal), snr_db)
        scale = y.abs().amax(dim=(1, 2))
        size = times.abs().amax(2)
        first = size.argmax(1)
        each = torch.arange(len(chosen), device=self.device)
        spaces, largest = self.patches.maps(seed, row), size.amax(1)
        times = times / largest[:, None, None]
        none = torch.full_like(largest, torch.nan)
        return Several(
            y=y / scale[:, None, None],
            space=spaces[each, first],
            time=times[each, first],
            index=chosen,
            seed=seed[each, first],
            order=self.patches.orders[row[each, first]],
            width=none,
            centre=none,
            snr_db=snr_db,
            scale=scale / largest,
            spaces=spaces,
            times=times,
        )

    def _peaks(self, key: Tensor, most: int) -> Tensor:
        """Peak of every patch, signed; zero for those a sample has not, (n_batch, most)."""
        counts = torch.tensor(self.settings.n_patches, device=self.device)
        pick = streams.integers(streams.fork(key, COUNT), 1, len(counts))
        there = torch.arange(most, device=self.device) < counts[pick]
        u = streams.uniform(streams.fork(key, SIZE), 2 * most)
        weakest = self.settings.weakest
        peak = (weakest + (1.0 - weakest) * u[:, :most]) * torch.where(u[:, most:] < 0.5, -1.0, 1.0)
        return torch.where(there, peak, 0.0)

    def _courses(self, key: Tensor, most: int) -> Tensor:
        """What every patch does: largest magnitude 1, (n_batch, most, n_times)."""
        s = self.settings
        each = torch.stack([streams.fork(key, k) for k in range(most)], 1).flatten()
        span = 1000.0 * s.n_times / s.sfreq
        shape = GaussianSettings(s.n_times, s.sfreq, s.width_ms, (0.1 * span, 0.9 * span))
        width, centre = draw_gaussians(streams.fork(each, 1), shape)
        made = {
            "deflection": gaussians(width, centre, shape, self.dtype),
            "course": courses(streams.fork(each, 2), s.n_times, s.sfreq).to(self.dtype),
            "spike": self._spikes(streams.fork(each, 3)),
        }
        kind = streams.integers(streams.fork(each, KIND), 1, len(KINDS))[:, 0]
        drawn = torch.stack([made[name] for name in KINDS], 0)[
            kind, torch.arange(len(each), device=self.device)
        ]
        drawn = drawn / drawn.abs().amax(1, keepdim=True).clamp_min(1e-6)
        return drawn.unflatten(0, (-1, most))

    def _spikes(self, key: Tensor) -> Tensor:
        """Windows around the spikes of neural-mass columns, (n, n_times)."""
        bank = spikes(self.settings.sfreq).to(self.device, self.dtype)
        clip = streams.integers(streams.fork(key, 0), 1, len(bank))[:, 0]
        width = self.settings.n_times
        place = streams.integers(streams.fork(key, 1), 1, width)[:, 0]
        begin = (bank[clip].argmax(1) - place).clamp(0, bank.shape[1] - width)
        return bank[clip].gather(1, begin[:, None] + torch.arange(width, device=self.device))

    def _noise(self, key: Tensor, signal: Tensor) -> Tensor:
        """White over the white sensors; pink or white in time."""
        _, n, t = signal.shape
        white = noise.white(key, n, 4 * t, signal.dtype)
        spectrum = torch.fft.rfft(white)
        order = torch.arange(spectrum.shape[2], device=self.device).clamp_min(1)
        pink = torch.fft.irfft(spectrum / order.sqrt(), n=4 * t)[:, :, :t]
        chosen = streams.uniform(streams.fork(key, COLOUR), 1)[:, :, None] < self.settings.pink
        return torch.where(chosen, pink, white[:, :, :t])


class General(OneHead):
    """Samples of many heads, a head a turn.

    Parameters
    ----------
    heads : sequence of SimulatedHead
        The first is that of the batches made without a turn.
    n, seed, part, settings, redraw, device, dtype
        As of :class:`OneHead`.

    Raises
    ------
    MajorantError
        If there are no heads.
    """

    @takes_rng
    def __init__(
        self,
        heads: Sequence[SimulatedHead],
        n: int | None = None,
        seed: int = 333,
        *,
        part: Part = "train",
        settings: GeneralSettings | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        if not heads:
            raise MajorantError("there are no heads to simulate on; give at least one")
        given: dict[str, Any] = {
            "part": part,
            "settings": settings,
            "device": device,
            "dtype": dtype,
        }
        super().__init__(heads[0], n, seed, **given)
        rest = (OneHead(head, n, seed, **given) for head in heads[1:])
        self._turns: tuple[OneHead, ...] = (self, *rest)

    @property
    def turns(self) -> int:
        """Heads that take turns."""
        return len(self._turns)

    def turn(self, step: int) -> SimulatedPairs:
        """Return the data of the head whose turn it is."""
        return self._turns[step % len(self._turns)]


@cache
def spikes(sfreq: float) -> Tensor:
    """Return neural-mass waveforms at a rate, their mean removed, (n, n_times) float32."""
    recipe = replace(ClipRecipe(), settings=replace(ClipSettings(), background=0))
    clips = collect(recipe, SPIKES)
    n = round(clips.waveforms.shape[1] * sfreq / clips.sfreq)
    spectrum = torch.fft.rfft(clips.waveforms - clips.waveforms.mean(1, keepdim=True))
    return torch.fft.irfft(spectrum[:, : n // 2 + 1], n=n)
