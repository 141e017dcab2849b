"""From a recording to what is imaged: one average, its noise covariance, and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.covariance import independent_samples
from majorant.errors import MajorantError
from majorant.recording.average import Averaged, average, chosen, filtered, picked
from majorant.recording.channels import check_samples, eeg_names, require_eeg
from majorant.recording.electrodes import settle
from majorant.recording.faults import bridged, mark_silence, say_saturated, without_silence
from majorant.recording.file import UNREADABLE, Recording
from majorant.recording.kin import NO_KIN, Kin, kin_of
from majorant.recording.lone import Lone, weighed
from majorant.recording.marked import with_events
from majorant.recording.montage import read_montage
from majorant.recording.noise import (
    NoiseData,
    check_covariance,
    noise_of,
    read_covariance,
    within,
)
from majorant.recording.rank import (
    Space,
    check_within,
    data_space,
    interpolated,
    projection,
    say_interpolated,
    say_space,
)
from majorant.recording.reference import (
    add_reference_electrodes,
    average_reference,
    reference_electrodes,
)
from majorant.recording.settings import Preparation
from majorant.words import written

__all__ = [
    "Prepared",
    "added_references",
    "good_info",
    "measured",
    "montage_names",
    "prepare",
    "reference",
]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is imaged.

    Attributes
    ----------
    evoked : mne.Evoked
        Good, placed electrodes only; average reference as an applied projector.
    noise_cov : mne.Covariance
        Noise of a *single trial*; whoever images the average divides by `evoked.nave`, once.
    noise_kind : {"baseline", "file", "ad hoc"}
    decisions : tuple of str
        What was decided on the way, one sentence each.
    eog : array or None, shape (n_eog, n_times)
        Average of the eye channels over the same window, V.
    eog_names : tuple of str
    swings : array or None, shape (n_trials, n_channels)
        Peak-to-peak amplitude of every trial, V, where the recording has trials.
    epochs : mne.BaseEpochs or None
        The trials themselves, before baseline, reference and window.
    title : str
        File and condition.
    renamed : dict
        New names by old ones, where channels were renamed.
    recording : Recording or None
        Where it came from.
    settings : Preparation
    parts : tuple of (float, Prepared)
        Of a contrast: the conditions and their weights; empty otherwise.
    lone : tuple of Lone
        Electrodes that speak alone.
    """

    evoked: Any
    noise_cov: Any
    noise_kind: str
    decisions: tuple[str, ...]
    title: str
    eog: NDArray[np.float64] | None = None
    eog_names: tuple[str, ...] = ()
    swings: NDArray[np.float64] | None = None
    epochs: Any = None
    renamed: dict[str, str] | None = None
    recording: Recording | None = None
    settings: Preparation = field(default_factory=Preparation)
    parts: tuple[tuple[float, Prepared], ...] = ()
    lone: tuple[Lone, ...] = ()


def prepare(
    recording: Recording,
    settings: Preparation | None = None,
    say: Callable[[str], None] | None = None,
) -> Prepared:
    """Prepare a recording for imaging.

    Channels are typed, placed and checked; then the data are filtered, cut, averaged,
    baseline-corrected and average-referenced; then the noise is estimated. Every decision is a
    sentence.

    Parameters
    ----------
    recording : Recording
    settings : Preparation, optional
    say : callable, optional
        Called with every decision as it is made.

    Returns
    -------
    Prepared

    Raises
    ------
    ChoiceNeeded
        If there are several events or conditions and none was chosen.
    MajorantError
        If the recording or a setting cannot be used; one sentence says why, and what would do.
    """
    settings = settings or Preparation()
    account = Account(say) if say else Account()
    recording = with_events(recording, settings.events_from)
    account.decisions.extend(recording.notes)
    require_eeg(recording.info.get_channel_types(), account)
    names = chosen(recording, settings)
    inst = _working_copy(recording, names, account)
    inst, renamed = _electrodes(inst, settings, account)
    inst = filtered(inst, settings, account, padded=recording.kind == "raw")
    averaged = average(recording, inst, names, settings, account)
    evoked = averaged.evoked
    asked = settings
    if settings.stretch is not None:
        # Times are those within a stretch from here on.
        settings = replace(settings, tmin=None, tmax=None, baseline="none")
    window = _remove_baseline(averaged, settings, account)
    eog, eog_names = _take_eog(evoked)
    space = reference(evoked, averaged.trials, account, settings.rank)
    kin = kin_of(recording, evoked, good_info(evoked)["ch_names"], settings, renamed)
    noise_kind, cov = _noise(averaged, evoked, space, window, settings, renamed, account, kin)
    _crop(evoked, settings, account)
    cov, lone = weighed(evoked, cov, good_info(evoked), space, asked, account)
    return Prepared(
        evoked=evoked,
        noise_cov=cov,
        noise_kind=noise_kind,
        decisions=tuple(account.decisions),
        title=f"{recording.path.name}: {evoked.comment}",
        eog=None if eog is None else eog.crop(evoked.times[0], evoked.times[-1]).data,
        eog_names=eog_names,
        swings=_swings(averaged, evoked),
        epochs=averaged.epochs,
        renamed=renamed,
        recording=recording,
        settings=asked,
        lone=lone,
    )


