"""What the scan minimises: the negative log-likelihood of the data given some patches.

Data ``Y`` (n x T, white up to one unknown factor) are ``S C + E``: ``S`` holds the topographies of
the patches, ``C`` their courses. At the best courses and the best noise variance the negative
log-likelihood is ``(m/2) log(RSS / m)`` up to a constant, ``m = n T`` and ``RSS = |Y - S S^+Y|^2``.
Written relative to no patch at all it has no unit,

    u(S) = (m / 2) log(RSS(S) / |Y|^2),    u() = 0.

**Theorem.** Let a step replace one patch of ``S`` by one of larger ``|u'QY|^2 / (u'Qu)``, ``Q`` the
projector off the topographies of the others, or add a patch. Then ``u`` does not rise.

*Proof.* ``RSS(S) = |QY|^2 - |u'QY|^2 / (u'Qu)``, and ``|QY|^2`` depends on the others alone, so a
larger second term is a smaller ``RSS``; a patch added lets ``RSS`` shrink by that same term, which
is not negative. The logarithm keeps the order. ∎

There are finitely many sets of K patches, so sweeps end. Source: alternating projection, Ziskind
and Wax (1988); for MEG and EEG, Adler et al. (2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from majorant.energies.base import Energy, State
from majorant.linalg import ENERGY_DTYPE, squared_norm
from majorant.problem import MajorantError
from majorant.solvers.scan.dictionary import Dictionary

__all__ = ["Found", "Likelihood", "Sample", "Sources"]

NOTHING_LEFT = 1e-20
"""Share of the data's power that is taken for the least; keeps the logarithm finite."""

ROUNDING = 1e-12
"""Share of the data's power below which no further patch is asked for."""


@dataclass(frozen=True, eq=False)
class Sources:
    """Some patches per sample.

    Attributes
    ----------
    index : Tensor, shape (n_batch, n_most), int64
        Of the dictionary; -1 where there is none. Patches come first.
    direction : Tensor, shape (n_batch, n_most, n_orient), float64
        Unit vectors, in the basis of the patch's topographies.
    """

    index: Tensor
    direction: Tensor

    @classmethod
    def none(cls, n_batch: int, n_most: int, n_orient: int) -> Sources:
        """No patch in any sample."""
        return cls(
            torch.full((n_batch, n_most), -1),
            torch.zeros(n_batch, n_most, n_orient, dtype=ENERGY_DTYPE),
        )

    @property
    def there(self) -> Tensor:
        """Which places hold a patch, bool, shape of ``index``."""
        return self.index >= 0

    @property
    def count(self) -> Tensor:
        """Patches per sample, shape (n_batch,)."""
        return self.there.sum(1)

    def topographies(self, dictionary: Dictionary) -> Tensor:
        """Unit topographies, (n_batch, n_most, n_sensors); zero where there is no patch."""
        atoms = dictionary.atoms[self.index.clamp_min(0)]
        made = (self.direction[..., None, :] @ atoms)[..., 0, :]
        return made * self.there[..., None]

    def placed(self, rows: Tensor, place: Tensor, patch: Tensor, direction: Tensor) -> Sources:
        """Put one patch each into places of some samples; all of shape (n,) or (n, n_orient)."""
        index, along = self.index.clone(), self.direction.clone()
        index[rows, place], along[rows, place] = patch, direction
        return Sources(index, along)

    def where(self, chosen: Tensor, other: Sources) -> Sources:
        """The samples marked in ``chosen`` from here, the rest from ``other``."""
        return Sources(
            torch.where(chosen[:, None], self.index, other.index),
            torch.where(chosen[:, None, None], self.direction, other.direction),
        )


