"""The exact earth mover's distance in training: its value, its gradient, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from majorant.metrics.transport import earth_mover
from majorant.training.ground import Ground


@pytest.fixture(scope="module")
def ground() -> Ground:
    places = torch.rand(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Ground.of(0.1 * places, (5.0,))


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    real = torch.rand(3, 40, generator=draw, dtype=torch.float64) ** 4 + 0.01
    return real, torch.rand(3, 40, generator=draw, dtype=torch.float64) + 0.05


def test_it_is_the_distance_that_solvers_are_judged_by(ground, maps):
    found = ground.moved_cm(*maps)
    ways = ground.ways_cm.numpy()
    for real, other, value in zip(*maps, found, strict=True):
        assert float(value) == pytest.approx(earth_mover(real.numpy(), other.numpy(), ways))


def test_its_gradient_is_that_of_the_distance(ground, maps):
    real, found = maps
    found.requires_grad_()
    ground.moved_cm(real, found).sum().backward()
    for k in (0, 7, 33):
        step = torch.zeros_like(real)
        step[:, k] = 1e-5
        with torch.no_grad():
            slope = (
                ground.moved_cm(real, found + step) - ground.moved_cm(real, found - step)
            ) / 2e-5
        torch.testing.assert_close(found.grad[:, k], slope, rtol=1e-4, atol=1e-6)


def test_haze_below_what_is_moved_has_a_gradient_too(ground):
    real = torch.full((1, 40), 1e-9, dtype=torch.float64)
    real[0, 3] = 1.0
    found = real.clone().requires_grad_()
    ground.moved_cm(real, found).sum().backward()
    far = int(ground.ways_cm[3].argmax())
    assert found.grad[0, far] - found.grad[0, 3] == pytest.approx(float(ground.ways_cm[3, far]))


def test_a_map_that_is_not_finite_gives_nan_and_no_error(ground, maps):
    real, found = maps
    found[1, 2] = torch.nan
    assert ground.moved_cm(real, found).isnan().tolist() == [False, True, False]
