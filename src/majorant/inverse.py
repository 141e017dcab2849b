"""The calls of `mne.minimum_norm` with any solver behind them: one import changes in a script.

``from mne.minimum_norm import ...`` becomes ``from majorant.inverse import ...``. MNE's four
methods give MNE's numbers; every other solver is called in the same way. `SourceImager` does the
work.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, final

import numpy as np

from majorant.errors import MajorantError
from majorant.imager.imager import SourceImager
from majorant.registry import spec

__all__ = [
    "InverseOperator",
    "apply_inverse",
    "apply_inverse_epochs",
    "apply_inverse_raw",
    "make_inverse_operator",
]

DEPTH = 0.8
"""MNE's default exponent, for MNE's four methods."""
MNES = ("mne", "dspm", "sloreta", "eloreta")


@final
class InverseOperator(Mapping[str, Any]):
    """A head, a noise covariance and a solver; made by :func:`make_inverse_operator`.

    It answers to the keys of MNE's that scripts read: ``"src"`` (`mne.SourceSpaces`), ``"info"``,
    ``"noise_cov"``, ``"nsource"``, ``"nave"``.

    Parameters
    ----------
    given : tuple
        `info`, `forward` and `noise_cov`, as they came.
    solver : str
        Used where no method is named.
    settings : mapping
        Of the imager: orientation, depth, rank, space and the like.
    options : mapping
        Of the solver.

    Attributes
    ----------
    solver : str
    imager : SourceImager
        Of the solver, fitted.
    """

    def __init__(
        self,
        given: tuple[Any, Any, Any],
        solver: str,
        settings: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> None:
        self.solver = solver
        self._given, self._settings, self._options = given, dict(settings), dict(options)
        self._imagers: dict[str, SourceImager] = {}
        self.imager = self.fitted(None, 1 / 9, None, 1, None)

    def fitted(
        self,
        method: str | None,
        lambda2: float | str,
        pick_ori: str | None,
        nave: int,
        options: Mapping[str, Any] | None,
    ) -> SourceImager:
        """The imager of a method, fitted once for every set of arguments; see `apply_inverse`.

        Raises
        ------
        MajorantError
            If the arguments make no sense, or do not fit together.
        """
        name = self.solver if method is None else _solver(method)
        own = self._options if name == self.solver else {}
        settings = dict(self._settings, pick_ori=pick_ori)
        abilities = spec(name).abilities
        if abilities.snr:
            settings["snr"] = _snr(lambda2)
        if settings["depth"] == "auto" and name in MNES:
            settings["depth"] = DEPTH
        settings |= {**own, **(options or {})}
        key = repr((name, nave, sorted(settings.items())))
        if key not in self._imagers:
            info, forward, noise_cov = self._given
            noise_cov = _of_average(noise_cov, nave)
            self._imagers[key] = SourceImager(name, **settings).fit(info, forward, noise_cov)
        return self._imagers[key]

    def __getitem__(self, key: str) -> Any:
        imager = self.imager
        forward = imager.forward_
        assert forward is not None
        held = {
            "src": lambda: forward["src"],
            "info": lambda: imager.info_,
            "noise_cov": lambda: imager.noise_cov_,
            "nsource": lambda: imager.leadfield_.n_locations,
            "nave": lambda: 1,
        }
        return held[key]()

    def __iter__(self) -> Iterator[str]:
        return iter(("src", "info", "noise_cov", "nsource", "nave"))

    def __len__(self) -> int:
        return 5

    def __repr__(self) -> str:
        return (
            f"<InverseOperator | {self.solver}, {len(self['info']['ch_names'])} channels, "
            f"{self['nsource']} sources, {self.imager.model.orientation} orientation>"
        )


def make_inverse_operator(
    info: Any,
    forward: Any | None = None,
    noise_cov: Any | None = None,
    loose: float | Mapping[str, float] | str = "auto",
    depth: float | Mapping[str, Any] | str | None = "auto",
    fixed: bool | str = "auto",
    rank: Any = None,
    *,
    solver: str = "auto",
    verbose: Any = None,
    **options: Any,
) -> InverseOperator:
    """Prepare what the other three calls need, as `mne.minimum_norm.make_inverse_operator` does.

    Parameters
    ----------
    info : mne.Info, mne.Evoked, mne.BaseEpochs or mne.io.BaseRaw
        Data say more than their ``info``; see :meth:`majorant.SourceImager.fit`.
    forward : mne.Forward or None
        None: the template, or the `subject` among the options.
    noise_cov : mne.Covariance or None
        Of a single trial. None: the baseline of data that have one, else independent noise.
    loose : float, dict or "auto"
    depth : float, dict, None or "auto"
        "auto" is MNE's 0.8 for MNE's four methods, and every other solver's own.
    fixed : bool or "auto"
        True is ``loose=0``.
    rank : None, "info", "full" or dict
    solver : str
        Which is used where no `method` is named later: any name of ``majorant --help``.
    verbose : bool, str or None
        Of MNE's messages.
    **options
        Arguments of :class:`majorant.SourceImager` (`space`, `subject`, `head`, ...) and of the
        solver.

    Returns
    -------
    InverseOperator

    Raises
    ------
    MajorantError
        If channels, orientation, source space and solver do not fit together.
    """
    if fixed not in ("auto", True, False):
        raise MajorantError(f"fixed is {fixed!r}; expected True, False or 'auto'")
    if fixed is True:
        if loose not in ("auto", 0, 0.0):
            raise MajorantError(
                f"fixed=True and loose={loose!r} contradict each other; leave one of them out"
            )
        loose = 0.0
    for name in ("pick_ori", "snr"):
        if name in options:
            raise MajorantError(
                f"{name} belongs to apply_inverse: give pick_ori there, and lambda2 for the snr"
            )
    names = ("space", "head", "circumference", "skull", "reference", "subject", "subjects_dir",
             "trans")  # fmt: skip
    settings = {name: options.pop(name) for name in names if name in options}
    settings |= {"loose": loose, "depth": depth, "rank": rank}
    with _speaking(verbose):
        return InverseOperator((info, forward, noise_cov), _solver(solver), settings, options)


def apply_inverse(
    evoked: Any,
    inverse_operator: InverseOperator,
    lambda2: float | str = 1 / 9,
    method: str | None = None,
    pick_ori: str | None = None,
    *,
    label: Any | None = None,
    method_params: Mapping[str, Any] | None = None,
    verbose: Any = None,
) -> Any:
    """Image an average, as `mne.minimum_norm.apply_inverse` does.

    Parameters
    ----------
    evoked : mne.Evoked
    inverse_operator : InverseOperator
    lambda2 : float, "gcv" or "evidence"
        ``1 / snr^2``; a word chooses it from the data. Solvers that learn the noise take no notice.
    method : str or None
        "MNE", "dSPM", "sLORETA", "eLORETA" or any solver; None is that of the operator.
    pick_ori : None, "normal", "vector" or "max-power"
    label : mne.Label or None
        Restricts the estimate to a part of the cortex.
    method_params : mapping or None
        Options of the solver, such as eLORETA's ``{"max_iter": 40}``.
    verbose : bool, str or None

    Returns
    -------
    mne.SourceEstimate, or the class of the source space and of ``pick_ori``

    Raises
    ------
    MajorantError
        If the arguments make no sense, channels are missing, or there is no such solver.
    """
    with _speaking(verbose):
        imager = _imager(inverse_operator, method, lambda2, pick_ori, 1, method_params)
        return _within(imager.apply(evoked), label)


def apply_inverse_epochs(
    epochs: Any,
    inverse_operator: InverseOperator,
    lambda2: float | str,
    method: str | None = None,
    label: Any | None = None,
    nave: int = 1,
    pick_ori: str | None = None,
    return_generator: bool = False,
    *,
    method_params: Mapping[str, Any] | None = None,
    verbose: Any = None,
) -> Any:
    """Image trial by trial, as `mne.minimum_norm.apply_inverse_epochs` does.

    Parameters
    ----------
    epochs : mne.BaseEpochs
    inverse_operator : InverseOperator
    lambda2, method, pick_ori, label, method_params, verbose
        As for :func:`apply_inverse`.
    nave : int
        Averages behind each trial, by which the noise covariance is divided.
    return_generator : bool
        One after the other instead of a list.

    Returns
    -------
    list or generator of estimates

    Raises
    ------
    MajorantError
        As :func:`apply_inverse`.
    """
    with _speaking(verbose):
        imager = _imager(inverse_operator, method, lambda2, pick_ori, nave, method_params)
        trials = imager.apply(epochs, return_generator=True)
        each = (_within(trial, label) for trial in trials)
        return each if return_generator else list(each)


def apply_inverse_raw(
    raw: Any,
    inverse_operator: InverseOperator,
    lambda2: float | str,
    method: str | None = None,
    label: Any | None = None,
    start: int | None = None,
    stop: int | None = None,
    nave: int = 1,
    pick_ori: str | None = None,
    *,
    method_params: Mapping[str, Any] | None = None,
    verbose: Any = None,
) -> Any:
    """Image a window of continuous data, as `mne.minimum_norm.apply_inverse_raw` does.

    Parameters
    ----------
    raw : mne.io.BaseRaw
    inverse_operator : InverseOperator
    lambda2, method, pick_ori, label, method_params, verbose
        As for :func:`apply_inverse`.
    start, stop : int or None
        First sample, and the one after the last.
    nave : int
        As for :func:`apply_inverse_epochs`.

    Returns
    -------
    mne.SourceEstimate, or the class of the source space and of ``pick_ori``

    Raises
    ------
    MajorantError
        As :func:`apply_inverse`; and if the estimate does not fit into memory
        (:meth:`majorant.SourceImager.stream` takes data of any length).
    """
    with _speaking(verbose):
        imager = _imager(inverse_operator, method, lambda2, pick_ori, nave, method_params)
        return _within(imager.apply(raw, start=start, stop=stop), label)


def _imager(
    operator: InverseOperator,
    method: str | None,
    lambda2: float | str,
    pick_ori: str | None,
    nave: int,
    options: Mapping[str, Any] | None,
) -> SourceImager:
    if not isinstance(operator, InverseOperator):
        raise MajorantError(
            f"the inverse operator is a {type(operator).__name__}; make it with "
            "majorant.inverse.make_inverse_operator (MNE's own belongs to MNE's apply_inverse)"
        )
    return operator.fitted(method, lambda2, pick_ori, nave, options)


def _solver(method: Any) -> str:
    """The registry's name of a method, in MNE's spelling or ours."""
    return spec(method).name


def _snr(lambda2: float | str) -> float | str:
    """The ratio of amplitudes that a regularisation stands for; words are the imager's."""
    if isinstance(lambda2, str):
        return lambda2
    if not (isinstance(lambda2, int | float) and 0 < lambda2 < np.inf):
        raise MajorantError(
            f"lambda2 is {lambda2!r}; expected 1 / snr^2, such as 1 / 9, or 'gcv' or 'evidence'"
        )
    return float(lambda2) ** -0.5


