"""Champagne: sparse Bayesian learning of source and noise variances together.

Three rules, all from the same statistics (``energies/evidence.py``) and all monotone, because each
moves a variance by a factor between 1 and ``q = a / z`` (``majorants/evidence.py``):

| rule | source variance | noise variance |
|---|---|---|
| expectation maximisation | ``gamma + gamma^2 (a - z)`` | ``lambda + lambda^2 (b - w)`` |
| convex bounding | ``gamma sqrt(a / z)`` | ``lambda sqrt(b / w)`` |
| MacKay | ``gamma a / z`` | ``lambda b / w`` |

The default, ``newton``, is MacKay's rule at first and then takes Newton steps over the variances
that still matter (``solvers/newton.py``): it ends after some forty steps where the three rules
need thousands. It is no theorem but a proposal, which the guard holds to the same promise.

A variance that serves several columns or sensors uses the sums of their statistics (the mean of
them for EM). Full covariances, of the noise or of a location, use the geometric mean that
minimises the bound, which is convex bounding; the other rules have no such form.

``K`` steps of MacKay go about as far as ``2 K`` of convex bounding. For extended sources the error
of the estimate is lowest after some twenty steps of convex bounding, while the cost still falls:
``max_iter`` is a setting, not a nuisance.

Source: Wipf et al. (2010), doi:10.1016/j.neuroimage.2009.06.083; Cai et al. (2021),
doi:10.1016/j.neuroimage.2020.117411; full noise: Hashemi et al. (2021), arXiv:2107.10859.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from majorant.energies.basis import Basis, on_patches
from majorant.energies.evidence import Evidence, EvidenceEnergy
from majorant.energies.gaussian import GaussianModel, NoiseModel, Orientation, check_model
from majorant.energies.units import normalised
from majorant.energies.variances import Variances, log_ratio, update
from majorant.majorants.base import Surrogate
from majorant.majorants.evidence import EvidenceMajorant, at_evidence
from majorant.majorants.guard import VIOLATION, Guard
from majorant.problem import MajorantError, Problem
from majorant.solvers.base import IterativeSolver, Memoryless, Proposal, Reading
from majorant.solvers.newton import ActiveNewton, missed

Rule = Literal["newton", "cb", "em", "mackay"]


class EM(Memoryless[Variances]):
    """Expectation maximisation: posterior second moments. Slow, and the oldest."""

    def rule(self, surrogate: Surrogate[Variances]) -> Variances:
        """``v (1 + v (a - z) / m)`` for a variance that serves ``m`` coordinates."""
        return at_evidence(surrogate).moved(self._step)

    @staticmethod
    def _step(log: Tensor, z: Tensor, a: Tensor, served: int) -> Tensor:
        relative = log.exp() * (a - z) / served
        return log + torch.log1p(relative.clamp_min(torch.finfo(log.dtype).eps - 1.0))


class ConvexBounding(Memoryless[Variances]):
    """The minimiser of the convex bound."""

    def rule(self, surrogate: Surrogate[Variances]) -> Variances:
        """``v sqrt(a / z)``; the geometric mean for full covariances."""
        return at_evidence(surrogate).bounding()


class MacKay(Memoryless[Variances]):
    """The longest step that the bound calls safe; twice convex bounding in logarithms."""

    def rule(self, surrogate: Surrogate[Variances]) -> Variances:
        """``v a / z``."""
        return at_evidence(surrogate).moved(self._step)

    @staticmethod
    def _step(log: Tensor, z: Tensor, a: Tensor, served: int) -> Tensor:
        return update(log, log_ratio(a, z), share=1.0)


RULES: MappingProxyType[str, type[Memoryless[Variances]]] = MappingProxyType(
    {"cb": ConvexBounding, "em": EM, "mackay": MacKay}
)


@dataclass(frozen=True)
class Champagne(IterativeSolver[Variances]):
    """Sparse Bayesian learning with joint noise learning.

    Parameters
    ----------
    rule : {"newton", "cb", "em", "mackay"} or None
        Newton's steps after MacKay's, which converge; or convex bounding, expectation
        maximisation, or MacKay, as published. None is "newton" where variances are numbers and
        "cb" where noise or locations have full matrices.
    noise : {"diagonal", "scalar", "full", "given"}
        A variance per sensor, one for all, a full matrix (convex bounding only; starts from
        ``problem.noise`` and needs as many times as sensors, or ``shrinkage``), or
        ``problem.noise`` as it is. Variances that are learned start from the data alone.
    orientation : {"tied", "fixed", "block"} or None
        With three columns per location: one variance for the three, one for each, or a 3 x 3
        covariance (convex bounding only). None is "tied": no direction is preferred, every rule
        has it, it keeps the ratio of a loose orientation, and it costs a third.
    max_iter : int
        Iteration limit.
    tol : float
        A sample has converged when its cost changes by less than ``tol`` times the number of
        sensors.
    shrinkage : float
        Full noise only: share of ``problem.noise`` that stays whatever the data say.
    basis : {"points", "patches"}
        What has a variance: every location, or patches of a few sizes as well
        (:mod:`majorant.energies.basis`), where the operator says which locations are neighbours.
        Estimates and their variances are on the cortex either way.
    guard : Guard
        Each step is tested by the cost itself. The published rules are monotone by theorem, so
        none of their steps is ever refused but for a broken rule.

    Raises
    ------
    MajorantError
        If the rule, the noise model or the orientation is unknown, or they do not go together.
    """

    rule: Rule | None = None
    noise: NoiseModel = "diagonal"
    orientation: Orientation | None = None
    max_iter: int = 300
    tol: float = 1e-6
    shrinkage: float = 0.0
    basis: Basis = "points"
    guard: Guard = field(default_factory=lambda: Guard("energy", window=1, sufficient=0.0))

    def __post_init__(self) -> None:
        for what, value, allowed in (
            ("rule", self.rule, (None, *get_args(Rule))),
            ("noise", self.noise, get_args(NoiseModel)),
            ("orientation", self.orientation, (None, *get_args(Orientation))),
            ("basis", self.basis, get_args(Basis)),
        ):
            if value not in allowed:
                choices = ", ".join(str(a) for a in allowed)
                raise MajorantError(f"{what} {value!r} is unknown; choose one of {choices}")
        if self.rule not in (None, "cb") and self._full:
            what = "full noise" if self.noise == "full" else "block orientation"
            raise MajorantError(
                f"rule {self.rule!r} has no form for {what}; use rule='cb', which has"
            )
        if self.basis == "patches" and self.orientation == "block":
            raise MajorantError(
                "patches have one variance, or one for each direction, and orientation 'block' "
                "asks for a matrix; choose 'tied' or 'fixed', or basis='points'"
            )
        if not self.tol >= 0:
            raise MajorantError(f"a tolerance of {self.tol} is not possible; give 0 or more")

    def certifies(self, problem: Problem) -> str:
        """Variances: the estimate is the posterior mean that they give."""
        return "the learned variances, whose posterior mean is the estimate"

    def majorant(self, problem: Problem) -> EvidenceMajorant:
        """The convex bound of the evidence cost of this problem."""
        return EvidenceMajorant(EvidenceEnergy(self._model(problem)))

    def start(self, problem: Problem) -> Variances:
        """Equal source variances and equal noise variances, at the scale of the data.

        Raises
        ------
        MajorantError
            If the covariance of the data under this start is singular to working precision.
        """
        model = self._model(problem)
        evidence = Evidence(model, model.start)
        allowed = 0.5 * VIOLATION * evidence.value.abs().clamp_min(1.0)
        if not bool((evidence.rounding < allowed).all()):
            raise MajorantError(
                "the covariance of the data under the model is singular to working precision; "
                "regularise the noise covariance, or reduce data and lead field by their average "
                "reference first"
            )
        return model.start

    def proposal(self, problem: Problem) -> Proposal[Variances, Any]:
        """The rule."""
        rule = self._rule
        return ActiveNewton(self.tol) if rule == "newton" else RULES[rule]()

    def converged(self, before: Surrogate[Variances], after: Surrogate[Variances]) -> Tensor:
        """Whether the cost changed by less than ``tol`` times the number of sensors.

        Under the rule "newton" also: whether no faint source would lower it by as much.
        """
        here = at_evidence(after)
        limit = self.tol * here.model.n_sensors
        still = (after.energy - before.energy).abs() < limit
        if self._rule != "newton" or not bool(still.any()):
            return still
        return still & (missed(here.evidence, here.model).amax(1) < limit)

    def read(self, problem: Problem, surrogate: Surrogate[Variances]) -> Reading:
        """Posterior mean and variance, what noise gives it, and what was learned.

        Zeros where data are zero.
        """
        evidence = at_evidence(surrogate).evidence
        silent = (problem.y == 0).flatten(1).all(1)
        return Reading(
            estimate=evidence.mean(problem.y),
            variance=torch.where(silent[:, None], 0.0, evidence.variance()),
            noise=torch.where(silent[:, None], 0.0, evidence.by_noise()),
            details={
                "log_evidence": evidence.log_evidence().tolist(),
                "noise_variance": evidence.noise_variance().tolist(),
            },
        )

    @property
    def _full(self) -> bool:
        """Whether noise or locations have full matrices."""
        return self.noise == "full" or self.orientation == "block"

    @property
    def _rule(self) -> Rule:
        """The rule, chosen where none was."""
        return self.rule or ("cb" if self._full else "newton")

    def _model(self, problem: Problem) -> GaussianModel:
        check_model(problem, self.orientation or "tied", self.noise, self.shrinkage)
        posed, expanded = on_patches(problem) if self.basis == "patches" else (problem, None)
        own, units = normalised(posed, learned=self.noise in ("diagonal", "scalar"))
        return GaussianModel(
            own,
            orientation=self.orientation or "tied",
            noise=self.noise,
            shrinkage=self.shrinkage,
            units=units,
            expanded=expanded,
        )
