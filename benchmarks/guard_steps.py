"""A million guarded steps against adversaries, judged by an evaluator that shares no code with us.

    python -m benchmarks.guard_steps            # a million steps, some minutes on one core
    python -m benchmarks.guard_steps 20000      # as many as that

Proposals come from adversaries: far and near at random, along the lead field's null space, up the
gradient, out of all size, of next to nothing, and the package's own analytic step, which rounding
alone can spoil. Lead fields are well-conditioned, of condition 1e6, or have lost a rank; with and
without a prior; single and double precision; the guard asks for descent or for sufficient descent.

The judge is :func:`judged`: the energy as the textbook has it, in NumPy and double precision. It
sees the accepted states and nothing else. A step counts as a rise where its energy lies more than
1e-6 above the one before it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise, product
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.cosine import CosineMajorant
from majorant.majorants.guard import Guard, GuardTest
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.base import IterativeSolver, Proposal, Reading
from majorant.solvers.loop import solve

SENSORS, SOURCES, TIMES, HIDDEN = 5, 9, 3, 7
BATCH = 400
RISE = 1e-6
MILLION = 1_000_000
SEGMENT = 25
"""Steps of a solve; the next one begins where it ended."""

Array = NDArray[np.float64]
Lead = Literal["well-conditioned", "condition 1e6", "rank lost"]
LEADS: tuple[Lead, ...] = ("well-conditioned", "condition 1e6", "rank lost")


@dataclass(frozen=True)
class Arena:
    """A batch of problems in NumPy: lead fields, data, starts, and the weights of a prior.

    Attributes
    ----------
    lead : array, shape (n_batch, n_sensors, n_sources)
    y : array, shape (n_batch, n_sensors, n_times)
    x : array, shape (n_batch, n_sources, n_times)
    weights : tuple of array
        Matrices of three layers; empty without a prior.
    null : array, shape (n_batch, n_sources, n_null)
        Directions that sensors do not see, or hardly.
    """

    lead: Array
    y: Array
    x: Array
    weights: tuple[Array, ...]
    null: Array


def arena(kind: Lead, prior: bool, single: bool, n_batch: int, seed: int) -> Arena:
    """Draw problems; in single precision all numbers are such."""
    rng = np.random.default_rng(seed)
    u, _, vt = np.linalg.svd(rng.standard_normal((n_batch, SENSORS, SOURCES)), full_matrices=True)
    sizes = {
        "well-conditioned": np.linspace(1.0, 0.3, SENSORS),
        "condition 1e6": np.logspace(0, -6, SENSORS),
        "rank lost": np.array([1.0, 0.8, 0.5, 0.3, 0.0]),
    }[kind]
    lead = (u * sizes) @ vt[:, :SENSORS]
    shapes = ((HIDDEN, SOURCES), (HIDDEN, HIDDEN), (SOURCES, HIDDEN)) if prior else ()
    weights = tuple(rng.standard_normal(shape) / np.sqrt(shape[1]) for shape in shapes)
    y = rng.standard_normal((n_batch, SENSORS, TIMES))
    x = rng.standard_normal((n_batch, SOURCES, TIMES))
    if single:
        lead, y, x = (a.astype(np.float32).astype(float) for a in (lead, y, x))
        weights = tuple(w.astype(np.float32).astype(float) for w in weights)
    return Arena(lead, y, x, weights, np.swapaxes(vt[:, SENSORS - 2 :], 1, 2))


def judged(own: Arena, x: Array, eps: float = 0.1) -> Array:
    """The energy of the textbook, sample by sample: ``1 - cos(Lx, y) + 1 - cos(x, Phi(x))``."""

    def apart(a: Array, b: Array) -> Array:
        flat_a, flat_b = a.reshape(len(a), -1), b.reshape(len(b), -1)
        size_a = np.linalg.norm(flat_a, axis=1, keepdims=True)
        size_b = np.linalg.norm(flat_b, axis=1, keepdims=True)
        gap = flat_a / np.where(size_a > 0, size_a, 1) - flat_b / np.where(size_b > 0, size_b, 1)
        return np.where((size_a * size_b)[:, 0] > 0, 0.5 * (gap * gap).sum(1), 1.0)

    energy = apart(np.einsum("bms,bst->bmt", own.lead, x), own.y)
    if not own.weights:
        return energy
    z = x
    for k, weight in enumerate(own.weights):
        if k:
            z = 0.5 * (z + np.sqrt(z * z + eps * eps))
        z = np.einsum("hs,bst->bht", weight, z)
    return energy + apart(x, z)


@dataclass(frozen=True)
class Adversary(Proposal[SourceState, int]):
    """Proposes one kind of harm after the other, every sample another one."""

    null: Tensor
    seed: int

    def begin(self, problem: Problem, surrogate: Surrogate[SourceState]) -> int:
        return self.seed

    def propose(self, surrogate: Surrogate[SourceState], memory: int) -> tuple[SourceState, int]:
        assert isinstance(surrogate, QuadraticSurrogate)
        x, g = surrogate.state.x, surrogate.gradient
        drawn = torch.Generator().manual_seed(memory)
        noise = torch.randn(x.shape, generator=drawn, dtype=torch.float64).to(x)
        size = x.flatten(1).norm(dim=1)[:, None, None]
        steep = g.flatten(1).norm(dim=1).clamp_min(1e-30)[:, None, None]
        far = 10.0 ** (12.0 * torch.rand(len(x), 1, 1, generator=drawn).to(x) - 9.0)
        hidden = self.null @ (self.null.mT @ noise)
        kinds = (
            x + far * size * noise / SOURCES,
            x + far * size * hidden,  # the sensors do not see it
            x + 9.0 * size * hidden,
            x + far * size * g / steep,
            x - 2.5 * size * g / steep,
            1e20 * noise,
            x * (1.0 + 1e-7 * noise),
            -1e-3 * x + 1e-3 * size * hidden,
            surrogate.minimiser().x,
            surrogate.minimiser().x + 1e-4 * size * hidden,
        )
        which = torch.randint(len(kinds), (len(x),), generator=drawn)
        chosen = torch.stack(kinds)[which, torch.arange(len(x))]
        return SourceState(chosen), memory + 1


@dataclass(frozen=True)
class Attacked(IterativeSolver[SourceState]):
    """A solver of the cosine energy whose proposals are an adversary's."""

    energy: CosineEnergy
    x: Tensor
    null: Tensor
    seed: int
    max_iter: int = SEGMENT
    guard: Guard = field(default=Guard(window=1))

    def majorant(self, problem: Problem) -> Majorant[SourceState]:
        return CosineMajorant(self.energy, "gram" if self.energy.prior is None else "v2")

    def start(self, problem: Problem) -> SourceState:
        return SourceState(self.x)

    def proposal(self, problem: Problem) -> Proposal[SourceState, Any]:
        return Adversary(self.null, self.seed)

    def converged(self, before: Surrogate[SourceState], after: Surrogate[SourceState]) -> Tensor:
        return torch.zeros_like(before.energy, dtype=torch.bool)

    def read(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Reading:
        return Reading(surrogate.state.x)


@dataclass(frozen=True)
class Count:
    """What the judge found.

    Attributes
    ----------
    steps, moved, rises : int
        Steps in all, steps that moved, and steps that rose by more than 1e-6.
    largest : float
        Largest rise.
    hidden : int
        Rises of solves whose certificate says that there was none.
    """

    steps: int
    moved: int
    rises: int
    largest: float
    hidden: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(
            self.steps + other.steps,
            self.moved + other.moved,
            self.rises + other.rises,
            max(self.largest, other.largest),
            self.hidden + other.hidden,
        )


NOTHING = Count(0, 0, 0, 0.0)


def fight(own: Arena, test: GuardTest, single: bool, segments: int, seed: int = 0) -> Count:
    """Some segments of steps on one batch of problems, judged."""
    dtype = torch.float32 if single else torch.float64
    prior = None
    if own.weights:
        widths = (SOURCES, HIDDEN, HIDDEN, SOURCES)
        prior = Autoencoder(widths, (1, 1, 1)).to(dtype).requires_grad_(False)
        for mine, given in zip(prior.weights, own.weights, strict=True):
            mine.copy_(torch.from_numpy(given)[..., None])
    problem = Problem(
        MatrixOperator(torch.from_numpy(own.lead).to(dtype)), torch.from_numpy(own.y).to(dtype)
    )
    energy, null = CosineEnergy(problem, prior), torch.from_numpy(own.null).to(dtype)
    first, found = torch.from_numpy(own.x).to(dtype), NOTHING
    for k in range(segments):
        solver = Attacked(energy, first, null, SEGMENT * (seed * segments + k))
        out = solve(problem, solver, guard=Guard(test, window=1), keep_trace=True)
        states = [state.x.double().numpy() for state in out.trace]
        with np.errstate(all="ignore"):
            values = np.stack([judged(own, x) for x in states])
        change = np.diff(values, axis=0)
        rose = ~(change <= RISE * np.maximum(1.0, np.abs(values[:-1])))
        moved = sum(int((a != b).any((1, 2)).sum()) for a, b in pairwise(states))
        told = (out.certificate.violations == 0).numpy()
        worst = float(np.nanmax(change, initial=0.0))
        found += Count(change.size, moved, int(rose.sum()), worst, int(rose[:, told].sum()))
        # Now and then from the beginning: who has arrived at a minimum has nothing to defend.
        whole = torch.isfinite(out.estimate).flatten(1).all(1) & (out.estimate != 0).flatten(1).any(
            1
        )
        again = whole & (torch.arange(len(whole)) % 4 != k % 4)
        first = torch.where(again[:, None, None], out.estimate, torch.from_numpy(own.x).to(dtype))
    return found


def fights(steps: int) -> Iterator[tuple[str, GuardTest, Count]]:
    """Every kind of problem under every test, so many guarded steps in all."""
    tests: tuple[GuardTest, ...] = ("energy", "descent")
    cases = list(product(LEADS, (False, True), (True, False)))
    each = steps / (len(cases) * len(tests))
    n_batch = min(BATCH, max(8, round(each / (4 * SEGMENT))))
    segments = -(-round(each) // (n_batch * SEGMENT))
    for k, (kind, prior, single) in enumerate(cases):
        own = arena(kind, prior, single, n_batch, seed=k)
        name = f"{kind}, {'prior' if prior else 'no prior'}, {'float32' if single else 'float64'}"
        for test in tests:
            yield name, test, fight(own, test, single, segments, seed=k)
        yield name, "off", fight(own, "off", single, 1, seed=k)


def main(arguments: list[str]) -> int:
    """Print a row for every case, and the sums."""
    steps = int(arguments[0]) if arguments else MILLION
    guarded, free = NOTHING, NOTHING
    print("| problems | guard | steps | moved | rises | largest rise | hidden |")
    print("|---|---|---|---|---|---|---|")
    for name, test, c in fights(steps):
        guarded, free = (guarded, free + c) if test == "off" else (guarded + c, free)
        row = f"{c.steps:,} | {c.moved:,} | {c.rises:,} | {c.largest:.1e} | {c.hidden}"
        print(f"| {name} | {test} | {row} |", flush=True)
    for what, c in (("guarded", guarded), ("guard off", free)):
        print(f"{what}: {c.steps:,} steps, {c.moved:,} moved, {c.rises:,} rises above 1e-6,")
        print(f"    largest {c.largest:.1e}, {c.hidden} that no certificate tells")
    return int(guarded.rises > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
