"""fsaverage on this machine: MNE's functions find what they need, and it is the template's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib
import mne
import numpy as np
import pytest

from majorant.atlas.gyri import gyri
from majorant.datasets import SOURCES, fsaverage
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template import template_head, template_parcels, template_surfaces
from majorant.problem import MajorantError

SUBJECT = "fsaverage"


@pytest.fixture(scope="module")
def subjects() -> Path:
    return fsaverage()


def ico(depth: int, data: np.ndarray) -> Any:
    """An estimate on an icosahedral mesh, as our imager gives it."""
    used = np.arange(10 * 4**depth + 2)
    return mne.SourceEstimate(data, [used, used], 0.0, 0.01, subject=SUBJECT)


def smooth(depth: int, subjects: Path) -> Any:
    """An estimate that varies slowly over the cortex: the coordinates of its vertices."""
    spheres = [
        mne.read_surface(subjects / SUBJECT / "surf" / f"{h}.sphere")[0] for h in ("lh", "rh")
    ]
    return ico(depth, np.concatenate([s[: 10 * 4**depth + 2] for s in spheres]))


def test_it_is_written_once(subjects: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in subjects.rglob("*") if p.is_file()}
    assert fsaverage() == subjects
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert not list(subjects.parent.glob(".majorant-*"))


def test_surfaces_are_those_that_lead_fields_are_made_of(subjects: Path) -> None:
    surfaces = template_surfaces()
    for side, hemi in enumerate(("lh", "rh")):
        for name in ("pial", "white", "inflated", "sphere"):
            places, faces = mne.read_surface(subjects / SUBJECT / "surf" / f"{hemi}.{name}")
            assert np.allclose(places / 1e3, getattr(surfaces, name)[side], atol=1e-7)
            assert np.array_equal(faces, surfaces.faces[side])
    space = mne.read_source_spaces(
        subjects / SUBJECT / "bem" / "fsaverage-ico-4-src.fif", verbose="error"
    )
    for side, part in enumerate(space):
        assert np.array_equal(part["vertno"], np.arange(2562))
        assert np.allclose(part["rr"], surfaces.pial[side], atol=1e-6)


def test_every_file_says_where_it_comes_from(subjects: Path) -> None:
    said = json.loads((subjects / SUBJECT / "SOURCES.json").read_text())
    assert said["sources"] == dict(SOURCES)
    assert "FreeSurfer" in said["licences"]
    approximations = [name for name, text in SOURCES.items() if "approximation" in text]
    assert {"bem/outer_skull.surf", "mri/T1.mgz", "label/?h.cortex.label"} <= set(approximations)


def test_an_estimate_is_drawn(subjects: Path) -> None:
    matplotlib.use("Agg")
    stc = ico(3, np.random.default_rng(0).random((1284, 2)))
    figure = stc.plot(
        subjects_dir=subjects, backend="matplotlib", hemi="lh", spacing="ico3", verbose="error",
        smoothing_steps=2,
    )  # fmt: skip
    assert figure.axes
    matplotlib.pyplot.close(figure)


def test_an_estimate_goes_to_ico4_and_back(subjects: Path) -> None:
    fine = smooth(5, subjects)
    down = mne.compute_source_morph(
        fine, SUBJECT, SUBJECT, subjects, spacing=4, smooth="nearest", verbose="error"
    )
    coarse = down.apply(fine)
    assert np.allclose(coarse.data, smooth(4, subjects).data, atol=1e-3)
    up = mne.compute_source_morph(
        coarse, SUBJECT, SUBJECT, subjects, spacing=5, smooth=5, verbose="error"
    )
    back = up.apply(coarse)
    assert back.shape == fine.shape
    # Radius 100 mm: vertices of ico4 are some 7 mm apart there.
    assert np.linalg.norm(back.data - fine.data, axis=1).max() < 7


def test_labels_grow_and_their_courses_are_extracted(subjects: Path) -> None:
    grown = mne.grow_labels(SUBJECT, [100, 200], 12, [0, 1], subjects)
    places = 1e3 * template_surfaces().white.astype(float)
    for side, (label, seed) in enumerate(zip(grown, (100, 200), strict=True)):
        assert seed in label.vertices
        assert len(label.vertices) > 10
        apart = np.linalg.norm(places[side][label.vertices] - places[side][seed], axis=1)
        assert apart.max() <= 12
    space = mne.read_source_spaces(
        subjects / SUBJECT / "bem" / "fsaverage-ico-4-src.fif", verbose="error"
    )
    stc = smooth(4, subjects)
    courses = mne.extract_label_time_course(stc, grown, space, mode="mean", verbose="error")
    held = np.intersect1d(grown[0].vertices, np.arange(2562))
    assert np.allclose(courses[0], stc.data[held].mean(0))


def test_the_annotation_is_read_by_its_name(subjects: Path) -> None:
    labels = mne.read_labels_from_annot(SUBJECT, "gyri", subjects_dir=subjects, verbose="error")
    own = {label.name: label for label in gyri().labels()}
    found = {label.name: label for label in labels if not label.name.startswith("unknown")}
    assert set(found) == set(own)
    for name, label in found.items():
        assert np.array_equal(np.sort(label.vertices), own[name].vertices)


def test_cortex_is_what_the_regions_cover(subjects: Path) -> None:
    for side, hemi in enumerate(("lh", "rh")):
        label = mne.read_label(subjects / SUBJECT / "label" / f"{hemi}.cortex.label")
        assert np.array_equal(label.vertices, np.flatnonzero(template_parcels()[side].numpy() >= 0))


def test_coordinates_are_mni305_and_the_image_lies_under_the_surface(subjects: Path) -> None:
    vertices = np.array([0, 5000])
    found = mne.vertex_to_mni(vertices, 0, SUBJECT, subjects, verbose="error")
    white = template_surfaces().white[0][vertices].astype(float)
    assert np.allclose(found, 1e3 * white, atol=1e-2)
    import nibabel

    image: Any = nibabel.loadsave.load(subjects / SUBJECT / "mri" / "T1.mgz")
    assert image.shape == (256, 256, 256)
    # Grey matter is darker than the white matter 3 mm further in, on average over the cortex.
    surfaces = template_surfaces()
    inwards = surfaces.white - np.float32(0.003) * surfaces.normals

    def seen(places: np.ndarray) -> float:
        voxel = (
            np.linalg.inv(image.header.get_vox2ras_tkr())
            @ np.c_[1e3 * places, np.ones(len(places))].T
        )
        i, j, k = np.rint(voxel[:3]).astype(int)
        return float(np.asarray(image.dataobj)[i, j, k].mean())

    assert seen(surfaces.mid.reshape(-1, 3)) < 0.9 * seen(inwards.reshape(-1, 3))
    assert np.allclose(mni305_to_mni152(np.zeros(3)), [-0.0429, 1.5496, 1.1840])


def test_the_shells_make_a_model(subjects: Path) -> None:
    model = mne.make_bem_model(SUBJECT, None, subjects_dir=subjects, verbose="error")
    head = template_head()
    # MNE lists them from the scalp inwards.
    for surface, shell in zip(model[::-1], head.shells, strict=True):
        assert np.allclose(surface["rr"], shell, atol=1e-6)
    stored = mne.read_bem_surfaces(
        subjects / SUBJECT / "bem" / "fsaverage-1280-1280-1280-bem.fif", verbose="error"
    )
    assert [s["id"] for s in stored] == [4, 3, 1]
    trans: Any = mne.read_trans(subjects / SUBJECT / "bem" / "fsaverage-trans.fif")
    assert np.allclose(trans["trans"], head.head_to_mri)


def test_a_cache_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MAJORANT_CACHE", str(tmp_path / "file"))
    with pytest.raises(MajorantError, match="set MAJORANT_CACHE to a folder of yours"):
        fsaverage()
