"""Continuous data from file to page: streamed, stored, and shown at its strongest instants.

The estimate of hours does not fit on a page. The page divides the recording into some hundreds of
stretches and shows of each the one instant at which the estimate is strongest, with its own map and
its own time; the whole estimate lies beside it in a zarr store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.account import Account
from majorant.head.places import locate
from majorant.imager.estimate import as_estimate, combined
from majorant.imager.imager import SourceImager
from majorant.imager.inverse import Job
from majorant.imager.store import EstimateStore
from majorant.imager.streams import Conditioning, Reader, span_of_seconds, stream_columns
from majorant.imager.tally import Tally
from majorant.imaging.explained import predict
from majorant.imaging.image import Estimated, find_all, fitted_imager, regularisation
from majorant.imaging.instants import Instants
from majorant.imaging.progress import Steps, key_of
from majorant.imaging.result import ImageResult, ImageSettings
from majorant.imaging.whole import whole_courses
from majorant.problem import MajorantError, Solution
from majorant.recording.channels import check_samples, require_eeg
from majorant.recording.electrodes import settle
from majorant.recording.faults import say_saturated
from majorant.recording.file import Recording
from majorant.recording.noise import (
    baseline_covariance,
    default_covariance,
    read_covariance,
    within,
)
from majorant.recording.prepare import (
    Prepared,
    added_references,
    montage_names,
    reference,
)
from majorant.recording.rank import Space
from majorant.recording.reference import add_reference_electrodes, reference_electrodes
from majorant.recording.settings import Preparation
from majorant.words import written

__all__ = ["image_continuous"]

LOOKED_AT, AT_A_TIME = 20, 2000
"""Stretches, and samples of each, by which a recording is judged before anything is computed."""

Moving = Callable[[int, int], None] | None


@dataclass(frozen=True, eq=False)
class Continuous:
    """A recording ready to be streamed.

    Attributes
    ----------
    reader : Reader
    prepared : Prepared
        Its average is a single sample of zeros, for the channels alone.
    """

    reader: Reader
    prepared: Prepared


def image_continuous(
    recording: Recording,
    preparation: Preparation,
    settings: ImageSettings,
    store: Path,
    say: Callable[[str], None] | None = None,
    progress: Moving = None,
    *,
    resume: bool = False,
) -> ImageResult:
    """Stream the estimate of a continuous recording into a store, and gather its page.

    Parameters
    ----------
    recording : Recording
        Continuous.
    preparation : Preparation
        Events, conditions and rejection belong to averages.
    settings : ImageSettings
    store : Path
        Where the zarr store is written; it must not exist, unless an earlier run is resumed.
    say : callable, optional
        Called with every decision as it is made.
    progress : callable, optional
        Called with (samples done, samples).
    resume : bool
        Whether steps are kept beside the store, and a run that was killed is gone on with.

    Raises
    ------
    MajorantError
        If the recording or a setting cannot be used; one sentence says why, and what would do.
    """
    account = Account(say) if say else Account()
    account.decisions.extend(recording.notes)
    ready = _prepare(recording, preparation, account)
    imager = fitted_imager(ready.prepared, settings, account)
    reader = Reader(
        ready.reader.raw,
        list(imager.info_["ch_names"]),
        ready.reader.first,
        ready.reader.last,
        ready.reader.conditioning,
    )
    key = None
    if resume and any(recording.data.filenames):
        key = key_of(recording, preparation, imager, reader)
    shown = _streamed(imager, reader, store, key, account, progress)
    if imager.snr_ is not None:
        account.note(regularisation(settings.snr, imager.snr_))
    _say_windows(imager, account)
    return _result(ready, settings, imager, shown, reader, store, account)


def _streamed(
    imager: SourceImager,
    reader: Reader,
    store: Path,
    key: str | None,
    account: Account,
    progress: Moving,
) -> Instants:
    """Stream the estimate into its store; with a key, steps are kept, and gone on with."""
    shown, tally, done, steps = Instants(len(reader), imager), Tally(), 0, None
    if key is not None:
        steps = Steps(store, key)
        done = steps.restore(shown, tally)
        _say_resumed(done, len(reader), account)
    kept = EstimateStore(
        store, imager.call, len(reader), reader.first / reader.sfreq, reader.sfreq, done
    )
    kept.mark(reader.bad)
    for start, columns in _columns(imager, reader, tally, done):
        values = combined(columns.numpy(), imager.model, None)
        kept.add(values)
        shown.add(start, values, columns, reader.bad)
        if steps is not None and steps.due:
            steps.keep(kept.flush(), shown, tally)
        if progress is not None:
            progress(start + values.shape[1], len(reader))
    kept.close(imager.unit_)
    return shown


def _prepare(recording: Recording, settings: Preparation, account: Account) -> Continuous:
    """Type, place and check the electrodes; nothing but samples here and there is read."""
    _refuse(recording, settings)
    require_eeg(recording.info.get_channel_types(), account)
    raw = recording.data.copy()
    empty, renamed, zeros = _settled(raw, settings, account)
    first, last = span_of_seconds(raw, settings.tmin, settings.tmax)
    conditioning = Conditioning(settings.scale or 1.0, _fir(raw, settings, account), zeros)
    reader = Reader(raw, empty.ch_names, first, last, conditioning)
    _say_bad(reader, account)
    named = (*zeros, *reference_electrodes(settings.reference))
    check_samples(_glimpses(reader), empty.ch_names, reference=named)
    plain = Reader(raw, empty.ch_names, first, last, Conditioning(zeros=zeros))
    say_saturated(_glimpses(plain), empty.ch_names, account)
    space = _referenced(empty, reader, account, settings.rank)
    reader = Reader(raw, empty.ch_names, first, last, conditioning)
    kind, cov = _noise(reader, empty.info, space, settings, renamed, account)
    span = f"{first / reader.sfreq:g} to {(last - 1) / reader.sfreq:g} s"
    account.note(f"Continuous: {span}, read and imaged piece by piece.")
    prepared = Prepared(
        evoked=empty,
        noise_cov=cov,
        noise_kind=kind,
        decisions=tuple(account.decisions),
        title=f"{recording.path.name}: {span}",
        renamed=renamed,
        recording=recording,
        settings=settings,
    )
    return Continuous(reader, prepared)


def _settled(
    raw: Any, settings: Preparation, account: Account
) -> tuple[Any, dict[str, str], tuple[str, ...]]:
    """Settle the electrodes without their data; those of `raw` are renamed alike.

    Returns
    -------
    empty : mne.Evoked
        One sample of zeros at every electrode, the added references among them.
    renamed : dict
    zeros : tuple of str
        Reference electrodes that the file does not hold.
    """
    import mne

    bare = mne.EvokedArray(np.zeros((len(raw.ch_names), 1)), raw.info.copy(), verbose="error")
    bare, added = add_reference_electrodes(
        bare, settings.reference, partial(montage_names, settings), account
    )
    renamed = settle(bare, settings, account)
    zeros = added_references(bare.ch_names, added, renamed, account)
    raw.rename_channels({a: b for a, b in renamed.items() if a in raw.ch_names}, verbose="error")
    bare.pick("eeg", exclude=[])
    return bare, renamed, zeros


def _refuse(recording: Recording, settings: Preparation) -> None:
    if recording.kind != "raw":
        raise MajorantError(
            f"{recording.path.name} holds {recording.kind}, not continuous data; leave --raw out"
        )
    if settings.choice is not None or settings.reject is not None:
        raise MajorantError(
            "events, conditions and rejection belong to averages, and continuous data are imaged "
            "as they are; leave them out, or leave --raw out"
        )
    if settings.interpolate:
        raise MajorantError(
            "continuous data are read piece by piece, so bad electrodes are left out and not "
            "interpolated; leave --interpolate out"
        )


def _fir(raw: Any, settings: Preparation, account: Account) -> NDArray[np.float64] | None:
    """The filter that MNE would design, to be applied as the data are read."""
    import mne

    if settings.filter is None:
        account.note("Not filtered: slow drifts count as signal; a filter (1 to 40 Hz) helps.")
        return None
    low, high = settings.filter
    sfreq = float(raw.info["sfreq"])
    if (low or 0) >= sfreq / 2 or (high or 0) >= sfreq / 2:
        raise MajorantError(
            f"the filter edges {low} and {high} Hz do not lie below half the sampling rate "
            f"({sfreq / 2:g} Hz); lower them"
        )
    fir: Any = mne.filter.create_filter(None, sfreq, low, high, verbose="error")
    if len(fir) >= len(raw.times):
        raise MajorantError(
            f"the filter is {len(fir) / sfreq:.1f} s long and the recording shorter; raise its "
            "lower edge"
        )
    band = f"{low or 0:g} to {high:g} Hz" if high else f"above {low:g} Hz"
    account.note(f"Filtered {band} (zero phase) while reading.")
    return np.asarray(fir, float)


def _say_bad(reader: Reader, account: Account) -> None:
    """Say what the annotations of bad stretches do, where there are any."""
    if reader.bad.all():
        raise MajorantError(
            "all of the recording is marked as bad by its annotations; there is nothing to image"
        )
    if reader.bad.any():
        bad, all_of_it = reader.bad.sum() / reader.sfreq, len(reader) / reader.sfreq
        account.note(
            f"Marked as bad in the recording: {written(bad)} of {written(all_of_it, '.4g')} s. "
            "They are imaged, so that time goes on, and the store says where they are; noise and "
            "covariances are taken without them, and the page shows no instant of theirs."
        )


def _glimpses(reader: Reader) -> NDArray[np.float64]:
    """Good samples from all over the recording, shape (n_channels, n)."""
    starts = np.unique(np.linspace(0, max(0, len(reader) - AT_A_TIME), LOOKED_AT).astype(int))
    ends = [min(int(a) + AT_A_TIME, len(reader)) for a in starts]
    parts = [reader.read(int(a), b)[:, ~reader.bad[a:b]] for a, b in zip(starts, ends, strict=True)]
    return np.concatenate(parts, axis=1)


def _referenced(empty: Any, reader: Reader, account: Account, rank: Any) -> Space:
    """Bring the channels to the average reference; sums of others are dropped of them."""
    import mne

    data = _glimpses(reader)
    seen = mne.EvokedArray(
        data - data.mean(axis=1, keepdims=True), empty.info.copy(), verbose="error"
    )
    space = reference(seen, lambda _: None, account, rank)
    dropped = [name for name in empty.ch_names if name not in seen.ch_names]
    if dropped:
        empty.drop_channels(dropped)
    with empty.info._unlock():
        empty.info["custom_ref_applied"] = 0
        empty.info["projs"] = seen.info["projs"]
    return space


def _noise(
    reader: Reader,
    info: Any,
    space: Space,
    settings: Preparation,
    renamed: dict[str, str],
    account: Account,
) -> tuple[str, Any]:
    """From a file, from a stretch that the user calls baseline, or assumed."""
    if settings.noise_cov is not None:
        given = read_covariance(Path(settings.noise_cov).expanduser(), renamed, account)
        return "file", within(given, info, space)
    if isinstance(settings.baseline, tuple):
        first, last = span_of_seconds(reader.raw, *settings.baseline)
        quiet = Reader(reader.raw, list(info["ch_names"]), first, last, reader.conditioning)
        if quiet.bad.all():
            raise MajorantError(
                "all of the baseline is marked as bad by the annotations; choose another stretch"
            )
        data = quiet.read(0, len(quiet))[None][..., ~quiet.bad]
        window = (first / reader.sfreq, last / reader.sfreq)
        return "baseline", baseline_covariance(
            data, info, nave=1, window=window, note=account, space=space
        )
    assumed = default_covariance(info, account, "continuous data have no baseline")
    return "ad hoc", within(assumed, info, space)


def _say_resumed(done: int, n_times: int, account: Account) -> None:
    if done:
        account.note(
            f"Gone on with a run that was stopped: {100 * done / n_times:.0f} % of the samples had "
            "been imaged."
        )


def _columns(
    imager: SourceImager, reader: Reader, tally: Tally, begin: int
) -> Iterator[tuple[int, Tensor]]:
    """Consecutive stretches from a sample on: first sample, and estimate (n_columns, n)."""
    inverse = imager.inverse
    moment = reader.moment(inverse) if inverse.needs_moment else None
    job = Job(1, reader.sfreq, inverse.chosen_snr(moment, 1))
    imager.record(tally, job.snr)
    if begin == len(reader):
        return
    kernel = inverse.kernel(job, moment) if inverse.spec.abilities.kernel else None
    if kernel is None:
        for piece in stream_columns(inverse, job, reader, tally, begin=begin):
            yield piece.start, piece.columns
        return
    matrix = kernel.matrix[0] if kernel.matrix.ndim == 3 else kernel.matrix
    for start, y in reader.white(inverse, reader.piece(imager.leadfield_.n_columns), begin):
        problem = inverse.problem(y[None], 1)
        tally.add(kernel.certificate(problem), kernel.statuses(problem), kernel.unit)
        yield start, matrix @ y


def _say_windows(imager: SourceImager, account: Account) -> None:
    tally = imager._tally
    title = imager.spec_.title
    if imager.spec_.abilities.window is None:
        account.note(f"{title}: every sample for itself, {tally.windows} pieces.")
        return
    account.note(
        f"{title}: {tally.windows:,} windows that overlap by half and are cross-faded; the one "
        f"that ended worst: {tally.status.value}."
    )


def _result(
    ready: Continuous,
    settings: ImageSettings,
    imager: SourceImager,
    shown: Instants,
    reader: Reader,
    store: Path,
    account: Account,
) -> ImageResult:
    """Dress the instants as an average, so that the page can show them as it shows any other."""
    import mne

    data, values = shown.read(reader), shown.values
    sfreq = reader.sfreq
    times = (reader.first + shown.sample) / sfreq
    info = mne.pick_info(
        ready.prepared.evoked.info,
        [ready.prepared.evoked.ch_names.index(name) for name in imager.info_["ch_names"]],
    )
    with info._unlock():
        info["sfreq"] = sfreq / shown.length
    evoked = mne.EvokedArray(
        data, info, tmin=reader.first / sfreq, nave=1, comment="continuous", verbose="error"
    )
    prepared = replace(ready.prepared, evoked=evoked)
    problem = imager.problem(evoked)
    certificate = imager.certificate_
    solution = Solution(
        torch.as_tensor(shown.columns)[None], (imager.status_,), certificate, unit=imager.unit_
    )
    imager.record(imager._tally, imager.snr_, lambda: solution)
    seconds = shown.length / sfreq
    account.note(
        f"The page shows {len(times)} instants: of every {written(seconds)} s the one at which the "
        "estimate is strongest. The whole estimate is in estimate.zarr."
    )
    predicted = predict(imager, solution, data, account)
    places = locate(imager.leadfield_)
    found = Estimated(problem, places, values, data, predicted, times=times)
    page = find_all(prepared, settings, imager, found)
    whole = whole_courses(imager, settings, store, reader, account)
    if whole is not None:
        shown_ones = replace(whole, data=whole.data[:, shown.sample], times=times)
        page = replace(page, courses=shown_ones)
    return ImageResult(
        stc=as_estimate(values, imager.model, float(times[0]), sfreq / shown.length),
        imager=imager,
        prepared=prepared,
        content=replace(page, decisions=tuple(account.decisions)),
        settings=settings,
        places=places,
        store=store,
        whole=whole,
    )
