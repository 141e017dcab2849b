"""Time courses of regions, from estimates of any source space.

On surfaces they are MNE's (`mne.extract_label_time_course`). Where an estimate has signs, the
flipped modes follow the main direction of a region: the first principal axis of its normals, turned
to the side to which they point on average. Locations whose normals point against it are turned, so
that a course is positive where current flows along it: mostly outwards. Lengths have no sign, and
are averaged as they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.atlas.atlas import Atlas
from majorant.errors import MajorantError
from majorant.extras import needed
from majorant.head.model import SourceModel
from majorant.head.places import locate
from majorant.head.template import template_space

__all__ = ["MODES", "RegionCourses", "extracted", "joined", "parts_of"]

MODES = ("auto", "mean", "mean_flip", "pca_flip", "max")
"""What can be made of the locations of a region."""
FLIPPED = ("mean_flip", "pca_flip")


@dataclass(frozen=True, eq=False)
class RegionCourses:
    """One course a region.

    Attributes
    ----------
    names : tuple of str
    data : array, shape (n_regions, n_times) or (n_trials, n_regions, n_times)
        In `unit`.
    times : array, shape (n_times,)
        s.
    sfreq : float
        Hz.
    unit : str
        ``"Am"`` or the name of the statistic.
    mode : str
        How locations became a course.
    sizes : tuple of int
        Locations of each region.
    atlas : str
        Whose regions they are.
    signed : bool
    """

    names: tuple[str, ...]
    data: NDArray[np.float64]
    times: NDArray[np.float64]
    sfreq: float
    unit: str
    mode: str
    sizes: tuple[int, ...]
    atlas: str
    signed: bool

    def info(self) -> Any:
        """Channels of MNE's kind "misc", one a region; the unit is in the description."""
        import mne

        info = mne.create_info(list(self.names), self.sfreq, "misc", verbose="error")
        info["description"] = f"{self.mode} of regions of {self.atlas}, in {self.unit}"
        return info

    def raw(self) -> Any:
        """The courses as an `mne.io.RawArray`, trials one after the other.

        A recording starts at 0 s; what was before the event is in :meth:`evoked`.
        """
        import mne

        data = np.concatenate(list(self.data), axis=1) if self.data.ndim == 3 else self.data
        return mne.io.RawArray(data, self.info(), verbose="error")

    def evoked(self, nave: int = 1) -> Any:
        """The courses, or the mean over their trials, as an `mne.EvokedArray`."""
        import mne

        data = self.data.mean(0) if self.data.ndim == 3 else self.data
        return mne.EvokedArray(
            data, self.info(), float(self.times[0]), comment=self.atlas, nave=nave, verbose="error"
        )

    def epochs(self) -> Any:
        """The courses of trials as an `mne.EpochsArray`; one course is one trial."""
        import mne

        data = self.data if self.data.ndim == 3 else self.data[None]
        return mne.EpochsArray(data, self.info(), tmin=float(self.times[0]), verbose="error")

    def write_eeglab(self, path: str | os.PathLike[str], event: str = "event") -> None:
        """Write the courses as a ``.set`` of EEGLAB, trials as its epochs.

        EEGLAB counts in millionths, which are microvolts of electrodes: what
        `mne.io.read_raw_eeglab` (one course) or `mne.read_epochs_eeglab` (trials) reads back is in
        `unit`.

        Parameters
        ----------
        path : path
            Ends in ``.set``.
        event : str
            Name of what happens at 0 s.

        Raises
        ------
        MajorantError
            If eeglabio, of the extra ``eeglab``, is not installed, or the window lacks 0 s.
        """
        needed("eeglabio")
        if not self.times[0] <= 0.0 <= self.times[-1]:
            raise MajorantError(
                f"the courses run from {self.times[0]:g} to {self.times[-1]:g} s, and a .set marks "
                "what happens at 0 s; take a window around it, or csv"
            )
        from eeglabio.epochs import export_set

        data = self.data if self.data.ndim == 3 else self.data[None]
        events = np.zeros((len(data), 3), int)
        events[:, 0], events[:, 2] = data.shape[2] * np.arange(len(data)), 1
        export_set(
            str(path), data, self.sfreq, events, float(self.times[0]), float(self.times[-1]),
            list(self.names), event_id={event: 1}, precision="double",
        )  # fmt: skip


