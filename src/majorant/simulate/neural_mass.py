"""Jansen-Rit columns: all regions and many runs at once.

A column is three populations whose synapses are critically damped filters of second order:

    y0'' = A a S(y1 - y2) - 2 a y0' - a^2 y0
    y1'' = A a (mu + a_2 J S(a_1 J y0) + c) - 2 a y1' - a^2 y1 + noise
    y2'' = B b a_4 J S(a_3 J y0) - 2 b y2' - b^2 y2,      S(v) = 2 nu_max / (1 + exp(r (v0 - v)))

and its output is ``v = y1 - y2``. Columns are coupled through the delayed sigmoid of that output.
Integration is Heun's method for additive noise. Every random number is a function of the key of
its run, its region and its step, and arrays are cut into blocks whose width is a whole number of
vector registers, so that a run is the same to the last bit whatever runs it is simulated with.

Source: Jansen and Rit, Biol. Cybern. 73, 1995; the parameters, the coupling and the noise are
those of the neural-mass data of the MM-Net paper, which follow DeepSIF (Sun et al., PNAS 119,
2022) and The Virtual Brain (Sanz-Leon et al., NeuroImage 111, 2015).

The inner loop (:class:`Columns`) is Heun's method, written for few passes over memory.

Take ``y`` and ``u = dt y'`` as state, ``h = a dt`` and ``k = h^2 / 2``. With the predictor
``w = y + u``, a firing term ``G S(.)`` and an input ``m`` (noise, mean input and what arrives from
other columns), one step of Heun's method for additive noise is exactly

    e = (1 - h) u           + G S(y) + m - k y
    u = (h - k) u + (1 - 2h) e + G S(w) + m - k y
    y = y + e

so both firing terms are known at the start of a step and are computed in one pass. Only the small
increments are ever added to ``y``: float32 loses no more than it does in the textbook form.
Potentials are held times ``r``, those of ``y1`` less ``r v0``, which makes ``y1 - y2`` the argument
of the sigmoid as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from majorant.problem import MajorantError
from majorant.simulate import streams
from majorant.simulate.connectome import Connectome

CHUNK = 16
"""Steps whose noise is drawn at once."""
MARGIN = 64
"""Steps after which the memory of the coupling is moved."""
BLOCK = 8160
"""Columns simulated at once on a CPU: what fits into its cache. Blocks run in parallel, and torch
uses one thread within each, so that no result depends on the number of threads."""
LANES = 32
"""Blocks are a multiple of this wide: the last elements of an odd width are computed by scalar
code, which rounds differently."""
COARSEST = 0.5
"""Largest step, as a share of the fastest time constant of the synapses."""
DEVIATIONS = 12.0
"""Standard deviations of noise by which a potential may leave the range of its parameters."""
TOGETHER = 16
"""Coupled runs simulated side by side: what is gathered from a region then fills a cache line."""


@dataclass(frozen=True)
class JansenRit:
    """Parameters of a column; times in ms, potentials in mV.

    Attributes
    ----------
    A, B : float
        Excitatory and inhibitory gain of the synapses, mV. ``A = 3.6`` makes a source that spikes.
    a, b : float
        Inverse time constants of the synapses, 1/ms.
    nu_max : float
        Half the largest firing rate, 1/ms.
    r, v0 : float
        Steepness, 1/mV, and midpoint, mV, of the firing rate. The textbook has ``v0 = 6``; The
        Virtual Brain's default is 5.52.
    J : float
        Mean number of synapses.
    a_1, a_2, a_3, a_4 : float
        Shares of it in the four connections.
    mu : float
        Mean input, 1/ms: 0.087 rests and 0.22 makes the alpha rhythm.
    noise : float
        Standard deviation of the input noise, mV/ms over a root of ms, on the derivative of
        ``y1``.
    """

    A: float = 3.25
    B: float = 22.0
    a: float = 0.1
    b: float = 0.05
    nu_max: float = 0.0025
    r: float = 0.56
    v0: float = 6.0
    J: float = 135.0
    a_1: float = 1.0
    a_2: float = 0.8
    a_3: float = 0.25
    a_4: float = 0.25
    mu: float = 0.087
    noise: float = 0.0195

    def __post_init__(self) -> None:
        values = [getattr(self, name) for name in self.__dataclass_fields__]
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise MajorantError(f"{self} holds a parameter that is negative or not finite")
        if not (self.a > 0 and self.b > 0 and self.r > 0):
            raise MajorantError(
                f"a = {self.a} and b = {self.b} per ms and r = {self.r} per mV; all have to be "
                "positive"
            )


@dataclass(frozen=True)
class Integration:
    """How columns are stepped.

    Attributes
    ----------
    dt : float
        Step, ms.
    every : int
        Steps from one sample to the next.
    warmup : int
        Steps before the first sample, for the transient of the start.
    """

    dt: float = 0.5
    every: int = 4
    warmup: int = 1000

    def __post_init__(self) -> None:
        whole = all(value % 1 == 0 for value in (self.every, self.warmup))
        if not (self.dt > 0 and whole and self.every >= 1 and self.warmup >= 0):
            raise MajorantError(
                f"dt {self.dt}, every {self.every} and warmup {self.warmup} were given; expected a "
                "positive step, a whole number of steps a sample, one or more, and of warm-up"
            )

    @property
    def sfreq(self) -> float:
        """Sampling rate, Hz."""
        return 1000.0 / (self.dt * self.every)


@dataclass(frozen=True)
class NeuralMass:
    """A network of columns, ready to run.

    Attributes
    ----------
    column : JansenRit
    integration : Integration
    connectome : Connectome or None
        None leaves the columns alone.

    Raises
    ------
    MajorantError
        If the step is too large for the synapses.
    """

    column: JansenRit = field(default_factory=JansenRit)
    integration: Integration = field(default_factory=Integration)
    connectome: Connectome | None = None

    def __post_init__(self) -> None:
        fastest = max(self.column.a, self.column.b)
        if self.integration.dt * fastest > COARSEST:
            raise MajorantError(
                f"a step of {self.integration.dt:g} ms is too large for synapses of "
                f"{1 / fastest:g} ms (from {2 / fastest:g} ms on it is unstable): take at most "
                f"{COARSEST / fastest:g} ms, and {0.1 / fastest:g} ms for waveforms good to some "
                "percent"
            )

    def run(
        self,
        gain: Tensor,
        key: Tensor,
        n_times: int,
        *,
        dtype: torch.dtype = torch.float32,
        progress: Callable[[int], None] | None = None,
    ) -> Tensor:
        """Simulate.

        Parameters
        ----------
        gain : Tensor, shape (n_runs, n_regions)
            Excitatory gain ``A`` of every column, mV; in place of the one of ``column``.
        key : Tensor, shape (n_runs,), int64
            One key per run, see :func:`majorant.simulate.streams.keys`.
        n_times : int
            Samples to return.
        dtype : torch.dtype
        progress : callable, optional
            Called with the number of runs (of columns, where they are alone) just done.

        Returns
        -------
        Tensor, shape (n_runs, n_regions, n_times)
            ``v = y1 - y2`` of every column, mV, on the device of ``gain``.

        Raises
        ------
        MajorantError
            If shapes disagree, a gain is not positive, or potentials do not stay finite or leave
            the range that the parameters allow.
        """
        if gain.ndim != 2 or tuple(key.shape) != (gain.shape[0],) or n_times < 1:
            raise MajorantError(
                f"gains have shape {tuple(gain.shape)} and keys {tuple(key.shape)} for {n_times} "
                "samples; expected (runs, regions), (runs,) and at least one sample"
            )
        if not bool((gain > 0).all()):
            raise MajorantError(
                f"{int((~(gain > 0)).sum())} of {gain.numel()} gains are not positive; give mV, "
                f"around {self.column.A:g}"
            )
        n_runs, n_regions = gain.shape
        keys = streams.bits(key, n_regions)
        if self.connectome is None:
            columns = (gain.reshape(-1, 1), keys.reshape(-1, 1))
            out = self._blocks(*columns, n_times, dtype, _share(len(columns[0]), gain), progress)
            out = out.reshape(n_runs, n_regions, n_times)
        elif self.connectome.n_regions != n_regions:
            raise MajorantError(
                f"the connectome has {self.connectome.n_regions} regions and there are "
                f"{n_regions} gains a run; give one gain per region"
            )
        else:
            width = TOGETHER
            while width > 1 and width * _up(n_regions, LANES // width) > 2 * _limit(gain):
                width //= 2
            out = self._blocks(gain, keys, n_times, dtype, width, progress)
        self._check(out, float(gain.max()))
        return out

    def _check(self, v: Tensor, gain: float) -> None:
        """Refuse potentials that no column with these parameters can have."""
        low, high = self._range(gain)
        least, most = (float(edge) for edge in torch.aminmax(v))
        if low <= least and most <= high:
            return
        after = f"take a smaller step than {self.integration.dt:g} ms, or smaller gains"
        if math.isfinite(least) and math.isfinite(most):
            raise MajorantError(
                f"potentials run from {least:.3g} to {most:.3g} mV where the parameters allow "
                f"{low:.3g} to {high:.3g}: the integration is unstable; {after}"
            )
        bad = int((~torch.isfinite(v)).flatten(1).any(1).sum())
        raise MajorantError(f"{bad} of {len(v)} runs did not stay finite; {after}")

    def _range(self, gain: float) -> tuple[float, float]:
        """Bounds of ``y1 - y2``, mV: synapses are critically damped, so they do not overshoot."""
        p, wire = self.column, self.connectome
        arriving = 0.0
        if wire is not None:
            arriving = wire.gain * wire.rate_max * float(wire.weights.sum(1).max())
        firing = 2.0 * p.nu_max * p.J
        noise = 0.01 + DEVIATIONS * p.noise / math.sqrt(4.0 * p.a**3)
        high = gain / p.a * (p.mu + p.a_2 * firing + arriving)
        return -1.001 * p.B / p.b * p.a_4 * firing - noise, 1.001 * high + noise

    def _blocks(
        self,
        gain: Tensor,
        keys: Tensor,
        n_times: int,
        dtype: torch.dtype,
        width: int,
        progress: Callable[[int], None] | None,
    ) -> Tensor:
        """Run ``width`` runs at a time, padded so that rows are whole registers."""
        n_runs, n_regions = gain.shape
        padded = _up(n_regions, LANES // math.gcd(width, LANES))
        out = torch.empty(n_runs, n_regions, n_times, dtype=dtype, device=gain.device)

        def block(first: int) -> None:
            chosen = slice(first, min(first + width, n_runs))
            columns = Columns(self, _padded(gain[chosen], width, padded, self.column.A), dtype)
            v = columns.advance(_padded(keys[chosen], width, padded, 0), n_times)
            v = v.reshape(n_times, padded, width)[:, :n_regions, : chosen.stop - first]
            out[chosen] = v.permute(2, 1, 0)
            if progress is not None:
                progress(chosen.stop - first)

        _in_parallel(block, range(0, n_runs, width), gain.device.type == "cpu")
        return out


def _in_parallel(work: Callable[[int], None], items: Sequence[int], on_cpu: bool) -> None:
    """Do all items, on a CPU several at once and each with one thread of torch."""
    if not on_cpu:
        for item in items:
            work(item)
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(max(1, threads), initializer=_one_thread) as pool:
            list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)


def _one_thread() -> None:
    """The number of threads is kept per thread; the caller's stays what it is."""
    torch.set_num_threads(1)


