"""Heads around a person's own, so that simulations need not believe the one head that is known.

`majorant.forward.bank` draws heads around any anatomy. A FreeSurfer subject has one: its shells,
and its cortex at the vertices of the template (spherical registration), whose numbers and regions
it keeps. A forward that was made elsewhere has a cortex and electrodes, but says nothing of its
shells: the template's are brought to the extent of the cortex, and skull and scalp out to the
electrodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.forward.anatomy import Anatomy
from majorant.forward.bank import BELIEVED_SKULL, HeadBank
from majorant.forward.deform import keep_inside
from majorant.forward.mesh import cast_rays, nearest_on_surface
from majorant.forward.surfaces import vertex_normals
from majorant.forward.template_bank import template_anatomy
from majorant.head.shells import Surface, cortices, find_shells
from majorant.head.subject import find_transformation, subject_folder
from majorant.head.template import electrode_places

__all__ = ["forward_heads_around", "registered", "subject_heads_around", "with_cortex"]

THIN = 0.002
"""Metres between two shells, at least."""
Places = NDArray[np.float64]


def registered(subject: str, subjects_dir: str | None) -> bool:
    """Whether a subject has what carries the template's vertices over to its cortex."""
    folder = subject_folder(subject, subjects_dir)[0]
    kinds = ("white", "sphere.reg")
    return all((folder / "surf" / f"{s}.{k}").is_file() for s in ("lh", "rh") for k in kinds)


def subject_heads_around(
    info: Any,
    subject: str,
    subjects_dir: str | None,
    trans: str | None,
    skull: float | None,
) -> HeadBank:
    """Return the bank of heads around a FreeSurfer subject, in MRI coordinates.

    Parameters
    ----------
    info : mne.Info
        EEG channels with positions.
    subject : str
    subjects_dir, trans : str or None
        See :func:`majorant.head.subject.subject_forward`.
    skull : float or None
        Conductivity that is believed, S/m.

    Raises
    ------
    MajorantError
        If shells, registration or transformation are missing.
    """
    folder, root = subject_folder(subject, subjects_dir)
    shells = find_shells(folder, subject, root)
    matrix = find_transformation(info, subject, folder, root, trans, shells).matrix
    template = template_anatomy()
    positions = cortices(Path(folder), subject)[0]
    on_rays = _on_rays(shells.surfaces, template)
    positions = keep_inside(positions, on_rays[0], template.shell_faces)
    scalp, scalp_faces = shells.surfaces[2]
    own = Anatomy(
        shells=on_rays,
        shell_faces=template.shell_faces,
        scalp=scalp,
        scalp_faces=scalp_faces,
        positions=positions,
        normals=vertex_normals(positions, template.faces),
        faces=template.faces,
        hemisphere=template.hemisphere,
        vertices=template.vertices,
        parcels=template.parcels,
        subject=f"{subject} as fsaverage5",
    )
    return _bank(own, info, matrix, skull)


def with_cortex(forward: Any, info: Any) -> bool:
    """Whether a forward has a cortex with a mesh, and electrodes alone."""
    src = forward["src"]
    meshed = len(src) == 2 and all(
        s["type"] == "surf" and (s["nuse_tri"] or s["nuse"] == s["np"]) for s in src
    )
    return meshed and set(info.get_channel_types()) == {"eeg"}


