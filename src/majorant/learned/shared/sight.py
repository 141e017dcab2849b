"""What a network sees of a lead field: everything that is made once of an operator.

Units and scale of a lead field do not matter: it is divided by its mean column norm, and data by
their norm. Data are looked at through standardised maps (sLORETA) of single sources and of their
neighbourhoods; the same maps show the residual, whose image is the gradient of the data term with
the ill-conditioning of the lead field taken out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from majorant.learned.network import RIDGE
from majorant.learned.shared.neighbourhoods import Neighbourhoods
from majorant.linalg import ENERGY_DTYPE, spd_power
from majorant.problem import Operator
from majorant.solvers.scan import Scan


@dataclass(frozen=True, eq=False)
class Sight:
    """Lead fields of one column per source, as the network reads them.

    All samples share one, or every sample has its own and a batch axis stands before the others.

    Attributes
    ----------
    gain : Tensor, shape (..., n_sensors, n_sources)
        Mean column norm 1.
    size : Tensor, shape (..., n_sources)
        Logarithms of the column norms.
    maps : Tensor, shape (..., 1 + n_scales, n_sources, n_sensors)
        Standardised maps of single sources and of their neighbourhoods.
    near : Neighbourhoods
    """

    gain: Tensor
    size: Tensor
    maps: Tensor
    near: Neighbourhoods

    @classmethod
    @torch.no_grad()
    def of(cls, gain: Tensor, near: Neighbourhoods, dtype: torch.dtype = torch.float32) -> Sight:
        """Prepare lead fields.

        Parameters
        ----------
        gain : Tensor, shape (n_sensors, n_sources) or (n_batch, n_sensors, n_sources), float64
        near : Neighbourhoods
            Of the sources.
        dtype : torch.dtype
            Of what is prepared.
        """
        norms = gain.norm(dim=-2)
        mean = norms.mean(-1, keepdim=True).clamp_min(torch.finfo(ENERGY_DTYPE).tiny)
        gain, norms = gain / mean[..., None], norms / mean
        root = inverse_root(gain)
        white = (root @ gain).mT
        around = near.average(white.reshape(-1, *white.shape[-2:])).to(white)
        seen = torch.cat(
            [white.unsqueeze(-3), around.reshape(*white.shape[:-2], *around.shape[1:])], -3
        )
        length = seen.norm(dim=-1, keepdim=True)
        least = 1e-6 * length.mean((-3, -2, -1), keepdim=True)
        maps = (seen / torch.maximum(length, least)) @ root.unsqueeze(-3)
        return cls(gain.to(dtype), norms.clamp_min(1e-6).log().to(dtype), maps.to(dtype), near)

    def look(self, y: Tensor) -> Tensor:
        """Return all maps of data: (n_batch, d, n_sensors, k) to (.., n_maps, n_sources, k)."""
        rule = "msn,bdnk->bdmsk" if self.maps.ndim == 3 else "bmsn,bdnk->bdmsk"
        return torch.einsum(rule, self.maps, y)


def inverse_root(gain: Tensor) -> Tensor:
    """Return ``(L L' + r I)^(-1/2)`` with the ridge of linear starts."""
    gram = gain @ gain.mT
    ridge = RIDGE * gram.diagonal(dim1=-2, dim2=-1).mean(-1)
    eye = torch.eye(gram.shape[-1], dtype=gram.dtype)
    return spd_power(gram + ridge[..., None, None] * eye, -0.5)


def columns(operator: Operator) -> Tensor:
    """Return the matrix of an operator, asked of its adjoint where it holds none; float64."""
    matrix = operator.matrix()
    if matrix is not None:
        return matrix.to(ENERGY_DTYPE)
    eye = torch.eye(operator.n_sensors, dtype=ENERGY_DTYPE)
    return operator.adjoint(eye[None])[0].mT.to(ENERGY_DTYPE)


def ball_scan() -> Scan:
    """Return the scan whose estimate is looked at: for evenly active balls, as in the training."""
    return Scan(falloff=0.0, spacing=0.35)