def parts_of(atlas: Atlas, model: SourceModel, regions: Sequence[str] | None = None) -> Any:
    """Rows of an estimate that each region has: names, indices, and MNE's labels on surfaces.

    Parameters
    ----------
    atlas : Atlas
    model : SourceModel
    regions : sequence of str, optional
        Some of them, with or without their side; all where it is not given.

    Returns
    -------
    names : list of str
    rows : list of array of int
    labels : list of mne.Label
        Empty where the source space is not of surfaces.

    Raises
    ------
    MajorantError
        If there is no region of that name, or none has a location.
    """
    kept = range(len(atlas.labelled)) if regions is None else atlas.chosen(regions)
    sides, of = _membership(atlas, model)
    names, rows, labels = [], [], []
    known = atlas.labels(model.space.subject) if _on_surfaces(model) else []
    for k in kept:
        side, region = atlas.labelled[k]
        inside = np.flatnonzero((sides == side) & (of == region))
        if len(inside):
            names.append(atlas.titles[k])
            rows.append(inside)
            labels.extend(known[k : k + 1])
    if not names:
        raise MajorantError(
            f"no location of the source space lies in a region of {atlas.name} that was asked for; "
            "take a finer source space or a coarser atlas"
        )
    return names, rows, labels


def _on_surfaces(model: SourceModel) -> bool:
    return model.space.kind in ("surface", "regions")


