"""The template's three shells, their boundary-element solution, and gains on them.

The inner skull and the scalp are fsaverage's, from MNE's wheel. The outer skull is not in it: it is
placed along rays from the centre, 0.55 of the way from inner skull to scalp and at most 7 mm
outside the inner skull; the neck is cut off by a plane. All three shells have the 642 vertices of
an ico3 mesh. The linear collocation method and the potentials are MNE's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from majorant.forward.deform import thicken
from majorant.forward.mesh import cast_rays, coarser_faces
from majorant.forward.surfaces import package_folder

__all__ = [
    "SKULL_LIMIT",
    "SKULL_SHARE",
    "ShellHead",
    "build_head",
    "compute_gain",
    "move_inside",
    "read_shells",
    "thicker",
]

ICO3 = 642
SKULL_SHARE = 0.55
SKULL_LIMIT = 0.007
NECK = -0.110
"""Metres: the BEM's scalp ends at this height of the surface RAS."""
MIN_DEPTH = 0.001
"""Metres: pial vertices less deep under the inner skull are moved towards the centre."""


@dataclass(frozen=True, eq=False)
class ShellHead:
    """What the template has that does not depend on electrodes.

    All coordinates are metres in fsaverage's surface RAS (MNI305).

    Attributes
    ----------
    shells : ndarray, shape (3, 642, 3)
        Inner skull, outer skull, scalp.
    shell_faces : ndarray, shape (1280, 3)
    conductivity : tuple of float, length 3
        S/m: brain, skull, scalp.
    scalp, scalp_faces : ndarray, shape (2033, 3), (4062, 3)
        The detailed scalp, on which electrodes are placed.
    fiducials : ndarray, shape (3, 3)
        Left preauricular point, nasion, right preauricular point.
    head_to_mri : ndarray, shape (4, 4)
        From MNE's head frame to the surface RAS.
    solution : bytes
        The boundary-element solution, as MNE writes it.
    """

    shells: np.ndarray
    shell_faces: np.ndarray
    conductivity: tuple[float, float, float]
    scalp: np.ndarray
    scalp_faces: np.ndarray
    fiducials: np.ndarray
    head_to_mri: np.ndarray
    solution: bytes


def build_head(conductivity: tuple[float, float, float], thickness: float = 1.0) -> ShellHead:
    """Build the shells from MNE's files and solve for them.

    Parameters
    ----------
    conductivity : tuple of float, length 3
        S/m: brain, skull, scalp.
    thickness : float
        Of the skull, relative to the template's own; inner skull and scalp stay.
    """
    import mne

    folder = package_folder("mne") / "data" / "fsaverage"
    shells, faces, scalp, scalp_faces = read_shells()
    fiducials: Any = mne.io.read_fiducials(folder / "fsaverage-fiducials.fif", verbose="error")
    trans: Any = mne.read_trans(folder / "fsaverage-trans.fif")
    shells = thicker(shells, thickness)
    order = {
        int(point["ident"]): np.asarray(point["r"], dtype=np.float64) for point in fiducials[0]
    }
    return ShellHead(
        shells=shells,
        shell_faces=faces,
        conductivity=conductivity,
        scalp=scalp,
        scalp_faces=scalp_faces,
        fiducials=np.stack([order[1], order[2], order[3]]),
        head_to_mri=np.asarray(trans["trans"], dtype=np.float64),
        solution=_solve(shells, faces, conductivity),
    )


def read_shells() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read the surfaces of the template's head from MNE's files; nothing is solved.

    Returns
    -------
    tuple of ndarray
        `shells`, `shell_faces`, `scalp` and `scalp_faces` of :class:`ShellHead`.
    """
    import mne

    folder = package_folder("mne") / "data" / "fsaverage"
    inner = mne.read_bem_surfaces(folder / "fsaverage-inner_skull-bem.fif", verbose="error")[0]
    scalp = mne.read_bem_surfaces(folder / "fsaverage-head.fif", verbose="error")[0]
    shells, faces = _shells(inner["rr"], inner["tris"], scalp["rr"], scalp["tris"])
    return shells, faces, np.asarray(scalp["rr"], dtype=np.float64), np.asarray(scalp["tris"])


def _shells(
    inner: np.ndarray, inner_faces: np.ndarray, scalp: np.ndarray, scalp_faces: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the three shells, shape (3, 642, 3), and their faces, shape (1280, 3)."""
    centre = inner.mean(axis=0)
    rays = inner[:ICO3] - centre
    depth = np.linalg.norm(rays, axis=1)
    rays = rays / depth[:, None]
    reach = cast_rays(centre, rays, scalp, scalp_faces)
    down = np.minimum(rays[:, 2], -1e-9)
    reach = np.where(rays[:, 2] < 0, np.minimum(reach, (NECK - centre[2]) / down), reach)
    gap = reach - depth
    skull = depth + np.minimum(SKULL_SHARE * gap, SKULL_LIMIT)
    shells = np.stack([centre + rays * radius[:, None] for radius in (depth, skull, reach)])
    return shells, coarser_faces(coarser_faces(inner_faces))


