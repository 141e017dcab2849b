"""Sensor noise at an exact signal-to-noise ratio.

The shape of the noise and its level are separate: :func:`white` draws it, :func:`at_snr` scales
whatever was drawn. Coloured or heteroscedastic noise is white noise mapped linearly before it is
scaled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from majorant.simulate import streams


def white(key: Tensor, n_sensors: int, n_times: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw white Gaussian noise of unit variance.

    In the orthonormal coordinates of the average-referenced sensor space this is the average
    reference of white noise at the electrodes: an isometry keeps white noise white.

    Parameters
    ----------
    key : Tensor, shape (n_batch,), int64
        One key per sample, see :func:`majorant.simulate.streams.keys`.
    n_sensors, n_times : int
    dtype : torch.dtype

    Returns
    -------
    Tensor, shape (n_batch, n_sensors, n_times)
    """
    return streams.normal(key, (n_sensors, n_times), dtype)


def at_snr(signal: Tensor, noise: Tensor, snr_db: Tensor | float) -> Tensor:
    """Scale noise to an exact signal-to-noise ratio, sample by sample.

    Parameters
    ----------
    signal, noise : Tensor, shape (n_batch, n_sensors, n_times)
        Neither of them zero.
    snr_db : Tensor, shape (n_batch,), or float
        ``20 log10(|signal| / |noise|)`` in the Frobenius norm, dB.

    Returns
    -------
    Tensor, shape (n_batch, n_sensors, n_times)
        The noise, in the unit of ``signal``.
    """
    level = torch.as_tensor(snr_db, dtype=signal.dtype, device=signal.device)
    norms = signal.flatten(1).norm(dim=1) / noise.flatten(1).norm(dim=1)
    factor = norms * 10.0 ** (-level / 20.0)
    return noise * factor[:, None, None]
