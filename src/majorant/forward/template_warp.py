"""The template warped to a person: scalp, skulls and cortex by one map, sources as they were.

`warped_leadfield` is what `majorant.forward.template.template_leadfield` is for the template as it
stands. Gains are computed on the warped shells, for sources on the warped cortex along its own
normals; positions, normals, neighbours, vertex numbers and regions stay those of fsaverage, so that
weights that know sources, group studies and MNI coordinates go on meaning the same. Of free
dipoles, axes turn with the cortex.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from majorant.errors import MajorantError
from majorant.files.cache import Cache, Content
from majorant.forward import bem, graph
from majorant.forward.anatomy import Anatomy, AnatomySpace
from majorant.forward.deform import keep_inside, rotation_between
from majorant.forward.electrodes import (
    Alignment,
    align,
    digitised_electrodes,
    montage_electrodes,
    rigid_to_template,
)
from majorant.forward.leadfield import Leadfield
from majorant.forward.mesh import barycentric, nearest_triangles
from majorant.forward.shells import ShellHead, thicker
from majorant.forward.surfaces import vertex_normals
from majorant.forward.template import (
    CONDUCTIVITY,
    SPACES,
    octahedral,
    template_head,
    template_parcels,
)
from majorant.forward.template import template_surfaces as surfaces_of
from majorant.forward.template_bank import template_anatomy
from majorant.forward.warp import Points, Warp, WarpPrior, fit_warp

__all__ = ["WarpedHead", "warp_anatomy", "warp_template", "warped_leadfield"]

VERSION = 2
FEWEST_NAMED = 8
"""Electrodes of the 10-05 system from which their names are believed."""
ASKEW, CONTRADICTED = 0.040, 0.25
"""Metres from the place of its name that no cap is put on askew by, and the share of electrodes
farther off from which names are taken to be of another system."""
LEAD_PARTS = ("gain", "positions", "normals", "edges", "hemisphere", "vertices")
Place = Sequence[float] | np.ndarray
Progress = Callable[[str], None] | None


@dataclass(frozen=True, eq=False)
class WarpedHead:
    """A person's head, made of the template.

    Attributes
    ----------
    template, person : Anatomy
        Before and after; metres, in the axes of the template, the person at life size.
    warp : Warp
        From one to the other.
    electrodes : ndarray, shape (n_electrodes, 3)
        On the person's scalp.
    alignment : Alignment
        ``positions`` are the same places on the template's scalp, distances those after the warp.
    """

    template: Anatomy
    person: Anatomy
    warp: Warp
    electrodes: np.ndarray
    alignment: Alignment


def warp_template(
    electrodes: Mapping[str, Place],
    fiducials: Mapping[str, Place],
    shape: np.ndarray | None = None,
    *,
    prior: WarpPrior | None = None,
    progress: Progress = None,
) -> WarpedHead:
    """Warp the template to digitised electrodes, fiducials and points of the head's shape.

    Parameters
    ----------
    electrodes : mapping of str to sequence of float, shape (3,)
        Metres, in the frame of the fiducials.
    fiducials : mapping
        "lpa", "nasion" and "rpa".
    shape : ndarray, shape (n, 3), optional
        Further points of the scalp, in the same frame. Those on the face, below the ears or more
        than a tenth of the head's radius off it are left out.
    prior : WarpPrior, optional
    progress : callable, optional
        Takes a line of text for every step that takes time.

    Raises
    ------
    MajorantError
        If positions are missing or too few.
    """
    asked, head = digitised_electrodes(electrodes, fiducials), template_head(progress=progress)
    rigid = rigid_to_template(asked, head)
    places = _moved(asked.positions, rigid)
    assert asked.fiducials is not None
    extra = _usable(np.zeros((0, 3)) if shape is None else _moved(np.asarray(shape), rigid), head)
    marks = _moved(asked.fiducials, rigid)
    points = Points(np.concatenate([places, extra]), marks, _named(asked.ch_names, places, head))
    warp = fit_warp(points, head.scalp, head.scalp_faces, head.fiducials, prior)
    template = template_anatomy(progress)
    person = warp_anatomy(template, warp)
    feet, index = nearest_triangles(places, person.scalp, person.scalp_faces)
    share = barycentric(feet, person.scalp[person.scalp_faces[index]])
    n = len(places)
    alignment = Alignment(
        name=asked.name,
        ch_names=asked.ch_names,
        positions=np.einsum("nk,nki->ni", share, head.scalp[head.scalp_faces[index]]),
        residual_mm=warp.after_mm[:n],
        scale=warp.scale,
        shift_mm=tuple((1e3 * warp.shift).tolist()),
        by="warp",
        before_mm=warp.before_mm[:n],
        n_shape=len(extra),
        bent=warp.bent,
        size=_size(warp.scale),
    )
    return WarpedHead(template, person, warp, feet, alignment)


def warp_anatomy(anatomy: Anatomy, warp: Warp) -> Anatomy:
    """Move everything that a head has by a map; normals turn as the mesh does."""
    shells = np.stack([warp(shell) for shell in anatomy.shells])
    positions = keep_inside(warp(anatomy.positions), shells[0], anatomy.shell_faces)
    own = vertex_normals(anatomy.positions, anatomy.faces)
    new = vertex_normals(positions, anatomy.faces)
    turn = Rotation.from_rotvec(rotation_between(own, new))
    return replace(
        anatomy,
        shells=shells,
        scalp=warp(anatomy.scalp),
        positions=positions,
        normals=turn.apply(anatomy.normals),
    )


def warped_leadfield(
    electrodes: Mapping[str, Place],
    fiducials: Mapping[str, Place],
    shape: np.ndarray | None = None,
    *,
    space: str = "regions",
    fixed: bool = False,
    skull: float = CONDUCTIVITY[1],
    thickness: float = 1.0,
    progress: Progress = None,
) -> tuple[Leadfield, Alignment]:
    """Return the lead field of digitised electrodes on the template warped to them.

    Parameters
    ----------
    electrodes, fiducials, shape
        What was digitised; see `warp_template`.
    space, fixed
        Sources; see `majorant.forward.template.template_leadfield`.
    skull : float
        Conductivity, S/m.
    thickness : float
        Of the skull, relative to the template's own as it stands.
    progress : callable, optional
        Takes a line of text for every step that takes time.

    Returns
    -------
    Leadfield
        Potentials against infinity, V/(A m), on fsaverage's positions and normals.
    Alignment
        How the points met the scalp, before and after.

    Raises
    ------
    MajorantError
        If positions are missing or too few, or there is no such space.
    """
    if space not in SPACES:
        raise MajorantError(f"there is no source space {space!r}; choose {', '.join(SPACES)}")
    asked, store = digitised_electrodes(electrodes, fiducials), Cache(progress)
    assert asked.fiducials is not None
    free = not fixed and space != "regions"
    more = [] if shape is None else np.asarray(shape, dtype=np.float64).tolist()
    places = [list(asked.ch_names), asked.positions.tolist(), asked.fiducials.tolist(), more]

    def build() -> Content:
        head = warp_template(electrodes, fiducials, shape, progress=progress)
        store.step(f"Computing what {len(head.electrodes)} electrodes see in the warped head")
        if thickness != 1.0:
            # The warp made the skull as much thicker or thinner as the head is larger or smaller.
            own = thicker(head.person.shells, thickness / _size(head.warp.scale))
            head = replace(head, person=replace(head.person, shells=own))
        return _kept(_leadfield(head, space, free, skull), head.alignment)

    key = [places, space, free, skull, asdict(WarpPrior())]
    key += [] if thickness == 1.0 else [thickness]
    tensors, info = store.get("warped", VERSION, key, build)
    return _read(tensors, info, asked.ch_names)


def _size(scale: Sequence[float]) -> float:
    """The factor of a head as a whole."""
    return float(np.prod(scale) ** (1 / 3))


def _kept(lead: Leadfield, alignment: Alignment) -> Content:
    """What the cache keeps of a lead field and its alignment."""
    tensors = {name: getattr(lead, name) for name in LEAD_PARTS}
    tensors["gain"] = lead.gain.to(torch.float32)
    for name, part in (
        ("positions_on_scalp", alignment.positions),
        ("residual_mm", alignment.residual_mm),
        ("before_mm", alignment.before_mm),
    ):
        tensors[name] = torch.from_numpy(np.ascontiguousarray(part))
    info = {
        "n_orient": lead.n_orient,
        "kind": lead.kind,
        "scale": list(alignment.scale),
        "shift_mm": list(alignment.shift_mm),
        "n_shape": alignment.n_shape,
        "bent": alignment.bent,
    }
    return tensors, info


def _read(
    tensors: Mapping[str, Tensor], info: Mapping[str, Any], names: tuple[str, ...]
) -> tuple[Leadfield, Alignment]:
    parts: dict[str, Any] = {name: tensors[name] for name in LEAD_PARTS}
    parts["gain"] = tensors["gain"].double()
    lead = Leadfield(
        **parts,
        n_orient=info["n_orient"],
        kind=info["kind"],
        ch_names=names,
        parcels=template_parcels() if info["kind"] == "regions" else None,
    )
    alignment = Alignment(
        name="digitised positions",
        ch_names=names,
        positions=tensors["positions_on_scalp"].numpy(),
        residual_mm=tensors["residual_mm"].numpy(),
        scale=tuple(info["scale"]),
        shift_mm=tuple(info["shift_mm"]),
        by="warp",
        before_mm=tensors["before_mm"].numpy(),
        n_shape=info["n_shape"],
        bent=info["bent"],
        size=_size(info["scale"]),
    )
    return lead, alignment


def _leadfield(head: WarpedHead, space: str, free: bool, skull: float) -> Leadfield:
    """The person's gain on the template's sources."""
    own, where = head.template, _space(head.template, space)
    gain = _gain(head, where, free, skull)
    nothing = torch.zeros(1, dtype=torch.float64)

    def none(positions: np.ndarray, _: np.ndarray) -> Tensor:
        return nothing.expand(gain.shape[0], len(positions))

    names = head.alignment.ch_names
    lead = where.leadfield(own, names, none, own.positions, own.normals)
    return replace(lead, gain=gain, n_orient=3 if free else 1)


def _gain(head: WarpedHead, where: AnatomySpace, free: bool, skull: float) -> Tensor:
    """Solve for the warped shells, at one conductivity."""
    person = head.person
    integrals = bem.shell_coefficients(person.shells, person.shell_faces)
    solved = bem.transfer(integrals, (CONDUCTIVITY[0], skull, CONDUCTIVITY[2]))
    weights = bem.electrode_weights(head.electrodes, person.shells[2], person.shell_faces)
    rows, nodes = torch.from_numpy(weights @ solved).float(), torch.from_numpy(person.nodes).float()

    def seen(positions: np.ndarray, moments: np.ndarray) -> Tensor:
        parts = torch.from_numpy(positions).float(), torch.from_numpy(moments).float()
        return bem.potentials(rows, nodes, *parts).to(torch.float64)

    if not free:
        names = head.alignment.ch_names
        return where.leadfield(person, names, seen, person.positions, person.normals).gain
    index = where.index.numpy()
    turn = Rotation.from_rotvec(
        rotation_between(head.template.normals[index], person.normals[index])
    ).as_matrix()
    columns = [seen(person.positions[index], turn[:, :, k]) for k in range(3)]
    return torch.stack(columns, dim=2).flatten(1)


def _space(anatomy: Anatomy, name: str) -> AnatomySpace:
    if not name.startswith("oct"):
        return anatomy.space(name)
    edges = graph.mesh_edges(torch.from_numpy(anatomy.faces))
    return AnatomySpace(*octahedral(surfaces_of(), int(name[3:]), edges), None)


def _moved(places: np.ndarray, rigid: np.ndarray) -> np.ndarray:
    return np.asarray(places, dtype=np.float64) @ rigid[:3, :3].T + rigid[:3, 3]


def _named(names: Sequence[str], places: np.ndarray, head: ShellHead) -> np.ndarray | None:
    """Digitised places of electrodes of the 10-05 system, and the system's on the template.

    None where places contradict the names: A1 and C3 to C6 of a cap with rings A to D are elsewhere
    than those of the system.
    """
    known = {name.casefold() for name in montage_electrodes("standard_1005").ch_names}
    index = [i for i, name in enumerate(names) if name.casefold() in known]
    if len(index) < FEWEST_NAMED:
        return None
    listed = montage_electrodes("standard_1005", [names[i] for i in index])
    named = np.stack([places[index], align(listed, head).positions], axis=1)
    apart = np.linalg.norm(named[:, 0] - named[:, 1], axis=1) > ASKEW
    if apart.mean() > CONTRADICTED or (~apart).sum() < FEWEST_NAMED:
        return None
    return named[~apart]


def _usable(places: np.ndarray, head: ShellHead) -> np.ndarray:
    """Points of the head's shape that lie above a plane through nasion and ears, near the head."""
    if not len(places):
        return places
    left, nasion, right = head.fiducials
    up = np.cross(right - left, nasion - (left + right) / 2)
    up /= np.linalg.norm(up)
    above = (places - nasion) @ up > 0.005
    radius = np.linalg.norm(places - head.scalp.mean(axis=0), axis=1)
    return places[above & (radius < 0.16)]
