"""Sentences name the cause that is the cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant import memory
from majorant.errors import MajorantError
from majorant.imager.imager import SourceImager
from majorant.recording.file import load_recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation


def test_electrodes_that_a_covariance_calls_bad_are_left_out_and_named(
    files: dict[str, Path], epochs: Any, tmp_path: Path
) -> None:
    cov = mne.compute_covariance(epochs, tmax=0, verbose="error")
    bads = ["T7", "C3"]
    told = mne.Covariance(cov.data, cov.ch_names, bads, [], 100)
    told.save(tmp_path / "bads-cov.fif", verbose="error")
    settings = Preparation(event="loud", noise_cov=str(tmp_path / "bads-cov.fif"))
    found = prepare(load_recording(files["epochs"]), settings)
    assert len(found.evoked.ch_names) == 30
    assert not set(bads) & set(found.evoked.ch_names)
    assert any("made without T7, C3, its bad channels" in said for said in found.decisions)


def test_an_average_of_no_trials_is_taken_as_one(averages: list[Any], tmp_path: Path) -> None:
    empty = averages[0].copy()
    empty.nave = 0
    empty.save(tmp_path / "zero-ave.fif", verbose="error")
    found = prepare(load_recording(tmp_path / "zero-ave.fif"))
    assert found.evoked.nave == 1
    assert np.trace(found.noise_cov.data) > 0
    assert any("is the average of 0 trials, which cannot be" in said for said in found.decisions)


def test_standard_errors_are_no_damage(epochs: Any, tmp_path: Path) -> None:
    path = tmp_path / "se-ave.fif"
    mne.write_evokeds(path, [epochs.standard_error()], verbose="error")
    with pytest.raises(MajorantError, match="holds standard errors and no averages"):
        load_recording(path)


@pytest.mark.parametrize(
    ("part", "header"), [("x.eeg", "x.vhdr"), ("x.vmrk", "x.vhdr"), ("x.fdt", "x.set")]
)
def test_a_part_of_a_recording_names_its_header(tmp_path: Path, part: str, header: str) -> None:
    (tmp_path / part).write_bytes(bytes(range(256)) * 8)
    with pytest.raises(MajorantError, match=rf"no header; give the \{Path(header).suffix} file"):
        load_recording(tmp_path / part)
    (tmp_path / header).write_text("", "utf-8")
    with pytest.raises(MajorantError, match=f"give {header}, which lies beside it"):
        load_recording(tmp_path / part)


def test_names_that_no_montage_knows_are_not_sent_to_one(
    changed: Callable[..., Path],
) -> None:
    def numbered(raw: Any) -> None:
        raw.set_montage(None)
        raw.rename_channels({n: f"EEG {i:03d}" for i, n in enumerate(raw.ch_names[:32])})

    with pytest.raises(MajorantError, match=r"EEG 000, .* are not those of the 10-05 system") as e:
        prepare(load_recording(changed(numbered)), Preparation(event="1"))
    assert "in the same order" in str(e.value)
    assert "standard_1005" not in str(e.value)


def test_the_solution_of_trials_is_said_not_to_be_kept(epochs: Any, sphere_forward: Any) -> None:
    eeg = epochs.copy().pick("eeg")
    imager = SourceImager("mne", loose=1).fit(eeg.info, sphere_forward)
    with pytest.raises(MajorantError, match="no average was imaged yet"):
        _ = imager.solution_
    imager.apply(eeg[:2])
    with pytest.raises(MajorantError, match="imaged trials or continuous data, and they are not"):
        _ = imager.solution_
    imager.apply(eeg.average())
    assert imager.solution_.estimate.shape[-1] == len(eeg.times)


def test_what_is_left_of_the_memory_is_the_machines() -> None:
    left = memory.available()
    assert 1e7 < left < 1e15
    assert memory.fits(0)
    assert not memory.fits(left)


def test_a_recording_that_would_not_fit_is_refused_with_what_is_left(
    raw: Any, sphere_forward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    eeg = raw.copy().pick("eeg")
    imager = SourceImager("mne", loose=1).fit(eeg.info, sphere_forward)
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(MajorantError, match=r"take stream\(raw\) or write"):
        imager.apply(eeg)
