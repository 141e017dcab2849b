"""The main job on simulated responses: an estimate, its peaks, its errors, its files."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant.files import output, write
from majorant.files.output import check_output
from majorant.findings.peaks import PeakSettings, find_peaks, local_maxima
from majorant.head.places import Places
from majorant.imaging.demo import Demo, DemoSettings, DemoTruth, demo_recording, judged
from majorant.imaging.image import image
from majorant.imaging.result import ImageResult, ImageSettings
from majorant.imaging.write import save_results
from majorant.problem import MajorantError
from majorant.recording.file import load_recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation
from majorant.report.headline import source_scale


@pytest.fixture
def quick_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that takes no time, for tests of everything but the page."""

    def write(content: Any, path: Path, progress: Any = None) -> None:
        path.write_text(content.title)

    monkeypatch.setattr("majorant.report.page.write_page", write)


@pytest.fixture(scope="module")
def demo() -> Demo:
    return demo_recording(0)


@pytest.fixture(scope="module")
def result(demo: Demo) -> ImageResult:
    return judged(image(demo.prepared, ImageSettings("sloreta")), demo)


def test_the_sources_of_the_demo_are_found(result: ImageResult, demo: Demo) -> None:
    assert result.content.truth == demo.truth.peaks
    errors = result.content.errors
    assert errors is not None
    assert len(errors) == 6
    assert all(abs(v) < 25 for v in errors.values())


def test_the_estimate_does_not_depend_on_what_is_known(demo: Demo, result: ImageResult) -> None:
    """The imager is given the recording alone: another truth changes errors, not the estimate."""
    wrong = replace(
        demo, truth=DemoTruth(tuple(replace(p, mni=(0.0, 0.0, 0.0)) for p in demo.truth.peaks))
    )
    again = judged(image(demo.prepared, ImageSettings("sloreta")), wrong)
    assert np.array_equal(again.stc.data, result.stc.data)
    assert again.content.errors != result.content.errors


def test_the_demo_is_simulated_on_another_mesh_and_repeats(demo: Demo, result: ImageResult) -> None:
    assert max(peak.location for peak in demo.truth.peaks) >= result.imager.leadfield_.n_locations
    assert np.array_equal(demo_recording(0).prepared.evoked.data, demo.prepared.evoked.data)
    other = demo_recording(1).prepared.evoked.data
    assert not np.array_equal(other, demo.prepared.evoked.data)
    assert 1e-6 < np.abs(other).max() < 20e-6


def test_what_the_page_shows_fits_together(result: ImageResult) -> None:
    content = result.content
    n_channels, n_times = len(content.info["ch_names"]), len(content.times)
    assert content.data.shape == content.predicted.shape == (n_channels, n_times)
    assert content.sources.values.shape == (5124, n_times)
    assert content.explained.shape == (n_times,)
    assert np.isfinite(content.explained).all()
    assert 0 <= content.explained.min() <= content.explained.max() <= 1
    assert 0.8 < result.explained <= 1
    assert np.abs(content.data.mean(axis=0)).max() < 1e-18
    assert np.abs(content.predicted.mean(axis=0)).max() < 1e-12
    for peak in content.peaks:
        sample = int(np.abs(content.times - peak.time).argmin())
        assert content.sources.values[peak.location, sample] == peak.amplitude
        assert peak.mni == pytest.approx(tuple(content.sources.positions_mni[peak.location]))
        assert 0 < peak.share <= 1
    assert content.peaks[0].amplitude == content.sources.values[:, content.times >= 0].max()


def test_what_a_current_explains_is_lead_field_times_estimate(demo: Demo) -> None:
    found = image(demo.prepared, ImageSettings("mne", loose=0))
    lead = found.imager.leadfield_.gain.numpy()
    expected = lead @ found.content.sources.values
    expected -= expected.mean(axis=0)
    assert np.abs(found.content.predicted - expected).max() < 1e-9 * np.abs(expected).max()
    assert found.unit == "Am"
    assert found.content.sources.signed


