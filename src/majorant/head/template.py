"""The template head for the electrodes of a recording, dressed as an `mne.Forward`.

So what is computed here and what MNE computes start from the same object, and `forward_` of an
imager can be handed to any function of MNE.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.forward.ages import ADULT, HeadOfAge, head_at
from majorant.forward.bank import HeadBank
from majorant.forward.electrodes import Alignment
from majorant.forward.leadfield import Leadfield
from majorant.forward.shells import thicker
from majorant.head.elsewhere import template_heads_around
from majorant.problem import MajorantError
from majorant.recording.system import measured_fiducials

__all__ = [
    "TemplateForward",
    "child_of",
    "digitised",
    "dressed",
    "electrode_places",
    "head_scale",
    "shape_points",
    "template_forward",
]

FEWEST_TO_WARP = 32
"""Electrodes and further points from which the template is warped unless told otherwise."""
DRAWN_MM = 0.5
"""Electrodes that lie this near to a standard montage, up to turn and size, were not measured."""


@dataclass(frozen=True, eq=False)
class TemplateForward:
    """The template as MNE would have made it.

    Attributes
    ----------
    forward : mne.Forward
        Vertices: free orientation. Regions: fixed, as a discrete source space.
    leadfield : Leadfield
    alignment : Alignment
        How the electrodes came to lie on the template's scalp.
    around : callable
        Gives the bank of heads around this one (`majorant.forward.bank`), at the size of the
        template, or of the person where it was warped.
    """

    forward: Any
    leadfield: Leadfield
    alignment: Alignment
    around: Callable[[], HeadBank]


def template_forward(
    info: Any,
    space: str = "ico4",
    progress: Callable[[str], None] | None = None,
    *,
    head: str = "template",
    circumference: float | None = None,
    skull: float | None = None,
    age: float | None = None,
) -> TemplateForward:
    """Compute the lead field of the electrodes of `info` on the template head.

    Parameters
    ----------
    info : mne.Info
        EEG channels with positions; fiducials are used where the file has them.
    space : str
        "ico5", "ico4", "ico3", "oct6", "oct5", "oct4", or "regions" (the 994).
    progress : callable, optional
        Called with a line of text for every step that takes time.
    head : {"template", "warped", "auto"}
        The template as it stands, or warped to electrodes, fiducials and points of the head's
        shape; "auto" warps where these were measured (`digitised`).
    circumference : float, optional
        Of the head, cm: scales a template that is not warped. Potentials fall with the square of
        the size; topographies stay.
    skull : float, optional
        Its conductivity, S/m; 0.006 by default, as in MNE.
    age : float, optional
        Years: below 18, size, thickness and conductivity of the skull that were not given are those
        of the age (`majorant.forward.ages`).

    Raises
    ------
    MajorantError
        If there are no EEG channels, they have no positions, or a warp is asked for without
        fiducials.
    """
    from majorant.forward.template import CONDUCTIVITY, aligned_leadfield

    places, fiducials = electrode_places(info)
    child = child_of(age)
    if skull is None and child is not None:
        skull = child.skull
    layers = CONDUCTIVITY if skull is None else (CONDUCTIVITY[0], checked(skull), CONDUCTIVITY[2])
    if head == "warped" and not _measured(fiducials):
        raise MajorantError(
            "the template is warped by fiducials and electrodes, and the recording has no "
            "fiducials; give them with the montage, or take --head template"
        )
    if head == "warped" or (head == "auto" and digitised(info)):
        from majorant.forward.template_warp import warped_leadfield

        assert fiducials is not None
        lead, alignment = warped_leadfield(
            places,
            fiducials,
            shape_points(info),
            space=space,
            skull=layers[1],
            thickness=1.0 if child is None else child.share,
            progress=progress,
        )
        alignment = dataclasses.replace(alignment, age=age)
        around = partial(_warped_bank, info, layers[1], child, progress)
        return TemplateForward(dressed(lead, info), lead, alignment, around)
    if circumference is None and child is not None:
        circumference = child.circumference
    parts: Any = {"fiducials": fiducials, "conductivity": layers, "progress": progress}
    if child is not None and circumference is not None:
        # What follows is at the template's size.
        parts["thickness"] = child.share / head_scale(circumference)
    leadfield, alignment = aligned_leadfield(places, space=space, **parts)
    if circumference is not None:
        factor = head_scale(circumference)
        leadfield = dataclasses.replace(leadfield, gain=leadfield.gain / factor**2)
        alignment = dataclasses.replace(alignment, size=factor, age=age)
    around = partial(
        template_heads_around,
        alignment.ch_names,
        alignment.positions,
        skull,
        parts.get("thickness", 1.0),
        progress,
    )
    return TemplateForward(dressed(leadfield, info), leadfield, alignment, around)


def _warped_bank(
    info: Any, skull: float, child: HeadOfAge | None, progress: Callable[[str], None] | None
) -> HeadBank:
    """The bank around the template warped to what was digitised."""
    from majorant.forward.template_warp import warp_template

    places, fiducials = electrode_places(info)
    assert fiducials is not None
    head = warp_template(places, fiducials, shape_points(info), progress=progress)
    person = head.person
    if child is not None:
        size = head.alignment.size or 1.0
        person = dataclasses.replace(person, shells=thicker(person.shells, child.share / size))
    names = head.alignment.ch_names
    return HeadBank(person, names, head.electrodes, skull=skull, progress=progress)


def child_of(age: float | None) -> HeadOfAge | None:
    """The typical head of an age (years); None for grown-ups, and where no age was said."""
    return None if age is None or age >= ADULT else head_at(age)


def electrode_places(
    info: Any,
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]] | None]:
    """Positions of the EEG channels and measured fiducials, head frame, metres."""
    import mne

    picks = mne.pick_types(info, meg=False, eeg=True, exclude="bads")
    if len(picks) == 0:
        raise MajorantError("there are no EEG channels to place on the template head")
    places = {info["ch_names"][i]: np.array(info["chs"][i]["loc"][:3], float) for i in picks}
    return places, measured_fiducials(info)


def checked(skull: float) -> float:
    """Return a conductivity of the skull, S/m, if it may be one.

    Raises
    ------
    MajorantError
        If it is none of bone, or more than the boundary elements take.
    """
    if not 1e-3 <= skull <= 0.03:
        raise MajorantError(
            f"a skull of {skull:g} S/m was asked for; expected 0.001 to 0.03 (adults: 0.004 to "
            "0.02, children more)"
        )
    return skull


def head_scale(circumference: float) -> float:
    """How many times as large as the template a head of some circumference (cm) is.

    Raises
    ------
    MajorantError
        If it is none of a head.
    """
    from majorant.forward.template import template_head
    from majorant.forward.warp import circumference as measured

    own = template_head()
    factor = 1e-2 * circumference / measured(own.scalp, own.scalp_faces)
    if not 0.5 < factor < 1.5:
        raise MajorantError(
            f"a circumference of {circumference:g} cm is none of a head; give it in cm, about 56 "
            "for an adult"
        )
    return factor


def shape_points(info: Any) -> NDArray[np.float64]:
    """Further digitised points of the head's shape, head frame, metres, (n_points, 3)."""
    from mne.io.constants import FIFF

    kind = FIFF.FIFFV_POINT_EXTRA
    points = [np.array(p["r"], float) for p in info["dig"] or () if p["kind"] == kind]
    return np.array(points).reshape(-1, 3)


