"""Electrodes and the scalp of a subject: how far apart, and which to look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.forward.mesh import nearest_on_surface
from majorant.head.template import electrode_places
from majorant.problem import MajorantError
from majorant.recording.channels import some

__all__ = ["Coregistration", "check_scalp"]

FAR_MM, LOST_MM = 10.0, 40.0
"""Distances of one electrode from the scalp that are said, and of most that are refused."""


@dataclass(frozen=True, eq=False)
class Coregistration:
    """How electrodes met the scalp of a subject.

    Attributes
    ----------
    subject : str
    by : str
        Where the transformation came from.
    ch_names : tuple of str
    distance_mm : array, shape (n_electrodes,)
        From the scalp, before the forward model moves every electrode to its nearest point.
    shells : str or None
        What is to be said of the shells, where they were derived.
    """

    subject: str
    by: str
    ch_names: tuple[str, ...]
    distance_mm: NDArray[np.float64]
    shells: str | None = None

    @property
    def median_mm(self) -> float:
        """Median distance."""
        return float(np.median(self.distance_mm))

    @property
    def max_mm(self) -> float:
        """Largest distance."""
        return float(self.distance_mm.max())

    @property
    def far(self) -> tuple[str, ...]:
        """Electrodes far from the scalp, the farthest first, with their distance."""
        order = np.argsort(-self.distance_mm)
        return tuple(
            f"{self.ch_names[k]} ({self.distance_mm[k]:.0f} mm)"
            for k in order
            if self.distance_mm[k] > FAR_MM
        )

    def sentence(self) -> str:
        """Say it."""
        text = (
            f"Head of {self.subject}, placed by {self.by}: electrodes {self.median_mm:.1f} mm "
            f"(median) from the scalp, {self.max_mm:.1f} mm at most"
        )
        if self.far:
            text += f"; far from it: {some(self.far, 8)}. Check the coregistration"
        return text + "."


def check_scalp(
    info: Any,
    head_to_mri: NDArray[np.float64],
    scalp: NDArray[np.float64],
    faces: NDArray[np.int64],
    subject: str,
    by: str,
) -> Coregistration:
    """Measure how far every electrode is from the scalp.

    Parameters
    ----------
    info : mne.Info
        Electrodes in head coordinates.
    head_to_mri : array, shape (4, 4)
    scalp : array, shape (n_vertices, 3)
        MRI coordinates, metres.
    faces : array, shape (n_faces, 3)
    subject, by : str
        For the sentence.

    Raises
    ------
    MajorantError
        If most electrodes are nowhere near the head.
    """
    places, _ = electrode_places(info)
    head = np.stack(list(places.values()))
    moved = head @ head_to_mri[:3, :3].T + head_to_mri[:3, 3]
    nearest = nearest_on_surface(moved, scalp, faces)
    distance = 1e3 * np.linalg.norm(moved - nearest, axis=1)
    found = Coregistration(subject, by, tuple(places), distance)
    if found.median_mm > LOST_MM:
        raise MajorantError(
            f"the electrodes lie {found.median_mm:.0f} mm (median) from the scalp of {subject}, "
            f"so the transformation ({by}) does not belong to this recording; give the right one, "
            "as mne.gui.coregistration writes it"
        )
    return found
