"""The convex bound of the evidence cost, in closed form.

Theorem. Let ``z, a, w, b`` be the statistics of ``F`` at ``(gamma, lambda)``
(``energies/evidence.py``). For every ``rho > 0`` of sources and of sensors,

    F(rho gamma, rho lambda) <= F + sum gamma (rho - 1)(z - a / rho)
                                  + sum lambda (rho - 1)(w - b / rho).

Proof. ``log det`` is concave, so it lies below its tangent: this gives the terms in ``z`` and
``w``. The fit ``tr(W C)`` is the minimum over all splits ``Y = L X + E`` of ``sum_n x_n^2 /
gamma_n + sum_m e_m^2 / lambda_m`` (means over time), so at the new variances it lies below the
value at the old split, whose squares are ``gamma^2 a`` and ``lambda^2 b``: this gives the terms in
``a`` and ``b``. At ``rho = 1`` both hold with equality.

For full covariances the same two steps give ``tr(Z (V' - V)) + tr(V'^-1 V A V) - tr(A V)``.

The bound is a sum over coordinates, each convex in ``log rho`` with its minimum at ``sqrt q``,
``q = a / z``, and zero at ``1`` and at ``q``. So every ``rho`` between 1 and ``q`` is safe (EM,
convex bounding, MacKay), clipping a safe step to a box that contains the current point keeps it
safe, and so does stopping it part of the way.

Source: the bounds of Wipf et al. (2010) and Cai et al. (2021), written for any step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from majorant.energies.evidence import EvidenceEnergy, Statistics
from majorant.energies.lengths import norm
from majorant.energies.variances import Covariance, LogVariance, Part, Variances, log_of
from majorant.majorants.base import Majorant, Surrogate
from majorant.problem import BoundKind

Step = Callable[[Tensor, Tensor, Tensor, int], Tensor]
"""From logarithms of variances, ``z``, ``a`` and the number of coordinates that each variance
serves, to new logarithms."""


class EvidenceSurrogate(Surrogate[Variances]):
    """The bound at one state.

    Attributes
    ----------
    state : Variances
    evidence : Evidence
        The model there: cost, statistics, posterior.
    model : GaussianModel
    """

    def __init__(self, energy: EvidenceEnergy, state: Variances) -> None:
        self.model, self.state, self.evidence = energy.model, state, energy.at(state)
        self.energy = self.evidence.value
        self.rounding = self.evidence.rounding

    @property
    def statistics(self) -> Statistics:
        """``z, a, w, b`` at the state."""
        return self.evidence.statistics

    def change(self, proposed: Variances) -> Tensor:
        """Upper bound of the change of the cost, for any step; float64, shape (n_batch,)."""
        s, state = self.statistics, self.state
        return state.gamma.change(proposed.gamma, s.z, s.a) + state.noise.change(
            proposed.noise, s.w, s.b
        )

    def slope(self, proposed: Variances) -> Tensor:
        """Change of the cost to first order; float64, shape (n_batch,)."""
        s, state = self.statistics, self.state
        return state.gamma.slope(proposed.gamma, s.z, s.a) + state.noise.slope(
            proposed.noise, s.w, s.b
        )

    def bounding(self) -> Variances:
        """The convex-bounding step; clipped to the box it is the minimiser."""
        s, state = self.statistics, self.state
        gamma, noise = state.gamma.bounding(s.z, s.a), state.noise
        return Variances(gamma, noise.bounding(s.w, s.b) if self.model.learns_noise else noise)

    def minimiser(self) -> Variances:
        """The convex-bounding step, clipped to the box: it minimises the bound there."""
        return self.model.within(self.state, self.bounding())

    def promise(self) -> Tensor:
        """Decrease that the bound promises at its minimiser; float64, shape (n_batch,)."""
        return (-self.change(self.minimiser())).clamp_min(0)

    def steepness(self) -> Tensor:
        """Norm of the gradient: by logarithms of variances, or by entries of full covariances."""
        s, state = self.statistics, self.state
        parts: list[Part] = [state.gamma.gradient(s.z, s.a)]
        if self.model.learns_noise:
            parts.append(state.noise.gradient(s.w, s.b))
        numbers = [p.matrix if isinstance(p, Covariance) else log_of(p) for p in parts]
        return torch.stack([norm(x) for x in numbers]).norm(dim=0)

    def stationarity(self) -> Tensor:
        """Twice what the bound promises: what ``|g|^2 / mu`` is to a quadratic bound."""
        return 2.0 * self.promise()

    def moved(self, step: Step) -> Variances:
        """Apply a rule to the logarithms of every variance that is learned.

        Parameters
        ----------
        step : callable
            Called with logarithms, ``z``, ``a`` (or ``w``, ``b``) and how many columns or sensors
            one variance serves; returns new logarithms.
        """
        s, sensors, columns = self.statistics, self.model.n_sensors, self.model.lead.shape[-1]

        def moved(part: Part, slope: Tensor, fit: Tensor, total: int) -> LogVariance:
            log = log_of(part)
            return LogVariance(step(log, slope, fit, total // log.shape[1]))

        gamma, noise = moved(self.state.gamma, s.z, s.a, columns), self.state.noise
        if self.model.learns_noise:
            noise = moved(noise, s.w, s.b, sensors)
        return Variances(gamma, noise)


class EvidenceMajorant(Majorant[Variances]):
    """The convex bound of the evidence cost; a majorant everywhere.

    Parameters
    ----------
    energy : EvidenceEnergy
    """

    name = "convex bound of the evidence"
    kind: BoundKind = "global"

    def __init__(self, energy: EvidenceEnergy) -> None:
        self.energy: EvidenceEnergy = energy

    def at(self, state: Variances) -> EvidenceSurrogate:
        """Build the bound at ``state``."""
        return EvidenceSurrogate(self.energy, state)


def at_evidence(surrogate: Surrogate[Variances]) -> EvidenceSurrogate:
    """The surrogate as that of the evidence cost, which is the only one over variances."""
    if not isinstance(surrogate, EvidenceSurrogate):
        raise TypeError(f"expected an EvidenceSurrogate, found {type(surrogate).__name__}")
    return surrogate
