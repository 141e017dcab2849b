"""MM-Net and R-MM-Net as solvers: a network proposes, the guard decides.

Under the guard no weights, however bad, can raise the energy of its iterates. The papers'
projection of the curvature is there too (``limit``), with the guard or without; by default the
curvature is open above and the guard decides. R-MM-Net is the paper's variant without softplus,
projection and guard: nothing is promised, rises are counted.

The energy fixes the direction of the estimate only. What is returned is ``s x`` with the amplitude
``s = <L x, y> / |L x|^2`` that the data ask for, one number per sample; where it is not positive
the status says that no source explains the data, and the estimate is zero. The certificate refers
to ``x`` before ``s``, at the sampling rate of the network, and to windows before they are
cross-faded; the prior's term knows a scale, so the energy of ``s x`` is another.

Source: the MM-Net paper (arXiv 2026), equations 12 and 13, algorithm 2; ``docs/guarantees.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, SourceState
from majorant.energies.lengths import inverse, norm
from majorant.learned.fused import suits
from majorant.learned.limits import Limit, Limited, check_limit, limiting
from majorant.learned.network import Geometry, UnrolledNetwork
from majorant.learned.prepared import PreparedNetwork
from majorant.learned.timegrid import TimeGrid
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.majorants.base import Majorant, Surrogate
from majorant.majorants.cosine import CosineMajorant, HessianEstimate
from majorant.majorants.guard import Guard
from majorant.majorants.quadratic import QuadraticSurrogate
from majorant.networks.autoencoder import Autoencoder
from majorant.networks.card import Card
from majorant.problem import MajorantError, Operator, Problem, Status
from majorant.solvers.abilities import Abilities
from majorant.solvers.base import IterativeSolver, Proposal, Reading

if TYPE_CHECKING:  # the compiler of their loops is imported where it is needed
    from majorant.learned.fused.proposal import FusedProposal

WINDOW = 2
"""Steps between two decisions of the guard: trained networks overshoot every other step."""

TOLERANCE = 1e-12
"""A sample whose energy falls by less, after a window, has converged."""


@dataclass(frozen=True)
class CurvatureProposal(Proposal[SourceState, Any]):
    """One step of the network.

    Attributes
    ----------
    network : UnrolledNetwork
    geometry : Geometry
        Of the problem's operator.
    """

    network: UnrolledNetwork[Any]
    geometry: Geometry

    def begin(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Any:
        """Empty cells."""
        return self.network.begin(surrogate.state.x)

    @torch.no_grad()
    def propose(self, surrogate: Surrogate[SourceState], memory: Any) -> tuple[SourceState, Any]:
        """``x - gamma p * d`` with the predicted inverse curvature ``p``."""
        if not isinstance(surrogate, QuadraticSurrogate):
            raise MajorantError("MM-Net proposes on the cosine energy only")
        x, memory = self.network.step(surrogate.state.x, surrogate.gradient, memory, self.geometry)
        return SourceState(x), memory

    @torch.no_grad()
    def advance(
        self,
        majorant: Majorant[SourceState],
        current: Surrogate[SourceState],
        memory: Any,
        steps: int,
        active: Tensor | None = None,
    ) -> tuple[Surrogate[SourceState], Any]:
        """Some steps on end: between them the gradient is enough, and no energy is asked for."""
        energy = majorant.energy
        if not isinstance(energy, CosineEnergy) or not isinstance(current, QuadraticSurrogate):
            return super().advance(majorant, current, memory, steps, active)
        here, gradient = current.state, current.gradient
        for step in range(steps):
            if step:
                gradient = energy.gradient(here.x)
            x, memory = self.network.step(here.x, gradient, memory, self.geometry)
            point = energy.admissible(here, SourceState(x))
            here = point if active is None else point.where(active, current.state)
        return majorant.at(here), memory


class MMNet(IterativeSolver[SourceState]):
    """MM-Net: a recurrent network predicts the curvature, a guard keeps the descent.

    Parameters
    ----------
    network : UnrolledNetwork
        Trained, random or adversarial: the guarantee does not depend on it. Networks of other
        methods (4DVarNet, Meta-Curvature, ModGrad) run in the same loop.
    sfreq : float or None
        Sampling rate of the data, Hz. None takes the network's, and nothing is resampled.
    max_iter : int or None
        Steps; None takes those of the training.
    guard : Guard or None
        None takes the test by energy with a window of 2; without softplus and projection, none.
    bound : str or None
        A name of :data:`majorant.majorants.cosine.BOUNDS`: the analytic step that replaces refused
        proposals. None takes the Gram-structured bound, or version 2 where there is no matrix; or
        the limit's.
    limit : {"v1", "v2", "hvp"} or None
        The papers' projection of the curvature, see :mod:`majorant.learned.limits`: version 1,
        version 2, or the estimate by Hessian-vector products. None leaves it open above.
    fused : bool
        Take what they suit by the formulas of :mod:`majorant.learned.fused`, which are the same
        and faster; False takes the plain ones for every batch.
    card : Card or None
        What the weights are.
    recordings : bool
        Treat data as recordings: longer ones are cut into windows as long as those of the
        training, and a network that was trained on outward currents is shown them both ways.
    prepared : PreparedNetwork or None
        What was made of the same network before; None begins anew.

    Raises
    ------
    MajorantError
        If the prior holds NaN, the sampling rate is not positive, the limit is unknown, the
        network predicts no curvature to be limited, or a bound stands beside a limit.
    """

    abilities = Abilities(
        covariance=False,
        orientations=("fixed",),
        space="regions",
        window=MMNetSettings.window,
        single=True,
        live=4,  # most of the training of the general weights unrolled as many
    )
    sfreq: float

    def __init__(
        self,
        network: UnrolledNetwork[Any],
        *,
        sfreq: float | None = None,
        max_iter: int | None = None,
        guard: Guard | None = None,
        bound: str | None = None,
        limit: Limit | None = None,
        fused: bool = True,
        card: Card | None = None,
        recordings: bool = False,
        prepared: PreparedNetwork | None = None,
    ) -> None:
        check_limit(limit)
        if limit is not None and bound is not None:
            raise MajorantError(
                f"the bound {bound!r} and the limit {limit!r} were both given; the limit is the "
                "bound of the certificate, so leave out the other"
            )
        if limit is not None and not isinstance(network, MMNetwork):
            raise MajorantError(
                "only MM-Net and R-MM-Net predict a curvature that can be limited; leave out limit"
            )
        if sfreq is not None and not sfreq > 0:
            raise MajorantError(f"the sampling rate is {sfreq} Hz; give a positive number")
        if prepared is None and not all(
            bool(torch.isfinite(w).all()) for w in network.prior.parameters()
        ):
            raise MajorantError(
                "the prior holds NaN or infinite weights, so there is no energy to minimise; take "
                "the weights anew"
            )
        settings = network.settings
        free = Guard("off", window=1)
        self.network, self.card, self.bound, self.fused = network, card, bound, fused
        self.limit: Limit | None = limit
        self.sfreq = settings.rate if sfreq is None else float(sfreq)
        self.max_iter = settings.iterations if max_iter is None else max_iter
        self.guard = guard or (Guard(window=WINDOW) if settings.positive else free)
        self.cuts, self.either = recordings, recordings and not settings.signed
        own = settings.window if isinstance(settings, MMNetSettings) else MMNetSettings.window
        self.abilities = replace(MMNet.abilities, window=own)
        self.prepared = PreparedNetwork(network) if prepared is None else prepared

    def changed(self, **changes: Any) -> MMNet:
        """Return the same solver with other settings, by the names of the parameters."""
        names = (
            "sfreq",
            "max_iter",
            "guard",
            "bound",
            "limit",
            "fused",
            "card",
            "prepared",
        )
        own = {name: getattr(self, name) for name in names}
        return MMNet(self.network, **{**own, "recordings": self.cuts, **changes})

    def at(self, sfreq: float) -> MMNet:
        """Return the same solver for data of another sampling rate, Hz."""
        return self.changed(sfreq=sfreq)

    def require(self, operator: Operator) -> None:
        """Refuse an operator of other sources than those of the training.

        Raises
        ------
        MajorantError
            If the card says that the sources are others, or the operator does not say what they
            are.
        """
        if self.card is not None:
            self.card.require(operator.geometry)

    def learned(self) -> torch.nn.Module:
        """The network, with its prior."""
        return self.network

    def ended(self, steps: int) -> Status:
        """A network that took the steps of its training has not run into a limit."""
        return Status.TRAINED if steps == self.network.settings.iterations else Status.LIMIT

    def certifies(self, problem: Problem) -> str:
        """The iterate: its prior's term knows a scale, and that of the data comes afterwards."""
        words = "the network's iterate, before it is scaled to the data"
        if self._grid(problem) is None:
            return words
        return f"{words} and brought back from {self.network.settings.rate:g} Hz"

    @torch.no_grad()
    def majorant(self, problem: Problem) -> CosineMajorant | HessianEstimate:
        """The cosine energy with the network's prior, and the analytic bound of it."""
        coarse = self._coarse(problem)
        energy, made = self._energy(coarse, self.prepared.like(coarse)), self.prepared
        norms = made.measured or made.norms
        if self.limit is not None:
            return limiting(energy, self.limit, norms)
        matrix = coarse.operator.svd() is not None
        return CosineMajorant(energy, self.bound or ("gram" if matrix else "v2"), norms)

    @torch.no_grad()
    def start(self, problem: Problem) -> SourceState:
        """The network's start, which is part of what it was trained on."""
        coarse = self._coarse(problem)
        return SourceState(self.prepared.like(coarse).start(coarse))

    def proposal(self, problem: Problem) -> CurvatureProposal | FusedProposal | Limited:
        """The network's step on this operator."""
        coarse = self._coarse(problem)
        network = self.prepared.like(coarse)
        if self._fuses(network, coarse):
            from majorant.learned.fused.proposal import FusedProposal

            return FusedProposal(self.prepared.step())
        step = CurvatureProposal(network, network.geometry(coarse.operator, coarse.y.dtype))
        return step if self.limit is None else Limited(step, network.settings.gamma)

    def converged(self, before: Surrogate[SourceState], after: Surrogate[SourceState]) -> Tensor:
        """Where a whole window, and the analytic step after it, no longer lower the energy."""
        return (before.energy - after.energy).abs() <= TOLERANCE

    def read(self, problem: Problem, surrogate: Surrogate[SourceState]) -> Reading:
        """``s x`` at the rate of the data."""
        assert isinstance(surrogate, QuadraticSurrogate)
        assert surrogate.point is not None
        point, grid = surrogate.point, self._grid(problem)
        # <L x, y> / |L x|^2
        scale = point.cos_data * norm(self._coarse(problem).y) * inverse(point.norm_data)
        positive = torch.isfinite(scale) & (scale > 0)
        estimate = point.x * scale.to(point.x.dtype)[:, None, None]
        if not bool(positive.all()):
            estimate = torch.where(positive[:, None, None], estimate, 0.0)
        return Reading(
            estimate if grid is None else estimate @ grid.up.to(estimate),
            details={"amplitude": scale.tolist(), "network_rate": self.network.settings.rate},
            unexplained=~positive,
        )

    def _energy(self, coarse: Problem, network: UnrolledNetwork[Any]) -> CosineEnergy:
        """The energy, by the formulas that suit the problem."""
        weight, device = network.settings.weight, coarse.y.device

        def wide() -> Autoencoder:
            return self.prepared.copy(torch.float64, device).prior

        if not self._fuses(network, coarse):
            return CosineEnergy(coarse, network.prior, weight, wide=wide)
        from majorant.learned.fused.energy import FusedEnergy

        layers = self.prepared.layers(coarse.operator)
        return FusedEnergy(coarse, network.prior, weight, layers, wide)

    def _fuses(self, network: UnrolledNetwork[Any], coarse: Problem) -> TypeGuard[MMNetwork]:
        """Whether energy and steps are the compiled ones: both, or neither."""
        return self.fused and self.limit is None and suits(network, coarse)

    def _grid(self, problem: Problem) -> TimeGrid | None:
        return TimeGrid.between(problem.n_times, self.sfreq, self.network.settings.rate)

    def _coarse(self, problem: Problem) -> Problem:
        """The problem at the network's rate, in the dtype of its operator."""
        n, expected = problem.operator.n_columns, self.network.settings.n_sources
        if n != expected:
            raise MajorantError(
                f"the network is made for {expected} sources and the lead field has {n}; solve on "
                "the source space it was trained on (packaged weights: the template's regions)"
            )
        if problem.noise is not None:
            raise MajorantError(
                "MM-Net works on whitened data, and this problem has a noise covariance; multiply "
                "data and lead field by the whitener and leave noise=None"
            )
        matrix = problem.operator.matrix()
        y = problem.y if matrix is None else problem.y.to(matrix)
        grid = self._grid(problem)
        y = y if grid is None else y @ grid.down.to(y)
        return replace(problem, y=y)
