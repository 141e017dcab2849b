"""The shells of a subject: its folder's own, those of a watershed, or derived from the template.

Surfaces are looked for in ``SUBJECT/bem`` and ``SUBJECT/bem/watershed``; made there by MNE where
FreeSurfer's ``mri_watershed`` is at hand; and otherwise derived: the template's shells are carried
over by the affine map between the two cortices (vertex by vertex of the spherical registration),
pushed out to enclose the subject's own cortex, and scaled along rays to its scalp where the folder
has one (``SUBJECT-head.fif`` or ``lh.seghead``). A derived skull is nobody's, and this is said.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from majorant.account import Account, listening
from majorant.forward.mesh import cast_rays
from majorant.forward.shells import SKULL_LIMIT, SKULL_SHARE
from majorant.forward.template import CONDUCTIVITY, template_head, template_surfaces
from majorant.problem import MajorantError
from majorant.recording.file import UNREADABLE

__all__ = [
    "NAMES",
    "SubjectShells",
    "Surface",
    "carried_fiducials",
    "cortices",
    "derived_shells",
    "find_shells",
    "solve_subject",
]

NAMES = ("inner_skull", "outer_skull", "outer_skin")
DERIVED = (
    "The folder has no surfaces of the skull: they were derived from the template’s, by the "
    "cortex{}. A caution for depths and amplitudes: the skull is a typical one, not the subject’s; "
    "mne.bem.make_watershed_bem makes its own from the MRI."
)
LIQUID = 0.002
"""Metres between the cortex and a derived inner skull, at least."""
CONE = 0.12
"""Radians: cortex that a node of a derived shell has to enclose."""
THINNEST = 0.004
"""Metres from a derived inner skull to the scalp, at least."""
Surface = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True, eq=False)
class SubjectShells:
    """Inner skull, outer skull and scalp of a subject.

    Attributes
    ----------
    surfaces : tuple of (ndarray, ndarray)
        Vertices (metres, MRI coordinates) and faces of each, from inside outwards.
    sentence : str
        Where they are from.
    derived : bool
        Whether they are the template's, carried over.
    """

    surfaces: tuple[Surface, Surface, Surface]
    sentence: str
    derived: bool = False


def find_shells(
    folder: Path, subject: str, root: str, progress: Callable[[str], None] | None = None
) -> SubjectShells:
    """Find, make or derive the shells of a subject.

    Parameters
    ----------
    folder : Path
        Of the subject.
    subject, root : str
        Its name, and the folder of subjects.
    progress : callable, optional
        Called with a line of text for every step that takes time.

    Raises
    ------
    MajorantError
        If surfaces cannot be read, or there is nothing to derive them from.
    """
    found = _own(folder, subject)
    if found is None and shutil.which("mri_watershed") and (folder / "mri" / "T1.mgz").is_file():
        _watershed(subject, root, progress)
        found = _own(folder, subject)
    if found is not None:
        surfaces = tuple(_surface(path) for path in found)
        where = found[0].parent.relative_to(folder)
        said = f"Inner skull, outer skull and scalp of {subject} are those of its folder, {where}."
        return SubjectShells(surfaces, said)  # type: ignore[arg-type]
    cortex, reference = cortices(folder, subject)
    scalp = _scalp_alone(folder, subject)
    shells = derived_shells(cortex, reference, scalp)
    faces = template_head().shell_faces.astype(np.int64)
    said = DERIVED.format("" if scalp is None else " and the scalp")
    return SubjectShells(tuple((shell, faces) for shell in shells), said, derived=True)  # type: ignore[arg-type]


def derived_shells(
    cortex: NDArray[np.float64], reference: NDArray[np.float64], scalp: Surface | None
) -> NDArray[np.float64]:
    """Carry the template's shells over to a cortex.

    Parameters
    ----------
    cortex, reference : array, shape (n, 3)
        The same vertices of the subject's cortex and of the template's, metres.
    scalp : tuple of array, optional
        Vertices and faces of the subject's scalp.

    Returns
    -------
    array, shape (3, n_nodes, 3)
        Inner skull, outer skull and scalp, metres.
    """
    affine = _affine(cortex, reference)
    shells = template_head().shells @ affine[:3] + affine[3]
    centre = shells[0].mean(axis=0)
    radius = np.linalg.norm(shells - centre, axis=2)
    rays = (shells[0] - centre) / radius[0][:, None]
    away = np.linalg.norm(cortex - centre, axis=1)
    near = KDTree((cortex - centre) / away[:, None]).query_ball_point(rays, CONE)
    needed = np.array([away[index].max() + LIQUID if index else 0.0 for index in near])
    inner = np.maximum(radius[0], needed)
    skull = inner + radius[1] - radius[0]
    skin = inner + radius[2] - radius[0]
    if scalp is not None:
        reach = cast_rays(centre, rays, *scalp)
        # Downwards a scalp has a neck, which is no part of the shells.
        seen = np.isfinite(reach) & ((rays[:, 2] > -0.3) | (reach < skin))
        skin = np.where(seen, np.maximum(reach, inner + THINNEST), skin)
        skull = inner + np.minimum(SKULL_SHARE * (skin - inner), SKULL_LIMIT)
    return np.stack([centre + rays * part[:, None] for part in (inner, skull, skin)])


def carried_fiducials(folder: Path, subject: str) -> NDArray[np.float64]:
    """Left preauricular point, nasion and right one as the cortex has them: the template's, carried
    over by the affine map between the cortices; MRI coordinates, metres, shape (3, 3).

    Raises
    ------
    MajorantError
        If there is no registration to go by.
    """
    affine = _affine(*cortices(folder, subject))
    return template_head().fiducials @ affine[:3] + affine[3]


def _affine(cortex: NDArray[np.float64], reference: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine map from the template to a subject by least squares, shape (4, 3)."""
    rows = np.c_[reference, np.ones(len(reference))]
    return np.linalg.lstsq(rows, cortex, rcond=None)[0]


