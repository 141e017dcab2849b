"""Unfolded sparse Bayes: layers of joint source and noise learning, with learned corrections.

Layer k is one step of convex bounding, moved by a correction ``c`` of every log-variance:

    log gamma <- log gamma + log(q) / 2 + c_gamma,    log lambda <- log lambda + log(b / w) / 2 + c.

Four modes say how far a correction may go.

| mode | step | promise |
|---|---|---|
| ``free`` | the correction as it comes: the paper's | none; rises are counted |
| ``theta`` | ``log q`` times ``sigmoid(c)`` in place of one half | the cost never rises |
| ``gated`` | the correction, shortened where the bound asks | the cost never rises |
| ``exact`` | the correction; halved where the cost itself rose | the cost never rises |

``theta`` is safe because every factor between 1 and ``q`` is (``majorants/evidence.py``); its fixed
points are the classical ones. ``gated`` is safe by the same bound in closed form
(``learned/gate.py``).

A correction of zero is the classical step, bit for bit: both call the same function
(``energies/variances.py``), and zero is added last.

Source: arXiv:2606.07196 for the unfolded solver and its corrections (mode ``free``); ``theta``,
``gated`` and ``exact`` are ours.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import get_args

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from majorant.energies.basis import Basis
from majorant.energies.gaussian import NoiseModel, Orientation
from majorant.energies.variances import LogVariance, Variances
from majorant.learned.layer import CorrectedStep, Depth, Mode
from majorant.majorants.base import Surrogate
from majorant.majorants.evidence import EvidenceMajorant, EvidenceSurrogate
from majorant.majorants.guard import Guard
from majorant.networks.corrections import CorrectionKind, Corrections, CorrectionSettings
from majorant.problem import MajorantError, Problem
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import IterativeSolver, Reading
from majorant.solvers.champagne import Champagne
from majorant.solvers.floors import Floors

__all__ = ["GUARDS", "Mode", "UnfoldedSBL"]

GUARDS: MappingProxyType[str, Guard] = MappingProxyType(
    {
        "free": Guard("off", window=1),
        "theta": Guard("energy", window=1, sufficient=0.0),
        "gated": Guard("energy", window=1, sufficient=0.0),
        "exact": Guard("energy", window=1, sufficient=0.0),
    }
)
"""The guard of every mode. Steps of ``theta`` and ``gated`` are safe as they come; what the guard
tests is the cost, which comes free with the next layer, against rounding and broken hardware."""


class UnfoldedSBL(IterativeSolver[Variances]):
    """The unfolded solver.

    Parameters
    ----------
    correction : {"bias", "mlp", "attention"} or Corrections
        A fresh correction of that kind, which corrects nothing; or a trained one, which then also
        decides ``layers`` and ``shared``.
    mode : {"gated", "theta", "exact", "free"}
        How far a correction may go; ``free`` is the paper's, without a promise.
    layers : int
        Layers (``K``).
    shared : bool
        One set of weights for all layers.
    noise : {"diagonal", "scalar", "given", "full"}
        What is learned of the noise: ``"diagonal"`` is joint learning, ``"given"`` takes
        ``problem.noise``, be it the truth or the covariance of a baseline. A full matrix keeps its
        classical rule.
    orientation : {"fixed", "tied", "block"} or None
        As for :class:`majorant.solvers.champagne.Champagne`.
    kappa : float
        Mode ``gated``: share of the classical decrease that a correction may give away.
    guard : Guard or None
        None takes the one of the mode.
    seed : int
        Of the weights of a fresh correction.
    floors : Floors or None
        What is added in quadrature to the posterior's standard deviations, so that intervals hold
        what was missed, too; None is the posterior as it is.
    basis : {"points", "patches"}
        As for :class:`majorant.solvers.champagne.Champagne`.

    Attributes
    ----------
    corrections : Corrections
    classical : Champagne
        The solver this one is without corrections.
    layered : bool
        Always true: the layers are all there is.

    Raises
    ------
    MajorantError
        If the mode is unknown, ``kappa`` out of range, or what Champagne refuses.
    """

    layered = True
    abilities = Abilities(window=1.0, precision=torch.float32)

    def __init__(
        self,
        correction: CorrectionKind | Corrections = "mlp",
        mode: Mode = "gated",
        layers: int = 10,
        *,
        shared: bool = False,
        noise: NoiseModel = "diagonal",
        orientation: Orientation | None = None,
        kappa: float = 1.0,
        guard: Guard | None = None,
        seed: int = 0,
        floors: Floors | None = None,
        basis: Basis = "points",
    ) -> None:
        if mode not in get_args(Mode):
            raise MajorantError(
                f"there is no mode {mode!r}; choose one of {', '.join(get_args(Mode))}"
            )
        if not 0.0 <= kappa <= 1.0:
            raise MajorantError(f"kappa is {kappa}; the gate is safe between 0 and 1")
        if isinstance(correction, str):
            correction = Corrections(CorrectionSettings(correction, layers, shared), seed)
        self.corrections, self.kappa = correction, kappa
        self.mode: Mode = mode
        self.classical = Champagne("cb", noise, orientation, tol=0.0, basis=basis)
        self.max_iter = correction.depth
        self.guard = GUARDS[mode] if guard is None else guard
        self.floors = floors

    def certifies(self, problem: Problem) -> str:
        """Variances, as of Champagne."""
        return self.classical.certifies(problem)

    def majorant(self, problem: Problem) -> EvidenceMajorant:
        """The convex bound of the evidence cost of this problem."""
        return self.classical.majorant(problem)

    def start(self, problem: Problem) -> Variances:
        """Where the classical solver starts."""
        return self.classical.start(problem)

    def proposal(self, problem: Problem) -> CorrectedStep:
        """The layers."""
        return CorrectedStep(self.corrections, self.mode, self.kappa)

    def converged(self, before: Surrogate[Variances], after: Surrogate[Variances]) -> Tensor:
        """No sample stops early: every layer is run."""
        return torch.zeros_like(after.energy, dtype=torch.bool)

    def learned(self) -> torch.nn.Module:
        """The corrections."""
        return self.corrections

    def read(self, problem: Problem, surrogate: Surrogate[Variances]) -> Reading:
        """Posterior mean and variance, log evidence, noise variances, and what was corrected."""
        reading = self.classical.read(problem, surrogate)
        settings = self.corrections.settings
        own = {"mode": self.mode, "correction": settings.kind, "layers": self.max_iter}
        reading = replace(reading, details={**reading.details, **own})
        if self.floors is None or reading.variance is None:
            return reading
        floor = self.floors.variance(problem, reading.estimate)
        return replace(reading, variance=reading.variance + floor, floor=floor)

    def unfold(
        self, problem: Problem, layers: int, *, frozen: int = 0, checkpointing: bool = False
    ) -> list[EvidenceSurrogate]:
        """Run layers without a loop's guard, differentiably: for training.

        Parameters
        ----------
        problem : Problem
        layers : int
            How many.
        frozen : int
            Leading layers that are run without gradients.
        checkpointing : bool
            Recompute every layer in the backward pass: memory of one layer in place of all. Not
            for full covariances.

        Returns
        -------
        list of EvidenceSurrogate, length ``layers + 1``
            The start and what every layer led to.
        """
        majorant, step = self.majorant(problem), self.proposal(problem)
        here = majorant.at(majorant.energy.model.start)
        memory, passed = step.begin(problem, here), [here]
        for layer in range(layers):
            memory = replace(memory, layer=layer)
            with torch.set_grad_enabled(torch.is_grad_enabled() and layer >= frozen):
                if checkpointing:
                    here = _recomputed(majorant, step, here.state, memory)
                else:
                    point = step.layer(here, memory)
                    here = majorant.at(majorant.energy.admissible(here.state, point))
            passed.append(here)
        return passed


def _recomputed(
    majorant: EvidenceMajorant, step: CorrectedStep, state: Variances, memory: Depth
) -> EvidenceSurrogate:
    """One layer that keeps nothing but its ends for the backward pass."""

    def layer(log_gamma: Tensor, log_noise: Tensor) -> tuple[Tensor, Tensor]:
        old = Variances(LogVariance(log_gamma), LogVariance(log_noise))
        point = step.layer(majorant.at(old), memory)
        point = majorant.energy.admissible(old, point)
        return point.log_gamma, point.log_noise

    ends = checkpoint(layer, state.log_gamma, state.log_noise, use_reentrant=False)
    assert isinstance(ends, tuple)
    gamma, noise = ends
    return majorant.at(Variances(LogVariance(gamma), LogVariance(noise)))
