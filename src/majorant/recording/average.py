"""From a recording to one average: choosing, filtering, cutting and averaging."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account, listening
from majorant.errors import MajorantError, nearest
from majorant.memory import available, fits
from majorant.recording.channels import require_eeg
from majorant.recording.events import find_marks, is_mark, spelled
from majorant.recording.faults import say_twice, without_silence
from majorant.recording.file import ChoiceNeeded, Recording
from majorant.recording.marked import with_events
from majorant.recording.settings import Preparation
from majorant.words import written

__all__ = ["Averaged", "average", "chosen", "conditions", "filtered", "picked", "separate"]

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


def separate(recording: Recording, settings: Preparation) -> tuple[Preparation, ...]:
    """One record for each condition that was asked for: several events are several conditions.

    Parameters
    ----------
    recording : Recording
    settings : Preparation
        Its event or condition may be one name, several in a tuple, or several with commas; a name
        that holds a comma itself is one name where the recording has it.

    Returns
    -------
    tuple of Preparation
        Each with one name, or with none where none was asked for.
    """
    names = _asked(with_events(recording, settings.events_from), settings)
    if len(names) < 2:
        return (settings,)
    if settings.event is None:
        return tuple(replace(settings, condition=name) for name in names)
    return tuple(replace(settings, event=name) for name in names)


def conditions(recording: Recording, settings: Preparation) -> tuple[Preparation, ...]:
    """One record for each condition, all of which are there: what can be told before any work.

    Parameters
    ----------
    recording : Recording
    settings : Preparation
        See :func:`separate`.

    Raises
    ------
    ChoiceNeeded
        If there are several and none was chosen.
    MajorantError
        If the recording has no EEG, or none of a name.
    """
    require_eeg(recording.info.get_channel_types(), Account())
    found = separate(recording, settings)
    own = with_events(recording, settings.events_from)
    for each in found:
        chosen(own, each)
    return found


def _asked(recording: Recording, settings: Preparation) -> tuple[str, ...]:
    choice = settings.choice
    if choice is None:
        return ()
    if isinstance(choice, str):
        whole = spelled(choice, recording.codes, tags=False)
        choice = (choice,) if whole else tuple(part.strip() for part in choice.split(","))
    return tuple(dict.fromkeys(name for name in choice if name))


def chosen(recording: Recording, settings: Preparation) -> tuple[str, ...]:
    """Names of the events or the condition to average, as the recording spells them.

    An empty tuple stands for continuous data of which no event is asked for. Several names are one
    average only where they were asked for as one: by a plus sign, or by a tag that they share.

    Raises
    ------
    ChoiceNeeded
        If there are several and none was chosen.
    MajorantError
        If there is none of that name, or several conditions were asked for.
    """
    if settings.stretch is not None:
        _require_raw(recording)
        return ()
    options = recording.options
    what = "condition" if recording.kind == "evoked" else "event"
    asked = _asked(recording, settings)
    if not asked:
        return _only_option(recording, settings, options, what)
    name, *more = asked
    if more:
        raise MajorantError(
            f"{', '.join(map(repr, asked))} are {len(asked)} conditions, and one is prepared at a "
            "time; prepare each (majorant.recording.average.separate), or join them with a plus "
            "sign for the average over all their trials"
        )
    if recording.kind == "raw" and not options:
        raise MajorantError(
            f"the recording has no events, so not {name!r} either; give a window of "
            "continuous data with tmin and tmax instead"
        )
    names = _spelled(name, recording)
    if names is None:
        parts = [part.strip() for part in name.split("+")]
        found = {part: _spelled(part, recording) for part in parts}
        missing = next((part for part, known in found.items() if known is None), None)
        if missing is not None:
            raise _unknown(missing, recording, what)
        names = tuple(dict.fromkeys(one for part in parts for one in found[part] or ()))
    if recording.kind == "evoked" and len(names) > 1:
        raise MajorantError(
            f"averages cannot be joined, for the trials are not there; choose one of "
            f"{', '.join(map(repr, names))}"
        )
    return names


def _spelled(name: str, recording: Recording) -> tuple[str, ...] | None:
    found = spelled(name, recording.codes, tags=recording.kind != "evoked")
    if found is None and recording.kind == "evoked":
        number = name.strip()
        if number.isdigit() and int(number) < len(recording.data):
            return (recording.data[int(number)].comment,)
    return found


def _unknown(name: str, recording: Recording, what: str) -> MajorantError:
    """The sentence for a name that nothing in the recording has."""
    if recording.kind == "raw" and is_mark(name) and name in recording.data.annotations.description:
        return MajorantError(
            f"{name!r} is no event: annotations that begin with BAD mark stretches to leave out, "
            "and 'boundary', 'edge' and 'New Segment' mark cuts; rename it in the recording "
            "(raw.annotations.rename) to image it"
        )
    options = recording.options
    return MajorantError(
        f"there is no {what} {name!r}{nearest(name, options)}; the recording has "
        f"{_listed(options, what)}"
    )


def picked(recording: Recording, names: tuple[str, ...]) -> Any:
    """The data of what was chosen: one average, the trials of these names, or all of the data.

    MNE's own ``epochs["face"]`` would take those of ``"face/new"`` too.

    Parameters
    ----------
    recording : Recording
    names : tuple of str
        From :func:`chosen`.
    """
    if recording.kind == "evoked":
        return next(evoked for evoked in recording.data if evoked.comment in names)
    if recording.kind == "epochs" and names:
        codes = [recording.data.event_id[name] for name in names]
        return recording.data[np.isin(recording.data.events[:, 2], codes)]
    return recording.data


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
    with listening(account, "filtering"), _in_pieces(inst, account):
        inst.filter(low, high, picks=["eeg", "eog"] if _has_eog(inst) else "eeg")
    band = f"{low or 0:g} to {high:g} Hz" if high else f"above {low:g} Hz"
    account.note(f"Filtered {band} (zero phase) {'before' if padded else 'after'} cutting.")
    return inst


@contextmanager
def _in_pieces(inst: Any, account: Account) -> Iterator[None]:
    """Let a filter see every piece between two cuts for itself, and straight lines for NaN.

    MNE filters pieces apart where annotations say EDGE; samples that are no numbers would spread
    over the whole recording. They come back when the filter is through.
    """
    import mne

    if not isinstance(inst, mne.io.BaseRaw):
        yield
        return
    own, cuts = inst.annotations, find_marks(inst).cuts
    samples: Any = inst._data
    lost = _bridge(inst, account)
    edges = mne.Annotations(
        cuts / inst.info["sfreq"] + inst.first_time, 0.0, "EDGE", orig_time=own.orig_time
    )
    skipped = [k for k, name in enumerate(own.description) if name.upper() == "BAD_ACQ_SKIP"]
    gaps: Any = own[skipped]
    inst.set_annotations(gaps + edges, verbose="error")
    try:
        yield
    finally:
        inst.set_annotations(own, verbose="error")
        samples[lost] = np.nan
    if len(cuts):
        account.note(f"Filtered in {len(cuts) + 1} pieces, for the recording was cut between them.")


def _bridge(raw: Any, account: Account) -> NDArray[np.bool_]:
    """Draw straight lines through samples that are no numbers; return where they were."""
    lost = ~np.isfinite(raw._data)
    if not lost.any():
        return lost
    samples = np.arange(len(raw.times))
    for row, gone in zip(raw._data, lost, strict=True):
        if gone.any() and not gone.all():
            row[gone] = np.interp(samples[gone], samples[~gone], row[~gone])
    seconds = float(lost.any(axis=0).sum() / raw.info["sfreq"])
    account.note(
        f"{written(seconds)} s marked as bad hold no numbers (NaN); the filter saw straight lines "
        "there, and no trial touches them."
    )
    return lost


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
    if settings.stretch is not None:
        return _stretches(inst, settings, account)
    if recording.kind == "evoked":
        if inst.nave < 1:
            account.note(
                f"The file says that {inst.comment!r} is the average of {inst.nave} trials, which "
                "cannot be; it is taken as one of 1."
            )
            inst.nave = 1
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
    sound, why = _sound(raw, events[:, 0], start, tmax)
    for code in codes.values():
        say_twice(events[sound & (events[:, 2] == code), 0] / raw.info["sfreq"], account)
    with listening(account, "cutting trials"):
        epochs: Any = mne.Epochs(
            raw, events[sound], codes, start, tmax, baseline=None, preload=True,
            event_repeated="drop", reject=_threshold(settings), reject_by_annotation=False,
            on_missing="ignore",
        ) if sound.any() else ()  # fmt: skip
    if sound.any():
        why = (*why, *_left_out(epochs.drop_log, settings))
    if len(epochs) == 0:
        raise MajorantError(
            f"none of {len(events)} trials is left over {start:g} to {tmax:g} s: {'; '.join(why)}; "
            "choose another window or event"
        )
    if why:
        account.note(
            f"{len(events) - len(epochs)} of {len(events)} trials were left out: {'; '.join(why)}."
        )
    return epochs


def _sound(
    raw: Any, samples: NDArray[np.int64], tmin: float, tmax: float
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Which trials touch neither a bad stretch nor a cut, and how many do."""
    sfreq, marks = raw.info["sfreq"], find_marks(raw)
    first = round(tmin * sfreq)
    starts, length = samples - raw.first_samp + first, round(tmax * sfreq) - first + 1
    bad = marks.touched(starts, length)
    cut = marks.cut(starts, length) & ~bad
    said = (
        (bad, "in stretches marked as bad"),
        (cut, "across a cut, where the recording was joined (boundary)"),
    )
    why = tuple(f"{int(which.sum())} {where}" for which, where in said if which.any())
    return ~(bad | cut), why


