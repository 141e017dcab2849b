"""The guard: a proposal moves the estimate only where the energy does not rise.

Theorem. Let ``u`` be any energy, ``s_0`` any start and let proposals come from anywhere: a
classical rule, a trained network, a random one, an adversary. Let ``s_{k+1}`` be what
:meth:`Guard.decide` returns from ``s_k``. Then ``u(s_{k+1}) <= u(s_k) + r_k`` for every k and
every sample, with ``r_k`` the rounding of the energy itself: ``rounding * max(1, |u(s_k)|)``, or
what the surrogates say of theirs where that is more, but never above half of what the certificate
calls a violation.

Proof. A sample of ``s_{k+1}`` is one of four points. (1) The proposal, taken only if its energy,
or the upper bound of the change, passed the test. (2) A point part of the way to it, taken only
after the same test. (3) A point part of the way to the analytic step, taken only after the same
test. (4) ``s_k`` itself. In the first three the test is the inequality claimed; in the fourth it
holds with equality. NaN passes no test, because a comparison with NaN is false. Samples are
selected, never mixed, so the claim holds for each one alone.

The test by ``energy`` needs nothing of the bound. The test by ``surrogate`` is a theorem only
where the bound is a majorant on the segment it is asked about; the certificate says which bound
was used and of what kind it is.

Descent is not yet convergence: a network that proposes nothing for ever descends. So a proposal
must win at least ``sufficient`` of the decrease that the analytic step promises, or that step
is taken in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal

import torch
from torch import Tensor

from majorant.energies.base import StateT
from majorant.majorants.base import Majorant, Surrogate
from majorant.problem import MajorantError

GuardTest = Literal["off", "surrogate", "energy"]

VIOLATION = 1e-6
"""A rise of the returned energy above this, relative to max(1, |u|), is a violation."""


@dataclass(frozen=True)
class Verdict(Generic[StateT]):
    """What the guard decided in one window; counts are int64, shape (n_batch,)."""

    surrogate: Surrogate[StateT]
    refused: Tensor
    halvings: Tensor
    fallbacks: Tensor


@dataclass(frozen=True)
class Guard:
    """Settings of the guard.

    Parameters
    ----------
    test : {"energy", "surrogate", "off"}
        What decides: the energy at the new point, the upper bound of its change, or nothing.
    window : int
        Steps a proposal may run before it is judged. Learned proposals overshoot every other
        step, and what descends is the pair: 2 costs nothing, 1 is the strict form.
    sufficient : float
        Share of the promised decrease that a proposal must win; 0 asks for descent alone.
    halvings : int
        How often a refused displacement is halved before the analytic step is tried.
    fallback_halvings : int
        How often the analytic step is halved before the sample stays where it is.
    rounding : float
        Relative rounding of the energy; differences below it are not a rise.
    """

    test: GuardTest = "energy"
    window: int = 2
    sufficient: float = 1e-4
    halvings: int = 4
    fallback_halvings: int = 30
    rounding: float = 1e-13

    def __post_init__(self) -> None:
        if self.test not in ("off", "surrogate", "energy"):
            raise MajorantError(
                f"guard {self.test!r} is unknown; choose 'energy', 'surrogate' or 'off'"
            )
        if self.window < 1:
            raise MajorantError(f"a guard window of {self.window} is not possible; give 1 or more")

    def decide(
        self,
        majorant: Majorant[StateT],
        current: Surrogate[StateT],
        proposed: Surrogate[StateT],
        active: Tensor,
    ) -> Verdict[StateT]:
        """Accept, shrink or replace what was proposed; per sample, without raising the energy.

        ``active`` (n_batch,) marks the samples still at work; of the others, ``proposed`` already
        holds the current state, and they keep it.
        """
        none = torch.zeros_like(current.energy, dtype=torch.int64)
        if self.test == "off":
            return Verdict(proposed, none, none, none)
        passed = self.passes(current, proposed, self.sufficient)
        if bool((passed | ~active).all()):
            return Verdict(proposed, none, none, none)
        search = _Search(self, majorant, current, active & ~passed)
        search.state = proposed.state.where(active & passed, current.state)
        refused = search.open.to(torch.int64)
        halvings, _ = search.along(proposed.state, 1, self.halvings, self.sufficient)
        _, fallbacks = search.along(current.minimiser(), 0, self.fallback_halvings, 0.0)
        return Verdict(majorant.at(search.state), refused, halvings, fallbacks)

    def passes(self, current: Surrogate[StateT], trial: Surrogate[StateT], demand: float) -> Tensor:
        """Whether each sample of ``trial`` may be taken, bool (n_batch,); False for NaN."""
        size = current.energy.abs().clamp_min(1.0)
        if self.test == "surrogate":
            change, own = current.change(trial.state), current.rounding
        else:
            change, own = trial.energy - current.energy, current.rounding + trial.rounding
        slack = (self.rounding * size + own).minimum(0.5 * VIOLATION * size)
        required = demand * current.promise() if demand else 0.0
        return trial.state.finite() & (change <= slack - required)


class _Search(Generic[StateT]):
    """Looks for a point that passes, for the samples still ``open``; takes it into ``state``."""

    state: StateT

    def __init__(
        self, guard: Guard, majorant: Majorant[StateT], current: Surrogate[StateT], open_: Tensor
    ) -> None:
        self.guard, self.majorant, self.current, self.open = guard, majorant, current, open_

    def along(self, target: StateT, first: int, last: int, demand: float) -> tuple[Tensor, Tensor]:
        """Try ``2^-first .. 2^-last`` of the way to ``target``; count tries and successes."""
        tried = torch.zeros_like(self.open, dtype=torch.int64)
        taken = torch.zeros_like(tried)
        possible = self.open & target.finite()
        for k in range(first, last + 1):
            if not bool(possible.any()):
                break
            part = self.current.state.toward(target, 0.5**k)
            trial = self.majorant.at(part.where(possible, self.current.state))
            passed = possible & self.guard.passes(self.current, trial, demand)
            self.state = trial.state.where(passed, self.state)
            tried, taken = tried + possible, taken + passed
            self.open, possible = self.open & ~passed, possible & ~passed
        return tried, taken
