"""What a fitted imager does with averages, trials, covariances, spectra and streams.

A solver that has one kernel for all data gives MNE's lazy estimates, which hold the kernel and the
whitened data and multiply them when their values are first asked for. Continuous data are read and
solved piece by piece; `majorant.imager.streams` holds how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from majorant.imager.estimate import as_estimate, combined, picked_rows
from majorant.imager.inverse import Call, Inverse, Job, root
from majorant.imager.streams import Reader, span_of, stream_columns
from majorant.imager.tally import Tally
from majorant.memory import available, fits
from majorant.problem import MajorantError, Solution
from majorant.recording.channels import check_units
from majorant.recording.reference import (
    check_compensation,
    check_good,
    check_same_projectors,
    check_same_reference,
)
from majorant.registry import able
from majorant.solvers.base import Kernel

__all__ = ["apply", "solve", "stream"]

AT_ONCE = 128_000_000
"""Bytes of estimates that are solved in one batch."""

LOOKED_AT, GLIMPSE, FIFFV_EEG_CH = 5, 2000, 2
"""Trials and samples whose amplitudes are looked at; and MNE's number for EEG."""

Progress = Callable[[int, int], None] | None


def apply(
    call: Call,
    inst: Any,
    progress: Progress,
    *,
    return_generator: bool,
    start: int | None,
    stop: int | None,
) -> Any:
    """Image an instance of MNE; see :meth:`majorant.imager.imager.SourceImager.apply`."""
    import mne

    if isinstance(inst, mne.Covariance):
        return _covariance(call, inst)
    if isinstance(inst, mne.time_frequency.CrossSpectralDensity):
        return _spectra(call, inst)
    if isinstance(inst, mne.io.BaseRaw | mne.BaseEpochs | mne.Evoked):
        check_data(call, inst)
    if isinstance(inst, mne.io.BaseRaw):
        return _whole(call, inst, start, stop, progress)
    if start is not None or stop is not None:
        raise MajorantError(
            "start and stop cut continuous data; crop an average or trials before imaging them"
        )
    if isinstance(inst, mne.BaseEpochs):
        trials = _trials(call, inst, progress)
        return trials if return_generator else list(trials)
    if isinstance(inst, mne.Evoked):
        return _average(call, inst, progress)
    raise MajorantError(
        f"a {type(inst).__name__} cannot be imaged; give an mne.Evoked, Epochs, Raw, Covariance or "
        "CrossSpectralDensity"
    )


def check_data(call: Call, inst: Any) -> None:
    """Refuse data that are not what the imager was fitted to, or in another unit.

    Of trials the first few are looked at, of continuous data some seconds.

    Raises
    ------
    MajorantError
        If reference, projectors, bad channels or compensation differ from those of the fit, or
        amplitudes are not in V.
    """
    import mne

    names = list(call.inverse.ch_names)
    call.inverse.rows(list(inst.ch_names))
    check_same_reference(inst.info, names)
    check_good(inst.info, names)
    check_same_projectors(inst.info, names, call.inverse.whitener)
    check_compensation(inst.info, call.info, "the channels that the imager was fitted to")
    rows = [
        inst.ch_names.index(channel["ch_name"])
        for channel in call.info["chs"]
        if channel["kind"] == FIFFV_EEG_CH and channel["ch_name"] in inst.ch_names
    ]
    if not rows:
        return
    if isinstance(inst, mne.Evoked):
        seen = inst.data[rows]
    elif isinstance(inst, mne.BaseEpochs):
        if inst.preload and len(inst):
            picks: Any = rows
            seen = np.concatenate(list(inst.get_data(picks=picks, item=slice(LOOKED_AT))), axis=1)
        else:
            return
    else:
        middle = len(inst.times) // 2
        seen = inst[rows, middle : middle + GLIMPSE][0]
    check_units(seen, [inst.ch_names[k] for k in rows])


def solve(call: Call, evoked: Any, progress: Progress = None) -> Solution:
    """Solve for an average; see :meth:`majorant.imager.imager.SourceImager.solve`."""
    check_data(call, evoked)
    return _solved(call, evoked, progress)


def _solved(call: Call, evoked: Any, progress: Progress) -> Solution:
    """The solution of an average that was checked."""
    problem, inverse = call.inverse.posed(evoked), call.inverse
    nave, y = max(int(evoked.nave), 1), problem.y
    snr = inverse.chosen_snr(y[0] @ y[0].mT / y.shape[2], nave)
    job = Job(nave, float(evoked.info["sfreq"]), snr)
    if inverse.data_moment is not None:
        kernel = inverse.kernel(job)
        assert kernel is not None
        solution = kernel.apply(problem)
    else:
        solution = inverse.solve(y, job, progress)
    tally = Tally()
    tally.add_solution(solution)
    call.keep(tally, snr, lambda: solution)
    return solution


