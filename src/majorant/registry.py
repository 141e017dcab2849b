"""The one list of solvers: what each is, what it promises, how to cite it.

What a solver can do and needs, its class says (:class:`majorant.solvers.abilities.Abilities`).

Adding a solver is one file and one entry here: the command line's choice, the contract tests, the
benchmark row, the table in the docs and the citation all come from the entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import signature
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_type_hints

from majorant.errors import MajorantError, nearest

if TYPE_CHECKING:
    from majorant.solvers.abilities import Abilities


@dataclass(frozen=True)
class SolverSpec:
    """One solver of the package.

    Attributes
    ----------
    name : str
        Name on the command line and in Python.
    target : str
        ``"module:Class"``, imported when the solver is made; or a function whose annotation says
        which class it returns.
    title : str
        Name in tables and on pages.
    summary : str
        What it does, in one sentence.
    guarantee : str
        What holds for every estimate, in one sentence.
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
    citation: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def abilities(self) -> Abilities:
        """What its class says that it can do, and needs."""
        target = self.load()
        # Weights are read by functions, which say by their annotation what they make.
        made = target if isinstance(target, type) else get_type_hints(target)["return"]
        return made.abilities

    def load(self) -> Any:
        """Import the class, or the function that makes one with its weights."""
        module, name = self.target.split(":")
        return getattr(import_module(module), name)

    def make(self, **options: Any) -> Any:
        """Import the class and make the solver.

        Raises
        ------
        MajorantError
            If it has no option of such a name, or a value makes no sense.
        """
        made = self.load()
        known = signature(made).parameters
        unknown = [name for name in options if name not in known]
        if unknown and not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            raise MajorantError(
                f"{self.name} has no option {unknown[0]!r}{nearest(unknown[0], known)}; it has "
                f"{', '.join(known) or 'none'}"
            )
        return made(**{**self.options, **options})


_CLOSED_FORM = "Closed form, the minimum itself; the residual of the normal equations is reported."
_SCAN_HOLDS = (
    "The negative log-likelihood of the patches, before the mean over those that fit, never rises, "
    "whatever their number: a sweep takes only what explains more."
)
_SCAN_FROM = (
    "Ziskind & Wax (1988), doi:10.1109/29.7543; Adler et al. (2024), doi:10.1016/j.bspc.2023.105796"
)

