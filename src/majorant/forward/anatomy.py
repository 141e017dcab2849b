"""What a head has before electrodes: shells, scalp, cortex and source spaces, as one small record.

A record is all that `majorant.forward.bank` needs, so that a machine without MNE draws heads from
one file. `majorant.forward.template.template_anatomy` makes the template's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from majorant.errors import MajorantError
from majorant.forward import graph
from majorant.forward.leadfield import Leadfield
from majorant.forward.mesh import coarser_faces

__all__ = ["N_ICO", "SPACES", "Anatomy", "AnatomySpace"]

SPACES = ("regions", "ico5", "ico4", "ico3")
"""Source spaces of an anatomy; "ico5" is the fine mesh itself, whatever its size."""
N_ICO = {"ico4": 2562, "ico3": 642}

Seen = Callable[[np.ndarray, np.ndarray], Tensor]
"""Takes positions and moments, shape (n, 3); gives their gain, shape (n_electrodes, n)."""


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A head without electrodes; coordinates are metres in one frame (the template's: MNI305).

    Attributes
    ----------
    shells : ndarray, shape (3, n, 3), float64
        Inner skull, outer skull, scalp, vertex for vertex on common rays.
    shell_faces : ndarray, shape (n_faces, 3), int64
    scalp, scalp_faces : ndarray, shape (n_scalp, 3), (n_scalp_faces, 3)
        The detailed scalp, on which electrodes are placed.
    positions, normals : ndarray, shape (n_sources, 3), float64
        The cortex, inside the inner skull.
    faces : ndarray, shape (n_cortex_faces, 3), int64
        Its mesh, both hemispheres.
    hemisphere, vertices : ndarray, shape (n_sources,), int64
        0 left, 1 right; the number of the vertex within its hemisphere.
    parcels : ndarray, shape (2, n_vertices), int64
        Region of every vertex, -1 where there is none.
    subject : str
        Whose cortex.
    """

    shells: np.ndarray
    shell_faces: np.ndarray
    scalp: np.ndarray
    scalp_faces: np.ndarray
    positions: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    hemisphere: np.ndarray
    vertices: np.ndarray
    parcels: np.ndarray
    subject: str = "fsaverage"

    def __post_init__(self) -> None:
        n = len(self.positions)
        for name in ("normals", "hemisphere", "vertices"):
            if len(getattr(self, name)) != n:
                raise MajorantError(
                    f"{name} has {len(getattr(self, name))} rows; expected one for each of {n} "
                    "sources"
                )
        if self.shells.ndim != 3 or self.shells.shape[0] != 3:
            raise MajorantError(f"shells have shape {self.shells.shape}; expected (3, nodes, 3)")

    @property
    def nodes(self) -> np.ndarray:
        """All nodes of the shells, from the scalp inwards, shape (3 n, 3)."""
        return self.shells[::-1].reshape(-1, 3).copy()

    def space(self, name: str) -> AnatomySpace:
        """Return a source space.

        Parameters
        ----------
        name : {"regions", "ico5", "ico4", "ico3"}

        Raises
        ------
        MajorantError
            If there is no such space, or the mesh is no icosahedron's.
        """
        edges = graph.mesh_edges(torch.from_numpy(self.faces))
        if name == "ico5":
            return AnatomySpace(torch.arange(len(self.positions)), edges, None)
        if name == "regions":
            table = torch.from_numpy(self.parcels)
            labels = table[self.hemisphere, self.vertices]
            inside = (labels >= 0).nonzero().flatten()
            positions = torch.from_numpy(self.positions)
            central = graph.nearest_to_centroid(positions[inside], labels[inside])
            return AnatomySpace(inside[central], graph.contract_edges(edges, labels), labels)
        if name not in N_ICO:
            raise MajorantError(f"there is no source space {name!r}; choose {', '.join(SPACES)}")
        return AnatomySpace(*self._icosahedral(N_ICO[name]), None)

    def _icosahedral(self, n_kept: int) -> tuple[Tensor, Tensor]:
        """Return the first vertices of each hemisphere and the edges of the coarser mesh."""
        index, pairs = [], []
        for side in range(2):
            own = np.flatnonzero(self.hemisphere == side)
            faces = self.faces[np.isin(self.faces[:, 0], own)] - own[0]
            whole = len(faces) == 2 * len(own) - 4 and len(own) >= n_kept
            if not whole or (len(own) - 2) // 10 not in (4**k for k in range(8)):
                raise MajorantError(
                    f"the mesh of {self.subject} is no icosahedron's, so it has no coarser one; "
                    "take its fine mesh"
                )
            while int(faces.max()) + 1 > n_kept:
                faces = coarser_faces(faces)
            pairs.append(graph.mesh_edges(torch.from_numpy(faces)) + side * n_kept)
            index.append(torch.arange(n_kept) + int(own[0]))
        return torch.cat(index), torch.cat(pairs)

    def tensors(self) -> dict[str, Tensor]:
        """Return the arrays as tensors by name, for a file."""
        return {
            field.name: torch.from_numpy(np.ascontiguousarray(getattr(self, field.name)))
            for field in fields(self)
            if field.name != "subject"
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], subject: str) -> Anatomy:
        """Return the anatomy of what `tensors` gave."""
        return cls(**{name: tensor.numpy() for name, tensor in tensors.items()}, subject=subject)


@dataclass(frozen=True, eq=False)
class AnatomySpace:
    """Which columns a lead field has, on the mesh of an anatomy.

    Attributes
    ----------
    index : Tensor, shape (n_locations,), int64
        Vertex of the fine mesh at which a location sits.
    edges : Tensor, shape (n_edges, 2), int64
    labels : Tensor or None, shape (n_vertices,), int64
        Regions only: of which region a vertex is a member, -1 for none; members' columns are
        summed.
    """

    index: Tensor
    edges: Tensor
    labels: Tensor | None

    def leadfield(
        self,
        anatomy: Anatomy,
        ch_names: Sequence[str],
        seen: Seen,
        positions: np.ndarray,
        normals: np.ndarray,
    ) -> Leadfield:
        """Return the lead field of this space for a cortex with the anatomy's mesh.

        Parameters
        ----------
        anatomy : Anatomy
            Whose mesh it is.
        ch_names : sequence of str
        seen : callable
            What the electrodes see of dipoles.
        positions, normals : ndarray, shape (n_vertices, 3)
        """
        index = self.index.numpy()
        place, normal = torch.from_numpy(positions[index]), torch.from_numpy(normals[index])
        if self.labels is None:
            gain = seen(positions[index], normals[index])
        else:
            inside = self.labels >= 0
            kept, n = self.labels[inside], len(index)
            columns = seen(positions[inside.numpy()], normals[inside.numpy()])
            gain = columns.new_zeros(len(columns), n).index_add_(1, kept, columns)
            total = torch.zeros(n, 3, dtype=torch.float64)
            total.index_add_(0, kept, torch.from_numpy(normals)[inside])
            normal = torch.nn.functional.normalize(total, dim=1)
        return Leadfield(
            gain=gain,
            n_orient=1,
            positions=place,
            normals=normal,
            edges=self.edges,
            ch_names=tuple(ch_names),
            hemisphere=torch.from_numpy(anatomy.hemisphere)[self.index],
            vertices=torch.from_numpy(anatomy.vertices)[self.index],
            kind="vertices" if self.labels is None else "regions",
            subject=anatomy.subject,
            parcels=None if self.labels is None else torch.from_numpy(anatomy.parcels),
        )
