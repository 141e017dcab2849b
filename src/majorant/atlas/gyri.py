"""The default atlas: gyri by their plain names, grown from seeds that stand in this file.

Every gyrus has some points along its crown (`SEEDS`); a vertex of the template belongs to the gyrus
whose seed is nearest along the cortex, where a way through a sulcus counts more than one along a
crown (`SULCUS`), so that borders run in sulci. No other atlas is part of it. How it agrees with
others, and with published places, `tests/atlas/test_names.py` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree

from majorant.atlas.atlas import Atlas
from majorant.forward.cortex import lobe, mni305_to_mni152
from majorant.forward.graph import mesh_edges
from majorant.forward.template import template_parcels, template_surfaces

__all__ = ["LOBE_OF", "ONE_SIDED", "SEEDS", "gyri", "lobes_at"]

Place = tuple[int, int, int]
SULCUS = 2.0
"""Cost of a millimetre is 1 plus this times the sulcal depth, where that is positive."""

SEEDS: Mapping[str, tuple[Place, ...]] = {
    "superior frontal gyrus": (
        (14, 60, 20),
        (14, 50, 38),
        (18, 36, 50),
        (20, 20, 58),
        (22, 4, 64),
        (20, -8, 68),
        (8, 54, 22),
        (8, 40, 38),
        (8, 24, 50),
        (8, 8, 58),
        (8, -6, 64),
        (8, 60, 6),
        (7, 46, 28),
        (9, 28, 38),
        (9, 0, 50),
    ),
    "middle frontal gyrus": (
        (30, 56, 8),
        (38, 46, 16),
        (40, 36, 30),
        (42, 24, 38),
        (38, 14, 48),
        (32, 8, 54),
        (28, 46, 28),
        (28, 32, 40),
        (42, 46, 4),
        (28, 56, -4),
        (40, 18, 46),
        (42, 32, 20),
        (26, 50, 22),
    ),
    "frontal pole": ((10, 66, -10),),
    "inferior frontal gyrus, opercular part": (
        (50, 14, 16),
        (54, 12, 8),
        (42, 14, 22),
        (46, 21, 15),
    ),
    "inferior frontal gyrus, triangular part": (
        (50, 30, 8),
        (46, 34, 6),
        (42, 34, 2),
        (50, 24, 2),
        (44, 36, 10),
    ),
    "inferior frontal gyrus, orbital part": ((44, 36, -12), (40, 46, -12), (48, 30, -10)),
    "lateral orbitofrontal cortex": (
        (24, 34, -16),
        (34, 32, -14),
        (20, 20, -20),
        (30, 22, -18),
        (24, 50, -14),
        (14, 26, -20),
    ),
    "medial orbitofrontal cortex": (
        (6, 40, -20),
        (6, 28, -20),
        (6, 52, -14),
        (8, 16, -18),
        (6, 52, -4),
    ),
    "precentral gyrus": (
        (36, -22, 62),
        (28, -20, 68),
        (20, -22, 72),
        (44, -9, 52),
        (50, -4, 44),
        (54, 0, 34),
        (58, 4, 22),
        (58, 6, 12),
        (38, -10, 44),
        (46, 5, 28),
        (38, -2, 46),
        (24, -14, 64),
    ),
    "postcentral gyrus": (
        (40, -30, 60),
        (28, -34, 66),
        (20, -36, 70),
        (48, -22, 50),
        (54, -18, 42),
        (58, -14, 32),
        (62, -12, 20),
        (46, -28, 56),
        (40, -30, 48),
        (50, -14, 38),
        (58, -10, 16),
    ),
    "paracentral lobule": ((6, -28, 64), (6, -22, 58), (8, -34, 54)),
    "supramarginal gyrus": (
        (60, -32, 32),
        (56, -40, 40),
        (54, -32, 44),
        (62, -28, 24),
        (50, -38, 46),
        (58, -42, 26),
        (46, -36, 38),
        (56, -26, 36),
        (50, -25, 26),
        (56, -36, 22),
        (54, -22, 22),
    ),
    "angular gyrus": (
        (48, -62, 36),
        (44, -60, 46),
        (52, -58, 28),
        (40, -72, 38),
        (46, -68, 26),
        (38, -64, 46),
        (44, -74, 20),
        (36, -80, 30),
    ),
    "superior parietal lobule": (
        (26, -56, 62),
        (20, -66, 58),
        (30, -48, 60),
        (18, -76, 48),
        (16, -56, 66),
        (22, -76, 42),
        (32, -50, 52),
        (18, -84, 36),
        (22, -68, 52),
        (24, -43, 60),
        (10, -68, 58),
    ),
    "precuneus": (
        (8, -60, 44),
        (8, -66, 34),
        (8, -54, 56),
        (10, -56, 30),
        (6, -50, 46),
        (10, -44, 58),
        (8, -68, 44),
        (12, -60, 20),
    ),
    "superior temporal gyrus": (
        (60, -14, 2),
        (58, -6, -4),
        (54, 4, -12),
        (62, -26, 8),
        (62, -34, 14),
        (48, 12, -20),
        (56, -20, 6),
        (46, -4, -14),
        (50, -32, 14),
        (46, -12, -6),
        (50, -7, -14),
        (52, -28, 0),
    ),
    "Heschl's gyrus": ((44, -22, 8), (50, -18, 8)),
    "middle temporal gyrus": (
        (60, -20, -14),
        (62, -34, -6),
        (60, -46, 0),
        (58, -6, -20),
        (54, 4, -28),
        (58, -56, 4),
        (52, -64, 8),
        (60, -54, -4),
        (57, -22, -20),
        (54, -46, 6),
        (54, -34, -3),
    ),
    "inferior temporal gyrus": (
        (52, -28, -26),
        (56, -44, -16),
        (52, -56, -14),
        (50, -14, -32),
        (46, -2, -38),
        (44, -22, -26),
        (56, -52, -10),
        (50, -36, -22),
        (40, 4, -42),
    ),
    "temporal pole": ((32, 14, -36), (36, 20, -30), (30, 12, -38)),
    "fusiform gyrus": (
        (38, -44, -20),
        (36, -56, -16),
        (38, -32, -24),
        (36, -20, -28),
        (32, -70, -12),
        (28, -58, -14),
        (36, -12, -36),
        (34, -66, -16),
        (40, -66, -14),
    ),
    "parahippocampal gyrus": ((24, -32, -16), (26, -24, -22), (22, -38, -10)),
    "entorhinal cortex": ((24, -8, -32), (22, 0, -32), (26, -14, -30)),
    "lingual gyrus": (
        (14, -66, -4),
        (10, -78, -6),
        (20, -56, -6),
        (22, -72, -8),
        (14, -50, 0),
        (16, -86, -10),
        (12, -74, -1),
    ),
    "calcarine cortex": ((10, -84, 4), (14, -72, 9), (8, -92, 2), (8, -78, 10)),
    "cuneus": ((6, -82, 24), (8, -90, 18), (8, -76, 30), (8, -87, 26)),
    "lateral occipital gyri": (
        (40, -82, 4),
        (30, -92, 4),
        (46, -76, -2),
        (24, -94, -8),
        (38, -82, -10),
        (32, -88, 14),
        (46, -76, -8),
        (20, -98, 4),
        (30, -86, -12),
        (48, -70, 2),
        (22, -96, 12),
    ),
    "insula": (
        (36, 16, 2),
        (38, 4, -4),
        (36, -8, 8),
        (38, -18, 6),
        (34, 20, -8),
        (40, -4, -8),
        (34, 4, 10),
        (38, -12, -4),
        (34, -25, 16),
    ),
    "anterior cingulate cortex": (
        (5, 38, 4),
        (5, 34, 18),
        (5, 20, 28),
        (5, 28, -6),
        (5, 12, 34),
        (5, 40, 14),
        (5, 38, -8),
    ),
    "middle cingulate cortex": ((5, -6, 40), (5, -20, 40), (5, -32, 40), (7, 0, 38)),
    "posterior cingulate cortex": ((6, -46, 26), (8, -50, 14), (12, -46, 6), (5, -40, 32)),
}
"""MNI152, mm, x of the right hemisphere; the left has them mirrored."""

ONE_SIDED: Mapping[str, tuple[Place, ...]] = {
    "supramarginal gyrus": ((-46, -48, 40),),
    "angular gyrus": ((-30, -72, 37), (54, -48, 30)),
    "superior parietal lobule": ((30, -57, 44),),
    "inferior frontal gyrus, opercular part": ((-43, 20, 13),),
}
"""More of them, of the side that the sign of x says."""

_LOBES: Mapping[str, tuple[str, ...]] = {
    "frontal": (
        "superior frontal gyrus",
        "middle frontal gyrus",
        "frontal pole",
        "inferior frontal gyrus, opercular part",
        "inferior frontal gyrus, triangular part",
        "inferior frontal gyrus, orbital part",
        "lateral orbitofrontal cortex",
        "medial orbitofrontal cortex",
    ),
    "central/sensorimotor": ("precentral gyrus", "postcentral gyrus", "paracentral lobule"),
    "parietal": (
        "supramarginal gyrus",
        "angular gyrus",
        "superior parietal lobule",
        "precuneus",
    ),
    "temporal": (
        "superior temporal gyrus",
        "Heschl's gyrus",
        "middle temporal gyrus",
        "inferior temporal gyrus",
        "temporal pole",
        "fusiform gyrus",
    ),
    "occipital": ("lingual gyrus", "calcarine cortex", "cuneus", "lateral occipital gyri"),
    "insula": ("insula",),
    "cingulate/limbic": (
        "anterior cingulate cortex",
        "middle cingulate cortex",
        "posterior cingulate cortex",
        "parahippocampal gyrus",
        "entorhinal cortex",
    ),
}
LOBE_OF: Mapping[str, str] = {name: lobe for lobe, own in _LOBES.items() for name in own}
"""Lobe of every gyrus."""


def lobes_at(mni: NDArray[np.float64]) -> tuple[str, ...]:
    """Name the lobes of places by their gyri, or by boxes where there is no gyrus near.

    Parameters
    ----------
    mni : array, shape (n, 3)
        MNI152, mm; the sign of x says the side.

    Returns
    -------
    tuple of str
    """
    atlas = gyri()
    return tuple(
        lobe(place) if region < 0 else LOBE_OF[atlas.names[region]]
        for place, region in zip(mni, atlas.of_places(mni), strict=True)
    )


@cache
def gyri() -> Atlas:
    """Return the atlas of gyri, on fsaverage5."""
    surfaces = template_surfaces()
    inside = template_parcels().numpy() >= 0
    names = tuple(SEEDS)
    tables = []
    for side in range(2):
        mid = mni305_to_mni152(surfaces.mid[side])
        table = _grown(mid, surfaces.faces[side], surfaces.sulc[side], inside[side], side)
        tables.append(np.where(inside[side], table, -1))
    return Atlas(
        name="gyri",
        names=names,
        tables=(tables[0], tables[1]),
        about="Gyri of the template by their plain names, drawn for Majorant (BSD-3-Clause).",
    )


def _grown(
    mid: NDArray[np.float64],
    faces: NDArray[np.int32],
    sulc: NDArray[np.float32],
    inside: NDArray[np.bool_],
    side: int,
) -> NDArray[np.int64]:
    """Gyrus of every vertex of a hemisphere, shape (n_vertices,)."""
    cortex, seeds, gyrus = np.flatnonzero(inside), [], []
    tree, mirror = KDTree(mid[cortex]), np.array([2 * side - 1, 1, 1])
    for k, name in enumerate(SEEDS):
        places = [mirror * np.array(place) for place in SEEDS[name]]
        places += [np.array(p) for p in ONE_SIDED.get(name, ()) if (p[0] > 0) == bool(side)]
        seeds.extend(cortex[tree.query(np.array(places))[1]])
        gyrus.extend([k] * len(places))
    one, other = mesh_edges(torch.from_numpy(faces).long()).numpy().T
    depth = np.maximum((sulc[one] + sulc[other]) / 2, 0)
    cost = np.linalg.norm(mid[one] - mid[other], axis=1) * (1 + SULCUS * depth)
    graph = csr_array((cost, (one, other)), shape=(len(mid), len(mid)))
    _, _, nearest = dijkstra(
        graph, directed=False, indices=seeds, min_only=True, return_predecessors=True
    )
    of_seed = dict(zip(seeds, gyrus, strict=True))
    return np.array([of_seed[seed] for seed in nearest])