def digitised(info: Any) -> bool:
    """Whether electrodes were measured on this head: enough points, and no montage's drawing.

    Three fiducials and, electrodes and further points together, 32 points are asked for.
    Electrodes whose names and places are those of a standard montage, up to turn and size, say
    nothing of a person.
    """
    places, fiducials = electrode_places(info)
    if not _measured(fiducials) or len(places) + len(shape_points(info)) < FEWEST_TO_WARP:
        return False
    return not _drawn(places)


def _measured(fiducials: dict[str, NDArray[np.float64]] | None) -> bool:
    """Whether there are fiducials, and not those that MNE makes up (all at one distance)."""
    if fiducials is None:
        return False
    radius = np.linalg.norm(list(fiducials.values()), axis=1)
    return bool(radius.std() > 1e-3 * radius.mean())


def _drawn(places: dict[str, NDArray[np.float64]]) -> bool:
    """Whether places are those of one of MNE's montages, up to turn, shift and size."""
    import mne

    folded = {name.casefold(): place for name, place in places.items()}
    for name in mne.channels.get_builtin_montages():
        listed = mne.channels.make_standard_montage(name).get_positions()["ch_pos"]
        common = [(folded[k.casefold()], v) for k, v in listed.items() if k.casefold() in folded]
        if len(common) < max(4, 0.8 * len(folded)):
            continue
        ours, theirs = (np.array(part, float) for part in zip(*common, strict=True))
        if _misfit(ours, theirs) < 1e-3 * DRAWN_MM:
            return True
    return False


