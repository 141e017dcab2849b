"""The inner loop of the neural masses: Heun's method, written for few passes over memory.

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
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from majorant.simulate import streams
from majorant.simulate.connectome import Connectome

if TYPE_CHECKING:
    from majorant.simulate.neural_mass import NeuralMass

CHUNK = 16
"""Steps whose noise is drawn at once."""
MARGIN = 64
"""Steps after which the memory of the coupling is moved."""


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
