"""Trials for a calibration: one cap, one recording's noise, and another head for every trial.

A :class:`Session` is one recording on one head. What a solver may promise of a recording whose head
nobody knows has to hold over heads, so here every trial has a head of its own, and its sources are
seen through that: skull, electrodes and cortex drawn from the bank (:mod:`majorant.forward.bank`).
Cap, whitening, window and level are those of a recording, so all trials pose problems of one
operator, and can be solved in one batch.

Trial k is a function of the seed and k alone, whatever else is drawn.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import KDTree
from torch import Tensor

from majorant.errors import MajorantError
from majorant.files.archive import content_hash
from majorant.files.cache import Cache, Content
from majorant.forward.bank import HeadBank, HeadSpread
from majorant.forward.graph import mesh_edges
from majorant.forward.leadfield import Leadfield
from majorant.simulate import streams
from majorant.simulate.everyday.cortex import FineCortex, Lists
from majorant.simulate.everyday.heads import Progress, fine_cortex
from majorant.simulate.everyday.noise import long
from majorant.simulate.everyday.parts import PARTS, Part
from majorant.simulate.everyday.settings import EverydaySettings
from majorant.simulate.everyday.sources import ActiveSources, VertexSources
from majorant.simulate.everyday.stream import draw_courses

__all__ = ["SOURCES", "Drawn", "Trials", "drawn_trials", "with_noise"]

VERSION = 2
SEEDS = 1500
"""Seeds that patches are tabulated for, spread over the cortex."""
SOURCES = EverydaySettings(n_sources=(1, 2), width_mm=(5.0, 30.0), apart_mm=30.0, mirrored=0.1)
"""What trials are drawn from: one or two sources, from single vertices to patches of 30 mm."""
CHOICE, WAVES, LEVEL, NOISE, COLOUR = range(50, 55)
CORNER_HZ, ALPHA_HZ = 0.5, 10.0


@dataclass(frozen=True, eq=False)
class Drawn:
    """Sources of trials, each on a head of its own, before level and noise.

    Attributes
    ----------
    seeds : Tensor, shape (n_trials, n_sources), int64
        Where sources are: their strongest vertices on the fine mesh; -1 for none.
    seen : Tensor, shape (n_trials, n_sources, n_electrodes), float64
        Potentials of sources at unit moment, V/(A m), against infinity.
    """

    seeds: Tensor
    seen: Tensor

    def __len__(self) -> int:
        return len(self.seeds)


@dataclass(frozen=True, eq=False)
class Trials:
    """Data of trials, whitened, and where their sources are.

    Attributes
    ----------
    y : Tensor, shape (n_trials, rank, n_times), float64
    seeds : Tensor, shape (n_trials, n_sources), int64
    size : Tensor, shape (n_trials, n_sources)
        Norm of what the sensors see of every source, whitened; 0 for none.
    moment : Tensor, shape (n_trials, n_sources)
        Norm of its moment over the window, in the unit of the whitened data over that of a column
        of the whitened lead field.
    snr_db : Tensor, shape (n_trials,)
        ``20 log10 |signal| / |noise|``.
    """

    y: Tensor
    seeds: Tensor
    size: Tensor
    moment: Tensor
    snr_db: Tensor


def drawn_trials(
    bank: HeadBank,
    n: int,
    seed: int,
    *,
    part: Part = "train",
    settings: EverydaySettings = SOURCES,
    spread: HeadSpread | None = None,
    progress: Progress = None,
) -> Drawn:
    """Draw sources and heads, from the cache where they were drawn before.

    Parameters
    ----------
    bank : HeadBank
        Of the cap.
    n : int
        Trials.
    seed : int
    part : {"train", "validation", "test"}
        Whose sources and heads.
    settings : EverydaySettings
        Sources; its levels, windows and noise are not used here.
    spread : HeadSpread, optional
        In what heads differ.
    progress : callable, optional
        Called with (trials done, trials).
    """
    spread = spread or HeadSpread()
    key = [
        bank.ch_names,
        bank.electrodes.round(6).tolist(),
        [_shape(bank), bank.skull, n, seed, part, repr(settings), repr(spread)],
    ]

    def build() -> Content:
        made = _drawn(bank, n, seed, part, settings, spread, progress)
        return {"seeds": made.seeds, "seen": made.seen}, {}

    kept = Cache().get("trials", VERSION, content_hash(key), build)[0]
    return Drawn(kept["seeds"], kept["seen"])


def _drawn(
    bank: HeadBank,
    n: int,
    seed: int,
    part: Part,
    settings: EverydaySettings,
    spread: HeadSpread,
    progress: Progress,
) -> Drawn:
    if settings.on_regions:
        raise MajorantError("trials have sources on the fine mesh; take shapes of vertices")
    cortex = cortex_of(bank)
    sources = sources_of(cortex, _lists(cortex, part), n, seed, part, settings)
    seen = torch.zeros(*sources.seeds.shape, len(bank.ch_names), dtype=torch.float64)
    for k, head in enumerate(bank.iterate(n, seed, split=part, spread=spread)):
        there = sources.weights[k] > 0
        vertices, number = sources.members[k][there].unique(return_inverse=True)
        weights = seen.new_zeros(len(seen[k]), len(vertices))
        row = there.nonzero()[:, 0]
        weights.index_put_((row, number), sources.weights[k][there].double(), accumulate=True)
        seen[k] = weights @ head.columns(vertices.numpy()).mT
        if progress is not None:
            progress(k + 1, n)
    return Drawn(sources.seeds, seen)


def _shape(bank: HeadBank) -> str:
    """Hash of shells and cortex: caps alike may sit on heads that are not."""
    digest = hashlib.sha256(bank.true.subject.encode())
    for part in (bank.true.shells, bank.true.positions):
        digest.update(np.round(1e6 * part).astype("<i8").tobytes())
    return digest.hexdigest()


def cortex_of(bank: HeadBank) -> FineCortex:
    """The mesh on which the sources of drawn heads live: the believed one, or another person's."""
    if (bank.anatomy.parcels < 0).all():
        return _without_regions(bank.believed_fine)
    believed, true = fine_cortex(bank.believed_fine), bank.true
    if true is bank.anatomy:
        return believed
    nearest = KDTree(believed.positions.numpy()).query(true.positions)[1]
    return FineCortex(
        positions=torch.from_numpy(true.positions),
        normals=torch.from_numpy(true.normals),
        edges=mesh_edges(torch.from_numpy(true.faces)),
        hemisphere=torch.from_numpy(true.hemisphere),
        regions=believed.regions[torch.from_numpy(np.asarray(nearest))],
    )


