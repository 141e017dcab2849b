"""Pairs of sources and data with neural-mass waveforms.

A patch of cortex carries the waveform of a spiking column, scaled to a peak of 1; the resting
level stays in it. Sensor noise has a level of its own at every electrode. What the rest of the
cortex does can be projected to the sensors too: off for the published benchmark, whose reference
implementation leaves it out, and on for everything meant for real data. The truth is the patch in
both cases.

Source: the neural-mass data of the MM-Net paper, which follow DeepSIF (Sun et al., PNAS 119, 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.randomness import takes_rng
from majorant.simulate import noise, streams
from majorant.simulate.dataset import (
    LEVEL,
    NOISE,
    PATCH,
    Batch,
    Part,
    SimulatedPairs,
)
from majorant.simulate.neural_mass_clips import ClipRecipe, Clips, collect
from majorant.simulate.patches import PatchSettings

STRENGTH, REST, CROP = range(5, 8)
CLIPS = 12_000
"""Clips of a whole collection: 10,000 and 2,000 for the test, as in the paper."""
TURN: dict[Part, tuple[int, ...]] = {"train": (0, 1, 2, 3), "validation": (4,), "test": (5,)}
"""Of every six clips, which belong to a part; a longer collection keeps them there."""


@dataclass(frozen=True)
class NeuralMassSettings:
    """The neural-mass recipe.

    Attributes
    ----------
    patch : PatchSettings
        The amplitude at the border is 0.5.
    snr_db : float or tuple of float
        Signal-to-noise ratio in dB, or a range that every sample draws from uniformly.
    noise : {"electrode", "white"}
        ``"electrode"``: white noise whose variance at each electrode is
        ``P 10^(-snr/10) / 2`` with the mean square ``P`` of the electrode's signal. ``"white"``:
        the same variance everywhere, the ratio being that of the Frobenius norms.
    background : bool
        Whether the activity of the resting regions reaches the sensors.
    strength_db : tuple of float
        Range of the source above that background, dB, as the sensors see both within 50 samples
        of the peak.
    centre : bool
        Whether the mean over time is taken from every channel.
    crop : int or None
        Samples of a window around the peak, for training; None keeps the whole clip.
    reference : {"average", "centred", "none"}
        See :class:`majorant.simulate.dataset.SereegaSettings`.
    recipe : ClipRecipe
        Of the clips, where none are given.
    """

    patch: PatchSettings = field(default_factory=lambda: PatchSettings(border=0.5))
    snr_db: float | tuple[float, float] = (5.0, 14.0)
    noise: Literal["electrode", "white"] = "electrode"
    background: bool = False
    strength_db: tuple[float, float] = (10.0, 20.0)
    centre: bool = True
    crop: int | None = None
    reference: Literal["average", "centred", "none"] = "average"
    recipe: ClipRecipe = field(default_factory=ClipRecipe)

    def __post_init__(self) -> None:
        if self.reference not in ("average", "centred", "none"):
            raise MajorantError(
                f"the reference is {self.reference!r}; expected 'average', 'centred' or 'none'"
            )
        if self.noise not in ("electrode", "white"):
            raise MajorantError(f"the noise is {self.noise!r}; expected 'electrode' or 'white'")
        if self.crop is not None and self.crop < 1:
            raise MajorantError(f"a window of {self.crop} samples is empty; give at least one")


@dataclass(frozen=True, eq=False)
class _Bank:
    """The clips of one part on the device of the batches, scaled to a peak of 1."""

    waveforms: Tensor
    region: Tensor
    background: Tensor
    peak: Tensor


class NeuralMassLike(SimulatedPairs):
    """A data set of neural-mass type on any source space.

    Parameters
    ----------
    leadfield : Leadfield
        Fixed orientation, with neighbours.
    n : int, optional
        Number of samples; 8,000, 2,000 and 2,000 for the three parts.
    seed : int
    part : {"train", "validation", "test"}
        Parts share no clips.
    settings : NeuralMassSettings, optional
    clips : Clips, optional
        From :func:`majorant.simulate.neural_mass_shards.read_clips`; by default as many as are
        needed are made from the recipe, which takes seconds for single columns.
    device, dtype
        Where and in what precision batches are made.

    Attributes
    ----------
    settings : NeuralMassSettings

    Raises
    ------
    MajorantError
        If orientation is free, there are no edges, the sensors see nothing of a patch, or the
        clips do not suit the source space.
    """

    @takes_rng
    def __init__(
        self,
        leadfield: Leadfield,
        n: int | None = None,
        seed: int = 333,
        *,
        part: Part = "train",
        settings: NeuralMassSettings | None = None,
        clips: Clips | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.settings = settings or NeuralMassSettings()
        patch, reference = self.settings.patch, self.settings.reference
        super().__init__(leadfield, n, seed, part, patch, reference, device, dtype)
        clips = clips or self._collected()
        self._sfreq = clips.sfreq
        self._bank = self._suited(clips)
        crop, length = self.settings.crop, self._bank.waveforms.shape[1]
        if crop is not None and crop > length:
            raise MajorantError(f"a window of {crop} samples does not fit into clips of {length}")
        self._length = length if crop is None else crop

    @property
    def sfreq(self) -> float:
        """Sampling rate, Hz."""
        return self._sfreq

    @property
    def n_times(self) -> int:
        """Samples of a waveform."""
        return self._length

    def batch(self, index: Tensor | Sequence[int] | range, epoch: int = 0) -> Batch:
        """Make samples; see :meth:`SimulatedPairs.batch`."""
        chosen, key = self.chosen(index)
        bank, rows = self._bank, torch.arange(len(chosen), device=self.device)
        clip = chosen % len(bank.region)
        seed, row = (draw[:, 0] for draw in self.patches.draw(streams.fork(key, PATCH)))
        seed = torch.where(bank.region[clip] < 0, seed, bank.region[clip])
        fresh = epoch if self.redraw else 0
        samples = self._window(clip, streams.fork(streams.fork(key, CROP), fresh))
        time = bank.waveforms[clip].gather(1, samples)
        signal = self._topographies[row, seed][:, :, None] * time[:, None, :]
        peak = time.argmax(1)
        if self.settings.background:
            signal = signal + self._rest(key, signal, peak, samples)
        snr_db = self._between(self.settings.snr_db, streams.fork(key, LEVEL))
        y = signal + self._noise(streams.fork(streams.fork(key, NOISE), fresh), signal, snr_db)
        if self.settings.centre:
            y = y - y.mean(dim=2, keepdim=True)
        scale = self.largest(y)
        step = 1000.0 / self.sfreq
        return Batch(
            y=y / scale[:, None, None],
            space=self.patches.maps(seed, row),
            time=time,
            index=chosen,
            seed=seed,
            order=self.patches.orders[row],
            width=_half_width(time, peak).to(torch.float32) * step,
            centre=(samples[rows, peak] - samples[:, 0]).to(torch.float32) * step,
            snr_db=snr_db,
            scale=scale,
        )

    def _collected(self) -> Clips:
        """Make the clips that the samples of this part ask for."""
        turn, recipe = TURN[self.part], self.settings.recipe
        rounds = -(-min(self.n, CLIPS // 6 * len(turn)) // len(turn))
        if not self.settings.background:
            recipe = replace(recipe, settings=replace(recipe.settings, background=0))
        clips = collect(recipe, 6 * rounds)
        if clips.reason:
            raise MajorantError(clips.reason)
        return clips

    def _suited(self, clips: Clips) -> _Bank:
        """Take the part's share of the clips and bring it to the device."""
        n_regions = self.patches.n_locations
        turn = torch.tensor(TURN[self.part])
        mine = torch.isin(torch.arange(len(clips)) % 6, turn)
        if not bool(mine.any()):
            raise MajorantError(
                f"there are {len(clips)} clips, none of them for the part {self.part!r}; make at "
                "least 6"
            )
        if int(clips.region.max()) >= n_regions:
            raise MajorantError(
                f"the clips are of regions up to {int(clips.region.max())} and the lead field has "
                f"{n_regions} locations; simulate them on this source space"
            )
        rest = clips.background
        single = rest.shape[0] == 1
        if self.settings.background and (
            rest.shape[0] == 0 or (not single and rest.shape[1] != n_regions)
        ):
            raise MajorantError(
                f"the background has shape {tuple(rest.shape)} and the lead field {n_regions} "
                "locations; simulate it on this source space, or leave it out"
            )
        waveforms = clips.waveforms[mine].to(self.device, self.dtype)
        scaled = waveforms / waveforms.amax(1, keepdim=True)
        kept = rest.to(self.device, self.dtype) if self.settings.background else rest[:0]
        return _Bank(scaled, clips.region[mine].to(self.device), kept, scaled.argmax(1))

    def _between(self, level: float | tuple[float, float], key: Tensor) -> Tensor:
        low, high = level if isinstance(level, tuple) else (level, level)
        return low + (high - low) * streams.uniform(key, 1)[:, 0]

    def _window(self, clip: Tensor, key: Tensor) -> Tensor:
        """Sample numbers of every clip's window, which holds its peak, (n_batch, n_times)."""
        whole, width = self._bank.waveforms.shape[1], self.n_times
        peak = self._bank.peak[clip]
        first = (peak - width + 1).clamp_min(0)
        last = torch.minimum(peak, torch.full_like(peak, whole - width))
        share = streams.uniform(key, 1)[:, 0]
        begin = first + (share * (last - first + 1)).to(torch.int64)
        begin = torch.minimum(begin, last)
        return begin[:, None] + torch.arange(width, device=self.device)

    def _rest(self, key: Tensor, signal: Tensor, peak: Tensor, samples: Tensor) -> Tensor:
        """What the sensors see of the resting regions, weaker than the source as it was drawn."""
        bank, n = self._bank.background, self.patches.n_locations
        gain = self.leadfield.gain.to(signal)
        key = streams.fork(key, REST)
        if bank.shape[0] == 1:
            column = streams.integers(streams.fork(key, 1), n, bank.shape[1])
            parts = [gain @ bank[0, c][:, s] for c, s in zip(column, samples, strict=True)]
        else:
            block = streams.integers(key, 1, bank.shape[0])[:, 0]
            parts = [gain @ bank[b][:, s] for b, s in zip(block, samples, strict=True)]
        rest = torch.stack(parts)
        rest = rest - rest.mean(dim=2, keepdim=True)
        near = torch.arange(signal.shape[2], device=signal.device) - peak[:, None]
        near = (near.abs() <= 50).to(signal)[:, None, :]
        of_source = ((signal - signal.mean(dim=2, keepdim=True)) * near).flatten(1).norm(dim=1)
        of_rest = (rest * near).flatten(1).norm(dim=1)
        above = self._between(self.settings.strength_db, streams.fork(key, STRENGTH)).to(signal)
        factor = of_source / of_rest.clamp_min(torch.finfo(rest.dtype).tiny)
        return rest * (factor * 10.0 ** (-above / 20.0))[:, None, None]

    def _noise(self, key: Tensor, signal: Tensor, snr_db: Tensor) -> Tensor:
        """Sensor noise in the coordinates of the signal."""
        if self.settings.noise == "white":
            drawn = noise.white(key, signal.shape[1], signal.shape[2], signal.dtype)
            if self.settings.reference == "centred":
                drawn = drawn - drawn.mean(dim=1, keepdim=True)
            return noise.at_snr(signal, drawn, snr_db)
        seen = signal if self._electrodes is None else self._electrodes @ signal
        drawn = noise.white(key, seen.shape[1], seen.shape[2], signal.dtype)
        level = seen.square().mean(dim=2, keepdim=True).sqrt()
        ratio = torch.sqrt(0.5 * 10.0 ** (-snr_db.to(signal) / 10.0))[:, None, None]
        drawn = drawn * level * ratio
        if self.settings.reference == "centred":
            return drawn - drawn.mean(dim=1, keepdim=True)
        return drawn if self._electrodes is None else self._electrodes.mT @ drawn


def _half_width(time: Tensor, peak: Tensor) -> Tensor:
    """Samples around the peak that stay above half of it, (n_batch,)."""
    rows = torch.arange(len(time), device=time.device)
    low = F.pad(time < 0.5 * time[rows, peak][:, None], (1, 1), value=True)
    place = torch.arange(low.shape[1], device=time.device)
    at = peak[:, None] + 1
    before = torch.where(low & (place <= at), place, -1).amax(1)
    after = torch.where(low & (place >= at), place, low.shape[1]).amin(1)
    return after - before - 1