def _misfit(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Median distance of points after the best similarity (Umeyama, 1991), metres."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    u, s, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    size = float((s * sign).sum() / max((b**2).sum(), 1e-12))
    turned = size * b @ (u * sign) @ vt
    return float(np.median(np.linalg.norm(turned - a, axis=1)))


def dressed(leadfield: Leadfield, info: Any) -> Any:
    """Dress a lead field on the template as an `mne.Forward` in MRI coordinates."""
    import mne
    from mne.io.constants import FIFF

    fixed = leadfield.n_orient == 1
    on_cortex = leadfield.kind == "vertices" and leadfield.subject == "fsaverage"
    src = _surface_space(leadfield) if on_cortex else _discrete_space(leadfield)
    gain = leadfield.gain.numpy().copy()
    names, normals = list(leadfield.ch_names), leadfield.normals.numpy()
    picked = mne.pick_info(info, [info["ch_names"].index(name) for name in names])
    n = leadfield.n_locations
    parts = {
        "sol": _named(gain, names),
        "sol_grad": None,
        "source_ori": FIFF.FIFFV_MNE_FIXED_ORI if fixed else FIFF.FIFFV_MNE_FREE_ORI,
        "surf_ori": fixed,
        "coord_frame": FIFF.FIFFV_COORD_MRI,
        "mri_head_t": mne.transforms.Transform("mri", "head"),
        "src": src,
        "source_rr": leadfield.positions.numpy().copy(),
        "source_nn": normals.copy() if fixed else np.tile(np.eye(3), (n, 1)),
        "nsource": n,
        "nchan": len(names),
        "info": picked,
        "_orig_sol": gain.copy(),
        "_orig_source_ori": FIFF.FIFFV_MNE_FIXED_ORI if fixed else FIFF.FIFFV_MNE_FREE_ORI,
        "_orig_sol_grad": None,
    }
    with picked._unlock():
        # What mne.write_forward_solution writes of a measurement and an MRI.
        picked["mri_file"] = picked["meas_file"] = picked["command_line"] = ""
        picked["mri_id"] = picked["meas_id"] = None
        picked["working_dir"] = ""
        picked["mri_head_t"] = mne.transforms.Transform("mri", "head")
    return mne.Forward(parts)


def _named(gain: NDArray[np.float64], names: Sequence[str]) -> dict[str, Any]:
    rows, columns = gain.shape
    return {
        "data": gain,
        "row_names": list(names),
        "col_names": [],
        "nrow": rows,
        "ncol": columns,
    }


def _surface_space(leadfield: Leadfield) -> Any:
    import mne

    from majorant.forward.template import template_surfaces

    surfaces = template_surfaces()
    spaces = []
    for side in range(2):
        chosen = (leadfield.hemisphere == side).nonzero().flatten()
        used = leadfield.vertices[chosen].numpy()
        places = surfaces.pial[side].astype(np.float64)
        places[used] = leadfield.positions[chosen].numpy()
        space = _space(places, surfaces.normals[side], used, 101 + side, leadfield.subject)
        space.update(type="surf", tris=surfaces.faces[side], ntri=len(surfaces.faces[side]))
        spaces.append(space)
    return mne.SourceSpaces(spaces)


def template_space(vertices: Sequence[NDArray[np.int64]]) -> Any:
    """Source space of some vertices of the template's pial surface, left and right.

    Parameters
    ----------
    vertices : pair of array of int
        Numbers on fsaverage5.

    Returns
    -------
    mne.SourceSpaces
    """
    import mne

    from majorant.forward.template import template_surfaces

    surfaces, spaces = template_surfaces(), []
    for side, used in enumerate(vertices):
        places = surfaces.pial[side].astype(np.float64)
        space = _space(places, surfaces.normals[side], used, 101 + side, "fsaverage")
        space.update(type="surf", tris=surfaces.faces[side], ntri=len(surfaces.faces[side]))
        spaces.append(space)
    return mne.SourceSpaces(spaces)


def _discrete_space(leadfield: Leadfield) -> Any:
    import mne

    n = leadfield.n_locations
    space = _space(
        leadfield.positions.numpy(), leadfield.normals.numpy(), np.arange(n), 0, leadfield.subject
    )
    space.update(type="discrete", tris=np.empty((0, 3), int), ntri=0)
    return mne.SourceSpaces([space])


def _space(
    places: NDArray[np.float64],
    normals: NDArray[np.float64],
    used: NDArray[np.int64],
    ident: int,
    subject: str,
) -> dict[str, Any]:
    from mne.io.constants import FIFF

    inuse = np.zeros(len(places), int)
    inuse[used] = 1
    return {
        "id": ident,
        "np": len(places),
        "coord_frame": np.int32(FIFF.FIFFV_COORD_MRI),
        "rr": np.array(places, float),
        "nn": np.array(normals, float),
        "inuse": inuse,
        "nuse": len(used),
        "vertno": np.array(used, int),
        "nuse_tri": 0,
        "use_tris": np.empty((0, 3), int),
        "nearest": None,
        "nearest_dist": None,
        "pinfo": None,
        "patch_inds": None,
        "dist": None,
        "dist_limit": None,
        "subject_his_id": subject,
    }
