"""What there is to export of an estimate, and what each file says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from majorant.errors import MajorantError
from majorant.findings.facts import Findings
from majorant.head.places import Places
from majorant.imager.courses import RegionCourses

__all__ = ["Material", "Sidecar", "template_only"]

INSTANTS = (
    "Of a continuous recording: the instants at which the page shows it, each at its own time, not "
    "evenly; the whole estimate is in estimate.zarr."
)
Sidecar = Mapping[str, Any]
"""What stands beside a file: fields of BIDS, or a description of every column."""


@dataclass(frozen=True, eq=False)
class Material:
    """An estimate, as exports take it.

    Attributes
    ----------
    stc : mne.SourceEstimate
    content : Findings
        Peaks, unit, times.
    places : Places
    kind : str
        Of the source space.
    subject : str
        Whose vertices the estimate has.
    courses : RegionCourses or None
    nave : int
        Trials behind the average.
    continuous : bool
        Whether the estimate is of the instants that a page shows of a long recording; courses are
        of all of it then.
    """

    stc: Any
    content: Findings
    places: Places
    kind: str
    subject: str
    courses: RegionCourses | None = None
    nave: int = 1
    continuous: bool = False

    @property
    def unit(self) -> str:
        """``"Am"`` or the name of the statistic."""
        return self.content.sources.unit

    @property
    def units(self) -> str:
        """The unit as BIDS writes it."""
        return "A.m" if self.unit == "Am" else "arbitrary"

    def about(self, what: str, **more: Any) -> dict[str, Any]:
        """A sidecar: what the file holds, of which solver, in which unit."""
        if self.continuous:
            what = f"{what} {INSTANTS}"
        return {
            "Description": what,
            "Units": self.units,
            "Quantity": "current dipole moment" if self.unit == "Am" else self.unit,
            "Solver": self.content.solver["name"],
            **more,
        }


def template_only(material: Material, what: str) -> None:
    """Refuse what is written on the template's mesh for estimates of another head.

    Raises
    ------
    MajorantError
        Saying what can be had.
    """
    surface = material.kind in ("surface", "regions")
    if not surface or material.subject != "fsaverage":
        raise MajorantError(
            f"{what} is written on the template's cortex, and this estimate is of "
            f"{'the subject ' + material.subject if surface else 'a ' + material.kind} source "
            "space; morph it to fsaverage with mne.compute_source_morph, or export csv, mat or npz"
        )
