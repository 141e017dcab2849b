"""Estimates as plain arrays: MATLAB's ``.mat`` and NumPy's ``.npz``, with the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from majorant.exports.material import Material, Sidecar

__all__ = ["write_mat", "write_npz"]

SAID = {
    "estimate": "n_vertices x n_times",
    "times": "s",
    "vertices_lh, vertices_rh": "vertex numbers of the subject's surfaces, from 0",
    "mni": "n_locations x 3, MNI152, mm",
    "names": "region of every location, without its side, or none",
    "unit": "of the estimate",
    "regions, region_names": "n_regions x n_region_times, where regions were asked for",
    "region_times": "s",
}


def write_mat(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``estimate.mat``."""
    from scipy.io import savemat

    held = _arrays(material)
    for name in ("names", "region_names"):
        if name in held:
            # Cells of text.
            held[name] = np.array(held[name], dtype=object)
    savemat(folder / "estimate.mat", held, do_compression=True)
    return {"estimate.mat": material.about("Arrays for MATLAB.", Columns=SAID)}


def write_npz(material: Material, folder: Path) -> dict[str, Sidecar]:
    """Write ``estimate.npz``; it opens with ``allow_pickle=False``."""
    np.savez_compressed(folder / "estimate.npz", **_arrays(material))
    return {"estimate.npz": material.about("Arrays for NumPy.", Columns=SAID)}


def _arrays(material: Material) -> dict[str, Any]:
    stc, content = material.stc, material.content
    held: dict[str, Any] = {
        "estimate": np.asarray(stc.data),
        "times": np.asarray(stc.times),
        "mni": material.places.mni,
        "hemisphere": material.places.hemisphere,
        "unit": material.unit,
        "subject": material.subject,
        "solver": content.solver["name"],
    }
    if material.kind in ("surface", "regions"):
        held |= {"vertices_lh": stc.vertices[0], "vertices_rh": stc.vertices[1]}
    if content.sources.names is not None:
        held["names"] = np.array([name or "none" for name in content.sources.names])
    if material.courses is not None:
        held["regions"] = material.courses.data
        held["region_names"] = np.array(material.courses.names)
        held["region_times"] = material.courses.times
    return held