def measured(
    inst: Any,
    account: Account,
    noise_cov: Any | None = None,
    rank: Any = None,
    lone: str = "doubt",
) -> Prepared:
    """What data in memory say of their electrodes and their noise, as :func:`prepare` finds it.

    Parameters
    ----------
    inst : mne.Evoked, mne.BaseEpochs or mne.io.BaseRaw
        With EEG, as it will be imaged; left as it is.
    account : Account
    noise_cov : mne.Covariance or None
        Of a single trial; None takes it from the baseline, or assumes it.
    rank : None, "info", "full" or mapping
        See :func:`majorant.recording.rank.check_rank`.
    lone : {"doubt", "believe"}
        How electrodes that speak alone are treated; in continuous data they are not looked for.

    Returns
    -------
    Prepared
        Its average is that of the trials; of continuous data, samples from here and there.
    """
    import mne

    settings = Preparation(rank=rank, lone=lone)
    with listening(account, "choosing channels"):
        own = inst.copy().pick("eeg", exclude=[])
    settle(own, settings, account)
    own.pick("eeg", exclude=[])
    if isinstance(inst, mne.BaseEpochs):
        own = without_silence(own.load_data(), account)
    epochs = own if isinstance(inst, mne.BaseEpochs) else None
    if isinstance(inst, mne.io.BaseRaw):
        own = mne.EvokedArray(_glimpses(own), own.info, tmin=1.0, nave=1, verbose="error")
    samples = _samples(own)
    check_samples(samples, own.ch_names)
    say_saturated(samples, own.ch_names, account)
    averaged = Averaged(own if epochs is None else epochs.average(picks="eeg"), epochs)
    evoked = averaged.evoked
    window = _remove_baseline(averaged, settings, account)
    space = reference(evoked, averaged.trials, account, rank)
    kind, cov = "file", noise_cov
    if noise_cov is None:
        kind, cov = _noise(averaged, evoked, space, window, settings, {}, account)
    elif set(good_info(evoked)["ch_names"]) <= set(noise_cov["names"]):
        cov = within(noise_cov, good_info(evoked), space)
    alone: tuple[Lone, ...] = ()
    if not isinstance(inst, mne.io.BaseRaw):
        cov, alone = weighed(evoked, cov, good_info(evoked), space, settings, account)
    decisions = tuple(account.decisions)
    return Prepared(evoked, cov, kind, decisions, "data", epochs=epochs, lone=alone)


def _glimpses(raw: Any, pieces: int = 20, length: int = 2000) -> NDArray[np.float64]:
    """Samples of continuous data from all over, shape (n_channels, n), V; means removed."""
    last = max(0, len(raw.times) - length)
    starts = np.unique(np.linspace(0, last, pieces).astype(int))
    ends = [min(int(a) + length, len(raw.times)) for a in starts]
    parts = [
        raw.get_data(start=int(a), stop=b, reject_by_annotation="omit", verbose="error")
        for a, b in zip(starts, ends, strict=True)
    ]
    kept = [part - part.mean(axis=1, keepdims=True) for part in parts if part.shape[1]]
    if not kept:
        raise MajorantError(
            "all of the recording is marked as bad by its annotations; there is nothing to image"
        )
    return np.concatenate(kept, axis=1)


def _working_copy(recording: Recording, names: tuple[str, ...], account: Account) -> Any:
    """The chosen data in memory, electrodes and eye channels only."""
    inst = picked(recording, names)
    keep = ["eeg", "eog"] if "eog" in inst.get_channel_types() else ["eeg"]
    with listening(account, "loading"):
        inst = inst.copy()
        bads = list(inst.info["bads"])
        inst.pick(keep, exclude=[])
        inst.info["bads"] = [name for name in bads if name in inst.ch_names]
        if recording.kind != "evoked":
            try:
                inst.load_data()
            except UNREADABLE as error:
                raise MajorantError(
                    f"{recording.path} is damaged: its data cannot be read to the end; copy the "
                    "file again"
                ) from error
    return inst


