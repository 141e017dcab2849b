"""Of how many dimensions the data are, and which electrodes say nothing of their own.

Components that were removed (ICA, SSP, signal space separation) and references leave dimensions
without signal. Whitened as if they had been measured there, these zeros would count as the surest
of all measurements. The rank is found as MNE finds it, from the eigenvalues at the precision of the
numbers (`mne.compute_rank`), and where files of 16 bits fill the empty dimensions with rounding,
from the gap above these.

An interpolated electrode is a sum of others (spherical splines: Perrin, Pernier, Bertrand &
Echallier, Electroencephalogr Clin Neurophysiol 72, 1989). Its dimension is lost, and its row of the
lead field does not follow the sum, so it is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.recording.channels import some

__all__ = [
    "Space",
    "data_space",
    "interpolated",
    "projection",
    "say_interpolated",
    "say_space",
    "signal_space",
]

PRECISION = 1e-12
"""Ratio of eigenvalues of data in single precision (amplitudes: 1e-6) that counts as zero."""

ROUNDING, GAP = 0.06e-6, 30.0
"""V: noise of a single trial that only rounding can be as small as; and the ratio of neighbouring
eigenvalues at its edge. Amplifiers have five times as much noise at least."""

LEVERAGE, LIKE = 0.3, 0.15
"""Share of an electrode in the empty dimensions from which it may be interpolated; and what spline
interpolation may leave of it (root mean square)."""


@dataclass(frozen=True, eq=False)
class Space:
    """Where data are.

    Attributes
    ----------
    basis : array, shape (n_channels, rank)
        Orthonormal.
    lost : int
        Dimensions lost beyond those that projectors take.
    """

    basis: NDArray[np.float64]
    lost: int

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return self.basis.shape[1]


def projection(info: Any) -> NDArray[np.float64]:
    """What the projectors of `info` do to its channels, shape (n_channels, n_channels)."""
    from mne.proj import make_projector

    return np.asarray(make_projector(info["projs"], info["ch_names"])[0], float)


def signal_space(info: Any) -> NDArray[np.float64]:
    """Orthonormal basis of what the projectors of `info` leave, shape (n_channels, rank)."""
    from mne.proj import make_projector

    projector, n_removed, _ = make_projector(info["projs"], info["ch_names"])
    _, vectors = np.linalg.eigh((projector + projector.T) / 2)
    return vectors[:, n_removed:]


def data_space(moment: NDArray[np.float64], info: Any, n_samples: float, nave: int = 1) -> Space:
    """Find where data are.

    Parameters
    ----------
    moment : array, shape (n_channels, n_channels)
        Second moment of EEG data, V^2.
    info : mne.Info
        Of these channels; its projectors are applied.
    n_samples : float
        Independent samples behind it. Fewer than twice the channels tell nothing.
    nave : int
        Trials behind every sample.
    """
    known = signal_space(info)
    whole = Space(known, 0)
    if n_samples < 2 * len(moment) or not known.size:
        return whole
    values, vectors = np.linalg.eigh(known.T @ moment @ known)
    values, vectors = values[::-1], vectors[:, ::-1]
    if not values[0] > 0:
        return whole
    rank = int((values > PRECISION * values[0]).sum())
    small = np.flatnonzero(nave * values[1:rank] < ROUNDING**2) + 1
    steps = [k for k in small if values[k - 1] > GAP * values[k]]
    rank = int(min([rank, *steps]))
    # Data of a few dimensions are a simulation without noise, and no space to whiten in.
    if rank >= len(values) or 2 * rank < len(moment):
        return whole
    return Space(known @ vectors[:, :rank], len(values) - rank)


def interpolated(moment: NDArray[np.float64], space: Space, info: Any) -> list[str]:
    """Electrodes that are what spherical splines make of the others.

    Parameters
    ----------
    moment : array, shape (n_channels, n_channels)
        Second moment of the data, V^2.
    space : Space
        Of the data, from :func:`data_space`.
    info : mne.Info
        EEG channels with places.

    Returns
    -------
    list of str
        Empty where no dimension is lost.
    """
    if not space.lost:
        return []
    share = 1 - (space.basis**2).sum(axis=1)
    rows = [int(k) for k in np.argsort(-share) if share[k] > LEVERAGE]
    candidates = rows[: 3 * space.lost]
    power = np.diag(moment)
    while candidates and len(candidates) < len(moment) // 2:
        left = np.eye(len(moment))[candidates] - _splines(info, candidates)
        remains = np.sqrt(
            np.maximum(np.einsum("ij,jk,ik->i", left, moment, left), 0)
            / np.maximum(power[candidates], 1e-40)
        )
        worst = int(remains.argmax())
        if remains[worst] < LIKE:
            return [info["ch_names"][k] for k in sorted(candidates)]
        candidates.pop(worst)
    return []


def _splines(info: Any, rows: Sequence[int]) -> NDArray[np.float64]:
    """Weights with which MNE interpolates some channels from all others, (n_rows, n_channels)."""
    import mne

    names = list(info["ch_names"])
    places = {c["ch_name"]: np.array(c["loc"][:3], float) for c in info["chs"]}
    bare = mne.create_info(names, 1.0, "eeg", verbose="error")
    unit = mne.EvokedArray(np.eye(len(names)), bare, verbose="error")
    with listening(Account(), "interpolating"):
        unit.set_montage(mne.channels.make_dig_montage(places, coord_frame="head"))
        unit.info["bads"] = [names[k] for k in rows]
        unit.interpolate_bads(reset_bads=False)
    weights = unit.data[list(rows)]
    weights[:, list(rows)] = 0.0
    return weights


def say_space(space: Space, account: Account) -> None:
    """Say that dimensions are lost, and what follows."""
    if space.lost:
        account.note(
            f"The data have rank {space.rank} at {len(space.basis)} electrodes: components were "
            "removed from them, and noise, data and lead field are whitened within what is left."
        )


def say_interpolated(names: Sequence[str], account: Account) -> None:
    """Say which electrodes are left out as sums of others."""
    if names:
        account.note(
            f"Left out, for they were interpolated from the others and say nothing of their own: "
            f"{some(list(names), 20)}."
        )
