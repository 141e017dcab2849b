"""Raw files of THINGS-EEG2: what is read, what is refused, and that no code in them runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from majorant.bench.things_file import (
    TARGET,
    ThingsSession,
    find_sessions,
    read_session,
    write_session,
)
from majorant.bench.things_synthetic import ELECTRODES
from majorant.bench.things_trials import session_trials
from majorant.problem import DamagedFile, MajorantError


@pytest.fixture(scope="module")
def session() -> ThingsSession:
    """Ten images of two kinds and a target, 200 ms apart; a third of a second around them."""
    rng = np.random.default_rng(0)
    data = 1e-5 * rng.standard_normal((63, 4000))
    stim = np.zeros(4000, dtype=np.int64)
    stim[600 + 200 * np.arange(11)] = [1, 2, 1, 2, TARGET, 1, 2, 1, 2, 1, 2]
    return ThingsSession(data, stim, ELECTRODES)


def changed(path: Path, **new: Any) -> Path:
    """Write a file whose dictionary differs."""
    held = np.load(path, allow_pickle=True).item()
    np.save(path, np.array({**held, **new}, dtype=object), allow_pickle=True)
    return path


@pytest.fixture
def file(session: ThingsSession, tmp_path: Path) -> Path:
    return write_session(tmp_path / "sub-01" / "ses-01" / "raw_eeg_test.npy", session)


def test_a_session_survives_the_file(session: ThingsSession, file: Path):
    read = read_session(file)
    assert np.array_equal(read.data, session.data)
    assert np.array_equal(read.stim, session.stim)
    assert read.ch_names == ELECTRODES
    assert [p.name for p in file.parent.iterdir()] == ["raw_eeg_test.npy"]


def test_trials_lose_targets_and_the_common_potential(session: ThingsSession):
    trials = session_trials(session)
    assert trials.data.shape == (10, 63, 61)
    assert trials.dropped == 1
    assert set(trials.conditions.tolist()) == {1, 2}
    assert trials.times[[0, -1]].tolist() == [-0.1, 0.2]
    assert np.abs(trials.data.mean(axis=1)).max() < 1e-11
    with pytest.raises(MajorantError, match="holds 0 samples"):
        trials.within((0.5, 0.6))


def test_sessions_are_found_from_any_folder_above(file: Path):
    for folder in (file.parent, file.parent.parent, file.parent.parent.parent):
        assert find_sessions(folder) == [file]


def test_other_folders_are_refused(file: Path, tmp_path: Path, session: ThingsSession):
    with pytest.raises(MajorantError, match="no folder"):
        find_sessions(tmp_path / "nowhere")
    with pytest.raises(MajorantError, match=r"holds no raw_eeg_training\.npy"):
        find_sessions(file.parent, "training")
    old = tmp_path / "old"
    old.mkdir()
    (old / "preprocessed_eeg_test.npy").touch()
    with pytest.raises(MajorantError, match="preprocessed release"):
        find_sessions(old)
    write_session(tmp_path / "sub-02" / "ses-01" / "raw_eeg_test.npy", session)
    with pytest.raises(MajorantError, match="holds 2 participants"):
        find_sessions(tmp_path)


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        ({"ch_types": ["eeg"] * 64}, "64 electrodes and 0 stimulus"),
        ({"ch_names": ["a"]}, "1 names"),
        ({"raw_eeg_data": [1, 2]}, "no array"),
        ({"raw_eeg_data": np.ones((64, 9))}, "expected volts"),
    ],
)
def test_other_content_is_refused(file: Path, new: dict[str, Any], sentence: str):
    with pytest.raises(MajorantError, match=sentence):
        read_session(changed(file, **new))


def test_missing_events_and_values_are_said(file: Path, session: ThingsSession):
    silent = ThingsSession(session.data, 0 * session.stim, ELECTRODES)
    with pytest.raises(MajorantError, match="no trials"):
        read_session(write_session(file, silent))
    holed = session.data.copy()
    holed[3, 5] = np.nan
    with pytest.raises(MajorantError, match="NaN"):
        read_session(write_session(file, ThingsSession(holed, session.stim, ELECTRODES)))


def test_a_damaged_file_is_a_sentence(file: Path):
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"not numpy at all", b""):
        file.write_bytes(content)
        with pytest.raises(DamagedFile, match="download it again"):
            read_session(file)
    np.save(file, np.zeros(3))
    with pytest.raises(MajorantError, match="hold a dictionary"):
        read_session(file)


class _Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_code_in_a_file_does_not_run(file: Path, tmp_path: Path):
    mark = tmp_path / "ran"
    changed(file, sfreq=_Attack(mark))
    with pytest.raises(DamagedFile, match="it asks for"):
        read_session(file)
    assert not mark.exists()