def _membership(atlas: Atlas, model: SourceModel) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Side and region of every row of an estimate."""
    space = model.space
    if not _on_surfaces(model):
        mni = locate(model.leadfield).mni
        return (mni[:, 0] > 0).astype(np.int64), atlas.of_places(mni)
    sides = np.repeat([0, 1], [len(vertices) for vertices in space.vertices])
    if atlas.subject != space.subject:
        raise MajorantError(
            f"the atlas {atlas.name} is of the subject {atlas.subject}, and the estimate of "
            f"{space.subject}; give an annotation of {space.subject} (its .annot), or morph the "
            "estimate to fsaverage first"
        )
    return sides, atlas.of_vertices(sides, np.concatenate(space.vertices))


def extracted(
    model: SourceModel,
    forward: Any | None,
    estimates: Any,
    parts: tuple[list[str], list[NDArray[np.int64]], list[Any]],
    mode: str,
    *,
    signed: bool,
    labelled: tuple[str, str],
) -> RegionCourses:
    """Make the courses of regions.

    Parameters
    ----------
    model : SourceModel
    forward : mne.Forward or None
        Whose source space has the normals; the template's are known.
    estimates : mne.SourceEstimate, or iterable of them
        Of trials, where they are several.
    parts : tuple
        What :func:`parts_of` returned.
    mode : {"auto", "mean", "mean_flip", "pca_flip", "max"}
        "auto" is "mean_flip" of what has signs, and "mean" of lengths.
    signed : bool
        Whether the estimates have signs.
    labelled : (str, str)
        Name of the atlas, and unit.

    Raises
    ------
    MajorantError
        If the mode does not exist, or cannot be had of these estimates.
    """
    several = not hasattr(estimates, "times")
    return _gathered(
        model, forward, estimates if several else (estimates,), parts, mode, signed, labelled,
        lambda data: np.stack(data) if several else data[0],
    )  # fmt: skip


def joined(
    model: SourceModel,
    forward: Any | None,
    pieces: Iterable[Any],
    parts: tuple[list[str], list[NDArray[np.int64]], list[Any]],
    *,
    signed: bool,
    labelled: tuple[str, str],
) -> RegionCourses:
    """Make the courses of regions over consecutive pieces of one long estimate.

    Parameters
    ----------
    pieces : iterable of mne.SourceEstimate
        One after the other; only one is in memory at a time.

    Other parameters, and errors, as of :func:`extracted`; the mode is "auto", which is linear.
    """
    return _gathered(
        model, forward, pieces, parts, "auto", signed, labelled,
        lambda data: np.concatenate(data, axis=1),
    )  # fmt: skip


def _gathered(
    model: SourceModel,
    forward: Any | None,
    estimates: Iterable[Any],
    parts: tuple[list[str], list[NDArray[np.int64]], list[Any]],
    mode: str,
    signed: bool,
    labelled: tuple[str, str],
    gather: Callable[[list[NDArray[np.float64]]], NDArray[np.float64]],
) -> RegionCourses:
    names, rows, labels = parts
    mode = _mode(mode, signed, model)
    seen: list[Any] = []

    def checked() -> Iterator[Any]:
        """Estimates one after the other, so that those of a generator are never all in memory."""
        for one in estimates:
            _check(one, model)
            if not seen:
                seen.extend((float(one.times[0]), float(one.tstep), np.asarray(one.times, float)))
            yield one

    if labels:
        import mne

        # MNE's generator speaks when it is used, not when it is made.
        with mne.utils.use_log_level("error"):
            data = list(_of_mne(model, forward, checked(), labels, mode))
    else:
        data = [np.stack([_simple(one.data[own], mode) for own in rows]) for one in checked()]
    if not data:
        raise MajorantError("there is no estimate to take courses of")
    values = gather(data)
    first, step, times = seen
    if len(times) != values.shape[-1]:
        times = first + step * np.arange(values.shape[-1])
    return RegionCourses(
        names=tuple(names),
        data=values,
        times=times,
        sfreq=1.0 / step,
        unit=labelled[1],
        mode=mode,
        sizes=tuple(len(own) for own in rows),
        atlas=labelled[0],
        signed=signed,
    )


def _check(one: Any, model: SourceModel) -> None:
    if one.shape[0] != sum(map(len, model.space.vertices)):
        raise MajorantError(
            f"the estimate has {one.shape[0]} vertices, and the imager's source space "
            f"{sum(map(len, model.space.vertices))}; give an estimate of this imager as it came"
        )
    if len(one.shape) != 2:
        raise MajorantError(
            "courses of vectors cannot be told apart by region; image with pick_ori=None or "
            "'normal'"
        )


def _mode(mode: str, signed: bool, model: SourceModel) -> str:
    if mode not in MODES:
        raise MajorantError(f"there is no mode {mode!r}; choose {', '.join(MODES)}")
    flips = signed and _on_surfaces(model)
    if mode == "auto":
        return "mean_flip" if flips else "mean"
    if mode in FLIPPED and not flips:
        raise MajorantError(
            f"{mode} turns signs by the normals of a surface, and this estimate has "
            f"{'no surface' if signed else 'lengths without a sign'}; take 'mean' or 'max'"
            f"{'' if signed else ', or image with loose=0 or pick_ori=normal'}"
        )
    return mode


def _simple(values: NDArray[np.float64], mode: str) -> NDArray[np.float64]:
    return values.mean(0) if mode == "mean" else np.abs(values).max(0)


def _of_mne(
    model: SourceModel, forward: Any | None, each: Iterator[Any], labels: list[Any], mode: str
) -> Iterator[NDArray[np.float64]]:
    import mne

    space = model.space
    if space.subject == "fsaverage" and all(v.max(initial=0) < 10242 for v in space.vertices):
        source = template_space(space.vertices)
    elif forward is None:
        raise MajorantError(
            "a loaded imager keeps no normals of a subject's surface; fit it again, or take the "
            "template"
        )
    else:
        source = forward["src"]
    found: Any = mne.extract_label_time_course(
        each, labels, source, mode=mode, return_generator=True, verbose="error"
    )
    return found
