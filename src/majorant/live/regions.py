"""Regions whose time courses are followed: lobes, or balls around places in MNI space.

The time course of a region is the mean over its locations. Where the orientation is fixed, values
are signed, and neighbours on opposite walls of a sulcus would cancel: signs are aligned with the
main direction of the region's normals, as MNE's "mean_flip" does. Where it is not, it is the root
mean square of the lengths.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from majorant.errors import MajorantError, nearest
from majorant.forward.cortex import LOBES, lobe
from majorant.forward.leadfield import Leadfield
from majorant.head.places import locate

__all__ = ["LiveRegions", "check_regions", "find_regions"]

RADIUS = 15.0
"""Of a ball around a place, mm, where none is given."""

SIDES = ("left", "right")
SHORT = {name.split("/")[0]: name for name, *_ in LOBES}
BALL = re.compile(r"(?:(?P<name>[^=]+)=)?(?P<numbers>[-+.\d\s]+(?:,[-+.\d\s]+){2,3})")


@dataclass(frozen=True, eq=False)
class LiveRegions:
    """Names, and which locations belong to them.

    Attributes
    ----------
    names : tuple of str
    members : tuple of array
        Locations of every region.
    flips : tuple of array
        Sign of every member, 1 or -1.
    """

    names: tuple[str, ...]
    members: tuple[NDArray[np.int64], ...]
    flips: tuple[NDArray[np.float64], ...]

    @property
    def locations(self) -> NDArray[np.int64]:
        """All locations that belong to some region, ascending."""
        return np.unique(np.concatenate(self.members))

    def mean(self, n_locations: int) -> NDArray[np.float64]:
        """Weights (n_regions, n_locations) of the signed mean."""
        weights = np.zeros((len(self.names), n_locations))
        for row, member, flip in zip(weights, self.members, self.flips, strict=True):
            row[member] = flip / len(member)
        return weights


def find_regions(leadfield: Leadfield, wanted: Sequence[str]) -> LiveRegions:
    """Find regions by their words.

    Parameters
    ----------
    leadfield : Leadfield
    wanted : sequence of str
        ``"left occipital"``, ``"occipital"`` (both sides), ``"x,y,z"`` or ``"x,y,z,radius"`` in
        MNI152 millimetres, with a name as ``"V1=8,-88,4"``; nothing stands for every lobe of
        either side.

    Raises
    ------
    MajorantError
        If a word is not understood, is given twice, or no location lies there.
    """
    places = locate(leadfield)
    if not wanted:
        lobes = np.array([lobe(place) for place in places.mni])
        wanted = [
            f"{side} {short}"
            for short, name in SHORT.items()
            for k, side in enumerate(SIDES)
            if ((lobes == name) & (places.hemisphere == k)).any()
        ]
    names, members = [], []
    for text in wanted:
        ball = BALL.fullmatch(text.strip())
        name, inside = (
            _ball(ball, places.mni) if ball else _lobe(text, places.mni, places.hemisphere)
        )
        if name in names:
            raise MajorantError(f"the region {name!r} was given twice; name each once")
        if not inside.any():
            raise MajorantError(
                f"the region {name!r} holds no location of the source space; give a larger radius "
                "or another place"
            )
        names.append(name)
        members.append(np.flatnonzero(inside))
    normals = leadfield.normals.numpy()
    flips = tuple(_flips(normals[member]) for member in members)
    return LiveRegions(tuple(names), tuple(members), flips)


def check_regions(wanted: Sequence[str]) -> None:
    """Refuse words that name no region, before there is a head to look in.

    Raises
    ------
    MajorantError
        If a word is neither a lobe nor a place.
    """
    nowhere = np.zeros((0, 3))
    for text in wanted:
        ball = BALL.fullmatch(text.strip())
        _ball(ball, nowhere) if ball else _lobe(text, nowhere, np.zeros(0, np.int64))


def _ball(found: re.Match[str], mni: NDArray[np.float64]) -> tuple[str, NDArray[np.bool_]]:
    try:
        numbers = [float(part) for part in found["numbers"].split(",")]
    except ValueError as error:
        raise MajorantError(
            f"the place {found['numbers']!r} is not three numbers; write x,y,z in MNI millimetres"
        ) from error
    radius = numbers[3] if len(numbers) == 4 else RADIUS
    name = found["name"] or ",".join(f"{value:g}" for value in numbers)
    return name.strip(), np.linalg.norm(mni - numbers[:3], axis=1) <= radius


def _lobe(
    text: str, mni: NDArray[np.float64], hemisphere: NDArray[np.int64]
) -> tuple[str, NDArray[np.bool_]]:
    words = text.casefold().split()
    side = words[0] if words and words[0] in SIDES else None
    name = " ".join(words[1:] if side else words)
    full = SHORT.get(name.split("/")[0])
    if full is None:
        raise MajorantError(
            f"there is no region {text!r}{nearest(name, SHORT)}; give a lobe ({', '.join(SHORT)}), "
            "with left or right before it, or a place x,y,z in MNI millimetres"
        )
    inside = np.array([lobe(place) == full for place in mni], dtype=bool)
    if side is not None:
        inside &= hemisphere == SIDES.index(side)
    return " ".join(words), inside


def _flips(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signs that align normals (n, 3) with their main direction; most of them are 1."""
    _, _, axes = np.linalg.svd(normals, full_matrices=False)
    signs = np.where(normals @ axes[0] < 0, -1.0, 1.0)
    return signs if signs.sum() >= 0 else -signs
