"""Bridges to deepinv: our operators as its physics, its physics as our operators, our solvers.

deepinv maps images of any shape, ours are matrices over columns and times. A
:class:`~majorant.problem.Operator` becomes a ``LinearPhysics`` on ``(batch, columns, times)``; a
``LinearPhysics`` becomes an operator on flattened images of one time.

Source: deepinv (Tachella et al., *DeepInverse: a Python package for solving imaging inverse
problems with deep learning*, JOSS 2025).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from majorant.errors import MajorantError
from majorant.problem import FunctionOperator, MatrixOperator, Operator, Problem
from majorant.registry import make
from majorant.solvers.base import Solver
from majorant.solvers.loop import solve

try:
    from deepinv.models import Reconstructor
    from deepinv.physics import LinearPhysics
except ImportError as error:
    raise MajorantError(
        f"deepinv cannot be imported ({error}); install it with pip install 'majorant[deepinv]'"
    ) from error

__all__ = ["LARGEST", "OperatorPhysics", "SolverReconstructor", "operator_of", "physics_of"]

LARGEST = 4096
"""Pixels up to which `operator_of` keeps a matrix: 134 MB in double precision, at most."""
BLOCK = 256
"""Unit images that are mapped at once while the matrix is read."""


class OperatorPhysics(LinearPhysics):
    """An operator of ours as deepinv's physics; made by :func:`physics_of`.

    Parameters
    ----------
    operator : Operator
    **settings
        Of ``deepinv.physics.LinearPhysics``: ``noise_model``, ``max_iter``, ``tol``, ``solver``.
    """

    def __init__(self, operator: Operator, **settings: Any) -> None:
        super().__init__(A=_plain(operator.apply), A_adjoint=_plain(operator.adjoint), **settings)
        self.operator = operator


def physics_of(operator: Operator, **settings: Any) -> OperatorPhysics:
    """Return an operator as deepinv's physics, on (batch, columns, times).

    Parameters
    ----------
    operator : Operator
        In the precision of the data it is to meet.
    **settings
        See :class:`OperatorPhysics`.
    """
    return OperatorPhysics(operator, **settings)


def operator_of(
    physics: LinearPhysics,
    image_size: Sequence[int],
    *,
    norm_bound: float | None = None,
    dtype: torch.dtype = torch.float64,
) -> Operator:
    """Return deepinv's physics as an operator on flattened images, (batch, pixels, 1).

    Parameters
    ----------
    physics : deepinv.physics.LinearPhysics
        Its noise model is left out: a solver is told of noise by the problem.
    image_size : sequence of int
        Of one image, without the batch: (channels, height, width) as deepinv's operators have it.
    norm_bound : float, optional
        An upper bound of the spectral norm, which makes a matrix-free operator. None: the matrix
        is read, up to 4,096 pixels.
    dtype : torch.dtype
        Of the matrix.

    Returns
    -------
    MatrixOperator or FunctionOperator
        An :class:`OperatorPhysics` gives back the operator that it was made from.

    Raises
    ------
    MajorantError
        If the physics is not linear, or an image has too many pixels for a matrix and no bound is
        given.
    """
    if isinstance(physics, OperatorPhysics):
        return physics.operator
    if not isinstance(physics, LinearPhysics):
        raise MajorantError(
            f"the physics is a {type(physics).__name__}; expected a deepinv.physics.LinearPhysics"
        )
    size = tuple(int(n) for n in image_size)
    pixels = math.prod(size)
    seen = _mapped(physics, torch.zeros(1, *size, dtype=dtype)).shape[1:]

    def apply(x: Tensor) -> Tensor:
        return _mapped(physics, x.mT.reshape(-1, *size)).reshape(len(x), x.shape[2], -1).mT

    def adjoint(y: Tensor) -> Tensor:
        back = physics.A_adjoint(y.mT.reshape(-1, *seen))
        return back.reshape(len(y), y.shape[2], -1).mT

    if norm_bound is not None:
        rows = math.prod(seen)
        return FunctionOperator(
            apply, adjoint, n_sensors=rows, n_columns=pixels, norm_bound=norm_bound
        )
    if pixels > LARGEST:
        raise MajorantError(
            f"images of {pixels:,} pixels are too many for a matrix (at most {LARGEST:,}); give "
            "norm_bound, an upper bound of the operator's norm"
        )
    units = torch.eye(pixels, dtype=dtype).split(BLOCK)
    with torch.no_grad():
        columns = [_mapped(physics, u.reshape(-1, *size)).flatten(1) for u in units]
    return MatrixOperator(torch.cat(columns).mT.contiguous())


class SolverReconstructor(Reconstructor):
    """A solver of ours as deepinv's reconstructor: ``model(y, physics)``.

    Parameters
    ----------
    solver : str or Solver
        A name of the registry, or what :func:`majorant.make` returned.
    noise : float or None
        Variance of the noise of every measurement. None: that of the physics, if its noise model
        says ``sigma``; else the solver takes the data as whitened or learns the noise.
    image_size : sequence of int, optional
        Of one image. None: as the adjoint of the data has it.

    Notes
    -----
    The solution of the last call, with its certificate, is ``solution``. Samples are independent.
    """

    def __init__(
        self,
        solver: str | Solver,
        *,
        noise: float | None = None,
        image_size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.solver = make(solver) if isinstance(solver, str) else solver
        self.noise, self.image_size = noise, image_size
        self.solution: Any = None

    def forward(self, y: Tensor, physics: Any, **_: Any) -> Tensor:
        """Return the images that explain `y`, in their own shape."""
        own = isinstance(physics, OperatorPhysics)
        size = self.image_size or tuple(physics.A_adjoint(y).shape[1:])
        operator = operator_of(physics, size, dtype=y.dtype)
        data = y if own else y.flatten(1)[:, :, None]
        variance = self.noise if self.noise is not None else _variance(physics)
        noise = None if variance is None else data.new_full((data.shape[1],), variance)
        self.solution = solve(Problem(operator, data, noise), self.solver)
        estimate = self.solution.estimate
        return estimate if own else estimate[:, :, 0].reshape(len(y), *size)


def _mapped(physics: LinearPhysics, x: Tensor) -> Tensor:
    out = physics.A(x)
    if not isinstance(out, Tensor):
        raise MajorantError(
            f"the physics returns a {type(out).__name__}; expected one tensor of measurements"
        )
    return out


def _plain(function: Any) -> Any:
    """The map without the keywords that deepinv hands through."""
    return lambda x, **_: function(x)


def _variance(physics: Any) -> float | None:
    sigma = getattr(getattr(physics, "noise_model", None), "sigma", None)
    if sigma is None:
        return None
    value = float(torch.as_tensor(sigma).square().max())
    return value if value > 0 else None