def _padded(rows: Tensor, n_runs: int, n_regions: int, value: float) -> Tensor:
    """Bring (runs, regions) to (n_regions, n_runs) with a filling."""
    missing = (0, n_regions - rows.shape[1], 0, n_runs - rows.shape[0])
    return F.pad(rows, missing, value=value).T.contiguous()


def _limit(like: Tensor) -> int:
    """Columns a block may hold."""
    return BLOCK if like.device.type == "cpu" else 64 * BLOCK


def _share(n: int, like: Tensor) -> int:
    """Columns a block, so that the fewest possible blocks hold alike."""
    n_blocks = -(-n // _limit(like))
    return _up(-(-n // n_blocks), LANES)


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


class _Views(NamedTuple):
    """An array of shape (2, 3, n) and the parts of it that a step names: slicing takes longer than
    some of the sums."""

    whole: Tensor
    here: Tensor
    ahead: Tensor
    column: Tensor
    others: Tensor
    first: Tensor
    second: Tensor
    third: Tensor

    @classmethod
    def of(cls, x: Tensor) -> _Views:
        return cls(x, x[0], x[1], x[:, :1], x[:, 1:], x[:, 0], x[:, 1], x[:, 2])


class Columns:
    """A block of columns: their state, and the memory that their steps work in.

    Arrays are stacked: the state here and the state ahead, the three populations, the columns
    (regions, each with its runs side by side).

    Parameters
    ----------
    model : NeuralMass
    gain : Tensor, shape (n_regions, n_runs)
        ``A`` of every column, mV.
    dtype : torch.dtype
    """

    def __init__(self, model: NeuralMass, gain: Tensor, dtype: torch.dtype) -> None:
        p, dt = model.column, model.integration.dt
        self.model, n = model, gain.numel()
        like = {"dtype": dtype, "device": gain.device}

        def of_rows(values: list[float]) -> Tensor:
            return torch.tensor(values, **like)[:, None]

        h = [p.a * dt, p.a * dt, p.b * dt]
        self.keep = of_rows([1.0 - x for x in h])
        self.spring = of_rows([-0.5 * x * x for x in h])
        self.ahead = of_rows([x - 0.5 * x * x for x in h])
        self.carry = of_rows([1.0 - 2.0 * x for x in h])
        self.slopes = of_rows([p.r * p.a_1 * p.J, p.r * p.a_3 * p.J])
        self.offset = torch.tensor(-p.r * p.v0, **like)

        exact, weight = gain.flatten().to(torch.float64), 0.5 * dt * dt
        driven, double = exact * (weight * p.a * p.r), 2.0 * p.nu_max
        inhibited = weight * p.B * p.b * p.a_4 * p.J * p.r * double
        rows = [driven * (double / p.r), driven * (p.a_2 * p.J * double)]
        self.swing = torch.stack([*rows, torch.full_like(exact, inhibited)]).to(dtype)
        self.arrival = driven.to(dtype)
        # The mean input, and the spring of y1's shift.
        base = (driven * p.mu - 0.5 * h[0] ** 2 * p.r * p.v0).to(dtype)
        self.noise = _Noise(base, p.noise * math.sqrt(dt) * 0.5 * dt * p.r)
        self.input = torch.zeros_like(base)

        state, work, other = (torch.zeros(2, 3, n, **like) for _ in range(3))
        state[0, 1] = self.offset
        self.state, self.now, self.before = (_Views.of(x) for x in (state, work, other))
        coupled = model.connectome
        self.coupling = None if coupled is None else Coupling(coupled, model, gain, dtype)

    def advance(self, keys: Tensor, n_times: int) -> Tensor:
        """Return ``n_times`` samples of ``y1 - y2`` after the warm-up, mV, (n_times, n_columns).

        Parameters
        ----------
        keys : Tensor, shape (n_regions, n_runs), int64
            One for every column.
        n_times : int
        """
        setting, p, keys = self.model.integration, self.model.column, keys.flatten()
        y = self.state.here
        out = y.new_empty(n_times, y.shape[1])
        n_steps = setting.warmup + n_times * setting.every
        with torch.no_grad():
            for first in range(0, n_steps, CHUNK):
                rows = self.noise.draw(keys, first // CHUNK)[: n_steps - first]
                for done, row in enumerate(rows, first + 1 - setting.warmup):
                    self._step(row)
                    if done > 0 and done % setting.every == 0:
                        torch.sub(y[1], y[2], out=out[done // setting.every - 1])
            return out.div_(p.r).add_(p.v0)

    def _step(self, m: Tensor) -> None:
        """Advance by one step with the input ``m`` of the second population."""
        state, now, u = self.state, self.now, self.before.ahead
        torch.add(state.here, u, out=state.ahead)
        torch.sub(state.second, state.third, out=now.first)
        if self.coupling is not None:
            arriving = self.coupling.arriving(now.whole[0, 0])
            m = torch.addcmul(m, arriving, self.arrival, out=self.input)
        torch.addcmul(self.offset, state.column, self.slopes, out=now.others)
        now.whole.sigmoid_().mul_(self.swing).addcmul_(state.here, self.spring)
        now.second.add_(m)
        now.here.addcmul_(u, self.keep)
        now.ahead.addcmul_(u, self.ahead).addcmul_(now.here, self.carry)
        state.here.add_(now.here)
        self.now, self.before = self.before, now


class _Noise:
    """Inputs of the next steps: ``base`` plus normal numbers, functions of key and step.

    The numbers are those of :func:`majorant.simulate.streams.normal`, made in place and already
    in the order in which steps need them.
    """

    def __init__(self, base: Tensor, scale: float) -> None:
        self.base, self.scale, pairs = base, scale, CHUNK // 2
        self.rows = base.repeat(CHUNK, 1)
        self.views = list(self.rows)
        if scale:
            like = {"dtype": torch.int64, "device": base.device}
            self.position = torch.arange(1, pairs + 1, **like).mul_(streams.GOLDEN)[:, None]
            self.z, self.part = (torch.empty(pairs, len(base), **like) for _ in range(2))
            self.radius, self.angle = (base.new_empty(pairs, len(base)) for _ in range(2))

    def draw(self, keys: Tensor, chunk: int) -> list[Tensor]:
        """Return the inputs of the steps of a chunk; they are overwritten by the next call."""
        if self.scale:
            z, part, radius, angle = self.z, self.part, self.radius, self.angle
            torch.add(streams.fork(keys, chunk), self.position, out=z)
            streams.mix_(z, part)
            torch.bitwise_right_shift(z, 32, out=part)
            radius.copy_(part.bitwise_and_(streams.LOW_32)).add_(1.0).mul_(2.0**-32)
            radius.log_().mul_(-2.0 * self.scale**2).clamp_min_(0.0).sqrt_()
            angle.copy_(z.bitwise_and_(streams.LOW_32)).mul_(2.0 * math.pi * 2.0**-32)
            even, odd = self.rows.chunk(2)
            torch.cos(angle, out=even)
            torch.addcmul(self.base, even, radius, out=even)
            torch.addcmul(self.base, angle.sin_(), radius, out=odd)
        return self.views


class Coupling:
    """What arrives from other regions: weighted rates of the past, gathered from a buffer.

    The buffer holds the rates of the last steps as rows; when it is full its tail moves to its
    head. The gather treats the current window of it as an embedding table.
    """

    def __init__(
        self, connectome: Connectome, model: NeuralMass, gain: Tensor, dtype: torch.dtype
    ) -> None:
        n_regions, width = gain.shape
        table = connectome.table(model.integration.dt)
        self.length, self.width = table.longest + 1, width
        self.shift = model.column.r * (model.column.v0 - connectome.midpoint)
        rows = (self.length - 1 - table.delay) * n_regions + table.source
        extra = n_regions - connectome.n_regions
        self.rows = F.pad(rows, (0, 0, 0, extra)).to(gain.device, torch.int32)
        self.weights = F.pad(table.weight, (0, 0, 0, extra)).to(gain.device, dtype)
        self.buffer = torch.zeros(
            self.length + MARGIN, n_regions, width, dtype=dtype, device=gain.device
        )
        self.at = self.length - 1
        self.connectome, self.started = connectome, False

    def arriving(self, v: Tensor) -> Tensor:
        """Input of every column, 1/ms, shape (n_columns,); remembers the rates of now.

        Parameters
        ----------
        v : Tensor, shape (n_columns,)
            ``r (y1 - y2 - v0)`` of every column.
        """
        c = self.connectome
        now = (v + self.shift).sigmoid_().mul_(c.rate_max).view(-1, self.width)
        if not self.started:
            self.buffer[: self.length] = now
            self.started = True
        self.buffer[self.at] = now
        past = self.buffer[self.at + 1 - self.length : self.at + 1].view(-1, self.width)
        total = F.embedding_bag(self.rows, past, mode="sum", per_sample_weights=self.weights)
        self.at += 1
        if self.at == len(self.buffer):
            self.buffer[: self.length - 1] = self.buffer[self.at - self.length + 1 :].clone()
            self.at = self.length - 1
        return total.flatten().mul_(c.gain)
