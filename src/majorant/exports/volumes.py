"""Estimates as volumes in MNI space: NIfTI, 4 mm, for whatever looks at volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from majorant.errors import MajorantError
from majorant.exports.material import Material, Sidecar
from majorant.memory import fits

__all__ = ["RESOLUTION", "write_nifti"]

RESOLUTION = 4.0
"""Millimetres of a voxel's side: about half of what separates the vertices of ico4."""
REACH = 6.0
"""Millimetres from a location within which a voxel shows it."""
SHAPE, ORIGIN = (46, 55, 46), (-90.0, -126.0, -72.0)
"""Of MNI152 at 4 mm: what SPM and FSL show at 2 mm."""


def write_nifti(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``estimate.nii.gz``: every voxel within 6 mm of a location has its value, over time.

    Raises
    ------
    MajorantError
        If the volumes would not fit into memory.
    """
    from nibabel.loadsave import save
    from nibabel.nifti1 import Nifti1Image

    values = material.content.sources.values
    times = material.content.times
    if not fits(4 * int(np.prod(SHAPE)) * len(times)):
        raise MajorantError(
            f"{len(times)} volumes do not fit into memory; shorten the window with --tmin and "
            "--tmax, or leave nifti out"
        )
    affine = np.diag([RESOLUTION] * 3 + [1.0])
    affine[:3, 3] = ORIGIN
    voxels, rows = _shown(material.places.mni, affine)
    volume = np.zeros((*SHAPE, len(times)), np.float32)
    volume[tuple(voxels.T)] = values[rows]
    image: Any = Nifti1Image(volume, affine)
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    image.header.set_xyzt_units("mm", "sec")
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    image.header.set_zooms((*[RESOLUTION] * 3, step))
    image.header["toffset"] = float(times[0])
    image.header["descrip"] = f"majorant {material.content.solver['name']} {material.unit}"[:79]
    save(image, folder / "estimate.nii.gz")
    where = (
        "Exact places of fsaverage."
        if material.places.exact
        else "Places of another head were scaled to the template: good to a centimetre."
    )
    said = material.about(
        f"The estimate over time in MNI152 space, {RESOLUTION:g} mm; a voxel has the value of the "
        f"nearest location within {REACH:g} mm, else 0. {where}",
        SpatialReference="MNI152",
        StartTime=float(times[0]),
        RepetitionTime=step,
    )
    return {"estimate.nii.gz": said}


def _shown(
    mni: NDArray[np.float64], affine: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Voxels that show something, shape (n, 3), and the location that each shows."""
    index = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).reshape(-1, 3)
    places = index @ affine[:3, :3].T + affine[:3, 3]
    apart, nearest = map(np.asarray, KDTree(mni).query(places, distance_upper_bound=REACH))
    near = np.isfinite(apart)
    return index[near], nearest[near]
