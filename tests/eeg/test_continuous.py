"""Hours of data in bounded memory: streamed, stored, read back, and shown."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant import SourceImager
from majorant.cli import main
from majorant.imager.store import read_window
from majorant.imager.streams import Conditioning, Reader
from majorant.imaging.continuous import image_continuous
from majorant.imaging.result import ImageSettings
from majorant.problem import DamagedFile, MajorantError
from majorant.recording.file import Recording
from majorant.recording.settings import Preparation


@pytest.fixture(scope="module")
def imager(raw: Any, sphere_forward: Any) -> SourceImager:
    return SourceImager("dspm", loose=0.4).fit(raw.info, sphere_forward)


def assert_equal(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


def _long(raw: Any, folder: Path, times: int) -> Any:
    """The recording several times over, on disk."""
    path = folder / "once_raw.fif"
    raw.save(path, overwrite=True, verbose="error")
    parts = [mne.io.read_raw_fif(path, preload=False, verbose="error") for _ in range(times)]
    return mne.concatenate_raws(parts, preload=False, verbose="error")


def test_memory_does_not_grow_with_the_recording(
    raw: Any, imager: SourceImager, tmp_path: Path
) -> None:
    peaks = []
    for times in (2, 8):
        long = _long(raw, tmp_path, times)
        n_times = 0
        tracemalloc.start()
        for piece in imager.stream(long, chunk=500):
            n_times += piece.data.shape[1]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n_times == times * 3000
    # Four times as long; every file of the chain adds a little of its own.
    assert peaks[1] < 1.8 * peaks[0]
    assert peaks[1] < 8 * 150 * 8 * 3000 / 4


@pytest.mark.parametrize("pick_ori", [None, "vector"])
def test_a_store_holds_the_estimate_a_window_at_a_time(
    raw: Any, sphere_forward: Any, tmp_path: Path, pick_ori: str | None
) -> None:
    made = SourceImager("dspm", loose=0.4, pick_ori=pick_ori).fit(raw.info, sphere_forward)
    path = made.write(raw, tmp_path / "estimate.zarr", start=200, stop=901)
    whole = made.apply(raw, start=200, stop=901)
    found = read_window(path)
    assert type(found) is type(whole)
    assert found.tmin == whole.tmin == 2.0
    assert_equal(found.data, whole.data)
    part = read_window(path, 4.0, 5.0)
    assert part.tmin == 4.0
    assert_equal(part.data, whole.data[..., 200:301])
    with pytest.raises(MajorantError, match="holds no sample; the estimate goes from 2 to 9 s"):
        read_window(path, 20.0, 30.0)
    with pytest.raises(MajorantError, match="is not empty"):
        made.write(raw, path)
    made.write(raw, path, stop=101, overwrite=True)
    assert read_window(path).shape[-1] == 101
    assert [p.name for p in tmp_path.iterdir()] == ["estimate.zarr"]


def test_a_store_that_is_not_whole_is_refused(
    raw: Any, imager: SourceImager, tmp_path: Path
) -> None:
    path = imager.write(raw, tmp_path / "estimate.zarr", stop=101)
    about = json.loads((path / "zarr.json").read_text("utf-8"))
    for change, says in (({"complete": False}, "not finished"), ({"kind": "x"}, "something else")):
        spoiled = {**about, "attributes": {**about["attributes"], **change}}
        (path / "zarr.json").write_text(json.dumps(spoiled), "utf-8")
        with pytest.raises(DamagedFile, match=says):
            read_window(path)
    with pytest.raises(MajorantError, match="no stored estimate"):
        read_window(tmp_path / "none.zarr")


def test_a_stream_that_fails_leaves_nothing(raw: Any, imager: SourceImager, tmp_path: Path) -> None:
    broken = raw.copy()
    broken._data[2, 2900] = np.inf
    with pytest.raises(MajorantError, match="NaN or infinite values in"):
        imager.write(broken, tmp_path / "estimate.zarr")
    assert not list(tmp_path.iterdir())


def test_filtering_while_reading_is_filtering_before(raw: Any) -> None:
    fir = mne.filter.create_filter(None, 100.0, 1.0, 20.0, verbose="error")
    names = raw.ch_names[:5]
    reader = Reader(raw, names, 0, 3000, Conditioning(fir=fir))
    found = np.concatenate([reader.read(a, min(a + 170, 3000)) for a in range(0, 3000, 170)], 1)
    expected = raw.copy().pick(names).filter(1.0, 20.0, verbose="error").get_data()
    assert np.abs(found - expected).max() <= 1e-6 * np.abs(expected).max()


def test_stretches_that_are_marked_as_bad_say_nothing_of_noise_and_are_not_shown(
    raw: Any, sphere_forward: Any, tmp_path: Path
) -> None:
    forward = tmp_path / "sphere-fwd.fif"
    mne.write_forward_solution(forward, sphere_forward, verbose="error")
    clean = raw.copy().crop(0, 9.99)
    spoilt = clean.copy()
    spoilt._data[:32, 200:300] += 3e-4 * np.random.default_rng(1).standard_normal((32, 100))
    spoilt._data[:32, 620:650] *= 50
    spoilt.set_annotations(
        mne.Annotations([2.0, 6.2, 5.0], [1.0, 0.3, 1.0], ["BAD_jump", "bad move", "rest"])
    )
    settings = ImageSettings("mne", forward=str(forward), loose=0, uncertainty="none")
    results = {}
    for name, one in (("clean", clean), ("spoilt", spoilt)):
        recording = Recording(tmp_path / name, "raw", one)
        preparation = Preparation(baseline=(1.5, 3.5))
        results[name] = image_continuous(
            recording, preparation, settings, tmp_path / f"{name}.zarr"
        )
    said = " ".join(results["spoilt"].content.decisions)
    assert "Marked as bad in the recording: 1.3 of 10 s" in said
    noise = {name: np.diag(found.prepared.noise_cov.data) for name, found in results.items()}
    assert np.median(noise["spoilt"] / noise["clean"]) == pytest.approx(1, abs=0.2)
    times = results["spoilt"].content.times
    inside = ((times >= 2.0) & (times < 3.0)) | ((times >= 6.2) & (times < 6.5))
    assert len(times) > 250
    assert not inside.any()
    attributes = json.loads((tmp_path / "spoilt.zarr" / "zarr.json").read_text())["attributes"]
    assert attributes["bad"] == [[200, 300], [620, 650]]
    spoilt.set_annotations(mne.Annotations(0.0, 10.0, "BAD"))
    with pytest.raises(MajorantError, match="all of the recording is marked as bad"):
        image_continuous(
            Recording(tmp_path / "x", "raw", spoilt), Preparation(), settings, tmp_path / "x.zarr"
        )


@pytest.mark.parametrize("name", ["Cz", "cz"])
def test_the_electrode_of_the_reference_comes_back(
    name: str, raw: Any, sphere_forward: Any, tmp_path: Path
) -> None:
    """Recorded against Cz and told so, a recording is what it was against another reference."""
    forward = tmp_path / "sphere-fwd.fif"
    mne.write_forward_solution(forward, sphere_forward, verbose="error")
    whole = raw.copy().pick("eeg").crop(0, 5.99)
    against = whole.copy().set_eeg_reference(["Cz"], verbose="error").drop_channels(["Cz"])
    settings = ImageSettings("mne", forward=str(forward), loose=0, uncertainty="none")
    found = {}
    for label, one, more in (
        ("whole", whole, {}),
        ("against", against, {"reference": name, "montage": "biosemi32"}),
    ):
        image_continuous(
            Recording(tmp_path / label, "raw", one), Preparation(filter=(1, 30), **more), settings,
            tmp_path / f"{label}.zarr",
        )  # fmt: skip
        found[label] = read_window(tmp_path / f"{label}.zarr").data
    assert_equal(found["against"], found["whole"])


def test_covariances_of_a_recording_leave_out_what_is_marked_as_bad(
    raw: Any, imager: SourceImager
) -> None:
    late = raw.copy().crop(3.0, 12.99)
    kept = late.copy().crop(0.0, 7.99)
    late._data[:, 800:] *= 30
    late.annotations.append(8.0 + late.first_time, 2.0, "BAD")
    names = list(imager.inverse.ch_names)
    moments = [Reader(one, names, 0, len(one.times)).moment(imager.inverse) for one in (late, kept)]
    assert_equal(moments[0].numpy(), moments[1].numpy())


def test_a_continuous_recording_is_imaged_from_the_command_line(
    files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    command = ["image", str(files["raw"]), "--raw", "--space", "ico3", "--out", str(out)]
    with pytest.raises(SystemExit) as stop:
        main([*command, "--filter", "1", "30", "--baseline", "0", "1"])
    assert stop.value.code == 0, capsys.readouterr().err
    assert sorted(p.name for p in out.iterdir()) == [
        "estimate.zarr",
        "report.html",
        "summary.json",
    ]
    assert read_window(out / "estimate.zarr").shape == (1284, 3000)
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["certificate"]["holds"]
    assert summary["data"]["noise"] == "baseline"
    said = " ".join(summary["decisions"])
    assert "Filtered 1 to 30 Hz (zero phase) while reading." in said
    assert "The page shows 375 instants" in said
    assert summary["title"].endswith(": 0 to 29.99 s")
    # Of half a minute the times are in seconds, wherever they are written.
    assert not any(" ms" in caution for caution in summary["cautions"])
    for more, says in (
        (["--event", "1"], "events, conditions and rejection belong to averages"),
        (["--reference", "Nope"], "there is no electrode Nope"),
        (["--tmin", "99"], "holds no sample"),
    ):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--overwrite", *more])
        assert stop.value.code == 2
        assert says in " ".join(capsys.readouterr().err.split())


def test_courses_of_regions_of_all_of_it_are_read_back_in_blocks(
    files: dict[str, Path],
    sphere_forward: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forward = tmp_path / "sphere-fwd.fif"
    mne.write_forward_solution(forward, sphere_forward, verbose="error")
    # Blocks of 7 samples, and the page's pictures small.
    monkeypatch.setattr("majorant.imaging.whole.BLOCK_BYTES", 7 * 8 * 150)
    monkeypatch.setattr("majorant.report.page.CORTEX_HEIGHT", 30)
    out = tmp_path / "out"
    words = ["image", str(files["raw"]), "--raw", "--solver", "dspm", "--loose", "0", "--tmax", "4"]
    words += ["--forward", str(forward), "--roi", "insula", "--export", "csv,npz", "--quiet"]
    with pytest.raises(SystemExit) as end:
        main([*words, "--out", str(out)])
    assert not end.value.code
    courses = mne.io.read_raw_fif(out / "regions_raw.fif", preload=True, verbose="error")
    assert courses.ch_names == ["left insula", "right insula"]
    whole = read_window(out / "estimate.zarr")
    assert len(courses.times) == len(whole.times) == 401
    own = SourceImager("dspm", loose=0).fit(_eeg(files["raw"]).info, sphere_forward)
    expected = own.extract(whole, "gyri", regions=["insula"])
    assert_equal(courses.get_data(), expected.data)
    with np.load(out / "estimate.npz") as held:
        assert held["regions"].shape == (2, 401)
        assert np.allclose(held["region_times"], np.arange(401) / 100)
    lines = (out / "regions.csv").read_text("utf-8").splitlines()
    assert len(lines) == 402
    assert (out / "peaks.csv").is_file()
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert set(summary["files"]) <= {path.name for path in out.iterdir()}
    assert {"regions_raw.fif", "estimate.zarr", "peaks.csv"} <= set(summary["files"])
    assert [row["region"] for row in summary["roi"]] == courses.ch_names
    assert "instants" in json.loads((out / "estimate_npz.json").read_text("utf-8"))["Description"]
    assert "Regions of interest</h2>" in (out / "report.html").read_text("utf-8")


def _eeg(path: Path) -> Any:
    return mne.io.read_raw_fif(path, preload=True, verbose="error").pick("eeg", verbose="error")
