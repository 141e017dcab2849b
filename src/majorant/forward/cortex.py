"""Cortex: the region parcellation, names of places, and growth of patches.

Regions are found by Ward's clustering on the mesh of the mid surface (half way between white and
pial), so that each is connected and all are of similar extent. Names of lobes come from boxes in
MNI152 coordinates (`LOBES`): coarse, but free of any atlas file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from majorant.forward.graph import mesh_edges
from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError

__all__ = [
    "LOBES",
    "MNI305_TO_MNI152",
    "Parcellation",
    "build_parcels",
    "grow_patch",
    "is_connected",
    "lobe",
    "mni305_to_mni152",
    "parcels_from_annotation",
]

REGIONS_PER_HEMISPHERE = 497
WALL_THICKNESS = 1.5
"""Millimetres: the largest connected component of thinner cortex is taken for the medial wall."""

MNI305_TO_MNI152 = (
    (0.9975, -0.0073, 0.0176, -0.0429),
    (0.0146, 1.0009, -0.0024, 1.5496),
    (-0.0130, -0.0093, 0.9971, 1.1840),
    (0.0, 0.0, 0.0, 1.0),
)
"""FreeSurfer's published affine from MNI305 (fsaverage) to MNI152, millimetres."""


def mni305_to_mni152(positions: Tensor | np.ndarray) -> np.ndarray:
    """Map MNI305 positions to MNI152.

    Parameters
    ----------
    positions : array, shape (..., 3)
        Metres, as in `Leadfield.positions` of the template.

    Returns
    -------
    ndarray, shape (..., 3), float64
        **Millimetres**, the unit in which MNI coordinates are quoted.

    Notes
    -----
    FreeSurfer wiki, "CoordinateSystems", case 8.
    """
    affine = np.array(MNI305_TO_MNI152)
    return np.asarray(positions, dtype=np.float64) * 1e3 @ affine[:3, :3].T + affine[:3, 3]


Range = tuple[float, float]
FAR = 999.0

LOBES: tuple[tuple[str, Range, Range, Range], ...] = (
    # name, |x|, y, z in MNI152 millimetres; the first box that holds a point names it
    ("insula", (28, 42), (-22, 24), (-14, 16)),
    ("cingulate/limbic", (0, 14), (-2, 46), (-10, 30)),
    ("cingulate/limbic", (0, 14), (-30, 20), (18, 44)),
    ("cingulate/limbic", (0, 14), (-56, -30), (8, 40)),
    ("cingulate/limbic", (10, 32), (-42, 6), (-40, -10)),
    ("occipital", (0, FAR), (-FAR, -78), (-FAR, 40)),
    ("occipital", (0, 30), (-78, -56), (-14, 14)),
    ("occipital", (30, FAR), (-78, -68), (-22, 16)),
    ("temporal", (22, FAR), (-5, 22), (-FAR, -12)),
    ("temporal", (34, FAR), (-30, -5), (-FAR, 10)),
    ("temporal", (40, FAR), (-68, -30), (-FAR, 16)),
    ("temporal", (18, FAR), (-78, -5), (-FAR, -6)),
    ("central/sensorimotor", (0, 20), (-42, -14), (48, FAR)),
    ("central/sensorimotor", (15, 48), (-40, -8), (46, FAR)),
    ("central/sensorimotor", (34, FAR), (-28, 4), (16, 48)),
    ("parietal", (0, FAR), (-FAR, -25), (8, FAR)),
    ("frontal", (0, FAR), (-25, FAR), (-FAR, FAR)),
    ("cingulate/limbic", (0, 22), (-FAR, FAR), (-FAR, FAR)),
    ("temporal", (0, FAR), (-FAR, FAR), (-FAR, FAR)),
)
"""Lobes as boxes, both hemispheres alike. Borders are straight where anatomy's are not."""


def lobe(position: Sequence[float] | np.ndarray) -> str:
    """Name the lobe of a cortical position.

    Parameters
    ----------
    position : sequence of float, shape (3,)
        MNI152, millimetres (see `mni305_to_mni152`).

    Returns
    -------
    str
        A name of `LOBES`.
    """
    x, y, z = (float(value) for value in position)
    for name, *box in LOBES:
        if all(low <= v < high for v, (low, high) in zip((abs(x), y, z), box, strict=True)):
            return name
    raise MajorantError(f"({x}, {y}, {z}) is no position in millimetres")


@dataclass(frozen=True)
class Parcellation:
    """Regions of both hemispheres.

    Attributes
    ----------
    parcels : Tensor, shape (2, n_vertices), int64
        Region of every vertex, left hemisphere first, -1 in the medial wall.
    wall : tuple of int
        Vertices taken for the medial wall, left and right.
    islands : tuple of int
        Vertices of cortex cut off by the wall and left out, left and right.
    """

    parcels: Tensor
    wall: tuple[int, int]
    islands: tuple[int, int]

    @property
    def n_regions(self) -> int:
        """Number of regions."""
        return int(self.parcels.max()) + 1


