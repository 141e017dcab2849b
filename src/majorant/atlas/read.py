"""An atlas by name or from a file: FreeSurfer, GIFTI, CIFTI and NIfTI, each read by nibabel."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.atlas.atlas import N_TEMPLATE, Atlas, Volume
from majorant.atlas.gyri import gyri
from majorant.atlas.packaged import N_FSLR, PACKAGED, from_fslr, packaged
from majorant.errors import MajorantError, nearest
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template import template_surfaces

__all__ = ["NAMES", "read_atlas"]

NAMES = ("gyri", *PACKAGED)
"""Atlases that have a name."""
NONE = {"", "???", "unknown", "medial_wall", "corpuscallosum", "freesurfer_defined_medial_wall"}
"""What files call vertices of no region."""
PAIRS = (("lh", "rh"), ("L", "R"), ("left", "right"))
REACH = 3.0
"""Millimetres from a vertex within which a voxel of a region names it."""

Tables = tuple[NDArray[np.int64], NDArray[np.int64]]


def read_atlas(
    what: str | os.PathLike[str] | Atlas = "gyri",
    *,
    subject: str | None = None,
    subjects_dir: str | os.PathLike[str] | None = None,
) -> Atlas:
    """Return an atlas.

    Parameters
    ----------
    what : str, path or Atlas
        "gyri" (ours); with the extra ``atlas``: "hcp-mmp", "yeo7", "yeo17", "cole-anticevic",
        "aparc"; or a file: ``?h.NAME.annot`` and ``?h.NAME.label`` of FreeSurfer, ``.label.gii`` of
        either hemisphere (the other lies beside it), ``.dlabel.nii``, or a volume ``.nii`` in
        MNI152, whose names are in a text file beside it (``NAME.txt``, ``.tsv`` or ``.csv``: a
        number and a name a line). An annotation of that name in the ``label`` folder of `subject`
        goes before.
    subject : str, optional
        Whose vertices a surface file has; fsaverage (of any size) where it is not given.
    subjects_dir : path, optional

    Returns
    -------
    Atlas

    Raises
    ------
    MajorantError
        If there is no such name or file, or it is none that can be read.
    """
    if isinstance(what, Atlas):
        return what
    text = os.fspath(what)
    own = Path(subjects_dir or ".") / (subject or "") / "label" / f"lh.{text}.annot"
    if subject in (None, "fsaverage") or subjects_dir is None or not own.is_file():
        if text.lower() == "gyri":
            return gyri()
        if text.lower() in PACKAGED:
            return packaged(text.lower())
        own = Path(text).expanduser()
    path = own
    if not path.is_file():
        raise MajorantError(
            f"there is no atlas {text!r}{nearest(text, NAMES)}; take {', '.join(NAMES)}, or a "
            "file .annot, .label, .label.gii, .dlabel.nii or .nii"
        )
    try:
        return _read(path, subject or "fsaverage")
    except MajorantError:
        raise
    except Exception as error:  # Readers raise what they like at a file that is none of theirs.
        raise MajorantError(
            f"{path.name} cannot be read as an atlas ({type(error).__name__}: {error}); expected "
            ".annot, .label, .label.gii, .dlabel.nii or .nii"
        ) from error


def _read(path: Path, subject: str) -> Atlas:
    name = path.name.lower()
    stem = re.sub(r"(\.label)?\.(annot|label|gii|nii)(\.gz)?$|\.dlabel\.nii$", "", path.name)
    stem = re.sub(r"^[lr]h\.", "", stem)
    about = f"From the file {path.name}."
    if name.endswith(".dlabel.nii"):
        return _cifti(path, stem, about)
    if name.endswith((".nii", ".nii.gz")):
        return _volume(path, stem, about)
    if name.endswith((".gii", ".gii.gz")):
        each = [_gifti(side) for side in _pair(path)]
    elif name.endswith(".annot"):
        each = [_annotation(side) for side in _pair(path)]
    elif name.endswith(".label"):
        return _label(path, stem, subject, about)
    else:
        raise MajorantError(
            f"{path.name} is no atlas by its name; expected .annot, .label, .label.gii, "
            ".dlabel.nii or .nii"
        )
    names = tuple(dict.fromkeys(name for _, known in each for name in known.values()))
    place = {name: k for k, name in enumerate(names)}
    tables = []
    for values, known in each:
        lookup = {key: place[name] for key, name in known.items()}
        tables.append(np.array([lookup.get(int(v), -1) for v in values], dtype=np.int64))
    fitted, about = _fitted((tables[0], tables[1]), subject, path, about)
    return Atlas(stem, names, fitted, about, subject)


def _pair(path: Path) -> tuple[Path | None, Path | None]:
    """The files of both hemispheres; None for one that there is not."""
    for left, right in PAIRS:
        for side, (own, other) in enumerate(((left, right), (right, left))):
            pattern = rf"(?<![A-Za-z]){own}(?![A-Za-z])"
            if re.search(pattern, path.name):
                beside: Path | None = path.with_name(re.sub(pattern, other, path.name, count=1))
                beside = beside if beside is not None and beside.is_file() else None
                return (path, beside) if side == 0 else (beside, path)
    raise MajorantError(
        f"{path.name} does not say of which hemisphere it is; name it with lh and rh, or L and R"
    )


Side = tuple[NDArray[np.int64], Mapping[int, str]]


def _annotation(path: Path | None) -> Side:
    import nibabel.freesurfer.io as freesurfer

    if path is None:
        return np.zeros(0, np.int64), {}
    values, _, names = freesurfer.read_annot(path)
    return values, _named({k: name.decode() for k, name in enumerate(names)})


def _gifti(path: Path | None) -> Side:
    import nibabel.gifti
    import nibabel.loadsave

    if path is None:
        return np.zeros(0, np.int64), {}
    image = nibabel.loadsave.load(path)
    assert isinstance(image, nibabel.gifti.gifti.GiftiImage)
    values = np.asarray(image.darrays[0].data)
    known = image.labeltable.get_labels_as_dict()
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.integer) or not known:
        raise MajorantError(
            f"{path.name} holds no labels of vertices (whole numbers with a table of names); give "
            "a .label.gii"
        )
    return values, _named({int(k): str(name) for k, name in known.items()})


def _named(known: Mapping[int, str]) -> dict[int, str]:
    """Names without a side, and without what is no region."""
    plain = {k: re.sub(r"^([LR]|lh|rh|[LR]H)[_-]", "", name) for k, name in known.items()}
    return {k: name for k, name in plain.items() if name.lower() not in NONE}


def _label(path: Path, stem: str, subject: str, about: str) -> Atlas:
    import nibabel.freesurfer.io as freesurfer

    hemi = 1 if path.name.startswith("rh.") or path.name.endswith("-rh.label") else 0
    vertices = np.asarray(freesurfer.read_label(path), np.int64)
    size = N_TEMPLATE
    if subject == "fsaverage":
        vertices = vertices[vertices < N_TEMPLATE]
    elif len(vertices):
        size = int(vertices.max()) + 1
    tables = [np.full(size, -1), np.full(size, -1)]
    tables[hemi][vertices] = 0
    name = re.sub(r"-[lr]h$", "", stem)
    return Atlas(name, (name,), (tables[0], tables[1]), about, subject)


def _cifti(path: Path, stem: str, about: str) -> Atlas:
    import nibabel.loadsave
    from nibabel.cifti2.cifti2 import Cifti2Image

    image = nibabel.loadsave.load(path)
    assert isinstance(image, Cifti2Image)
    labels, models = image.header.get_axis(0), image.header.get_axis(1)
    values = np.asarray(image.dataobj)[0].astype(np.int64)
    known = _named({int(k): str(pair[0]) for k, pair in labels.label[0].items()})
    names = tuple(dict.fromkeys(known.values()))
    lookup = {key: names.index(name) for key, name in known.items()}
    tables = [np.full(0, -1), np.full(0, -1)]
    for structure, rows, model in models.iter_structures():
        side = {"CIFTI_STRUCTURE_CORTEX_LEFT": 0, "CIFTI_STRUCTURE_CORTEX_RIGHT": 1}.get(structure)
        if side is None:
            continue
        tables[side] = np.full(model.nvertices[structure], -1)
        tables[side][model.vertex] = [lookup.get(int(v), -1) for v in values[rows]]
    fitted, about = _fitted((tables[0], tables[1]), "fsaverage", path, about)
    return Atlas(stem.removesuffix(".dlabel"), names, fitted, about)


def _fitted(tables: Tables, subject: str, path: Path, about: str) -> tuple[Tables, str]:
    """Tables on the vertices that ours have: fsaverage of any size begins with fsaverage5."""
    size = max(len(table) for table in tables)
    whole = [t if len(t) else np.full(size, -1) for t in tables]
    if subject != "fsaverage":
        return (whole[0], whole[1]), about
    if size == N_FSLR:
        said = f"{about} Carried over from fs_LR by nearest places in MNI space."
        return from_fslr((whole[0], whole[1])), said
    if size < N_TEMPLATE or (size - 2) % 10 or bin((size - 2) // 10).count("1") != 1:
        raise MajorantError(
            f"{path.name} has {size} vertices a hemisphere, which is no size of fsaverage "
            "(10,242, 40,962, 163,842) nor of fs_LR (32,492); if they are of a subject of its own, "
            "name it"
        )
    return (whole[0][:N_TEMPLATE], whole[1][:N_TEMPLATE]), about


def _volume(path: Path, stem: str, about: str) -> Atlas:
    import nibabel.loadsave

    image: Any = nibabel.loadsave.load(path)
    values = np.asarray(image.dataobj)
    values = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    if values.ndim != 3 or not np.array_equal(values, np.rint(values)):
        raise MajorantError(
            f"{path.name} is no volume of whole numbers; give one number a region, 0 for none"
        )
    keys = [int(k) for k in np.unique(values) if k > 0]
    if not 0 < len(keys) <= 4096:
        raise MajorantError(
            f"{path.name} has {len(keys)} regions; expected 1 to 4,096, one number each"
        )
    said = _beside(path, stem)
    names = tuple(said.get(k, f"region {k}") for k in keys)
    voxels = np.full(values.shape, -1)
    for n, key in enumerate(keys):
        voxels[values == key] = n
    volume = Volume(voxels, np.asarray(image.affine, float))
    mid = template_surfaces().mid
    # Half a voxel's diagonal, so that large voxels leave no holes.
    reach = max(REACH, float(np.linalg.norm(volume.affine[:3, :3])) / 2)
    tables = [volume.at(mni305_to_mni152(mid[side]), reach) for side in range(2)]
    about += f" Taken to be in MNI152 space; a vertex has the region within {reach:.1f} mm of it."
    return Atlas(stem, names, (tables[0], tables[1]), about, volume=volume)


def _beside(path: Path, stem: str) -> dict[int, str]:
    """Names of numbers, from a text file beside a volume."""
    for suffix in (".txt", ".tsv", ".csv"):
        file = path.with_name(stem + suffix)
        if file.is_file():
            rows = (re.split(r"[\t,; ]+", line.strip(), maxsplit=2) for line in _lines(file))
            pairs = [row for row in rows if len(row) > 1 and row[0].isdigit()]
            return {int(row[0]): row[1].strip('"') for row in pairs}
    return {}


def _lines(file: Path) -> list[str]:
    return file.read_text("utf-8", "replace").splitlines()
