"""The noise covariance: from the baseline, from a file, or assumed.

One convention throughout, and it is MNE's: a covariance describes the noise of a *single trial*,
and whoever images an average of `nave` trials divides by `nave`, once. The baseline of an average
already shows the noise of the average; its covariance is therefore multiplied by `nave` here, so
that the division that follows gives back what was measured.

Few and correlated samples make an empirical covariance singular. It is shrunk toward a multiple of
the identity, see :mod:`majorant.covariance`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.covariance import independent_samples, shrink
from majorant.errors import MajorantError
from majorant.recording.channels import LARGEST, some
from majorant.recording.file import UNREADABLE
from majorant.recording.kin import NO_KIN, Kin
from majorant.recording.rank import Space, signal_space
from majorant.words import number, written

__all__ = [
    "AD_HOC_STD",
    "NoiseData",
    "baseline_covariance",
    "check_covariance",
    "covariance_bads",
    "default_covariance",
    "independent_samples",
    "noise_of",
    "read_covariance",
    "shrink",
    "within",
]

AD_HOC_STD = 0.2e-6
"""Standard deviation of assumed noise in a single trial, V (the value MNE assumes for EEG)."""

ENOUGH = 5
"""Samples of baseline below which no covariance is computed from it."""


@dataclass(frozen=True, eq=False)
class NoiseData:
    """In what noise is heard.

    Attributes
    ----------
    trials : array, shape (n_trials, n_channels, n_times)
        V; the average itself as its only one where there are no others.
    behind : int
        Trials that each of ``trials`` averages.
    kin : Kin
        Other averages of the same recording.
    """

    trials: NDArray[np.float64]
    behind: int = 1
    kin: Kin = NO_KIN


def baseline_covariance(
    trials: NDArray[np.float64],
    info: Any,
    *,
    nave: int,
    window: tuple[float, float],
    note: Account,
    space: Space | None = None,
    kin: Kin = NO_KIN,
) -> Any:
    """Noise covariance of a single trial from the baseline.

    Parameters
    ----------
    trials : array, shape (n_trials, n_channels, n_times)
        Baseline samples, V; one "trial" that is the average itself where there are no others.
    info : mne.Info
        Of the same channels; its projectors are respected.
    nave : int
        Trials that each of ``trials`` averages: 1 for epochs, `evoked.nave` for an average.
    window : tuple of float
        First and last time of the baseline, for the sentence, s.
    note : Account
    space : Space, optional
        Where the data are, in which the noise is; what the projectors leave unless told otherwise.
    kin : Kin, optional
        Baselines of other averages of the same recording.

    Returns
    -------
    mne.Covariance
    """
    import mne

    if kin.names:
        trials = np.concatenate([trials, kin.trials / np.sqrt(nave)])
    centred = trials - trials.mean(axis=2, keepdims=True)
    basis = signal_space(info) if space is None else space.basis
    reduced = np.einsum("cr,ncs->nrs", basis, centred)
    n_trials, rank, n_times = reduced.shape
    flat = reduced.transpose(1, 0, 2).reshape(rank, -1)
    empirical = flat @ flat.T / (n_trials * (n_times - 1))
    count = independent_samples(reduced)
    shrunk = shrink(empirical, count)
    matrix = nave * basis @ shrunk.matrix @ basis.T
    what = f"{n_trials} epochs" if nave == 1 else f"the average of {nave} trials"
    if kin.names:
        what = f"the average of {nave} trials and of {_others(kin)}"
    start, stop = (written(end) for end in window)
    note.note(
        f"Noise covariance from the baseline of {what} ({start} to {stop} s; "
        f"about {count:.0f} independent samples), shrunk by {100 * shrunk.intensity:.0f} %."
    )
    if nave > 1:
        note.note(
            f"The baseline is that of an average: its noise is already {nave} times smaller in "
            "power than a trial’s, and is not divided by the number of trials again."
        )
    return mne.Covariance(
        (matrix + matrix.T) / 2,
        list(info["ch_names"]),
        bads=[],
        projs=info["projs"],
        nfree=max(1, round(count)),
    )


def _others(kin: Kin) -> str:
    """How many other conditions, in words."""
    many = len(kin.names)
    return "one other condition" if many == 1 else f"{many} other conditions"


def noise_of(
    heard: NoiseData,
    times: NDArray[np.float64],
    info: Any,
    nave: int,
    window: tuple[float, float] | None,
    space: Space,
    note: Account,
) -> tuple[str, Any]:
    """Noise of a single trial: from the baseline where there is one, else assumed.

    Parameters
    ----------
    heard : NoiseData
    times : array, shape (n_times,)
        s.
    info : mne.Info
        Of these channels.
    nave : int
        Trials of the average that is imaged.
    window : tuple of float or None
        The baseline, s.
    space : Space
        Where the data are.
    note : Account

    Returns
    -------
    kind : {"baseline", "ad hoc"}
    cov : mne.Covariance
    """
    why = "there is no baseline"
    if window is not None:
        inside = (times >= window[0] - 1e-9) & (times <= window[1] + 1e-9)
        quiet = heard.trials[:, :, inside]
        why = f"the baseline has only {inside.sum()} samples"
        if inside.sum() >= ENOUGH:
            why = "the baseline is zero"
            if np.ptp(quiet, axis=2).max() > 0:
                near = heard.kin.like(heard.behind**0.5 * quiet[0], inside, space)
                return "baseline", baseline_covariance(
                    quiet, info, nave=heard.behind, window=window, note=note, space=space, kin=near
                )
    return "ad hoc", within(default_covariance(info, note, why, nave), info, space)


def default_covariance(info: Any, note: Account, why: str, nave: int = 1) -> Any:
    """Assumed noise: independent, and 0.2 microvolts at every electrode in a single trial.

    The one default of every door, and MNE's (`mne.make_ad_hoc_cov`): a covariance of single trials,
    which whoever images an average divides by the number of its trials, once.

    Parameters
    ----------
    info : mne.Info
        Of the channels in use.
    note : Account
    why : str
        Why noise has to be assumed, for the sentence.
    nave : int
        Trials of the average, for the sentence.

    Returns
    -------
    mne.Covariance
    """
    import mne

    with listening(note, "assuming noise"):
        cov = mne.make_ad_hoc_cov(info, std={"eeg": AD_HOC_STD})
    size = f"{AD_HOC_STD * 1e6:.1f} µV at every electrode"
    if nave > 1:
        size += f" in a trial, {number(1e6 * AD_HOC_STD / nave**0.5, 2)} in the average of {nave}"
    note.note(f"Noise covariance assumed (ad hoc): independent, {size}, because {why}.")
    return cov


def within(cov: Any, info: Any, space: Space) -> Any:
    """A covariance of the channels of `info`, held to where data are.

    Parameters
    ----------
    cov : mne.Covariance
    info : mne.Info
    space : Space
        Of the data of these channels.
    """
    import mne

    if not space.lost:
        return cov
    picked = mne.pick_channels_cov(cov, list(info["ch_names"]), ordered=True)
    values = np.asarray(picked["data"], float)
    values = np.diag(values) if values.ndim == 1 else values
    held = space.basis @ space.basis.T
    matrix = held @ values @ held
    return mne.Covariance(
        (matrix + matrix.T) / 2, list(info["ch_names"]), [], picked["projs"], picked["nfree"]
    )


def read_covariance(
    path: Path, renamed: Mapping[str, str], note: Account, kind: str = "noise"
) -> Any:
    """Read a covariance of single trials.

    Parameters
    ----------
    path : Path
        A FIF file written by `mne.write_cov`.
    renamed : mapping
        New names of channels that were renamed.
    note : Account
    kind : {"noise", "data"}
        What it is of, for the sentences.

    Raises
    ------
    MajorantError
        If it cannot be read.
    """
    import mne

    if not path.is_file():
        raise MajorantError(f"there is no {kind} covariance file {path}; check the path")
    try:
        with listening(note, f"reading the {kind} covariance"):
            cov = mne.read_cov(path)
    except UNREADABLE as error:
        raise MajorantError(
            f"{path} cannot be read as a {kind} covariance; give a file that mne.write_cov wrote"
        ) from error
    if renamed:
        names = [renamed.get(name, name) for name in cov["names"]]
        cov = mne.Covariance(cov["data"], names, cov["bads"], cov["projs"], cov["nfree"])
    typical = _typical_eeg(cov)
    if typical > LARGEST:
        raise MajorantError(
            f"the {kind} covariance {path} stands for amplitudes around {typical:.3g} V, and EEG "
            "is around 1e-5 V: it seems to be in another unit; give it in V² (1e-12 times µV²)"
        )
    note.note(f"{kind.capitalize()} covariance from {path.name} (of single trials).")
    return cov


def covariance_bads(
    path: str | None, ch_names: Sequence[str], renamed: Mapping[str, str], note: Account
) -> tuple[str, ...]:
    """Channels that a file of a noise covariance calls bad: it says nothing of their noise.

    Parameters
    ----------
    path : str or None
        None names none.
    ch_names : sequence of str
        Channels of the recording.
    renamed : mapping
        New names of channels that were renamed.
    note : Account
    """
    if path is None:
        return ()
    cov = read_covariance(Path(path).expanduser(), renamed, Account())
    called = [renamed.get(name, name) for name in cov["bads"]]
    bads = tuple(name for name in called if name in ch_names)
    if bads:
        note.note(f"The noise covariance was made without {', '.join(bads)}, its bad channels.")
    return bads


def _typical_eeg(cov: Any) -> float:
    """Median standard deviation of a covariance, V; MEG's channels are far below EEG's."""
    values = np.asarray(cov["data"], float)
    variances = np.diag(values) if values.ndim == 2 else values
    positive = variances[variances > 0]
    return float(np.sqrt(np.median(positive))) if len(positive) else 0.0


def check_covariance(cov: Any, info: Any, data_rank: int | None = None) -> int:
    """Check that a covariance can whiten the channels of `info`; return its rank.

    Parameters
    ----------
    cov : mne.Covariance
    info : mne.Info
    data_rank : int or None
        Rank of the data, where it is known.

    Raises
    ------
    MajorantError
        If channels are missing, values are not finite, or the rank is too low.
    """
    import mne

    missing = [name for name in info["ch_names"] if name not in cov["names"]]
    if missing:
        raise MajorantError(
            f"the noise covariance lacks {', '.join(missing[:8])} "
            f"({len(missing)} of {len(info['ch_names'])} channels); compute it from the same "
            "recording, or leave these channels out as bad"
        )
    picked = mne.pick_channels_cov(cov, list(info["ch_names"]), ordered=True)
    values = picked["data"]
    if not np.isfinite(values).all():
        raise MajorantError("the noise covariance holds NaN or infinite values; compute it again")
    variances = np.diag(values) if values.ndim == 2 else values
    if (variances < 0).any():
        below = [n for n, v in zip(info["ch_names"], variances, strict=True) if v < 0]
        raise MajorantError(
            f"the noise covariance has negative variances ({some(below)}); compute it again"
        )
    with mne.utils.use_log_level("error"):
        ranks = mne.compute_rank(picked, rank=None, info=info, on_rank_mismatch="ignore")
    rank = int(sum(ranks.values()))
    if rank == 0 or not (variances > 0).any():
        raise MajorantError(
            "the noise covariance is zero; give one that was computed from data, or none"
        )
    wanted = data_rank if data_rank is not None else 0
    if rank < wanted:
        raise MajorantError(
            f"the noise covariance is singular: its rank is {rank}, that of the data {wanted}; "
            "regularise it (mne.cov.regularize), compute it from more data, or leave it out"
        )
    return rank
