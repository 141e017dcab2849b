"""From a recording to what is imaged: one average, its noise covariance, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.problem import MajorantError
from majorant.recording.average import Averaged, average, chosen, filtered, picked
from majorant.recording.channels import (
    FEWEST,
    check_samples,
    eeg_names,
    interpolate_bads,
    mark_bads,
    require_eeg,
    set_types_by_name,
    too_few,
)
from majorant.recording.file import UNREADABLE, Recording
from majorant.recording.montage import check_places, place, read_montage, replace_idealised
from majorant.recording.noise import (
    ENOUGH,
    ad_hoc_covariance,
    baseline_covariance,
    check_covariance,
    covariance_bads,
    read_covariance,
)
from majorant.recording.settings import Preparation
from majorant.words import written

__all__ = ["Prepared", "has_average_reference", "prepare"]


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
    account.decisions.extend(recording.notes)
    require_eeg(recording.info.get_channel_types(), account)
    names = chosen(recording, settings)
    inst = _working_copy(recording, names, account)
    inst, renamed, silent = _electrodes(inst, settings, account)
    inst = filtered(inst, settings, account, padded=recording.kind == "raw")
    averaged = average(recording, inst, names, settings, account)
    evoked = averaged.evoked
    window = _remove_baseline(averaged, settings, account)
    _reference(evoked, account, silent)
    eog, eog_names = _take_eog(evoked)
    noise_kind, cov = _noise(averaged, evoked, window, settings, renamed, account)
    _crop(evoked, settings, account)
    check_covariance(cov, evoked.info, _data_rank(averaged, evoked))
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
        settings=settings,
    )


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


def _electrodes(
    inst: Any, settings: Preparation, account: Account
) -> tuple[Any, dict[str, str], tuple[str, ...]]:
    """Type, scale, place and check the electrodes.

    Returns
    -------
    inst, renamed, silent
        `silent` are reference electrodes that were added as zeros.
    """
    import mne

    set_types_by_name(inst, account)
    if settings.scale is not None and settings.scale != 1.0:
        with listening(account, "scaling"):
            inst.apply_function(lambda x: x * settings.scale, picks="all", channel_wise=False)
        account.note(f"Amplitudes multiplied by {settings.scale:g}.")
    added = _missing_references(inst, settings)
    if added:
        try:
            with listening(account, "adding the reference electrode"):
                inst = mne.add_reference_channels(inst, list(added))
        except RuntimeError as error:
            raise MajorantError(
                f"{', '.join(added)} cannot have been the reference: the file is already against "
                "the average of its electrodes; leave the reference out"
            ) from error
    renamed: dict[str, str] = {}
    if settings.montage is not None:
        renamed = place(inst, read_montage(settings.montage), account)
    unknown = covariance_bads(settings.noise_cov, inst.ch_names, renamed, account)
    mark_bads(inst, (*settings.bads, *unknown), account, interpolate=settings.interpolate)
    check_places(inst, account)
    replace_idealised(inst, account)
    interpolate_bads(inst, account)
    references = tuple(name for name in added if name in inst.ch_names)
    names = eeg_names(inst)
    if len(names) < FEWEST:
        raise too_few(names)
    check_samples(_samples(inst), names, reference=(*references, *_listed_references(settings)))
    if references:
        account.note(f"Added the reference electrode as zeros: {', '.join(references)}.")
    return inst, renamed, references


def _listed_references(settings: Preparation) -> tuple[str, ...]:
    if settings.reference.casefold() == "average":
        return ()
    return tuple(part.strip() for part in settings.reference.split(",") if part.strip())


def _missing_references(inst: Any, settings: Preparation) -> tuple[str, ...]:
    present = {name.casefold() for name in inst.ch_names}
    return tuple(n for n in _listed_references(settings) if n.casefold() not in present)


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


def has_average_reference(info: Any) -> bool:
    """Whether `info` holds an average-reference projector."""
    from mne.io.constants import FIFF

    return any(p["kind"] == FIFF.FIFFV_PROJ_ITEM_EEG_AVREF for p in info["projs"])


def _reference(evoked: Any, account: Account, added: tuple[str, ...]) -> None:
    """Bring an average to the average reference, as an applied projector.

    Sources are computed from data and a lead field under the same reference; against the average
    of all electrodes it does not matter which one the recording was made with.
    """
    with listening(account, "referencing"):
        evoked.apply_proj()
        with evoked.info._unlock():
            evoked.info["custom_ref_applied"] = 0
        if not has_average_reference(evoked.info):
            evoked.set_eeg_reference("average", projection=True)
        evoked.apply_proj()
    rows = [i for i, kind in enumerate(evoked.get_channel_types()) if kind == "eeg"]
    evoked.data[rows] -= evoked.data[rows].mean(axis=0)
    extra = f", {', '.join(added)} among them" if added else ""
    account.note(f"Average reference over {len(rows)} electrodes{extra}.")


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
    window: tuple[float, float] | None,
    settings: Preparation,
    renamed: dict[str, str],
    account: Account,
) -> tuple[str, Any]:
    if settings.noise_cov is not None:
        return "file", read_covariance(Path(settings.noise_cov).expanduser(), renamed, account)
    nave = int(evoked.nave)
    if window is None:
        why = "there is no baseline"
        return "ad hoc", ad_hoc_covariance(evoked.info, nave, account, why)
    inside = (evoked.times >= window[0] - 1e-9) & (evoked.times <= window[1] + 1e-9)
    if inside.sum() < ENOUGH:
        why = f"the baseline has only {inside.sum()} samples"
        return "ad hoc", ad_hoc_covariance(evoked.info, nave, account, why)
    trials, behind = averaged.trials(evoked.ch_names), 1
    if trials is None:
        trials, behind = evoked.data[None], nave
    cov = baseline_covariance(
        trials[:, :, inside], evoked.info, nave=behind, window=window, note=account
    )
    if not np.diag(cov["data"]).max() > 0:
        return "ad hoc", ad_hoc_covariance(evoked.info, nave, account, "the baseline is zero")
    return "baseline", cov


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


def _data_rank(averaged: Averaged, evoked: Any) -> int | None:
    """Rank of the data, where there are samples enough to tell."""
    data, trials = evoked.data, averaged.trials(evoked.ch_names)
    if trials is not None:
        data = trials.transpose(1, 0, 2).reshape(len(evoked.ch_names), -1)
        data = data - data.mean(axis=0)
    if data.shape[1] < 2 * data.shape[0]:
        return None
    values = np.linalg.eigvalsh(data @ data.T)
    return int((values > 1e-12 * values[-1]).sum())


def _swings(averaged: Averaged, evoked: Any) -> NDArray[np.float64] | None:
    trials = averaged.trials(evoked.ch_names)
    return None if trials is None else np.ptp(trials, axis=2)
