"""An MEG lead field as arrays: magnetometers around a sphere, in closed form.

102 radial magnetometers on a helmet see current dipoles on the cortex of the template. In a sphere
the radial field does not depend on conductivities: it is that of the dipole alone,

    B_r = mu_0 / (4 pi) (r_q x p) . s / (|s| |s - r_q|^3).

Radial dipoles are silent. The generating head has moved sensors and a mesh four times denser.

Source: Sarvas (1987), doi:10.1088/0031-9155/32/1/004, the radial component of equation 25.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from majorant.forward.leadfield import Leadfield
from majorant.forward.template import template_leadfield
from majorant.head.sparse import COARSE, DENSE, TEST

N_SENSORS, RADIUS_MM, MOVED_MM = 102, 125.0, 3.0
MU = 1e-7
"""``mu_0 / 4 pi``, T m / A."""


def meg_heads(seed: int = 0) -> tuple[Leadfield, Leadfield]:
    """Build the inverting and the generating lead field, T/(A m).

    Parameters
    ----------
    seed : int
        Of the movement of the sensors.
    """
    meshes = [template_leadfield(TEST.montage, space=s, fixed=True) for s in (COARSE, DENSE)]
    places = meshes[0].positions.numpy()
    centre = 0.5 * (places.max(axis=0) + places.min(axis=0))
    sensors = 1e-3 * RADIUS_MM * helmet()
    moved = sensors + 1e-3 * MOVED_MM * np.random.default_rng(seed).standard_normal(sensors.shape)
    first, last = (
        _lead(mesh, centre, at) for mesh, at in zip(meshes, (sensors, moved), strict=True)
    )
    return first, last


def helmet() -> NDArray[np.float64]:
    """Directions spread evenly over the upper part of a sphere, shape (102, 3)."""
    k = np.arange(N_SENSORS) + 0.5
    height = 1.0 - 1.25 * k / N_SENSORS
    around = np.pi * (1.0 + 5.0**0.5) * k
    flat = np.sqrt(1.0 - height**2)
    return np.c_[flat * np.cos(around), flat * np.sin(around), height]


def _lead(mesh: Leadfield, centre: NDArray[np.float64], sensors: NDArray[np.float64]) -> Leadfield:
    """Radial fields of the mesh's dipoles along their normals."""
    places, normals = mesh.positions.numpy() - centre, mesh.normals.numpy()
    turned = np.cross(places, normals)
    apart = np.linalg.norm(sensors[:, None] - places[None], axis=2)
    size = np.linalg.norm(sensors, axis=1, keepdims=True)
    gain = MU * (sensors @ turned.T) / (size * apart**3)
    return Leadfield.from_arrays(
        torch.as_tensor(gain),
        positions=mesh.positions,
        normals=mesh.normals,
        edges=mesh.edges,
        hemisphere=mesh.hemisphere,
        vertices=mesh.vertices,
    )