def solve_subject(shells: SubjectShells, skull: float | None) -> Any:
    """Solve for the potentials in the shells of a subject.

    Parameters
    ----------
    shells : SubjectShells
    skull : float or None
        Conductivity, S/m; None is MNE's 0.006.

    Returns
    -------
    mne.bem.ConductorModel
    """
    import mne

    layers = CONDUCTIVITY if skull is None else (CONDUCTIVITY[0], skull, CONDUCTIVITY[2])
    ico: Any = 3 if len(shells.surfaces[0][1]) > 1280 else None
    with tempfile.TemporaryDirectory(prefix="majorant-") as root:
        place = Path(root) / "subject" / "bem"
        place.mkdir(parents=True)
        for name, (vertices, faces) in zip(NAMES, shells.surfaces, strict=True):
            mne.write_surface(place / f"{name}.surf", 1e3 * vertices, faces, verbose="error")
        model = mne.make_bem_model(
            "subject", ico=ico, conductivity=layers, subjects_dir=root, verbose="error"
        )
        return mne.make_bem_solution(model, verbose="error")


def _own(folder: Path, subject: str) -> list[Path] | None:
    """Files of the three shells, where they are all there."""
    places = (
        [folder / "bem" / f"{name}.surf" for name in NAMES],
        [folder / "bem" / "watershed" / f"{subject}_{name}_surface" for name in NAMES],
    )
    return next((paths for paths in places if all(path.is_file() for path in paths)), None)


def _watershed(subject: str, root: str, progress: Callable[[str], None] | None) -> None:
    import mne

    if progress is not None:
        progress(f"Finding skull and scalp of {subject} in its MRI (mri_watershed)")
    try:
        with listening(Account(), "finding the skull"):
            mne.bem.make_watershed_bem(subject, root, overwrite=True, show=False, verbose="error")
    except (*UNREADABLE, RuntimeError) as error:
        raise MajorantError(
            f"mri_watershed found no skull in the MRI of {subject}: "
            f"{' '.join(str(error).split())[:200]}; make its surfaces by hand"
        ) from error


def _surface(path: Path) -> Surface:
    import mne

    try:
        places, faces, *_ = mne.read_surface(path)
    except UNREADABLE as error:
        raise MajorantError(
            f"{path} cannot be read as a surface; make it again with mne.bem.make_watershed_bem"
        ) from error
    return np.asarray(places, float) / 1e3, np.asarray(faces, np.int64)


def _scalp_alone(folder: Path, subject: str) -> Surface | None:
    """The scalp of a subject that has no skull, where there is one."""
    import mne

    for path in (folder / "bem" / "outer_skin.surf", folder / "surf" / "lh.seghead"):
        if path.is_file():
            return _surface(path)
    dense = folder / "bem" / f"{subject}-head.fif"
    if not dense.is_file():
        return None
    try:
        head = mne.read_bem_surfaces(dense, verbose="error")[0]
    except UNREADABLE as error:
        raise MajorantError(f"the scalp of {subject}, {dense.name}, cannot be read") from error
    return np.asarray(head["rr"], float), np.asarray(head["tris"], np.int64)


def cortices(folder: Path, subject: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The template's vertices on the subject's cortex, and where the template has them, metres.

    Raises
    ------
    MajorantError
        If there is no registration to go by.
    """
    lacking = [
        f"{side}.{kind}"
        for side in ("lh", "rh")
        for kind in ("white", "sphere.reg")
        if not (folder / "surf" / f"{side}.{kind}").is_file()
    ]
    if lacking:
        raise MajorantError(
            f"{subject} has not all of inner_skull.surf, outer_skull.surf, outer_skin.surf and "
            f"{subject}-fiducials.fif in {folder / 'bem'}, and without {', '.join(lacking)} they "
            "cannot be derived; make them with mne.bem.make_watershed_bem and "
            "mne.gui.coregistration"
        )
    template, parts = template_surfaces(), []
    for side, name in enumerate(("lh", "rh")):
        kind = "pial" if (folder / "surf" / f"{name}.pial").is_file() else "white"
        cortex = _surface(folder / "surf" / f"{name}.{kind}")[0]
        sphere = _unit(_surface(folder / "surf" / f"{name}.sphere.reg")[0])
        index = KDTree(sphere).query(_unit(template.sphere[side].astype(np.float64)))[1]
        own = template.pial if kind == "pial" else template.white
        parts.append((cortex[index], own[side].astype(np.float64)))
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def _unit(places: NDArray[np.float64]) -> NDArray[np.float64]:
    return places / np.linalg.norm(places, axis=1, keepdims=True)
