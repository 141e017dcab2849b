"""MM-Net on any source space: weights shared over sources, the energy and guard of MM-Net.

The energy is ``d(L x, y) + lambda d(x, Phi(x))``, the cosine data term and a prior over
neighbourhoods; a network shared over sources proposes, and the guard takes what lowers the energy.
Nothing is known of sources but what the operator's geometry says of them: regions, vertices or a
volume, any sensors.

Units do not matter: the lead field is divided by its mean column norm, data by their norm. Neither
does the sampling of time: energy and network see the rows of a window as wholes, so data of more
samples than sensors are turned onto as many as their rank, which changes no energy, and back.

Where sources have free orientation, every location is given the direction in which its signal is
largest relative to the map's own noise, one for the window, and what follows has fixed orientation:
turning the columns of a location turns its estimate; of all locations alike, where scan and
unfolded solver are looked at, which join columns of neighbours to patches. Source: the MM-Net paper
(arXiv 2026), equations 12 and 13; the direction is that of a scalar beamformer (Sekihara et al.,
IEEE Trans Biomed Eng 51, 2004).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.energies.lengths import inverse, norm
from majorant.learned.shared.neighbourhoods import Neighbourhoods
from majorant.learned.shared.network import Given, SharedNetwork, unit
from majorant.learned.shared.sight import Sight, ball_scan, columns, inverse_root
from majorant.learned.unfolded import UnfoldedSBL
from majorant.linalg import spd_power
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.cosine import CosineMajorant
from majorant.majorants.guard import Guard
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.networks.card import Card
from majorant.problem import MajorantError, MatrixOperator, Operator, Problem
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import IterativeSolver, Proposal, Reading, Solver
from majorant.solvers.loop import solve

WINDOW = 2
"""Steps between two decisions of the guard."""

TOLERANCE = 1e-12
"""A sample whose energy falls by less, after a window, has converged."""


@dataclass(frozen=True, eq=False)
class PreparedShared:
    """What is made once of an operator.

    Attributes
    ----------
    operator : Operator
    noise : Tensor or None
        Covariance that was whitened by.
    near : Neighbourhoods
        Of its locations.
    white : Tensor or None, shape (n_sensors, n_sensors), float64
        Whitener; None where the noise is white.
    gain : Tensor, shape (n_sensors, n_columns), float64
        Whitened.
    seen : tuple of Operator
        The same in the dtype of the data, with the geometry: one, or one for every sample.
    sight : Sight or None
        In the dtype of the data; None where directions depend on them.
    """

    operator: Operator
    noise: Tensor | None
    near: Neighbourhoods
    white: Tensor | None
    gain: Tensor
    seen: tuple[Operator, ...]
    sight: Sight | None

    def serves(self, problem: Problem) -> bool:
        """Whether it is of this problem's operator, noise and dtype."""
        matrix = self.seen[0].matrix()
        alike = self.operator is problem.operator and self.noise is problem.noise
        return alike and matrix is not None and matrix.dtype == problem.y.dtype


@dataclass(frozen=True, eq=False)
class Posed:
    """A problem as energy and network see it.

    Attributes
    ----------
    problem : Problem
        One column per location, data of norm 1 on as many samples as their rank.
    given : Given
        What the network sees.
    back : Tensor or None, shape (n_batch, k, n_times)
        From those samples to the data's.
    direction : Tensor or None, shape (n_batch, n_locations, 3)
    """

    problem: Problem
    given: Given
    back: Tensor | None
    direction: Tensor | None


@dataclass(frozen=True)
class SharedProposal(Proposal[SourceState, tuple[Tensor, int]]):
    """The network's step; it remembers a few numbers of every source, and its number.

    Attributes
    ----------
    network : SharedNetwork
    posed : Posed
    """

    network: SharedNetwork
    posed: Posed

    def begin(self, problem: Problem, surrogate: Surrogate[SourceState]) -> tuple[Tensor, int]:
        """Nothing remembered."""
        return self.network.begin(surrogate.state.x), 0

    @torch.no_grad()
    def propose(
        self, surrogate: Surrogate[SourceState], memory: tuple[Tensor, int]
    ) -> tuple[SourceState, tuple[Tensor, int]]:
        """One step."""
        return self._ahead(surrogate.state, memory)

    @torch.no_grad()
    def advance(
        self,
        majorant: Majorant[SourceState],
        current: Surrogate[SourceState],
        memory: tuple[Tensor, int],
        steps: int,
        active: Tensor | None = None,
    ) -> tuple[Surrogate[SourceState], tuple[Tensor, int]]:
        """Some steps on end: no energy is asked for between them."""
        here = current.state
        for _ in range(steps):
            point, memory = self._ahead(here, memory)
            point = majorant.energy.admissible(here, point)
            here = point if active is None else point.where(active, current.state)
        return majorant.at(here), memory

    def _ahead(
        self, state: SourceState, memory: tuple[Tensor, int]
    ) -> tuple[SourceState, tuple[Tensor, int]]:
        held, k = memory
        step = self.network.step(self.posed.given, unit(state.x), held, k)
        return SourceState(step.x), (step.memory, k + 1)


