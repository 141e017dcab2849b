"""Numbers that depend on key and position only, and look random."""

from __future__ import annotations

import math

import pytest
import torch

from majorant.simulate import noise, streams
from majorant.simulate.waveforms import GaussianSettings, draw_gaussians, gaussians


def keys(n: int) -> torch.Tensor:
    return streams.keys(333, torch.arange(n), 0)


def test_the_hash_is_splitmix64() -> None:
    # First outputs of the published generator for the seed 1234567.
    key = torch.tensor([1234567])
    found = [int(z) & (2**64 - 1) for z in streams.bits(key, 3)[0]]
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_keys_differ_in_every_word() -> None:
    index = torch.arange(1000)
    every = [streams.keys(s, index, a, b) for s in (0, 1, -1) for a in (0, 1) for b in (0, 1)]
    every += [streams.fork(streams.keys(0, index), w) for w in range(3)]
    assert len(torch.unique(torch.cat(every))) == 15_000


def test_normal_numbers_have_the_moments_of_a_gaussian_and_do_not_correlate() -> None:
    z = streams.normal(keys(400), (40, 51), torch.float64)
    n = z.numel()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float((z**power).mean()) - moment) < 5 * math.sqrt(variance / n)
    flat = z.flatten(1)
    for a, b in (
        (flat[:, 1:], flat[:, :-1]),
        (flat[1:], flat[:-1]),
        (flat[:, :1020], flat[:, 1020:]),
    ):
        assert abs(float((a * b).mean())) < 5 / math.sqrt(a.numel())


def test_single_and_double_precision_draw_the_same_numbers() -> None:
    single, double = (streams.normal(keys(20), (7, 5), t) for t in (torch.float32, torch.float64))
    assert torch.allclose(single.double(), double, atol=2e-4)


def test_uniform_numbers_fill_the_half_open_interval() -> None:
    u = streams.uniform(keys(1000), 100)
    assert float(u.min()) > 0
    assert float(u.max()) <= 1
    assert float(u.mean()) == pytest.approx(0.5, abs=5 / math.sqrt(12 * u.numel()))


@pytest.mark.parametrize("snr_db", [-10.0, 0.0, 5.0, 37.5])
def test_the_signal_to_noise_ratio_is_exact(snr_db: float) -> None:
    signal = (
        streams.normal(keys(8), (9, 11), torch.float64) * torch.logspace(-9, 9, 8)[:, None, None]
    )
    drawn = noise.white(streams.fork(keys(8), 1), 9, 11, torch.float64)
    scaled = noise.at_snr(signal, drawn, snr_db)
    ratio = signal.flatten(1).norm(dim=1) / scaled.flatten(1).norm(dim=1)
    assert torch.allclose(20 * ratio.log10(), torch.full((8,), snr_db, dtype=ratio.dtype))


def test_waveforms_are_whole_milliseconds_in_the_range_and_peak_at_their_centre() -> None:
    settings = GaussianSettings()
    width, centre = draw_gaussians(keys(20_000), settings)
    assert width.unique().tolist() == [50.0, 51.0]
    assert centre.unique().tolist() == [float(c) for c in range(13, 113)]
    wave = gaussians(width, centre, settings, torch.float64)
    assert wave.shape == (20_000, 64)
    nearest = (torch.arange(64) * 1000 / 512 - centre[:, None].double()).abs().argmin(dim=1)
    assert torch.equal(wave.argmax(dim=1), nearest)


def test_a_waveform_is_its_formula() -> None:
    settings = GaussianSettings()
    wave = gaussians(torch.tensor([50.0]), torch.tensor([62.5]), settings, torch.float64)[0]
    assert float(wave[32]) == 1.0
    tau, offset = 50 / 6, 10 * 1000 / 512
    assert float(wave[42]) == pytest.approx(math.exp(-(offset**2) / (2 * tau**2)), rel=1e-12)