def _of_average(noise_cov: Any | None, nave: int) -> Any | None:
    """The noise covariance of an average of trials."""
    if not (isinstance(nave, int | np.integer) and nave >= 1):
        raise MajorantError(f"nave is {nave!r}; expected a number of trials, 1 or more")
    if nave == 1:
        return noise_cov
    if noise_cov is None:
        raise MajorantError(
            f"nave is {nave}, and the operator was made without a noise covariance to divide by "
            "it; give make_inverse_operator one"
        )
    divided = noise_cov.copy()
    divided["data"] = divided["data"] / nave
    # What was decomposed is of the old one.
    divided["eig"] = divided["eigvec"] = None
    return divided


def _within(stc: Any, label: Any | None) -> Any:
    """The part of an estimate that lies in a label."""
    import mne

    if label is None:
        return stc
    if not isinstance(label, mne.Label | mne.BiHemiLabel):
        raise MajorantError(f"the label is a {type(label).__name__}; expected an mne.Label")
    if not isinstance(stc, mne.SourceEstimate | mne.VectorSourceEstimate):
        raise MajorantError(
            "a label is a part of the cortex, and this estimate is not of a cortex; leave label "
            "out, and pick from the estimate by its vertices"
        )
    try:
        return stc.in_label(label)
    except ValueError as error:
        raise MajorantError(
            f"the source space has no vertex in the label {label.name!r}; take a larger label or a "
            "finer source space"
        ) from error
    except RuntimeError as error:
        raise MajorantError(
            f"the label is of the subject {label.subject!r} and the estimate of {stc.subject!r}; "
            "morph one of them (mne.compute_source_morph, label.morph)"
        ) from error


def _speaking(verbose: Any) -> AbstractContextManager[Any]:
    """MNE's messages as loud as asked for."""
    import mne

    return nullcontext() if verbose is None else mne.utils.use_log_level(verbose)
