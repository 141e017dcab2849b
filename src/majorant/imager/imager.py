"""`SourceImager`: fit to a recording's channels, apply to any data of MNE, get its estimates."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any, Self, final

from majorant.atlas.labels import of_labels
from majorant.atlas.read import read_atlas
from majorant.forward.ages import read_age
from majorant.head.model import SourceModel
from majorant.head.skull import SkullSaid
from majorant.imager import apply as doors
from majorant.imager.abilities import check_options, check_region, check_words, options_of
from majorant.imager.courses import RegionCourses, extracted, parts_of
from majorant.imager.fit import fitted
from majorant.imager.inverse import Call, Inverse
from majorant.imager.settings import ImagerSettings
from majorant.imager.tally import Tally
from majorant.problem import Certificate, MajorantError, Problem, Solution, Status
from majorant.recording.settings import check_lone
from majorant.registry import SolverSpec, spec

__all__ = ["SourceImager"]

Progress = Callable[[int, int], None] | None


@final
class SourceImager:
    """Source imaging with any solver of the package, in MNE's terms.

    Parameters
    ----------
    solver : str
        Name of a solver: "auto", "scan", "mne", "dspm", "sloreta", "eloreta", "champagne", ...
    snr : float, "gcv" or "evidence"
        Signal-to-noise ratio of amplitudes in the whitened data: ``lambda^2 = 1 / snr^2``, with the
        source prior scaled so that ``trace(L R L')`` is the rank. A word chooses it from the data,
        by generalised cross-validation or by the evidence. Solvers that learn the noise do not
        use it.
    loose : float, dict or "auto"
        0 fixed along the cortical normal, between 0 and 1 loose, 1 free; "auto" is 0.2 on
        surfaces, 0 for regions and 1 in volumes.
    depth : float, dict, None or "auto"
        Depth weighting (exponent, or the arguments of `mne.forward.compute_depth_prior`); "auto"
        is the solver's own default.
    pick_ori : None, "normal", "vector" or "max-power"
        For loose and free orientation: length of the vector, its normal component, all three, or
        the signed component along the direction of most power.
    space : str
        Source space on the template: "ico4" (5,124 vertices), "ico5", "ico3", "oct6", "oct5",
        "oct4", or "regions" (994); "auto" is what the solver asks for. With a head of one's own,
        "auto" is its whole source space, and "regions" carries the 994 over.
    head : str
        "template", "warped" to what was digitised, or "auto": warped where electrodes, fiducials
        and points of the head's shape were measured (32 or more). A subject, or an `mne.Forward`
        given to :meth:`fit`, takes its place.
    circumference : float or None
        Of the head, cm; scales a template that is not warped.
    skull : float or None
        Conductivity of the template's skull, S/m; None is MNE's 0.006.
    age : float, str or None
        Years, or "18mo": below 18 years, size and skull that are not given are typical of the age
        (:mod:`majorant.forward.ages`).
    heads : int
        Estimates are means over so many heads: the template, and others drawn around it, as likely
        as the recording makes their skulls. 1 by default; for solvers that are no matrix.
    rank : None, "info", "full" or dict
        As for `mne.compute_rank`: None finds it in data and noise, "info" and "full" take all that
        projectors leave, and a dict says it by type of channel, ``{"eeg": 50}``.
    lone : {"doubt", "believe"}
        An electrode that shows what no other does, and no current in the head could, is taken to be
        as noisy as that ("doubt"), or at its word. Found where :meth:`fit` is given an average or
        trials: `info` does not know.
    reference : "average" or None
        Whether an average-reference projector is added where the EEG has none; None refuses.
    subject : str or None
        A FreeSurfer subject, whose head is used.
    subjects_dir : path or None
        Where subjects are; also where the spherical registration of a forward's subject is read.
        None is MNE's own: ``SUBJECTS_DIR`` of the environment or of MNE's configuration.
    trans : path or None
        Of the subject: from head to MRI coordinates; None finds it from the fiducials.
    region : float or None
        Probability, such as 0.9, of the regions that :meth:`regions` finds: sets of cortical
        locations that hold the source of a peak so often, by simulations on this cap and noise.
    **solver_options
        Arguments of the solver's class.

    Attributes
    ----------
    spec_ : SolverSpec
    forward_ : mne.Forward or None
        Oriented, channels in the order of ``info_``; None where the imager was loaded.
    leadfield_ : Leadfield
        Its gain before whitening.
    noise_cov_ : mne.Covariance
        Of a single trial.
    info_ : mne.Info
        Channels in use, with an average-reference projector.
    whitener_ : array, shape (rank, n_channels)
        For single trials; data of an average are whitened by ``sqrt(nave)`` times it.
    rank_ : int
    alignment_ : Alignment or None
        How the electrodes met the template; None with a head of one's own.
    coregistration_ : Coregistration or None
        How the electrodes met the scalp of the subject.
    skull_said_ : SkullSaid or None
        What the recording says about the skull; with `heads`, where :meth:`fit` had data to ask.
    around_ : callable or None
        Gives the bank of heads around the believed one; None where only a lead field is known.
    notes_ : tuple of str
        What was found and done while fitting, one sentence each.
    snr_ : float or None
        The ratio of the last estimate, chosen or given.
    certificate_ : Certificate
        Of the last :meth:`apply` or :meth:`stream`.
    solution_ : Solution
        Of the last average.

    Examples
    --------
    >>> stc = SourceImager("sloreta").fit(evoked.info).apply(evoked)  # doctest: +SKIP
    """

    def __init__(
        self,
        solver: str = "auto",
        *,
        snr: float | str = 3.0,
        loose: float | Mapping[str, float] | str = "auto",
        depth: float | Mapping[str, Any] | str | None = "auto",
        pick_ori: str | None = None,
        space: str = "auto",
        head: str = "auto",
        circumference: float | None = None,
        skull: float | None = None,
        age: float | str | None = None,
        heads: int = 1,
        rank: Any = None,
        lone: str = "doubt",
        reference: str | None = "average",
        subject: str | None = None,
        subjects_dir: str | os.PathLike[str] | None = None,
        trans: str | os.PathLike[str] | None = None,
        region: float | None = None,
        **solver_options: Any,
    ) -> None:
        self.solver = solver
        self.snr = snr
        self.loose = loose
        self.depth = depth
        self.pick_ori = pick_ori
        self.space = space
        self.head = head
        self.circumference = circumference
        self.skull = skull
        self.age = None if age is None else read_age(age)
        self.heads = heads
        self.rank = rank
        self.lone = lone
        self.reference = reference
        self.subject = subject
        self.subjects_dir = None if subjects_dir is None else str(subjects_dir)
        self.trans = None if trans is None else str(trans)
        self.region = check_region(region)
        self.solver_options = solver_options
        self.spec_: SolverSpec = spec(solver)
        check_words(pick_ori, reference, head, rank)
        check_lone(lone)
        check_options(self.spec_, solver_options, snr)
        self._inverse: Inverse | None = None
        self._solved: Callable[[], Solution] | None = None
        self._tally = Tally()
        self.snr_: float | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments that make an imager like this one."""
        names = [
            name
            for name, parameter in inspect.signature(type(self)).parameters.items()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        return {**{name: getattr(self, name) for name in names}, **self.solver_options}

    def __repr__(self) -> str:
        default = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if name != "solver" and (name not in default or value != default[name].default)
        ]
        return f"SourceImager({', '.join([repr(self.solver), *changed])})"

    @property
    def settings(self) -> ImagerSettings:
        """All of them, as one record."""
        names = [own.name for own in fields(ImagerSettings) if own.name != "options"]
        own = {name: getattr(self, name) for name in names}
        return ImagerSettings(**own, options=dict(self.solver_options))

    @property
    def call(self) -> Call:
        """What a call of the fitted imager works with."""
        return Call(self.inverse, self.info_, self.pick_ori, self.record)

    @property
    def inverse(self) -> Inverse:
        """Solver, lead field and whitening, once fitted."""
        if self._inverse is None:
            raise MajorantError("the imager is not fitted; call fit(info) first")
        return self._inverse

    @property
    def model(self) -> SourceModel:
        """Oriented lead field and prior, once fitted."""
        return self.inverse.model

    @property
    def uses_snr(self) -> bool:
        """Whether the solver is told the signal-to-noise ratio."""
        return "snr" in options_of(self.spec_)

    @property
    def solution_(self) -> Solution:
        """The solution for the last average; linear ones are worked out when asked for."""
        if self._solved is None:
            raise MajorantError(
                "no average was imaged yet; call apply(evoked) first"
                if self._tally.certificate() is None
                else "the last call imaged trials or continuous data, and they are not kept; their "
                "certificate_ and status_ are, and apply(evoked) keeps a solution"
            )
        return self._solved()

    @property
    def certificate_(self) -> Certificate:
        """What was promised and kept, over all windows of the last call."""
        found = self._tally.certificate()
        if found is None:
            raise MajorantError("nothing was imaged yet; call apply or stream first")
        return found

    @property
    def status_(self) -> Status:
        """How the window of the last call ended that ended worst."""
        return self._tally.status

    @property
    def unit_(self) -> str:
        """Unit of the last estimate: ``"Am"`` or the name of the statistic."""
        return self._tally.unit

    def fit(
        self,
        info: Any,
        forward: Any | None = None,
        noise_cov: Any | None = None,
        *,
        data_cov: Any | None = None,
        recording: Any | None = None,
        progress: Callable[[str], None] | None = None,
    ) -> Self:
        """Prepare lead field and whitening for a set of channels.

        Parameters
        ----------
        info : mne.Info, mne.Evoked, mne.BaseEpochs or mne.io.BaseRaw
            Of the data, or the data themselves, which say more: their rank, which electrodes were
            interpolated, their unit, and the noise of the baseline. Bad channels are left out.
        forward : mne.Forward or None
            None computes one for the electrodes, on the subject's head or the template.
        noise_cov : mne.Covariance or None
            Of a single trial, as everywhere in MNE. None takes the baseline, where `info` are data
            that have one, and assumes independent noise elsewhere.
        data_cov : mne.Covariance or None
            For solvers that adapt to the covariance of the data (LCMV): that of single trials.
            None takes the data that are imaged.
        recording : mne.io.BaseRaw, BaseEpochs or Evoked, optional
            What several heads are weighed by; `info`, where that is data. A minute, the first time.
        progress : callable, optional
            Called with a line of text for every step that takes time.

        Returns
        -------
        self

        Raises
        ------
        MajorantError
            If channels, orientation, source space and solver do not fit together.
        """
        found = fitted(self.settings, info, forward, noise_cov, data_cov, progress, recording)
        self.info_, self.noise_cov_, head = found.info, found.noise_cov, found.head
        self.alignment_, self.coregistration_ = head.alignment, head.coregistration
        self.around_, self.skull_said_ = head.around, found.skull
        self._keep(found.inverse, found.notes)
        return self

    def _keep(self, inverse: Inverse, notes: tuple[str, ...]) -> None:
        """Show what an inverse is made of as MNE's users expect it."""
        self._inverse = inverse
        self.forward_, self.leadfield_ = inverse.model.forward, inverse.model.leadfield
        self.whitener_, self.rank_ = inverse.whitener, len(inverse.whitener)
        self.notes_ = notes

    def problem(self, evoked: Any) -> Problem:
        """Return the whitened problem that an average poses; no solver sees more.

        Parameters
        ----------
        evoked : mne.Evoked
            With the channels of ``info_``, in any order.

        Raises
        ------
        MajorantError
            If the imager is not fitted, or channels are missing.
        """
        return self.inverse.posed(evoked)

    def solve(self, evoked: Any, progress: Progress = None) -> Solution:
        """Solve for an average and keep the solution as ``solution_``.

        Parameters
        ----------
        evoked : mne.Evoked
        progress : callable, optional
            Called with (iterations done, iteration limit).
        """
        return doors.solve(self.call, evoked, progress)

    def apply(
        self,
        inst: Any,
        progress: Progress = None,
        *,
        return_generator: bool = False,
        start: int | None = None,
        stop: int | None = None,
    ) -> Any:
        """Image an average, trials, a window of continuous data, a covariance or spectra.

        Parameters
        ----------
        inst : mne.Evoked, BaseEpochs, io.BaseRaw, Covariance or time_frequency.CrossSpectralDensity
        progress : callable, optional
            Called with (done, total): iterations of an average, trials, or samples.
        return_generator : bool
            Trials: a generator in place of a list.
        start, stop : int or None
            Continuous data: the first sample and the one after the last, as in
            `mne.minimum_norm.apply_inverse_raw`; `raw.time_as_index` has them for seconds.

        Returns
        -------
        mne.SourceEstimate, or a list or generator of them
            On the vertices of the source space (regions: of fsaverage5, or of the subject); signed
            for fixed orientation or ``pick_ori="normal"``, else lengths. A vector class for
            ``pick_ori="vector"``, and the volume and mixed classes for such source spaces. Linear
            solvers return MNE's lazy form where there is one value per location. Of a covariance
            it holds the power, of a cross-spectral density that at every frequency (its "times").

        Raises
        ------
        MajorantError
            If the imager is not fitted, channels are missing, or the estimate would not fit into
            memory.
        """
        return doors.apply(
            self.call, inst, progress, return_generator=return_generator, start=start, stop=stop
        )

    def stream(
        self,
        raw: Any,
        *,
        start: int | None = None,
        stop: int | None = None,
        window: float | None = None,
        chunk: int | None = None,
        progress: Progress = None,
    ) -> Iterator[Any]:
        """Image continuous data piece by piece, in bounded memory.

        Parameters
        ----------
        raw : mne.io.BaseRaw
            Read as it goes; it need not be in memory.
        start, stop : int or None
            The first sample and the one after the last, as in MNE.
        window : float or None
            Solvers that couple times: length of the windows, s, which overlap by half and are
            cross-faded; None is the solver's own. The estimate depends on it, and on nothing else
            of how the data are cut.
        chunk : int or None
            Samples read at a time, about; None keeps a piece within some 32 MiB.
        progress : callable, optional
            Called with (samples done, samples).

        Yields
        ------
        mne.SourceEstimate
            Of consecutive stretches, without gap or overlap.
        """
        return doors.stream(self.call, raw, start, stop, window, chunk, progress)

    def write(
        self,
        raw: Any,
        path: str | os.PathLike[str],
        *,
        start: int | None = None,
        stop: int | None = None,
        window: float | None = None,
        overwrite: bool = False,
        progress: Progress = None,
    ) -> Path:
        """Stream the estimate of continuous data into a zarr store.

        Parameters as of :meth:`stream`; :func:`majorant.imager.store.read_window` reads a window.
        """
        from majorant.imager.store import write_stream

        pieces = self.stream(raw, start=start, stop=stop, window=window, progress=progress)
        return write_stream(
            self.call,
            raw,
            pieces,
            Path(path),
            start,
            stop,
            unit=lambda: self.unit_,
            overwrite=overwrite,
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the fitted imager to one file; see :mod:`majorant.imager.stored`."""
        from majorant.imager.stored import Stored, save_imager

        inverse = self.inverse
        stored = Stored(self.get_params(), inverse, self.info_, self.noise_cov_, self.notes_)
        return save_imager(stored, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SourceImager:
        """Read an imager that :meth:`save` wrote.

        Raises
        ------
        MajorantError
            If there is no such file, or it is damaged or altered.
        """
        from majorant.imager.stored import load_imager

        def make(settings: Mapping[str, Any]) -> ImagerSettings:
            made.append(cls(**settings))
            return made[0].settings

        made: list[SourceImager] = []
        stored, imager = load_imager(path, make), made[0]
        imager.info_, imager.noise_cov_ = stored.info, stored.noise_cov
        imager.alignment_ = imager.coregistration_ = imager.around_ = imager.skull_said_ = None
        imager._keep(stored.inverse, stored.notes)
        return imager

    def add_to_report(self, report: Any, evoked: Any, title: str = "Source estimate") -> None:
        """Image an average and add the interactive page to an `mne.Report` as a section.

        Parameters
        ----------
        report : mne.Report
        evoked : mne.Evoked
            With the channels that the imager was fitted to.
        title : str
            Of the section.
        """
        # The page is drawn upstairs, where an imager is one of many things; by name, so that this
        # room does not rest on that one.
        import_module("majorant.imaging.section").add_section(self, report, evoked, title)

    def regions(
        self, evoked: Any, progress: Progress = None, *, skull: SkullSaid | None = None
    ) -> Any:
        """Image an average and say where the sources of its peaks are.

        Parameters
        ----------
        evoked : mne.Evoked
            With the channels that the imager was fitted to.
        progress : callable, optional
            Called with (done, total) where the simulations are not in the cache.
        skull : SkullSaid, optional
            Of `majorant.head.skull_recording.skull_of`: heads are drawn as it makes them likely.

        Returns
        -------
        majorant.findings.facts.Regions
            Its ``peaks``, strongest first, ``of``, the region of each, and what is supported.

        Raises
        ------
        MajorantError
            If no probability was given (``SourceImager(..., region=0.9)``), or the head is unknown.
        """
        # Peaks are found upstairs; by name, so that this room does not rest on that one.
        found = import_module("majorant.findings.regions.find")
        return found.regions_of_average(self, evoked, progress, skull)

    def extract(
        self,
        estimate: Any,
        labels: Any = "gyri",
        mode: str = "auto",
        *,
        regions: Sequence[str] | None = None,
    ) -> RegionCourses:
        """Time courses of regions, from estimates of this imager.

        Parameters
        ----------
        estimate : mne.SourceEstimate, or list or generator of them
            As :meth:`apply` gave it; several are trials.
        labels : str, path, Atlas, mne.Label or list of mne.Label
            An atlas by name or file (:func:`majorant.atlas.read.read_atlas`), or labels.
        mode : {"auto", "mean", "mean_flip", "pca_flip", "max"}
            As in `mne.extract_label_time_course`. "auto" is "mean_flip" of estimates with signs
            and "mean" of lengths. Flipped courses are positive where current flows along the main
            direction of the region's normals, which is mostly outwards.
        regions : sequence of str, optional
            Some regions of the atlas, with or without their side.

        Returns
        -------
        RegionCourses
            Its ``data``, ``names``, ``times`` and ``unit``; ``raw()``, ``evoked()`` and
            ``epochs()`` are MNE's.

        Raises
        ------
        MajorantError
            If there is no such atlas, region or mode, or the estimate is of another source space.
        """
        model = self.inverse.model
        atlas = of_labels(labels, model.space)
        if atlas is None:
            atlas = read_atlas(labels, subject=self.subject, subjects_dir=self.subjects_dir)
        signed = model.leadfield.n_orient == 1 or self.pick_ori in ("normal", "max-power")
        return extracted(
            model,
            self.forward_,
            estimate,
            parts_of(atlas, model, regions),
            mode,
            signed=signed,
            labelled=(atlas.name, self.unit_),
        )

    def record(self, tally: Tally, snr: float | None, solved: Any = None) -> None:
        """Keep what a call leaves behind: its certificate, its ratio, its solution."""
        self._tally, self.snr_, self._solved = tally, snr, solved
