"""Every suffix of MNE's list is opened, or refused in one sentence that names what is missing."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from mne.io import _read_raw

from majorant.errors import MajorantError
from majorant.recording.file import load_recording

NAMES = ["Fp1", "Fp2", "C3", "C4", "O1", "O2", "Cz", "Pz", "Fz"]
SUFFIXES = list(_read_raw._get_supported())
FOLDERS = (".mff", ".mefd", ".ds")
PACKAGES = {".mff": "mffpy", ".mefd": "pymef", ".cdt": "curryreader", ".cnt": "antio"}
"""What MNE needs beside itself, and this package does not bring."""

INSIDE = re.compile(r"argument|positional|keyword|module|attribute|NoneType|Traceback|conda")
"""Words that a programmer understands."""


def junk(folder: Path, suffix: str, text: bytes = b"nothing of the kind\n") -> Path:
    path = folder / f"some{suffix}"
    if suffix in FOLDERS:
        path.mkdir()
        (path / "info.xml").write_text("<a/>")
    else:
        path.write_bytes(300 * text)
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_none_is_refused_in_one_sentence(suffix: str, tmp_path: Path) -> None:
    if suffix == ".nxe":
        pytest.skip("eXimia's files have no header: anything is one, of MEG's size")
    with pytest.raises(MajorantError) as found:
        load_recording(junk(tmp_path, suffix))
    said = str(found.value)
    assert f"some{suffix}" in said
    assert not INSIDE.search(said.replace(str(tmp_path), "")), said


@pytest.mark.parametrize("suffix", list(PACKAGES))
def test_a_package_that_is_missing_is_named(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES[suffix], None)
    path = junk(tmp_path, suffix, b"RIFF junk\n")
    (tmp_path / "some.cdt.dpa").write_text(
        "FileVersion = 802\nNumSamples = 5\nSampleFreqHz = 100\nSampleTimeUsec = 10000\n"
    )
    said = rf"some\{suffix} is read with the package {PACKAGES[suffix]}, .* pip install"
    with pytest.raises(MajorantError, match=said):
        load_recording(path)


def test_the_packages_are_those_of_the_extra() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    extra = project["project"]["optional-dependencies"]["formats"]
    named = {re.match(r"[\w-]+", line)[0] for line in extra}
    assert named == {*PACKAGES.values(), "h5io"}  # h5io: forwards in HDF5


def _cells(items: list[Any]) -> np.ndarray:
    made = np.empty(len(items), object)
    for k, item in enumerate(items):
        made[k] = item
    return made


@pytest.mark.parametrize(("n", "kind"), [(1, "raw"), (12, "epochs")])
def test_fieldtrip_is_read_by_the_name_that_it_has(n: int, kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    held = {
        "label": _cells(NAMES),
        "trial": _cells([1e-5 * rng.standard_normal((9, 100)) for _ in range(n)]),
        "time": _cells([np.arange(100) / 100.0 - 0.2 for _ in range(n)]),
        "fsample": 100.0,
        "trialinfo": np.ones((n, 1)),
    }
    scipy.io.savemat(tmp_path / "some.mat", {"mine": held})
    found = load_recording(tmp_path / "some.mat")
    assert found.kind == kind
    assert found.data.get_channel_types() == ["eeg"] * 9
    data = found.data.get_data()
    first = data if kind == "raw" else data[0]
    assert np.allclose(first, held["trial"][0])


def test_nicolet_is_read_as_eeg(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(-300, 300, (500, 9)).astype("<i2")
    values.tofile(tmp_path / "some.data")
    (tmp_path / "some.head").write_text(
        "start_ts=2008-01-14 12:00:00.000\nnum_samples=500\nsample_freq=100\n"
        f"conversion_factor=0.1\nnum_channels=9\nelec_names=[{','.join(NAMES)}]\n"
        "pat_id=1\nadm_id=2\nrec_id=3\nduration_in_sec=5\nsample_bytes=2\n"
    )
    found = load_recording(tmp_path / "some.data")
    assert found.data.get_channel_types() == ["eeg"] * 9
    assert np.allclose(found.data.get_data(), 1e-7 * values.T)


def test_an_average_of_besa_is_read_in_volts(tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal((100, 9))
    lines = [" ".join(f"{value:.6f}" for value in row) for row in values]
    (tmp_path / "some.mul").write_text(
        "TimePoints= 100 Channels= 9 BeginSweep[ms]= -200.00 SamplingInterval[ms]= 10.000 "
        "Bins/uV= 1.000 SegmentName=tone\n" + " ".join(NAMES) + "\n" + "\n".join(lines) + "\n"
    )
    found = load_recording(tmp_path / "some.mul")
    assert found.kind == "evoked"
    assert list(found.options) == ["some"]
    assert np.allclose(found.data[0].data, 1e-6 * values.T, atol=1e-11)


def test_curry_names_the_file_to_open(tmp_path: Path) -> None:
    (tmp_path / "some.dap").write_text("x")
    (tmp_path / "some.rs3").write_text("x")
    with pytest.raises(MajorantError, match=r"one part of a Curry recording; give some\.dap"):
        load_recording(tmp_path / "some.rs3")
