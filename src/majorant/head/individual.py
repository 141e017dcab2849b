"""A subject's head made ready and looked over: `majorant head SUBJECT`.

What `majorant image --subject` would do on its way is done once, with the checks that a person
would make by eye, and numbers and outlines to judge them by: shells nested, sources inside the
inner skull, electrodes on the scalp, the coregistration's error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.account import Account
from majorant.forward.mesh import cast_rays
from majorant.head.coregistration import Coregistration
from majorant.head.shells import NAMES, SubjectShells, find_shells
from majorant.head.subject import (
    Transformation,
    find_transformation,
    solved_before,
    subject_folder,
    subject_forward,
)
from majorant.head.template import electrode_places
from majorant.problem import MajorantError
from majorant.recording.electrodes import settle
from majorant.recording.file import load_recording
from majorant.recording.settings import Preparation

__all__ = ["IndividualHead", "bare_info", "individual_head", "recorded_info"]

DEEP_MM = 8.0
"""An electrode that lies deeper under the scalp than this is said to be inside the head."""
Places = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class IndividualHead:
    """A subject's head, as it was found.

    Attributes
    ----------
    subject : str
    shells : SubjectShells
    cortex : array, shape (n, 3)
        White surfaces, MRI coordinates, metres.
    outside : int
        Of its vertices, those outside the inner skull.
    gaps_mm : tuple of float
        Least distance along rays between inner and outer skull, and between that and the scalp.
    electrodes : array, shape (n_electrodes, 3)
        In MRI coordinates; empty without a recording.
    sunk : tuple of str
        Electrodes far under the scalp, with their depth.
    coregistration : Coregistration or None
    fiducials_mm : float or None
        Root mean square distance of the three fiducials from those of the MRI, where both are.
    notes : tuple of str
    cautions : tuple of str
    """

    subject: str
    shells: SubjectShells
    cortex: Places
    outside: int
    gaps_mm: tuple[float, float]
    electrodes: Places
    sunk: tuple[str, ...]
    coregistration: Coregistration | None
    fiducials_mm: float | None
    notes: tuple[str, ...]
    cautions: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """What was found, as plain values."""
        found = self.coregistration
        return {
            "kind": "head",
            "subject": self.subject,
            "shells": {"derived": self.shells.derived, "from": self.shells.sentence},
            "vertices_outside": self.outside,
            "least_gap_mm": dict(
                zip(("skull", "scalp"), (round(gap, 2) for gap in self.gaps_mm), strict=True)
            ),
            "electrodes": len(self.electrodes),
            "coregistration": None
            if found is None
            else {
                "by": found.by,
                "median_mm": round(found.median_mm, 2),
                "max_mm": round(found.max_mm, 2),
                "far": list(found.far),
                "fiducials_mm": self.fiducials_mm and round(self.fiducials_mm, 2),
            },
            "sunk": list(self.sunk),
            "notes": list(self.notes),
            "cautions": list(self.cautions),
        }


def recorded_info(file: Path, montage: str | None, account: Account) -> Any:
    """Electrodes of a recording, settled as `majorant image` settles them."""
    recording = load_recording(file, account.say)
    data = recording.data[0] if recording.kind == "evoked" else recording.data
    return bare_info(data, montage, file.name, account)


def bare_info(data: Any, montage: str | None, name: str, account: Account) -> Any:
    """Settled electrodes of some data, of which no sample is looked at."""
    import mne

    picks = [i for i, kind in enumerate(data.get_channel_types()) if kind == "eeg"]
    if not picks:
        raise MajorantError(f"{name} has no EEG channels; name a recording of EEG")
    picked = mne.pick_info(data.info, picks)
    bare = mne.EvokedArray(np.zeros((len(picks), 1)), picked, verbose="error")
    settle(bare, Preparation(montage=montage), account)
    return bare.info


def individual_head(
    subject: str,
    subjects_dir: str | None,
    *,
    info: Any | None = None,
    trans: str | None = None,
    spacing: str = "ico4",
    skull: float | None = None,
    account: Account | None = None,
    progress: Callable[[str], None] | None = None,
) -> IndividualHead:
    """Make a subject's head ready, and look it over.

    Parameters
    ----------
    subject : str
    subjects_dir : str or None
        Where subjects are.
    info : mne.Info, optional
        Electrodes, to coregister and to compute the forward solution for, which is kept in the
        cache folder, where `majorant image` finds it.
    trans : str, optional
        File of the transformation from head to MRI.
    spacing : str
        Source space.
    skull : float, optional
        Conductivity, S/m.
    account : Account, optional
        Takes what is decided.
    progress : callable, optional
        Called with a line of text for every step that takes time.

    Raises
    ------
    MajorantError
        If the subject is not there, its shells cross, or electrodes and head do not belong
        together.
    """
    account = account or Account()
    folder, root = subject_folder(subject, subjects_dir)
    shells = find_shells(folder, subject, root, progress)
    account.note(shells.sentence)
    cortex = _cortex(folder)
    outside, gaps = _nested(shells, cortex, subject)
    found, placed, sunk, marks = None, np.zeros((0, 3)), (), None
    if info is not None:
        moved = find_transformation(info, subject, folder, root, trans, shells)
        _, found = subject_forward(
            info, subject, subjects_dir, trans, spacing, progress, skull=skull
        )
        account.note(found.sentence())
        placed, sunk = _under_scalp(info, moved, shells)
        marks = _fiducials(info, moved)
    return IndividualHead(
        subject, shells, cortex, outside, gaps, placed, sunk, found, marks,
        tuple(account.decisions), _cautions(shells, outside, gaps, found, sunk, len(cortex))
        + _solved(folder),
    )  # fmt: skip


def _cortex(folder: Path) -> Places:
    import mne

    places = [folder / "surf" / f"{side}.white" for side in ("lh", "rh")]
    parts: list[Any] = [mne.read_surface(place)[0] for place in places]
    return np.concatenate(parts) / 1e3


def _nested(shells: SubjectShells, cortex: Places, subject: str) -> tuple[int, tuple[float, float]]:
    """How many vertices lie outside the inner skull, and the least gaps between shells, mm."""
    inner = shells.surfaces[0][0]
    centre = inner.mean(axis=0)
    away = np.linalg.norm(inner - centre, axis=1)
    rays = (inner - centre) / away[:, None]
    reach = [cast_rays(centre, rays, *surface) for surface in shells.surfaces]
    gaps = [1e3 * float(np.min(b - a)) for a, b in pairwise(reach)]
    if min(gaps) <= 0:
        name = NAMES[1 + int(np.argmin(gaps))].replace("_", " ")
        raise MajorantError(
            f"the shells of {subject} cross: the {name} lies {-min(gaps):.1f} mm inside the shell "
            "that it should enclose; make the surfaces again, with mne.bem.make_watershed_bem"
        )
    radius = np.linalg.norm(cortex - centre, axis=1)
    # Only what is far out can be outside; the rest need not be asked.
    far = np.flatnonzero(radius > 0.9 * away.min())
    limit = cast_rays(centre, (cortex[far] - centre) / radius[far, None], *shells.surfaces[0])
    return int((radius[far] > limit).sum()), (gaps[0], gaps[1])


def _under_scalp(
    info: Any, moved: Transformation, shells: SubjectShells
) -> tuple[Places, tuple[str, ...]]:
    """Electrodes in MRI coordinates, and those that lie far under the scalp."""
    places, _ = electrode_places(info)
    matrix = moved.matrix
    placed = np.stack(list(places.values())) @ matrix[:3, :3].T + matrix[:3, 3]
    vertices, faces = shells.surfaces[2]
    centre = vertices.mean(axis=0)
    radius = np.linalg.norm(placed - centre, axis=1)
    depth = 1e3 * (cast_rays(centre, (placed - centre) / radius[:, None], vertices, faces) - radius)
    return placed, tuple(
        f"{name} ({mm:.0f} mm)"
        for name, mm in zip(places, depth, strict=True)
        if np.isfinite(mm) and mm > DEEP_MM
    )


def _fiducials(info: Any, moved: Transformation) -> float | None:
    """How far the recording's fiducials lie from the MRI's, root mean square, mm."""
    _, marks = electrode_places(info)
    if marks is None or moved.fiducials is None:
        return None
    own = np.stack([marks[key] for key in ("lpa", "nasion", "rpa")])
    placed = own @ moved.matrix[:3, :3].T + moved.matrix[:3, 3]
    return 1e3 * float(np.sqrt(((placed - moved.fiducials) ** 2).sum(axis=1).mean()))


def _cautions(
    shells: SubjectShells,
    outside: int,
    gaps: tuple[float, float],
    found: Coregistration | None,
    sunk: tuple[str, ...],
    n: int,
) -> tuple[str, ...]:
    """What a person should look at, gravest first."""
    said = []
    if found is not None and found.far:
        said.append(f"Electrodes far from the scalp: {', '.join(found.far[:8])}.")
    if sunk:
        said.append(f"Electrodes inside the head: {', '.join(sunk[:8])}.")
    if outside:
        said.append(
            f"{outside:,} of {n:,} vertices of the white surface lie outside the inner skull; "
            "sources there are left out."
        )
    if shells.derived:
        said.append(shells.sentence)
    if not shells.derived and gaps[0] < 1.0:
        said.append(f"The skull is {gaps[0]:.1f} mm thin in places: check its surfaces.")
    return tuple(said)


def _solved(folder: Path) -> tuple[str, ...]:
    """That a solution of the folder takes the shells' place."""
    path = solved_before(folder)
    if path is None:
        return ()
    return (f"The solution {path.name} of the folder is used; its conductivities are as they are.",)
