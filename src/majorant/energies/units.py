"""Units in which the evidence is worked out: data and lead field near one, sample by sample.

Squares of data of 1e-20 vanish in single precision and those of 1e30 are infinite, so a solver that
took them as they come would be wrong without a word. Data and lead field are divided by powers of
two, which alters no digit; what a solver returns is multiplied again.

Data are divided by their own size, sample by sample, where the noise is learned. Where it is given
it is one covariance for all samples, so the noise gives the unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from majorant.linalg import ENERGY_DTYPE
from majorant.problem import MatrixOperator, Problem

__all__ = ["Units", "normalised"]


@dataclass(frozen=True)
class Units:
    """What data and lead field were divided by.

    Attributes
    ----------
    data : Tensor, shape (n_batch,), float64
        V, or unitless.
    lead : Tensor, shape () or (n_batch,), float64
        V/(A m), or unitless.
    """

    data: Tensor
    lead: Tensor

    @property
    def sources(self) -> Tensor:
        """Unit of the sources, shape (n_batch,), float64: A m."""
        return self.data / self.lead


def normalised(problem: Problem, *, learned: bool) -> tuple[Problem, Units]:
    """Return a problem whose data and lead field are near one, and what they were divided by.

    Parameters
    ----------
    problem : Problem
        Its operator holds a matrix.
    learned : bool
        Whether the noise variances are learned; else the noise that is given is scaled with the
        data, by one number for all samples.
    """
    matrix = problem.operator.matrix()
    assert matrix is not None
    y, noise = problem.y.to(ENERGY_DTYPE), problem.noise
    if learned:
        data = _power_of_two(y.square().mean((1, 2)).sqrt())
    else:
        level = torch.ones((), dtype=ENERGY_DTYPE, device=y.device)
        if noise is not None:
            variances = noise if noise.ndim == 1 else noise.diagonal()
            level = variances.to(y).mean()
        data = _power_of_two(level.sqrt()).expand(len(y))
        if noise is not None:
            noise = noise.to(y) / data[0].square()
    wide = matrix.to(ENERGY_DTYPE)
    prior = problem.source_prior
    seen = wide if prior is None else wide * prior.to(wide).sqrt()
    lead = _power_of_two(seen.abs().amax((-2, -1)))
    scaled = wide / (lead if lead.ndim == 0 else lead[:, None, None])
    operator = MatrixOperator(
        scaled.to(matrix.dtype), problem.operator.n_orient, problem.operator.geometry
    )
    y = (y / data[:, None, None]).to(problem.y.dtype)
    return replace(problem, operator=operator, y=y, noise=noise), Units(data, lead)


def _power_of_two(size: Tensor) -> Tensor:
    """The largest power of two not above a size; 1 where it is 0 or not finite."""
    usable = torch.isfinite(size) & (size > 0)
    return torch.where(usable, torch.exp2(torch.where(usable, size, 1.0).log2().floor()), 1.0)