def thicker(shells: np.ndarray, factor: float) -> np.ndarray:
    """Return shells whose skull is so many times as thick, everywhere, shape (3, n, 3)."""
    return shells if factor == 1.0 else thicken(shells, factor, 0.0, np.random.default_rng(0))


def _solve(
    shells: np.ndarray, faces: np.ndarray, conductivity: tuple[float, float, float]
) -> bytes:
    """Return MNE's boundary-element solution as the bytes of its file."""
    import mne

    with tempfile.TemporaryDirectory(prefix="majorant-") as root:
        folder = Path(root) / "template" / "bem"
        folder.mkdir(parents=True)
        for name, shell in zip(("inner_skull", "outer_skull", "outer_skin"), shells, strict=True):
            mne.write_surface(folder / f"{name}.surf", shell * 1e3, faces, verbose="error")
        as_it_is: Any = None
        model = mne.make_bem_model(
            "template", ico=as_it_is, conductivity=conductivity, subjects_dir=root, verbose="error"
        )
        solution = mne.make_bem_solution(model, verbose="error")
        path = Path(root) / "template-bem-sol.fif"
        mne.write_bem_solution(path, solution, verbose="error")
        return path.read_bytes()


def move_inside(positions: np.ndarray, head: ShellHead) -> tuple[np.ndarray, np.ndarray]:
    """Move sources that lie outside the inner skull, or hardly under it, towards the centre.

    Parameters
    ----------
    positions : ndarray, shape (n, 3)

    Returns
    -------
    positions : ndarray, shape (n, 3)
        At least 1 mm under the inner skull, along the ray from its centre.
    moved : ndarray of int
        The locations that were moved.
    """
    inner = head.shells[0]
    centre = inner.mean(axis=0)
    radius = np.linalg.norm(positions - centre, axis=1)
    direction = (positions - centre) / radius[:, None]
    close = np.flatnonzero(radius > np.linalg.norm(inner - centre, axis=1).min() * 0.8)
    limit = cast_rays(centre, direction[close], inner, head.shell_faces) - MIN_DEPTH
    above = radius[close] > limit
    moved = close[above]
    out = positions.copy()
    out[moved] = centre + direction[moved] * limit[above, None]
    return out, moved


def compute_gain(
    head: ShellHead,
    positions: np.ndarray,
    normals: np.ndarray,
    ch_names: Sequence[str],
    electrodes: np.ndarray,
) -> np.ndarray:
    """Compute the potentials of free dipoles at electrodes, against infinity.

    Parameters
    ----------
    head : ShellHead
    positions, normals : ndarray, shape (n_locations, 3)
    ch_names : sequence of str
    electrodes : ndarray, shape (n_electrodes, 3)

    Returns
    -------
    ndarray, shape (n_electrodes, 3 * n_locations), float32
        V/(A m), the axes of the surface RAS.
    """
    import mne

    with tempfile.TemporaryDirectory(prefix="majorant-") as root:
        path = Path(root) / "template-bem-sol.fif"
        path.write_bytes(head.solution)
        solution = mne.read_bem_solution(path, verbose="error")
    names = [f"E{i:04d}" for i in range(len(ch_names))]
    lpa, nasion, rpa = head.fiducials
    montage = mne.channels.make_dig_montage(
        dict(zip(names, electrodes, strict=True)), nasion, lpa, rpa, coord_frame="head"
    )
    info = mne.create_info(names, 1000.0, "eeg", verbose="error").set_montage(montage)
    dipoles: Any = {"rr": positions, "nn": normals}
    source = mne.setup_volume_source_space(pos=dipoles, verbose="error")
    identity = mne.transforms.Transform("head", "mri")
    forward: Any = mne.make_forward_solution(
        info, identity, source, solution, meg=False, eeg=True, mindist=0.0, verbose="error"
    )
    assert forward["nsource"] == len(positions)
    assert forward["sol"]["row_names"] == names
    return np.asarray(forward["sol"]["data"], dtype=np.float32)
