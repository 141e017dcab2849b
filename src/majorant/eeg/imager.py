"""`SourceImager`: fit to a recording's channels, apply to averages, get `mne.SourceEstimate`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray

from majorant.eeg.estimate import as_estimate, combined
from majorant.eeg.forward import SourceModel, as_tensor, source_model
from majorant.eeg.noise import AD_HOC_STD, check_covariance
from majorant.eeg.prepare import has_average_reference
from majorant.eeg.template import template_forward
from majorant.problem import MajorantError, Problem, Solution
from majorant.registry import SolverSpec, spec
from majorant.solvers.base import Solver

__all__ = ["SourceImager"]

PICKS = (None, "normal", "vector")
SURFACE_SPACE = "ico4"


@final
class SourceImager:
    """Source imaging with any solver of the package, in MNE's terms.

    Parameters
    ----------
    solver : str
        Name of a solver: "mne", "dspm", "sloreta", "eloreta", "lcmv", "champagne", ...
    snr : float
        Signal-to-noise ratio of amplitudes in the whitened data: ``lambda^2 = 1 / snr^2``. Solvers
        that learn the noise do not use it.
    loose : float or "auto"
        0 fixed along the cortical normal, between 0 and 1 loose, 1 free; "auto" is 0.2 on
        surfaces and 0 for regions.
    depth : float, dict, None or "auto"
        Depth weighting (exponent, or the arguments of `mne.forward.compute_depth_prior`); "auto"
        is the solver's own default.
    pick_ori : None, "normal" or "vector"
        For loose and free orientation: length of the vector, its normal component, or all three.
    space : str
        Source space on the template: "ico4" (5,124 vertices), "ico5", "ico3", "oct6", "oct5",
        "oct4", or "regions" (994); "auto" is what the solver asks for.
    head : str
        "template"; an `mne.Forward` given to :meth:`fit` takes its place.
    rank : None, "info", "full" or dict
        As for `mne.compute_rank`.
    **solver_options
        Arguments of the solver's class.

    Attributes
    ----------
    spec_ : SolverSpec
    forward_ : mne.Forward
        Oriented, channels in the order of ``info_``.
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
        How the electrodes met the template; None with a forward of one's own.
    solution_ : Solution
        Of the last :meth:`apply`, with its certificate.

    Examples
    --------
    >>> imager = SourceImager("sloreta", loose=1).fit(evoked.info)  # doctest: +SKIP
    >>> stc = imager.apply(evoked)  # doctest: +SKIP
    """

    def __init__(
        self,
        solver: str = "sloreta",
        *,
        snr: float = 3.0,
        loose: float | str = "auto",
        depth: float | Mapping[str, Any] | str | None = "auto",
        pick_ori: str | None = None,
        space: str = "auto",
        head: str = "template",
        rank: Any = None,
        **solver_options: Any,
    ) -> None:
        self.solver = solver
        self.snr = snr
        self.loose = loose
        self.depth = depth
        self.pick_ori = pick_ori
        self.space = space
        self.head = head
        self.rank = rank
        self.solver_options = solver_options
        self.spec_: SolverSpec = spec(solver)
        self._solver: Solver = self._make()
        if pick_ori not in PICKS:
            raise MajorantError(f"pick_ori is {pick_ori!r}; expected None, 'normal' or 'vector'")
        if head != "template":
            raise MajorantError(
                f"there is no head {head!r}; use 'template', or give fit an mne.Forward"
            )
        self._model: SourceModel | None = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments that make an imager like this one."""
        names = ("solver", "snr", "loose", "depth", "pick_ori", "space", "head", "rank")
        return {**{name: getattr(self, name) for name in names}, **self.solver_options}

    def __repr__(self) -> str:
        default = inspect.signature(type(self)).parameters
        changed = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if name != "solver" and (name not in default or value != default[name].default)
        ]
        return f"SourceImager({', '.join([repr(self.solver), *changed])})"

    def _make(self) -> Solver:
        """Make the solver; the options that it does not know are named."""
        known = _options_of(self.spec_)
        unknown = [name for name in self.solver_options if name not in known]
        if unknown:
            raise MajorantError(
                f"{self.spec_.name} has no option {', '.join(unknown)}; it has {', '.join(known)}"
            )
        own = {"snr": self.snr} if "snr" in known else {}
        _refuse_words(self.spec_, self.solver_options)
        return self.spec_.make(**{**own, **self.solver_options})

    @property
    def model(self) -> SourceModel:
        """Oriented lead field and prior, once fitted."""
        if self._model is None:
            raise MajorantError("the imager is not fitted; call fit(info) first")
        return self._model

    @property
    def uses_snr(self) -> bool:
        """Whether the solver is told the signal-to-noise ratio."""
        return "snr" in _options_of(self.spec_)

    def fit(
        self,
        info: Any,
        forward: Any | None = None,
        noise_cov: Any | None = None,
        *,
        progress: Callable[[str], None] | None = None,
    ) -> Self:
        """Prepare lead field and whitening for a set of channels.

        Parameters
        ----------
        info : mne.Info
            Of the data; bad channels are left out.
        forward : mne.Forward or None
            None computes one for the electrodes on the template head.
        noise_cov : mne.Covariance or None
            Of a single trial, as everywhere in MNE. None assumes independent noise.
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
        import mne

        info = _referenced(info, only_eeg=forward is None)
        if noise_cov is None:
            noise_cov = mne.make_ad_hoc_cov(info, std={"eeg": AD_HOC_STD}, verbose="error")
        leadfield, self.alignment_ = None, None
        if forward is None:
            template = template_forward(info, self._space(), progress)
            forward, leadfield = template.forward, template.leadfield
            self.alignment_ = template.alignment
        elif self.spec_.space == "regions":
            raise MajorantError(
                f"{self.spec_.title} works on the 994 regions of the template; leave the forward "
                "out, or choose a solver for any source space"
            )
        depth = self.spec_.depth if self.depth == "auto" else self.depth
        if isinstance(depth, str):
            raise MajorantError(f"depth is {depth!r}; expected 'auto', None, a number or a dict")
        self._model, self.info_ = source_model(
            forward, info, noise_cov, loose=self.loose, depth=depth, leadfield=leadfield
        )
        self._refuse_orientation(self._model.loose)
        self.forward_, self.leadfield_ = self._model.forward, self._model.leadfield
        self.noise_cov_ = mne.pick_channels_cov(noise_cov, self.info_["ch_names"], ordered=True)
        check_covariance(self.noise_cov_, self.info_)
        self.whitener_ = self._whitener()
        self.rank_ = len(self.whitener_)
        return self

    def _space(self) -> str:
        wanted = self.space
        if wanted == "auto":
            return "regions" if self.spec_.space == "regions" else SURFACE_SPACE
        if self.spec_.space == "regions" and wanted != "regions":
            raise MajorantError(
                f"{self.spec_.title} works on the 994 regions of the template, not on {wanted}; "
                "use space='regions'"
            )
        return wanted

    def _refuse_orientation(self, loose: float) -> None:
        kind = "fixed" if loose == 0 else "free" if loose == 1 else "loose"
        if kind not in self.spec_.orientations:
            raise MajorantError(
                f"{self.spec_.title} cannot treat {kind} orientation, only "
                f"{', '.join(self.spec_.orientations)}; set loose accordingly"
            )
        if kind == "fixed" and self.pick_ori is not None:
            raise MajorantError(
                f"pick_ori={self.pick_ori!r} needs loose or free orientation; the orientation is "
                "fixed here, so leave pick_ori out or set loose above 0"
            )

    def _whitener(self) -> NDArray[np.float64]:
        import mne

        found: Any = mne.cov.compute_whitener(
            self.noise_cov_,
            self.info_,
            picks=list(self.info_["ch_names"]),
            rank=self.rank,
            pca=True,
            on_rank_mismatch="ignore",
            verbose="error",
        )
        return found[0]

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
        model = self.model
        missing = [name for name in self.info_["ch_names"] if name not in evoked.ch_names]
        if missing:
            raise MajorantError(
                f"the data lack {', '.join(missing[:8])}, which the imager was fitted to; fit it "
                "to the info of these data"
            )
        rows = [evoked.ch_names.index(name) for name in self.info_["ch_names"]]
        # The noise of an average of nave trials is C / nave: here, once, and nowhere else.
        white = as_tensor(np.sqrt(max(evoked.nave, 1)) * self.whitener_)
        data = as_tensor(evoked.data[rows])
        operator = model.leadfield.transformed(white).operator()
        return Problem(operator, (white @ data)[None], source_prior=as_tensor(model.prior))

    def solve(self, evoked: Any, progress: Callable[[int, int], None] | None = None) -> Solution:
        """Solve for an average and keep the solution as ``solution_``.

        Parameters
        ----------
        evoked : mne.Evoked
        progress : callable, optional
            Called with (iterations done, iteration limit).
        """
        from majorant.learned.mmnet import MMNet
        from majorant.learned.overlap import solve_long
        from majorant.solvers.loop import solve

        problem = self.problem(evoked)
        if isinstance(self._solver, MMNet):
            if self.leadfield_ is not None:
                self._solver.require(self.leadfield_)
            learned = self._solver.with_sfreq(float(evoked.info["sfreq"]))
            self.solution_ = solve_long(problem, learned, progress=progress)
        else:
            self.solution_ = solve(problem, self._solver, progress=progress)
        return self.solution_

    def apply(self, evoked: Any, progress: Callable[[int, int], None] | None = None) -> Any:
        """Image an average.

        Parameters
        ----------
        evoked : mne.Evoked
        progress : callable, optional
            Called with (iterations done, iteration limit).

        Returns
        -------
        mne.SourceEstimate
            On the vertices of the source space (regions: of fsaverage5); signed for fixed
            orientation or ``pick_ori="normal"``, else lengths. A `mne.VectorSourceEstimate` for
            ``pick_ori="vector"``, and the volume classes for volumes.
        """
        solution = self.solve(evoked, progress)
        values = combined(solution.estimate[0].numpy(), self.model, self.pick_ori)
        return as_estimate(values, self.model, float(evoked.times[0]), evoked.info["sfreq"])


def _options_of(solver: SolverSpec) -> tuple[str, ...]:
    """Names of the options of a solver's class."""
    return tuple(inspect.signature(solver.load()).parameters)


