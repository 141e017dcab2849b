"""Judging estimates of everyday data, on the fine mesh where the truth is, whatever their space.

An estimate is carried over as it is drawn: every vertex takes the value of the location (or region)
that it belongs to. Truth and estimate then live on one mesh, and solvers on different source spaces
are judged alike. A *map* is the norm over time at every vertex.

- ``emd``: earth mover's distance between the two maps, mm (:mod:`majorant.metrics.coarse`).
- ``off``: distance of the estimate's energy (its squared map) from the nearest true vertex, mm.
- ``auc``: chance that a true vertex outranks another one in the map, ties counting one half.
- ``cosine``: ``1 - |cos|`` of the angle between the two fields over vertices and times; for
  estimates that are lengths, of the two fields' magnitudes.
- ``le``: from the strongest location at the moment when the strongest source peaks to the seed of
  the nearest source, mm; ``le_zone`` with the search confined to regions within seven steps of the
  strongest source's, to that source's seed.
- ``found``: share of sources that have a listed peak within 20 mm of a vertex above half of the
  source's maximum; ``ghosts``: share of listed peaks that no source has so near. Peaks are listed
  by the rule of pages (:mod:`majorant.metrics.peaks`). An estimate without peaks has no ghosts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from majorant.errors import MajorantError
from majorant.metrics.coarse import CoarseCells, Distant
from majorant.metrics.peaks import list_peaks

__all__ = ["NAMES", "FineMesh", "Judge", "JudgedSpace", "Truth"]

NAMES = ("emd", "off", "auc", "cosine", "le", "le_zone", "found", "ghosts")
"""Figures of a judgement, in order."""
REACH_MM = 20.0
ACTIVE = 0.1
"""A vertex is true above this share of the largest one of the map."""
ZONE_HOPS = 7

Array = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FineMesh:
    """The mesh that truths live on.

    Attributes
    ----------
    positions : array, shape (n_vertices, 3)
        Metres.
    regions : array, shape (n_vertices,)
        Region of every vertex, -1 for none.
    hops : array or None, shape (n_regions, n_regions)
        Steps between regions, for the zone.
    """

    positions: Array
    regions: Index
    hops: NDArray[np.int32] | None = None

    @cached_property
    def cells(self) -> CoarseCells:
        """Partitions for the transport."""
        return CoarseCells.of(self.positions)


@dataclass(frozen=True, eq=False)
class JudgedSpace:
    """A source space that estimates come on.

    Attributes
    ----------
    positions : array, shape (n_locations, 3)
        Metres.
    places_mm : array, shape (n_locations, 3)
        Where peaks are told apart, mm: MNI152 on pages.
    edges : array, shape (n_edges, 2)
    home : array, shape (n_vertices,)
        Location of every vertex of the fine mesh, -1 for none.
    """

    positions: Array
    places_mm: Array
    edges: Index
    home: Index


@dataclass(frozen=True, eq=False)
class Truth:
    """The sources of a sample, prepared once for all solvers.

    Attributes
    ----------
    mesh : FineMesh
    members : tuple of array
        Vertices of every source.
    weights : tuple of array
        Their amplitudes, positive.
    courses : array, shape (n_sources, n_times)
    """

    mesh: FineMesh
    members: tuple[Index, ...]
    weights: tuple[Array, ...]
    courses: Array

    def __post_init__(self) -> None:
        if not self.members or len(self.members) != len(self.courses):
            raise MajorantError(
                f"{len(self.members)} sources came with {len(self.courses)} courses; expected one "
                "course for each, and at least one source"
            )

    @classmethod
    def of(cls, mesh: FineMesh, dense: Array, courses: Array) -> Truth:
        """Take sources as maps, (n_sources, n_vertices); those that are zero are left out."""
        there = [k for k in range(len(dense)) if dense[k].any() and courses[k].any()]
        members = tuple(np.flatnonzero(dense[k]) for k in there)
        weights = tuple(dense[k][m] for k, m in zip(there, members, strict=True))
        return cls(mesh, members, weights, courses[there])

    @cached_property
    def support(self) -> Index:
        """Vertices of all sources."""
        return np.unique(np.concatenate(self.members))

    @cached_property
    def field(self) -> Array:
        """The sources at their support, shape (n_support, n_times)."""
        out = np.zeros((len(self.support), self.courses.shape[1]))
        for members, weights, course in zip(self.members, self.weights, self.courses, strict=True):
            out[np.searchsorted(self.support, members)] += weights[:, None] * course
        return out

    @cached_property
    def map(self) -> Array:
        """Norm over time at every vertex."""
        out = np.zeros(len(self.mesh.positions))
        out[self.support] = np.linalg.norm(self.field, axis=1)
        return out

    @cached_property
    def distant(self) -> Distant:
        """For the transport."""
        return Distant(self.mesh.cells, self.map)

    @cached_property
    def away(self) -> Array:
        """Distance of every vertex from the nearest true one, mm."""
        own = self.mesh.positions[self.support]
        return 1e3 * KDTree(own).query(self.mesh.positions)[0]

    @cached_property
    def seeds(self) -> Index:
        """The strongest vertex of every source, or the one nearest the middle of the strongest."""
        out = []
        for members, weights in zip(self.members, self.weights, strict=True):
            top = members[weights >= weights.max() * (1 - 1e-9)]
            places = self.mesh.positions[top]
            middle = places.mean(axis=0)
            out.append(top[np.linalg.norm(places - middle, axis=1).argmin()])
        return np.array(out, dtype=np.int64)

    @cached_property
    def strongest(self) -> tuple[int, int]:
        """The source with the largest peak of all, and when it peaks."""
        size = np.array([w.max() for w in self.weights])[:, None] * np.abs(self.courses)
        source, time = np.unravel_index(size.argmax(), size.shape)
        return int(source), int(time)

    def cores(self, k: int) -> Array:
        """Positions of a source's vertices above half of its maximum, metres."""
        kept = self.weights[k] >= 0.5 * self.weights[k].max()
        return self.mesh.positions[self.members[k][kept]]


