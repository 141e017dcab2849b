"""From a solver's columns to the estimates that MNE knows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.eeg.forward import SourceModel
from majorant.problem import MajorantError

__all__ = ["as_estimate", "combined", "expanded"]


def combined(
    estimate: NDArray[np.float64], model: SourceModel, pick_ori: str | None
) -> NDArray[np.float64]:
    """Combine the columns of each location as MNE's ``pick_ori`` says.

    Parameters
    ----------
    estimate : array, shape (n_columns, n_times)
    model : SourceModel
    pick_ori : None, "normal" or "vector"

    Returns
    -------
    array, shape (n_locations, n_times) or (n_locations, 3, n_times)
        Fixed orientation: as it is, signed. Else the length, the signed normal component, or the
        vector in the coordinate frame of the forward.

    Raises
    ------
    MajorantError
        If normals are asked for where there are none.
    """
    n_orient = model.leadfield.n_orient
    if n_orient == 1:
        return estimate
    columns = estimate.reshape(-1, n_orient, estimate.shape[-1])
    if pick_ori is None:
        return np.sqrt(np.einsum("lot,lot->lt", columns, columns))
    if pick_ori == "vector":
        return np.swapaxes(model.axes, 1, 2) @ columns
    if not all(space["type"] == "surf" for space in model.forward["src"]):
        raise MajorantError(
            "pick_ori='normal' needs a surface with normals; use None or 'vector' for volumes"
        )
    return np.ascontiguousarray(columns[:, 2])


def expanded(
    values: NDArray[np.float64], model: SourceModel
) -> tuple[NDArray[np.float64], list[NDArray[np.int64]]]:
    """Values on the vertices that a SourceEstimate names.

    A region's column is the sum of its vertices' columns, so each of its vertices carries the
    region's own value.

    Returns
    -------
    values : array, shape (n_vertices, ..., n_times)
    vertices : list of array
        One per source space, sorted.
    """
    leadfield = model.leadfield
    if leadfield.kind == "regions":
        assert leadfield.parcels is not None
        parcels = leadfield.parcels.numpy()
        vertices = [np.flatnonzero(side >= 0) for side in parcels]
        index = np.concatenate([s[v] for s, v in zip(parcels, vertices, strict=True)])
        return values[index], vertices
    return values, [np.asarray(space["vertno"]) for space in model.forward["src"]]


def as_estimate(values: NDArray[np.float64], model: SourceModel, tmin: float, sfreq: float) -> Any:
    """Dress values as the class of estimate that fits the source space.

    Parameters
    ----------
    values : array, shape (n_locations, n_times) or (n_locations, 3, n_times)
    model : SourceModel
    tmin : float
        s.
    sfreq : float
        Hz.
    """
    import mne

    data, vertices = expanded(values, model)
    vector = data.ndim == 3
    types = {space["type"] for space in model.forward["src"]}
    subject = model.leadfield.subject or None
    if model.leadfield.kind == "regions" or types == {"surf"}:
        make = mne.VectorSourceEstimate if vector else mne.SourceEstimate
    elif "surf" in types:
        make = mne.MixedVectorSourceEstimate if vector else mne.MixedSourceEstimate
    else:
        make = mne.VolVectorSourceEstimate if vector else mne.VolSourceEstimate
    return make(data, vertices, tmin, 1.0 / sfreq, subject=subject, verbose="error")
