"""Windows of fixed length, for networks whose size depends on the number of samples."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def split(x: Tensor, length: int) -> Tensor:
    """Cut the time axis into windows, the last one filled with zeros.

    Parameters
    ----------
    x : Tensor, shape (n_batch, n_rows, n_times)
    length : int
        Samples of a window.

    Returns
    -------
    Tensor, shape (n_batch * n_windows, n_rows, length)
        The windows of a sample are consecutive.
    """
    n_batch, n_rows, n_times = x.shape
    if n_times == length:
        return x
    n_windows = -(-n_times // length)
    filled = F.pad(x, (0, n_windows * length - n_times))
    return filled.reshape(n_batch, n_rows, n_windows, length).transpose(1, 2).flatten(0, 1)


def join(windows: Tensor, n_times: int) -> Tensor:
    """Put windows together again, shape (n_batch, n_rows, n_times)."""
    n_rows, length = windows.shape[1:]
    if n_times == length:
        return windows
    n_windows = -(-n_times // length)
    rows = windows.reshape(-1, n_windows, n_rows, length).transpose(1, 2)
    return rows.flatten(2)[..., :n_times]
