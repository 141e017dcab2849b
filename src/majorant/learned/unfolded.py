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
points are the classical ones. ``gated`` is safe by the same bound in closed form. Write the bound
along the log-step ``e`` of every coordinate as ``phi(e)``, let ``e0`` be the classical step clipped
to the box and ``d`` what the correction adds to it, clipped too. ``D = -phi(e0)`` is what the
classical step wins for certain. Along ``e0 + tau d`` it gives away at most

    tau E_c + tau^2 E_u,    E = sum_i phi_i(e0 + d) - phi_i(e0),

``E_c`` over the coordinates whose classical step was clipped (``phi`` is convex), ``E_u`` over the
others (there ``phi`` is a multiple of ``cosh`` about its minimum, and ``cosh(tau d) - 1 <=
tau^2 (cosh d - 1)``). The largest ``tau`` that keeps this at ``kappa D`` is

    tau = min(1, 2 kappa D / (E_c + sqrt(E_c^2 + 4 E_u kappa D))).

It costs no factorisation. Where nothing more can be won (``D = 0``) nothing moves.

A correction of zero is the classical step, bit for bit: both call the same function
(``energies/variances.py``), and zero is added last.

Source: arXiv:2606.07196 for the unfolded solver and its corrections (mode ``free``); ``theta``,
``gated`` and ``exact`` are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from majorant.energies.gaussian import NoiseModel, Orientation
from majorant.energies.variances import (
    Covariance,
    LogVariance,
    Part,
    Variances,
    log_of,
    log_ratio,
    update,
)
from majorant.learned.clues import Columns, read_clues, read_columns
from majorant.linalg import ENERGY_DTYPE
from majorant.majorants.base import Surrogate
from majorant.majorants.evidence import EvidenceMajorant, EvidenceSurrogate, at_evidence
from majorant.majorants.guard import Guard
from majorant.networks.corrections import Clues, CorrectionKind, Corrections, CorrectionSettings
from majorant.problem import MajorantError, Problem
from majorant.solvers.base import IterativeSolver, Proposal, Reading
from majorant.solvers.champagne import Champagne

Mode = Literal["free", "theta", "gated", "exact"]

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


@dataclass(frozen=True)
class Depth:
    """What travels through the loop: the next layer, and what is known of the lead field."""

    layer: int
    columns: Columns


class CorrectedStep(Proposal[Variances, Depth]):
    """One layer: convex bounding and its correction.

    Parameters
    ----------
    corrections : Corrections
    mode : {"free", "theta", "gated", "exact"}
    kappa : float
        ``gated``: share of the classical decrease that a correction may give away, in [0, 1].
    """

    def __init__(self, corrections: Corrections, mode: Mode, kappa: float = 1.0) -> None:
        self.corrections, self.mode, self.kappa = corrections, mode, kappa

    def begin(self, problem: Problem, surrogate: Surrogate[Variances]) -> Depth:
        """The first layer; lengths and neighbours of the columns are read here, once."""
        model = at_evidence(surrogate).model
        return Depth(0, read_columns(model, self.corrections.needs_neighbours))

    @torch.no_grad()
    def propose(self, surrogate: Surrogate[Variances], memory: Depth) -> tuple[Variances, Depth]:
        """The point that the layer leads to, without a graph."""
        point = self.layer(at_evidence(surrogate), memory)
        return point, replace(memory, layer=memory.layer + 1)

    def layer(self, here: EvidenceSurrogate, memory: Depth) -> Variances:
        """The point that the layer leads to, differentiably."""
        stage = self.corrections.stage(memory.layer)
        if stage is None:
            return here.minimiser()
        clues = self._clues(here, memory, next(stage.parameters()).dtype)
        of_sources, of_sensors = stage(clues)
        correct = {"theta": _theta, "gated": self._gated}.get(self.mode, _free)
        return correct(here, of_sources, of_sensors)

    def _clues(self, here: EvidenceSurrogate, memory: Depth, dtype: torch.dtype) -> Clues:
        """What the layer may look at; a bias looks at nothing but how many there are."""
        if self.corrections.settings.kind != "bias":
            progress = self.corrections.progress(memory.layer)
            return read_clues(here, memory.columns, progress, dtype)
        s = here.statistics
        return Clues(s.z.new_zeros(*s.z.shape[:2], 0), s.w.new_zeros(*s.w.shape[:2], 0))

    def _gated(self, here: EvidenceSurrogate, of_sources: Tensor, of_sensors: Tensor) -> Variances:
        """The classical point, and as much of the correction as the bound can pay for."""
        s, state, model = here.statistics, here.state, here.model
        raw = _classical(here)
        safe = model.within(state, raw)
        target = model.within(state, _moved(here, safe, of_sources, of_sensors))
        pairs = [(state.gamma, raw.gamma, safe.gamma, target.gamma, s.z, s.a)]
        if model.learns_noise:
            pairs.append((state.noise, raw.noise, safe.noise, target.noise, s.w, s.b))
        accounts = torch.stack([torch.stack(_account(*pair)) for pair in pairs]).sum(0)
        won, clipped, open_ = accounts
        tau = share_of(self.kappa * won.clamp_min(0), clipped, open_)
        gamma, noise = _along(safe.gamma, target.gamma, tau), safe.noise
        if model.learns_noise:
            noise = _along(safe.noise, target.noise, tau)
        return Variances(gamma, noise)


