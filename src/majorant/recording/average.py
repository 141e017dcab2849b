"""From a recording to one average: choosing, filtering, cutting and averaging."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError, nearest
from majorant.recording.file import ChoiceNeeded, Recording, bad_samples
from majorant.recording.settings import Preparation
from majorant.words import written

__all__ = ["Averaged", "average", "chosen", "filtered"]

EPOCH = (-0.2, 0.5)
"""Window around an event, s, where none is given."""


@dataclass(frozen=True, eq=False)
class Averaged:
    """An average and the trials behind it.

    Attributes
    ----------
    evoked : mne.Evoked
        Not yet cropped to the window asked for.
    epochs : mne.BaseEpochs or None
        The trials, where the recording has them.
    """

    evoked: Any
    epochs: Any = None

    def trials(self, names: list[str]) -> NDArray[np.float64] | None:
        """The trials of some channels, shape (n_trials, n_channels, n_times), V."""
        return None if self.epochs is None else self.epochs.get_data(picks=names)


def chosen(recording: Recording, settings: Preparation) -> tuple[str, ...]:
    """Names of the events or the condition to average, as the recording spells them.

    An empty tuple stands for a window of continuous data that has no events.

    Raises
    ------
    ChoiceNeeded
        If there are several and none was chosen.
    MajorantError
        If there is none of that name.
    """
    options = recording.options
    what = "condition" if recording.kind == "evoked" else "event"
    if settings.choice is None:
        return _only_option(recording, settings, options, what)
    if recording.kind == "raw" and not options:
        raise MajorantError(
            f"the recording has no events, so not {settings.choice!r} either; give a window of "
            "continuous data with tmin and tmax instead"
        )
    exact = _spelled(settings.choice, options, recording)
    if exact is not None:
        return exact
    names: list[str] = []
    for part in settings.choice.split(","):
        spelled = _spelled(part.strip(), options, recording)
        if spelled is None:
            raise MajorantError(
                f"there is no {what} {part.strip()!r}{nearest(part.strip(), options)}; the "
                f"recording has {_listed(options, what)}"
            )
        names += spelled
    if recording.kind == "evoked" and len(names) > 1:
        raise MajorantError(
            f"one condition is imaged at a time; found {', '.join(names)}; choose one"
        )
    return tuple(names)


def _only_option(
    recording: Recording, settings: Preparation, options: dict[str, int], what: str
) -> tuple[str, ...]:
    if recording.kind == "evoked" and len(recording.data) == 1:
        return (recording.data[0].comment,)
    if recording.kind == "epochs" and len(options) <= 1:
        return tuple(options)
    if recording.kind == "raw" and not options:
        if settings.tmin is None or settings.tmax is None:
            raise MajorantError(
                "the recording is continuous and has no events; give the window to image with "
                "tmin and tmax (seconds from its start), or image all of it with --raw"
            )
        return ()
    whole = ", or image all of it with --raw" if recording.kind == "raw" else ""
    raise ChoiceNeeded(
        f"the recording has {_listed(options, what)}; choose with --{what}{whole}", what, options
    )


def _listed(options: dict[str, int], what: str) -> str:
    one, many = ("trial", "trials") if what == "condition" else ("time", "times")
    return "; ".join(
        f"{name!r} ({count} {one if count == 1 else many})" for name, count in options.items()
    )


def _spelled(name: str, options: Iterable[str], recording: Recording) -> tuple[str, ...] | None:
    """The recording's spelling of a name: exact, without case or spaces, or its number."""
    folded = {" ".join(option.casefold().split()): option for option in options}
    key = " ".join(name.casefold().split())
    if name in folded.values():
        return (name,)
    if key in folded:
        return (folded[key],)
    if recording.kind == "epochs":
        # MNE's tags: "auditory" stands for "auditory/left" and "auditory/right".
        tagged = [o for o in options if key in [part.casefold() for part in o.split("/")]]
        if tagged:
            return tuple(tagged)
    if recording.kind == "evoked" and name.isdigit() and int(name) < len(recording.data):
        return (recording.data[int(name)].comment,)
    return None


def filtered(inst: Any, settings: Preparation, account: Account, padded: bool = True) -> Any:
    """Band-pass a copy of raw data, epochs or an average in place; said aloud."""
    if settings.filter is None:
        return inst
    low, high = settings.filter
    nyquist = inst.info["sfreq"] / 2
    if (low or 0) >= nyquist or (high or 0) >= nyquist:
        raise MajorantError(
            f"the filter edges {low} and {high} Hz do not lie below half the sampling rate "
            f"({nyquist:g} Hz); lower them"
        )
    with listening(account, "filtering"):
        inst.filter(low, high, picks=["eeg", "eog"] if _has_eog(inst) else "eeg")
    band = f"{low or 0:g} to {high:g} Hz" if high else f"above {low:g} Hz"
    account.note(f"Filtered {band} (zero phase) {'before' if padded else 'after'} cutting.")
    return inst


def _has_eog(inst: Any) -> bool:
    return "eog" in inst.get_channel_types()


