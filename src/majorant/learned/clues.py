"""What the corrections of the sparse Bayesian solver may look at: dimensionless clues.

Of every source ``log q, log gamma z, log gamma a, log gamma - mean, standardised log |L_n|,
mean(lambda) mean(w), k / K``; of every sensor ``log b / w, log lambda w, log lambda b, log lambda -
mean, k / K``. All are clamped to +-5. None of them changes when data or lead field are multiplied
by a number, and none of them knows how many sources or sensors there are.

Beside these, which are the paper's, stand ours (``learned/factors.py``): of every sensor how far
its noise variance is from what few factors leave, of every source how much of its column lies
outside the signal subspace.

The products enter as logarithms, because they span many decades.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.energies.gaussian import GaussianModel
from majorant.energies.variances import Covariance, LogVariance, Part
from majorant.learned.factors import Factors
from majorant.majorants.evidence import EvidenceSurrogate
from majorant.networks.corrections import Clues

CLAMP = 5.0
"""Clues are cut off here: e^5 is 150."""

CHUNK = 2048
"""Sources whose similarity to all others is held at once."""


@dataclass(frozen=True)
class ClueColumns:
    """What the clues need of the lead field; made once per problem.

    Attributes
    ----------
    length : Tensor, shape (n_fields, n_variances)
        Logarithm of the columns' norms, mean 0 and deviation 1; 0 for columns of zeros.
    near, similarity : Tensor or None, shape (n_fields, n_variances, n_near)
        See :class:`majorant.networks.corrections.Clues`.
    """

    length: Tensor
    near: Tensor | None = None
    similarity: Tensor | None = None


def read_columns(model: GaussianModel, neighbours: int = 0) -> ClueColumns:
    """Read the lead field of a model.

    Parameters
    ----------
    model : GaussianModel
    neighbours : int
        How many similar columns to look up for every source; 0 for none.
    """
    lead = model.lead if model.lead.ndim == 3 else model.lead[None]
    group = 1 if model.orientation == "fixed" else model.group
    blocks = lead.unflatten(2, (-1, group))
    norm = blocks.square().sum((1, 3)).sqrt()
    seen = norm > 0
    count = seen.sum(1, keepdim=True).clamp_min(1)
    log = torch.where(seen, norm, 1.0).log()
    centred = torch.where(seen, log - (log * seen).sum(1, keepdim=True) / count, 0.0)
    deviation = (centred.square().sum(1, keepdim=True) / count).sqrt()
    length = torch.where(deviation > 1e-6, centred / deviation.clamp_min(1e-6), 0.0)
    if neighbours == 0:
        return ClueColumns(length)
    unit = blocks / torch.where(seen, norm, 1.0)[:, None, :, None]
    return ClueColumns(length, *_similar(unit, min(neighbours, norm.shape[1])))


def _similar(unit: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The most similar groups of columns, by ``|L_i' L_j|``; each is its own first neighbour."""
    fields, _, n, group = unit.shape
    flat = unit.flatten(2)
    found, values = [], []
    for first in range(0, n, CHUNK):
        rows = unit[:, :, first : first + CHUNK].flatten(2)
        products = (rows.mT @ flat).square().reshape(fields, -1, group, n, group).sum((2, 4))
        top = products.topk(count, dim=2)
        found.append(top.indices)
        values.append(top.values.clamp_min(0).sqrt())
    return torch.cat(found, 1), torch.cat(values, 1)


def read_clues(
    surrogate: EvidenceSurrogate,
    columns: ClueColumns,
    progress: float,
    dtype: torch.dtype,
    factors: Factors | None = None,
) -> Clues:
    """Read the clues at a state.

    Parameters
    ----------
    surrogate : EvidenceSurrogate
    columns : ClueColumns
        Of the same model.
    progress : float
        ``k / K``.
    dtype : torch.dtype
        Of the network.
    factors : Factors or None
        Of the same model, for a network that looks at them.
    """
    model, s, state = surrogate.model, surrogate.statistics, surrogate.state
    sources, sensors = int(model.lead.shape[-1]), model.n_sensors
    log, z, a = _served(state.gamma, s.z, s.a, sources)
    log_noise, w, b = _served(state.noise, s.w, s.b, sensors)
    quiet = log_noise.exp().mean(1, keepdim=True) * w.mean(1, keepdim=True)
    log_z, log_a, log_w, log_b = (_log(x) for x in (z, a, w, b))
    of_sources = (
        log_a - log_z,
        log + log_z,
        log + log_a,
        log - log.mean(1, keepdim=True),
        columns.length.to(log).expand_as(log),
        quiet.to(log).expand_as(log),
        torch.full_like(log, progress),
    )
    of_sensors = (
        log_b - log_w,
        log_noise + log_w,
        log_noise + log_b,
        log_noise - log_noise.mean(1, keepdim=True),
        torch.full_like(log_noise, progress),
    )
    if factors is not None:
        of_sources += factors.outside.unbind(2)
        of_sensors += _beside(log_noise, factors.noise).unbind(2)
    return Clues(
        _stacked(of_sources, dtype), _stacked(of_sensors, dtype), columns.near, columns.similarity
    )


def _served(part: Part, z: Tensor, a: Tensor, total: int) -> tuple[Tensor, Tensor, Tensor]:
    """Log-variance and statistics per coordinate served, shape (n_batch, n) each.

    Of a full covariance ``V``: the logarithm of its mean variance ``v``, and ``tr(V Z) / v`` and
    ``tr(V A) / v`` per coordinate. The noise matrix (one block) is read by its diagonals.
    """
    if isinstance(part, LogVariance):
        served = total // part.log.shape[1]
        return (part.log, z, a) if served == 1 else (part.log, z / served, a / served)
    assert isinstance(part, Covariance)
    matrix = part.matrix
    if matrix.shape[1] == 1:
        v, of_z, of_a = (m[:, 0].diagonal(dim1=1, dim2=2) for m in (matrix, z, a))
        return _log(v), of_z, of_a
    d = matrix.shape[-1]
    v = matrix.diagonal(dim1=2, dim2=3).mean(2)
    scale = d * v.clamp_min(torch.finfo(v.dtype).tiny)
    return _log(v), (matrix * z).sum((2, 3)) / scale, (matrix * a).sum((2, 3)) / scale


def _beside(log_noise: Tensor, left: Tensor) -> Tensor:
    """What factors leave over what is believed, (n_batch, n, n_edges); one number is their mean."""
    if log_noise.shape[1] == 1:
        left = left.mean(1, keepdim=True)
    return left - log_noise[:, :, None]


def _log(x: Tensor) -> Tensor:
    return x.clamp_min(torch.finfo(x.dtype).tiny).log()


def _stacked(clues: tuple[Tensor, ...], dtype: torch.dtype) -> Tensor:
    """Clamp and stack; what is not finite (data of zero) becomes 0."""
    stacked = torch.stack(clues, 2).to(dtype).clamp(-CLAMP, CLAMP)
    return torch.nan_to_num(stacked)