def _refuse_words(solver: SolverSpec, options: Mapping[str, Any]) -> None:
    """Refuse what is no number where a solver's class takes one."""
    for name, parameter in inspect.signature(solver.load()).parameters.items():
        if name not in options or not isinstance(parameter.default, int | float):
            continue
        usual, given = parameter.default, options[name]
        if not isinstance(given, int | float):
            raise MajorantError(
                f"{name} is {given!r}; expected a value such as {solver.options.get(name, usual)}"
            )


def _referenced(info: Any, only_eeg: bool) -> Any:
    """A copy of `info` with an average-reference projector, without other channel types."""
    import mne
    from mne.proj import make_eeg_average_ref_proj

    picks = mne.pick_types(info, meg=not only_eeg, eeg=True, exclude="bads")
    if len(picks) == 0:
        raise MajorantError(
            "there are no good EEG channels to image; check types and bads of the info"
        )
    info = mne.pick_info(info, picks)
    has_eeg = len(mne.pick_types(info, meg=False, eeg=True)) > 0
    with info._unlock():
        info["custom_ref_applied"] = 0
        if has_eeg and not has_average_reference(info):
            projector = make_eeg_average_ref_proj(info, activate=False, verbose="error")
            info["projs"] = [*info["projs"], projector]
    return info
