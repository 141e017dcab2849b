"""What amplifiers and cables do without saying so is said, and changes no more than it must."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant.account import Account
from majorant.recording.faults import SATURATED, bridged, say_saturated
from majorant.recording.file import load_recording
from majorant.recording.prepare import Prepared, measured, prepare
from majorant.recording.settings import Preparation

NAMES = mne.channels.make_standard_montage("biosemi16").ch_names


def raw_of(change: Any = None, names: str = "stim") -> Any:
    """Twenty trials a second apart, one source; `change` is given the data."""
    info = mne.create_info(NAMES, 200.0, "eeg", verbose="error").set_montage("biosemi16")
    times = np.arange(22 * 200) / 200.0
    course = np.exp(-(((((times - 1) % 1) - 0.1) / 0.02) ** 2))
    data = 2e-6 * np.random.default_rng(0).standard_normal((16, len(times)))
    data += np.linspace(-2e-5, 2e-5, 16)[:, None] * course
    if change is not None:
        data = change(data)
    raw = mne.io.RawArray(data, info, verbose="error")
    return raw.set_annotations(mne.Annotations(1.0 + np.arange(20), 0.0, names))


def prepared(raw: Any, folder: Path, event: str = "stim", **settings: Any) -> Prepared:
    raw.save(folder / "some_raw.fif", overwrite=True, verbose="error")
    return prepare(load_recording(folder / "some_raw.fif"), Preparation(event=event, **settings))


def said(found: Prepared, start: str) -> list[str]:
    return [text for text in found.decisions if start in text]


def test_saturation_is_said_at_both_doors(tmp_path: Path) -> None:
    raw = raw_of(lambda data: np.clip(data, -12e-6, 12e-6))
    found = said(prepared(raw, tmp_path, filter=(1, 40)), SATURATED)
    assert len(found) == 1
    assert "of 16 electrodes" in found[0]
    assert NAMES[0] in found[0]
    assert NAMES[8] not in found[0]
    assert said(measured(raw, Account()), SATURATED)


@pytest.mark.parametrize("step", [0.0, 0.1e-6, 0.5e-6])
def test_noise_and_coarse_converters_are_not_called_saturated(step: float) -> None:
    data = raw_of().get_data()
    data = np.round(data / step) * step if step else data
    account = Account()
    say_saturated(data, NAMES, account)
    assert not account.decisions


@pytest.mark.parametrize("settings", [{}, {"filter": (1, 40)}])
def test_silence_has_no_part_in_the_average(settings: dict[str, Any], tmp_path: Path) -> None:
    def silent(data: np.ndarray) -> np.ndarray:
        data[:, 4 * 200 : 7 * 200] = 0.0
        return data

    found = prepared(raw_of(silent), tmp_path, **settings)
    whole = prepared(raw_of(), tmp_path, **settings)
    assert found.evoked.nave == 16
    assert said(found, "All electrodes are silent for 3 s, in 1 stretch: taken as bad")
    ratio = np.ptp(found.evoked.data) / np.ptp(whole.evoked.data)
    assert ratio == pytest.approx(1, abs=0.05)


def test_trials_of_silence_are_left_out(tmp_path: Path) -> None:
    raw = raw_of()
    events = mne.events_from_annotations(raw, verbose="error")[0]
    epochs = mne.Epochs(raw, events, 1, -0.2, 0.5, baseline=None, preload=True, verbose="error")
    epochs._data[3:5] = 0.0
    epochs.save(tmp_path / "some-epo.fif", verbose="error")
    found = prepare(load_recording(tmp_path / "some-epo.fif"), Preparation())
    assert found.evoked.nave == len(epochs) - 2
    assert said(found, f"2 of {len(epochs)} trials were left out: all electrodes are silent")
    assert said(measured(epochs, Account()), "all electrodes are silent")


@pytest.mark.parametrize("apart", [0.0, 1e-8])
def test_electrodes_that_record_the_same_are_named(apart: float, tmp_path: Path) -> None:
    def same(data: np.ndarray) -> np.ndarray:
        data[5] = data[6] + apart * np.random.default_rng(1).standard_normal(data.shape[1])
        return data

    found = said(prepared(raw_of(same), tmp_path), "The data have rank 14 at 16 electrodes")
    assert f"{NAMES[5]} and {NAMES[6]} record the same" in found[0]
    assert "components" not in found[0]
    data = raw_of().get_data()
    assert not bridged(data @ data.T / data.shape[1], NAMES, 1)


def test_markers_that_come_twice_are_said(tmp_path: Path) -> None:
    raw = raw_of()
    late = mne.Annotations(raw.annotations.onset + 0.01, 0.0, "stim")
    found = prepared(raw.set_annotations(raw.annotations + late), tmp_path)
    assert said(found, "20 markers come within 20 ms of another of the same event")
    assert not said(prepared(raw_of(), tmp_path), "markers come within")


def test_why_trials_are_missing_is_said_one_by_one(tmp_path: Path) -> None:
    raw = raw_of()
    more = mne.Annotations([1.0, 21.9], 0.0, "stim")
    found = prepared(raw.set_annotations(raw.annotations + more), tmp_path)
    why = "2 of 22 trials were left out: 1 at the sample of another; 1 outside the recording."
    assert said(found, why)


@pytest.mark.parametrize("name", ["Gerät", "α-Welle"])
def test_letters_beyond_ascii_are_understood_however_they_are_written(
    name: str, tmp_path: Path
) -> None:
    raw = raw_of(names=unicodedata.normalize("NFD", name))
    assert prepared(raw, tmp_path, unicodedata.normalize("NFC", name)).evoked.nave == 20
