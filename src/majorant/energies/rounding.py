"""How far rounding may have moved a cosine energy: what a guard may believe of a number.

A product ``W v`` with roundoff ``u`` errs by some ``u |W|_F |v|`` (norms of Frobenius; rounding
errors point anywhere, so a root of the length stands where a worst case has the length, see
Higham and Mary, 2019, doi:10.1137/18M1226312). The cosine of two vectors is known as well as their
directions are, so the energy errs by

    SAFETY u (|L|_F |x| / |L x| + weight e / |Phi(x)|),

``e`` the error of ``Phi(x)``, passed on from layer to layer. It is an estimate, like that of the
evidence (``energies/evidence.py``); it tells where a number in single precision may decide, and
where the energy has to be computed again in double precision. What is returned is computed again
in any case (``solvers/loop.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from majorant.linalg import ENERGY_DTYPE
from majorant.networks.autoencoder import Gain
from majorant.problem import FunctionOperator, Operator

__all__ = ["SAFETY", "carried", "roundoff", "widened"]

SAFETY = 8.0
"""Factor on the estimates."""

TF32 = 2.0**-11
"""Roundoff of products that an accelerator may take in a shorter format."""


def roundoff(x: Tensor) -> float:
    """Unit roundoff of products of arrays like ``x``."""
    plain = torch.finfo(x.dtype).eps / 2
    exact = x.is_cpu and torch.get_float32_matmul_precision() == "highest"
    return plain if x.dtype == torch.float64 or exact else max(plain, TF32)


def carried(gains: Sequence[Gain], size: Tensor, entered: Sequence[Tensor]) -> Tensor:
    """Error of ``Phi(x)`` in units of the roundoff, shape (n_batch,), float64.

    Parameters
    ----------
    gains : sequence of Gain
        Of the layers, first layer first.
    size : Tensor, shape (n_batch,)
        ``|x|``.
    entered : sequence of Tensor, shape (n_batch,)
        Norms of what entered the non-linearities, first layer first.
    """
    error = gains[0].own * size
    for before, gain, norm in zip(gains, gains[1:], entered, strict=False):
        error = gain.passes * error + gain.own * (norm + before.offset)
    return error


def widened(operator: Operator, dtype: torch.dtype) -> FunctionOperator:
    """A matrix-free operator on arrays of float64: it is what it computes in its own precision."""
    return FunctionOperator(
        lambda x: operator.apply(x.to(dtype)).to(ENERGY_DTYPE),
        lambda y: operator.adjoint(y.to(dtype)).to(ENERGY_DTYPE),
        n_sensors=operator.n_sensors,
        n_columns=operator.n_columns,
        norm_bound=float(operator.norm_bound().max()),
        n_orient=operator.n_orient,
    )
