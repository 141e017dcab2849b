"""Noise: few samples make a usable covariance, and `nave` divides once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant.imager.imager import SourceImager
from majorant.problem import MajorantError
from majorant.recording.file import load_recording
from majorant.recording.noise import check_covariance, independent_samples, shrink
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation


def test_independent_samples_of_white_noise_are_all_of_them() -> None:
    white = np.random.default_rng(0).standard_normal((40, 30, 100))
    assert independent_samples(white) == pytest.approx(4000, rel=0.1)


def test_repeating_every_sample_does_not_make_more_of_them() -> None:
    white = np.random.default_rng(0).standard_normal((40, 30, 100))
    repeated = np.repeat(white, 5, axis=2)
    # Each sample five times over: rho = 1, .8, .6, .4, .2, so n / sum rho^2 = 500 / 3.4 a trial.
    assert independent_samples(repeated) == pytest.approx(40 * 500 / 3.4, rel=0.1)


def test_shrinkage_vanishes_with_samples_and_keeps_the_trace() -> None:
    rng = np.random.default_rng(1)
    mixing = rng.standard_normal((20, 20))
    truth = mixing @ mixing.T
    before = 1.0
    for count in (10, 100, 10_000):
        draws = mixing @ rng.standard_normal((20, count))
        empirical = draws @ draws.T / count
        found = shrink(empirical, count)
        assert np.trace(found.matrix) == pytest.approx(np.trace(empirical))
        assert np.linalg.norm(found.matrix - truth) <= np.linalg.norm(empirical - truth) * 1.02
        assert np.linalg.eigvalsh(found.matrix)[0] > 0
        assert found.intensity < before
        before = found.intensity
    assert before < 0.01


def test_the_baseline_covariance_is_nearer_the_truth_than_the_empirical_one(
    files: dict[str, Path],
) -> None:
    found = prepare(load_recording(files["epochs"]), Preparation(event="loud+soft"))
    epochs = mne.read_epochs(files["epochs"], verbose="error").pick("eeg", verbose="error")
    epochs.set_eeg_reference("average", projection=True, verbose="error")
    epochs.apply_proj(verbose="error").apply_baseline((None, 0), verbose="error")
    theirs = mne.compute_covariance(epochs, tmax=0, verbose="error").data
    truth = (10e-6) ** 2 * (np.eye(32) - 1 / 32)
    ours = np.linalg.norm(found.noise_cov.data - truth) / np.linalg.norm(truth)
    assert ours < 0.1
    assert ours < 0.6 * np.linalg.norm(theirs - truth) / np.linalg.norm(truth)


def test_nave_divides_once(files: dict[str, Path], sphere_forward: Any) -> None:
    """White noise stays white: the whitened baseline has unit variance, whatever the file holds."""
    for kind, choice in (("raw", "1"), ("epochs", "loud"), ("averages", "0")):
        found = prepare(load_recording(files[kind]), Preparation(event=choice))
        imager = SourceImager("mne").fit(found.evoked.info, sphere_forward, found.noise_cov)
        white = imager.problem(found.evoked).y[0].numpy()
        baseline = white[:, found.evoked.times <= 0]
        centred = baseline - baseline.mean(axis=1, keepdims=True)
        n_times = centred.shape[1]
        variance = (centred**2).sum() / (len(centred) * (n_times - 1))
        assert variance == pytest.approx(1.0, rel=0.12), kind


def test_the_covariance_of_an_average_is_kept_per_trial(files: dict[str, Path]) -> None:
    found = prepare(load_recording(files["averages"]), Preparation(condition="0"))
    single = np.trace(found.noise_cov.data) / 32
    assert single == pytest.approx((10e-6) ** 2 * 31 / 32, rel=0.2)
    assert any("not divided by the number of trials again" in text for text in found.decisions)


def test_a_covariance_file_is_used_and_said(files: dict[str, Path], tmp_path: Path) -> None:
    info = load_recording(files["averages"]).info
    cov = mne.make_ad_hoc_cov(info, {"eeg": 3e-6, "eog": 1e-6}, verbose="error")
    mne.write_cov(tmp_path / "x-cov.fif", cov, verbose="error")
    settings = Preparation(condition="0", noise_cov=str(tmp_path / "x-cov.fif"))
    found = prepare(load_recording(files["averages"]), settings)
    assert found.noise_kind == "file"
    assert "Noise covariance from x-cov.fif (of single trials)." in found.decisions


@pytest.mark.parametrize("name", ["nowhere-cov.fif", "damaged-cov.fif"])
def test_a_covariance_that_cannot_be_read_is_said(
    files: dict[str, Path], tmp_path: Path, name: str
) -> None:
    (tmp_path / "damaged-cov.fif").write_bytes(b"no covariance")
    settings = Preparation(condition="0", noise_cov=str(tmp_path / name))
    with pytest.raises(MajorantError, match="noise covariance"):
        prepare(load_recording(files["averages"]), settings)


def test_a_covariance_in_microvolts_is_asked_about(
    files: dict[str, Path], averages: list[Any], tmp_path: Path
) -> None:
    place, info = tmp_path / "micro-cov.fif", averages[0].info
    mne.write_cov(place, _cov(info, 4.0 * np.eye(len(info["ch_names"]))))
    with pytest.raises(MajorantError, match="another unit"):
        prepare(load_recording(files["averages"]), Preparation(condition="0", noise_cov=str(place)))


def _cov(info: Any, matrix: np.ndarray) -> Any:
    return mne.Covariance(matrix, list(info["ch_names"]), [], [], 100)


def test_singular_zero_and_foreign_covariances_are_said(averages: list[Any]) -> None:
    info = mne.pick_info(averages[0].info, range(32))
    few = np.random.default_rng(0).standard_normal((32, 12)) * 1e-6
    with pytest.raises(MajorantError, match="singular: its rank is 12, that of the data 31"):
        check_covariance(_cov(info, few @ few.T), info, data_rank=31)
    with pytest.raises(MajorantError, match="is zero"):
        check_covariance(_cov(info, np.zeros((32, 32))), info)
    with pytest.raises(MajorantError, match="NaN"):
        check_covariance(_cov(info, np.full((32, 32), np.nan)), info)
    with pytest.raises(MajorantError, match="negative variances"):
        check_covariance(_cov(info, np.diag(np.r_[-1e-12, np.full(31, 1e-12)])), info)
    other = _cov(info, np.eye(32)).pick_channels(info["ch_names"][:20], ordered=False)
    with pytest.raises(MajorantError, match=r"lacks .*12 of 32"):
        check_covariance(other, info)