def test_eloreta_is_a_current_and_says_so(demo: Demo) -> None:
    found = image(demo.prepared, ImageSettings("eloreta", loose=0, space="ico3"))
    assert found.unit == "Am"
    assert "nAm" in source_scale(found.content.sources, found.peaks[0].amplitude).label


def test_what_is_shared_names_files_and_not_where_they_lie(result: ImageResult) -> None:
    asked = Preparation(montage="/home/me/cap.locs", noise_cov="/home/me/noise-cov.fif")
    prepared = replace(result.prepared, settings=asked)
    settings = ImageSettings(forward="/home/me/head-fwd.fif")
    summary = replace(result, prepared=prepared, settings=settings).summary()["settings"]
    assert "/home" not in json.dumps(summary)
    assert summary["image"]["forward"] == "head-fwd.fif"
    assert asked.named()["montage"] == "cap.locs"


def test_a_statistic_explains_what_its_map_does_at_one_scale(result: ImageResult) -> None:
    columns = result.imager.solution_.estimate[0].numpy()
    shape = result.imager.leadfield_.gain.numpy() @ columns
    shape -= shape.mean(axis=0)
    data, predicted = result.content.data, result.content.predicted
    assert np.abs(predicted - shape * (shape * data).sum() / (shape**2).sum()).max() < 1e-12
    # No other scale explains more.
    left = [((data - scale * predicted) ** 2).sum() for scale in (0.98, 1.0, 1.02)]
    assert left[1] < min(left[0], left[2])
    assert any("is a statistic, not a current" in text for text in result.content.decisions)


def test_progress_and_posterior_variance_of_an_iterative_solver(demo: Demo) -> None:
    seen: list[tuple[int, int]] = []
    settings = ImageSettings("champagne", loose=0, space="ico3", options={"max_iter": 10})
    found = image(demo.prepared, settings, progress=lambda done, limit: seen.append((done, limit)))
    assert seen[-1] == (10, 10)
    doubt = found.content.uncertainty
    assert doubt is not None
    assert doubt.name == "posterior standard deviation"
    assert doubt.deviation.shape == (1284, 1)
    assert found.content.certificate.holds()
    assert "not finished" in found.content.cautions[0]


def test_noise_alone_is_said_to_be_noise(demo: Demo) -> None:
    settings = ImageSettings("dspm", loose=0, space="ico3")
    silent = demo_recording(0, DemoSettings(moment=1e-13))
    found = image(silent.prepared, settings)
    assert found.content.faint is not None
    assert found.content.faint in found.content.cautions
    assert found.summary()["faint"] == found.content.faint
    heard = image(demo.prepared, settings)
    assert heard.content.faint is None
    assert heard.summary()["uncertainty"]["draws"] == 0


def test_a_window_that_would_not_fit_is_refused(demo: Demo, monkeypatch: Any) -> None:
    monkeypatch.setattr("majorant.memory.available", lambda: 10_000_000)
    with pytest.raises(MajorantError, match=r"GB left; shorten the window"):
        image(demo.prepared, ImageSettings("sloreta"))


@pytest.mark.usefixtures("quick_page")
def test_a_forward_of_ones_own_is_read(
    files: dict[str, Path], sphere_forward: Any, tmp_path: Path
) -> None:
    path = tmp_path / "x-fwd.fif"
    mne.write_forward_solution(path, sphere_forward, verbose="error")
    prepared = prepare(load_recording(files["averages"]), Preparation(condition="0"))
    found = image(prepared, ImageSettings("mne", loose=0, forward=str(path)))
    assert found.content.sources.values.shape[0] == 150
    assert any("carried over by scaling" in text for text in found.content.cautions)
    save_results(found, tmp_path / "out")
    stc = mne.read_source_estimate(tmp_path / "out" / "estimate-vl.stc")
    assert np.abs(stc.data - found.stc.data).max() <= 1e-6 * np.abs(found.stc.data).max()
    with pytest.raises(MajorantError, match="no forward solution"):
        image(prepared, ImageSettings(forward="nowhere-fwd.fif"))
    with pytest.raises(MajorantError, match="cannot be read as a forward solution"):
        image(prepared, ImageSettings(forward=str(files["raw"])))


