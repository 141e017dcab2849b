"""The lead field: gain, geometry and neighbourhood of a source space.

A column holds what the sensors see of a current dipole of 1 A m at one location. Everything that
later rooms need of the head is in here, so that a machine without MNE can train and image from one
file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor

from majorant.errors import DamagedFile
from majorant.files.archive import read_archive, write_archive
from majorant.forward import graph
from majorant.forward.checks import as_float, as_int, check_indices, check_parts
from majorant.geometry import SourceGeometry
from majorant.problem import MajorantError, MatrixOperator

__all__ = ["Leadfield", "average_reference"]

KIND, VERSION = "leadfield", 1
"""Of the file: tensors and a record in one `.safetensors`, checked when it is read."""
MAX_DENSE = 6000
"""Locations up to which distances between all pairs are held in memory at once."""


def average_reference(n: int) -> Tensor:
    """Return an orthonormal basis of the average-referenced sensor space (Helmert's matrix).

    Parameters
    ----------
    n : int
        Number of electrodes, at least 2.

    Returns
    -------
    Tensor, shape (n - 1, n), float64
        Rows are orthonormal and orthogonal to the constant vector: on average-referenced data
        the map is an isometry, and it annihilates every common potential.
    """
    if n < 2:
        raise MajorantError(f"an average reference needs at least 2 electrodes; found {n}")
    k = torch.arange(1, n, dtype=torch.float64)
    rows = torch.tril(torch.ones(n - 1, n, dtype=torch.float64))
    rows[torch.arange(n - 1), torch.arange(1, n)] = -k
    return rows / torch.sqrt(k * (k + 1))[:, None]


class OnSurface(TypedDict, total=False):
    """Where locations lie on the surfaces of a head; all may be left out.

    Attributes are those of :class:`Leadfield`; arrays of any kind.
    """

    hemisphere: Tensor | np.ndarray | None
    vertices: Tensor | np.ndarray | None
    kind: str
    subject: str
    parcels: Tensor | np.ndarray | None


@dataclass(frozen=True, eq=False)
class Leadfield:
    """What the sensors see of the sources.

    Attributes
    ----------
    gain : Tensor, shape (n_sensors, n_locations * n_orient), float64
        V/(A m) for EEG, T/(A m) for MEG, unitless once whitened. The columns of one location
        are consecutive.
    n_orient : int
        1 (fixed, along the normal) or 3 (free: x, y, z).
    positions : Tensor, shape (n_locations, 3), float64
        Metres; for the template, surface RAS of fsaverage, which is MNI305.
    normals : Tensor, shape (n_locations, 3), float64
        Unit vectors, outward.
    edges : Tensor, shape (n_edges, 2), int64
        Neighbouring locations, i < j.
    ch_names : tuple of str
    hemisphere : Tensor, shape (n_locations,), int64
        0 left, 1 right, -1 where neither applies.
    vertices : Tensor, shape (n_locations,), int64
        Vertex number in the hemisphere's surface; for regions, of the member nearest the centroid.
    kind : {"vertices", "regions"}
    subject : str
        "fsaverage" for the template.
    parcels : Tensor or None, shape (2, n_vertices), int64
        Regions only: the region of every surface vertex, -1 where there is none.

    Raises
    ------
    MajorantError
        If shapes disagree or values are not finite.
    """

    gain: Tensor
    n_orient: int
    positions: Tensor
    normals: Tensor
    edges: Tensor
    ch_names: tuple[str, ...]
    hemisphere: Tensor
    vertices: Tensor
    kind: str = "vertices"
    subject: str = "fsaverage"
    parcels: Tensor | None = None

    def __post_init__(self) -> None:
        check_parts(self)

    @classmethod
    def from_arrays(
        cls,
        gain: Tensor | np.ndarray,
        *,
        positions: Tensor | np.ndarray | None = None,
        normals: Tensor | np.ndarray | None = None,
        n_orient: int = 1,
        edges: Tensor | np.ndarray | None = None,
        ch_names: Sequence[str] | None = None,
        **surface: Unpack[OnSurface],
    ) -> Leadfield:
        """Build a lead field from arrays; what is not given is filled in neutrally.

        Positions default to the origin, normals to +z, edges to none, names to "S000", ...
        Edges may come in any order and twice. What belongs to a surface of a head (hemisphere,
        vertices, kind, subject, parcels) is given by name as well, see :class:`OnSurface`.
        """
        if unknown := set(surface) - set(OnSurface.__annotations__):
            raise TypeError(f"from_arrays() got an unexpected keyword argument {min(unknown)!r}")
        hemisphere, vertices = surface.get("hemisphere"), surface.get("vertices")
        parcels = surface.get("parcels")
        matrix = torch.as_tensor(gain, dtype=torch.float64)
        if matrix.ndim != 2:
            raise MajorantError(f"the gain has shape {tuple(matrix.shape)}; expected 2-D")
        n, s = matrix.shape[0], matrix.shape[1] // max(n_orient, 1)
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(s, 3).clone()
        pairs = torch.zeros(0, 2) if edges is None else torch.as_tensor(edges)
        if pairs.ndim != 2 or pairs.shape[1] != 2:
            raise MajorantError(f"edges has shape {tuple(pairs.shape)}; expected (edges, 2)")
        return cls(
            gain=matrix,
            n_orient=n_orient,
            positions=as_float(torch.zeros(s, 3) if positions is None else positions),
            normals=as_float(up if normals is None else normals),
            edges=graph.unique_edges(pairs.to(torch.int64)),
            ch_names=tuple(f"S{i:03d}" for i in range(n)) if ch_names is None else tuple(ch_names),
            hemisphere=as_int(torch.full((s,), -1) if hemisphere is None else hemisphere),
            vertices=as_int(torch.arange(s) if vertices is None else vertices),
            kind=surface.get("kind", "vertices"),
            subject=surface.get("subject", ""),
            parcels=None if parcels is None else as_int(parcels),
        )

    @property
    def n_sensors(self) -> int:
        """Number of sensors."""
        return int(self.gain.shape[0])

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(self.gain.shape[1])

    @property
    def n_locations(self) -> int:
        """Number of source locations."""
        return self.n_columns // self.n_orient

    def operator(self, dtype: torch.dtype = torch.float64) -> MatrixOperator:
        """Return the gain as the operator that solvers take."""
        return MatrixOperator(self.gain.to(dtype), n_orient=self.n_orient, geometry=self.geometry)

    @cached_property
    def geometry(self) -> SourceGeometry:
        """Where the sources are, without the sensors."""
        return SourceGeometry(
            self.positions,
            self.edges,
            self.normals,
            self.hemisphere,
            self.kind,
            self.n_orient,
            self.parcels,
        )

    def fixed(self) -> Leadfield:
        """Return the lead field with one column per location, along its normal."""
        if self.n_orient == 1:
            return self
        free = self.gain.reshape(self.n_sensors, self.n_locations, 3)
        gain = torch.einsum("nsk,sk->ns", free, self.normals)
        return dataclasses.replace(self, gain=gain, n_orient=1)

    def regions(
        self, parcels: Tensor | np.ndarray, weights: Tensor | np.ndarray | None = None
    ) -> Leadfield:
        """Return the lead field of regions: the sum of their members' fixed columns.

        Members of opposite walls of a sulcus partly cancel; that is part of the model.

        Parameters
        ----------
        parcels : array, shape (2, n_vertices), int
            Region of every vertex of the two surfaces, numbered over both hemispheres from 0
            without gaps; -1 where there is none.
        weights : array, shape (n_locations,), optional
            Factor of every member's column (for meshes of uneven density); ones by default.

        Returns
        -------
        Leadfield
            Of kind "regions". A region sits at the member nearest its centroid; its normal is the
            mean normal of its members.

        Raises
        ------
        MajorantError
            If a region has no member among the locations.
        """
        table = as_int(parcels)
        if table.ndim != 2 or table.shape[0] != 2:
            raise MajorantError(f"parcels has shape {tuple(table.shape)}; expected (2, vertices)")
        check_indices("vertices", self.vertices, 0, table.shape[1])
        check_indices("hemisphere", self.hemisphere, 0, 2)
        labels = table[self.hemisphere, self.vertices]
        n_regions, n_locations = int(table.max()) + 1, self.n_locations
        inside = labels >= 0
        members = torch.bincount(labels[inside], minlength=n_regions)
        if n_regions == 0 or bool((members == 0).any()):
            empty = (members == 0).nonzero().flatten().tolist()[:8]
            raise MajorantError(
                f"regions {empty} have no member among the {n_locations} locations; use a denser "
                "source space or number the regions without gaps"
            )
        factor = torch.ones(n_locations) if weights is None else torch.as_tensor(weights)
        kept = labels[inside]
        columns = (self.fixed().gain * as_float(factor))[:, inside]
        gain = columns.new_zeros(self.n_sensors, n_regions).index_add_(1, kept, columns)
        normal = torch.zeros(n_regions, 3, dtype=torch.float64)
        normal.index_add_(0, kept, self.normals[inside])
        central = graph.nearest_to_centroid(self.positions[inside], kept)
        nearest = inside.nonzero().flatten()[central]
        return dataclasses.replace(
            self,
            gain=gain,
            n_orient=1,
            positions=self.positions[nearest],
            normals=torch.nn.functional.normalize(normal, dim=1),
            edges=graph.contract_edges(self.edges, labels),
            hemisphere=self.hemisphere[nearest],
            vertices=self.vertices[nearest],
            kind="regions",
            parcels=table,
        )

    def subset(
        self, index: Tensor | np.ndarray | Sequence[int], edges: Tensor | None = None
    ) -> Leadfield:
        """Return the lead field of some locations.

        Parameters
        ----------
        index : array of int, shape (n_kept,)
            Distinct locations, in the order wanted.
        edges : Tensor, shape (n_edges, 2), optional
            Neighbours among the kept locations; by default the edges that join two of them.
        """
        chosen = as_int(index).flatten()
        check_indices("the subset", chosen, 0, self.n_locations)
        if len(chosen) == 0 or len(torch.unique(chosen)) != len(chosen):
            raise MajorantError("a subset names at least one location, and none twice")
        renumber = torch.full((self.n_locations,), -1, dtype=torch.int64)
        renumber[chosen] = torch.arange(len(chosen))
        free = self.gain.reshape(self.n_sensors, self.n_locations, self.n_orient)
        parcels = self.parcels
        if parcels is not None:
            parcels = torch.where(parcels >= 0, renumber[parcels.clamp_min(0)], -1)
        return dataclasses.replace(
            self,
            gain=free[:, chosen].reshape(self.n_sensors, -1),
            positions=self.positions[chosen],
            normals=self.normals[chosen],
            edges=graph.contract_edges(self.edges, renumber) if edges is None else edges,
            hemisphere=self.hemisphere[chosen],
            vertices=self.vertices[chosen],
            parcels=parcels,
        )

    def pick(self, ch_names: Sequence[str]) -> Leadfield:
        """Return the rows of some sensors, in the order asked for.

        Names match exactly or, failing that, without regard to case; the result carries the names
        that were asked for.

        Raises
        ------
        MajorantError
            Naming the channels that are missing.
        """
        exact = {name: i for i, name in enumerate(self.ch_names)}
        folded = {name.casefold(): i for i, name in enumerate(self.ch_names)}
        found = [exact.get(name, folded.get(name.casefold(), -1)) for name in ch_names]
        missing = [name for name, i in zip(ch_names, found, strict=True) if i < 0]
        if missing or not found:
            raise MajorantError(
                f"the lead field has no channel named {', '.join(missing) or '(none asked for)'}; "
                f"it has {', '.join(self.ch_names)}"
            )
        return dataclasses.replace(self, gain=self.gain[found], ch_names=tuple(ch_names))

    def transformed(self, matrix: Tensor, ch_names: Sequence[str] | None = None) -> Leadfield:
        """Return the lead field behind a linear map of the sensors (reference, whitening).

        Apply the same matrix to the data.

        Parameters
        ----------
        matrix : Tensor, shape (n_rows, n_sensors)
        ch_names : sequence of str, optional
            Names of the rows; kept when their number does not change, else "C000", ...
        """
        if matrix.ndim != 2 or matrix.shape[1] != self.n_sensors:
            raise MajorantError(
                f"the matrix has shape {tuple(matrix.shape)}; expected (rows, {self.n_sensors}) "
                "for this lead field"
            )
        rows = int(matrix.shape[0])
        if ch_names is None:
            same = rows == self.n_sensors
            ch_names = self.ch_names if same else [f"C{i:03d}" for i in range(rows)]
        gain = matrix.to(self.gain) @ self.gain
        return dataclasses.replace(self, gain=gain, ch_names=tuple(ch_names))

    @cached_property
    def _hops(self) -> Tensor:
        return graph.hop_counts(self.n_locations, self.edges)

    @cached_property
    def _metric(self) -> Tensor:
        return graph.distances(self.positions, self.edges)

    def _refuse_dense(self) -> None:
        if self.n_locations > MAX_DENSE:
            raise MajorantError(
                f"distances between all pairs of {self.n_locations} locations would not fit; ask "
                "for some rows with sources=[...]"
            )

    def hops(self, sources: Sequence[int] | None = None) -> Tensor:
        """Return the number of edges on the shortest path between locations.

        Parameters
        ----------
        sources : sequence of int, optional
            Rows wanted; all of them by default, computed once (up to 6,000 locations).

        Returns
        -------
        Tensor, shape (n_rows, n_locations), int32
            `majorant.forward.graph.UNREACHABLE` (1,000,000) where no path leads.
        """
        if sources is not None:
            return graph.hop_counts(self.n_locations, self.edges, list(sources))
        self._refuse_dense()
        return self._hops

    def metric(self, sources: Sequence[int] | None = None) -> Tensor:
        """Return the length in metres of the shortest path along edges between locations.

        Parameters
        ----------
        sources : sequence of int, optional
            Rows wanted; all of them by default, computed once (up to 6,000 locations).

        Returns
        -------
        Tensor, shape (n_rows, n_locations), float64
            Infinite where no path leads.
        """
        if sources is not None:
            return graph.distances(self.positions, self.edges, list(sources))
        self._refuse_dense()
        return self._metric

    @cached_property
    def _fingerprint(self) -> str:
        total = hashlib.sha256("\0".join(self.ch_names).encode("utf-8"))
        for tensor in (self.gain, self.positions):
            total.update(f"\0{tuple(tensor.shape)}\0".encode())
            total.update(tensor.to(torch.float32).contiguous().numpy().astype("<f4").tobytes())
        return total.hexdigest()

    def fingerprint(self) -> str:
        """Return a sha256 over gain and positions (in single precision) and channel names."""
        return self._fingerprint

    def save(self, path: str | os.PathLike[str], dtype: torch.dtype = torch.float64) -> Path:
        """Write one `.safetensors` file, atomically.

        Parameters
        ----------
        path : path
        dtype : torch.dtype
            Of the gain and the geometry in the file: float64, or float32 for half the size.
        """
        tensors = {
            "gain": self.gain.to(dtype),
            "positions": self.positions.to(dtype),
            "normals": self.normals.to(dtype),
            "edges": self.edges.to(torch.int32),
            "hemisphere": self.hemisphere.to(torch.int16),
            "vertices": self.vertices.to(torch.int32),
        }
        if self.parcels is not None:
            tensors["parcels"] = self.parcels.to(
                torch.int16 if self.n_locations < 2**15 else torch.int32
            )
        info = {
            "ch_names": list(self.ch_names),
            "n_orient": self.n_orient,
            "kind": self.kind,
            "subject": self.subject,
        }
        return write_archive(path, tensors, info, kind=KIND, version=VERSION)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Leadfield:
        """Read a file written by `save`.

        Raises
        ------
        MajorantError
            If there is no such file.
        DamagedFile
            If it is truncated, altered, of another kind or of another version.
        """
        try:
            tensors, info = read_archive(path, kind=KIND, version=VERSION)
        except (FileNotFoundError, IsADirectoryError) as error:
            raise MajorantError(f"there is no lead field file at {path}; check the path") from error
        try:
            return cls.from_arrays(**tensors, **info)
        except (TypeError, MajorantError) as error:
            raise DamagedFile(
                f"{path} cannot be used: it does not hold a lead field ({error})."
            ) from error

    @classmethod
    def template_small(cls) -> Leadfield:
        """Return the packaged lead field: 994 regions of the template seen by 90 electrodes.

        It needs neither MNE nor a cache. Potentials are against infinity, before any reference.
        """
        name = "template-90x994.safetensors"
        with resources.as_file(resources.files("majorant.forward") / "data" / name) as path:
            return cls.load(path)
