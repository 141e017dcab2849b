"""Clips: short waveforms of spiking columns, selected and kept.

A source is a column with a raised excitatory gain. Its output is cut into fixed blocks, and those
that hold a spike of the source and none of any other region are kept: the waveform of the source
only, never a dense array of sources. What the resting regions do is kept apart, as background.

The cheap mode drives single columns; the other simulates the whole network with one source region
a run. Clips come in shards, each a function of its number, so a longer collection begins with a
shorter one and an interrupted one continues where it stopped.

Source: the neural-mass data of the MM-Net paper, which follow DeepSIF (Sun et al., PNAS 119, 2022).
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from majorant.problem import MajorantError
from majorant.randomness import takes_rng
from majorant.simulate import streams
from majorant.simulate.connectome import Connectome
from majorant.simulate.neural_mass import Integration, JansenRit, NeuralMass

SOURCE, BACKGROUND, ORDER = range(3)
ANYWHERE = -1
"""Region of a clip that was made by a single column."""
BARREN = 4
"""Shards without a clip after which the search ends."""
PATIENCE = 40
"""Blocks that are looked at for every clip asked for, before the search ends."""

ALONE, NETWORKS = 1020, 32
"""Runs a shard, of single columns and of networks."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ClipSettings:
    """How clips are made.

    Attributes
    ----------
    n_times : int
        Samples of a clip.
    spike_mv : float
        A spike is a peak above this, mV.
    source_gain : float
        Excitatory gain ``A`` of a source, mV; the other columns have the one of ``column``.
    column : JansenRit
    integration : Integration
    blocks : int
        Blocks of ``n_times`` samples a run is cut into.
    runs : int or None
        Runs a shard; by default 1,020 of single columns, 32 of a network.
    background : int or None
        Resting waveforms to keep: 1,024 single columns, or 8 blocks of the whole network. 0 keeps
        none.
    """

    n_times: int = 500
    spike_mv: float = 8.0
    source_gain: float = 3.6
    column: JansenRit = field(default_factory=JansenRit)
    integration: Integration = field(default_factory=Integration)
    blocks: int = 4
    runs: int | None = None
    background: int | None = None

    def __post_init__(self) -> None:
        counts = (self.n_times, self.blocks, 1 if self.runs is None else self.runs)
        if min(counts) < 1 or (self.background or 0) < 0:
            raise MajorantError(
                f"n_times {self.n_times}, blocks {self.blocks}, runs {self.runs} and background "
                f"{self.background} were given; expected at least 1, and no negative background"
            )
        if not (math.isfinite(self.source_gain) and self.source_gain > 0):
            raise MajorantError(
                f"the gain of the source is {self.source_gain} mV; give one above 0"
            )
        if not math.isfinite(self.spike_mv):
            raise MajorantError(f"a spike is a peak above {self.spike_mv} mV; give a number")


@dataclass(frozen=True)
class Shard:
    """Clips of consecutive runs.

    Attributes
    ----------
    waveforms : Tensor, shape (n, n_times), float32
        Output of the source, mV.
    region : Tensor, shape (n,), int64
        Which region it was; -1 for single columns.
    """

    waveforms: Tensor
    region: Tensor

    def __len__(self) -> int:
        return int(self.region.shape[0])


@dataclass(frozen=True)
class Clips:
    """A collection of clips.

    Attributes
    ----------
    waveforms : Tensor, shape (n, n_times), float32
        Output of the sources, mV; the resting level is part of it.
    region : Tensor, shape (n,), int64
        -1 for single columns, which may stand for any region.
    background : Tensor, shape (n_blocks, n_columns, n_times), float32
        Output of resting columns, mV: one block of single columns that may stand for any region,
        or blocks of the network. Empty where none was kept.
    sfreq : float
        Hz.
    asked : int
        Clips that were wanted.
    reason : str
        Why there are fewer, in a sentence; empty if there are not.
    """

    waveforms: Tensor
    region: Tensor
    background: Tensor
    sfreq: float
    asked: int
    reason: str = ""

    def __len__(self) -> int:
        return int(self.region.shape[0])


