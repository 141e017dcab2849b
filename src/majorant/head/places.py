"""Where locations are in MNI space, and which vertex of fsaverage5 stands for them in pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.leadfield import Leadfield

__all__ = ["Places", "locate"]

N_FSAVERAGE5 = 10242


@dataclass(frozen=True, eq=False)
class Places:
    """Locations of an estimate as a person reads and sees them.

    Attributes
    ----------
    mni : array, shape (n_locations, 3)
        MNI152, mm.
    hemisphere : array, shape (n_locations,)
        0 left, 1 right.
    vertices : array, shape (n_locations,)
        Vertex of fsaverage5 that stands for the location.
    edges : array, shape (n_edges, 2)
        Neighbours.
    parcels : array or None, shape (2, 10242)
    exact : bool
        Whether the locations are on fsaverage itself. Otherwise they were carried over by scaling
        the extent of the source space to that of the template's cortex: good to a centimetre.
    """

    mni: NDArray[np.float64]
    hemisphere: NDArray[np.int64]
    vertices: NDArray[np.int64]
    edges: NDArray[np.int64]
    parcels: NDArray[np.int64] | None
    exact: bool


def locate(leadfield: Leadfield) -> Places:
    """Find the places of a lead field's locations."""
    positions = leadfield.positions.numpy()
    side = leadfield.hemisphere.numpy()
    vertices = leadfield.vertices.numpy()
    edges = leadfield.edges.numpy()
    parcels = None if leadfield.parcels is None else leadfield.parcels.numpy()
    if leadfield.subject == "fsaverage" and side.min() >= 0 and vertices.max() < N_FSAVERAGE5:
        return Places(mni305_to_mni152(positions), side, vertices, edges, parcels, True)
    exact = leadfield.subject == "fsaverage"
    template = _cortex()
    if not exact:
        positions = _scaled(positions, template.reshape(-1, 3))
    side = np.where(side >= 0, side, (positions[:, 0] > 0).astype(np.int64))
    nearest = np.zeros(len(positions), dtype=np.int64)
    for hemisphere in range(2):
        own = side == hemisphere
        nearest[own] = KDTree(template[hemisphere]).query(positions[own])[1]
    return Places(mni305_to_mni152(positions), side, nearest, edges, None, exact)


def _cortex() -> NDArray[np.float64]:
    """Pial vertices of fsaverage5, shape (2, 10242, 3), metres."""
    from majorant.forward.template import template_surfaces

    return template_surfaces().pial.astype(np.float64)


def _scaled(positions: NDArray[np.float64], template: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shift and scale every axis so that the extents agree."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    extent = np.where(high > low, high - low, 1.0)
    share = (positions - low) / extent
    return template.min(axis=0) + share * (template.max(axis=0) - template.min(axis=0))