class Judge:
    """Judges estimates on one source space.

    Parameters
    ----------
    space : JudgedSpace
    sfreq : float
        Hz, for peaks.
    """

    def __init__(self, space: JudgedSpace, sfreq: float) -> None:
        self.space, self.sfreq = space, sfreq
        inside = space.home >= 0
        self._inside = inside
        self._size = np.bincount(space.home[inside], minlength=len(space.positions))

    def score(self, truth: Truth, values: Array) -> dict[str, float]:
        """Judge one estimate.

        Parameters
        ----------
        truth : Truth
        values : array, shape (n_locations, n_times)
            Signed, or lengths (never negative).

        Returns
        -------
        dict
            The figures of :data:`NAMES`.

        Raises
        ------
        MajorantError
            If the shape is another one, or something is not finite.
        """
        expected = (len(self.space.positions), truth.courses.shape[1])
        if values.shape != expected or not np.isfinite(values).all():
            raise MajorantError(
                f"an estimate of shape {values.shape} cannot be judged; expected {expected}, and "
                "finite numbers"
            )
        map_ = np.linalg.norm(values, axis=1)
        if not map_.max() > 0:
            map_ = np.ones_like(map_)
        fine = np.where(self._inside, map_[self.space.home], 0.0)
        energy = fine**2
        found, ghosts = self._listed(truth, values)
        le, zone = self._errors(truth, values)
        return {
            "emd": truth.distant.distance(fine),
            "off": float((energy * truth.away).sum() / energy.sum()),
            "auc": self._area(truth, map_),
            "cosine": 1.0 - self._cosine(truth, values),
            "le": le,
            "le_zone": zone,
            "found": found,
            "ghosts": ghosts,
        }

    def _area(self, truth: Truth, map_: Array) -> float:
        """Area under the ROC curve over vertices, from counts at every location."""
        positive = truth.map > ACTIVE * truth.map.max()
        home, n = self.space.home, len(map_)
        hits = np.bincount(home[positive & self._inside], minlength=n).astype(float)
        misses = self._size - hits
        order = np.argsort(map_, kind="stable")
        _, tie = np.unique(map_[order], return_inverse=True)
        hit, miss = (np.bincount(tie, weights=x[order]) for x in (hits, misses))
        below = np.cumsum(miss) - miss
        return float((hit * (below + 0.5 * miss)).sum() / (hit.sum() * miss.sum()))

    def _cosine(self, truth: Truth, values: Array) -> float:
        """Magnitude of the cosine between the two fields on the fine mesh."""
        home = self.space.home[truth.support]
        here = np.where((home >= 0)[:, None], values[home], 0.0)
        real = np.abs(truth.field) if values.min() >= 0 else truth.field
        size = np.sqrt((self._size * (values**2).sum(axis=1)).sum()) * np.linalg.norm(real)
        return abs(float((real * here).sum())) / size if size > 0 else 0.0

    def _errors(self, truth: Truth, values: Array) -> tuple[float, float]:
        source, time = truth.strongest
        now = np.abs(values[:, time])
        if not now.max() > 0:
            now = np.linalg.norm(values, axis=1)
        places = truth.mesh.positions[truth.seeds]
        best = self.space.positions[now.argmax()]
        le = 1e3 * float(np.linalg.norm(places - best, axis=1).min())
        hops, regions = truth.mesh.hops, truth.mesh.regions
        if hops is None or regions[truth.seeds[source]] < 0:
            return le, le
        near = hops[regions[truth.seeds[source]]] <= ZONE_HOPS
        kept = np.unique(self.space.home[(regions >= 0) & near[regions] & self._inside])
        best = self.space.positions[kept[now[kept].argmax()]]
        return le, 1e3 * float(np.linalg.norm(places[source] - best))

    def _listed(self, truth: Truth, values: Array) -> tuple[float, float]:
        """Share of sources found, and of listed peaks that are none."""
        times = np.arange(values.shape[1]) / self.sfreq
        peaks = list_peaks(values, times, self.space.places_mm, self.space.edges)
        if not peaks:
            return 0.0, 0.0
        places = self.space.positions[[s for s, _ in peaks]]
        near = np.array(
            [KDTree(truth.cores(k)).query(places)[0] for k in range(len(truth.members))]
        )
        close = 1e3 * near <= REACH_MM
        return float(close.any(axis=1).mean()), float(1.0 - close.any(axis=0).mean())