@dataclass(frozen=True)
class Plan:
    """What a collection will cost.

    Attributes
    ----------
    n : int
        Clips.
    n_bytes : int
        On disk.
    seconds : float
        On this machine, from a short trial.
    share : float
        Of the blocks that hold a clip, from the trial.
    """

    n: int
    n_bytes: int
    seconds: float
    share: float

    def sentence(self) -> str:
        """Say it."""
        size = f"{self.n_bytes / 1e6:.1f} MB"
        if not math.isfinite(self.seconds):
            return f"{self.n} clips, {size}; no block of the trial held a clip, the time is unknown"
        spent = (
            f"{math.ceil(self.seconds)} s" if self.seconds < 120 else f"{self.seconds / 60:.0f} min"
        )
        return f"{self.n} clips, {size}, about {spent} ({self.share:.0%} of the blocks hold a clip)"


@takes_rng
@dataclass(frozen=True)
class ClipRecipe:
    """Everything that clips are a function of.

    Attributes
    ----------
    settings : ClipSettings
    seed : int
    connectome : Connectome or None
        None is the cheap mode of single columns.
    """

    settings: ClipSettings = field(default_factory=ClipSettings)
    seed: int = 333
    connectome: Connectome | None = None

    @property
    def model(self) -> NeuralMass:
        """The columns, wired or not."""
        return NeuralMass(self.settings.column, self.settings.integration, self.connectome)

    @property
    def n_regions(self) -> int:
        """Regions a run has."""
        return 1 if self.connectome is None else self.connectome.n_regions

    @property
    def runs(self) -> int:
        """Runs a shard."""
        return self.settings.runs or (ALONE if self.connectome is None else NETWORKS)

    @property
    def n_background(self) -> int:
        """Waveforms of single columns, or blocks of the network."""
        asked = self.settings.background
        if asked is not None:
            return asked
        return 1024 if self.connectome is None else 8

    def shard(self, number: int) -> Shard:
        """Simulate the runs of a shard and select their clips.

        Raises
        ------
        MajorantError
            If the potentials do not stay finite.
        """
        first = number * self.runs
        waveforms, regions = [], []
        at_once = self.runs if self.connectome is None else NETWORKS
        for run in torch.arange(first, first + self.runs).split(at_once):
            source = self._sources(run)
            rows = torch.arange(len(run))
            gain = torch.full((len(run), self.n_regions), self.settings.column.A)
            gain[rows, source] = self.settings.source_gain
            blocks = self._blocks(gain, streams.keys(self.seed, run, SOURCE))
            spiking = (_spikes(blocks, self.settings.spike_mv)).any(-1)
            alone = spiking.sum(1) == 1
            chosen = spiking[rows, source] & alone
            waveforms.append(blocks[rows, source][chosen])
            named = source if self.connectome is not None else torch.full_like(source, ANYWHERE)
            regions.append(named[:, None].expand(chosen.shape)[chosen])
        return Shard(torch.cat(waveforms), torch.cat(regions))

    def background(self) -> Tensor:
        """Simulate what resting columns do, (n_blocks, n_columns, n_times), without spikes."""
        n = self.n_background
        n_times = self.settings.n_times
        if n == 0:
            return torch.zeros(0, self.n_regions, n_times)
        n_runs = -(-n // self.settings.blocks)
        gain = torch.full((n_runs, self.n_regions), self.settings.column.A)
        blocks = self._blocks(gain, streams.keys(self.seed, torch.arange(n_runs), BACKGROUND))
        blocks = blocks.transpose(1, 2).flatten(0, 1)
        quiet = ~_spikes(blocks, self.settings.spike_mv).any(-1).any(-1)
        kept = blocks[quiet][:n]
        return kept.transpose(0, 1).contiguous() if self.connectome is None else kept

    def record(self) -> dict[str, Any]:
        """Return all that decides, as plain numbers: two recipes with equal records agree."""
        record: dict[str, Any] = {
            "settings": dataclasses.asdict(self.settings),
            "runs": self.runs,
            "n_background": self.n_background,
            "seed": self.seed,
            "n_regions": self.n_regions,
        }
        if self.connectome is not None:
            wiring = self.connectome
            total = hashlib.sha256()
            for matrix in (wiring.weights, wiring.lengths):
                total.update(matrix.to(torch.float64).contiguous().numpy().tobytes())
            names = ("speed", "gain", "rate_max", "midpoint")
            record["connectome"] = {name: getattr(wiring, name) for name in names}
            record["connectome"]["sha256"] = total.hexdigest()
        return record

    def plan(self, n: int) -> Plan:
        """Estimate size and time of ``n`` clips from a short trial."""
        setting = self.settings
        trial = dataclasses.replace(setting, runs=64, background=0)
        alike = ClipRecipe(trial, self.seed).shard(0)
        share = len(alike) / (64 * setting.blocks)
        run = torch.arange(min(self.runs, ALONE if self.connectome is None else NETWORKS))
        gain = torch.full((len(run), self.n_regions), setting.column.A)
        short = dataclasses.replace(setting.integration, warmup=0)
        model = NeuralMass(setting.column, short, self.connectome)
        began = time.perf_counter()
        model.run(gain, streams.keys(self.seed, run), 25)
        each = (time.perf_counter() - began) / (25 * short.every * len(run))
        steps = setting.integration.warmup + setting.blocks * setting.n_times * short.every
        runs = n / (share * setting.blocks) if share else math.inf
        of_clips = n * (4 * setting.n_times + 8)
        of_rest = 2 * self.n_background * setting.n_times * self.n_regions
        return Plan(n, of_clips + of_rest, each * steps * runs, share)

    def _sources(self, run: Tensor) -> Tensor:
        """Region that is the source of every run: all in turn, in an order of the seed's."""
        key = streams.keys(self.seed, torch.zeros(1, dtype=torch.int64), ORDER)
        return streams.bits(key, self.n_regions)[0].argsort()[run % self.n_regions]

    def _blocks(self, gain: Tensor, key: Tensor) -> Tensor:
        """Run and cut, (n_runs, n_regions, n_blocks, n_times)."""
        setting = self.settings
        v = self.model.run(gain, key, setting.blocks * setting.n_times)
        return v.unflatten(2, (setting.blocks, setting.n_times))


def collect(recipe: ClipRecipe, n: int, progress: Progress | None = None) -> Clips:
    """Make clips in memory.

    Parameters
    ----------
    recipe : ClipRecipe
    n : int
        Clips wanted. Fewer come back where spikes are too rare; ``reason`` says so.
    progress : callable, optional
        Called with the number of clips so far and wanted.
    """
    return joined(recipe, list(search(recipe, n, recipe.shard, progress)), n, recipe.background())


def search(
    recipe: ClipRecipe,
    n: int,
    get: Callable[[int], Shard],
    progress: Progress | None = None,
) -> Iterator[Shard]:
    """Go through shards until there are enough clips, or no hope.

    Parameters
    ----------
    recipe : ClipRecipe
    n : int
        Clips wanted.
    get : callable
        From the number of a shard to the shard.
    progress : callable, optional
        Called with the number of clips so far and wanted.

    Yields
    ------
    Shard
    """
    if n < 1:
        raise MajorantError(f"{n} clips were asked for; ask for at least one")
    found = number = barren = 0
    enough = max(PATIENCE * n, _looked_at(recipe, BARREN))
    while found < n and barren < BARREN and _looked_at(recipe, number) < enough:
        shard = get(number)
        number += 1
        found, barren = found + len(shard), 0 if len(shard) else barren + 1
        if progress is not None:
            progress(min(found, n), n)
        yield shard


def joined(recipe: ClipRecipe, shards: Sequence[Shard], n: int, background: Tensor) -> Clips:
    """Put shards together to at most ``n`` clips, and say why if there are fewer."""
    found, reason = sum(len(shard) for shard in shards), ""
    if found < n:
        setting = recipe.settings
        reason = (
            f"{found} of the {n} clips asked for were found in "
            f"{_looked_at(recipe, len(shards))} blocks: one is kept where the source has a peak "
            f"above {setting.spike_mv:g} mV and no other region has; raise the gain of the source "
            f"({setting.source_gain:g} mV) or lower the threshold"
        )
    return Clips(
        waveforms=torch.cat([shard.waveforms for shard in shards])[:n],
        region=torch.cat([shard.region for shard in shards])[:n],
        background=background,
        sfreq=recipe.settings.integration.sfreq,
        asked=n,
        reason=reason,
    )


def _looked_at(recipe: ClipRecipe, n_shards: int) -> int:
    """Blocks in so many shards."""
    return n_shards * recipe.runs * recipe.settings.blocks


def _spikes(v: Tensor, above: float) -> Tensor:
    """Mark peaks above a threshold: samples larger than both neighbours, shape like ``v``.

    The first and the last sample of a block have one neighbour each and are never peaks.
    """
    inner = v[..., 1:-1]
    peaks = (inner > above) & (inner > v[..., :-2]) & (inner >= v[..., 2:])
    return torch.nn.functional.pad(peaks, (1, 1))
