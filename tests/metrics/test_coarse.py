"""The quick earth mover's distance lies near the exact one, and its bounds around it."""

from __future__ import annotations

import numpy as np
import pytest

from majorant.metrics.coarse import CoarseCells, Distant
from majorant.metrics.transport import earth_mover


@pytest.fixture(scope="module")
def cells() -> CoarseCells:
    """A bumpy sheet of 14 x 14 cm, a vertex every 3.5 mm."""
    i, j = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    z = 0.01 * np.sin(0.4 * i) * np.cos(0.3 * j)
    return CoarseCells.of(np.stack([0.0035 * i, 0.0035 * j, z], axis=-1).reshape(-1, 3))


def _maps(cells: CoarseCells, seed: int, smooth: bool) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    places = cells.positions
    truth = np.zeros(len(places))
    for centre in rng.integers(len(places), size=2):
        truth += (np.linalg.norm(places - places[centre], axis=1) < 0.009) * rng.uniform(0.4, 1)
    if smooth:
        centre = places[rng.integers(len(places))]
        found = np.exp(-(np.linalg.norm(places - centre, axis=1) / 0.04)) + 0.02
    else:
        found = np.zeros(len(places))
        found[rng.integers(len(places), size=30)] = rng.uniform(size=30)
    return truth, found


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_exact_distance_lies_between_the_bounds_and_near_the_quick_one(
    cells: CoarseCells, seed: int, smooth: bool
) -> None:
    truth, found = _maps(cells, seed, smooth)
    inside = truth > 0
    cost = 1e3 * np.linalg.norm(cells.positions[inside][:, None] - cells.positions, axis=2)
    exact = earth_mover(truth[inside], found, cost)
    quick = Distant(cells, truth)
    lower, upper = quick.bounds(found)
    assert lower <= exact + 1e-6
    assert exact <= upper + 1e-6
    assert upper - lower < 3.0
    assert abs(quick.distance(found) - exact) < 0.8


def test_a_map_is_nowhere_near_itself_but_at_it(cells: CoarseCells) -> None:
    truth, _ = _maps(cells, 4, True)
    quick = Distant(cells, truth)
    assert quick.distance(truth) < 4.0
    assert quick.bounds(truth)[0] == pytest.approx(0.0, abs=1e-6)
    assert quick.distance(7.0 * truth) == pytest.approx(quick.distance(truth))


def test_a_map_of_zeros_counts_as_uniform(cells: CoarseCells) -> None:
    truth, _ = _maps(cells, 5, True)
    quick = Distant(cells, truth)
    assert quick.distance(np.zeros_like(truth)) == quick.distance(np.ones_like(truth))
