"""An atlas: which region a vertex or a place belongs to, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from majorant.errors import MajorantError, nearest
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template import template_surfaces

__all__ = ["SIDES", "Atlas", "Volume"]

SIDES = ("left", "right")
N_TEMPLATE = 10242
FAR = 15.0
"""Millimetres: a place that lies farther from every region has no name."""
BLUR = 5.0
"""Millimetres: width of the Gaussian with which regions near a place vote for its name."""


@dataclass(frozen=True, eq=False)
class Volume:
    """Regions as voxels.

    Attributes
    ----------
    voxels : array, shape (nx, ny, nz)
        Index of the region, -1 for none.
    affine : array, shape (4, 4)
        From voxels to MNI152, mm.
    """

    voxels: NDArray[np.int64]
    affine: NDArray[np.float64]

    @cached_property
    def _tree(self) -> tuple[KDTree, NDArray[np.int64]]:
        index = np.argwhere(self.voxels >= 0)
        places = index @ self.affine[:3, :3].T + self.affine[:3, 3]
        return KDTree(places), self.voxels[tuple(index.T)]

    def at(self, mni: NDArray[np.float64], reach: float) -> NDArray[np.int64]:
        """Region of the nearest voxel within so many mm of each place (n, 3), -1 for none."""
        tree, regions = self._tree
        apart, index = map(np.asarray, tree.query(mni, distance_upper_bound=reach))
        found = np.full(len(mni), -1)
        found[np.isfinite(apart)] = regions[index[np.isfinite(apart)]]
        return found


@dataclass(frozen=True, eq=False)
class Atlas:
    """Regions of both hemispheres.

    Attributes
    ----------
    name : str
    names : tuple of str
        Of the regions, without their side.
    tables : tuple of array, shape (n_vertices,)
        Region of every vertex of the left and the right hemisphere, -1 for none: of fsaverage5
        (10,242 vertices), or of all vertices of a subject.
    subject : str
        Whose vertices they are.
    about : str
        Where it comes from, its licence, and what is approximate; whole sentences.
    volume : Volume or None
        Where the atlas is one of voxels, and the tables were made of it.

    Raises
    ------
    MajorantError
        If there is no region.
    """

    name: str
    names: tuple[str, ...]
    tables: tuple[NDArray[np.int64], NDArray[np.int64]]
    about: str
    subject: str = "fsaverage"
    volume: Volume | None = None

    def __post_init__(self) -> None:
        if not any((table >= 0).any() for table in self.tables):
            raise MajorantError(
                f"the atlas {self.name} has no region on the cortex of {self.subject}; check that "
                "it is in the same space"
            )

    def __repr__(self) -> str:
        return f"<Atlas | {self.name}, {len(self.labelled)} regions on {self.subject}>"

    @cached_property
    def labelled(self) -> tuple[tuple[int, int], ...]:
        """Hemisphere and index of every region that has vertices, the left ones first."""
        return tuple(
            (side, int(k)) for side in range(2) for k in np.unique(self.tables[side]) if k >= 0
        )

    def title(self, side: int, region: int) -> str:
        """Return side and name: "left superior temporal gyrus"."""
        return f"{SIDES[side]} {self.names[region]}"

    @cached_property
    def titles(self) -> tuple[str, ...]:
        """Titles of `labelled`."""
        return tuple(self.title(side, region) for side, region in self.labelled)

    def of_vertices(
        self, hemisphere: NDArray[np.int64], vertices: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Region of vertices (n,) of the atlas's own subject, -1 for none."""
        found = np.full(len(vertices), -1)
        for side, table in enumerate(self.tables):
            own = np.asarray(hemisphere) == side
            if own.any() and int(vertices[own].max()) >= len(table):
                raise MajorantError(
                    f"the atlas {self.name} has {len(table)} vertices on the {SIDES[side]}, and "
                    f"vertex {int(vertices[own].max())} was asked for; take an atlas of the same "
                    "subject"
                )
            found[own] = table[vertices[own]]
        return found

    def of_places(self, mni: NDArray[np.float64]) -> NDArray[np.int64]:
        """Region of places in MNI152 (n, 3), mm, on the side of their sign of x; -1 for none.

        The vertices of the template near a place vote, with a Gaussian of 5 mm around the nearest;
        farther than 15 mm from every region there is no name. Voxels answer for themselves.
        """
        mni = np.atleast_2d(np.asarray(mni, float))
        if self.volume is not None:
            return self.volume.at(mni, FAR)
        self._of_template()
        found = np.full(len(mni), -1)
        for side in range(2):
            own = np.flatnonzero((mni[:, 0] > 0) == bool(side))
            tree, regions = self._trees[side]
            if not len(own) or tree is None:
                continue
            apart, index = tree.query(mni[own], k=min(40, len(regions)))
            weight = np.exp(-(apart**2 - apart[:, :1] ** 2) / (2 * BLUR**2))
            votes = np.zeros((len(own), len(self.names)))
            np.add.at(votes, (np.arange(len(own))[:, None], regions[index]), weight)
            found[own] = np.where(apart[:, 0] <= FAR, votes.argmax(1), -1)
        return found

    def name_of(self, mni: Sequence[float]) -> str:
        """Name of one place with its side, or "" where there is none."""
        region = int(self.of_places(np.array([mni], float))[0])
        return "" if region < 0 else self.title(int(mni[0] > 0), region)

    def labels(self, subject: str | None = None) -> list[Any]:
        """The regions as MNE has them.

        Parameters
        ----------
        subject : str, optional
            Written into the labels; the atlas's own where it is not given.

        Returns
        -------
        list of mne.Label
            Named ``"superior temporal gyrus-lh"``, the left ones first.
        """
        import mne

        return [
            mne.Label(
                np.flatnonzero(self.tables[side] == region),
                hemi=("lh", "rh")[side],
                name=f"{self.names[region]}-{('lh', 'rh')[side]}",
                subject=subject or self.subject,
            )
            for side, region in self.labelled
        ]

    def chosen(self, words: Sequence[str]) -> list[int]:
        """Indices into `labelled` of what is asked for by name, with or without its side.

        Raises
        ------
        MajorantError
            If there is no such region; the nearest is named.
        """
        found: list[int] = []
        for word in words:
            key = word.strip().casefold()
            own = [
                k
                for k, (_, region) in enumerate(self.labelled)
                if key in (self.titles[k].casefold(), self.names[region].casefold())
            ]
            if not own:
                like = nearest(key, [*self.titles, *self.names])
                raise MajorantError(
                    f"the atlas {self.name} has no region {word!r}{like}; {self._some()}"
                )
            found.extend(k for k in own if k not in found)
        return found

    def _some(self) -> str:
        shown = ", ".join(self.titles[:6])
        return f"it has {len(self.titles)}: {shown}{', ...' if len(self.titles) > 6 else ''}"

    def _of_template(self) -> None:
        if self.subject != "fsaverage":
            raise MajorantError(
                f"the atlas {self.name} is of the subject {self.subject} and says nothing of "
                "places in MNI space; take one on fsaverage or a volume"
            )

    @cached_property
    def _trees(self) -> list[tuple[KDTree | None, NDArray[np.int64]]]:
        surfaces = template_surfaces()
        found: list[tuple[KDTree | None, NDArray[np.int64]]] = []
        for side, table in enumerate(self.tables):
            own = np.flatnonzero(table >= 0)
            places = mni305_to_mni152(surfaces.mid[side][own])
            found.append((KDTree(places) if len(own) else None, table[own]))
        return found
