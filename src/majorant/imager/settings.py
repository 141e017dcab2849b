"""How an imager is set up: the one record from the command line to the saved imager."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from majorant.registry import SolverSpec, spec

__all__ = ["ImagerSettings"]


@dataclass(frozen=True)
class ImagerSettings:
    """Settings of a :class:`majorant.SourceImager`, which says what each of them means.

    Attributes
    ----------
    solver : str
    snr : float, "gcv" or "evidence"
    loose : float, dict or "auto"
    depth : float, dict, "auto" or None
    pick_ori : None, "normal", "vector" or "max-power"
    space : str
    head : {"auto", "template", "warped"}
    circumference : float or None
        Of the head, cm.
    skull : float or None
        Conductivity of the template's skull, S/m.
    age : float or None
        Years.
    heads : int
        Heads over which estimates are averaged.
    rank : None, "info", "full" or dict
    lone : {"doubt", "believe"}
        How electrodes that speak alone are treated.
    reference : "average" or None
    subject : str or None
        A FreeSurfer subject.
    subjects_dir : str or None
        Where subjects are.
    trans : str or None
        File of the transformation from head to MRI coordinates.
    region : float or None
        Probability of the regions of peaks, 0.5 to 0.99; None has none.
    options : mapping
        Options of the solver.
    """

    solver: str = "auto"
    snr: float | str = 3.0
    loose: float | Mapping[str, float] | str = "auto"
    depth: float | Mapping[str, Any] | str | None = "auto"
    pick_ori: str | None = None
    space: str = "auto"
    head: str = "auto"
    circumference: float | None = None
    skull: float | None = None
    age: float | None = None
    heads: int = 1
    rank: Any = None
    lone: str = "doubt"
    reference: str | None = "average"
    subject: str | None = None
    subjects_dir: str | None = None
    trans: str | None = None
    region: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> SolverSpec:
        """The solver's entry in the registry."""
        return spec(self.solver)

    def of_imager(self) -> dict[str, Any]:
        """The arguments of an imager, without those of its solver."""
        names = [own.name for own in fields(ImagerSettings) if own.name != "options"]
        return {name: getattr(self, name) for name in names}
