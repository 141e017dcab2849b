"""Two views of the data that lean little on the head: what few factors leave, which columns fit.

Whatever the head, a few active patches give data of low rank, and noise of its own at every sensor
fills the rest. So the second moments are read as ``A A' + Lambda`` with a free ``A`` of few columns
(factor analysis): ``Lambda`` is a second opinion on the noise that no mistake in the lead field can
reach, and the whitened ``A`` spans the signal subspace, whose angle to a column says whether a
source there could belong to the data (MUSIC).

The number of factors follows from the noise itself: eigenvalues of whitened second moments count
where they lie above ``edge (1 + sqrt(n / T))^2``, the end of what noise alone gives (Marchenko and
Pastur, 1967) times a margin. A low edge keeps faint sources and takes some noise for signal, a high
one the other way round; which is right depends on their number and strength, so both are shown and
a network may weigh them. Neither touches the energy: these are clues, and the guard stays what it
is.

Source: factor analysis as in Bartholomew, Knott and Moustaki (2011); MUSIC of Schmidt (1986).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.energies.gaussian import NOISE_FLOOR, START_NOISE, GaussianModel
from majorant.energies.variances import Covariance, Part, log_of
from majorant.linalg import ENERGY_DTYPE

EDGES = (1.0, 1.8)
"""Ends of the noise's eigenvalues, in units of what pure noise gives."""

ROUNDS = 4
"""Alternations between factors and noise; more change little."""

OUTSIDE = 1e-3
"""Smallest share of a column outside the signal subspace that is told apart."""


@dataclass(frozen=True)
class Factors:
    """The views of a batch of problems; of the data alone, so made once.

    Attributes
    ----------
    noise : Tensor, shape (n_batch, n_sensors, n_edges)
        Logarithm of the noise variances that the factors leave.
    outside : Tensor, shape (n_batch, n_variances, n_edges)
        Logarithm of the share of every whitened column outside the signal subspace, at most 0; of
        all columns together where a location has several. 0 for columns of zeros.
    """

    noise: Tensor
    outside: Tensor


@torch.no_grad()
def read_factors(model: GaussianModel) -> Factors:
    """Read the views of a model's data.

    Noise that is given, or is a matrix, is taken as it is, and only the subspace is looked for.

    Parameters
    ----------
    model : GaussianModel
    """
    second = model.data @ model.data.mT / model.n_times
    size, floor = _levels(second)
    noise, outside = [], []
    for edge in EDGES:
        limit = edge * (1.0 + (model.n_sensors / model.n_times) ** 0.5) ** 2
        log, whitener = _alternated(model, second, size, floor, limit)
        noise.append(log)
        outside.append(_outside(model, whitener, _kept(_white(whitener, second), limit)))
    return Factors(torch.stack(noise, 2), torch.stack(outside, 2))


def _levels(second: Tensor) -> tuple[Tensor, Tensor]:
    """Where the noise starts, and its floor, as in the solver, (n_batch, 1); 1 without data."""
    power = second.diagonal(dim1=1, dim2=2).mean(1, keepdim=True)
    start = torch.where(power > 0, START_NOISE * power, 1.0)
    return start, NOISE_FLOOR * start


def _alternated(
    model: GaussianModel, second: Tensor, start: Tensor, floor: Tensor, limit: float
) -> tuple[Tensor, Tensor]:
    """Log-variances of the noise, (n_batch, n_sensors), and the whitener that belongs to them.

    A whitener is a number for every sensor, or a matrix.
    """
    given = model.start.noise
    if not model.learns_noise or isinstance(given, Covariance):
        return _as_given(model, given)
    noise = start.expand(-1, model.n_sensors)
    for _ in range(ROUNDS):
        white = _white(noise.rsqrt(), second)
        values, vectors = torch.linalg.eigh(white)
        signal = torch.where(values > limit, values - 1.0, 0.0).clamp_min(0)
        explained = (vectors.square() * signal[:, None, :]).sum(2)
        left = white.diagonal(dim1=1, dim2=2) - explained
        noise = (noise * left).maximum(floor)
    return noise.log(), noise.rsqrt()


def _as_given(model: GaussianModel, noise: Part) -> tuple[Tensor, Tensor]:
    """The same of noise that is not looked for."""
    if isinstance(noise, Covariance):
        matrix = model.noise_covariance(noise)
        factor = torch.linalg.cholesky_ex(matrix).L
        eye = torch.eye(model.n_sensors, dtype=factor.dtype, device=factor.device)
        whitener = torch.linalg.solve_triangular(factor, eye.expand_as(factor), upper=False)
        return matrix.diagonal(dim1=1, dim2=2).log(), whitener
    log = log_of(noise).to(ENERGY_DTYPE).expand(-1, model.n_sensors)
    return log, (-0.5 * log).exp()


def _white(whitener: Tensor, second: Tensor) -> Tensor:
    """Second moments of the whitened data, (n_batch, n_sensors, n_sensors)."""
    if whitener.ndim == 3:
        return whitener @ second @ whitener.mT
    return whitener[:, :, None] * second * whitener[:, None, :]


def _kept(white: Tensor, limit: float) -> Tensor:
    """Basis of the signal subspace, (n_batch, n_sensors, largest rank); other columns are zero."""
    values, vectors = torch.linalg.eigh(white)
    kept = values > limit
    rank = max(1, int(kept.sum(1).max()))
    return (vectors * kept[:, None, :])[:, :, -rank:]


def _outside(model: GaussianModel, whitener: Tensor, basis: Tensor) -> Tensor:
    """Logarithm of the share of every column outside the subspace, (n_batch, n_variances)."""
    lead, group = model.lead, 1 if model.orientation == "fixed" else model.group
    diagonal = whitener.ndim == 2
    within = basis.mT * whitener[:, None, :] if diagonal else basis.mT @ whitener
    # A share has no unit: squares of numbers near 1 neither overflow nor vanish.
    scale = whitener.abs().flatten(1).amax(1)[:, None, None]
    within = (within / scale).to(lead.dtype)
    whitener = (whitener / (scale[:, 0] if diagonal else scale)).to(lead.dtype)
    unit = lead.abs().amax()
    shares = []
    for c in model.chunks(model.n_sensors):
        columns = lead[..., c] / unit
        seen = (within @ columns).square().sum(1)
        if diagonal:
            whole = (whitener.square()[:, None, :] @ columns.square())[:, 0]
        else:
            whole = (whitener @ columns).square().sum(1)
        if group > 1:
            seen, whole = (x.unflatten(1, (-1, group)).sum(2) for x in (seen, whole))
        tiny = torch.finfo(lead.dtype).tiny
        share = torch.where(whole > tiny, 1.0 - seen / whole.clamp_min(tiny), 1.0)
        shares.append(share.clamp(OUTSIDE, 1.0).log())
    return torch.cat(shares, 1)
