"""Sensors as they are inverted: which channels, against which reference, whitened how.

Projectors, rank and whitening are MNE's own (`mne.cov.compute_whitener`). EEG and MEG are whitened
together: what comes out has unit noise and no unit, so neither outweighs the other.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.errors import MajorantError
from majorant.recording.channels import some
from majorant.recording.rank import projection, rank_by_kind

__all__ = ["check_positions", "pick_rows", "whitener"]

EMPTY = 1e-10
"""Ratio of eigenvalues of a noise covariance beyond which MNE calls a whitener unstable."""

CLOSE_MM, APART_MM = 5.0, 20.0
"""Median distance of electrodes from where the forward has them: worth saying, and too much."""


def whitener(noise_cov: Any, info: Any, rank: Any, least: int) -> NDArray[np.float64]:
    """Matrix that makes the noise white and drops what projectors removed.

    Parameters
    ----------
    noise_cov : mne.Covariance
        Of a single trial, with the channels of ``info``.
    info : mne.Info
    rank : None, "info", "full" or mapping
        As for `mne.compute_rank`; see :func:`majorant.recording.rank.rank_by_kind`.
    least : int
        Rank that the solver needs.

    Returns
    -------
    array, shape (rank, n_channels)

    Raises
    ------
    MajorantError
        If too little is left, ``rank`` is not understood, or it is beyond that of the noise.
    """
    import mne

    by_kind = rank_by_kind(rank, info)
    _refuse_empty(noise_cov, info, rank)
    try:
        found: Any = mne.cov.compute_whitener(
            noise_cov,
            info,
            picks=list(info["ch_names"]),
            rank=by_kind,
            pca=True,
            on_rank_mismatch="ignore",
            verbose="error",
        )
    except (TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200].rstrip(".")
        raise MajorantError(
            f"the channels cannot be whitened with rank={rank!r} ({reason}); leave rank out, or "
            "give what mne.compute_rank takes"
        ) from error
    matrix = found[0]
    if len(matrix) < least:
        raise MajorantError(
            f"after projectors and whitening {len(matrix)} of {len(info['ch_names'])} dimensions "
            f"are left, and at least {least} are needed; give more channels, fewer projectors, or "
            "a noise covariance of higher rank"
        )
    return matrix


def _refuse_empty(noise_cov: Any, info: Any, rank: Any) -> None:
    """Refuse dimensions of EEG without noise: whitened, they would outweigh all others."""
    rows = [k for k, kind in enumerate(info.get_channel_types()) if kind == "eeg"]
    if rank is None or not rows:
        return
    values = np.asarray(noise_cov["data"], float)
    project = projection(info)
    matrix = project @ (np.diag(values) if values.ndim == 1 else values) @ project.T
    power = np.linalg.eigvalsh(matrix[np.ix_(rows, rows)])[::-1]
    asked = rank_by_kind("full" if rank == "info" else rank, info).get("eeg", 1)
    if power[asked - 1] < EMPTY * power[0]:
        raise MajorantError(
            f"the noise covariance has rank {int((power > EMPTY * power[0]).sum())} in the EEG and "
            f"rank={rank!r} asks for {asked}; regularise it (mne.cov.regularize), or leave the "
            "rank out"
        )


def pick_rows(ch_names: list[str], wanted: list[str]) -> list[int]:
    """Where the wanted channels are among those of some data.

    Raises
    ------
    MajorantError
        If some are missing.
    """
    place = {name: row for row, name in enumerate(ch_names)}
    missing = [name for name in wanted if name not in place]
    if missing:
        raise MajorantError(
            f"the data lack {some(missing, 8)}, which the imager was fitted to; fit it to the "
            "info of these data"
        )
    return [place[name] for name in wanted]


def check_positions(forward: Any, info: Any, account: Account) -> None:
    """Compare the electrodes of a recording with those that its forward was computed for.

    Raises
    ------
    MajorantError
        If they are so far apart that the forward must be of another head or cap.
    """
    import mne

    theirs = {channel["ch_name"]: channel["loc"][:3] for channel in forward["info"]["chs"]}
    names, apart = [], []
    for k in mne.pick_types(info, meg=False, eeg=True):
        name, place = info["ch_names"][k], np.asarray(info["chs"][k]["loc"][:3], float)
        other = np.asarray(theirs.get(name, np.full(3, np.nan)), float)
        known = np.isfinite(place).all() and np.isfinite(other).all()
        if known and place.any() and other.any():
            names.append(name)
            apart.append(1e3 * float(np.linalg.norm(place - other)))
    if not names:
        return
    middle, worst = float(np.median(apart)), int(np.argmax(apart))
    if middle > APART_MM:
        raise MajorantError(
            f"the forward solution was computed for electrodes that lie {middle:.0f} mm (median) "
            f"from those of the recording, {names[worst]} {apart[worst]:.0f} mm: it seems to be of "
            "another subject or cap; compute one for this recording"
        )
    if middle > CLOSE_MM:
        account.note(
            f"The forward solution was computed for electrodes that lie {middle:.0f} mm (median) "
            f"from those of the recording, {names[worst]} {apart[worst]:.0f} mm."
        )
