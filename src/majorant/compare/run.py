"""A prepared recording through several solvers; one that does not fit is left out, and said so."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.compare.agree import NEAR_MM, Agreement, agreement, region_means, region_places
from majorant.errors import MajorantError, nearest
from majorant.findings.facts import Findings, Region
from majorant.forward.surfaces import Surfaces
from majorant.imaging.image import image
from majorant.imaging.regions import with_regions
from majorant.imaging.result import ImageResult, ImageSettings
from majorant.recording.prepare import Prepared
from majorant.registry import SOLVERS
from majorant.report.spread import spread

__all__ = ["ComparedMoment", "Comparison", "Contender", "check_names", "compare", "moments"]

APART_S = 0.040
"""Times that are compared differ by at least this, s."""
SAME_S = 0.010
"""Times this near are one moment of an estimate, s."""
LEAST = 0.4
"""Share of the largest field power below which a maximum is not worth a map."""
Move = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Contender:
    """One solver's estimate.

    Attributes
    ----------
    name : str
    result : ImageResult
    seconds : float
        From the prepared recording to the estimate, with the head at hand; without its region.
    strength : array, shape (n_times,)
        Norm of the map over the locations, in the estimate's unit.
    """

    name: str
    result: ImageResult
    seconds: float
    strength: NDArray[np.float64]

    @property
    def title(self) -> str:
        """Name on the page."""
        return SOLVERS[self.name].title

    @property
    def region(self) -> Region | None:
        """Of its leading peak, where regions were asked for."""
        content = self.result.content
        if content.regions is None or not content.peaks:
            return None
        return content.regions.of[content.leading or 0]

    @property
    def evidence(self) -> float | None:
        """Log evidence of the model, where the solver has one."""
        found = self.result.imager.solution_.details.get("log_evidence")
        return None if found is None else float(np.ravel(found)[0])


@dataclass(frozen=True, eq=False)
class ComparedMoment:
    """One time at which all are compared.

    Attributes
    ----------
    sample : int
    time : float
        s.
    meshes : array, shape (n_solvers, 2, n_vertices)
        Magnitudes on fsaverage5, each in its own unit; NaN where there is none.
    peaks : array, shape (n_solvers, 3)
        Strongest locations, MNI152 mm; NaN for a map of zeros.
    vertices : array, shape (n_solvers, 2)
        Hemisphere and vertex of these.
    agreement : Agreement
    doubts : tuple of str
        Why a solver's strongest location may be no source, as the end of a sentence, or "".
    """

    sample: int
    time: float
    meshes: NDArray[np.float64]
    peaks: NDArray[np.float64]
    vertices: NDArray[np.int64]
    agreement: Agreement
    doubts: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything that was found.

    Attributes
    ----------
    prepared : Prepared
    entries : tuple of Contender
    left_out : dict
        Solvers that did not fit, and why.
    moments : tuple of ComparedMoment
        The one of the largest field power first.
    """

    prepared: Prepared
    entries: tuple[Contender, ...]
    left_out: dict[str, str]
    moments: tuple[ComparedMoment, ...]


def check_names(solvers: Sequence[str]) -> None:
    """Refuse names that do not exist, and names given twice.

    Raises
    ------
    MajorantError
        One sentence; with the nearest name.
    """
    for name in solvers:
        if name not in SOLVERS:
            raise MajorantError(
                f"there is no solver {name!r}{nearest(name, SOLVERS)}; choose from "
                f"{', '.join(SOLVERS)}"
            )
    if len(solvers) < 2 or len(set(solvers)) < len(solvers):
        raise MajorantError(
            f"the solvers are {', '.join(solvers) or '(none)'}; a comparison takes two or more, "
            "all different"
        )


def compare(
    prepared: Prepared,
    solvers: Sequence[str],
    surfaces: Surfaces,
    parcels: NDArray[np.integer],
    settings: ImageSettings | None = None,
    times: Sequence[float] = (),
    say: Callable[[str], None] | None = None,
    move: Move | None = None,
) -> Comparison:
    """Image a recording with every solver and compare the estimates.

    Parameters
    ----------
    prepared : Prepared
    solvers : sequence of str
    surfaces : Surfaces
        Of the template.
    parcels : array, shape (2, n_vertices)
        Its regions.
    settings : ImageSettings, optional
        Of all solvers alike.
    times : sequence of float
        When to compare, s; by default at the maxima of the field power.
    say : callable, optional
        Called with what was left out.
    move : callable, optional
        Called with (solver, iterations done, iteration limit).

    Raises
    ------
    MajorantError
        If no solver fits, or a time lies outside the window.
    """
    base = settings or ImageSettings(uncertainty="none")
    chosen = moments(prepared, times)
    _warm(prepared, base, solvers)
    entries, left_out = [], {}
    for name in solvers:
        try:
            entries.append(_entry(prepared, replace(base, solver=name), move))
        except MajorantError as mistake:
            left_out[name] = str(mistake)
            if say is not None:
                say(f"Left out {SOLVERS[name].title}: {mistake}.")
    if not entries:
        raise MajorantError(f"no solver fits these data: {'; '.join(left_out.values())}")
    places = region_places()
    found = [_moment(entries, sample, prepared, surfaces, parcels, places) for sample in chosen]
    return Comparison(prepared, tuple(entries), left_out, tuple(found))


