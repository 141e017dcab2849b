"""What is exported is the estimate, read back by the library that owns the format."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import mne
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.io import loadmat

from majorant.bids.study import Study, _write
from majorant.exports import movies, pictures
from majorant.exports.material import Material
from majorant.exports.write import FORMATS, export
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template import template_surfaces
from majorant.imaging.image import image
from majorant.imaging.result import ImageResult, ImageSettings
from majorant.imaging.write import save_results
from majorant.problem import MajorantError
from majorant.recording.file import Recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation
from majorant.report import page
from majorant.report.interest import interest_section


@pytest.fixture(scope="module")
def result() -> ImageResult:
    montage = mne.channels.make_standard_montage("biosemi32")
    info = mne.create_info(montage.ch_names, 100.0, "eeg", verbose="error")
    rng = np.random.default_rng(8)
    course = np.exp(-(((np.arange(30) - 18) / 3) ** 2))
    data = 1e-6 * rng.standard_normal((32, 30)) + 8e-6 * np.outer(rng.standard_normal(32), course)
    evoked = mne.EvokedArray(data, info, tmin=-0.1, nave=40, comment="beep", verbose="error")
    evoked.set_montage(montage)
    prepared = prepare(Recording(Path("beep-ave.fif"), "evoked", (evoked,)))
    settings = ImageSettings(
        "sloreta", space="ico3", uncertainty="none", roi=("all",),
        export=tuple(name for name in FORMATS if name != "mp4"),
    )  # fmt: skip
    return image(prepared, settings)


@pytest.fixture(scope="module")
def material(result: ImageResult) -> Material:
    """Its movie is drawn once, small."""
    held = result.material
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(movies, "HEIGHT", 60)
        movies._film(held)
    return held


@pytest.fixture(scope="module")
def folder(
    result: ImageResult, material: Material, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    # Pages and large pictures have tests of their own, and take long.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "write_page", lambda content, path, progress: path.write_text("page"))
        patch.setattr(pictures, "HEIGHT", 150)
        patch.setattr(movies, "_drawn", lambda other: movies._film(material))
        return save_results(result, tmp_path_factory.mktemp("exports") / "out")


def sidecar(folder: Path, name: str) -> Any:
    return json.loads((folder / f"{name}.json").read_text("utf-8"))


def test_every_file_is_listed_and_has_a_sidecar(folder: Path) -> None:
    files = {path.name for path in folder.iterdir()}
    assert files - set(sidecar(folder, "summary")["files"]) == {"summary.json"}
    for stem in ("peaks", "regions", "regions-ave", "estimate_hemi-L", "hemi-R_pial",
                 "estimate_dtseries", "estimate_nii", "estimate_mat", "estimate_npz",
                 "regions_set", "figure_cortex", "figure_courses", "figure_movie"):  # fmt: skip
        assert sidecar(folder, stem)


@pytest.mark.parametrize(("kind", "separator"), [("csv", ","), ("tsv", "\t")])
def test_tables_of_peaks_and_courses(
    folder: Path, result: ImageResult, kind: str, separator: str
) -> None:
    peaks = pd.read_csv(folder / f"peaks.{kind}", sep=separator, na_values="n/a")
    assert len(peaks) == len(result.peaks)
    assert np.allclose(peaks["time_s"], [p.time for p in result.peaks])
    assert np.allclose(peaks["amplitude_sLORETA"], [p.amplitude for p in result.peaks])
    assert np.allclose(peaks[["x_mm", "y_mm", "z_mm"]], [p.mni for p in result.peaks])
    assert list(peaks["region"]) == [p.named for p in result.peaks]
    said = sidecar(folder, "peaks")
    assert set(said) == set(peaks.columns)
    assert said["time_s"]["Units"] == "s"
    assert said["dipole_Am"]["Units"] == "A.m"
    courses = pd.read_csv(folder / f"regions.{kind}", sep=separator)
    assert result.courses is not None
    assert list(courses.columns) == ["time_s", *result.courses.names]
    assert np.array_equal(courses.iloc[:, 1:].to_numpy().T, result.courses.data)


def test_courses_for_mne(folder: Path, result: ImageResult) -> None:
    assert result.courses is not None
    back = mne.read_evokeds(folder / "regions-ave.fif", verbose="error")[0]
    assert tuple(back.ch_names) == result.courses.names
    assert np.allclose(back.data, result.courses.data, rtol=1e-6, atol=0)
    assert back.nave == 40
    assert back.times[0] == pytest.approx(-0.1)


def test_courses_for_eeglab(folder: Path, result: ImageResult, tmp_path: Path) -> None:
    courses = result.courses
    assert courses is not None
    back = mne.io.read_raw_eeglab(folder / "regions.set", preload=True, verbose="error")
    assert tuple(back.ch_names) == courses.names
    assert back.info["sfreq"] == pytest.approx(courses.sfreq)
    assert np.allclose(back.get_data(), courses.data, rtol=1e-12, atol=0)
    # The event stands at 0 s of the window, which begins at -0.1 s.
    assert back.annotations.onset == pytest.approx([0.1])
    assert "millionths" in sidecar(folder, "regions_set")["Description"]
    trials = replace(courses, data=np.stack([courses.data, 2 * courses.data, -courses.data]))
    trials.write_eeglab(tmp_path / "trials.set", "beep")
    epochs = mne.read_epochs_eeglab(tmp_path / "trials.set", verbose="error")
    assert np.allclose(epochs.get_data(), trials.data, rtol=1e-12, atol=0)
    assert epochs.tmin == pytest.approx(-0.1)
    assert set(epochs.event_id) == {"beep"}
    late = replace(courses, times=courses.times + 1.0)
    with pytest.raises(MajorantError, match=r"a \.set marks what happens at 0 s"):
        late.write_eeglab(tmp_path / "late.set")


def test_gifti_is_the_estimate_on_the_surface(folder: Path, result: ImageResult) -> None:
    for side, letter in enumerate("LR"):
        mesh: Any = nib.load(folder / f"hemi-{letter}_pial.surf.gii")
        places, faces = mesh.agg_data(("pointset", "triangle"))
        assert np.allclose(places, mni305_to_mni152(template_surfaces().pial[side]), atol=1e-3)
        assert np.array_equal(faces, template_surfaces().faces[side])
        held: Any = nib.load(folder / f"estimate_hemi-{letter}.func.gii")
        series = held.agg_data("time series")
        own = (result.stc.lh_data, result.stc.rh_data)[side]
        assert np.allclose(series[:642], own, rtol=1e-5)
        # Between vertices nothing exceeds what it comes from.
        assert np.nanmax(series) <= own.max() * (1 + 1e-5)
        assert held.meta["AnatomicalStructurePrimary"] == ("CortexLeft", "CortexRight")[side]
        assert float(held.meta["TimeStep"]) == pytest.approx(0.01)


def test_cifti_is_the_estimate_on_its_vertices(folder: Path, result: ImageResult) -> None:
    held: Any = nib.load(folder / "estimate.dtseries.nii")
    series, brain = held.header.get_axis(0), held.header.get_axis(1)
    assert np.allclose(held.get_fdata().T, result.stc.data, rtol=1e-5)
    assert series.start == pytest.approx(-0.1)
    assert series.step == pytest.approx(0.01)
    parts = {name: model for name, _, model in brain.iter_structures()}
    assert np.array_equal(parts["CIFTI_STRUCTURE_CORTEX_LEFT"].vertex, result.stc.vertices[0])
    assert brain.nvertices["CIFTI_STRUCTURE_CORTEX_RIGHT"] == 10242


def test_nifti_is_the_estimate_in_mni_space(folder: Path, result: ImageResult) -> None:
    held: Any = nib.load(folder / "estimate.nii.gz")
    assert held.shape[3] == 30
    assert np.allclose(held.header.get_zooms(), (4, 4, 4, 0.01))
    assert held.header.get_xyzt_units() == ("mm", "sec")
    assert int(held.header["sform_code"]) == 4
    assert float(held.header["toffset"]) == pytest.approx(-0.1)
    values, mni = held.get_fdata(), result.places.mni
    seen = 0
    for k in range(0, len(mni), 37):
        voxel = np.rint(nib.affines.apply_affine(np.linalg.inv(held.affine), mni[k])).astype(int)
        centre = nib.affines.apply_affine(held.affine, voxel)
        nearest = int(np.linalg.norm(mni - centre, axis=1).argmin())
        assert np.allclose(values[tuple(voxel)], result.content.sources.values[nearest], rtol=1e-5)
        seen += 1
    assert seen > 30
    # Nothing far from every location.
    index = np.argwhere(np.abs(values).max(-1) > 0)
    places = nib.affines.apply_affine(held.affine, index)[::50]
    apart = np.linalg.norm(places[:, None] - mni[None], axis=2).min(1)
    assert apart.max() <= 6.0
    assert "4 mm" in sidecar(folder, "estimate_nii")["Description"]


def test_arrays_for_matlab_and_numpy(folder: Path, result: ImageResult) -> None:
    matlab = loadmat(folder / "estimate.mat", squeeze_me=True)
    with np.load(folder / "estimate.npz", allow_pickle=False) as numpy:
        for held in (matlab, numpy):
            assert np.allclose(held["estimate"], result.stc.data)
            assert np.allclose(held["times"], result.stc.times)
            assert np.array_equal(held["vertices_rh"], result.stc.vertices[1])
            assert np.allclose(held["mni"], result.places.mni)
            assert str(held["unit"]) == "sLORETA"
            assert list(held["names"]) == [
                name or "none" for name in result.content.sources.names or ()
            ]
            assert result.courses is not None
            assert list(held["region_names"]) == list(result.courses.names)


def test_pictures_stand_alone(folder: Path) -> None:
    for name in ("sensors", "fit", "courses"):
        text = (folder / f"figure_{name}.svg").read_text("utf-8")
        assert ElementTree.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in text
    picture = Image.open(folder / "figure_cortex.png")
    assert picture.height == 300
    assert picture.info["dpi"][0] == pytest.approx(300, abs=1)
    pixels = np.asarray(picture)
    # A map has colour, not grey alone.
    assert (np.ptp(pixels.astype(int), axis=2) > 40).mean() > 0.005


def test_a_movie_shows_the_cortex_over_time(folder: Path, result: ImageResult) -> None:
    said = sidecar(folder, "figure_movie")
    with Image.open(folder / "figure_movie.gif") as movie:
        assert movie.n_frames == len(said["FrameTimes"]) == 21
        assert movie.info["duration"] == pytest.approx(1000 / said["FrameRate"], abs=10)
        frames = []
        for k in range(movie.n_frames):
            movie.seek(k)
            frames.append(np.asarray(movie.convert("RGB")).astype(int))
    peak = result.content.moments(1)[0].time
    assert said["FrameTimes"][0] >= peak - 0.1 - 1e-9
    assert min(abs(time - peak) for time in said["FrameTimes"]) < 1e-9
    # Below the strip with the time: the cortex has most colour where the estimate is largest.
    coloured = [(np.ptp(frame[12:], axis=2) > 40).mean() for frame in frames]
    strongest = np.abs(result.content.sources.values).max(0)
    shown = [int(np.abs(result.content.times - time).argmin()) for time in said["FrameTimes"]]
    assert np.corrcoef(coloured, strongest[shown])[0, 1] > 0.8
    assert coloured[0] < 0.5 * max(coloured)


def test_a_movie_has_few_frames_and_the_strongest_among_them() -> None:
    times = np.arange(-1000, 1000) / 1000.0
    for peak in (900, 1003, 1999):
        chosen = movies._samples(times, peak)
        assert peak in chosen
        assert len(chosen) <= movies.MOST
        assert np.abs(times[chosen] - times[peak]).max() <= movies.AROUND + 1e-9


def test_a_movie_stays_small(
    folder: Path, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = folder / "figure_movie.gif"
    monkeypatch.setattr(movies, "LARGEST", whole.stat().st_size // 2)
    export(material, ["gif"], tmp_path)
    small = tmp_path / "figure_movie.gif"
    assert small.stat().st_size <= movies.LARGEST
    with Image.open(small) as movie, Image.open(whole) as before:
        assert movie.width < before.width
        assert movie.n_frames == before.n_frames


def test_an_mp4_has_the_frames_of_the_gif(material: Material, tmp_path: Path) -> None:
    reader = pytest.importorskip("imageio_ffmpeg", reason="reads what it wrote")
    export(material, ["mp4"], tmp_path)
    n, seconds = reader.count_frames_and_secs(str(tmp_path / "figure_movie.mp4"))
    assert n == len(sidecar(tmp_path, "figure_movie")["FrameTimes"])
    assert seconds == pytest.approx(n / movies.RATE, abs=0.2)
    rows = reader.read_frames(str(tmp_path / "figure_movie.mp4"))
    assert tuple(next(rows)["size"]) == movies._film(material).frames[0].size


def test_an_mp4_without_ffmpeg_is_refused_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MajorantError, match=r"\(a .gif needs none\).*majorant\[movie\]"):
        ImageSettings(export=("mp4",))


def test_regions_of_interest_are_in_the_summary(folder: Path, result: ImageResult) -> None:
    rows = sidecar(folder, "summary")["roi"]
    assert result.courses is not None
    assert [row["region"] for row in rows] == list(result.courses.names)
    assert rows[0]["amplitude"] == pytest.approx(float(np.abs(result.courses.data[0]).max()))


def test_regions_of_interest_are_on_the_page(result: ImageResult) -> None:
    courses = result.courses
    assert courses is not None
    section = interest_section(result.content, courses)
    said = str(section.body)
    best = int(np.abs(courses.data).max(1).argmax())
    rows = [row for row in said.split("<tr>") if "<td" in row]
    assert courses.names[best] in rows[0]
    assert len(rows) == 40
    assert f"{len(courses.names) - 40} more are in regions.csv" in said
    assert "no sign" in said


def test_derivatives_of_bids_carry_them(
    result: ImageResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "write_page", lambda content, path, progress: path.write_text("page"))
    short = replace(result, settings=replace(result.settings, export=("tsv", "nifti")))
    study = Study(Preparation(), short.settings, str(tmp_path))
    _write(short, tmp_path, "sub-01_task-beep_desc-sloreta", "beep", study)
    stem = "sub-01_task-beep_desc-sloreta"
    for name in ("peaks.tsv", "peaks.json", "regions.tsv", "estimate.nii.gz", "estimate_nii.json"):
        assert (tmp_path / f"{stem}_{name}").is_file()
    said = sidecar(tmp_path, f"{stem}_summary")
    assert f"{stem}_estimate.nii.gz" in said["files"]


def test_what_cannot_be_had_is_said(result: ImageResult, tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match=r"no export 'nifty' \(did you mean 'nifti'\?\)"):
        ImageSettings(export=("nifty",))
    with pytest.raises(MajorantError, match="no region 'left noduleus'"):
        ImageSettings(roi=("left noduleus",)).naming()
    with pytest.raises(MajorantError, match=r"a \.set holds courses of regions.*--roi"):
        ImageSettings(export=("set",))
    other = replace(result.material, subject="ada")
    with pytest.raises(MajorantError, match="of the subject ada source space; morph it"):
        export(other, ["gifti"], tmp_path)