@dataclass(frozen=True, eq=False)
class Found(State):
    """Where a scan stands.

    Attributes
    ----------
    now : Sources
        What the energy is that of.
    best : Sources
        Of the sets at rest so far, the one of the lowest criterion.
    criterion : Tensor, shape (n_batch,), float64
        Of ``best``; infinite before the first.
    settled : Tensor, shape (n_batch, n_most), bool
        Places whose patch was found the best one given the others as they are.
    done : Tensor, shape (n_batch,), bool
        Whether no further patch is asked for.
    """

    now: Sources
    best: Sources
    criterion: Tensor
    settled: Tensor
    done: Tensor

    @property
    def still(self) -> Tensor:
        """Samples in which no sweep changes anything, bool, shape (n_batch,)."""
        return (self.settled | ~self.now.there).all(1)

    def finite(self) -> Tensor:
        """Which samples are finite."""
        return torch.isfinite(self.now.direction).flatten(1).all(1)

    def where(self, chosen: Tensor, other: Self) -> Self:
        """The samples marked in ``chosen`` from here, the rest from ``other``."""
        return type(self)(
            self.now.where(chosen, other.now),
            self.best.where(chosen, other.best),
            torch.where(chosen, self.criterion, other.criterion),
            torch.where(chosen[:, None], self.settled, other.settled),
            torch.where(chosen, self.done, other.done),
        )

    def toward(self, target: Self, fraction: float) -> Self:
        """Patches are taken or not: all of the way, or none."""
        return target if fraction >= 1 else self


@dataclass(frozen=True, eq=False)
class Sample:
    """White data of unit size.

    Attributes
    ----------
    y : Tensor, shape (n_batch, n_sensors, n_times), float64
        Mean square 1; zero where the data are.
    size : Tensor, shape (n_batch,), float64
        What ``y`` was divided by.
    """

    y: Tensor
    size: Tensor

    @classmethod
    def of(cls, y: Tensor, whitener: Tensor | None) -> Sample:
        """Whiten and scale the data of a problem."""
        wide = y.to(ENERGY_DTYPE)
        wide = wide if whitener is None else whitener @ wide
        tiny = torch.finfo(ENERGY_DTYPE).tiny
        # In two steps: the square of 1e-200 is none.
        largest = wide.abs().amax((1, 2)).clamp_min(tiny)
        wide = wide / largest[:, None, None]
        root = wide.square().mean((1, 2)).sqrt()
        root = torch.where(root > 0, root, 1.0)
        return cls(wide / root[:, None, None], largest * root)


class Likelihood(Energy[Found]):
    """The energy, in float64 and from its definition.

    Parameters
    ----------
    dictionary : Dictionary
    sample : Sample
    """

    name = "negative log-likelihood"

    def __init__(self, dictionary: Dictionary, sample: Sample) -> None:
        self.dictionary, self.sample = dictionary, sample
        self.measured = sample.y.shape[1] * sample.y.shape[2]
        self._power = squared_norm(sample.y)

    def courses(self, sources: Sources) -> Tensor:
        """The best courses of unit topographies, (n_batch, n_most, n_times)."""
        seen = sources.topographies(self.dictionary)
        return _fitted(seen, self.sample.y)

    def residual(self, sources: Sources) -> Tensor:
        """What the best courses leave of the data, shape of ``sample.y``."""
        seen = sources.topographies(self.dictionary)
        y = self.sample.y
        return y - seen.mT @ _fitted(seen, y)

    def share(self, sources: Sources) -> Tensor:
        """Share of the data's power that is left, float64, shape (n_batch,)."""
        return squared_norm(self.residual(sources)) / self._power.clamp_min(1e-300)

    def of(self, sources: Sources) -> Tensor:
        """Energy of some patches, float64, shape (n_batch,)."""
        share = self.share(sources)
        value = 0.5 * self.measured * share.clamp_min(NOTHING_LEFT).log()
        return torch.where(self._power > 0, value, 0.0)

    def exhausted(self, energy: Tensor) -> Tensor:
        """Which samples have nothing left that is more than rounding, bool, shape (n_batch,)."""
        return energy <= 0.5 * self.measured * math.log(ROUNDING)

    def value(self, state: Found) -> Tensor:
        """Energy of the patches that a scan holds."""
        return self.of(state.now)

    def value_and_grad(self, state: Found) -> tuple[Tensor, Found]:
        """Refuse: a set of patches has no neighbours at infinitesimal distance.

        Raises
        ------
        MajorantError
            Always.
        """
        raise MajorantError(
            "the likelihood of a set of patches has no gradient; take value(state), or a solver "
            "of the quadratic family"
        )

    def admissible(self, origin: Found, proposed: Found) -> Found:
        """Every set of patches is."""
        return proposed


def _fitted(seen: Tensor, y: Tensor) -> Tensor:
    """Courses of topographies by least squares, zero where there is no topography."""
    # An error of the courses moves the residual's power by its square only.
    return torch.linalg.pinv(seen @ seen.mT, rtol=1e-10, hermitian=True) @ (seen @ y)
