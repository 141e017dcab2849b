"""What is asked for against what a solver can: said before any work, with those that can."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from majorant.head.spaces import SourceSpace
from majorant.imager.estimate import PICKS
from majorant.problem import MajorantError
from majorant.recording.rank import check_rank
from majorant.registry import SolverSpec, able
from majorant.solvers.abilities import Orientation
from majorant.solvers.tikhonov import check_settings

__all__ = [
    "check_able",
    "check_heads",
    "check_options",
    "check_region",
    "check_words",
    "options_of",
]

HEADS = ("auto", "template", "warped")


def options_of(solver: SolverSpec) -> tuple[str, ...]:
    """Names of the options of a solver's class."""
    return tuple(inspect.signature(solver.load()).parameters)


def check_words(pick_ori: str | None, reference: str | None, head: str, rank: Any = None) -> None:
    """Refuse settings that are none of the words they may be.

    Raises
    ------
    MajorantError
        Naming the words.
    """
    check_rank(rank)
    if pick_ori not in PICKS:
        raise MajorantError(
            f"pick_ori is {pick_ori!r}; expected None, 'normal', 'vector' or 'max-power'"
        )
    if reference not in ("average", None):
        raise MajorantError(f"reference is {reference!r}; expected 'average' or None")
    if head not in HEADS:
        raise MajorantError(
            f"there is no head {head!r}; use 'auto', 'template' or 'warped', name a subject, or "
            "give fit an mne.Forward"
        )


def check_heads(heads: int, own: bool = False) -> None:
    """Refuse numbers of heads that are none, and heads around one of one's own.

    Raises
    ------
    MajorantError
        Saying what can be had.
    """
    if heads != int(heads) or heads < 1:
        raise MajorantError(f"{heads} heads were asked for; give a whole number from 1 on")
    if heads > 1 and own:
        raise MajorantError(
            "several heads are drawn around the template, and this is a head of one’s own; leave "
            "heads out"
        )


def check_region(coverage: float | None) -> float | None:
    """Refuse what is no probability of a region.

    Raises
    ------
    MajorantError
        If it is not between 0.5 and 0.99.
    """
    if coverage is None:
        return None
    if not isinstance(coverage, int | float) or not 0.5 <= coverage <= 0.99:
        raise MajorantError(
            f"a region of probability {coverage!r} was asked for; expected 0.5 to 0.99, such as 0.9"
        )
    return float(coverage)


def check_options(solver: SolverSpec, options: Mapping[str, Any], snr: float | str) -> None:
    """Make the solver once, so that whatever it refuses is refused now.

    Raises
    ------
    MajorantError
        If an option is unknown or of the wrong kind, or a ratio is to be chosen for a solver that
        does not use one.
    """
    known = options_of(solver)
    unknown = [name for name in options if name not in known]
    if unknown:
        raise MajorantError(
            f"{solver.name} has no option {', '.join(unknown)}; it has {', '.join(known)}"
        )
    _refuse_words(solver, options)
    if isinstance(snr, str):
        if snr not in ("gcv", "evidence"):
            raise MajorantError(
                f"snr is {snr!r}; expected a positive ratio of amplitudes, 'gcv' or 'evidence'"
            )
        if not solver.abilities.snr:
            raise MajorantError(
                f"{solver.title} learns its regularisation itself, so there is no snr to choose; "
                f"leave snr out, or take one of {able(lambda s: s.snr)}"
            )
    else:
        check_settings(snr, None)
    own = {"snr": snr} if solver.abilities.snr and not isinstance(snr, str) else {}
    solver.make(**{**own, **options})


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


def check_able(
    solver: SolverSpec,
    space: str = "auto",
    forward: Any | None = None,
    subject: str | None = None,
    data_cov: Any | None = None,
    *,
    orientation: Orientation | None = None,
) -> None:
    """Refuse what a solver cannot do.

    Parameters
    ----------
    solver : SolverSpec
    space : str
        Source space asked for.
    forward : mne.Forward or None
    subject : str or None
    data_cov : mne.Covariance or None
    orientation : {"fixed", "loose", "free"} or None

    Raises
    ------
    MajorantError
        Naming the solvers that can.
    """
    if orientation is not None and orientation not in solver.abilities.orientations:
        raise MajorantError(
            f"{solver.title} cannot treat {orientation} orientation, only "
            f"{', '.join(solver.abilities.orientations)}; set loose accordingly, or take one of "
            f"{able(lambda s: orientation in s.orientations)}"
        )
    if forward is not None and subject is not None:
        raise MajorantError(
            f"a forward solution and the subject {subject!r} were both given; a forward has its "
            "own head, so leave one of them out"
        )
    if data_cov is not None and not solver.abilities.adaptive:
        raise MajorantError(
            f"{solver.title} does not adapt to a covariance of the data; leave data_cov out, or "
            f"take one of {able(lambda s: s.adaptive)}"
        )
    if solver.abilities.space != "regions":
        return
    if space not in ("auto", "regions"):
        raise MajorantError(
            f"{solver.title} works on the 994 regions of the template, not on {space}; "
            f"use space='regions', or for any source space one of {_anywhere()}"
        )
    if forward is None:
        return
    kind = SourceSpace.of(forward["src"]).kind
    if kind != "surface":
        raise MajorantError(
            f"{solver.title} works on the 994 regions of the cortex, and this forward has a "
            f"{kind} source space; give one on the two cortical surfaces, leave the forward out "
            f"to use the template, or take one of {_anywhere()}"
        )


def _anywhere() -> str:
    return able(lambda s: s.space == "any")