def forward_heads_around(forward: Any, info: Any, skull: float | None = None) -> HeadBank:
    """Return the bank of heads around a forward's cortex and electrodes, in MRI coordinates.

    Parameters
    ----------
    forward : mne.Forward
        With a cortex (`with_cortex`).
    info : mne.Info
        EEG channels with positions, in the forward's head frame.
    skull : float, optional
        Conductivity that is believed, S/m.
    """
    to_mri = np.linalg.inv(forward["mri_head_t"]["trans"])
    parts = [_used(space) for space in forward["src"]]
    positions = np.concatenate([places for places, _ in parts])
    if int(forward["src"][0]["coord_frame"]) == int(forward["mri_head_t"]["to"]):
        positions = positions @ to_mri[:3, :3].T + to_mri[:3, 3]
    n = len(parts[0][0])
    faces = np.concatenate([parts[0][1], parts[1][1] + n])
    template, places = template_anatomy(), _placed(info, to_mri)
    low, high = positions.min(axis=0), positions.max(axis=0)
    their_low = template.positions.min(axis=0)
    factor = (high - low) / (template.positions.max(axis=0) - their_low)
    both = template.shells, template.scalp
    shells, scalp = (low + (part - their_low) * factor for part in both)
    out = _outwards(places, scalp, template.scalp_faces, shells[0].mean(axis=0))
    shells, scalp = _widened(shells, scalp, out)
    own = Anatomy(
        shells=shells,
        shell_faces=template.shell_faces,
        scalp=scalp,
        scalp_faces=template.scalp_faces,
        positions=keep_inside(positions, shells[0], template.shell_faces),
        normals=vertex_normals(positions, faces),
        faces=faces,
        hemisphere=np.repeat(np.arange(2), [len(part) for part, _ in parts]),
        vertices=np.concatenate([np.asarray(space["vertno"]) for space in forward["src"]]),
        parcels=np.full((2, 1), -1),
        subject="a cortex of one's own",
    )
    return _bank(own, info, to_mri, skull)


def _bank(own: Anatomy, info: Any, to_mri: Places, skull: float | None) -> HeadBank:
    names = tuple(electrode_places(info)[0])
    sites = nearest_on_surface(_placed(info, to_mri), own.scalp, own.scalp_faces)
    return HeadBank(own, names, sites, skull=BELIEVED_SKULL if skull is None else skull)


def _placed(info: Any, to_mri: Places) -> Places:
    """Electrodes in MRI coordinates."""
    places = np.stack(list(electrode_places(info)[0].values()))
    return places @ to_mri[:3, :3].T + to_mri[:3, 3]


def _on_rays(surfaces: tuple[Surface, Surface, Surface], template: Anatomy) -> Places:
    """Shells with the template's nodes, on its rays from the middle of the inner skull."""
    shape = template.shells - template.shells[0].mean(axis=0)
    usual = np.linalg.norm(shape, axis=2)
    rays, centre = shape[0] / usual[0][:, None], surfaces[0][0].mean(axis=0)
    out = []
    for k, surface in enumerate(surfaces):
        reach = cast_rays(centre, rays, *surface)
        met = np.isfinite(reach)
        # Where a surface is open, below, it is as much larger than the template's as elsewhere.
        reach = np.where(met, reach, usual[k] * np.median(reach[met] / usual[k][met]))
        out.append(np.maximum(reach, out[-1] + THIN) if out else reach)
    return np.stack([centre + rays * reach[:, None] for reach in out])


def _used(space: Any) -> tuple[Places, NDArray[np.int64]]:
    """Vertices in use of a surface, and the mesh between them."""
    used = np.asarray(space["vertno"])
    number = np.full(int(space["np"]), -1)
    number[used] = np.arange(len(used))
    faces = number[np.asarray(space["use_tris"] if space["nuse_tri"] else space["tris"])]
    return np.asarray(space["rr"], float)[used], faces[(faces >= 0).all(axis=1)]


def _outwards(places: Places, scalp: Places, faces: NDArray[np.int64], centre: Places) -> float:
    """How much farther out electrodes lie than a scalp, median ratio."""
    away = np.linalg.norm(places - centre, axis=1)
    reach = cast_rays(centre, (places - centre) / away[:, None], scalp, faces)
    met = np.isfinite(reach)
    return float(np.median(away[met] / reach[met])) if met.any() else 1.0


def _widened(shells: Places, scalp: Places, factor: float) -> tuple[Places, Places]:
    """Scale a scalp about the inner skull's middle, and the outer skull with it."""
    centre = shells[0].mean(axis=0)
    radius = np.linalg.norm(shells - centre, axis=2)
    share = (radius[1] - radius[0]) / (radius[2] - radius[0])
    skin = np.maximum(factor * radius[2], radius[0] + 2 * THIN)
    rays = (shells[0] - centre) / radius[0][:, None]
    skull = radius[0] + share * (skin - radius[0])
    made = [centre + rays * reach[:, None] for reach in (radius[0], skull, skin)]
    return np.stack(made), centre + factor * (scalp - centre)
