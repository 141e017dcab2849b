"""Baselines of the other averages of a file tell of the same noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant.recording.file import load_recording
from majorant.recording.prepare import Prepared, prepare
from majorant.recording.settings import Preparation

MIXING = np.random.default_rng(0).standard_normal((32, 32)) * 2e-6
TRUTH = MIXING @ MIXING.T
TIMES = 140


def averages(sizes: tuple[float, ...], trials: int = 6) -> list[Any]:
    """Averages of noise with one covariance a trial, each times a size."""
    montage = mne.channels.make_standard_montage("biosemi32")
    info = mne.create_info(montage.ch_names, 200.0, "eeg", verbose="error")
    info.set_montage(montage)
    rng = np.random.default_rng(1)
    return [
        mne.EvokedArray(
            size * MIXING @ rng.standard_normal((32, TIMES)) / trials**0.5,
            info,
            tmin=-0.2,
            comment=f"kind {k}",
            nave=trials,
            verbose="error",
        )
        for k, size in enumerate(sizes)
    ]


def prepared(evokeds: list[Any], folder: Path, **settings: Any) -> Prepared:
    path = folder / "kinds-ave.fif"
    mne.write_evokeds(path, evokeds, overwrite=True, verbose="error")
    return prepare(load_recording(path), Preparation(condition="kind 0", **settings))


def error(found: Prepared) -> float:
    centre = np.eye(32) - 1 / 32
    truth = centre @ TRUTH @ centre
    return float(np.linalg.norm(found.noise_cov.data - truth) / np.linalg.norm(truth))


def said(found: Prepared) -> str:
    return next(text for text in found.decisions if text.startswith("Noise covariance"))


def test_other_conditions_bring_the_covariance_nearer_the_truth(tmp_path: Path) -> None:
    alone = prepared(averages((1.0,)), tmp_path)
    pooled = prepared(averages((1.0,) * 8), tmp_path)
    assert "of 6 trials and of 7 other conditions" in said(pooled)
    assert "other condition" not in said(alone)
    assert error(pooled) < 0.6 * error(alone)


def test_numbers_of_trials_are_allowed_for(tmp_path: Path) -> None:
    few, many = averages((1.0, 1.0)), averages((1.0, 1.0), trials=24)
    found = prepared([few[0], many[1]], tmp_path)
    same = prepared(few, tmp_path)
    assert found.noise_cov.data == pytest.approx(same.noise_cov.data, rel=1e-6, abs=1e-20)


def test_averages_of_other_noise_are_left_out(tmp_path: Path) -> None:
    """As those of another person are, where a file holds several."""
    found = prepared(averages((1.0, 1.0, 3.0, 0.3)), tmp_path)
    assert "and of one other condition" in said(found)


def test_other_times_and_standard_errors_are_no_kin(tmp_path: Path) -> None:
    own, short, spread = averages((1.0,) * 3)
    short.crop(-0.1, None)
    spread.kind = "standard_error"
    assert "other condition" not in said(prepared([own, short, spread], tmp_path))


def test_they_are_scaled_and_filtered_alike(tmp_path: Path) -> None:
    made = averages((1.0, 1.0, 1.0))
    plain = prepared(made, tmp_path)
    scaled = prepared([e.apply_function(lambda x: x / 2) for e in made], tmp_path, scale=2.0)
    assert scaled.noise_cov.data == pytest.approx(plain.noise_cov.data, rel=1e-6, abs=1e-20)
    smooth = prepared(averages((1.0, 1.0, 1.0)), tmp_path, filter=(None, 20.0))
    assert "and of 2 other conditions" in said(smooth)
    assert np.trace(smooth.noise_cov.data) < 0.5 * np.trace(plain.noise_cov.data)


def test_a_few_visual_responses_stand_out_once_all_baselines_are_heard(recordings: Path) -> None:
    """Six trials of a response to the left field: alone, its baseline is worth seven samples."""
    found = prepare(
        load_recording(recordings / "audvis-ave.fif.gz"), Preparation(condition="Left visual")
    )
    assert "of 3 other conditions (−0.2 to 0 s; about 58 independent samples)" in said(found)