def _classical(here: EvidenceSurrogate) -> Variances:
    """The step of convex bounding before it is clipped to the box."""
    s, state = here.statistics, here.state
    gamma, noise = state.gamma.bounding(s.z, s.a), state.noise
    return Variances(gamma, noise.bounding(s.w, s.b) if here.model.learns_noise else noise)


def share_of(budget: Tensor, clipped: Tensor, open_: Tensor) -> Tensor:
    """Largest ``tau`` in [0, 1] with ``tau clipped + tau^2 open_ <= budget``, shape (n_batch,)."""
    binds = clipped + open_ > budget
    payable = binds & (budget > 0)
    inside = torch.where(payable, clipped.square() + 4.0 * open_ * budget, 1.0)
    tau = 2.0 * budget / torch.where(payable, clipped + inside.sqrt(), 1.0)
    return torch.where(payable, tau, torch.where(binds, 0.0, 1.0)).clamp(0, 1)


def _free(here: EvidenceSurrogate, of_sources: Tensor, of_sensors: Tensor) -> Variances:
    """The classical point and the whole correction."""
    return here.model.within(here.state, _moved(here, _classical(here), of_sources, of_sensors))


def _moved(
    here: EvidenceSurrogate, point: Variances, of_sources: Tensor, of_sensors: Tensor
) -> Variances:
    """Add corrections to logarithms; a full matrix of the noise is not corrected."""
    gamma, noise = _scaled(point.gamma, of_sources), point.noise
    if here.model.learns_noise and isinstance(noise, LogVariance):
        noise = _scaled(noise, of_sensors)
    return Variances(gamma, noise)


def _scaled(part: Part, correction: Tensor) -> Part:
    """Multiply variances by ``exp(c)``; a block keeps its shape."""
    if isinstance(part, LogVariance):
        return LogVariance(part.log + correction.to(part.log.dtype))
    assert isinstance(part, Covariance)
    return Covariance(part.matrix * correction.to(part.matrix.dtype).exp()[:, :, None, None])


def _theta(here: EvidenceSurrogate, of_sources: Tensor, of_sensors: Tensor) -> Variances:
    """``q^theta`` with ``theta = sigmoid(c)``."""
    s, state = here.statistics, here.state
    gamma, noise = _powered(state.gamma, s.z, s.a, of_sources), state.noise
    if here.model.learns_noise:
        noise = _powered(noise, s.w, s.b, of_sensors)
    return here.model.within(state, Variances(gamma, noise))


