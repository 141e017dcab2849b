"""The template head for the electrodes of a recording, dressed as an `mne.Forward`.

So what is computed here and what MNE computes start from the same object, and `forward_` of an
imager can be handed to any function of MNE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from majorant.forward.electrodes import Alignment
from majorant.forward.leadfield import Leadfield
from majorant.problem import MajorantError
from majorant.recording.system import measured_fiducials

__all__ = ["TemplateForward", "dressed", "electrode_places", "template_forward"]


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
    """

    forward: Any
    leadfield: Leadfield
    alignment: Alignment


def template_forward(
    info: Any, space: str = "ico4", progress: Callable[[str], None] | None = None
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

    Raises
    ------
    MajorantError
        If there are no EEG channels, or they have no positions.
    """
    from majorant.forward.template import template_alignment, template_leadfield

    places, fiducials = electrode_places(info)
    leadfield = template_leadfield(places, space=space, fiducials=fiducials, progress=progress)
    alignment = template_alignment(places, fiducials=fiducials, progress=progress)
    return TemplateForward(dressed(leadfield, info), leadfield, alignment)


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


def dressed(leadfield: Leadfield, info: Any) -> Any:
    """Dress a lead field on the template as an `mne.Forward` in MRI coordinates."""
    import mne
    from mne.io.constants import FIFF

    fixed = leadfield.n_orient == 1
    src = _discrete_space(leadfield) if leadfield.kind == "regions" else _surface_space(leadfield)
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
