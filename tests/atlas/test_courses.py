"""Courses of regions are MNE's, with a sign that means something, in MNE's own containers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant import SourceImager
from majorant.atlas.gyri import gyri
from majorant.forward.template import template_surfaces
from majorant.head.places import locate
from majorant.head.template import template_space
from majorant.problem import MajorantError


@pytest.fixture(scope="module")
def evoked() -> Any:
    montage = mne.channels.make_standard_montage("biosemi32")
    info = mne.create_info(montage.ch_names, 100.0, "eeg", verbose="error")
    data = 5e-6 * np.random.default_rng(3).standard_normal((32, 20))
    made = mne.EvokedArray(data, info, tmin=-0.05, nave=20, verbose="error")
    made.set_montage(montage)
    return made.set_eeg_reference("average", projection=True, verbose="error")


@pytest.fixture(scope="module")
def fixed(evoked: Any) -> SourceImager:
    return SourceImager("sloreta", space="ico3", loose=0).fit(evoked.info)


@pytest.fixture(scope="module")
def loose(evoked: Any) -> SourceImager:
    return SourceImager("mne", space="ico3", loose=0.2).fit(evoked.info)


@pytest.mark.parametrize("mode", ["mean", "mean_flip", "pca_flip", "max"])
def test_they_are_those_of_mne(evoked: Any, fixed: SourceImager, mode: str) -> None:
    stc = fixed.apply(evoked)
    found = fixed.extract(stc, "gyri", mode)
    used = [np.arange(642)] * 2
    labels = [label for label in gyri().labels() if np.isin(label.vertices, used[0]).any()]
    expected = mne.extract_label_time_course(
        stc, labels, template_space(used), mode=mode, verbose="error"
    )
    assert found.data.shape == (len(labels), 20)
    assert np.allclose(found.data, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())
    assert found.unit == "sLORETA"
    assert np.allclose(found.times, evoked.times)
    inside = sum(np.isin(label.vertices, used[0]).sum() for label in labels)
    assert sum(found.sizes) == inside


def test_a_course_is_positive_along_the_main_direction_of_the_normals(
    evoked: Any, fixed: SourceImager
) -> None:
    stc = fixed.apply(evoked)
    normals = np.concatenate([template_surfaces().normals[side][:642] for side in range(2)])
    table = gyri().tables[0][:642]
    folded = 0
    for name in ("postcentral gyrus", "cuneus", "insula"):
        own = np.flatnonzero(table == gyri().names.index(name))
        axis = np.linalg.svd(normals[own])[2][0]
        axis *= np.sign((normals[own] @ axis).mean())
        field = stc.copy()
        field.data = np.repeat(normals @ axis[:, None], 20, axis=1)
        for mode in ("mean_flip", "pca_flip"):
            held = fixed.extract(field, mode=mode, regions=[f"left {name}"])
            assert (held.data > 0).all()
        flipped = fixed.extract(field, regions=[f"left {name}"])
        assert np.allclose(flipped.data, np.abs(normals[own] @ axis).mean())
        # Without the turning, what flows into the banks of a sulcus cancels.
        plain = fixed.extract(field, mode="mean", regions=[f"left {name}"])
        folded += bool((normals[own] @ axis < 0).any())
        assert (plain.data < flipped.data).all() or (normals[own] @ axis > 0).all()
    assert folded >= 2


def test_lengths_are_averaged_and_never_flipped(evoked: Any, loose: SourceImager) -> None:
    stc = loose.apply(evoked)
    found = loose.extract(stc)
    assert found.mode == "mean"
    assert not found.signed
    assert (found.data > 0).all()
    assert found.unit == "Am"
    with pytest.raises(MajorantError, match="lengths without a sign"):
        loose.extract(stc, mode="mean_flip")


def test_regions_are_chosen_by_name(evoked: Any, fixed: SourceImager) -> None:
    stc = fixed.apply(evoked)
    found = fixed.extract(stc, regions=["precentral gyrus", "left cuneus"])
    assert found.names == ("left precentral gyrus", "right precentral gyrus", "left cuneus")
    everything = fixed.extract(stc)
    for name, course in zip(found.names, found.data, strict=True):
        assert np.array_equal(course, everything.data[everything.names.index(name)])


def test_labels_of_ones_own_are_regions(evoked: Any, fixed: SourceImager) -> None:
    stc = fixed.apply(evoked)
    label = mne.Label(np.array([1, 2, 3, 9000]), hemi="rh", name="spot-rh", subject="fsaverage")
    found = fixed.extract(stc, label, "mean")
    assert found.names == ("right spot",)
    assert found.sizes == (3,)
    assert np.allclose(found.data[0], stc.data[642 + np.array([1, 2, 3])].mean(0))
    with pytest.raises(MajorantError, match="overlaps another"):
        fixed.extract(stc, [label, label])
    other = mne.Label(np.array([1]), hemi="rh", name="b-rh", subject="ada")
    with pytest.raises(MajorantError, match="of the subject 'ada'"):
        fixed.extract(stc, [other])


def test_trials_and_mnes_containers(evoked: Any, fixed: SourceImager, tmp_path: Path) -> None:
    data = np.stack([evoked.data, 2 * evoked.data])
    epochs = mne.EpochsArray(data, evoked.info, tmin=-0.05, verbose="error")
    found = fixed.extract(fixed.apply(epochs, return_generator=True), regions=["insula"])
    assert found.data.shape == (2, 2, 20)
    assert np.allclose(found.data[1], 2 * found.data[0])
    found.epochs().save(tmp_path / "regions-epo.fif", verbose="error")
    back = mne.read_epochs(tmp_path / "regions-epo.fif", verbose="error")
    assert back.ch_names == ["left insula", "right insula"]
    assert np.allclose(back.get_data(), found.data, rtol=1e-6, atol=0)
    assert back.tmin == pytest.approx(-0.05)
    single = fixed.extract(fixed.apply(evoked), regions=["insula"])
    single.raw().save(tmp_path / "regions_raw.fif", verbose="error")
    raw = mne.io.read_raw_fif(tmp_path / "regions_raw.fif", verbose="error")
    assert np.allclose(raw.get_data(), single.data, rtol=1e-6, atol=0)
    assert "sLORETA" in raw.info["description"]
    mne.write_evokeds(tmp_path / "regions-ave.fif", single.evoked(20), verbose="error")
    again = mne.read_evokeds(tmp_path / "regions-ave.fif", verbose="error")[0]
    assert again.nave == 20
    assert again.times[0] == pytest.approx(-0.05)


def test_the_994_regions_and_volumes_have_courses_too(evoked: Any) -> None:
    coarse = SourceImager("mne", space="regions").fit(evoked.info)
    stc = coarse.apply(evoked)
    found = coarse.extract(stc, mode="mean")
    assert len(found.names) == 62
    table = gyri().tables[0]
    name = found.names.index("left insula")
    own = table[stc.vertices[0]] == gyri().names.index("insula")
    assert np.allclose(found.data[name], stc.lh_data[own].mean(0))


def test_volumes_are_asked_by_place(evoked: Any) -> None:
    surfaces = template_surfaces()
    places = 0.8 * surfaces.mid[:, ::150].reshape(-1, 3).astype(float) + np.array([0, 0, 0.02])
    sphere = mne.make_sphere_model((0, 0, 0.02), 0.1, verbose="error")
    normals = np.tile([0, 0, 1.0], (len(places), 1))
    space = mne.setup_volume_source_space(
        pos={"rr": places, "nn": normals}, sphere=sphere, verbose="error"
    )
    forward = mne.make_forward_solution(evoked.info, None, space, sphere, verbose="error")
    imager = SourceImager("mne").fit(evoked.info, forward)
    stc = imager.apply(evoked)
    found = imager.extract(stc)
    mni = locate(imager.leadfield_).mni
    own = [k for k, place in enumerate(mni) if gyri().name_of(place) == found.names[0]]
    assert found.mode == "mean"
    assert found.sizes[0] == len(own)
    assert np.allclose(found.data[0], stc.data[own].mean(0))
    assert np.allclose(imager.extract(stc, mode="max").data[0], stc.data[own].max(0))


def test_what_cannot_be_had_is_said(evoked: Any, fixed: SourceImager, loose: SourceImager) -> None:
    stc = fixed.apply(evoked)
    with pytest.raises(MajorantError, match="no mode 'median'"):
        fixed.extract(stc, mode="median")
    with pytest.raises(MajorantError, match="no atlas 'girly'"):
        fixed.extract(stc, "girly")
    with pytest.raises(MajorantError, match="as it came"):
        fixed.extract(stc.in_label(gyri().labels()[0]))
    vectors = SourceImager("mne", space="ico3", loose=0.2, pick_ori="vector").fit(evoked.info)
    with pytest.raises(MajorantError, match="courses of vectors"):
        vectors.extract(vectors.apply(evoked))