def average(
    recording: Recording,
    inst: Any,
    names: tuple[str, ...],
    settings: Preparation,
    account: Account,
) -> Averaged:
    """Average what was chosen.

    Parameters
    ----------
    recording : Recording
        For its events.
    inst : mne.io.BaseRaw, mne.BaseEpochs or mne.Evoked
        The prepared copy of its data, filtered.
    names : tuple of str
        From :func:`chosen`.
    settings : Preparation
    account : Account
    """
    if recording.kind == "evoked":
        account.note(f"Condition {inst.comment!r}, the average of {inst.nave} trials.")
        return Averaged(inst)
    if recording.kind == "epochs":
        return _averaged_epochs(_without_artefacts(inst, settings), names, account)
    if names:
        return _averaged_epochs(_cut(recording, inst, names, settings, account), names, account)
    return _stretch(inst, settings, account)


def _cut(
    recording: Recording, raw: Any, names: tuple[str, ...], settings: Preparation, account: Account
) -> Any:
    import mne

    tmin = EPOCH[0] if settings.tmin is None else settings.tmin
    tmax = EPOCH[1] if settings.tmax is None else settings.tmax
    if not tmin < tmax:
        raise MajorantError(
            f"the window from {tmin:g} to {tmax:g} s is empty; give tmin below tmax"
        )
    start = min(tmin, EPOCH[0]) if settings.baseline == "auto" and tmin >= 0 else tmin
    if isinstance(settings.baseline, tuple) and settings.baseline[0] is not None:
        start = min(start, settings.baseline[0])
    if start < tmin:
        account.note(f"Trials are cut from {written(start)} s on, so that they have a baseline.")
    codes = {name: k + 1 for k, name in enumerate(names)}
    events = np.concatenate(
        [np.c_[recording.events[n], 0 * recording.events[n], 0 * recording.events[n] + code]
         for n, code in codes.items()]
    )  # fmt: skip
    events = events[np.argsort(events[:, 0], kind="stable")]
    with listening(account, "cutting trials"):
        epochs = mne.Epochs(
            raw, events, codes, start, tmax, baseline=None, preload=True,
            event_repeated="drop", reject=_threshold(settings),
        )  # fmt: skip
    _refuse_empty(len(epochs), len(events), settings, f"{start:g} to {tmax:g} s")
    if len(epochs) < len(events):
        account.note(
            f"{len(events) - len(epochs)} of {len(events)} trials were left out (outside the "
            "recording, marked as bad, or above the rejection threshold)."
        )
    return epochs


def _threshold(settings: Preparation) -> dict[str, float] | None:
    return None if settings.reject is None else {"eeg": settings.reject}


def _refuse_empty(left: int, found: int, settings: Preparation, window: str) -> None:
    if left == 0:
        limit = None if settings.reject is None else f"{1e6 * settings.reject:g} µV"
        beyond = f", are marked as bad, or exceed {limit}" if limit else " or are marked as bad"
        raise MajorantError(
            f"none of {found} trials is left over {window}: they lie outside the recording{beyond}"
        )


def _without_artefacts(epochs: Any, settings: Preparation) -> Any:
    before = len(epochs)
    if settings.reject is not None:
        epochs.drop_bad(reject=_threshold(settings), verbose="error")
    _refuse_empty(len(epochs), before, settings, "their window")
    return epochs


def _averaged_epochs(epochs: Any, names: tuple[str, ...], account: Account) -> Averaged:
    # All of several events, without weighting: the average over trials, not over events.
    evoked = epochs.average(picks=["eeg", "eog"] if _has_eog(epochs) else "eeg")
    evoked.comment = ", ".join(names) or "all trials"
    account.note(
        f"Averaged {len(epochs)} trials of {evoked.comment}, "
        f"{written(evoked.times[0])} to {written(evoked.times[-1])} s."
    )
    return Averaged(evoked, epochs)


def _stretch(raw: Any, settings: Preparation, account: Account) -> Averaged:
    import mne

    assert settings.tmin is not None
    assert settings.tmax is not None
    start, stop = raw.time_as_index([settings.tmin, settings.tmax], use_rounding=True)
    length = len(raw.times)
    if settings.tmin < 0 or start >= length:
        raise MajorantError(
            f"the window from {settings.tmin:g} to {settings.tmax:g} s lies outside the recording "
            f"(0 to {raw.times[-1]:.3f} s)"
        )
    data = raw.get_data(start=start, stop=min(stop + 1, length))
    evoked = mne.EvokedArray(
        data - data.mean(axis=1, keepdims=True), raw.info, tmin=start / raw.info["sfreq"],
        comment=f"{settings.tmin:g} to {settings.tmax:g} s", nave=1, verbose="error",
    )  # fmt: skip
    account.note(
        f"No events: the continuous window from {settings.tmin:g} to {settings.tmax:g} s is "
        "imaged as it is, every channel's mean over the window removed."
    )
    bad = bad_samples(raw, int(start), int(min(stop + 1, length)))
    if bad.any():
        account.note(
            f"{bad.sum() / raw.info['sfreq']:.3g} s of that window are marked as bad in the "
            "recording, and are imaged all the same: choose a window without them."
        )
    return Averaged(evoked)
