"""The one list of solvers: what each is, what it promises, what it needs, how to cite it.

Adding a solver is one file and one entry here: the command line's choice, the contract tests, the
benchmark row, the table in the docs and the citation all come from the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import Any, Literal

from majorant.errors import MajorantError, nearest

Orientation = Literal["fixed", "loose", "free"]


@dataclass(frozen=True)
class SolverSpec:
    """One solver of the package.

    Attributes
    ----------
    name : str
        Name on the command line and in Python.
    target : str
        ``"module:Class"``, imported when the solver is made.
    title : str
        Name in tables and on pages.
    summary : str
        What it does, in one sentence.
    guarantee : str
        What holds for every estimate, in one sentence.
    orientations : tuple of str
        Orientations it can treat.
    space : {"any", "regions"}
        Source spaces it can treat; ``"regions"`` asks for the 994 regions of the template.
    linear : bool
        Whether the estimate is linear in the data, with one kernel for all of them.
    adaptive : bool
        Whether the estimate is linear once its kernel was made from the covariance of the data.
    snr : bool
        Whether it is told the signal-to-noise ratio; the others learn what they need of it.
    covariance : bool
        Whether it can image a covariance: it looks at no more than second moments of the data.
    window : float or None
        Windows of continuous data that are solved together, s; None where every sample is solved
        for itself, with one kernel.
    depth : float or None
        Default depth weighting; None for solvers that correct for depth themselves.
    citation : str
        How to cite it.
    options : mapping
        Arguments of the class that differ from its defaults.
    """

    name: str
    target: str
    title: str
    summary: str
    guarantee: str
    orientations: tuple[Orientation, ...]
    citation: str
    space: Literal["any", "regions"] = "any"
    linear: bool = True
    adaptive: bool = False
    snr: bool = False
    covariance: bool = True
    window: float | None = None
    depth: float | None = None
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def load(self) -> Any:
        """Import the class."""
        module, name = self.target.split(":")
        return getattr(import_module(module), name)

    def make(self, **options: Any) -> Any:
        """Import the class and make the solver."""
        return self.load()(**{**self.options, **options})


_ALL = ("fixed", "loose", "free")
_CLOSED_FORM = "Closed form; the residual of the normal equations is reported."

_SOLVERS: dict[str, SolverSpec] = {
    spec.name: spec
    for spec in (
        SolverSpec(
            "auto",
            "majorant.weights.auto:auto",
            "Mean of three",
            "The patch scan, unfolded SBL and sLORETA, each to unit norm, averaged: they make "
            "different mistakes.",
            "The mean disagrees less with all members together than any of them does, and each "
            "member keeps its own guarantee.",
            _ALL,
            "Its members",
            linear=False,
            snr=True,
            window=1.0,
        ),
        SolverSpec(
            "mne",
            "majorant.solvers.linear:MinimumNorm",
            "MNE",
            "Minimum-norm estimate: the smallest sources that explain the data.",
            _CLOSED_FORM,
            _ALL,
            "Hämäläinen & Ilmoniemi (1994), doi:10.1007/BF02512476",
            snr=True,
            depth=0.8,
        ),
        SolverSpec(
            "dspm",
            "majorant.solvers.linear:DSPM",
            "dSPM",
            "Minimum norm divided by its noise: a map of signal-to-noise ratios.",
            _CLOSED_FORM,
            _ALL,
            "Dale et al. (2000), doi:10.1016/S0896-6273(00)81138-1",
            snr=True,
            depth=0.8,
        ),
        SolverSpec(
            "sloreta",
            "majorant.solvers.linear:SLORETA",
            "sLORETA",
            "Minimum norm standardised by the variance that it expects of itself.",
            _CLOSED_FORM
            + " Zero localisation error for one source of fixed orientation without noise.",
            _ALL,
            "Pascual-Marqui (2002), Methods Find Exp Clin Pharmacol 24D:5-12",
            snr=True,
        ),
        SolverSpec(
            "eloreta",
            "majorant.solvers.eloreta:ELORETA",
            "eLORETA",
            "Minimum norm with the weights that remove its bias; smooth maps, exact for one "
            "source without noise.",
            _CLOSED_FORM + " Zero localisation error for one source of fixed or free orientation "
            "without noise.",
            _ALL,
            "Pascual-Marqui (2007), arXiv:0710.3341",
            snr=True,
        ),
        SolverSpec(
            "lcmv",
            "majorant.solvers.lcmv:LCMV",
            "LCMV",
            "Beamformer: passes each location and suppresses everything else in the data.",
            "Unit noise gain at every location; blind to sources that are correlated.",
            _ALL,
            "Van Veen et al. (1997), doi:10.1109/10.623056",
            linear=False,
            adaptive=True,
        ),
        SolverSpec(
            "champagne",
            "majorant.solvers.champagne:Champagne",
            "Champagne",
            "Sparse Bayesian learning of source and noise variances together; few, sharp "
            "sources with posterior variance.",
            "The evidence cost never rises; every rise would be counted.",
            _ALL,
            "Wipf et al. (2010), doi:10.1016/j.neuroimage.2009.06.083; "
            "Cai et al. (2021), doi:10.1016/j.neuroimage.2020.117411",
            linear=False,
            window=1.0,
        ),
        SolverSpec(
            "scan",
            "majorant.solvers.scan:Scan",
            "Patch scan",
            "A few patches of any size, from a single location to 38 mm, found by alternating "
            "projections; their number by the BIC, the estimate a mean over patches that fit.",
            "The negative log-likelihood never rises, whatever the number of patches: a sweep "
            "takes only what explains more.",
            _ALL,
            "Ziskind & Wax (1988), doi:10.1109/29.7543; Adler et al. (2024), "
            "doi:10.1016/j.bspc.2023.105796",
            linear=False,
            window=1.0,
        ),
        SolverSpec(
            "mm-net",
            "majorant.weights.shipped:mm_net",
            "MM-Net",
            "A recurrent network predicts the curvature of an energy with a learned prior; a few "
            "compact sources, sharp in space.",
            "The returned energy never rises, for any weights and any number of iterations: a "
            "guard decides every two steps.",
            ("fixed",),
            "MM-Net (2026), Majorization-Minimization Networks for Inverse Problems: An "
            "Application to EEG Imaging, arXiv",
            space="regions",
            linear=False,
            covariance=False,
            window=0.25,
        ),
        SolverSpec(
            "unfolded-sbl",
            "majorant.weights.sbl:unfolded_sbl",
            "Unfolded SBL",
            "Ten layers of sparse Bayesian learning with learned corrections: several sources "
            "with posterior standard deviation.",
            "The evidence cost never rises: corrections are shortened by a bound in closed "
            "form (mode free promises nothing).",
            _ALL,
            "Structure-Preserving Correction Learning for Sparse Bayesian Inference in Brain "
            "Source Imaging (2026), arXiv:2606.07196",
            linear=False,
            window=1.0,
        ),
    )
}
SOLVERS: Mapping[str, SolverSpec] = MappingProxyType(_SOLVERS)


def spec(name: str) -> SolverSpec:
    """Look a solver up by name.

    Raises
    ------
    MajorantError
        If there is none of that name; the sentence lists those that exist.
    """
    key = name.lower().replace("_", "-")
    if key not in SOLVERS:
        raise MajorantError(
            f"there is no solver {name!r}{nearest(key, SOLVERS)}; choose one of "
            f"{', '.join(SOLVERS)}"
        )
    return SOLVERS[key]


def register(solver: SolverSpec) -> SolverSpec:
    """Add a solver of one's own, so that every door of the package knows it by name.

    Parameters
    ----------
    solver : SolverSpec
        Its ``target`` names a class that can be imported.

    Returns
    -------
    SolverSpec
        The same.

    Raises
    ------
    MajorantError
        If the name is taken by another solver, or is not in lower case with hyphens.
    """
    if solver.name != solver.name.lower().replace("_", "-"):
        raise MajorantError(f"{solver.name!r} is no name; write it in lower case, with hyphens")
    if _SOLVERS.get(solver.name, solver) != solver:
        raise MajorantError(f"there is a solver {solver.name!r} already; choose another name")
    _SOLVERS[solver.name] = solver
    return solver


def able(can: Callable[[SolverSpec], bool]) -> str:
    """Name the solvers that can do something, for the sentence that refuses those that cannot."""
    return ", ".join(name for name, solver in SOLVERS.items() if can(solver))


def make(name: str, **options: Any) -> Any:
    """Make a solver by name, with the options of its class."""
    return spec(name).make(**options)