# Files


def test_the_files_are_those_that_were_promised(result: ImageResult, tmp_path: Path) -> None:
    folder = save_results(result, tmp_path / "a" / "b", command="majorant image --demo")
    names = {path.name for path in folder.iterdir()}
    assert names == {"estimate-lh.stc", "estimate-rh.stc", "summary.json", "report.html"}
    stc = mne.read_source_estimate(folder / "estimate")
    assert np.abs(stc.data - result.stc.data).max() <= 1e-6 * result.stc.data.max()
    assert stc.times == pytest.approx(result.stc.times, abs=1e-6)
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary["command"] == "majorant image --demo"
    assert summary["certificate"]["holds"] is True
    assert summary["solver"]["name"] == "sloreta"
    assert summary["versions"]["mne"] == mne.__version__
    assert len(summary["input"]["sha256"]) == 64
    assert summary["decisions"] == list(result.content.decisions)
    assert summary["peaks"][0]["lobe"] == result.peaks[0].lobe
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


@pytest.mark.usefixtures("quick_page")
def test_results_are_replaced_only_when_asked_and_nothing_else_ever(
    result: ImageResult, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    save_results(result, folder)
    before = (folder / "summary.json").stat().st_mtime_ns
    with pytest.raises(MajorantError, match="is not empty"):
        save_results(result, folder)
    assert (folder / "summary.json").stat().st_mtime_ns == before
    save_results(result, folder, overwrite=True)
    assert (folder / "summary.json").stat().st_mtime_ns != before
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.txt").write_text("mine")
    with pytest.raises(MajorantError, match="holds no results of Majorant"):
        save_results(result, other, overwrite=True)
    assert (other / "chapter.txt").read_text() == "mine"
    with pytest.raises(MajorantError, match="is no folder"):
        check_output(other / "chapter.txt")


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize("existing", [False, True])
def test_nothing_is_left_half_written(
    result: ImageResult, tmp_path: Path, monkeypatch: Any, existing: bool
) -> None:
    folder = tmp_path / "out"
    if existing:
        save_results(result, folder)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("majorant.report.page.write_page", fail)
    with pytest.raises(MajorantError, match="No space left on device"):
        save_results(result, folder, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if existing else [])
    if existing:
        assert (folder / "report.html").is_file()


@pytest.mark.usefixtures("quick_page")
def test_earlier_results_survive_a_move_that_fails(
    result: ImageResult, tmp_path: Path, monkeypatch: Any
) -> None:
    folder = save_results(result, tmp_path / "out")
    rename, calls = os.rename, []

    def fail_once(source: Any, target: Any) -> None:
        calls.append(source)
        if len(calls) == 2:
            raise OSError(5, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(write, "_exchanged", lambda one, other: False)
    monkeypatch.setattr(write.os, "rename", fail_once)
    with pytest.raises(MajorantError, match="Input/output error"):
        save_results(result, folder, overwrite=True)
    assert (folder / "summary.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: Any) -> None:
    def refused(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(output.tempfile, "mkdtemp", refused)
    with pytest.raises(MajorantError, match="takes no new folder"):
        check_output(tmp_path / "out")


# Peaks


def _line(n: int) -> Places:
    """Locations along x, 10 mm apart."""
    mni = np.c_[10.0 * np.arange(n), np.zeros(n), np.zeros(n)]
    index = np.arange(n)
    side = np.ones(n, dtype=np.int64)
    return Places(mni, side, index, np.c_[index[:-1], index[1:]], None, True)


def _bump(shape: tuple[int, int], s: int, t: int, height: float) -> np.ndarray:
    where, when = np.mgrid[: shape[0], : shape[1]]
    return height * np.exp(-(((where - s) / 1.5) ** 2) - ((when - t) / 3.0) ** 2)


def test_peaks_are_distinct_maxima_strongest_first() -> None:
    times = np.arange(-20, 60) / 100
    values = _bump((20, 80), 4, 40, 3.0) - _bump((20, 80), 15, 60, 2.0)
    peaks = find_peaks(values, times, _line(20))
    assert [(p.location, round(p.time, 2), round(p.amplitude)) for p in peaks] == [
        (4, 0.2, 3),
        (15, 0.4, -2),
    ]


def test_maxima_nearer_than_30_mm_and_40_ms_are_one() -> None:
    times = np.arange(80) / 100
    near = _bump((20, 80), 4, 40, 3.0) + _bump((20, 80), 6, 43, 2.9)
    apart = _bump((20, 80), 4, 40, 3.0) + _bump((20, 80), 9, 40, 2.9)
    assert len(find_peaks(near, times, _line(20))) == 1
    assert len(find_peaks(apart, times, _line(20))) == 2


def test_what_lies_before_the_event_is_not_listed() -> None:
    times = np.arange(-40, 40) / 100
    values = _bump((20, 80), 4, 20, 5.0) + _bump((20, 80), 15, 60, 1.0)
    assert [p.location for p in find_peaks(values, times, _line(20))] == [15]
    assert find_peaks(np.zeros((20, 80)), times, _line(20)) == ()


def test_every_maximum_is_one(demo: Demo) -> None:
    rng = np.random.default_rng(0)
    values, edges = np.abs(rng.standard_normal((20, 50))), _line(20).edges
    points = {tuple(p) for p in local_maxima(values, edges, 0.0)}
    for s in range(20):
        for t in range(50):
            around = [(s - 1, t), (s + 1, t), (s, t - 1), (s, t + 1)]
            inside = [values[a] for a in around if 0 <= a[0] < 20 and 0 <= a[1] < 50]
            assert ((s, t) in points) == (values[s, t] >= max(inside))


def test_the_number_of_peaks_is_limited() -> None:
    values = np.abs(np.random.default_rng(0).standard_normal((20, 50)))
    assert len(find_peaks(values, np.arange(50) / 100, _line(20), PeakSettings(most=3))) == 3


def test_the_default_demo_is_strong_enough_to_be_seen() -> None:
    assert DemoSettings().moment <= 50e-9


def test_the_moment_of_a_peak_is_that_of_its_dipole_whatever_the_map() -> None:
    from majorant.findings.facts import Peak
    from majorant.findings.moments import with_moments
    from majorant.head.registration import MEMBERS

    rng = np.random.default_rng(0)
    gain, mni = rng.standard_normal((40, 60)), 100.0 * rng.standard_normal((20, 3))
    moments = np.zeros(60)
    moments[9:12], moments[30:33] = 40e-9 * np.array([0.6, 0.0, 0.8]), [0.0, 10e-9, 0.0]
    white = np.c_[np.zeros(40), gain @ moments]
    peaks = [Peak(0.1, "left", "frontal", (0, 0, 0), k, a, 0.5) for k, a in ((3, 8.0), (10, 5.0))]
    times = np.array([0.0, 0.1])
    found = with_moments(peaks, times, white, gain, mni, regions=False)
    # The weaker one is fitted beside the stronger one, which is fitted as if it were alone.
    assert found[1].moment == pytest.approx(10e-9)
    assert found[0].moment == pytest.approx(40e-9, rel=0.2)
    single = gain[:, 9:12] @ moments[9:12, None]
    alone = with_moments(peaks[:1], times[1:], single, gain, mni, regions=True)
    assert alone[0].moment == pytest.approx(MEMBERS * 40e-9)


def test_the_demo_shows_the_moment_that_was_simulated(demo: Demo, result: ImageResult) -> None:
    truth = np.array([peak.mni for peak in demo.truth.peaks])
    near = [
        peak.moment
        for peak in result.peaks
        if np.linalg.norm(truth - np.array(peak.mni), axis=1).min() < 20
    ]
    assert near
    for moment in near[:1]:
        assert moment is not None
        assert 20e-9 < moment < 60e-9
    assert result.summary()["peaks"][0]["moment"] == result.peaks[0].moment
    assert "one location" in result.summary()["amplitude_is"] or result.unit != "Am"
