"""A small head for audits: a sphere that makes the data and is believed in alike."""

from __future__ import annotations

import numpy as np
import pytest

from majorant.audit.cap import Cap
from majorant.audit.heads import AuditHead
from majorant.forward.leadfield import Leadfield
from majorant.head.places import Places


@pytest.fixture(scope="session")
def ball(sphere: Leadfield) -> AuditHead:
    """300 locations on a sphere of 8 cm, 804 cm², seen by 40 electrodes."""
    n, positions = sphere.n_locations, sphere.positions.numpy()
    side = (positions[:, 0] > 0).astype(np.int64)
    vertices = np.arange(n) * 34
    return AuditHead(
        believed=sphere,
        gain=sphere.gain,
        vertices=positions,
        edges=sphere.edges.numpy(),
        area=np.full(n, 1e4 * 4 * np.pi * 0.08**2 / n),
        home=np.arange(n),
        places=Places(1e3 * positions, side, vertices, sphere.edges.numpy(), None, True),
        depth=90.0 - 1e3 * positions[:, 2],
        depth_word="below the top",
        differs="The two heads are one.",
    )


@pytest.fixture(scope="session")
def cap(sphere: Leadfield) -> Cap:
    """Twenty of the forty electrodes."""
    generator = np.random.default_rng(0)
    away = generator.standard_normal((40, 3))
    away[:, 2] = np.abs(away[:, 2])
    places = 0.1 * away / np.linalg.norm(away, axis=1, keepdims=True)
    return Cap("<b>odd</b> cap", sphere.ch_names, places, 20, 40)
