"""Any linear inverse problem in one call: arrays in, arrays out.

:func:`majorant.solve` speaks of batches of tensors and of operators, as a library must. Who has a
matrix and a measurement in NumPy calls :func:`recover`, and gets back what went in: the same kind
of array, the same axes, one sample for one sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from majorant.errors import MajorantError
from majorant.problem import Certificate, MatrixOperator, Operator, Problem, Solution, Status
from majorant.registry import make
from majorant.solvers.base import Solver
from majorant.solvers.loop import solve

__all__ = ["Recovered", "recover"]


@dataclass(frozen=True, eq=False)
class Recovered:
    """What :func:`recover` returns, in the kind of array and with the axes of the data.

    Attributes
    ----------
    estimate : array
        Axes of the data, columns where they have sensors.
    variance : array or None
        Posterior variance of every column, without the axis of times; None where the solver has
        none.
    status : Status or tuple of Status
        One for one sample, else one a sample.
    certificate : Certificate
        What was promised and kept.
    unit : str
        ``"Am"`` stands for the unit of the sources; else the name of the solver's statistic.
    solution : Solution
        All of it, as tensors.
    """

    estimate: Any
    variance: Any
    status: Status | tuple[Status, ...]
    certificate: Certificate
    unit: str
    solution: Solution


def recover(
    matrix: Any,
    y: Any,
    solver: str | Solver = "champagne",
    *,
    noise: Any = None,
    n_orient: int = 1,
    source_prior: Any = None,
) -> Recovered:
    """Solve ``y = matrix @ x + noise`` for ``x``.

    Parameters
    ----------
    matrix : array, shape (n_sensors, n_columns) or (n_batch, n_sensors, n_columns), or Operator
        The operator; one for all samples, or one each.
    y : array, shape (n_sensors,), (n_sensors, n_times) or (n_batch, n_sensors, n_times)
        One measurement, one series, or a batch of independent series. A solver that works on
        windows of time cuts longer series by itself and joins the pieces.
    solver : str or Solver
        A name of ``majorant info``, or what :func:`majorant.make` returned, with its options.
    noise : float or array, shape (n_sensors,) or (n_sensors, n_sensors), optional
        Variance of every sensor, variances, or a covariance. None: the data are whitened, or the
        solver learns the noise (Champagne).
    n_orient : int
        Columns a location, 1 or 3.
    source_prior : array, shape (n_columns,), optional
        Relative prior variance of every column.

    Returns
    -------
    Recovered

    Raises
    ------
    MajorantError
        If something is not numbers, is complex or sparse, or shapes disagree.

    Examples
    --------
    >>> import numpy as np
    >>> from majorant import recover
    >>> rng = np.random.default_rng(0)
    >>> matrix = rng.standard_normal((20, 60))
    >>> x = np.zeros((60, 30))
    >>> x[[7, 31]] = np.sin(np.arange(30) / 3), np.cos(np.arange(30) / 4)
    >>> y = matrix @ x + 0.1 * rng.standard_normal((20, 30))
    >>> found = recover(matrix, y)
    >>> np.sort(np.linalg.norm(found.estimate, axis=1).argsort()[-2:]).tolist()
    [7, 31]
    """
    data = _tensor("data", y)
    if data.ndim not in (1, 2, 3):
        raise MajorantError(
            f"the data have shape {tuple(data.shape)}; expected (sensors,), (sensors, times) or "
            "(batch, sensors, times)"
        )
    batch = data.reshape(1, *data.shape, *[1] * (2 - data.ndim)) if data.ndim < 3 else data
    operator = matrix
    if not isinstance(matrix, Operator):
        operator = MatrixOperator(_tensor("matrix", matrix).to(data), n_orient)
    problem = Problem(
        operator,
        batch,
        _noise(noise, operator.n_sensors, data),
        None if source_prior is None else _tensor("source prior", source_prior).to(data),
    )
    made = make(solver) if isinstance(solver, str) else solver
    solution = solve(problem, made)
    single = data.ndim < 3
    return Recovered(
        estimate=_as_given(_shaped(solution.estimate, data.ndim), y),
        variance=None
        if solution.variance is None
        else _as_given(solution.variance[0] if single else solution.variance, y),
        status=solution.status[0] if single else solution.status,
        certificate=solution.certificate,
        unit=solution.unit,
        solution=solution,
    )


def _tensor(name: str, given: Any) -> Tensor:
    """Numbers as a tensor of single or double precision."""
    if isinstance(given, Tensor):
        tensor = given.detach()
    else:
        if hasattr(given, "toarray"):
            raise MajorantError(f"the {name} is sparse; make it dense with .toarray()")
        try:
            array = np.asarray(given)
            if array.dtype.kind in "bui":
                array = array.astype(np.float64)
            if array.dtype.kind != "f":
                raise TypeError(str(array.dtype))
        except (TypeError, ValueError) as error:
            raise MajorantError(
                f"the {name} holds no real numbers ({error}); expected an array of them"
            ) from error
        single = array.dtype == np.float32
        tensor = torch.from_numpy(np.array(array, np.float32 if single else np.float64))
    if tensor.is_complex():
        raise MajorantError(f"the {name} is complex; expected real numbers")
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.double()


def _noise(noise: Any, n_sensors: int, data: Tensor) -> Tensor | None:
    if noise is None:
        return None
    tensor = _tensor("noise", noise).to(data)
    if not bool((tensor.diagonal() if tensor.ndim == 2 else tensor).gt(0).all()):
        raise MajorantError("a noise variance is zero or less; give what every sensor has of noise")
    return tensor.expand(n_sensors) if tensor.ndim == 0 else tensor


def _shaped(estimate: Tensor, ndim: int) -> Tensor:
    if ndim == 3:
        return estimate
    return estimate[0] if ndim == 2 else estimate[0, :, 0]


def _as_given(tensor: Tensor, like: Any) -> Any:
    return tensor if isinstance(like, Tensor) else tensor.numpy()
