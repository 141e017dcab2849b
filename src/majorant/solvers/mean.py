"""The mean of unlike solvers, and in what sense it is better than each of them.

Every member solves the problem for itself; its estimate, scaled to unit norm, is a direction
``u_k``. The answer is the direction ``m = sum_k w_k u_k``, with the amplitude that fits the data
best. What is minimised is how far a direction lies from all members together,

    E(x) = sum_k w_k (1 - cos(x, u_k)) = 1 - <x, m> / |x|,    w_k > 0,    sum_k w_k = 1,

and 1 for the estimate of zeros, which has no direction.

**Theorem.** (a) ``E(m) = 1 - |m|`` is the least value of ``E``. (b) The member of least ``E`` has
``E <= 1 - |m|^2 <= 1``. So along "nothing, the member nearest to all, their mean" the energy never
rises, whatever the members are, and the mean disagrees less with all of them than any one does.

*Proof.* (a) ``<x, m> <= |x| |m|`` (Cauchy and Schwarz), with equality for ``x = m``. (b) The mean
of ``E(u_k)`` over the weights is ``1 - <m, m>``, and the least of some numbers is at most their
mean. And ``1 - |m| <= 1 - |m|^2`` since ``|m| <= 1``. ∎

It says nothing of accuracy. Where members err independently their mean errs less; that they do is
measured (``docs/choosing.md``). The variance is that of the mixture: what the members say of
themselves, and how far apart they are. Their own certificates are kept: their refusals are added to
those of the mean, and so are their violations, so that no member can hide one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from majorant.energies.base import Energy
from majorant.energies.cosine import SourceState
from majorant.energies.lengths import CACHED, dot, inverse, norm
from majorant.linalg import ENERGY_DTYPE, squared_norm, total
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.guard import Guard
from majorant.problem import BoundKind, MajorantError, Operator, Problem, Solution
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import IterativeSolver, Memoryless, Reading, Solver
from majorant.solvers.loop import solve

__all__ = ["Disagreement", "Mean"]


class Disagreement(Energy[SourceState]):
    """How far a direction lies from all members together.

    Parameters
    ----------
    members : sequence of Tensor, shape (n_batch, n_columns, n_times)
        Estimates; only their directions count. One of zeros has none, and disagrees with all.
    weights : Tensor, shape (n_members,), float64
        Positive, of sum 1.
    """

    name = "disagreement with the members"

    def __init__(self, members: Sequence[Tensor], weights: Tensor) -> None:
        self.sizes = tuple(norm(x) for x in members)
        sized = zip(members, self.sizes, strict=True)
        self.members = tuple(x * inverse(size)[:, None, None].to(x.dtype) for x, size in sized)
        self.weights = weights
        parts = zip(self.members, weights.tolist(), strict=True)
        self.mean = sum((w * x for x, w in parts), torch.zeros_like(self.members[0]))

    def value(self, state: SourceState) -> Tensor:
        """``1 - <x, m> / |x|``, in float64 a few rows at a time, shape (n_batch,)."""
        rows = max(1, CACHED // max(1, state.x[:, 0].numel()))
        along, square = state.x.new_zeros(2, len(state.x), dtype=ENERGY_DTYPE)
        for x, mean in zip(state.x.split(rows, 1), self.mean.split(rows, 1), strict=True):
            wide = x.to(ENERGY_DTYPE)
            along, square = along + total(wide * mean), square + squared_norm(wide)
        return 1.0 - along * inverse(square.sqrt())

    def value_and_grad(self, state: SourceState) -> tuple[Tensor, SourceState]:
        """Energy, and ``(<x, m> x / |x|^2 - m) / |x|``."""
        x, size = state.x, inverse(norm(state.x))[:, None, None].to(state.x.dtype)
        along = dot(x, self.mean)[:, None, None].to(x.dtype)
        return self.value(state), SourceState((along * size * size * x - self.mean) * size)

    def admissible(self, origin: SourceState, proposed: SourceState) -> SourceState:
        """Every direction is."""
        return proposed

    def nearest(self) -> Tensor:
        """The member of least energy, (n_batch, n_columns, n_times)."""
        along = torch.stack([dot(x, self.mean) for x in self.members])
        # A member of zeros is no direction to start from.
        along = torch.where(torch.stack(self.sizes) > 0, along, -torch.inf)
        best = along.argmax(0)
        chosen = self.members[0]
        for k, x in enumerate(self.members[1:], 1):
            if bool((best == k).any()):
                chosen = torch.where((best == k)[:, None, None], x, chosen)
        return chosen


@dataclass(frozen=True, eq=False)
class DisagreementSurrogate(Surrogate[SourceState]):
    """The energy itself, whose minimiser is known.

    Attributes
    ----------
    state : SourceState
    energy : Tensor, shape (n_batch,), float64
    of : Disagreement
    solutions : tuple of Solution
        Of the members.
    """

    state: SourceState
    energy: Tensor
    of: Disagreement
    solutions: tuple[Solution, ...]

    def change(self, proposed: SourceState) -> Tensor:
        """How the energy changes, exactly."""
        return self.of.value(proposed) - self.energy

    def slope(self, proposed: SourceState) -> Tensor:
        """Directional derivative; float64, shape (n_batch,)."""
        _, gradient = self.of.value_and_grad(self.state)
        return total(gradient.x * (proposed.x - self.state.x))

    def minimiser(self) -> SourceState:
        """The mean."""
        return SourceState(self.of.mean)

    def promise(self) -> Tensor:
        """What the mean wins."""
        return (-self.change(self.minimiser())).clamp_min(0)


class DisagreementMajorant(Majorant[SourceState]):
    """The energy as its own bound.

    Parameters
    ----------
    energy : Disagreement
    solutions : tuple of Solution
        Of the members.
    """

    name = "the disagreement itself"
    kind: BoundKind = "global"

    def __init__(self, energy: Disagreement, solutions: tuple[Solution, ...]) -> None:
        self.energy: Disagreement = energy
        self.solutions = solutions

    def at(self, state: SourceState) -> DisagreementSurrogate:
        """Evaluate the energy at ``state``."""
        return DisagreementSurrogate(state, self.energy.value(state), self.energy, self.solutions)


class ToMean(Memoryless[SourceState]):
    """From nothing to the member nearest to all, and from there to the mean."""

    def rule(self, surrogate: Surrogate[SourceState]) -> SourceState:
        """The nearest member for samples that are zero, the mean for the others."""
        own = _at(surrogate)
        nothing = norm(own.state.x) == 0
        return SourceState(own.of.nearest()).where(nothing, own.minimiser())


@dataclass(frozen=True)
class Mean(IterativeSolver[SourceState]):
    """The mean of several solvers' estimates, each scaled to unit norm per sample, in A m.

    Parameters
    ----------
    members : mapping of str to Solver
        At least one; the names are those under which they are told of.
    weights : tuple of float or None
        Positive, one per member; only their ratios count. None weighs all alike.
    max_iter : int
        Two: to the member nearest to all, and to the mean.
    guard : Guard
        Neither step can raise the energy (see the module); each is tested by the energy itself.

    Raises
    ------
    MajorantError
        If there is no member, or the weights do not go with them.
    """

    # Members may be networks that run in single precision.
    abilities = Abilities(window=1.0, precision=torch.float32)

    members: Mapping[str, Solver]
    weights: tuple[float, ...] | None = None
    max_iter: int = 2
    guard: Guard = field(default_factory=lambda: Guard("descent", window=1))

    def __post_init__(self) -> None:
        if not self.members:
            raise MajorantError("there are no members to average; give at least one solver")
        weights = self.weights
        if weights is None:
            return
        if len(weights) != len(self.members) or not all(0 < w < float("inf") for w in weights):
            raise MajorantError(
                f"the weights are {weights} for {len(self.members)} members; give one positive "
                "number for each"
            )

    def at(self, sfreq: float) -> Mean:
        """The mean of the same members for data of a sampling rate, Hz."""
        return replace(self, members={name: own.at(sfreq) for name, own in self.members.items()})

    def require(self, operator: Operator) -> None:
        """Refuse an operator that a member refuses."""
        for member in self.members.values():
            member.require(operator)

    def learned(self) -> torch.nn.Module | None:
        """What members learned from data."""
        parts = {name: own.learned() for name, own in self.members.items()}
        found = {name: part for name, part in parts.items() if part is not None}
        return torch.nn.ModuleDict(found) if found else None

    def certifies(self, problem: Problem) -> str:
        """A direction: the energy does not see the amplitude."""
        return "the estimate, whatever its amplitude,"

    def majorant(self, problem: Problem) -> DisagreementMajorant:
        """Solve by every member; the disagreement with them."""
        solutions = tuple(solve(problem, member) for member in self.members.values())
        weights = torch.tensor(self.weights or (1.0,) * len(solutions), dtype=ENERGY_DTYPE)
        energy = Disagreement([own.estimate for own in solutions], weights / weights.sum())
        return DisagreementMajorant(energy, solutions)

    def start(self, problem: Problem) -> SourceState:
        """Nothing."""
        n_columns = problem.operator.n_columns
        return SourceState(problem.y.new_zeros(problem.n_batch, n_columns, problem.n_times))

    def proposal(self, problem: Problem) -> ToMean:
        """To the nearest member, then to the mean."""
        return ToMean()

    def converged(self, before: Surrogate[SourceState], after: Surrogate[SourceState]) -> Tensor:
        """Samples that have arrived at the mean."""
        return (after.state.x == _at(after).of.mean).flatten(1).all(1)

    def read(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Reading:
        """The mean at the amplitude that fits the data best, by least squares over the sensors."""
        own, x = _at(surrogate), surrogate.state.x
        seen = problem.operator.apply(x)
        size = total(seen * problem.y) * inverse(squared_norm(seen))
        fits = torch.isfinite(size) & (size > 0)
        unit = torch.where(fits, size, 0.0).to(x.dtype)[:, None, None]
        told, noise = zip(self.members, own.solutions, strict=True), _by_noise(own)
        return Reading(
            x * unit,
            variance=_spread(own, x) * unit[:, :, 0] ** 2,
            noise=None if noise is None else noise.to(x.dtype) * unit[:, :, 0] ** 2,
            details={"members": {name: _told(solution) for name, solution in told}},
            unexplained=~fits,
            parts=tuple(solution.certificate for solution in own.solutions),
        )


def _spread(own: DisagreementSurrogate, x: Tensor) -> Tensor:
    """Variance of the mixture of members, mean over time, (n_batch, n_columns), where ``|u| = 1``.

    Their own posterior variances, where they have one, and how far they lie from their mean ``x``.
    """
    made = x.new_zeros(x.shape[:2])
    for k, solution in enumerate(own.solutions):
        weight = float(own.of.weights[k])
        made += weight * (own.of.members[k] - x).square().mean(2)
        if solution.variance is not None:
            scale = inverse(own.of.sizes[k])[:, None].to(x.dtype)
            made += weight * solution.variance.to(x.dtype) * scale.square()
    return made


def _by_noise(own: DisagreementSurrogate) -> Tensor | None:
    """At most what noise gives the mean of members, (n_batch, n_columns), where ``|u| = 1``.

    By the triangle inequality of deviations; None where a member does not say what it gives it.
    """
    parts: list[Tensor] = []
    for k, solution in enumerate(own.solutions):
        if solution.noise is None:
            return None
        scale = float(own.of.weights[k]) * inverse(own.of.sizes[k])[:, None]
        parts.append(solution.noise.sqrt() * scale)
    return torch.stack(parts).sum(0).square()


def _told(solution: Solution) -> dict[str, Any]:
    """What a member has to say for itself."""
    return {
        "certificate": solution.certificate.sentence(),
        "status": [status.name for status in solution.status],
        **solution.details,
    }


def _at(surrogate: Surrogate[SourceState]) -> DisagreementSurrogate:
    """The surrogate as that of the disagreement."""
    if not isinstance(surrogate, DisagreementSurrogate):
        raise TypeError(f"expected a DisagreementSurrogate, found {type(surrogate).__name__}")
    return surrogate
