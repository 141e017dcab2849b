"""Surfaces of the template: read from the files that the mne and nilearn wheels carry.

nilearn's wheel holds fsaverage5 (10,242 vertices per hemisphere), MNE's the fsaverage scalp, inner
skull, fiducials and head transform. Neither package is imported for the surfaces of the cortex:
their files are found beside them and read with nibabel.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from majorant.problem import MajorantError

__all__ = ["Surfaces", "package_folder", "read_gifti", "read_surfaces", "vertex_normals"]

MESHES = {"pial": "pial", "white": "white", "inflated": "infl", "sphere": "sphere"}
MAPS = {"sulc": "sulc", "thickness": "thick"}


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The template's cortex, left hemisphere first.

    Attributes
    ----------
    pial, white, inflated, sphere : ndarray, shape (2, 10242, 3), float32
        Vertices, metres, fsaverage surface RAS (MNI305); `inflated` and `sphere` are for drawing
        and for finding neighbours, their coordinates mean no place in the head.
    faces : ndarray, shape (2, 20480, 3), int32
        Triangles, outward by the right-hand rule. Their vertices are numbered as an icosahedron's
        subdivisions: the first 2,562 are ico4, the first 642 ico3.
    sulc, thickness : ndarray, shape (2, 10242), float32
        Sulcal depth (FreeSurfer's units) and cortical thickness (mm).
    """

    pial: np.ndarray
    white: np.ndarray
    inflated: np.ndarray
    sphere: np.ndarray
    faces: np.ndarray
    sulc: np.ndarray
    thickness: np.ndarray

    @property
    def mid(self) -> np.ndarray:
        """Half way between white and pial, shape (2, 10242, 3)."""
        return (self.white + self.pial) / 2

    @cached_property
    def normals(self) -> np.ndarray:
        """Outward unit normals of the pial surface, shape (2, 10242, 3), float64."""
        return np.stack([vertex_normals(v, f) for v, f in zip(self.pial, self.faces, strict=True)])

    @cached_property
    def inflated_normals(self) -> np.ndarray:
        """Outward unit normals of the inflated surface, shape (2, 10242, 3), float64."""
        pairs = zip(self.inflated, self.faces, strict=True)
        return np.stack([vertex_normals(*pair) for pair in pairs])


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return area-weighted unit normals of the vertices, shape (n_vertices, 3), float64."""
    corners = vertices.astype(np.float64)[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    at, thrice = faces.T.ravel(), np.tile(area, (3, 1)).T
    sums = [np.bincount(at, weights, len(vertices)) for weights in thrice]
    normals = np.stack(sums, axis=1)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise MajorantError(
            f"the template head is built from files of the package {name}, which is not installed; "
            f"run `python -m pip install {name}`"
        )
    return Path(spec.origin).parent


def read_surfaces() -> Surfaces:
    """Read fsaverage5 from nilearn's wheel.

    Raises
    ------
    MajorantError
        If nilearn is not installed, or lacks the files.
    """
    folder = package_folder("nilearn") / "datasets" / "data" / "fsaverage5"
    arrays: dict[str, np.ndarray] = {}
    for name, stem in MESHES.items():
        pair = [read_gifti(folder / f"{stem}_{side}.gii.gz") for side in ("left", "right")]
        arrays[name] = np.stack([data[0] for data in pair]).astype(np.float32) / np.float32(1e3)
        arrays["faces"] = np.stack([data[1] for data in pair]).astype(np.int32)
    for name, stem in MAPS.items():
        pair = [read_gifti(folder / f"{stem}_{side}.gii.gz")[0] for side in ("left", "right")]
        arrays[name] = np.stack(pair).astype(np.float32)
    return Surfaces(**arrays)


def read_gifti(path: Path) -> list[np.ndarray]:
    """Return the arrays of a GIFTI file: of a surface its vertices (as stored) and triangles."""
    import nibabel.gifti
    import nibabel.loadsave

    if not path.is_file():
        raise MajorantError(
            f"{path} is not there: the installed version of its package does not carry this "
            "surface; install another one"
        )
    image = nibabel.loadsave.load(path)
    assert isinstance(image, nibabel.gifti.gifti.GiftiImage)
    return [array.data for array in image.darrays]
