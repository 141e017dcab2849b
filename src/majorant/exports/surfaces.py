"""Estimates on the template's cortex for Workbench, FreeSurfer and SPM: GIFTI and CIFTI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from majorant.exports.material import Material, Sidecar, template_only
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template import template_surfaces
from majorant.report.spread import spread

__all__ = ["write_cifti", "write_gifti"]

SIDES = (("L", "CortexLeft"), ("R", "CortexRight"))
N_VERTICES = 10242


def write_gifti(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write both pial surfaces and the estimate over time on all their vertices.

    ``hemi-?_pial.surf.gii`` (MNI152, mm) and ``estimate_hemi-?.func.gii``, one array a time, NaN
    where the estimate says nothing. Between the vertices of the source space it is harmonic.

    Raises
    ------
    MajorantError
        If the estimate is not of the template's cortex.
    """
    from nibabel.gifti import gifti
    from nibabel.loadsave import save

    template_only(material, "GIFTI")
    surfaces, maps = template_surfaces(), material.content.sources
    values = spread(maps, maps.values, surfaces.faces).astype(np.float32)
    times, found = material.content.times, {}
    step = float(times[1] - times[0]) if len(times) > 1 else 0.0
    for side, (letter, structure) in enumerate(SIDES):
        primary = {"AnatomicalStructurePrimary": structure}
        places = mni305_to_mni152(surfaces.pial[side]).astype(np.float32)
        mesh = gifti.GiftiImage(
            darrays=[
                gifti.GiftiDataArray(
                    places, "NIFTI_INTENT_POINTSET", coordsys=gifti.GiftiCoordSystem(4, 4),
                    meta={**primary, "GeometricType": "Anatomical"},
                ),
                gifti.GiftiDataArray(surfaces.faces[side], "NIFTI_INTENT_TRIANGLE"),
            ]
        )  # fmt: skip
        save(mesh, folder / f"hemi-{letter}_pial.surf.gii")
        arrays = [
            gifti.GiftiDataArray(
                np.ascontiguousarray(values[side, :, k]), "NIFTI_INTENT_TIME_SERIES",
                meta={"Name": f"{1e3 * time:.3f} ms"},
            )
            for k, time in enumerate(times)
        ]  # fmt: skip
        meta = {**primary, "TimeStep": repr(step), "TimeFirst": repr(float(times[0]))}
        save(
            gifti.GiftiImage(meta=gifti.GiftiMetaData(meta), darrays=arrays),
            folder / f"estimate_hemi-{letter}.func.gii",
        )
        found[f"hemi-{letter}_pial.surf.gii"] = {
            "Description": "Pial surface of fsaverage5, coordinates in MNI152.",
            "Units": "mm",
        }
        found[f"estimate_hemi-{letter}.func.gii"] = material.about(
            "The estimate on every vertex of fsaverage5, one array a time; NaN where it says "
            "nothing; harmonic between the vertices of the source space.",
            StartTime=float(times[0]),
            RepetitionTime=step,
        )
    return found


def write_cifti(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``estimate.dtseries.nii``: the vertices of the estimate on fsaverage5, over time.

    Raises
    ------
    MajorantError
        If the estimate is not of the template's cortex, or one side is empty.
    """
    from nibabel.cifti2.cifti2 import Cifti2Image
    from nibabel.cifti2.cifti2_axes import BrainModelAxis, SeriesAxis
    from nibabel.loadsave import save

    template_only(material, "CIFTI")
    stc = material.stc
    models: list[Any] = [
        BrainModelAxis.from_surface(vertices, N_VERTICES, name=structure)
        for vertices, (_, structure) in zip(stc.vertices, SIDES, strict=True)
        if len(vertices)
    ]
    brain = models[0] if len(models) == 1 else models[0] + models[1]
    series = SeriesAxis(start=float(stc.tmin), step=float(stc.tstep), size=len(stc.times))
    image = Cifti2Image(np.ascontiguousarray(stc.data.T, np.float32), header=(series, brain))
    save(image, folder / "estimate.dtseries.nii")
    said = material.about(
        "The estimate on vertices of fsaverage5 (not of fs_LR).",
        StartTime=float(stc.tmin),
        RepetitionTime=float(stc.tstep),
    )
    return {"estimate.dtseries.nii": said}