def moments(prepared: Prepared, times: Sequence[float] = (), most: int = 3) -> list[int]:
    """Samples at which to compare: those asked for, or the largest maxima of the field power."""
    clock = np.asarray(prepared.evoked.times, float)
    if times:
        outside = [t for t in times if not clock[0] - 1e-9 <= t <= clock[-1] + 1e-9]
        if outside:
            raise MajorantError(
                f"{outside[0]:g} s lies outside the window from {clock[0]:g} to {clock[-1]:g} s"
            )
        return [int(np.abs(clock - t).argmin()) for t in times]
    data = prepared.evoked.get_data(picks="eeg")
    power = np.asarray(data.std(axis=0))
    rising = np.diff(power, prepend=-np.inf) >= 0
    falling = np.diff(power, append=-np.inf) <= 0
    maxima = np.flatnonzero(rising & falling)
    found: list[int] = []
    for sample in maxima[np.argsort(-power[maxima], kind="stable")]:
        apart = all(abs(clock[sample] - clock[s]) >= APART_S for s in found)
        if apart and power[sample] >= LEAST * power.max() and len(found) < most:
            found.append(int(sample))
    return found or [int(power.argmax())]


def _warm(prepared: Prepared, base: ImageSettings, solvers: Sequence[str]) -> None:
    """Build the heads that the solvers share, so that none of them is charged for it."""
    from majorant.head.template import template_forward

    if base.forward is not None or base.subject is not None:
        return
    spaces = {
        "regions"
        if SOLVERS[name].abilities.space == "regions" or base.space == "regions"
        else "ico4"
        for name in solvers
    }
    for space in sorted(spaces):
        template_forward(
            prepared.evoked.info,
            space,
            head=base.head,
            circumference=base.circumference,
            skull=base.skull,
            age=base.age,
        )


def _entry(prepared: Prepared, settings: ImageSettings, move: Move | None) -> Contender:
    def progress(done: int, total: int) -> None:
        if move is not None:
            move(settings.solver, done, total)

    start = time.perf_counter()
    result = image(prepared, replace(settings, region=None), progress=progress)
    seconds = time.perf_counter() - start
    if settings.region is not None:
        account = Account(decisions=list(result.content.decisions))
        page = with_regions(result.content, result.imager, prepared, settings, account, progress)
        page = replace(page, decisions=tuple(account.decisions))
        result = replace(result, content=page, settings=settings)
    strength = np.linalg.norm(result.content.sources.values, axis=0)
    return Contender(settings.solver, result, seconds, strength)


def _moment(
    entries: Sequence[Contender],
    sample: int,
    prepared: Prepared,
    surfaces: Surfaces,
    parcels: NDArray[np.integer],
    places: NDArray[np.float64],
) -> ComparedMoment:
    meshes, peaks, vertices, doubts = [], [], [], []
    for entry in entries:
        maps = entry.result.content.sources
        now = np.abs(maps.values[:, sample])
        meshes.append(spread(maps, now[:, None], surfaces.faces)[..., 0])
        best = int(now.argmax())
        peaks.append(maps.positions_mni[best] if now[best] > 0 else np.full(3, np.nan))
        vertices.append((maps.hemisphere[best], maps.vertices[best]))
        doubts.append(_doubt(entry.result.content, sample, best))
    stacked, where = np.stack(meshes), np.array(peaks, dtype=np.float64)
    regions = np.stack([region_means(mesh, parcels) for mesh in stacked])
    return ComparedMoment(
        sample,
        float(prepared.evoked.times[sample]),
        stacked,
        where,
        np.array(vertices),
        agreement(regions, where, places),
        tuple(doubts),
    )


def _doubt(content: Findings, sample: int, location: int) -> str:
    """Why the strongest location at a time may be no source, as the estimate's own page has it."""
    if content.faint:
        return "does not stand out from noise"
    here = content.sources.positions_mni[location]
    for peak, why in zip(content.peaks, content.doubts, strict=False):
        soon = abs(peak.time - content.times[sample]) <= SAME_S
        if why and soon and np.linalg.norm(np.subtract(peak.mni, here)) <= NEAR_MM:
            return why
    return ""
