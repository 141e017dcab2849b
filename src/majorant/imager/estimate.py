"""From a solver's columns to one value, one signed value or one vector per location."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.head.model import SourceModel
from majorant.problem import MajorantError

__all__ = ["PICKS", "as_estimate", "check_pick", "combined", "picked_rows"]

PICKS = (None, "normal", "vector", "max-power")
"""What can be made of the three columns of a location."""


def check_pick(model: SourceModel, pick_ori: str | None) -> None:
    """Refuse a choice that the orientation or the source space does not have.

    Raises
    ------
    MajorantError
        If one is to be chosen of a single column, or normals are asked for where there are none.
    """
    if pick_ori is None:
        return
    if model.leadfield.n_orient == 1:
        raise MajorantError(
            f"pick_ori={pick_ori!r} needs loose or free orientation; the orientation is "
            "fixed here, so leave pick_ori out or set loose above 0"
        )
    if pick_ori == "normal" and not model.space.has_normals:
        raise MajorantError(
            f"pick_ori='normal' needs a surface with normals, and this is a {model.space.kind} "
            "source space; use None, 'vector' or 'max-power'"
        )


def picked_rows(rows: Any, model: SourceModel, pick_ori: str | None) -> Any | None:
    """The rows of a kernel (n_columns, n_sensors) that give the estimate without more ado.

    None where lengths or vectors are to be made of three columns, which is not linear, or not a
    matrix of one row per location.
    """
    if model.leadfield.n_orient == 1:
        return rows
    return rows[2::3] if pick_ori == "normal" else None


def combined(
    estimate: NDArray[np.float64], model: SourceModel, pick_ori: str | None
) -> NDArray[np.float64]:
    """Combine the columns of each location as MNE's ``pick_ori`` says.

    Parameters
    ----------
    estimate : array, shape (n_columns, n_times)
    model : SourceModel
    pick_ori : None, "normal", "vector" or "max-power"

    Returns
    -------
    array, shape (n_locations, n_times) or (n_locations, 3, n_times)
        Fixed orientation: as it is, signed. Else the length, the signed normal component, the
        vector in the coordinate frame of the forward, or the signed component along the direction
        in which the estimate has most power over the window.
    """
    n_orient = model.leadfield.n_orient
    if n_orient == 1:
        return estimate
    columns = estimate.reshape(-1, n_orient, estimate.shape[-1])
    if pick_ori is None:
        squared = columns[:, 0] * columns[:, 0]
        for axis in range(1, n_orient):
            squared += columns[:, axis] * columns[:, axis]
        return np.sqrt(squared, out=squared)
    if pick_ori == "vector":
        return np.swapaxes(model.axes, 1, 2) @ columns
    if pick_ori == "normal":
        return np.ascontiguousarray(columns[:, 2])
    return np.einsum("lo,lot->lt", _strongest(columns), columns)


def _strongest(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction of most power at every location, (n_locations, 3); outwards along the third."""
    power = np.einsum("lot,lpt->lop", columns, columns)
    _, vectors = np.linalg.eigh(power)
    direction = vectors[:, :, -1]
    # A direction has no sign of its own: MNE's rule is the side of the normal.
    outward = np.where(direction[:, 2:] != 0, direction[:, 2:], direction.sum(1, keepdims=True))
    return direction * np.where(outward < 0, -1.0, 1.0)


def as_estimate(values: Any, model: SourceModel, tmin: float, sfreq: float) -> Any:
    """Dress values as the class of estimate that fits the source space.

    Parameters
    ----------
    values : array or tuple
        Shape (n_locations, n_times) or (n_locations, 3, n_times), or (kernel, sensor data).
    model : SourceModel
    tmin : float
        s.
    sfreq : float
        Hz.
    """
    return model.space.dress(values, tmin, sfreq)
