"""Time courses: stable, of unit power, and the same in every batch."""

from __future__ import annotations

import pytest
import torch

from majorant.problem import MajorantError
from majorant.simulate import streams
from majorant.simulate.timecourses import ORDER, ar_models, courses


def draw(n: int = 200, **options) -> torch.Tensor:
    key = streams.keys(1, torch.arange(n))
    return courses(key, options.pop("n_times", 50), options.pop("sfreq", 100.0), **options)


@pytest.mark.parametrize("kind", ["ar", "pink", "erp"])
@pytest.mark.parametrize("n_times", [1, 20, 100])
def test_root_mean_square_is_one(kind, n_times):
    drawn = draw(kinds=(kind,), n_times=n_times)
    assert drawn.shape == (200, n_times)
    torch.testing.assert_close(drawn.square().mean(1), torch.ones(200), rtol=1e-4, atol=1e-4)


def test_models_oscillate_and_are_stable():
    companion = torch.diag_embed(torch.ones(256, ORDER - 1), offset=-1)
    companion[:, 0] = ar_models()
    radius = torch.linalg.eigvals(companion).abs().amax(1)
    assert bool(((radius > 0.899) & (radius < 1.001)).all())


def test_pink_power_falls_as_one_over_frequency():
    drawn = draw(400, kinds=("pink",), n_times=128)
    power = torch.fft.rfft(drawn).abs().square().mean(0)
    slope = (power[32] / power[4]).log() / torch.tensor(8.0).log()
    assert float(slope) == pytest.approx(-1.0, abs=0.25)


def test_bursts_are_slow():
    drawn = draw(kinds=("erp",), n_times=100)
    power = torch.fft.rfft(drawn).abs().square().mean(0)
    assert float(power[:8].sum() / power.sum()) > 0.97


def test_a_course_does_not_depend_on_its_mates():
    key = streams.keys(1, torch.arange(20))
    assert torch.equal(courses(key, 50, 100.0)[7:8], courses(key[7:8], 50, 100.0))


def test_no_global_generator_is_touched():
    before = torch.get_rng_state()
    draw()
    assert torch.equal(before, torch.get_rng_state())


def test_what_makes_no_sense_is_refused():
    with pytest.raises(MajorantError, match="choose from ar, pink, erp"):
        draw(kinds=("square",))
    with pytest.raises(MajorantError, match="0 samples"):
        draw(n_times=0)