def _electrodes(inst: Any, settings: Preparation, account: Account) -> tuple[Any, dict[str, str]]:
    """Scale, complete, settle and check the electrodes.

    Returns
    -------
    inst, renamed
    """
    import mne

    if settings.scale is not None and settings.scale != 1.0:
        with listening(account, "scaling"):
            inst.apply_function(lambda x: x * settings.scale, picks="all", channel_wise=False)
        account.note(f"Amplitudes multiplied by {settings.scale:g}.")
    inst, added = add_reference_electrodes(
        inst, settings.reference, partial(montage_names, settings), account
    )
    renamed = settle(inst, settings, account)
    zeros = added_references(inst.ch_names, added, renamed, account)
    named = (*zeros, *reference_electrodes(settings.reference))
    samples = _samples(inst)
    check_samples(samples, eeg_names(inst), reference=named)
    say_saturated(samples, eeg_names(inst), account)
    if isinstance(inst, mne.io.BaseRaw):
        mark_silence(inst, account)
    return inst, renamed


def montage_names(settings: Preparation) -> Sequence[str]:
    """Names of the montage that was given, if any."""
    return () if settings.montage is None else read_montage(settings.montage).montage.ch_names


def added_references(
    ch_names: Sequence[str], added: Sequence[str], renamed: Mapping[str, str], account: Account
) -> tuple[str, ...]:
    """Reference electrodes that were added and stayed, by their names in the end; said."""
    found = tuple(renamed.get(name, name) for name in added)
    found = tuple(name for name in found if name in ch_names)
    if found:
        account.note(f"Added the reference electrode as zeros: {', '.join(found)}.")
    return found


def _samples(inst: Any) -> NDArray[np.float64]:
    """All samples of the electrodes, shape (n_channels, n_samples), V."""
    import mne

    if isinstance(inst, mne.Evoked):
        return inst.get_data(picks="eeg")
    if isinstance(inst, mne.BaseEpochs):
        data = inst.get_data(picks="eeg", copy=False)
        return data.transpose(1, 0, 2).reshape(data.shape[1], -1)
    kept = inst.get_data(picks="eeg", reject_by_annotation="omit", verbose="error")
    if kept.shape[1] == 0:
        raise MajorantError(
            "all of the recording is marked as bad by its annotations; there is nothing to image"
        )
    return kept


def _remove_baseline(
    averaged: Averaged, settings: Preparation, account: Account
) -> tuple[float, float] | None:
    """Remove the mean of the baseline; return its window where there is one, s."""
    evoked, baseline = averaged.evoked, settings.baseline
    first, last = float(evoked.times[0]), float(evoked.times[-1])
    if isinstance(baseline, tuple):
        start = first if baseline[0] is None else baseline[0]
        stop = last if baseline[1] is None else baseline[1]
        if not start < stop:
            raise MajorantError(
                f"the baseline from {start:g} to {stop:g} s is empty; give its start first"
            )
        start, stop = max(start, first), min(stop, last)
        if not start < stop:
            raise MajorantError(
                f"the baseline {settings.baseline} s does not lie in the data "
                f"({written(first)} to {written(last)} s); choose another"
            )
    elif first < 0 < last:
        start, stop = first, 0.0
    else:
        if baseline == "auto" and averaged.epochs is not None:
            account.note("No baseline was removed: the window does not begin before 0 s.")
        return None
    if baseline == "none":
        account.note("No baseline was removed, as asked.")
        return start, stop
    if baseline == "auto" and evoked.baseline is not None:
        begin, end = evoked.baseline
        account.note(f"The file’s own baseline was kept ({written(begin)} to {written(end)} s).")
        return start, stop
    with listening(account, "removing the baseline"):
        evoked.apply_baseline((start, stop))
    account.note(f"Baseline removed: the mean from {written(start)} to {written(stop)} s.")
    return start, stop


