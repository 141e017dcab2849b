"""The ratio of amplitudes: one definition, given or chosen from the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from majorant import MajorantError, SourceImager
from majorant.solvers.choice import SNR_RANGE, choose_snr


def _case(snr: float, n_times: int = 4000) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Lead field, prior, and the second moment of data of the model at a ratio."""
    generator = torch.Generator().manual_seed(1)
    gain = torch.randn(20, 60, generator=generator, dtype=torch.float64)
    gain = gain * torch.logspace(0, -2, 20, dtype=torch.float64)[:, None]
    prior = torch.rand(60, generator=generator, dtype=torch.float64) + 0.1
    covariance = (gain * prior) @ gain.mT
    scale = len(covariance) / covariance.diagonal().sum()
    x = torch.randn(60, n_times, generator=generator, dtype=torch.float64)
    y = snr * scale.sqrt() * gain @ (prior.sqrt()[:, None] * x)
    y = y + torch.randn(y.shape, generator=generator, dtype=torch.float64)
    return gain, prior, y @ y.mT / n_times


@pytest.mark.parametrize("snr", [0.5, 3.0, 12.0])
@pytest.mark.parametrize("how", ["gcv", "evidence"])
def test_the_ratio_that_made_the_data_is_found(how: Any, snr: float) -> None:
    assert choose_snr(*_case(snr), how) == pytest.approx(snr, rel=0.15)


def test_cross_validation_does_not_ask_for_the_size_of_the_noise() -> None:
    gain, prior, moment = _case(3.0)
    usual = choose_snr(gain, prior, moment, "gcv")
    assert choose_snr(gain, prior, 100 * moment, "gcv") == pytest.approx(usual, rel=1e-6)
    assert choose_snr(gain, prior, 100 * moment, "evidence") > 3 * usual


def test_silence_and_unknown_words() -> None:
    gain, prior, moment = _case(3.0)
    assert choose_snr(gain, prior, 0 * moment, "gcv") == SNR_RANGE[0]
    with pytest.raises(MajorantError, match="snr is 'best'"):
        choose_snr(gain, prior, moment, "best")  # type: ignore[arg-type]
    with pytest.raises(MajorantError, match="no sensor sees any source"):
        choose_snr(0 * gain, prior, moment, "gcv")


def test_lambda2_is_one_over_the_square_of_the_ratio(
    averages: list[Any], sphere_forward: Any
) -> None:
    evoked = averages[0].copy().pick("eeg", verbose="error")
    for snr in (1.0, 2.5):
        imager = SourceImager("mne", snr=snr).fit(evoked.info, sphere_forward)
        details = imager.solve(evoked).details
        assert details["lambda2"] == pytest.approx(1 / snr**2)
    chosen = SourceImager("mne", snr="gcv").fit(evoked.info, sphere_forward)
    stc = chosen.apply(evoked)
    assert chosen.snr_ is not None
    told = SourceImager("mne", snr=chosen.snr_).fit(evoked.info, sphere_forward)
    np.testing.assert_allclose(stc.data, told.apply(evoked).data, rtol=1e-9, atol=1e-20)


def test_a_ratio_is_chosen_from_all_data_of_a_call(
    raw: Any, epochs: Any, sphere_forward: Any
) -> None:
    data = raw.copy().crop(0, 5).pick("eeg", verbose="error")
    imager = SourceImager("dspm", snr="gcv").fit(data.info, sphere_forward)
    whole = imager.apply(data).data
    first = imager.snr_
    pieces = np.concatenate([p.data for p in imager.stream(data, chunk=90)], -1)
    assert imager.snr_ == first
    assert np.abs(pieces - whole).max() <= 1e-6 * np.abs(whole).max()
    trials = epochs.copy()[:3].pick("eeg", verbose="error")
    assert len(imager.apply(trials)) == 3
    assert imager.snr_ is not None


def test_solvers_without_a_ratio_say_who_has_one() -> None:
    with pytest.raises(MajorantError, match=r"learns its .* one of mne, dspm, sloreta, eloreta"):
        SourceImager("champagne", snr="gcv")
    with pytest.raises(MajorantError, match="snr is 'high'"):
        SourceImager("mne", snr="high")
