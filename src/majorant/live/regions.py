"""Regions whose time courses are followed: of an atlas, lobes, or balls around places.

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

from majorant.atlas.atlas import Atlas
from majorant.atlas.gyri import LOBE_OF, gyri
from majorant.errors import MajorantError, nearest
from majorant.findings.names import lobe_names, region_names
from majorant.forward.leadfield import Leadfield
from majorant.head.places import locate

__all__ = ["LiveRegions", "check_regions", "find_regions"]

RADIUS = 15.0
"""Of a ball around a place, mm, where none is given."""

SIDES = ("left", "right")
SHORT = {name.split("/")[0]: name for name in dict.fromkeys(LOBE_OF.values())}
"""Lobes by one word."""
ALL = "all"
"""Every region of the atlas."""
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


def find_regions(
    leadfield: Leadfield, wanted: Sequence[str], atlas: Atlas | None = None
) -> LiveRegions:
    """Find regions by their words.

    Parameters
    ----------
    leadfield : Leadfield
    wanted : sequence of str
        A region of the atlas, ``"left superior temporal gyrus"``; a lobe, ``"left occipital"``;
        either without a side for both; ``"x,y,z"`` or ``"x,y,z,radius"`` in MNI152 millimetres,
        with a name as ``"V1=8,-88,4"``; ``"all"`` for every region of the atlas. Nothing stands
        for every lobe of either side.
    atlas : Atlas, optional
        Our gyri where it is not given. Lobes are made of gyri, whatever the atlas.

    Raises
    ------
    MajorantError
        If a word is not understood, is given twice, or no location lies there.
    """
    atlas, places = gyri() if atlas is None else atlas, locate(leadfield)
    words = _Words(atlas, region_names(atlas, leadfield, places), lobe_names(leadfield, places))
    names, members = [], []
    for text in words.spelled(wanted, places.hemisphere):
        ball = BALL.fullmatch(text.strip())
        name, inside = _ball(ball, places.mni) if ball else words.found(text, places.hemisphere)
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


def check_regions(wanted: Sequence[str], atlas: Atlas | None = None) -> None:
    """Refuse words that name no region, before there is a head to look in.

    Raises
    ------
    MajorantError
        If a word is neither a region of the atlas, nor a lobe, nor a place.
    """
    words, nowhere = _Words(gyri() if atlas is None else atlas, (), ()), np.zeros((0, 3))
    for text in wanted:
        ball = BALL.fullmatch(text.strip())
        if ball:
            _ball(ball, nowhere)
        elif text.strip().casefold() != ALL:
            words.found(text, np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class _Words:
    """What can be asked for by name: regions of an atlas, and lobes.

    Attributes
    ----------
    atlas : Atlas
    regions, lobes : tuple of str
        Of every location, without the side; regions may be "".
    """

    atlas: Atlas
    regions: tuple[str, ...]
    lobes: tuple[str, ...]

    def spelled(self, wanted: Sequence[str], hemisphere: NDArray[np.int64]) -> list[str]:
        """The words with ``"all"``, and nothing at all, written out."""
        if any(text.strip().casefold() == ALL for text in wanted):
            kept = [text for text in wanted if text.strip().casefold() != ALL]
            known, own = self.atlas.names, self.regions
        elif not wanted:
            kept, known, own = [], tuple(SHORT.values()), self.lobes
        else:
            return list(wanted)
        there = set(zip(own, hemisphere.tolist(), strict=True))
        return kept + [
            f"{side} {name.split('/')[0] if own is self.lobes else name}"
            for name in known
            for k, side in enumerate(SIDES)
            if (name, k) in there
        ]

    def found(self, text: str, hemisphere: NDArray[np.int64]) -> tuple[str, NDArray[np.bool_]]:
        """Name of a word, and which locations belong to it."""
        words = text.split()
        side = words[0].casefold() if words and words[0].casefold() in SIDES else None
        key = " ".join(words[1:] if side else words).casefold()
        regions = {name.casefold(): name for name in self.atlas.names}
        short = key.split("/")[0]
        if key in regions:
            inside = np.array([name == regions[key] for name in self.regions], dtype=bool)
            name = regions[key]
        elif short in SHORT:
            inside = np.array([name == SHORT[short] for name in self.lobes], dtype=bool)
            name = short
        else:
            raise MajorantError(
                f"there is no region {text!r}{nearest(key, [*SHORT, *regions])}; give a region of "
                f"the atlas {self.atlas.name}, a lobe ({', '.join(SHORT)}), with left or right "
                "before it, or a place x,y,z in MNI millimetres"
            )
        if side is not None:
            inside &= hemisphere == SIDES.index(side)
        return f"{side} {name}" if side else name, inside


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


def _flips(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signs that align normals (n, 3) with their main direction; most of them are 1."""
    _, _, axes = np.linalg.svd(normals, full_matrices=False)
    signs = np.where(normals @ axes[0] < 0, -1.0, 1.0)
    return signs if signs.sum() >= 0 else -signs