def _without_regions(fine: Leadfield) -> FineCortex:
    """A mesh of which every vertex is cortex."""
    regions = torch.zeros(fine.n_locations, dtype=torch.int64)
    return FineCortex(fine.positions, fine.normals, fine.edges, fine.hemisphere, regions)


def sources_of(
    cortex: FineCortex, lists: Lists, n: int, seed: int, part: Part, settings: EverydaySettings
) -> ActiveSources:
    """Draw the sources of the first trials; strengths per moment are taken out of the weights."""
    key = streams.keys(seed, torch.arange(n), CHOICE, PARTS.index(part))
    drawn = VertexSources(cortex, lists).draw(key, settings)
    total = drawn.weights.sum(2, keepdim=True).clamp_min(1e-12)
    return ActiveSources(
        drawn.members, drawn.weights / total, drawn.seeds, drawn.width_mm, drawn.regions
    )


def _lists(cortex: FineCortex, part: Part) -> Lists:
    """Patches of a part, which every cap shares."""

    def build() -> Content:
        made = Lists.grow(cortex, part, 1, SEEDS)
        return {"seeds": made.seeds, "members": made.members, "reached": made.reached}, {}

    places = content_hash((cortex.positions * 1e5).round().int().sum(0).tolist())
    kept = Cache().get("patches", VERSION, [places, part, SEEDS], build)[0]
    return Lists(kept["seeds"], kept["members"], kept["reached"])


def with_noise(
    drawn: Drawn,
    rows: Tensor,
    *,
    n_times: int,
    sfreq: float,
    snr_db: tuple[float, float],
    seed: int,
    before: int = 0,
    part: Part = "train",
) -> Trials:
    """Let sources play, bring them to a level, and add noise of a recording.

    Noise has unit covariance after whitening, and a spectrum between white and that of resting
    cortex, drawn for every trial.

    Parameters
    ----------
    drawn : Drawn
    rows : Tensor, shape (rank, n_electrodes)
        Reference and whitening: what is done to data before a solver sees them.
    n_times : int
    sfreq : float
        Hz.
    snr_db : tuple of float
        Range of ``20 log10 |signal| / |noise|`` over the window.
    seed : int
    before : int
        Samples at the beginning in which nothing happens yet.
    part : {"train", "validation", "test"}
    """
    n = len(drawn)
    key = streams.keys(seed, torch.arange(n), CHOICE, PARTS.index(part))
    white = drawn.seen @ rows.to(drawn.seen).mT
    unit = torch.ones(*drawn.seeds.shape, 1)
    sources = ActiveSources(drawn.seeds[..., None], unit, drawn.seeds, unit[..., 0], False)
    _, courses = draw_courses(
        streams.fork(key, WAVES), sources, SOURCES, n_times - before, sfreq, part
    )
    courses = torch.nn.functional.pad(courses.double(), (before, 0))
    low, high = snr_db
    level = low + (high - low) * streams.uniform(streams.fork(key, LEVEL), 1)[:, 0].double()
    noise = _noise(key, len(rows), n_times, sfreq, SOURCES)
    signal = white.mT @ courses
    loud = noise.flatten(1).norm(dim=1) / signal.flatten(1).norm(dim=1).clamp_min(1e-30)
    scale = (loud * 10.0 ** (level / 20.0))[:, None, None]
    moment = scale[..., 0] * courses.norm(dim=2)
    size = moment * white.norm(dim=2)
    return Trials(scale * signal + noise, drawn.seeds, size, moment, level)


def _noise(
    key: Tensor, rank: int, n_times: int, sfreq: float, settings: EverydaySettings
) -> Tensor:
    """White noise, coloured in time, (n_trials, rank, n_times)."""
    n_long = long(n_times)
    white = streams.normal(streams.fork(key, NOISE), (rank, n_long), torch.float32).double()
    u = streams.uniform(streams.fork(key, COLOUR), 3).double()
    frequency = torch.fft.rfftfreq(n_long, 1.0 / sfreq, dtype=torch.float64)
    slow = (frequency + CORNER_HZ) ** -(0.7 + 0.8 * u[:, :1])
    wave = (1.0 / (1.0 + (frequency - ALPHA_HZ).square())).expand_as(slow)
    rest = settings.rest * u[:, 1:2] ** 2
    parts = (slow / slow.mean(1, keepdim=True), wave / wave.mean(1, keepdim=True))
    power = 1.0 + rest * parts[0] + 2.0 * rest * u[:, 2:] ** 2 * parts[1]
    power = power / power.mean(1, keepdim=True)
    coloured = torch.fft.rfft(white) * power.sqrt()[:, None]
    return torch.fft.irfft(coloured, n=n_long)[..., :n_times]
