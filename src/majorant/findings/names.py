"""What places are called: the regions of an atlas that locations and peaks lie in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from majorant.atlas.atlas import Atlas
from majorant.atlas.gyri import LOBE_OF, gyri, lobes_at
from majorant.findings.facts import Peak
from majorant.forward.leadfield import Leadfield
from majorant.head.places import Places

__all__ = ["named", "region_names"]


def region_names(atlas: Atlas, leadfield: Leadfield, places: Places) -> tuple[str, ...]:
    """Name the region of every location, without its side; "" where there is none.

    Parameters
    ----------
    atlas : Atlas
        Of the subject of the lead field, or of fsaverage, which answers by place.
    leadfield : Leadfield
    places : Places
    """
    if atlas.subject != "fsaverage":
        found = atlas.of_vertices(leadfield.hemisphere.numpy(), leadfield.vertices.numpy())
        return tuple("" if k < 0 else atlas.names[k] for k in found)
    found = np.full(len(places.mni), -1)
    if places.exact and atlas.volume is None:
        found = atlas.of_vertices(places.hemisphere, places.vertices)
    # In the medial wall, between voxels and on other heads, the nearest region names the place.
    left = np.flatnonzero(found < 0)
    if len(left):
        mni = places.mni[left].copy()
        mni[:, 0] = np.where(places.hemisphere[left] > 0, 1, -1) * np.maximum(
            np.abs(mni[:, 0]), 0.1
        )
        found[left] = atlas.of_places(mni)
    return tuple("" if k < 0 else atlas.names[k] for k in found)


def lobe_names(leadfield: Leadfield, places: Places) -> tuple[str, ...]:
    """Name the lobe of every location by its gyrus, as :func:`region_names` finds it."""
    found = region_names(gyri(), leadfield, places)
    if all(found):
        return tuple(LOBE_OF[name] for name in found)
    boxes = lobes_at(places.mni)
    return tuple(LOBE_OF.get(name, box) for name, box in zip(found, boxes, strict=True))


def named(peaks: Sequence[Peak], names: Sequence[str]) -> tuple[Peak, ...]:
    """Write into every peak what the region of its location is called, and the lobe it is in."""
    if not peaks:
        return ()
    lobes = lobes_at(np.array([peak.mni for peak in peaks]))
    return tuple(
        replace(peak, name=names[peak.location], lobe=LOBE_OF.get(names[peak.location], lobe))
        for peak, lobe in zip(peaks, lobes, strict=True)
    )
