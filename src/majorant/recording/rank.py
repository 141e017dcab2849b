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

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError
from majorant.recording.channels import some

__all__ = [
    "Space",
    "check_rank",
    "check_within",
    "data_space",
    "interpolated",
    "projection",
    "rank_by_kind",
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


def check_rank(rank: Any) -> None:
    """Refuse what is no rank in MNE's words.

    Parameters
    ----------
    rank : None, "info", "full" or mapping
        None finds it; "info" and "full" take all that projectors leave, "info" less what signal
        space separation took of MEG; a mapping says it by type of channel, ``{"eeg": 50}``.

    Raises
    ------
    MajorantError
    """
    kinds = ("eeg", "meg", "mag", "grad")
    given = rank if isinstance(rank, Mapping) else {}
    odd = [kind for kind, number in given.items() if kind not in kinds or not _counts(number)]
    if odd or not (rank is None or rank in ("info", "full") or given):
        raise MajorantError(
            f"the rank is {rank!r}; expected None, 'info', 'full', or positive numbers by type of "
            "channel as {'eeg': 50} (on the command line: info, full, eeg=50)"
        )


def _counts(number: Any) -> bool:
    """Whether something is a positive whole number."""
    return hasattr(number, "__index__") and number is not True and operator.index(number) > 0


def rank_by_kind(rank: Any, info: Any) -> Any:
    """What was asked, as `mne.compute_rank` takes it, within what projectors leave.

    MNE's own "full" counts the dimensions that projectors took, which hold rounding alone and
    would be the surest of all measurements.

    Parameters
    ----------
    rank : None, "info", "full" or mapping
    info : mne.Info
        Of the channels in use.
    """
    check_rank(rank)
    if rank is None or rank == "info":
        return rank
    left: dict[str, int] = _left_by_projectors(info)
    if rank == "full":
        return left
    asked: dict[str, int] = {kind: operator.index(number) for kind, number in rank.items()}
    return {kind: min(number, left.get(kind, number)) for kind, number in asked.items()}


def check_within(rank: Any, info: Any) -> None:
    """Refuse a rank beyond what projectors leave of the channels.

    Raises
    ------
    MajorantError
    """
    check_rank(rank)
    if not isinstance(rank, Mapping):
        return
    for kind, left in _left_by_projectors(info).items():
        if rank.get(kind, 0) > left:
            raise MajorantError(
                f"rank {kind}={rank[kind]} was asked for, and projectors leave {left} dimensions "
                f"of {kind.upper()}; ask for that many at most, or leave the rank out"
            )


def _left_by_projectors(info: Any) -> dict[str, int]:
    """Dimensions by type of channel."""
    from mne.proj import make_projector

    return {
        kind: len(names) - int(make_projector(info["projs"], names)[1])
        for kind, names in _names_by_kind(info).items()
    }


def _names_by_kind(info: Any) -> dict[str, list[str]]:
    """Channels by type; where both kinds of MEG are there they are one, as in MNE."""
    kinds = dict(zip(info["ch_names"], info.get_channel_types(), strict=True))
    both = {"mag", "grad"} <= set(kinds.values())
    found: dict[str, list[str]] = {}
    for name, kind in kinds.items():
        if kind in ("eeg", "mag", "grad"):
            found.setdefault("meg" if both and kind != "eeg" else kind, []).append(name)
    return found


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


def data_space(
    moment: NDArray[np.float64], info: Any, n_samples: float, nave: int = 1, rank: Any = None
) -> Space:
    """Find where data are, or take what was said of it.

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
    rank : None, "info", "full" or mapping
        See :func:`check_rank`; of a number, the strongest dimensions are taken.
    """
    known = signal_space(info)
    whole = Space(known, 0)
    if n_samples < 2 * len(moment) or not known.size:
        return whole
    values, vectors = np.linalg.eigh(known.T @ moment @ known)
    values, vectors = values[::-1], vectors[:, ::-1]
    if not values[0] > 0:
        return whole
    asked = rank_by_kind(rank, info)
    found = _found(values, nave) if asked is None else len(values)
    if isinstance(asked, Mapping):
        found = min(found, asked["eeg"]) if "eeg" in asked else _found(values, nave)
    # Data of a few dimensions are a simulation without noise, and no space to whiten in.
    if found >= len(values) or (rank is None and 2 * found < len(moment)):
        return whole
    return Space(known @ vectors[:, :found], len(values) - found)


def _found(values: NDArray[np.float64], nave: int) -> int:
    """How many eigenvalues, the largest first, are more than precision and rounding make."""
    rank = int((values > PRECISION * values[0]).sum())
    small = np.flatnonzero(nave * values[1:rank] < ROUNDING**2) + 1
    steps = [k for k in small if values[k - 1] > GAP * values[k]]
    return int(min([rank, *steps]))


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


def say_space(
    space: Space,
    account: Account,
    same: Sequence[tuple[str, str]] = (),
    found: Space | None = None,
) -> None:
    """Say that dimensions are lost, and what follows.

    Parameters
    ----------
    space : Space
        In which data are whitened.
    account : Account
    same : sequence of (str, str)
        Electrodes that record the same.
    found : Space, optional
        Where the data are by themselves, if a rank was asked for.
    """
    if found is not None:
        account.note(
            f"Rank {space.rank} at {len(space.basis)} electrodes, as asked; the data have rank "
            f"{found.rank}."
            + (
                " What lies beyond holds no signal, and counts as measured all the same."
                if found.rank < space.rank
                else ""
            )
        )
    elif space.lost:
        pairs = "; ".join(f"{a} and {b}" for a, b in same[:6])
        why = [f"{pairs} record the same, as if bridged by gel or connected twice"] if same else []
        if space.lost > len(same):
            why.append("components were removed from them")
        account.note(
            f"The data have rank {space.rank} at {len(space.basis)} electrodes: "
            f"{', and '.join(why)}; noise, data and lead field are whitened within what is left."
        )


def say_interpolated(names: Sequence[str], account: Account) -> None:
    """Say which electrodes are left out as sums of others."""
    if names:
        account.note(
            f"Left out, for they were interpolated from the others and say nothing of their own: "
            f"{some(list(names), 20)}."
        )
