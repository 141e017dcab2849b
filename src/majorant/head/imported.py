"""Lead fields of other tools on our regions and for our recordings."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from scipy.spatial import KDTree

from majorant.account import Account
from majorant.forward.cortex import MNI305_TO_MNI152
from majorant.forward.leadfield import Leadfield
from majorant.forward.template import template_parcels, template_surfaces
from majorant.head.registration import mean_columns
from majorant.problem import MajorantError
from majorant.registry import SolverSpec

__all__ = ["of_recording", "regions_by_position"]

FAR = 0.015
"""Metres: sources farther from the template's cortex belong to no region."""


def regions_by_position(leadfield: Leadfield) -> tuple[Leadfield, str]:
    """Carry a lead field whose cortex is in MNI space over to the template's 994 regions.

    A source belongs to the region of the vertex of the template's mid surface that is nearest to
    it in its own hemisphere; a region's column is the mean of its sources' columns along their
    normals, times the number of vertices that a region has on fsaverage5, as in
    :mod:`majorant.head.registration`.

    Parameters
    ----------
    leadfield : Leadfield
        Positions in MNI152, metres; with normals where orientation is free.

    Returns
    -------
    Leadfield
        Of kind "regions", with positions, neighbours and regions of the template.
    str
        What was done, a sentence.

    Raises
    ------
    MajorantError
        If the lead field has no normals to go by, or lies elsewhere.
    """
    if leadfield.n_orient == 3 and float(leadfield.normals.std(dim=0).max()) < 1e-6:
        raise MajorantError(
            "regions are made of dipoles along the cortex's normals, and the file has neither "
            "normals nor a mesh; give a lead field of a cortical surface"
        )
    affine = np.array(MNI305_TO_MNI152)
    millimetres = 1e3 * leadfield.positions.numpy() - affine[:3, 3]
    places = 1e-3 * millimetres @ np.linalg.inv(affine[:3, :3]).T
    surfaces, parcels = template_surfaces(), template_parcels().numpy()
    labels, apart = np.full(len(places), -1), np.full(len(places), np.inf)
    for side in range(2):
        mine = places[:, 0] < 0 if side == 0 else places[:, 0] >= 0
        distance, index = KDTree(surfaces.mid[side].astype(np.float64)).query(places[mine])
        labels[mine] = np.where(distance < FAR, parcels[side][index], -1)
        apart[mine] = distance
    kept = labels >= 0
    if kept.mean() < 0.5:
        raise MajorantError(
            f"{int((~kept).sum()):,} of {len(kept):,} sources lie off the template's cortex "
            f"(median {1e3 * float(np.median(apart)):.0f} mm): the file is not in MNI space"
        )
    fixed = leadfield.fixed()
    gain, lonely = mean_columns(fixed.gain.numpy(), labels, np.ones(len(labels)), places)
    regions = dataclasses.replace(
        Leadfield.template_small(), gain=torch.from_numpy(gain), ch_names=leadfield.ch_names
    )
    sentence = (
        f"The 994 regions were made by position in MNI space: {int(kept.sum()):,} of "
        f"{len(kept):,} sources belong to one"
    )
    sentence += f"; {lonely} regions without a source took the nearest one." if lonely else "."
    return regions, sentence


def of_recording(
    leadfield: Leadfield, info: Any, solver: SolverSpec, space: str, account: Account
) -> Leadfield:
    """Return the rows of a lead field that a recording has.

    Parameters
    ----------
    leadfield : Leadfield
    info : mne.Info
    solver : SolverSpec
        Who asks.
    space : str
        Source space that was asked for.
    account : Account
        Is told what is left out.

    Raises
    ------
    MajorantError
        If fewer than eight electrodes are common, or regions are asked of single sources.
    """
    if leadfield.kind != "regions" and (space == "regions" or solver.abilities.space == "regions"):
        raise MajorantError(
            f"{solver.title} images regions, and the lead field is one of single sources; carry it "
            "over with `majorant head --import FILE --regions`"
        )
    listed = {name.casefold() for name in leadfield.ch_names}
    names = [name for name in info["ch_names"] if name.casefold() in listed]
    if len(names) < min(8, leadfield.n_sensors):
        raise MajorantError(
            f"the lead field ({', '.join(leadfield.ch_names[:4])}, ...) and the recording "
            f"({', '.join(info['ch_names'][:4])}, ...) have {len(names)} electrodes in common; "
            "rename the channels of one of them"
        )
    lost = [name for name in info["ch_names"] if name.casefold() not in listed]
    if lost:
        account.note(f"Left out, for the lead field lacks them: {', '.join(lost)}.")
    return leadfield.pick(names)
