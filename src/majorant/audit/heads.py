"""Two heads: the one that makes the data, and the one that solvers believe in.

The data are made on the 20,484 vertices of fsaverage5, and imaged on the 994 regions of the
template, so that simulation and inversion do not share their source space. Unless told otherwise
they do not share the head either: the true skull conducts less than the solvers believe, and every
electrode sits some millimetres from where they believe it to be, as where a cap is placed by hand
and nobody's head is measured.

With a forward solution of one's own, both heads are that head and both source spaces its own: the
errors are those of noise and solver alone, and too small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import KDTree
from torch import Tensor

from majorant.atlas.gyri import gyri
from majorant.audit.cap import Cap
from majorant.errors import MajorantError
from majorant.findings.names import lobe_names, region_names
from majorant.forward.graph import mesh_edges, unique_edges
from majorant.forward.leadfield import Leadfield
from majorant.forward.mesh import nearest_on_surface
from majorant.forward.shells import ShellHead, compute_gain, move_inside
from majorant.forward.surfaces import Surfaces
from majorant.forward.template import (
    CONDUCTIVITY,
    template_head,
    template_parcels,
    template_surfaces,
)
from majorant.head.model import leadfield_from_forward
from majorant.head.places import Places, locate
from majorant.head.template import child_of, head_scale

__all__ = ["MOVED_MM", "TRUE_SKULL", "AuditHead", "own_head", "template_heads"]

TRUE_SKULL = 0.0041
"""S/m: conductivity of the skull that makes the data, two thirds of what solvers believe."""
MOVED_MM = 5.0
"""How far every electrode sits from where the solvers believe it to be, mm."""
Progress = Callable[[str], None] | None


@dataclass(frozen=True, eq=False)
class AuditHead:
    """What makes the data, what is believed, and where everything lies.

    Attributes
    ----------
    believed : Leadfield
        Fixed orientation, with neighbours; what solvers invert. V/(A m), rows as of the cap.
    gain : Tensor, shape (n_electrodes, n_vertices), float64
        What the electrodes see of a dipole at every vertex that makes data, V/(A m).
    vertices : array, shape (n_vertices, 3)
        Where these lie, metres.
    edges : array, shape (n_edges, 2)
        Neighbours among them.
    area : array, shape (n_vertices,)
        Cortex that belongs to each, cm².
    home : array, shape (n_vertices,)
        Location of ``believed`` that each belongs to; -1 where there is none (the medial wall).
    places : Places
        Of the locations.
    depth : array, shape (n_locations,)
        Below the scalp (template) or from the nearest electrode (a head of one's own), mm.
    depth_word : str
        Which of the two, as a caption says it.
    differs : str
        In what the true head differs, as a sentence.
    """

    believed: Leadfield
    gain: Tensor
    vertices: NDArray[np.float64]
    edges: NDArray[np.int64]
    area: NDArray[np.float64]
    home: NDArray[np.int64]
    places: Places
    depth: NDArray[np.float64]
    depth_word: str
    differs: str

    @cached_property
    def regions(self) -> tuple[str, ...]:
        """Gyrus of every location, without its side."""
        return region_names(gyri(), self.believed, self.places)

    @cached_property
    def lobes(self) -> tuple[str, ...]:
        """Lobe of every location, by its gyrus."""
        return lobe_names(self.believed, self.places)

    @cached_property
    def location_area(self) -> NDArray[np.float64]:
        """Cortex that belongs to every location, cm², shape (n_locations,)."""
        inside = self.home >= 0
        n = self.believed.n_locations
        return np.bincount(self.home[inside], self.area[inside], minlength=n).astype(np.float64)

    @cached_property
    def near(self) -> NDArray[np.float64]:
        """Distance along the cortex between locations, mm; infinite between hemispheres."""
        return 1e3 * self.believed.metric().numpy()


def template_heads(
    cap: Cap,
    *,
    differ: bool,
    seed: int,
    head: ShellHead,
    age: float | None = None,
    progress: Progress = None,
) -> AuditHead:
    """Make both heads of the template for a cap.

    Parameters
    ----------
    cap : Cap
    differ : bool
        Whether the true head differs from the believed one.
    seed : int
        Of the displacement of the electrodes.
    head : ShellHead
        The template.
    age : float, optional
        Years; below 18, the skull is typical of the age.
    progress : callable, optional
        Takes a line of text for every step that takes time.
    """
    surfaces = template_surfaces(progress)
    child = child_of(age)
    skull, thickness = CONDUCTIVITY[1], 1.0
    if child is not None:
        skull, thickness = child.skull, child.share / head_scale(child.circumference)
        layers = (CONDUCTIVITY[0], skull, CONDUCTIVITY[2])
        head = template_head(layers, progress, thickness=thickness)
    n = len(cap.ch_names)
    _say(progress, f"Computing what {n} electrodes see of the cortex, as solvers believe it")
    believed = _seen(head, surfaces, cap.ch_names, cap.positions)
    gain, differs = believed.gain, "The data are made with the same head that solvers believe in."
    if differ:
        conducts = TRUE_SKULL / CONDUCTIVITY[1] * skull
        layers = (CONDUCTIVITY[0], conducts, CONDUCTIVITY[2])
        true = template_head(layers, progress, thickness=thickness)
        _say(progress, f"Computing what {n} electrodes see of the cortex, as it is")
        gain = _seen(true, surfaces, cap.ch_names, _moved(cap.positions, head, seed)).gain
        differs = (
            "The head that makes the data differs from the one that solvers believe in: its skull "
            f"conducts {conducts:.2g} S/m, not {skull:.2g}, and every electrode sits "
            f"{MOVED_MM:g} mm from where it is believed to be."
        )
    parcels = template_parcels()
    regions = believed.regions(parcels)
    flat = np.concatenate([surfaces.pial[0], surfaces.pial[1]]).astype(np.float64)
    places = locate(regions)
    inside = regions.positions.numpy()
    return AuditHead(
        believed=regions,
        gain=gain,
        vertices=flat,
        edges=believed.edges.numpy(),
        area=1e4 * _areas(surfaces),
        home=parcels.numpy().reshape(-1),
        places=places,
        depth=1e3
        * np.linalg.norm(nearest_on_surface(inside, head.scalp, head.scalp_faces) - inside, axis=1),
        depth_word="below the scalp",
        differs=differs,
    )


def own_head(forward: Any, cap: Cap) -> AuditHead:
    """Make the head of a forward solution, which makes the data and is believed in alike.

    Raises
    ------
    MajorantError
        If it is no surface source space, so that there is no cortex to map.
    """
    import mne

    if not all(space["type"] == "surf" for space in forward["src"]):
        raise MajorantError(
            "the forward solution has a volume of sources, and an audit draws the cortex; give one "
            "with a surface source space"
        )
    fixed = mne.convert_forward_solution(
        forward, surf_ori=True, force_fixed=True, use_cps=True, verbose="error"
    )
    edges, area = _cells(forward["src"])
    lead = leadfield_from_forward(fixed).pick(list(cap.ch_names))
    lead = replace(lead, edges=unique_edges(torch.from_numpy(edges)))
    positions = lead.positions.numpy()
    electrodes = mne.transforms.apply_trans(forward["mri_head_t"]["trans"], positions)
    return AuditHead(
        believed=lead,
        gain=lead.gain,
        vertices=positions,
        edges=lead.edges.numpy(),
        area=1e4 * area,
        home=np.arange(lead.n_locations),
        places=locate(lead),
        depth=1e3 * KDTree(cap.positions).query(electrodes)[0],
        depth_word="from the nearest electrode",
        differs="The data are made with the same head and the same source space that solvers "
        "believe in, so only noise and solver err: on a real head errors are larger.",
    )


def _seen(
    head: ShellHead, surfaces: Surfaces, names: tuple[str, ...], places: NDArray[np.float64]
) -> Leadfield:
    """What electrodes on the scalp see of every vertex along its normal."""
    pial = surfaces.pial.reshape(-1, 3).astype(np.float64)
    normals = surfaces.normals.reshape(-1, 3)
    inside, _ = move_inside(pial, head)
    free = compute_gain(head, inside, normals, names, places).reshape(len(names), -1, 3)
    n = surfaces.pial.shape[1]
    faces = np.concatenate([surfaces.faces[0], surfaces.faces[1] + n]).astype(np.int64)
    return Leadfield(
        gain=torch.from_numpy(np.einsum("nsk,sk->ns", free, normals)),
        n_orient=1,
        positions=torch.from_numpy(inside),
        normals=torch.from_numpy(normals),
        edges=mesh_edges(torch.from_numpy(faces)),
        ch_names=names,
        hemisphere=torch.arange(2).repeat_interleave(n),
        vertices=torch.arange(n).repeat(2),
    )


def _moved(places: NDArray[np.float64], head: ShellHead, seed: int) -> NDArray[np.float64]:
    """Electrodes that were moved over the scalp by a fixed distance in random directions."""
    step = np.random.default_rng([seed, 5]).standard_normal(places.shape)
    outward = places - head.scalp.mean(axis=0)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    step -= (step * outward).sum(axis=1, keepdims=True) * outward
    step *= 1e-3 * MOVED_MM / np.linalg.norm(step, axis=1, keepdims=True)
    return nearest_on_surface(places + step, head.scalp, head.scalp_faces)


def _areas(surfaces: Surfaces) -> NDArray[np.float64]:
    """A third of the adjacent triangles of every pial vertex, m², both hemispheres."""
    pairs = zip(surfaces.pial, surfaces.faces, strict=True)
    return np.concatenate([_vertex_areas(*pair) for pair in pairs])


def _vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> NDArray[np.float64]:
    a, b, c = (vertices[faces[:, k]].astype(np.float64) for k in range(3))
    third = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    own = np.bincount(faces.ravel(), np.repeat(third, 3), minlength=len(vertices))
    return own.astype(np.float64)


def _cells(src: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Neighbours and areas (m²) of the locations of a surface source space.

    Every vertex of the surface belongs to the location nearest along it; locations whose cells
    touch are neighbours. Files do not always say which ones are, and areas never.
    """
    pairs, areas, start = [], [], 0
    for space in src:
        vertices, faces = np.asarray(space["rr"], float), np.asarray(space["tris"], np.int64)
        if len(faces) == 0:
            raise MajorantError(
                "the forward solution has no surface between its sources, so patches cannot grow; "
                "compute it anew from a source space made with mne.setup_source_space"
            )
        sides = mesh_edges(torch.from_numpy(faces)).numpy()
        length = np.linalg.norm(vertices[sides[:, 0]] - vertices[sides[:, 1]], axis=1)
        graph = csr_array((length, tuple(sides.T)), shape=(len(vertices), len(vertices)))
        used = np.asarray(space["vertno"])
        owner = dijkstra(
            graph, directed=False, indices=used, min_only=True, return_predecessors=True
        )[2]
        number = np.full(len(vertices), -1)
        number[used] = np.arange(len(used))
        cell = np.where(owner >= 0, number[np.maximum(owner, 0)], -1)
        touching = cell[sides]
        kept = (touching >= 0).all(axis=1) & (touching[:, 0] != touching[:, 1])
        pairs.append(touching[kept] + start)
        inside = cell >= 0
        own = _vertex_areas(vertices, faces)
        areas.append(np.bincount(cell[inside], own[inside], minlength=len(used)))
        start += len(used)
    return np.concatenate(pairs).astype(np.int64), np.concatenate(areas).astype(np.float64)


def _say(progress: Progress, line: str) -> None:
    if progress is not None:
        progress(line)