def _left_out(drop_log: Sequence[Sequence[str]], settings: Preparation) -> Iterator[str]:
    """Why MNE dropped trials, and how many."""
    words = {
        "TOO_SHORT": "outside the recording",
        "NO_DATA": "outside the recording",
        "DROP DUPLICATE": "at the sample of another",
    }
    beyond = "beyond " + f"{1e6 * (settings.reject or 0):g} µV"
    reasons = [words.get(log[0], beyond) for log in drop_log if log and log[0] != "IGNORED"]
    for reason in dict.fromkeys(reasons):
        yield f"{reasons.count(reason)} {reason}"


def _threshold(settings: Preparation) -> dict[str, float] | None:
    return None if settings.reject is None else {"eeg": settings.reject}


def _without_artefacts(epochs: Any, settings: Preparation) -> Any:
    before = len(epochs)
    if settings.reject is not None:
        epochs.drop_bad(reject=_threshold(settings), verbose="error")
    if len(epochs) == 0:
        beyond = "" if settings.reject is None else f": they exceed {1e6 * settings.reject:g} µV"
        raise MajorantError(f"none of {before} trials is left{beyond}; choose another event")
    return epochs


def _averaged_epochs(epochs: Any, names: tuple[str, ...], account: Account) -> Averaged:
    # All of several events, without weighting: the average over trials, not over events.
    epochs = without_silence(epochs, account)
    evoked = epochs.average(picks=["eeg", "eog"] if _has_eog(epochs) else "eeg")
    evoked.comment = ", ".join(names) or "all trials"
    account.note(
        f"Averaged {len(epochs)} trials of {evoked.comment}, "
        f"{written(evoked.times[0])} to {written(evoked.times[-1])} s."
    )
    return Averaged(evoked, epochs)


