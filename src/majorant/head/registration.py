"""The 994 regions on another head, through the spherical registration.

FreeSurfer's ``sphere.reg`` puts every vertex of a subject's cortex at the place on the sphere that
it has in fsaverage. A vertex belongs to the region of the vertex of fsaverage5 that is nearest
there; a region's column is the area-weighted mean of its vertices' columns along their normals,
times the number of vertices that a region has on fsaverage5, so that it means what it means on the
template and does not depend on the density of the mesh. What a region is (its neighbours, its place
in MNI space) stays that of the template, so learned weights see the sources of their training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from majorant.forward.leadfield import Leadfield
from majorant.forward.template import template_parcels, template_surfaces
from majorant.head.model import leadfield_from_forward
from majorant.head.spaces import SourceSpace
from majorant.head.template import dressed
from majorant.problem import MajorantError
from majorant.registry import SolverSpec, able

__all__ = ["MEMBERS", "Carried", "carry_regions", "mean_columns"]

MEMBERS = 20.6
"""Vertices of fsaverage5 for each of the 994 regions (20,484 / 994)."""

SIDES = ("lh", "rh")


@dataclass(frozen=True, eq=False)
class Carried:
    """Regions on another head.

    Attributes
    ----------
    forward : mne.Forward
        Of the regions, fixed.
    leadfield : Leadfield
        Its gain; positions, neighbours and regions of the template.
    space : SourceSpace
        Estimates belong to the vertices of the forward, each with the value of its region.
    sentence : str
        What was done.
    """

    forward: Any
    leadfield: Leadfield
    space: SourceSpace
    sentence: str


def carry_regions(forward: Any, info: Any, subjects_dir: str | None, solver: SolverSpec) -> Carried:
    """Turn a forward on a subject's cortex into one on the 994 regions.

    Parameters
    ----------
    forward : mne.Forward
        On both hemispheres.
    info : mne.Info
        Of the recording.
    subjects_dir : str or None
        Where ``SUBJECT/surf/lh.sphere.reg`` is; not needed for fsaverage5 itself.
    solver : SolverSpec
        Who asks, for the sentences.

    Raises
    ------
    MajorantError
        If the source space is no pair of surfaces, or there is no registration.
    """
    import mne

    space = SourceSpace.of(forward["src"])
    anywhere = able(lambda s: s.space == "any")
    if space.kind != "surface":
        raise MajorantError(
            f"regions are made of the two cortical surfaces, and this is a {space.kind} source "
            f"space; give a forward on the surfaces, or take one of {anywhere}"
        )
    labels = _labels(space, subjects_dir, solver, anywhere)
    if not mne.forward.is_fixed_orient(forward):
        forward = mne.convert_forward_solution(
            forward, surf_ori=True, force_fixed=True, use_cps=True, verbose="error"
        )
    own = leadfield_from_forward(forward)
    areas = np.concatenate([_areas(part) for part in forward["src"]])
    gain, lonely = mean_columns(own.gain.numpy(), labels, areas, own.positions.numpy())
    template = Leadfield.template_small()
    lead = dataclasses.replace(template, gain=torch.from_numpy(gain), ch_names=tuple(own.ch_names))
    kept = labels >= 0
    cuts = np.cumsum([len(part) for part in space.vertices])[:-1]
    vertices = tuple(
        part[inside] for part, inside in zip(space.vertices, np.split(kept, cuts), strict=True)
    )
    picked = lead.pick([name for name in info["ch_names"] if name in own.ch_names])
    sentence = (
        f"The 994 regions were carried over to {space.subject or 'the subject'} by the spherical "
        f"registration: {int(kept.sum()):,} of {len(kept):,} vertices belong to one"
    )
    sentence += f"; {lonely} regions without a vertex took the nearest one." if lonely else "."
    return Carried(
        dressed(picked, info),
        picked,
        SourceSpace("regions", vertices, space.subject, labels[kept]),
        sentence,
    )


def _labels(
    space: SourceSpace, subjects_dir: str | None, solver: SolverSpec, anywhere: str
) -> NDArray[np.int64]:
    """Region of every vertex of the source space, -1 in the medial wall."""
    parcels = template_parcels().numpy()
    on_template = space.subject == "fsaverage" and all(
        part.max(initial=0) < parcels.shape[1] for part in space.vertices
    )
    if on_template:
        # The first vertices of fsaverage are those of fsaverage5.
        return np.concatenate([p[v] for p, v in zip(parcels, space.vertices, strict=True)])
    spheres = [_registered(side, space, subjects_dir, solver, anywhere) for side in SIDES]
    template = template_surfaces().sphere.astype(np.float64)
    found = []
    for sphere, own, part, label in zip(spheres, template, space.vertices, parcels, strict=True):
        if part.max(initial=0) >= len(sphere):
            raise MajorantError(
                f"the source space has vertices up to {part.max()}, and the registration of "
                f"{space.subject} only {len(sphere)}: they are of different surfaces; compute the "
                "forward anew"
            )
        found.append(label[KDTree(_unit(own)).query(_unit(sphere[part]))[1]])
    return np.concatenate(found)


def _registered(
    side: str, space: SourceSpace, subjects_dir: str | None, solver: SolverSpec, anywhere: str
) -> NDArray[np.float64]:
    """Vertices of a hemisphere on the sphere of fsaverage."""
    from nibabel.freesurfer.io import read_geometry

    advice = (
        f"give subjects_dir with SUBJECT/surf/{side}.sphere.reg, leave the forward out to use the "
        f"template, or take one of {anywhere}"
    )
    if space.subject is None or subjects_dir is None:
        what = "does not say whose head it is" if space.subject is None else "is an individual head"
        raise MajorantError(
            f"{solver.title} needs the 994 regions, and the forward {what}, without a spherical "
            f"registration at hand; {advice}"
        )
    path = Path(subjects_dir).expanduser() / space.subject / "surf" / f"{side}.sphere.reg"
    if not path.is_file():
        raise MajorantError(f"there is no spherical registration {path}; {advice}")
    try:
        vertices: Any = read_geometry(path)[0]
    except (OSError, ValueError, IndexError) as error:
        raise MajorantError(
            f"{path} cannot be read as a surface of FreeSurfer; make it again with recon-all"
        ) from error
    return np.asarray(vertices, float)


def _unit(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
    return vertices / np.linalg.norm(vertices, axis=1, keepdims=True)


def _areas(part: Any) -> NDArray[np.float64]:
    """Area of cortex for which every used vertex stands, shape (nuse,), m^2.

    A third of each triangle belongs to each corner; what is not used belongs to the nearest used
    vertex, as in MNE's patch statistics.
    """
    corners = part["rr"][part["tris"]]
    face = np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    whole = np.zeros(part["np"])
    for corner in range(3):
        np.add.at(whole, part["tris"][:, corner], face / 6)
    if part.get("pinfo") is not None:
        return np.array([whole[members].sum() for members in part["pinfo"]])
    used = part["vertno"]
    nearest = KDTree(part["rr"][used]).query(part["rr"])[1]
    return np.bincount(nearest, whole, minlength=len(used)).astype(np.float64)


def mean_columns(
    gain: NDArray[np.float64],
    labels: NDArray[np.int64],
    areas: NDArray[np.float64],
    positions: NDArray[np.float64],
) -> tuple[NDArray[np.float64], int]:
    """Return the columns of regions: area-weighted means of their members' times :data:`MEMBERS`.

    Parameters
    ----------
    gain : array, shape (n_channels, n_vertices)
    labels : array of int, shape (n_vertices,)
        Region of every vertex, -1 for none.
    areas : array, shape (n_vertices,)
    positions : array, shape (n_vertices, 3)

    Returns
    -------
    columns : array, shape (n_channels, n_regions)
    lonely : int
        Regions without a vertex, which took the nearest one.
    """
    n_regions = int(template_parcels().max()) + 1
    kept = labels >= 0
    total = np.bincount(labels[kept], areas[kept], minlength=n_regions)
    summed = np.zeros((n_regions, len(gain)))
    np.add.at(summed, labels[kept], (gain[:, kept] * areas[kept]).T)
    columns = MEMBERS * summed / np.where(total > 0, total, 1.0)[:, None]
    lonely = np.flatnonzero(total == 0)
    if len(lonely):
        columns[lonely] = MEMBERS * gain[:, _nearest(lonely, labels, positions)].T
    return np.ascontiguousarray(columns.T), len(lonely)


def _nearest(
    lonely: NDArray[np.int64], labels: NDArray[np.int64], positions: NDArray[np.float64]
) -> NDArray[np.int64]:
    """For regions that no vertex fell into, a vertex of the region nearest on the template."""
    template = Leadfield.template_small().positions.numpy()
    present = np.unique(labels[labels >= 0])
    beside = present[KDTree(template[present]).query(template[lonely])[1]]
    first: Callable[[int], int] = lambda region: int(np.flatnonzero(labels == region)[0])  # noqa: E731
    return np.array([first(int(region)) for region in beside])
