"""Heads that tests share, and a cache that is not the user's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import ConvexHull

from majorant.forward.leadfield import Leadfield


@pytest.fixture(scope="session", autouse=True)
def cached(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache of the template that all processes of a run share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / "template-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MAJORANT_CACHE", str(folder))
        yield folder


def _spiral(n: int, height: float) -> np.ndarray:
    """Spread n points evenly over the unit sphere, down from the pole by ``height``."""
    k = np.arange(n) + 0.5
    polar, azimuth = np.arccos(1 - height * k / n), np.pi * (1 + 5**0.5) * k
    return np.c_[np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)]


@pytest.fixture(scope="session")
def sphere() -> Leadfield:
    """300 locations on a sphere of 8 cm, seen by 40 electrodes above it as by a charge pair."""
    places, electrodes = _spiral(300, 2.0), 1.15 * _spiral(40, 1.2)
    triangles = ConvexHull(places).simplices
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [0, 2]]])
    apart = electrodes[:, None] - places[None]
    gain = (apart * places[None]).sum(-1) / np.linalg.norm(apart, axis=-1) ** 3
    return Leadfield.from_arrays(gain, positions=0.08 * places, normals=places, edges=edges)


@pytest.fixture(scope="session")
def path() -> Leadfield:
    """Ten locations in a row, 10 mm apart, seen by six sensors."""
    places = torch.zeros(10, 3, dtype=torch.float64)
    places[:, 0] = 0.01 * torch.arange(10, dtype=torch.float64)
    gain = torch.randn(6, 10, generator=torch.Generator().manual_seed(0))
    edges = torch.stack([torch.arange(9), torch.arange(1, 10)], dim=1)
    return Leadfield.from_arrays(gain, positions=places, edges=edges)


@pytest.fixture(scope="session")
def template() -> Leadfield:
    """The packaged head: 994 regions, 90 electrodes."""
    return Leadfield.template_small()
