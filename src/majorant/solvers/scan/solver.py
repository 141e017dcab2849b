"""The patch scan as a solver: what the one loop needs of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from majorant.forward.patches import RADII_MM
from majorant.linalg import ENERGY_DTYPE
from majorant.majorants.base import Surrogate
from majorant.majorants.guard import Guard
from majorant.problem import MajorantError, Problem
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import IterativeSolver, Proposal, Reading
from majorant.solvers.scan.bound import LikelihoodMajorant, at_likelihood
from majorant.solvers.scan.dictionary import Dictionary, Shapes, Shelf
from majorant.solvers.scan.likelihood import (
    Found,
    Likelihood,
    Sample,
    Sources,
)
from majorant.solvers.scan.number import Order
from majorant.solvers.scan.pencil import best_direction
from majorant.solvers.scan.posterior import posterior
from majorant.solvers.scan.search import Products, Search, Sweep

__all__ = ["Projections", "Scan"]


class Projections(Proposal[Found, Products]):
    """Sweeps of alternating projections."""

    def begin(self, problem: Problem, surrogate: Surrogate[Found]) -> Products:
        """Nothing multiplied yet."""
        return at_likelihood(surrogate).sweep.search.products()

    def propose(self, surrogate: Surrogate[Found], memory: Products) -> tuple[Found, Products]:
        """One sweep; where the last one changed nothing, one more patch first."""
        return at_likelihood(surrogate).sweep(surrogate.state, surrogate.energy, memory)


@dataclass(frozen=True)
class Scan(IterativeSolver[Found]):
    """A few patches of any size by alternating projections, and the mean over those that would do.

    Works on any lead field: cortex, volume, fixed or free orientation, EEG and MEG. Patches need
    positions (``problem.operator.geometry``); without them single locations are all there is. The
    source prior says no more than which columns are left out (variance 0): with three columns per
    location, loose or free, every patch has the one direction that explains most. On another
    person's cortex that errs less than the believed normals do.

    Parameters
    ----------
    n_most : int
        Patches at most.
    radii_mm : tuple of float
        Radii of the patches beside single locations, mm along the source space.
    falloff : float
        How much activity falls off towards the rim of a patch, ``exp(-2 falloff)`` there: 0 is a
        ball of even amplitude, 1 a Gaussian of two deviations. Nobody knows it of a recording; .5
        lies between the two, and is wrong by little whichever is the truth.
    spacing : float
        Distance between the centres of patches of one size, as a share of their radius; 0 takes
        every location.
    tau : float
        Temper of the likelihood over patches, in (0, 1]; small values spread the estimate.
    penalty : float
        Factor of what the information criterion charges for every number; larger values find
        fewer patches, 0 nearly as many as are allowed. Its own is 1; .4 was best on everyday data,
        where sources are seldom just what a patch is.
    head_error : float
        Share of a topography's power that is wrong because the head is not quite the believed one
        (:mod:`majorant.solvers.scan.number`); such errors are neither sources nor a reason to be
        sure of a place. 0 believes the head.
    patience : int
        How many more patches than the best number so far are tried.
    max_iter : int
        Sweeps at most.
    guard : Guard
        A sweep cannot raise the energy (``likelihood.py``); each is tested by the energy itself.
    shelf : Shelf
        Where prepared dictionaries are kept, the last few of them.

    Raises
    ------
    MajorantError
        If a setting is out of range.
    """

    abilities = Abilities(window=1.0, live=12, live_window=0.25)
    n_most: int = 8
    radii_mm: tuple[float, ...] = RADII_MM
    falloff: float = 0.5
    spacing: float = 0.25
    tau: float = 0.07
    penalty: float = 0.4
    head_error: float = 0.12
    patience: int = 1
    max_iter: int = 200
    guard: Guard = field(default_factory=lambda: Guard("descent", window=1, halvings=0))
    shelf: Shelf = field(default_factory=Shelf, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.n_most < 1 or self.patience < 1:
            raise MajorantError(
                f"n_most is {self.n_most} and patience {self.patience}; give 1 or more"
            )
        if not 0 < self.tau <= 1:
            raise MajorantError(f"tau is {self.tau}; give a number above 0 and at most 1")
        if not self.penalty >= 0:
            raise MajorantError(f"a penalty of {self.penalty} is not possible; give 0 or more")
        if not 0 <= self.head_error < 1:
            raise MajorantError(
                f"a head_error of {self.head_error} is not possible; give a share from 0 to below 1"
            )
        if not 0 <= self.falloff <= 4 or not 0 <= self.spacing <= 1:
            raise MajorantError(
                f"falloff is {self.falloff} and spacing {self.spacing}; give a falloff from 0 to 4 "
                "and a spacing from 0 to 1"
            )
        if not all(radius > 0 for radius in self.radii_mm):
            raise MajorantError(f"radii_mm is {self.radii_mm}; give lengths above 0 mm")

    def dictionary(self, problem: Problem) -> Dictionary:
        """The topographies of all patches, prepared once for an operator.

        Raises
        ------
        MajorantError
            If the operator is matrix-free, or holds one lead field per sample.
        """
        shapes = Shapes(tuple(self.radii_mm), self.falloff, self.spacing)
        return self.shelf.dictionary(problem, shapes)

    def certifies(self, problem: Problem) -> str:
        """Patches: the estimate is a mean over patches that would do."""
        return "the best patches, before the estimate is averaged over patches that fit as well"

    def majorant(self, problem: Problem) -> LikelihoodMajorant:
        """The likelihood of this problem, its own bound."""
        return LikelihoodMajorant(self._sweep(problem))

    def start(self, problem: Problem) -> Found:
        """No patch at all."""
        n_batch = problem.n_batch
        none = Sources.none(n_batch, self._most(problem), problem.operator.n_orient)
        return Found(
            none,
            none,
            torch.full((n_batch,), torch.inf, dtype=ENERGY_DTYPE),
            torch.zeros_like(none.there),
            torch.zeros(n_batch, dtype=torch.bool),
        )

    def proposal(self, problem: Problem) -> Projections:
        """Alternating projections."""
        return Projections()

    def converged(self, before: Surrogate[Found], after: Surrogate[Found]) -> Tensor:
        """Samples in which no further patch is asked for."""
        return after.state.done

    def read(self, problem: Problem, surrogate: Surrogate[Found]) -> Reading:
        """The mean over patches, its variance, and what was found.

        Where no number of patches is better than none, the estimate is that of one, whose place
        the data leave open: ``details["n_sources"]`` is 0 then.
        """
        search, found = at_likelihood(surrogate).sweep.search, surrogate.state
        least = self._least(search, found)
        kept = search.renewed(search.products(), least)
        estimate, variance, noise = posterior(search, kept, self.tau, self.head_error)
        size, basis = search.likelihood.sample.size, search.dictionary.basis
        estimate = estimate * size[:, None, None]
        variance, noise = (part * size.square()[:, None] for part in (variance, noise))
        chosen = [own[own >= 0] for own in least.index]
        return Reading(
            estimate=estimate.to(problem.y.dtype),
            variance=variance,
            noise=noise,
            details={
                "n_sources": found.best.count.tolist(),
                "location": [basis.centre[own].tolist() for own in chosen],
                "radius_mm": [(1e3 * basis.radius[own]).tolist() for own in chosen],
                "unexplained": search.likelihood.share(least).tolist(),
            },
        )

    def _least(self, search: Search, found: Found) -> Sources:
        """The best patches; one where there are none."""
        none = found.best.count == 0
        rows = none.nonzero()[:, 0]
        if len(rows) == 0:
            return found.best
        kept = search.products()
        others = search.others(kept, rows, found.best.there[rows])
        patch = search.scores(kept, rows, others).argmax(1)
        _, power, left = others.pencil(search.dictionary.atoms[patch][:, None])
        way = best_direction(power, left, search.close)[:, 0]
        return found.best.placed(rows, torch.zeros_like(rows), patch, way)

    def _most(self, problem: Problem) -> int:
        return max(1, min(self.n_most, problem.operator.n_sensors - 2))

    def _sweep(self, problem: Problem) -> Sweep:
        dictionary = self.dictionary(problem)
        sample = Sample.of(problem.y, dictionary.whitener)
        likelihood = Likelihood(dictionary, sample)
        n_sensors, n_times = sample.y.shape[1:]
        measured, choices = n_sensors * n_times, dictionary.basis.n_patches
        order = Order(
            measured,
            choices,
            n_times,
            problem.operator.n_orient,
            self.penalty,
            self.patience,
            self.head_error,
        )
        return Sweep(Search(likelihood, self._most(problem), self.head_error), order)
