"""Small recordings and a sphere head for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]
SFREQ = 100.0


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Folder of the real recordings; tests that need them skip where it is absent."""
    own = os.environ.get("MAJORANT_RECORDINGS")
    folder = Path(own) if own else REPOSITORY.parent / "shared" / "data" / "eeg"
    if not (folder / "audvis-ave.fif.gz").is_file():
        pytest.skip(
            "the real recordings are not here; set MAJORANT_RECORDINGS to the folder that holds "
            "audvis-ave.fif.gz and test_raw.set"
        )
    return folder


@pytest.fixture(scope="session")
def montage() -> Any:
    return mne.channels.make_standard_montage("biosemi32")


@pytest.fixture(scope="session")
def raw(montage: Any) -> Any:
    """32 electrodes, an EOG and a stimulus channel, 30 s at 100 Hz, two kinds of events."""
    rng = np.random.default_rng(0)
    names = [*montage.ch_names, "VEOG", "STI"]
    info = mne.create_info(names, SFREQ, ["eeg"] * 32 + ["eog", "stim"], verbose="error")
    data = 10e-6 * rng.standard_normal((34, 3000))
    data[-1] = 0
    onsets = np.arange(100, 2900, 100)
    shape = rng.standard_normal(32) * 8e-6
    for onset in onsets:
        data[:32, onset + 8 : onset + 18] += shape[:, None]
    data[-1, onsets[::2]], data[-1, onsets[1::2]] = 1, 2
    made = mne.io.RawArray(data, info, verbose="error")
    made.set_montage(montage, on_missing="ignore", verbose="error")
    return made


@pytest.fixture(scope="session")
def epochs(raw: Any) -> Any:
    events = mne.find_events(raw, verbose="error")
    return mne.Epochs(
        raw, events, {"loud": 1, "soft": 2}, -0.2, 0.5, baseline=None, preload=True,
        verbose="error",
    )  # fmt: skip


@pytest.fixture(scope="session")
def averages(epochs: Any) -> list[Any]:
    picks = ["eeg", "eog"]
    return [epochs["loud"].average(picks), epochs["soft"].average(picks)]


@pytest.fixture(scope="session")
def files(
    tmp_path_factory: pytest.TempPathFactory, raw: Any, epochs: Any, averages: list[Any]
) -> dict[str, Path]:
    """The same data as three FIF files, whose names say nothing of what they are."""
    folder = tmp_path_factory.mktemp("files")
    paths = {kind: folder / f"{kind}-file.fif" for kind in ("raw", "epochs", "averages")}
    raw.save(paths["raw"], overwrite=True, verbose="error")
    epochs.save(paths["epochs"], overwrite=True, verbose="error")
    mne.write_evokeds(paths["averages"], averages, overwrite=True, verbose="error")
    return paths


@pytest.fixture
def changed(raw: Any, tmp_path: Path) -> Callable[..., Path]:
    """Write the raw recording after a function has changed a copy of it."""

    def write(change: Callable[[Any], Any], name: str = "changed_raw.fif") -> Path:
        copy = raw.copy()
        copy = change(copy) or copy
        copy.save(tmp_path / name, overwrite=True, verbose="error")
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def sphere_forward(averages: list[Any]) -> Any:
    """Free-orientation forward of 150 dipoles with oblique normals in a sphere."""
    rng = np.random.default_rng(1)
    info = mne.pick_info(averages[0].info, mne.pick_types(averages[0].info, eeg=True))
    sphere = mne.make_sphere_model("auto", "auto", info, verbose="error")
    places = rng.standard_normal((150, 3))
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    places[:, 2] = np.abs(places[:, 2])
    normals = places + 0.7 * rng.standard_normal(places.shape)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    places *= rng.uniform(0.025, 0.07, size=(150, 1))
    source_space = mne.setup_volume_source_space(
        pos={"rr": places + sphere["r0"], "nn": normals}, sphere=sphere, verbose="error"
    )
    return mne.make_forward_solution(info, None, source_space, sphere, verbose="error")