_SOLVERS: dict[str, SolverSpec] = {
    spec.name: spec
    for spec in (
        SolverSpec(
            "auto",
            "majorant.solvers.scan:Scan",
            "Auto: patch scan",
            "The default: the solver with the least earth mover's distance on everyday data, which "
            "is the patch scan.",
            _SCAN_HOLDS,
            _SCAN_FROM,
        ),
        SolverSpec(
            "mne",
            "majorant.solvers.linear:MinimumNorm",
            "MNE",
            "Minimum-norm estimate: the smallest sources that explain the data.",
            _CLOSED_FORM,
            "Hämäläinen & Ilmoniemi (1994), doi:10.1007/BF02512476",
        ),
        SolverSpec(
            "dspm",
            "majorant.solvers.linear:DSPM",
            "dSPM",
            "Minimum norm divided by its noise: a map of signal-to-noise ratios.",
            _CLOSED_FORM,
            "Dale et al. (2000), doi:10.1016/S0896-6273(00)81138-1",
        ),
        SolverSpec(
            "sloreta",
            "majorant.solvers.linear:SLORETA",
            "sLORETA",
            "Minimum norm standardised by the variance that it expects of itself.",
            _CLOSED_FORM
            + " Zero localisation error for one source of fixed orientation without noise.",
            "Pascual-Marqui (2002), Methods Find Exp Clin Pharmacol 24D:5-12",
        ),
        SolverSpec(
            "eloreta",
            "majorant.solvers.eloreta:ELORETA",
            "eLORETA",
            "Minimum norm with the weights that remove its bias; smooth maps, exact for one "
            "source without noise.",
            _CLOSED_FORM + " Zero localisation error for one source of fixed or free orientation "
            "without noise.",
            "Pascual-Marqui (2007), arXiv:0710.3341",
        ),
        SolverSpec(
            "lcmv",
            "majorant.solvers.lcmv:LCMV",
            "LCMV",
            "Beamformer: passes each location and suppresses everything else in the data.",
            "Unit noise gain at every location; blind to sources that are correlated.",
            "Van Veen et al. (1997), doi:10.1109/10.623056",
        ),
        SolverSpec(
            "champagne",
            "majorant.solvers.champagne:Champagne",
            "Champagne",
            "Sparse Bayesian learning of source and noise variances together; few, sharp "
            "sources with posterior variance.",
            "The evidence cost of the learned variances, whose posterior mean is the estimate, "
            "never rises; every rise would be counted.",
            "Wipf et al. (2010), doi:10.1016/j.neuroimage.2009.06.083; "
            "Cai et al. (2021), doi:10.1016/j.neuroimage.2020.117411",
        ),
        SolverSpec(
            "scan",
            "majorant.solvers.scan:Scan",
            "Patch scan",
            "A few patches of any size, from a single location to 38 mm, found by alternating "
            "projections; their number by a BIC that knows of the head's error, the estimate a "
            "mean over patches that fit.",
            _SCAN_HOLDS,
            _SCAN_FROM,
        ),
        SolverSpec(
            "mean",
            "majorant.weights.average:average",
            "Scan and SBL",
            "The mean of the patch scan and unfolded SBL, each to unit norm, the scan counting "
            "twice: they make different mistakes.",
            "The mean disagrees less with all members together than any of them does, and each "
            "member keeps its own guarantee.",
            "Its members",
        ),
        SolverSpec(
            "mm-net",
            "majorant.weights.shipped:mm_net",
            "MM-Net",
            "A recurrent network predicts the curvature of an energy with a learned prior; a few "
            "compact sources, sharp in space.",
            "The energy of the iterate, before it is scaled to the data and windows are "
            "cross-faded, never rises, for any weights and any number of iterations: a guard "
            "decides every two steps.",
            "MM-Net (2026), Majorization-Minimization Networks for Inverse Problems: An "
            "Application to EEG Imaging, arXiv",
        ),
        SolverSpec(
            "mm-net-shared",
            "majorant.weights.shipped:mm_net_shared",
            "MM-Net, shared",
            "Shared weights know no source by its number: a network sees every source with its "
            "neighbours, the patch scan's and the unfolded solver's estimate, on any lead field.",
            "The energy of the iterate, before it is scaled to the data and windows are "
            "cross-faded, never rises, for any weights and any number of iterations: a guard "
            "decides every two steps.",
            "MM-Net (2026), Majorization-Minimization Networks for Inverse Problems: An "
            "Application to EEG Imaging, arXiv",
        ),
        SolverSpec(
            "unfolded-sbl",
            "majorant.weights.sbl:unfolded_sbl",
            "Unfolded SBL",
            "Ten layers of sparse Bayesian learning with learned corrections: several sources "
            "with posterior standard deviation.",
            "The evidence cost of the learned variances, whose posterior mean is the estimate, "
            "never rises: corrections are shortened by a bound in closed form (mode free promises "
            "nothing).",
            "Structure-Preserving Correction Learning for Sparse Bayesian Inference in Brain "
            "Source Imaging (2026), arXiv:2606.07196",
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
    if not isinstance(name, str):
        raise MajorantError(f"the solver is {name!r}; expected a name, one of {', '.join(SOLVERS)}")
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


def able(can: Callable[[Abilities], Any]) -> str:
    """Name the solvers that can do something, for the sentence that refuses those that cannot."""
    return ", ".join(name for name, solver in SOLVERS.items() if can(solver.abilities))


def make(name: str, **options: Any) -> Any:
    """Make a solver by name, with the options of its class."""
    return spec(name).make(**options)
