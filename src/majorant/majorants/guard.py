"""The guard: a proposal moves the estimate only where the energy does not rise.

**Theorem (descent).** Let ``u`` be any energy, ``s_0`` any start and let proposals come from
anywhere: a classical rule, a trained network, a random one, an adversary. Let ``s_{k+1}`` be what
:meth:`Guard.decide` returns from ``s_k``. Where the energy itself is tested, the computed energies
satisfy ``u(s_{k+1}) <= u(s_k)``, without any allowance, for every k and every sample. Where the
bound is tested they satisfy ``u(s_{k+1}) <= u(s_k) + r_k`` if the bound is a majorant, with
``r_k`` the rounding of the energy, never above half of what the certificate calls a violation.

*Proof.* A sample of ``s_{k+1}`` is one of four points. (1) The proposal, taken only if its energy,
or the upper bound of the change, passed the test. (2) A point part of the way to it, taken only
after the same test. (3) A point part of the way to the analytic step, taken only after the same
test. (4) ``s_k`` itself. In the first three the test contains the inequality claimed; in the
fourth it holds with equality. NaN passes no test, because a comparison with NaN is false. Samples
are selected, never mixed, so the claim holds for each one alone. ∎

**Theorem (stationarity).** Descent is not yet convergence: a network that proposes nothing for
ever descends. So a proposal must win at least ``sufficient`` (eta) of the decrease ``D(s)`` that
the analytic step promises, or that step is taken in its place, backtracked until it wins the same
share of what is left of the promise. Then, for an energy bounded below, the sum over k of
``t_k D(s_k)`` is at most ``(u(s_0) - inf u) / eta``, with ``t_k`` = 1 where a proposal was taken
and the accepted fraction of the analytic step elsewhere; and since ``t_k`` is bounded below
wherever the gradient is Lipschitz, ``D(s_k) = <g, P^-1 g>/2`` tends to zero, and with it the
gradient.

*Proof.* ``docs/guarantees.md``, theorem 5; it names the constants. ∎

The test by ``energy`` needs nothing of the bound. The test by ``surrogate`` is a theorem only
where the bound is a majorant on the segment it is asked about; the certificate says which bound
was used and of what kind it is. The strict form ``majorant`` asks after every single step whether
the predicted curvature majorises the energy at the new point.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

import torch
from torch import Tensor

from majorant.energies.base import StateT
from majorant.majorants.base import Majorant, Surrogate, Tried
from majorant.problem import MajorantError

GuardTest = Literal["off", "surrogate", "energy", "descent", "majorant"]

TriedT = TypeVar("TriedT", bound=Tried[Any])

VIOLATION = 1e-6
"""A rise of the energy above this, relative to ``max(1, |u|)``, is a violation."""


@dataclass(frozen=True)
class Verdict(Generic[StateT]):
    """What the guard decided in one window; counts are int64, shape (n_batch,).

    ``before`` is where the window began, with the energies that were compared.
    """

    before: Surrogate[StateT]
    surrogate: Surrogate[StateT]
    refused: Tensor
    halvings: Tensor
    fallbacks: Tensor


@dataclass(frozen=True)
class Guard:
    """Settings of the guard.

    Parameters
    ----------
    test : {"energy", "descent", "majorant", "surrogate", "off"}
        What decides. ``"energy"``: the energy falls by a share of what the analytic step promises.
        ``"descent"``: the energy does not rise. ``"majorant"``: the strict form, after every step:
        ``u(x + d) <= u(x) + (1 - gamma/2) <g, d>``, which for ``d = -gamma tau p*g`` says that
        ``Diag(1/(tau p))`` majorises the energy at the new point. ``"surrogate"``: the upper bound
        of the change is not positive. ``"off"``: nothing.
    window : int
        Steps a proposal may run before it is judged. Learned proposals overshoot every other
        step, and what descends is the pair: 2 costs nothing, 1 is the strict form, the only one
        that ``"majorant"`` is defined for.
    sufficient : float
        Share of the promised decrease that a proposal must win; 0 asks for descent alone.
    halvings : int
        How often a refused displacement is halved before the analytic step is tried.
    fallback_halvings : int
        How often the analytic step is halved before the sample stays where it is.
    rounding : float
        Relative rounding of the energy; a rise below it is none, but is not taken either: the
        sample stays, and that is no refusal.
    gamma : float
        Step length of the proposal, in (0, 2); ``"majorant"`` only.

    Raises
    ------
    MajorantError
        If a setting is unknown or out of range.
    """

    test: GuardTest = "energy"
    window: int = 2
    sufficient: float = 1e-4
    halvings: int = 4
    fallback_halvings: int = 30
    rounding: float = 1e-13
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if self.test not in get_args(GuardTest):
            raise MajorantError(
                f"guard {self.test!r} is unknown; choose 'energy', 'descent', 'majorant', "
                "'surrogate' or 'off'"
            )
        if self.window < 1:
            raise MajorantError(f"a guard window of {self.window} is not possible; give 1 or more")
        if self.test == "majorant" and self.window != 1:
            raise MajorantError(
                f"the guard 'majorant' judges single steps and the window is {self.window}; "
                "give window=1, or choose 'energy'"
            )
        if not (0 <= self.sufficient < 1 and 0 < self.gamma < 2):
            raise MajorantError(
                f"sufficient {self.sufficient} and gamma {self.gamma} were given; they belong in "
                "[0, 1) and (0, 2)"
            )

    @property
    def _asks(self) -> bool:
        """Whether a proposal must win something."""
        return self.test != "descent" and self.sufficient > 0

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
        if not bool(active.all()):  # who stays keeps the energy that is known of it
            energy = torch.where(active, proposed.energy, current.energy)
            doubts = (torch.as_tensor(s.doubt, dtype=energy.dtype) for s in (proposed, current))
            proposed = proposed.restated(energy, torch.where(active, *doubts))
        if self.test == "off":
            return Verdict(*told(current, proposed, active), none, none, none)
        if self.test in ("energy", "descent"):
            # Most windows win far more than they must: neither the energies in float64 nor the
            # exact promise of the bound need be looked at.
            most = self.sufficient * current.promise_limit() if self._asks else 0.0
            clear = current.energy - most - current.doubt - proposed.doubt
            fell = (proposed.energy <= clear) & proposed.state.finite()
            if bool((fell | ~active).all()):
                return Verdict(current, proposed, none, none, none)
        search = _Search(self, majorant, current, active)
        proposed = search.known(proposed, active)
        if bool((search.take(proposed, active) | ~active).all()):
            return Verdict(search.current, proposed, none, none, none)
        refused = search.open.to(torch.int64)
        halvings, _ = search.along(proposed.state, 1, self.halvings, shrink=False)
        fallbacks = none
        if bool(search.open.any()):
            analytic = search.current.minimiser()
            _, fallbacks = search.along(analytic, 0, self.fallback_halvings, shrink=True)
        current = surrogate = search.current
        if bool(search.moved.any()):
            energy = torch.where(search.moved, search.energy, current.energy)
            doubt = torch.where(search.moved, search.doubt, torch.as_tensor(current.doubt))
            there = search.whole or majorant.at(search.state)
            surrogate = there.restated(energy, doubt)
        if self.test == "surrogate":
            current, surrogate = told(current, surrogate, active)
        return Verdict(current, surrogate, refused, halvings, fallbacks)


def told(
    before: Surrogate[StateT], after: Surrogate[StateT], active: Tensor
) -> tuple[Surrogate[StateT], Surrogate[StateT]]:
    """Both, known well enough to tell whether the energy rose by what counts as a violation."""
    limit = VIOLATION * before.energy.abs().clamp_min(1.0)
    sure = (after.energy - before.energy - limit).abs() > before.doubt + after.doubt
    open_ = active & ~sure
    return before.settled(open_), after.settled(open_)


class _Search(Generic[StateT]):
    """Looks for a point that passes, for the samples still ``open``; takes it into ``state``.

    ``moved`` marks the samples that took one. A sample that is neither open nor moved stays.
    ``whole`` is the bound where all samples took the same trial.
    """

    def __init__(
        self, guard: Guard, majorant: Majorant[StateT], current: Surrogate[StateT], open_: Tensor
    ) -> None:
        self.guard, self.majorant, self.current = guard, majorant, current
        self.open, self.moved = open_, torch.zeros_like(open_)
        self.state = current.state
        self.energy = torch.full_like(current.energy, torch.inf)
        self.doubt = torch.zeros_like(current.energy)
        self.size = current.energy.abs().clamp_min(1.0)
        asked = guard.sufficient * current.promise() if guard._asks else None
        self.demand = torch.zeros_like(self.size) if asked is None else asked
        self.whole: Surrogate[StateT] | None = None

    def known(self, trial: TriedT, asked: Tensor, share: float = 1.0) -> TriedT:
        """The trial, known well enough to be judged, and so where it began.

        Energies are computed in float64 where what rounding may have moved them by leaves open
        whether they fell by what is asked for.
        """
        if self.guard.test == "surrogate":
            return trial
        current = self.current
        change, unsure = trial.energy - current.energy, current.doubt + trial.doubt
        fails, passes = change > unsure, change < -share * self.demand - unsure
        open_ = asked & ~fails & (~passes if self.guard.test != "majorant" else asked)
        self.current = current.settled(open_)
        return trial.settled(open_)

    def take(self, trial: Tried[StateT], asked: Tensor, share: float = 1.0) -> Tensor:
        """Take the samples of ``trial`` that pass; return which did, bool (n_batch,).

        ``share`` scales the decrease that is asked for. NaN passes nothing.
        """
        guard, current, by_bound = self.guard, self.current, self.guard.test == "surrogate"
        if by_bound:
            change, own = current.change(trial.state), current.rounding
        else:
            change, own = trial.energy - current.energy, current.rounding + trial.rounding
        slack = (guard.rounding * self.size + own).minimum(0.5 * VIOLATION * self.size)
        required = share * self.demand
        if guard.test == "majorant":
            won = -(1.0 - guard.gamma / 2.0) * current.slope(trial.state)
            required = torch.where(won >= 0, torch.maximum(required, won), torch.inf)
        asked = asked & trial.state.finite()
        passed = asked & (change <= slack - required)
        level = torch.zeros_like(passed)
        if not by_bound:
            # Where float64 does not know the energies either, nothing is taken.
            unsure = current.doubt + trial.doubt
            passed = passed & (change <= 0) & (change + unsure <= VIOLATION * self.size)
            level = asked & ~passed & (change <= slack) & (required <= slack)
        self.state = trial.state.where(passed, self.state)
        self.energy = torch.where(passed, trial.energy, self.energy)
        self.doubt = torch.where(passed, trial.doubt, self.doubt)
        self.moved, self.open = self.moved | passed, self.open & ~(passed | level)
        if isinstance(trial, Surrogate) and bool(passed.all()):
            self.whole = trial
        return passed

    def along(
        self, target: StateT, first: int, last: int, *, shrink: bool
    ) -> tuple[Tensor, Tensor]:
        """Try ``2^-first .. 2^-last`` of the way to ``target``; count tries and successes.

        With ``shrink`` the decrease asked for shrinks with the step (Armijo's rule).
        """
        tried = torch.zeros_like(self.open, dtype=torch.int64)
        taken = torch.zeros_like(tried)
        reachable = target.finite()
        for k in range(first, last + 1):
            possible = self.open & reachable
            if not bool(possible.any()):
                break
            part = self.current.state.toward(target, 0.5**k)
            trial = self.majorant.tried(part.where(possible, self.current.state), possible)
            share = 0.5**k if shrink else 1.0
            passed = self.take(self.known(trial, possible, share), possible, share)
            tried, taken = tried + possible, taken + passed
        return tried, taken