def _average(call: Call, evoked: Any, progress: Progress) -> Any:
    inverse, nave = call.inverse, max(int(evoked.nave), 1)
    sfreq, tmin = float(evoked.info["sfreq"]), float(evoked.times[0])
    if not inverse.spec.abilities.kernel:
        solution = _solved(call, evoked, progress)
        values = combined(solution.estimate[0].numpy(), call.model, call.pick_ori)
        return as_estimate(values, call.model, tmin, sfreq)
    problem = call.inverse.posed(evoked)
    y = problem.y
    moment = y[0] @ y[0].mT / y.shape[2]
    job = Job(nave, sfreq, inverse.chosen_snr(moment, nave))
    kernel = inverse.kernel(job, moment)
    assert kernel is not None
    tally = Tally()
    tally.add(kernel.certificate(problem), kernel.statuses(problem), kernel.unit)
    call.keep(tally, job.snr, lambda: kernel.apply(problem))
    return _linear(call, kernel, y[0], tmin, sfreq)


def _linear(call: Call, kernel: Kernel, y: Tensor, tmin: float, sfreq: float) -> Any:
    """The estimate of a kernel: lazy where there is one row for every value."""
    matrix = kernel.matrix[0] if kernel.matrix.ndim == 3 else kernel.matrix
    rows = picked_rows(matrix, call.model, call.pick_ori)
    if rows is not None:
        return as_estimate((rows.contiguous().numpy(), y.numpy()), call.model, tmin, sfreq)
    values = combined((matrix @ y).numpy(), call.model, call.pick_ori)
    return as_estimate(values, call.model, tmin, sfreq)


def _trials(call: Call, epochs: Any, progress: Progress) -> Iterator[Any]:
    """Check what can be checked, then hand out trial after trial."""
    inverse = call.inverse
    rows = np.array(inverse.rows(list(epochs.ch_names)))
    return _each_trial(call, inverse, epochs, rows, progress)


