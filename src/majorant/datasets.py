"""fsaverage at hand: a `subjects_dir` for MNE's functions, written once and without a download.

Estimates on the template are of the subject "fsaverage". What MNE needs to draw, morph and label
them lies in FreeSurfer's layout; here it is written from the surfaces that the template itself is
made of, so that vertices and numbers agree. `SOURCES` says of every file where it comes from, and
which are approximations.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import affine_transform

from majorant.atlas.gyri import gyri
from majorant.errors import MajorantError
from majorant.files.archive import content_hash
from majorant.files.cache import cache_folder
from majorant.files.write import beside, exchange
from majorant.forward.cortex import MNI305_TO_MNI152
from majorant.forward.shells import ShellHead
from majorant.forward.surfaces import Surfaces, package_folder, read_gifti
from majorant.forward.template import template_head, template_parcels, template_surfaces

__all__ = ["SOURCES", "fsaverage"]

VERSION = 2
SIDES = (("lh", "left"), ("rh", "right"))
MAPS = {"curv": "curv", "area": "area"}

SOURCES: Mapping[str, str] = {
    "surf/?h.{pial,white,inflated,sphere}": "fsaverage5 of FreeSurfer (nilearn's wheel): 10,242 "
    "vertices a hemisphere, the first of fsaverage's 163,842, in its order",
    "surf/?h.sphere.reg": "a copy of ?h.sphere; fsaverage is the target of registration",
    "surf/?h.{curv,sulc,thickness,area}": "group averages of fsaverage5 (nilearn's wheel)",
    "label/?h.cortex.label": "an approximation: cortex of 1.5 mm and more, in one piece, which is "
    "what the 994 regions cover",
    "label/?h.gyri.annot": "our atlas of gyri (majorant.atlas); FreeSurfer's aparc is not here",
    "bem/fsaverage-{head,inner_skull-bem,fiducials,trans}.fif": "MNE's wheel",
    "bem/{inner_skull,outer_skin}.surf": "the same inner skull and scalp with 642 vertices, the "
    "neck cut off",
    "bem/outer_skull.surf": "an approximation: placed between the two, at most 7 mm outside the "
    "inner skull",
    "bem/fsaverage-1280-1280-1280-bem{,-sol}.fif": "those three shells, and their solution",
    "bem/fsaverage-ico-{4,5}-src.fif": "the pial surface, as in our lead fields",
    "mri/T1.mgz": "an approximation: the ICBM152 2009a template (nilearn's wheel), brought into "
    "fsaverage's frame by FreeSurfer's affine",
    "mri/transforms/talairach.xfm": "the identity, for fsaverage's coordinates are MNI305",
}
"""Where each file comes from."""

LICENCES = (
    "fsaverage: FreeSurfer Software License Agreement; MNE's files: BSD-3-Clause; ICBM152 2009a: "
    "copyright 1993-2009 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological "
    "Institute, McGill University; free to use, copy, modify and distribute with this notice, and "
    "provided as it is."
)


def fsaverage(progress: Callable[[str], None] | None = None) -> Path:
    """Return a `subjects_dir` that holds the subject "fsaverage" of our estimates.

    It is written to the cache folder at the first call (some seconds), whole or not at all.

    Parameters
    ----------
    progress : callable, optional
        Takes a line of text for every step that takes time.

    Returns
    -------
    Path
        For the argument `subjects_dir` of MNE's functions: ``stc.plot``, `mne.grow_labels`,
        `mne.read_labels_from_annot`, `mne.compute_source_morph`, `mne.extract_label_time_course`.

    Raises
    ------
    MajorantError
        If the cache folder cannot be written.

    Notes
    -----
    Surfaces have 10,242 vertices a hemisphere. They are the first of FreeSurfer's own fsaverage, so
    an estimate of ours fits that one, too; an estimate on vertices beyond them needs that one.
    :data:`SOURCES` says where each file comes from.

    Examples
    --------
    >>> stc.plot(subjects_dir=majorant.datasets.fsaverage())  # doctest: +SKIP
    """
    target = cache_folder() / f"subjects-{content_hash(_key())[:20]}"
    if not (target / "fsaverage").is_dir():
        if progress is not None:
            progress("Writing fsaverage in FreeSurfer's layout (once)")
        try:
            with beside(target) as folder:
                _write(folder / "fsaverage", progress)
                exchange(folder, target)
        except (MajorantError, OSError) as error:
            raise MajorantError(
                f"fsaverage cannot be written to the cache folder {target.parent}: {error}; set "
                "MAJORANT_CACHE to a folder of yours"
            ) from error
    return target


def _key() -> list[Any]:
    return [VERSION, *(metadata.version(name) for name in ("mne", "nilearn"))]


def _write(folder: Path, progress: Callable[[str], None] | None) -> None:
    import mne

    for part in ("surf", "label", "bem", "mri/transforms"):
        (folder / part).mkdir(parents=True)
    surfaces, head = template_surfaces(progress), template_head(progress=progress)
    with mne.utils.use_log_level("error"):
        _write_surfaces(folder / "surf", surfaces)
        _write_labels(folder / "label", surfaces)
        _write_bem(folder, head)
    _write_volumes(folder / "mri")
    said = {"sources": dict(SOURCES), "licences": LICENCES}
    (folder / "SOURCES.json").write_text(json.dumps(said, indent=2), "utf-8")


def _write_surfaces(folder: Path, surfaces: Surfaces) -> None:
    import nibabel.freesurfer.io as freesurfer

    data = package_folder("nilearn") / "datasets" / "data" / "fsaverage5"
    for side, (hemi, word) in enumerate(SIDES):
        faces = surfaces.faces[side]
        for name in ("pial", "white", "inflated", "sphere"):
            places = 1e3 * getattr(surfaces, name)[side].astype(np.float64)
            freesurfer.write_geometry(folder / f"{hemi}.{name}", places, faces)
        shutil.copy(folder / f"{hemi}.sphere", folder / f"{hemi}.sphere.reg")
        maps = {"sulc": surfaces.sulc[side], "thickness": surfaces.thickness[side]}
        maps |= {name: read_gifti(data / f"{stem}_{word}.gii.gz")[0] for name, stem in MAPS.items()}
        for name, values in maps.items():
            freesurfer.write_morph_data(folder / f"{hemi}.{name}", values, len(faces))


def _write_labels(folder: Path, surfaces: Surfaces) -> None:
    import mne

    parcels = template_parcels().numpy()
    for side, (hemi, _) in enumerate(SIDES):
        vertices = np.flatnonzero(parcels[side] >= 0)
        places = surfaces.white[side][vertices]
        label = mne.Label(vertices, places, hemi=hemi, name="cortex", subject="fsaverage")
        label.save(folder / f"{hemi}.cortex.label")
    mne.write_labels_to_annot(
        gyri().labels(), "fsaverage", "gyri", subjects_dir=folder.parents[1], sort=False
    )


def _write_bem(folder: Path, head: ShellHead) -> None:
    """Shells, their solution, fiducials, and the source spaces of our lead fields."""
    import mne

    bem, name = folder / "bem", "fsaverage-1280-1280-1280-bem"
    own = package_folder("mne") / "data" / "fsaverage"
    for file in ("head", "inner_skull-bem", "fiducials", "trans"):
        shutil.copy(own / f"fsaverage-{file}.fif", bem)
    for shell, places in zip(
        ("inner_skull", "outer_skull", "outer_skin"), head.shells, strict=True
    ):
        mne.write_surface(bem / f"{shell}.surf", 1e3 * places, head.shell_faces)
    (bem / f"{name}-sol.fif").write_bytes(head.solution)
    solution = mne.read_bem_solution(bem / f"{name}-sol.fif")
    mne.write_bem_surfaces(bem / f"{name}.fif", solution["surfs"])
    for depth in (4, 5):
        space = mne.setup_source_space(
            "fsaverage", f"ico{depth}", surface="pial", subjects_dir=folder.parent, add_dist=False
        )
        mne.write_source_spaces(bem / f"fsaverage-ico-{depth}-src.fif", space)


def _write_volumes(folder: Path) -> None:
    """The template's image in fsaverage's frame, 1 mm, and the identity to MNI305."""
    from nibabel.freesurfer.mghformat import MGHImage
    from nibabel.loadsave import load, save

    # FreeSurfer's conformed voxels, 256 a side; of fsaverage their RAS is MNI305.
    to_ras = np.array([[-1, 0, 0, 128], [0, 0, 1, -128], [0, -1, 0, 128], [0, 0, 0, 1]], float)
    name = "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    image: Any = load(package_folder("nilearn") / "datasets" / "data" / name)
    to_voxel = np.linalg.inv(image.affine) @ np.array(MNI305_TO_MNI152) @ to_ras
    voxels = affine_transform(
        np.asarray(image.dataobj), to_voxel[:3, :3], to_voxel[:3, 3], (256,) * 3, order=1
    )
    whole: Any = voxels.astype(np.uint8)
    save(MGHImage(whole, to_ras), folder / "T1.mgz")
    rows = "\n".join(" ".join(map(str, row)) for row in np.eye(4)[:3])
    text = f"MNI Transform File\n\nTransform_Type = Linear;\nLinear_Transform =\n{rows};\n"
    (folder / "transforms" / "talairach.xfm").write_text(text, "ascii")