def reference(
    evoked: Any,
    trials: Callable[[list[str]], NDArray[np.float64] | None],
    account: Account,
    rank: Any = None,
) -> Space:
    """Bring an average to the average reference, as applied projectors, and find where it is.

    Sources are computed from data and a lead field under the same reference; against the average
    of all electrodes it does not matter which one the recording was made with.

    Parameters
    ----------
    evoked : mne.Evoked
        EEG, settled; changed in place. Electrodes that turn out to be sums of others are dropped.
    trials : callable
        Takes names, and returns the trials behind the average, V, or None.
    account : Account
    rank : None, "info", "full" or mapping
        What the user says of it; see :func:`majorant.recording.rank.check_rank`.

    Returns
    -------
    Space
        Of the good electrodes.
    """
    average_reference(evoked, account)
    with listening(account, "referencing"):
        evoked.apply_proj()
    _centre(evoked)
    check_within(rank, good_info(evoked))
    space, moment, nave = _space_of(evoked, trials, rank)
    sums = interpolated(moment, space, good_info(evoked))
    if sums:
        evoked.drop_channels(sums)
        say_interpolated(sums, account)
        _centre(evoked)
        space, moment, nave = _space_of(evoked, trials, rank)
    pairs = bridged(moment, good_info(evoked)["ch_names"], nave) if space.lost else []
    say_space(space, account, pairs, None if rank is None else _space_of(evoked, trials)[0])
    return space


def good_info(inst: Any) -> Any:
    """Info of the channels that are not marked as bad."""
    import mne

    names = inst.ch_names
    return mne.pick_info(inst.info, [k for k, n in enumerate(names) if n not in inst.info["bads"]])


def _centre(evoked: Any) -> None:
    """Take the mean over the good electrodes off, to the last digit."""
    rows = [k for k, name in enumerate(evoked.ch_names) if name not in evoked.info["bads"]]
    evoked.data -= evoked.data[rows].mean(axis=0)


def _space_of(
    evoked: Any, trials: Callable[[list[str]], NDArray[np.float64] | None], rank: Any = None
) -> tuple[Space, NDArray[np.float64], int]:
    """Where the data of the good electrodes are, their second moment, V^2, and trials a sample."""
    info = good_info(evoked)
    cut, nave = trials(info["ch_names"]), 1
    if cut is None:
        cut, nave = evoked.get_data(picks=info["ch_names"])[None], int(evoked.nave)
    cut = projection(info) @ (cut - cut.mean(axis=2, keepdims=True))
    flat = cut.transpose(1, 0, 2).reshape(cut.shape[1], -1)
    moment = flat @ flat.T / max(flat.shape[1], 1)
    return data_space(moment, info, independent_samples(cut), nave, rank), moment, nave


def _take_eog(evoked: Any) -> tuple[Any | None, tuple[str, ...]]:
    """Split the eye channels off."""
    types = evoked.get_channel_types()
    names = [name for name, kind in zip(evoked.ch_names, types, strict=True) if kind == "eog"]
    if not names:
        return None, ()
    eog = evoked.copy().pick(names)
    evoked.drop_channels(names)
    return eog, tuple(names)


def _noise(
    averaged: Averaged,
    evoked: Any,
    space: Space,
    window: tuple[float, float] | None,
    settings: Preparation,
    renamed: dict[str, str],
    account: Account,
    kin: Kin = NO_KIN,
) -> tuple[str, Any]:
    info, nave = good_info(evoked), int(evoked.nave)
    if settings.noise_cov is not None:
        given = read_covariance(Path(settings.noise_cov).expanduser(), renamed, account)
        check_covariance(given, info, space.rank if space.lost else None)
        return "file", within(given, info, space)
    trials = averaged.trials(info["ch_names"])
    if trials is None:
        heard = NoiseData(evoked.get_data(picks=info["ch_names"])[None], nave, kin)
    else:
        heard = NoiseData(trials)
    return noise_of(heard, evoked.times, info, nave, window, space, account)


def _crop(evoked: Any, settings: Preparation, account: Account) -> None:
    """Crop to the window asked for."""
    first, last = float(evoked.times[0]), float(evoked.times[-1])
    tmin = first if settings.tmin is None else settings.tmin
    tmax = last if settings.tmax is None else settings.tmax
    slack = 0.5 / evoked.info["sfreq"]
    inside = (evoked.times > tmin - slack) & (evoked.times < tmax + slack)
    if not inside.any():
        raise MajorantError(
            f"the window from {tmin:g} to {tmax:g} s holds no sample; the data go from "
            f"{written(first)} to {written(last)} s"
        )
    if inside.all():
        return
    evoked.crop(max(tmin, first), min(tmax, last))
    start, stop = written(evoked.times[0]), written(evoked.times[-1])
    account.note(f"Window: {start} to {stop} s.")


def _swings(averaged: Averaged, evoked: Any) -> NDArray[np.float64] | None:
    trials = averaged.trials(evoked.ch_names)
    return None if trials is None else np.ptp(trials, axis=2)
