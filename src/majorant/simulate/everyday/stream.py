"""Everyday data as a stream: heads, sessions of a head, samples of a session.

A *head* is a cap on a person: what every electrode sees of the fine mesh as it is, and the lead
field that a solver believes. A *session* adds noise, its estimated covariance and the whitening
made from it: one operator for all samples of a batch, as for all windows of one recording. A
*sample* is a few sources at some level.

All is a function of (seed, part, session, sample): a sample is the same in whatever batch it comes.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.forward.leadfield import average_reference
from majorant.problem import MajorantError, MatrixOperator, Problem
from majorant.randomness import takes_rng
from majorant.simulate import streams
from majorant.simulate.everyday.activity import draw_codes, play
from majorant.simulate.everyday.cortex import Lists
from majorant.simulate.everyday.noise import (
    draw_background,
    estimated_whitener,
    long,
    noise,
)
from majorant.simulate.everyday.parts import PARTS, Part, check_part
from majorant.simulate.everyday.settings import EverydaySettings
from majorant.simulate.everyday.sources import ActiveSources, RegionSources, VertexSources
from majorant.simulate.everyday.world import World
from majorant.simulate.patches import PatchBank, PatchSettings

SESSION, SOURCES, STRENGTH, LEVEL, COURSE, NOISE = range(30, 36)
REMEMBERED = 64
"""Sessions that are kept; their operators are the same objects while they are."""


@dataclass(frozen=True)
class EverydayBatch:
    """Samples of one session, their truth, and how they were made: ``y = W B G x + e``.

    Attributes
    ----------
    session : Session
    y : Tensor, shape (n_batch, rank, n_times)
        Whitened.
    sources : ActiveSources
        On the fine mesh, sparse; see :meth:`dense`.
    courses : Tensor, shape (n_batch, n_sources, n_times)
        With the strengths; zero beyond the number of a sample.
    index : Tensor, shape (n_batch,), int64
    snr_db : Tensor, shape (n_batch,)
    codes : Tensor, shape (n_batch, n_sources), int64
        Of the courses, see :mod:`majorant.simulate.everyday.activity`.
    """

    session: Session
    y: Tensor
    sources: ActiveSources
    courses: Tensor
    index: Tensor
    snr_db: Tensor
    codes: Tensor

    def __len__(self) -> int:
        return int(self.y.shape[0])

    @property
    def operator(self) -> MatrixOperator:
        """The whitened lead field that is believed, with its geometry."""
        return self.session.operator

    def problem(self) -> Problem:
        """What a solver may see."""
        return Problem(self.operator, self.y)

    def dense(self) -> Tensor:
        """Sources on the fine mesh, (n_batch, n_sources, n_vertices), unit peak."""
        world, s = self.session.world, self.sources
        size = world.cortex.n_regions if s.regions else world.cortex.n_vertices
        out = s.weights.new_zeros(*s.members.shape[:2], size)
        out.scatter_add_(2, s.members, s.weights)
        if not s.regions:
            return out
        regions = world.cortex.regions
        return torch.where(regions >= 0, out[:, :, regions.clamp_min(0)], 0.0)

    def maps(self) -> Tensor:
        """Sources on the believed locations, (n_batch, n_sources, n_locations).

        The moments of all vertices that belong to a location are summed; those of a region are
        averaged, for its column is the sum over its members.
        """
        world, s = self.session.world, self.sources
        n = world.geometry.n_locations
        if world.geometry.kind == "regions":
            if s.regions:
                out = s.weights.new_zeros(*s.members.shape[:2], n)
                return out.scatter_add_(2, s.members, s.weights)
            size = torch.bincount(world.home[world.home >= 0], minlength=n).clamp_min(1)
            return self._brought_home(n) / size
        return self._brought_home(n)

    def _brought_home(self, n: int) -> Tensor:
        world, s = self.session.world, self.sources
        home = world.home
        if s.regions:
            dense, inside = self.dense(), home >= 0
            out = dense.new_zeros(*dense.shape[:2], n)
            return out.index_add_(2, home[inside], dense[:, :, inside])
        where = home[s.members]
        out = s.weights.new_zeros(*s.members.shape[:2], n)
        return out.scatter_add_(2, where.clamp_min(0), torch.where(where >= 0, s.weights, 0.0))

    @property
    def x(self) -> Tensor:
        """Sources on the believed locations, (n_batch, n_columns, n_times); made anew.

        Where the lead field has free orientation they point along the believed normals.
        """
        geometry = self.session.world.geometry
        x = self.maps().mT @ self.courses
        if geometry.n_orient == 1:
            return x
        assert geometry.normals is not None
        turned = x[:, :, None] * geometry.normals.to(x)[None, :, :, None]
        return turned.flatten(1, 2)


class Session:
    """A head, its noise, and the whitening that was estimated; make one with :class:`Everyday`.

    Attributes
    ----------
    number : int
    head : EverydayHead
    operator : MatrixOperator
        Whitened, believed, with geometry.
    whitener : Tensor, shape (rank, n_electrodes), float64
        Of referenced or unreferenced potentials: it takes the average reference.
    background : Background
    shrunk : float
        Intensity of the shrinkage.
    n_times : int
    sfreq : float
        Hz.
    """

    def __init__(self, data: Everyday, number: int) -> None:
        s = data.settings
        self.data, self.number = data, number
        key = streams.keys(data.seed, torch.tensor([number]), SESSION, PARTS.index(data.part))
        generator = torch.Generator().manual_seed(int(key) & ((1 << 62) - 1))
        u = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        turn = number % len(data.world.heads)
        self.head = data.world.heads[turn]
        self.n_times = s.n_times[int(u[0] * len(s.n_times))]
        self.sfreq = s.sfreq[int(u[1] * len(s.sfreq))]
        low, high = (math.log(k) for k in s.baseline)
        stretches = round(math.exp(low + (high - low) * u[2]))
        basis = average_reference(self.head.believed.n_sensors)
        self.background = draw_background(
            generator, basis, data.resting(turn), data.world.region_positions, s, self.sfreq
        )
        square, self.shrunk = estimated_whitener(generator, self.background, stretches)
        self.whitener = square @ basis
        gain = (self.whitener @ self.head.believed.gain).to(data.dtype)
        geometry = data.world.geometry
        self.operator = MatrixOperator(gain, geometry.n_orient, geometry)
        self._roots = (square @ self.background.roots(long(self.n_times))).to(data.dtype)

    @property
    def world(self) -> World:
        """The heads and their cortex."""
        return self.data.world

    def seen(self, sources: ActiveSources) -> Tensor:
        """Whitened topographies of sources at unit peak, (n_batch, n_sources, rank)."""
        if sources.regions:
            rows = self.data.resting(self.number % len(self.world.heads)).mT.to(self.data.dtype)
        else:
            rows = self.head.seen
        flat = sources.members.flatten(0, 1)
        weights = sources.weights.flatten(0, 1)
        summed = torch.nn.functional.embedding_bag(
            flat, rows, per_sample_weights=weights.to(rows), mode="sum"
        )
        white = summed.to(self.data.dtype) @ self.whitener.mT.to(self.data.dtype)
        return white.unflatten(0, sources.members.shape[:2])

    def batch(self, index: Tensor | Sequence[int] | range) -> EverydayBatch:
        """Make samples of this session.

        Parameters
        ----------
        index : sequence of int, shape (n_batch,)
            Numbers from 0 up, in any order.
        """
        chosen = torch.as_tensor(index, dtype=torch.int64).flatten()
        if len(chosen) == 0 or int(chosen.min()) < 0:
            raise MajorantError(f"sample numbers are 0 or more; found {index}")
        data, s = self.data, self.data.settings
        key = streams.keys(data.seed, chosen, PARTS.index(data.part), self.number)
        sources = data.drawer.draw(streams.fork(key, SOURCES), s)
        codes, courses = self._courses(key, sources)
        signal = torch.einsum("bkr,bkt->brt", self.seen(sources), courses)
        drawn = noise(streams.fork(key, NOISE), self._roots, self.n_times, data.dtype)
        low, high = s.snr_db
        snr_db = low + (high - low) * streams.uniform(streams.fork(key, LEVEL), 1)[:, 0]
        # The noise has the level of the recording; it is the sources that are loud or faint.
        loud = drawn.flatten(1).norm(dim=1) / signal.flatten(1).norm(dim=1).clamp_min(1e-30)
        scale = (loud * 10.0 ** (snr_db / 20.0))[:, None, None]
        return EverydayBatch(
            self, drawn + scale * signal, sources, scale * courses, chosen, snr_db, codes
        )

    def _courses(self, key: Tensor, sources: ActiveSources) -> tuple[Tensor, Tensor]:
        """Codes and courses with strengths, (n_batch, n_sources) and (.., n_times)."""
        data = self.data
        codes, courses = draw_courses(
            key, sources, data.settings, self.n_times, self.sfreq, data.part
        )
        return codes, courses.to(data.dtype)


def draw_courses(
    key: Tensor, sources: ActiveSources, s: EverydaySettings, n_times: int, sfreq: float, part: Part
) -> tuple[Tensor, Tensor]:
    """Draw what the sources of samples do, with their strengths.

    Parameters
    ----------
    key : Tensor, shape (n_batch,), int64
        Of the samples.
    sources : ActiveSources
    s : EverydaySettings
    n_times : int
    sfreq : float
        Hz.
    part : {"train", "validation", "test"}

    Returns
    -------
    codes : Tensor, shape (n_batch, n_sources), int64
    courses : Tensor, shape (n_batch, n_sources, n_times), float32
        Zero beyond the number of a sample.
    """
    active, most = sources.active, sources.seeds.shape[1]
    codes = draw_codes(streams.fork(key, COURSE), most, part)
    wave = play(codes.flatten(), n_times, sfreq, part).unflatten(0, (-1, most))
    u = streams.uniform(streams.fork(key, STRENGTH), 1 + 4 * most)
    alike, (rho, turned, size, sign) = u[:, 0], u[:, 1:].unflatten(1, (4, most)).unbind(1)
    rho = torch.where(alike[:, None] <= s.correlated, 0.5 + 0.5 * rho, 0.0)
    turned = torch.where(turned < 0.3, -1.0, 1.0)
    first = wave[:, :1] * turned[..., None]
    mixed = rho[..., None] * first + (1.0 - rho.square()).sqrt()[..., None] * wave
    wave = torch.cat([wave[:, :1], mixed[:, 1:]], 1)
    strength = s.weakest + (1.0 - s.weakest) * size
    strength = torch.where(active, torch.where(sign < 0.5, -strength, strength), 0.0)
    if s.moments:
        strength = strength / sources.weights.sum(2).clamp_min(1e-12)
    return codes, strength[..., None] * wave


class Everyday:
    """A stream of sessions, and of batches of samples.

    Parameters
    ----------
    world : World
        Heads of this part: those of training, validation and test are to be different ones.
    seed : int
    part : {"train", "validation", "test"}
    settings : EverydaySettings, optional
    sessions : int or None
        Sessions that :meth:`batches` goes through over and over; None never repeats one.
    shapes : int
        Random shapes of every seed, for patches grown at random.
    seeds : int or None
        Seeds that patches are tabulated for, spread over the cortex; None takes all of the part.
    lists : Lists, optional
        Of another stream of the same cortex and part, so that they need not be tabulated again.

    Raises
    ------
    MajorantError
        If settings or part make no sense, or sources of whole regions have no regions.
    """

    @takes_rng
    def __init__(
        self,
        world: World,
        seed: int = 333,
        *,
        part: Part = "train",
        settings: EverydaySettings | None = None,
        sessions: int | None = None,
        shapes: int = 3,
        seeds: int | None = None,
        lists: Lists | None = None,
    ) -> None:
        self.world, self.seed = world, seed
        self.part: Part = check_part(part)
        self.settings, self.sessions = settings or EverydaySettings(), sessions
        self.dtype = torch.float32
        if self.settings.on_regions:
            self.drawer: VertexSources | RegionSources = _region_sources(world, self)
        else:
            grown = lists or Lists.grow(world.cortex, self.part, shapes, seeds)
            self.drawer = VertexSources(world.cortex, grown)
        self._known: OrderedDict[int, Session] = OrderedDict()
        self._resting: dict[int, Tensor] = {}

    def resting(self, turn: int) -> Tensor:
        """What the electrodes of a head see of every region, (n_electrodes, n_regions) float64."""
        if turn not in self._resting:
            seen = self.world.heads[turn].seen
            self._resting[turn] = self.world.by_region(seen).double().mT.contiguous()
        return self._resting[turn]

    def session(self, number: int) -> Session:
        """Return a session; of those asked for last, the same object."""
        if number not in self._known:
            self._known[number] = Session(self, number)
        self._known.move_to_end(number)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[number]

    def batch(self, step: int, size: int) -> EverydayBatch:
        """Make the samples of a step: `size` new ones of the session whose turn it is."""
        number = step if self.sessions is None else step % self.sessions
        first = 0 if self.sessions is None else size * (step // self.sessions)
        return self.session(number).batch(range(first, first + size))

    def batches(self, size: int, start: int = 0) -> Iterator[EverydayBatch]:
        """Yield batches without end, from a step on."""
        step = start
        while True:
            yield self.batch(step, size)
            step += 1


def _region_sources(world: World, data: Everyday) -> RegionSources:
    if world.region_space is None:
        raise MajorantError("sources of whole regions need regions; give the world a region_space")
    s = data.settings
    grown = {shape == "region-grown" for shape in s.shapes}
    if len(grown) > 1:
        raise MajorantError("region-ball and region-grown do not mix; make a stream of each")
    settings = PatchSettings(orders=s.hops, growth="random" if grown.pop() else "ball")
    return RegionSources(PatchBank.grow(world.region_space, settings), data.part)
