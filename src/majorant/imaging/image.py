"""The main job: a prepared recording in, an estimate with everything that belongs to it out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.findings.below import below
from majorant.findings.cautions import find_cautions
from majorant.findings.evidence import Observed
from majorant.findings.facts import Findings, Peak, SourceMaps, Uncertainty
from majorant.findings.faint import faint, strongest_ratio
from majorant.findings.moments import with_moments
from majorant.findings.names import named, region_names
from majorant.findings.peaks import find_peaks
from majorant.findings.shadows import leaked
from majorant.findings.standing import doubts
from majorant.findings.uncertainty_choice import assess
from majorant.head.model import read_forward
from majorant.head.places import Places, locate
from majorant.imager.estimate import as_estimate, combined
from majorant.imager.imager import SourceImager
from majorant.imager.inverse import Job
from majorant.imaging.dipole import with_dipole
from majorant.imaging.explained import explained_by, predict
from majorant.imaging.regions import with_regions
from majorant.imaging.result import ImageResult, ImageSettings, citations, versions
from majorant.imaging.spikes import with_spikes
from majorant.memory import available, fits
from majorant.problem import MajorantError, Problem, Solution
from majorant.recording.noise import read_covariance
from majorant.recording.prepare import Prepared
from majorant.recording.rank import projection
from majorant.recording.trials import data_covariance
from majorant.words import written

__all__ = [
    "find_all",
    "fitted_imager",
    "image",
    "imaged",
    "regularisation",
    "shown_settings",
    "solver_facts",
]


def image(
    prepared: Prepared,
    settings: ImageSettings | None = None,
    say: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageResult:
    """Image a prepared recording.

    Parameters
    ----------
    prepared : Prepared
    settings : ImageSettings, optional
    say : callable, optional
        Called with every decision as it is made.
    progress : callable, optional
        Called by iterative solvers with (iterations done, iteration limit).

    Returns
    -------
    ImageResult

    Raises
    ------
    MajorantError
        If recording, forward, source space and solver do not fit together.
    """
    settings = settings or ImageSettings()
    account = Account(say) if say else Account()
    account.decisions.extend(prepared.decisions)
    imager = fitted_imager(prepared, settings, account)
    return imaged(imager, prepared, settings, account, progress)


def imaged(
    imager: SourceImager,
    prepared: Prepared,
    settings: ImageSettings,
    account: Account | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageResult:
    """Image a prepared recording with an imager that is fitted to it.

    Parameters and errors as of :func:`image`.
    """
    account = account or Account()
    evoked = prepared.evoked
    _refuse_too_long(imager.leadfield_.n_columns, len(evoked.times))
    problem = imager.problem(evoked)
    solution = imager.solve(evoked, progress)
    if imager.snr_ is not None:
        account.note(regularisation(settings.snr, imager.snr_))
    account.note(f"{imager.spec_.title}: {solution.status[0].value}.")
    values = combined(solution.estimate[0].numpy(), imager.model, None)
    data = evoked.data[[evoked.ch_names.index(name) for name in imager.info_["ch_names"]]]
    data = projection(imager.info_) @ data
    predicted = predict(imager, solution, data, account)
    places = locate(imager.leadfield_)
    doubt = assess(
        imager,
        prepared,
        problem,
        solution,
        values,
        settings.uncertainty,
        seed=settings.seed,
        progress=progress,
    )
    if doubt is not None:
        account.note(_bands(doubt, settings.seed))
    found = Estimated(problem, places, values, data, predicted, doubt)
    page = find_all(prepared, settings, imager, found)
    page = with_regions(page, imager, prepared, settings, account, progress)
    page = with_dipole(page, imager, prepared, settings, places, account)
    page = with_spikes(page, imager, prepared, settings, places, account, progress)
    stc = as_estimate(values, imager.model, float(evoked.times[0]), evoked.info["sfreq"])
    if settings.roi:
        courses = imager.extract(stc, settings.naming(), regions=settings.chosen)
        page = replace(page, courses=courses)
    return ImageResult(
        stc=stc,
        imager=imager,
        prepared=prepared,
        content=replace(page, decisions=tuple(account.decisions)),
        settings=settings,
        places=places,
    )


@dataclass(frozen=True, eq=False)
class Estimated:
    """An estimate with what it explains.

    Attributes
    ----------
    problem : Problem
    places : Places
        Of its locations.
    values : array, shape (n_locations, n_times)
    data, predicted : array, shape (n_channels, n_times)
        Recorded and explained, V.
    doubt : Uncertainty or None
    times : array or None, shape (n_times,)
        s; None are those of the average, and this is its window.
    """

    problem: Problem
    places: Places
    values: NDArray[np.float64]
    data: NDArray[np.float64]
    predicted: NDArray[np.float64]
    doubt: Uncertainty | None = None
    times: NDArray[np.float64] | None = None


def find_all(
    prepared: Prepared, settings: ImageSettings, imager: SourceImager, found: Estimated
) -> Findings:
    """Gather everything that is true of an estimate, peaks and cautions included."""
    problem, places, values, doubt = found.problem, found.places, found.values, found.doubt
    data, predicted, solution = found.data, found.predicted, imager.solution_
    window = found.times is None
    times = np.asarray(prepared.evoked.times, float) if found.times is None else found.times
    atlas = settings.naming()
    names = region_names(atlas, imager.leadfield_, places)
    peaks = named(_peaks(values, times, places, problem, imager), names)
    explained = explained_by(data, predicted)
    evidence = Observed(
        prepared=prepared,
        times=times,
        amplitude=np.abs(values).max(axis=0),
        peaks=peaks,
        explained=explained,
        white_rms=np.sqrt((problem.y[0].numpy() ** 2).mean(axis=0)),
        loose=imager.model.loose,
        certificate=solution.certificate,
        status=solution.status[0],
        alignment=imager.alignment_,
        exact_places=places.exact,
        rank=imager.rank_,
        uncertainty=doubt,
        window=window,
        marked_before=not settings.spikes,
        heads=imager.heads,
        skull=imager.skull_said_,
        leaked=_leaked(prepared, imager, problem, peaks, times)
        if window and solution.unit != "Am"
        else (),
        below=_below(prepared, imager, peaks),
        strongest=0.0 if doubt is None else strongest_ratio(values, doubt.own),
    )
    return Findings(
        title=prepared.title,
        info=imager.info_,
        times=times,
        data=data,
        predicted=predicted,
        explained=explained,
        sources=replace(_maps(values, solution, imager, places), names=names, atlas=atlas.name),
        peaks=peaks,
        solver=solver_facts(imager),
        certificate=solution.certificate,
        decisions=prepared.decisions,
        cautions=find_cautions(evidence),
        settings=shown_settings(prepared, settings, imager),
        versions=versions(),
        citations=citations(imager),
        uncertainty=doubt,
        faint=faint(evidence),
        doubts=doubts(evidence),
    )


def _leaked(
    prepared: Prepared,
    imager: SourceImager,
    problem: Problem,
    peaks: tuple[Peak, ...],
    times: NDArray[np.float64],
) -> tuple[tuple[float, int], ...]:
    """What leakage makes of the peaks, where a solver is a matrix."""
    y, nave = problem.y[0], max(int(prepared.evoked.nave), 1)
    job = Job(nave, float(prepared.evoked.info["sfreq"]), imager.snr_)
    kernel, gain = imager.inverse.kernel(job, y @ y.mT / y.shape[1]), problem.operator.matrix()
    if kernel is None or gain is None:
        return ()
    matrix = kernel.matrix[0] if kernel.matrix.ndim == 3 else kernel.matrix
    return leaked(matrix, gain, y, peaks, times, imager.leadfield_.n_orient)


def _below(prepared: Prepared, imager: SourceImager, peaks: tuple[Peak, ...]) -> tuple[str, ...]:
    """Electrodes that speak alone, and were to be believed, above the peaks."""
    lone = [own.name for own in prepared.lone if not own.doubted]
    if not lone:
        return ()
    lead = imager.leadfield_
    gain = projection(imager.info_) @ lead.gain.numpy()
    gain = gain.reshape(len(gain), -1, lead.n_orient)
    return below(gain, imager.info_["ch_names"], lone, peaks)


def _peaks(
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    places: Places,
    problem: Problem,
    imager: SourceImager,
) -> tuple[Peak, ...]:
    """Peaks, each with the moment of its dipole."""
    gain = problem.operator.matrix()
    found = find_peaks(values, times, places)
    if gain is None:
        return found
    regions = imager.leadfield_.kind == "regions"
    white = problem.y[0].numpy()
    return with_moments(found, times, white, gain.numpy(), places.mni, regions=regions)


def _bands(doubt: Uncertainty, seed: int) -> str:
    """How the standard deviations came about, for the account."""
    drawn = f" ({doubt.draws} draws, seed {seed})" if doubt.draws else ""
    return f"Uncertainty: {doubt.name}{drawn}."


def fitted_imager(
    prepared: Prepared,
    settings: ImageSettings,
    account: Account,
    find: Callable[[], tuple[Any, str] | None] | None = None,
) -> SourceImager:
    """Fit an imager to a prepared recording.

    Parameters
    ----------
    prepared : Prepared
    settings : ImageSettings
    account : Account
    find : callable, optional
        The covariance of the data and a sentence, for a solver that adapts to it and where the
        settings leave it to us; the default is that of the trials of `prepared`.
    """
    imager = _with_rank(settings, prepared).imager()
    forward = None if settings.forward is None else read_forward(settings.forward)
    adapted = _data_covariance(
        find or (lambda: data_covariance(prepared)), prepared, settings, imager, account
    )
    imager.fit(
        prepared.evoked.info,
        forward,
        prepared.noise_cov,
        data_cov=adapted,
        recording=_asked(prepared) if settings.heads > 1 else None,
        progress=account.say,
    )
    for sentence in imager.notes_:
        account.note(sentence)
    lead = imager.leadfield_
    what = "regions" if lead.kind == "regions" else "locations"
    loose = imager.model.loose
    how = (
        "held to the cortical normal"
        if loose == 0
        else "free"
        if loose == 1
        else f"loose ({loose:g})"
    )
    account.note(f"Source space: {lead.n_locations:,} {what}, orientation {how}.")
    if lead.kind == "regions":
        account.note("The value of a region is that of each of its vertices (about 20), not a sum.")
    if not imager.uses_snr:
        account.note(f"{imager.spec_.title} sets its regularisation itself; the snr is not used.")
    return imager


def _asked(prepared: Prepared) -> Any:
    """What several heads are weighed by: all of the recording, under its new names."""
    recording = prepared.recording
    if recording is None:
        return prepared.evoked
    data = recording.data[0] if recording.kind == "evoked" else recording.data
    return data.copy().rename_channels(prepared.renamed) if prepared.renamed else data


def _with_rank(settings: ImageSettings, prepared: Prepared) -> ImageSettings:
    """Settings with the rank and the trust in electrodes that the data were prepared with."""
    said = prepared.settings.rank
    if settings.rank not in (None, said):
        raise MajorantError(
            f"rank={settings.rank!r} was given to the imager, and the noise is of data prepared "
            f"with rank={said!r}; give the rank to Preparation, and it holds for both"
        )
    return replace(settings, rank=said, lone=prepared.settings.lone)


def _data_covariance(
    find: Callable[[], tuple[Any, str] | None],
    prepared: Prepared,
    settings: ImageSettings,
    imager: SourceImager,
    account: Account,
) -> Any | None:
    """What a solver that adapts to the data adapts to; None is what it is given to image."""
    if settings.data_cov not in ("auto", "average"):
        path = Path(settings.data_cov).expanduser()
        return read_covariance(path, prepared.renamed or {}, account, "data")
    if not imager.spec_.abilities.adaptive:
        return None
    found = find() if settings.data_cov == "auto" else None
    if found is None:
        account.note(
            "Data covariance: from what is imaged itself, over the whole window. Trials, where "
            "there are any, say more."
        )
        return None
    cov, said = found
    account.note(said)
    return cov


def regularisation(asked: float | str, snr: float) -> str:
    """How strongly the estimate is regularised, and who said so."""
    by = {"gcv": ", chosen by generalised cross-validation", "evidence": ", chosen by the evidence"}
    how = by.get(str(asked), "")
    return f"Regularisation: signal-to-noise ratio {written(snr)}{how} (λ² = 1/snr²)."


def _refuse_too_long(n_columns: int, n_times: int) -> None:
    # The columns, what is made of them, and their deviations are there at once.
    needed = 3 * 8 * n_columns * n_times
    if not fits(needed):
        raise MajorantError(
            f"{n_times} samples of {n_columns} source columns need about {needed / 1e9:.1f} GB, "
            f"and the machine has {available() / 1e9:.1f} GB left; shorten the window with tmin "
            "and tmax, or take a smaller source space"
        )


def _maps(
    values: NDArray[np.float64], solution: Solution, imager: SourceImager, places: Places
) -> SourceMaps:
    return SourceMaps(
        values=values,
        positions_mni=places.mni,
        hemisphere=places.hemisphere,
        vertices=places.vertices,
        unit=solution.unit,
        signed=imager.leadfield_.n_orient == 1,
        parcels=places.parcels,
    )


def solver_facts(imager: SourceImager) -> dict[str, str]:
    own = imager.spec_
    return {
        "name": own.name,
        "title": own.title,
        "summary": own.summary,
        "guarantee": own.guarantee,
        "citation": own.citation,
    }


def _head(settings: ImageSettings) -> str:
    """Whose head, as the page lists it."""
    if settings.forward is not None:
        return Path(settings.forward).name
    return "template" if settings.subject is None else f"subject {settings.subject}"


def _snr(asked: float | str, used: float | None) -> float | str:
    """The ratio as the page lists it."""
    if used is None:
        return "not used"
    return f"{written(used)} ({asked})" if isinstance(asked, str) else asked


def shown_settings(
    prepared: Prepared, settings: ImageSettings, imager: SourceImager
) -> dict[str, Any]:
    """Settings as the page lists them: what was asked for, and what "auto" became."""
    auto = settings.depth == "auto"
    depth = (imager.spec_.abilities.depth if auto else settings.depth) or "none"
    loose = imager.model.loose
    own = {
        "solver": settings.solver,
        "snr": _snr(settings.snr, imager.snr_),
        "loose": loose if settings.loose == loose else f"{loose:g} ({settings.loose})",
        "depth": f"{depth} (auto)" if auto else depth,
        "space": settings.space,
        "forward": _head(settings),
        **{f"option {name}": value for name, value in settings.options.items()},
    }
    if settings.heads > 1:
        said = imager.skull_said_
        own["heads"] = settings.heads
        own["what this recording says about the skull"] = (
            "not asked" if said is None else said.short()
        )
    asked = {name: v for name, v in prepared.settings.named().items() if v not in (None, ())}
    return {**asked, **own}