class SharedMMNet(IterativeSolver[SourceState]):
    """MM-Net with weights shared over sources.

    Parameters
    ----------
    network : SharedNetwork
        Trained, random or adversarial: the guarantee does not depend on it.
    unfolded : Solver or None
        The unfolded solver whose estimate is looked at, as in training; None takes the classical
        one on patches, without weights.
    max_iter : int or None
        Steps; None takes those of the training.
    guard : Guard or None
        None takes the test by energy with a window of 2.
    bound : str or None
        ``"gram"``, ``"v2"``, ``"global"`` or ``"gram-global"``: the analytic step that replaces
        refused proposals; None takes the first.
    card : Card or None
        What the weights are.

    Raises
    ------
    MajorantError
        If the weights hold NaN.
    """

    # The unfolded solver that is looked at works in single precision.
    abilities = Abilities(covariance=False, window=1.0, precision=torch.float32)
    layered = True

    def __init__(
        self,
        network: SharedNetwork,
        unfolded: Solver | None = None,
        *,
        max_iter: int | None = None,
        guard: Guard | None = None,
        bound: str | None = None,
        card: Card | None = None,
    ) -> None:
        if not all(bool(torch.isfinite(w).all()) for w in network.prior.parameters()):
            raise MajorantError(
                "the prior holds NaN or infinite weights, so there is no energy to minimise; take "
                "the weights anew"
            )
        self.network = network
        self.max_iter = network.settings.iterations if max_iter is None else max_iter
        self.guard = guard or Guard(window=WINDOW)
        self.bound, self.card = bound or "gram", card
        self._prepared: PreparedShared | None = None
        self._last: tuple[Problem, Posed] | None = None
        self.looks: tuple[Solver, Solver] = (ball_scan(), unfolded or UnfoldedSBL(basis="patches"))
        self._copies: dict[torch.dtype, SharedNetwork] = {}

    def __getstate__(self) -> dict[str, Any]:
        """What copies and other processes get: all but what was prepared."""
        looks = (ball_scan(), self.looks[1])
        return {**vars(self), "_prepared": None, "_last": None, "looks": looks, "_copies": {}}

    def certifies(self, problem: Problem) -> str:
        """The iterate: its prior's term knows a scale, and that of the data comes afterwards."""
        return "the network's iterate, before it is scaled to the data"

    @torch.no_grad()
    def majorant(self, problem: Problem) -> CosineMajorant:
        """The cosine energy with the network's prior, and the analytic bound of it."""
        posed = self._posed(problem)
        prior = self._like(problem).on(posed.given.sight)
        energy = CosineEnergy(posed.problem, prior, self.network.settings.weight)
        return CosineMajorant(energy, self.bound, prior.norms)

    @torch.no_grad()
    def start(self, problem: Problem) -> SourceState:
        """The standardised map of the data, or its mean with patch scan and unfolded solver."""
        return SourceState(self._posed(problem).given.start)

    @torch.no_grad()
    def proposal(self, problem: Problem) -> SharedProposal:
        """The network's step on this operator."""
        return SharedProposal(self._like(problem), self._posed(problem))

    def converged(self, before: Surrogate[SourceState], after: Surrogate[SourceState]) -> Tensor:
        """Where a whole window, and the analytic step after it, no longer lower the energy."""
        return (before.energy - after.energy).abs() <= TOLERANCE

    @torch.no_grad()
    def read(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Reading:
        """``s x`` with the amplitude that the data ask for, on their samples and columns."""
        assert isinstance(surrogate, QuadraticSurrogate)
        assert surrogate.point is not None
        posed, point = self._posed(problem), surrogate.point
        self._last = None  # the last look at this problem: its data need not be kept
        made = self._made(problem)
        y = problem.y if made.white is None else made.white.to(problem.y) @ problem.y
        gain, size = made.gain, norm(y)
        x = point.x.to(problem.y.dtype)
        if posed.back is not None:
            x = x @ posed.back.to(x)
        if posed.direction is not None:
            x = (posed.direction.to(x)[..., None] * x[:, :, None]).flatten(1, 2)
        seen = norm(gain.to(x) @ x)
        scale = point.cos_data * size * inverse(seen)
        positive = torch.isfinite(scale) & (scale > 0)
        estimate = torch.where(
            positive[:, None, None], x * scale.to(x.dtype)[:, None, None], torch.zeros_like(x)
        )
        return Reading(estimate, details={"amplitude": scale.tolist()}, unexplained=~positive)

    def _like(self, problem: Problem) -> SharedNetwork:
        """The network in the dtype of the data."""
        dtype = problem.y.dtype
        if dtype not in self._copies:
            self._copies[dtype] = copy.deepcopy(self.network).requires_grad_(False).to(dtype).eval()
        return self._copies[dtype]

    def _made(self, problem: Problem) -> PreparedShared:
        """What is prepared for the operator; the last one is kept."""
        if self._prepared is None or not self._prepared.serves(problem):
            operator, noise = problem.operator, problem.noise
            scales = tuple(1e-3 * s for s in self.network.settings.scales_mm)
            near = Neighbourhoods.of(operator.geometry, operator.n_locations, scales)
            gain, white = columns(operator), None
            if gain.ndim == 3 and operator.n_orient == 3:
                raise MajorantError(
                    "MM-Net treats one lead field of free orientation at a time, and there is one "
                    "per sample; solve them one after the other"
                )
            if noise is not None:
                full = torch.diag(noise) if noise.ndim == 1 else noise
                white = spd_power(full.to(gain), -0.5)
                gain = white @ gain
            fixed = operator.n_orient == 1
            sight = Sight.of(gain, near, problem.y.dtype) if fixed else None
            seen = tuple(
                MatrixOperator(g, operator.n_orient, operator.geometry)
                for g in gain.reshape(-1, *gain.shape[-2:]).to(problem.y)
            )
            self._prepared = PreparedShared(operator, noise, near, white, gain, seen, sight)
        return self._prepared

    def _posed(self, problem: Problem) -> Posed:
        """The problem as it is solved; made once a solve."""
        if self._last is None or self._last[0] is not problem:
            self._last = (problem, self._pose(problem))
        return self._last[1]

    def _pose(self, problem: Problem) -> Posed:
        made, dtype = self._made(problem), problem.y.dtype
        wide = problem.y.to(torch.float64)
        y, back = turned(wide if made.white is None else made.white @ wide)
        direction, sight = None, made.sight
        if sight is None:
            direction = directions(made.gain, y)
            gain = torch.einsum("nso,bso->bns", made.gain.unflatten(1, (-1, 3)), direction)
            sight = Sight.of(gain, made.near, dtype)
        y = y.to(dtype)
        alone = self.network.settings.start == "sloreta"
        estimates = None if alone else self._looked(problem, back, direction).to(dtype)
        given = Given.of(sight, y, estimates)
        return Posed(Problem(MatrixOperator(sight.gain), y), given, back, direction)

    def _looked(self, problem: Problem, back: Tensor | None, direction: Tensor | None) -> Tensor:
        """Scan and unfolded solver on what is solved for, (n_batch, 2, n_locations, k)."""
        made, found = self._made(problem), []
        y = problem.y if made.white is None else made.white.to(problem.y) @ problem.y
        parts = (y,) if len(made.seen) == 1 else y.split(1)
        for solver in self.looks:
            x = torch.cat(
                [
                    solve(Problem(operator, part), solver).estimate
                    for operator, part in zip(made.seen, parts, strict=True)
                ]
            )
            if direction is not None:
                x = torch.einsum("bsot,bso->bst", x.unflatten(1, (-1, 3)), direction.to(x))
            found.append(x if back is None else x @ back.mT.to(x))
        return torch.stack(found, 1)


def turned(y: Tensor) -> tuple[Tensor, Tensor | None]:
    """Turn data onto as many samples as their rank may be, and divide them by their norm.

    Parameters
    ----------
    y : Tensor, shape (n_batch, n_sensors, n_times)

    Returns
    -------
    y : Tensor, shape (n_batch, n_sensors, min(n_sensors, n_times)), float64
        Of norm 1, or 0.
    back : Tensor or None, shape (n_batch, n_sensors, n_times), float64
        Orthonormal rows: the way back to samples; None where there are no more than sensors.
    """
    wide = y.to(torch.float64)
    wide = wide / wide.abs().amax((1, 2), keepdim=True).clamp_min(1e-300)
    back = None
    if wide.shape[2] > wide.shape[1]:
        u, s, back = torch.linalg.svd(wide, full_matrices=False)
        wide = u * s[:, None]
    return wide * inverse(norm(wide))[:, None, None], back


def directions(gain: Tensor, y: Tensor) -> Tensor:
    """Return the direction of largest standardised signal at every location.

    Parameters
    ----------
    gain : Tensor, shape (n_sensors, 3 * n_locations), float64
    y : Tensor, shape (n_batch, n_sensors, k), float64

    Returns
    -------
    Tensor, shape (n_batch, n_locations, 3)
        Unit vectors; their signs make the signals of all locations alike to the strongest
        component of the data, as far as can be.
    """
    root = inverse_root(gain / gain.norm().clamp_min(1e-300))
    white = (root @ gain / gain.norm().clamp_min(1e-300)).unflatten(1, (-1, 3)).permute(1, 2, 0)
    values, vectors = torch.linalg.eigh(white @ white.mT)
    floor = 0.02 * values[:, 2:].clamp_min(1e-300)
    over = vectors * values.clamp_min(floor).rsqrt()[:, None] @ vectors.mT
    signal = torch.einsum("sop,spn,bnk->bsok", over, white, root @ y)
    strongest = torch.linalg.eigh(signal @ signal.mT)[1][..., -1]
    found = torch.einsum("sop,bsp->bso", over, strongest)
    found = found / found.norm(dim=-1, keepdim=True).clamp_min(1e-300)
    course = torch.linalg.eigh(y.mT @ y)[1][..., -1]
    along = torch.einsum("bso,bsok,bk->bs", strongest, signal, course)
    return found * torch.where(along < 0, -1.0, 1.0)[..., None]