def _each_trial(
    call: Call, inverse: Inverse, epochs: Any, rows: Any, progress: Progress
) -> Iterator[Any]:
    sfreq, tmin, n_times = float(epochs.info["sfreq"]), float(epochs.times[0]), len(epochs.times)
    moment = _moment_of_trials(inverse, epochs, rows) if inverse.needs_moment else None
    job = Job(1, sfreq, inverse.chosen_snr(moment, 1))
    kernel = inverse.kernel(job, moment) if _has_kernel(inverse) else None
    tally, total, done = Tally(), len(epochs.events), 0
    call.keep(tally, job.snr, None)
    most = max(1, min(32, AT_ONCE // (8 * call.model.leadfield.n_columns * n_times)))
    # MNE's trials begin anew with every iter(), which islice calls.
    waiting = (trial for trial in epochs)
    while group := list(islice(waiting, 1 if kernel is not None else most)):
        y = inverse.white(np.stack([trial[rows] for trial in group]), 1)
        if kernel is not None:
            problem = inverse.problem(y, 1)
            tally.add(kernel.certificate(problem), kernel.statuses(problem), kernel.unit)
            yield _linear(call, kernel, y[0], tmin, sfreq)
        else:
            solution = inverse.solve(y, job)
            tally.add_solution(solution)
            for estimate in solution.estimate:
                values = combined(estimate.numpy(), call.model, call.pick_ori)
                yield as_estimate(values, call.model, tmin, sfreq)
        done += len(group)
        if progress is not None:
            progress(done, total)


def _has_kernel(inverse: Inverse) -> bool:
    return inverse.spec.abilities.kernel


def _moment_of_trials(inverse: Inverse, epochs: Any, rows: Any) -> Tensor:
    """Second moment of all trials, whitened; they are read once more for it."""
    rank = len(inverse.whitener)
    total, count = torch.zeros(rank, rank, dtype=torch.float64), 0
    for trial in epochs:
        y = inverse.white(trial[rows], 1)
        total += y @ y.mT
        count += y.shape[1]
    return total / max(count, 1)


def _covariance(call: Call, cov: Any) -> Any:
    """Power of every location that a covariance of the data stands for."""
    _check_power(call, "a covariance")
    rows = call.inverse.rows(list(cov["names"]))
    data = np.asarray(cov.data, float)
    data = np.diag(data) if data.ndim == 1 else data
    power = _power(call, data[np.ix_(rows, rows)], Tally())
    return as_estimate(power.numpy(), call.model, 0.0, 1.0)


def _spectra(call: Call, csd: Any) -> Any:
    """Power of every location at every frequency of a cross-spectral density; axis: frequency, Hz.

    A solver is real, so the power of a linear one is the diagonal of ``K C K'`` with the real part
    of the density alone: the imaginary part is antisymmetric, and drops out. Solvers that are no
    matrix see the symmetric root of the real part as samples, one of its infinitely many roots that
    has no choice of phase or order in it, and the squares of what they find are summed.
    """
    _check_power(call, "a cross-spectral density")
    rows, tally = call.inverse.rows(list(csd.ch_names)), Tally()
    bins = [np.atleast_1d(np.asarray(own, float)) for own in csd.frequencies]
    middles = np.array([own.mean() for own in bins])
    power = [
        _power(call, csd.get_data(index=k)[np.ix_(rows, rows)].real, tally)
        for k in range(len(middles))
    ]
    step = float(middles[1] - middles[0]) if len(middles) > 1 else 1.0
    values = torch.cat(power, dim=1).numpy()
    return as_estimate(values, call.model, float(middles[0]), 1 / step)


def _check_power(call: Call, what: str) -> None:
    call.inverse.refuse_covariance()
    if call.pick_ori in ("vector", "max-power"):
        raise MajorantError(
            f"{what} gives power, so pick_ori={call.pick_ori!r} cannot be had of it; use None or "
            "'normal'"
        )


def _power(call: Call, moment: NDArray[np.float64], tally: Tally) -> Tensor:
    """Power of every location, shape (n_locations, 1), for a second moment of the channels."""
    inverse = call.inverse
    white = torch.as_tensor(inverse.whitener @ moment @ inverse.whitener.T)
    job = Job(1, 1.0, inverse.chosen_snr(white, 1))
    if inverse.data_moment is not None:
        kernel = inverse.kernel(job)
        assert kernel is not None
        solution = kernel.apply(inverse.problem(root(white), 1))
    else:
        solution = inverse.solve(root(white), job)
    tally.add_solution(solution)
    call.keep(tally, job.snr, lambda: solution)
    power = solution.estimate[0].square().mean(1, keepdim=True)
    grouped = power.unflatten(0, (-1, call.model.leadfield.n_orient))
    return grouped[:, 2] if call.pick_ori == "normal" else grouped.sum(1)


def _whole(call: Call, raw: Any, start: int | None, stop: int | None, progress: Progress) -> Any:
    """One estimate for a window of continuous data, where it fits."""
    inverse = call.inverse
    first, last = span_of(raw, start, stop)
    scalar = call.model.leadfield.n_orient == 1 or call.pick_ori == "normal"
    lazy = _has_kernel(inverse) and scalar
    width = len(inverse.whitener) if lazy else call.model.leadfield.n_locations
    width *= 3 if call.pick_ori == "vector" else 1
    needed = 8 * width * (last - first)
    if not fits(needed):
        raise MajorantError(
            f"an estimate of {width} values at {last - first} times takes {needed / 1e9:.1f} GB, "
            f"and the machine has {available() / 1e9:.1f} GB left; take stream(raw) or write(raw, "
            "path), or a window with start and stop"
        )
    pieces = list(stream(call, raw, start, stop, None, None, progress))
    if len(pieces) == 1:
        return pieces[0]
    tmin, sfreq = float(pieces[0].tmin), float(raw.info["sfreq"])
    if lazy:
        kernel = pieces[0]._kernel
        data = np.concatenate([piece._sens_data for piece in pieces], axis=1)
        return type(pieces[0])(
            (kernel, data), pieces[0].vertices, tmin, 1 / sfreq, pieces[0].subject
        )
    data = np.concatenate([piece.data for piece in pieces], axis=-1)
    return type(pieces[0])(data, pieces[0].vertices, tmin, 1 / sfreq, pieces[0].subject)


def stream(
    call: Call,
    raw: Any,
    start: int | None,
    stop: int | None,
    window: float | None,
    chunk: int | None,
    progress: Progress,
) -> Iterator[Any]:
    """Check what can be checked, then hand out piece after piece; see `SourceImager.stream`."""
    inverse = call.inverse
    first, last = span_of(raw, start, stop)
    reader = Reader(raw, list(inverse.ch_names), first, last)
    check_data(call, raw)
    if call.pick_ori == "max-power":
        raise MajorantError(
            "pick_ori='max-power' chooses a direction from all of the data, and a stream has not "
            "seen them; use None, 'normal' or 'vector'"
        )
    if window is not None and inverse.spec.abilities.window is None:
        raise MajorantError(
            f"{inverse.spec.title} treats every sample for itself and has no windows; leave window "
            f"out, or take one of {able(lambda s: s.window is not None)}"
        )
    return _each_piece(call, inverse, reader, window, chunk, progress)


def _each_piece(
    call: Call,
    inverse: Inverse,
    reader: Reader,
    window: float | None,
    chunk: int | None,
    progress: Progress,
) -> Iterator[Any]:
    tally = Tally()
    moment = reader.moment(inverse) if inverse.needs_moment else None
    job = Job(1, reader.sfreq, inverse.chosen_snr(moment, 1))
    call.keep(tally, job.snr, None)
    kernel = inverse.kernel(job, moment) if _has_kernel(inverse) else None
    offset = reader.first / reader.sfreq
    if kernel is not None:
        for a, y in reader.white(inverse, chunk or reader.piece(call.model.leadfield.n_columns)):
            problem = inverse.problem(y[None], 1)
            tally.add(kernel.certificate(problem), kernel.statuses(problem), kernel.unit)
            yield _linear(call, kernel, y, offset + a / reader.sfreq, reader.sfreq)
            _report(progress, a + y.shape[1], len(reader))
        return
    for piece in stream_columns(inverse, job, reader, tally, window, chunk):
        values = combined(piece.columns.numpy(), call.model, call.pick_ori)
        tmin = offset + piece.start / reader.sfreq
        yield as_estimate(values, call.model, tmin, reader.sfreq)
        _report(progress, piece.start + values.shape[-1], len(reader))


def _report(progress: Progress, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)
