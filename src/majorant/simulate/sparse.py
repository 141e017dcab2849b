"""Several patches at once under heteroscedastic noise: data for sparse Bayesian learning.

A sample has a random number of patches, each with its own time course, one extent for all, and a
noise variance for every sensor. Data may come from another head than the one they are inverted
with, and from a denser mesh, so that a test commits no inverse crime: the truth is then summed over
the vertices nearest each location of the inverting source space.

As in ``simulate/dataset.py``, a sample is a function of (seed, part, index) and depends on no
batch.

Source: the simulations of arXiv:2606.07196.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from torch import Tensor

from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.randomness import takes_rng
from majorant.simulate import noise, streams
from majorant.simulate.timecourses import Kind, courses

Part = Literal["train", "validation", "test"]
Setting = Literal["joint", "true-noise", "baseline-noise"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")

CUT = 2.0
"""Patches end at this many standard deviations."""

COUNT, SEED, EXTENT, COURSE, STRENGTH, RATIO, SPREAD, NOISE, LEVEL, BASELINE = range(10)


@dataclass(frozen=True)
class SparseSettings:
    """The recipe.

    Attributes
    ----------
    n_sources : tuple of int
        Fewest and most patches of a sample; uniform between them.
    extent_mm : tuple of float
        Standard deviations that are drawn from, along the mesh; 0 is a single vertex.
    n_times : int
    sfreq : float
        Sampling rate, Hz.
    kinds : tuple of {"ar", "pink", "erp"}
    snr_db : tuple of float
        Lowest and highest signal-to-noise ratio, ``20 log10`` of Frobenius norms.
    noise_sigma : tuple of float
        Lowest and highest deviation of the logarithm of the noise variances of a sample.
    strength : tuple of float
        Lowest and highest amplitude of a patch.
    """

    n_sources: tuple[int, int] = (5, 20)
    extent_mm: tuple[float, ...] = (0.0, 5.0, 10.0)
    n_times: int = 50
    sfreq: float = 100.0
    kinds: tuple[Kind, ...] = ("ar", "pink", "erp")
    snr_db: tuple[float, float] = (0.0, 20.0)
    noise_sigma: tuple[float, float] = (0.3, 0.7)
    strength: tuple[float, float] = (0.5, 1.0)

    def __post_init__(self) -> None:
        low, high = self.n_sources
        if not 1 <= low <= high:
            raise MajorantError(f"{self.n_sources} sources were asked for; give (fewest, most)")
        if not self.extent_mm or min(self.extent_mm) < 0:
            raise MajorantError(f"extents {self.extent_mm} mm are not possible; give 0 or more")
        for name in ("snr_db", "noise_sigma", "strength"):
            first, last = getattr(self, name)
            if first > last:
                raise MajorantError(f"{name} is ({first}, {last}); expected an increasing range")


@dataclass(frozen=True)
class SparseBatch:
    """Samples, their truth and how they were made; ``y = L x + e`` in units of ``max |y|``.

    Attributes
    ----------
    y : Tensor, shape (n_batch, n_sensors, n_times)
    maps : Tensor, shape (n_batch, n_patches, n_locations)
        Patches on the inverting source space; zeros beyond the number of a sample.
    dense : Tensor, shape (n_batch, n_patches, n_vertices)
        The same on the mesh they were made on.
    waves : Tensor, shape (n_batch, n_patches, n_times)
        Time courses with their amplitudes; zeros beyond the number of a sample.
    seeds : Tensor, shape (n_batch, n_patches), int64
        Locations of the inverting source space, -1 beyond the number of a sample.
    noise : Tensor, shape (n_batch, n_sensors)
        Noise variances.
    baseline : Tensor, shape (n_batch, n_sensors)
        Noise variances as a baseline of ``n_times`` samples would show them.
    index : Tensor, shape (n_batch,), int64
    count : Tensor, shape (n_batch,), int64
    extent_mm, snr_db : Tensor, shape (n_batch,)
    """

    y: Tensor
    maps: Tensor
    dense: Tensor
    waves: Tensor
    seeds: Tensor
    noise: Tensor
    baseline: Tensor
    index: Tensor
    count: Tensor
    extent_mm: Tensor
    snr_db: Tensor

    @property
    def x(self) -> Tensor:
        """The sources on the inverting space, shape (n_batch, n_locations, n_times); made anew."""
        return self.maps.mT @ self.waves

    @property
    def x_dense(self) -> Tensor:
        """The sources where they were made, shape (n_batch, n_vertices, n_times)."""
        return self.dense.mT @ self.waves

    def __len__(self) -> int:
        return int(self.y.shape[0])


@dataclass(frozen=True)
class SparseSpace:
    """A mesh and its way to the inverting source space; heads of one anatomy share it.

    Attributes
    ----------
    metric : Tensor, shape (n_vertices, n_vertices), float32
        Distances along the mesh, metres.
    home : Tensor, shape (n_vertices,), int64
        Location of the inverting source space; -1 where there is none.
    """

    metric: Tensor
    home: Tensor

    @classmethod
    def between(cls, source: Leadfield, target: Leadfield) -> SparseSpace:
        """Measure the mesh of ``source`` and find the way to ``target``; takes seconds."""
        return cls(source.metric().float(), homes(source, target))


@takes_rng
@dataclass
class SparseLike:
    """A stream of samples on any source space.

    Parameters
    ----------
    leadfield : Leadfield
        The inverting one; fixed orientation.
    seed : int
    part : {"train", "validation", "test"}
    settings : SparseSettings
    generating : Leadfield or None
        The head the data come from: the same sensors, another conductivity, moved electrodes, a
        denser mesh. None is the inverting one.
    dtype : torch.dtype
    space : SparseSpace or None
        Of the same two meshes, if it was measured before.

    Raises
    ------
    MajorantError
        If orientation is free, there are no edges, or the sensors disagree.
    """

    leadfield: Leadfield
    seed: int = 333
    part: Part = "train"
    settings: SparseSettings = field(default_factory=SparseSettings)
    generating: Leadfield | None = None
    dtype: torch.dtype = torch.float32
    space: SparseSpace | None = None

    def __post_init__(self) -> None:
        source = self.generating or self.leadfield
        if self.part not in PARTS:
            raise MajorantError(f"there is no part {self.part!r}; choose from {', '.join(PARTS)}")
        if self.leadfield.n_orient != 1 or source.n_orient != 1:
            raise MajorantError(
                "simulations need one column per location; this lead field has free orientation: "
                "take leadfield.fixed()"
            )
        if len(source.edges) == 0:
            raise MajorantError(
                "the lead field has no edges, so patches cannot grow; build it with edges=..."
            )
        if source.n_sensors != self.leadfield.n_sensors:
            raise MajorantError(
                f"data of {source.n_sensors} sensors cannot be inverted with a lead field of "
                f"{self.leadfield.n_sensors}; pick the same channels of both"
            )
        if max(self.settings.n_sources) > source.n_locations:
            raise MajorantError(
                f"{max(self.settings.n_sources)} patches do not fit on {source.n_locations} "
                "locations; ask for fewer"
            )
        self.space = self._space = self.space or SparseSpace.between(source, self.leadfield)
        if len(self._space.home) != source.n_locations:
            raise MajorantError(
                f"the space has {len(self._space.home)} vertices and the lead field "
                f"{source.n_locations}; heads share a space only on one mesh"
            )
        self._gain = source.gain.to(self.dtype)
        lead = self.leadfield
        self._operator = MatrixOperator(lead.gain.to(self.dtype), geometry=lead.geometry)

    def operator(self) -> MatrixOperator:
        """The inverting lead field."""
        return self._operator

    def problem(self, batch: SparseBatch, setting: Setting = "joint") -> Problem:
        """What a solver may see.

        Parameters
        ----------
        batch : SparseBatch
        setting : {"joint", "true-noise", "baseline-noise"}
            ``"joint"`` leaves the noise to be learned. The others divide data and lead field by
            the noise that is given, sample by sample: solve with ``noise="given"``.
        """
        if setting == "joint":
            return Problem(self._operator, batch.y)
        known = batch.noise if setting == "true-noise" else batch.baseline
        scale = known.rsqrt()[:, :, None]
        lead = scale * self._operator.matrix()
        operator = MatrixOperator(lead, geometry=self.leadfield.geometry)
        return Problem(operator, scale * batch.y)

    def held_out(self, count: int) -> SparseBatch:
        """The first samples of the part for validation."""
        return replace(self, part="validation", space=self.space).batch(range(count))

    def batch(self, index: Tensor | Sequence[int] | range) -> SparseBatch:
        """Make samples; numbers may be any from 0 up.

        Parameters
        ----------
        index : sequence of int, shape (n_batch,)
        """
        chosen = torch.as_tensor(index, dtype=torch.int64).flatten()
        if len(chosen) == 0 or int(chosen.min()) < 0:
            raise MajorantError(f"sample numbers are 0 or more; found {index}")
        key, s = streams.keys(self.seed, chosen, PARTS.index(self.part)), self.settings
        low, high = s.n_sources
        count = low + streams.integers(streams.fork(key, COUNT), 1, high - low + 1)[:, 0]
        extents = torch.tensor(s.extent_mm)
        extent = extents[streams.integers(streams.fork(key, EXTENT), 1, len(extents))[:, 0]]
        active = torch.arange(high)[None] < count[:, None]
        seeds, dense = self._patches(key, active, extent)
        waves = self._waves(key, active)
        signal = (self._gain @ dense.mT) @ waves
        ratio, drawn = self._noise(key, signal.shape)
        snr = _between(streams.uniform(streams.fork(key, LEVEL), 1)[:, 0], s.snr_db)
        scaled = noise.at_snr(signal, drawn, snr)
        y = signal + scaled
        variance = ratio * (scaled.norm(dim=(1, 2)) / drawn.norm(dim=(1, 2))).square()[:, None]
        unit = y.abs().amax((1, 2))
        variance = variance / unit[:, None].square()
        shown = streams.normal(streams.fork(key, BASELINE), tuple(signal.shape[1:]), self.dtype)
        home = self._space.home[seeds]
        return SparseBatch(
            y=y / unit[:, None, None],
            maps=self._brought_home(dense),
            dense=dense,
            waves=waves / unit[:, None, None],
            seeds=torch.where(active, home, -1),
            noise=variance,
            baseline=variance * shown.square().mean(2),
            index=chosen,
            count=count,
            extent_mm=extent,
            snr_db=snr,
        )

    def _patches(self, key: Tensor, active: Tensor, extent: Tensor) -> tuple[Tensor, Tensor]:
        """Seeds and maps of all patches on the generating mesh."""
        allowed = (self._space.home >= 0).nonzero()[:, 0]
        drawn = streams.distinct_integers(streams.fork(key, SEED), active.shape[1], len(allowed))
        seeds = allowed[drawn]
        sigma = (1e-3 * extent)[:, None, None]
        distance = self._space.metric[seeds]
        inside = (distance <= CUT * sigma) & active[:, :, None]
        falloff = torch.exp(-0.5 * (distance / sigma.clamp_min(1e-9)).square())
        return seeds, torch.where(inside, falloff, 0.0).to(self.dtype)

    def _waves(self, key: Tensor, active: Tensor) -> Tensor:
        s, (batch, patches) = self.settings, active.shape
        each = torch.stack([streams.fork(key, 100 + COURSE + 10 * k) for k in range(patches)], 1)
        waves = courses(each.flatten(), s.n_times, s.sfreq, s.kinds).reshape(batch, patches, -1)
        strength = _between(streams.uniform(streams.fork(key, STRENGTH), patches), s.strength)
        return (waves * (strength * active)[:, :, None]).to(self.dtype)

    def _noise(self, key: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
        """Relative variances (log-normal) and noise that has them."""
        spread = _between(streams.uniform(streams.fork(key, SPREAD), 1), self.settings.noise_sigma)
        normal = streams.normal(streams.fork(key, RATIO), (shape[1],), self.dtype)
        ratio = (spread.to(self.dtype) * normal).exp()
        white = noise.white(streams.fork(key, NOISE), shape[1], shape[2], self.dtype)
        return ratio, ratio.sqrt()[:, :, None] * white

    def _brought_home(self, dense: Tensor) -> Tensor:
        """Sum maps over the vertices that belong to a location of the inverting space."""
        home = self._space.home
        inside = home >= 0
        out = dense.new_zeros(*dense.shape[:2], self.leadfield.n_locations)
        return out.index_add_(2, home[inside], dense[:, :, inside])


def _between(u: Tensor, limits: tuple[float, float]) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * u


def homes(source: Leadfield, target: Leadfield) -> Tensor:
    """Say which location of ``target`` every location of ``source`` belongs to.

    Regions: the one it is a member of. Vertices of a coarser mesh: the nearest along the mesh of
    ``source``, if all of them are its vertices; else the nearest in a straight line.

    Returns
    -------
    Tensor, shape (n_source_locations,), int64
        -1 where there is none (the medial wall of a parcellation).
    """
    n = source.n_locations
    if n == target.n_locations and torch.equal(source.positions, target.positions):
        return torch.arange(n)
    if target.kind == "regions" and source.kind == "vertices" and target.parcels is not None:
        return target.parcels[source.hemisphere, source.vertices]
    names = {pair: i for i, pair in enumerate(_names(source))}
    inside = [names.get(pair, -1) for pair in _names(target)]
    if min(inside) < 0:
        _, nearest = KDTree(target.positions.numpy()).query(source.positions.numpy())
        return torch.as_tensor(np.asarray(nearest), dtype=torch.int64)
    i, j = source.edges.numpy().T
    length = (source.positions[i] - source.positions[j]).norm(dim=1).numpy()
    graph = csr_array((length, (i, j)), shape=(n, n))
    _, _, origin = dijkstra(
        graph, directed=False, indices=inside, min_only=True, return_predecessors=True
    )
    number = np.full(n, -1)
    number[inside] = np.arange(len(inside))
    return torch.as_tensor(np.where(origin >= 0, number[origin], -1), dtype=torch.int64)


def _names(leadfield: Leadfield) -> list[tuple[int, int]]:
    return list(zip(leadfield.hemisphere.tolist(), leadfield.vertices.tolist(), strict=True))