def _require_raw(recording: Recording) -> None:
    if recording.kind != "raw":
        raise MajorantError(
            f"{recording.path.name} holds {recording.kind}, and only a continuous recording can be "
            "cut into stretches; give one, or name an event or condition"
        )


def _stretches(raw: Any, settings: Preparation, account: Account) -> Averaged:
    """Cut continuous data into stretches of one length; bad ones and those across cuts go."""
    import mne

    assert settings.stretch is not None
    sfreq, seconds = float(raw.info["sfreq"]), settings.stretch
    length = max(2, round(seconds * sfreq))
    begin = 0.0 if settings.tmin is None else settings.tmin
    end = len(raw.times) / sfreq if settings.tmax is None else settings.tmax
    first, last = max(0, round(begin * sfreq)), min(len(raw.times), round(end * sfreq))
    overlap = settings.overlap or 0.0
    step = max(1, round(length * (1 - overlap)))
    starts = np.arange(first, last - length + 1, step)
    if not len(starts):
        raise MajorantError(
            f"no stretch of {seconds:g} s lies within {begin:g} to {end:g} s of a recording of "
            f"{raw.times[-1]:.1f} s; give a longer window or shorter stretches"
        )
    needed = 8 * len(starts) * length * len(raw.ch_names)
    if not fits(needed):
        raise MajorantError(
            f"{len(starts)} stretches take {needed / 1e9:.1f} GB, and the machine has "
            f"{available() / 1e9:.1f} GB left; give a window with tmin and tmax"
        )
    events = np.c_[starts + raw.first_samp, 0 * starts, 0 * starts + 1]
    sound, why = _sound(raw, events[:, 0], 0.0, (length - 1) / sfreq)
    with listening(account, "cutting stretches"):
        epochs: Any = mne.Epochs(
            raw, events[sound], {"rest": 1}, 0.0, (length - 1) / sfreq, baseline=None,
            preload=True, reject=_threshold(settings), reject_by_annotation=False,
        ) if sound.any() else ()  # fmt: skip
    if sound.any():
        why = (*why, *_left_out(epochs.drop_log, settings))
    if len(epochs) == 0:
        raise MajorantError(
            f"none of {len(events)} stretches of {seconds:g} s is left: {'; '.join(why)}; give "
            "another window, or shorter stretches"
        )
    epochs = without_silence(epochs, account)
    gone = f"; {len(events) - len(epochs)} were left out: {'; '.join(why)}" if why else ""
    lapped = f", each overlapping the next by {100 * overlap:.0f} %" if overlap else ""
    account.note(
        f"Cut into {len(epochs)} stretches of {written(length / sfreq, '.4g')} s"
        f"{lapped}, from {written(first / sfreq, '.4g')} to "
        f"{written(last / sfreq, '.4g')} s, whatever events there are{gone}."
    )
    evoked = epochs.average(picks=["eeg", "eog"] if _has_eog(epochs) else "eeg")
    # Spectra are of single stretches; their average is there for its channels alone.
    evoked.comment, evoked.nave = "rest", 1
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
    if not np.isfinite(data).all():
        raise MajorantError(
            f"the window from {settings.tmin:g} to {settings.tmax:g} s holds samples that are no "
            "numbers (NaN), in a stretch marked as bad; choose a window without them"
        )
    evoked = mne.EvokedArray(
        data - data.mean(axis=1, keepdims=True), raw.info, tmin=start / raw.info["sfreq"],
        comment=f"{settings.tmin:g} to {settings.tmax:g} s", nave=1, verbose="error",
    )  # fmt: skip
    account.note(
        f"No events: the continuous window from {settings.tmin:g} to {settings.tmax:g} s is "
        "imaged as it is, every channel's mean over the window removed."
    )
    marks = find_marks(raw)
    bad = marks.bad[start : stop + 1]
    if marks.cut(np.array([start]), min(stop + 1, length) - start).any():
        account.note(
            "The recording was cut within that window (boundary): what is shown there may be the "
            "step between two pieces."
        )
    if bad.any():
        account.note(
            f"{written(bad.sum() / raw.info['sfreq'])} s of that window are marked as bad in the "
            "recording, and are imaged all the same: choose a window without them."
        )
    return Averaged(evoked)