def _powered(part: Part, z: Tensor, a: Tensor, correction: Tensor) -> Part:
    """Go ``2 theta`` of the classical way; a block at most all of it, on the straight line.

    The bound is convex along straight lines of covariances, and no bound is known beyond the
    classical point. A full matrix of the noise takes the classical step.
    """
    theta = torch.sigmoid(correction)
    if isinstance(part, LogVariance):
        return LogVariance(update(part.log, log_ratio(a, z), share=theta.to(part.log.dtype)))
    goal = part.bounding(z, a)
    assert isinstance(part, Covariance)
    assert isinstance(goal, Covariance)
    if part.matrix.shape[1] == 1:
        return goal
    share = (2.0 * theta).to(part.matrix.dtype)[:, :, None, None]
    between = part.matrix + share * (goal.matrix - part.matrix)
    return Covariance(torch.where(share >= 1.0, goal.matrix, between))


def _account(
    part: Part, raw: Part, safe: Part, target: Part, z: Tensor, a: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """``D``, ``E_c`` and ``E_u`` of one part, float64, shape (n_batch,) each.

    With variances ``v`` now, ``u`` after the classical step and ``t`` at the target, the bound
    falls by ``(v - u)(z - a v / u)`` and rises again by ``(t - u)(z - a v^2 / (u t))``.
    """
    if isinstance(safe, LogVariance):
        v, u, t = (log_of(p).to(ENERGY_DTYPE).exp() for p in (part, safe, target))
        shrunk = v / u
        won = ((v - u) * (z - a * shrunk)).sum(1)
        cost = (t - u) * (z - a * shrunk * (v / t))
        cut = log_of(raw) != safe.log
        if not bool(cut.any()):
            return won, torch.zeros_like(won), cost.sum(1)
        return won, torch.where(cut, cost, 0.0).sum(1), torch.where(cut, 0.0, cost).sum(1)
    assert isinstance(safe, Covariance)
    assert isinstance(target, Covariance)
    won = -part.change(safe, z, a)
    none = torch.zeros_like(won)
    if safe.matrix.shape[1] == 1:
        return won, none, none
    step = _log_scale(safe, target)
    cost = (z * safe.matrix).sum((2, 3)) * (torch.expm1(step) + torch.expm1(-step))
    return won, none, cost.sum(1)


def _along(safe: Part, target: Part, tau: Tensor) -> Part:
    """Go ``tau`` of the way in logarithms; blocks by their scale."""
    if isinstance(safe, LogVariance):
        assert isinstance(target, LogVariance)
        share = tau.to(safe.log.dtype)[:, None]
        return LogVariance(safe.log + share * (target.log - safe.log))
    assert isinstance(safe, Covariance)
    assert isinstance(target, Covariance)
    if safe.matrix.shape[1] == 1:
        return safe
    scale = (tau[:, None] * _log_scale(safe, target)).exp()
    return Covariance(safe.matrix * scale[:, :, None, None])


def _log_scale(safe: Covariance, target: Covariance) -> Tensor:
    """Logarithm of the factor between two blocks of one shape, (n_batch, n); 0 for zero blocks."""
    old, new = (p.matrix.diagonal(dim1=2, dim2=3).sum(2) for p in (safe, target))
    lost = old <= 0
    return torch.where(lost, 0.0, (torch.where(lost, 1.0, new) / torch.where(lost, 1.0, old)).log())


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
        self.classical = Champagne(noise=noise, orientation=orientation, tol=0.0)
        self.max_iter = correction.depth
        self.guard = GUARDS[mode] if guard is None else guard

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

    def read(self, problem: Problem, surrogate: Surrogate[Variances]) -> Reading:
        """Posterior mean and variance, log evidence, noise variances, and what was corrected."""
        reading = self.classical.read(problem, surrogate)
        settings = self.corrections.settings
        own = {"mode": self.mode, "correction": settings.kind, "layers": self.max_iter}
        return replace(reading, details={**reading.details, **own})

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