def build_parcels(
    mid: np.ndarray,
    faces: np.ndarray,
    thickness: np.ndarray,
    n_regions: int = REGIONS_PER_HEMISPHERE,
) -> Parcellation:
    """Divide both hemispheres into connected regions of similar extent.

    Parameters
    ----------
    mid : array, shape (2, n_vertices, 3)
        Mid surface, metres.
    faces : array, shape (2, n_faces, 3)
    thickness : array, shape (2, n_vertices)
        Cortical thickness, millimetres.
    n_regions : int
        Regions per hemisphere.

    Returns
    -------
    Parcellation

    Notes
    -----
    Ward's method under the mesh's connectivity (scikit-learn); regions are numbered by their
    lowest vertex, so that the outcome does not depend on the clustering's own numbering.
    """
    from sklearn.cluster import AgglomerativeClustering

    parcels, walls, islands = [], [], []
    for hemisphere in range(2):
        n_vertices = mid.shape[1]
        edges = mesh_edges(torch.as_tensor(faces[hemisphere], dtype=torch.int64)).numpy()
        wall = _largest(n_vertices, edges, thickness[hemisphere] < WALL_THICKNESS)
        cortex = _largest(n_vertices, edges, ~wall)
        kept = np.flatnonzero(cortex)
        connectivity = _adjacency(n_vertices, edges)[kept][:, kept]
        ward = AgglomerativeClustering(n_clusters=n_regions, connectivity=connectivity)
        labels = ward.fit_predict(mid[hemisphere][kept].astype(np.float64))
        full = np.full(n_vertices, -1)
        full[kept] = _by_first_vertex(labels) + hemisphere * n_regions
        parcels.append(full)
        walls.append(int(wall.sum()))
        islands.append(int((~wall).sum() - len(kept)))
    return Parcellation(
        torch.from_numpy(np.stack(parcels)), (walls[0], walls[1]), (islands[0], islands[1])
    )


def parcels_from_annotation(
    left: Sequence[int] | np.ndarray, right: Sequence[int] | np.ndarray, background: int = -1
) -> Tensor:
    """Turn a user's own annotation into parcels.

    Parameters
    ----------
    left, right : array of int, shape (n_vertices,)
        Label of every vertex; labels may have gaps, and may recur in the other hemisphere.
    background : int
        The label of vertices that belong to no region.

    Returns
    -------
    Tensor, shape (2, n_vertices), int64
        Numbered without gaps, left hemisphere first; -1 in the background.

    Raises
    ------
    MajorantError
        If the hemispheres differ in length, or one has no region.
    """
    sides = [np.asarray(left), np.asarray(right)]
    if sides[0].ndim != 1 or sides[0].shape != sides[1].shape:
        raise MajorantError(
            f"the annotation has shapes {sides[0].shape} and {sides[1].shape}; expected one label "
            "per vertex, as many on the left as on the right"
        )
    start, rows = 0, []
    for side, name in zip(sides, ("left", "right"), strict=True):
        values = np.unique(side[side != background])
        if not len(values):
            raise MajorantError(f"the {name} hemisphere's annotation names no region")
        row = np.where(side == background, -1, np.searchsorted(values, side) + start)
        start += len(values)
        rows.append(row)
    return torch.from_numpy(np.stack(rows).astype(np.int64))


def is_connected(parcels: Tensor, faces: np.ndarray) -> Tensor:
    """Say of every region whether it is one piece of the mesh.

    Parameters
    ----------
    parcels : Tensor, shape (2, n_vertices)
    faces : array, shape (2, n_faces, 3)

    Returns
    -------
    Tensor, shape (n_regions,), bool
    """
    connected = torch.zeros(int(parcels.max()) + 1, dtype=torch.bool)
    for hemisphere in range(2):
        labels = parcels[hemisphere]
        edges = mesh_edges(torch.as_tensor(faces[hemisphere], dtype=torch.int64))
        inner = edges[labels[edges[:, 0]] == labels[edges[:, 1]]].numpy()
        piece = connected_components(_adjacency(len(labels), inner), directed=False)[1]
        for region in torch.unique(labels[labels >= 0]).tolist():
            connected[region] = len(np.unique(piece[(labels == region).numpy()])) == 1
    return connected


def grow_patch(space: Leadfield | Tensor, seed: int, order: int) -> Tensor:
    """Return the locations within some hops of a seed.

    Parameters
    ----------
    space : Leadfield, or Tensor of shape (n_locations, n_locations)
        The source space, or its hop distances.
    seed : int
        The location from which the patch grows.
    order : int
        Hops; 0 is the seed alone.

    Returns
    -------
    Tensor, shape (n_members,), int64
        Ascending.
    """
    if isinstance(space, Leadfield):
        row = space.hops([seed])[0]
    else:
        row = space[seed]
    return (row <= order).nonzero().flatten()


def _adjacency(n: int, edges: np.ndarray) -> csr_array:
    both = np.concatenate([edges, edges[:, ::-1]])
    return csr_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(n, n))


def _largest(n: int, edges: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the mask of the largest connected component of a mask, shape (n,), bool."""
    inner = edges[mask[edges].all(axis=1)]
    piece = connected_components(_adjacency(n, inner), directed=False)[1]
    count = np.bincount(piece[mask], minlength=1)
    return mask & (piece == count.argmax())


def _by_first_vertex(labels: np.ndarray) -> np.ndarray:
    """Renumber labels in the order of their first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
