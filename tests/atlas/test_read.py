"""Files of every format, written by the library that owns it, are the atlas that was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis

from majorant.atlas.gyri import gyri
from majorant.atlas.packaged import N_FSLR, packaged
from majorant.atlas.read import read_atlas
from majorant.forward.cortex import mni305_to_mni152
from majorant.forward.template import template_surfaces
from majorant.problem import MajorantError

N = 10242
NAMES = ("Unknown", "front", "back")


def planted(size: int = N) -> list[np.ndarray]:
    """1 in front, 2 behind, 0 for a stretch without a region."""
    values = [np.zeros(size, int) for _ in range(2)]
    for side, table in enumerate(values):
        y = template_surfaces().mid[side][:, 1]
        table[:N] = np.where(y > 0.02, 1, np.where(y < -0.02, 2, 0))
    return values


def assert_planted(found: Any) -> None:
    assert found.names == NAMES[1:]
    for table, values in zip(found.tables, planted(), strict=True):
        assert np.array_equal(table, values - 1)


@pytest.mark.parametrize("size", [N, 163842])
def test_an_annotation_of_freesurfer(tmp_path: Path, size: int) -> None:
    colours = np.c_[np.eye(3, dtype=int) * 200, np.zeros((3, 1), int), np.arange(3)]
    for hemi, values in zip(("lh", "rh"), planted(size), strict=True):
        nib.freesurfer.write_annot(
            tmp_path / f"{hemi}.mine.annot", values, colours, [n.encode() for n in NAMES],
            fill_ctab=True,
        )  # fmt: skip
    for hemi in ("lh", "rh"):
        found = read_atlas(tmp_path / f"{hemi}.mine.annot")
        assert found.name == "mine"
        assert_planted(found)


def test_a_label_of_freesurfer(tmp_path: Path) -> None:
    label = mne.Label(np.array([3, 70, 500]), hemi="rh", subject="fsaverage", name="spot")
    label.save(tmp_path / "spot-rh.label")
    found = read_atlas(tmp_path / "spot-rh.label")
    assert found.titles == ("right spot",)
    assert np.array_equal(np.flatnonzero(found.tables[1] == 0), [3, 70, 500])
    assert found.labels()[0].name == "spot-rh"


@pytest.mark.parametrize("pattern", ["{}.mine.label.gii", "sub_hemi-{}_mine.label.gii"])
def test_labels_of_gifti(tmp_path: Path, pattern: str) -> None:
    for hemi, values in zip("LR", planted(), strict=True):
        table = nib.gifti.GiftiLabelTable()
        for key, name in enumerate(NAMES):
            label = nib.gifti.GiftiLabel(key, 1.0, 0.0, 0.0, 1.0)
            label.label = name if key == 0 else f"{hemi}_{name}"
            table.labels.append(label)
        array = nib.gifti.GiftiDataArray(values.astype(np.int32), intent="NIFTI_INTENT_LABEL")
        image = nib.gifti.GiftiImage(darrays=[array], labeltable=table)
        nib.save(image, tmp_path / pattern.format(hemi))
    assert_planted(read_atlas(tmp_path / pattern.format("R")))


def test_labels_of_cifti_on_fsaverage(tmp_path: Path) -> None:
    axis = LabelAxis(["mine"], {k: (name, (1, 0, 0, 1)) for k, name in enumerate(NAMES)})
    models = [
        BrainModelAxis.from_mask(np.ones(N, bool), name=f"cortex_{side}")
        for side in ("left", "right")
    ]
    data = np.concatenate(planted())[None].astype(np.float32)
    image = Cifti2Image(data, header=(axis, models[0] + models[1]))
    nib.save(image, tmp_path / "mine.dlabel.nii")
    assert_planted(read_atlas(tmp_path / "mine.dlabel.nii"))


def test_labels_of_cifti_on_the_connectomes_mesh(tmp_path: Path) -> None:
    try:
        packaged("yeo7")
    except MajorantError as error:
        pytest.skip(str(error))
    axis = LabelAxis(["all"], {0: ("???", (0, 0, 0, 0)), 1: ("all", (1, 0, 0, 1))})
    models = [
        BrainModelAxis.from_mask(np.ones(N_FSLR, bool), name=f"cortex_{s}")
        for s in ("left", "right")
    ]
    image = Cifti2Image(np.ones((1, 2 * N_FSLR), np.float32), header=(axis, models[0] + models[1]))
    nib.save(image, tmp_path / "all.dlabel.nii")
    found = read_atlas(tmp_path / "all.dlabel.nii")
    assert "fs_LR" in found.about
    assert all((table == 0).all() for table in found.tables)


def test_a_volume_in_mni_space(tmp_path: Path) -> None:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = -90, -126, -72
    y = (np.indices((46, 55, 46))[1] * 4.0) - 126
    voxels = np.where(y > 20, 7, np.where(y < -20, 9, 0)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, affine), tmp_path / "mine.nii.gz")
    (tmp_path / "mine.txt").write_text("7 front\n9 back\n")
    found = read_atlas(tmp_path / "mine.nii.gz")
    assert found.names == ("front", "back")
    assert found.volume is not None
    mid = mni305_to_mni152(template_surfaces().mid[0])
    assert (found.tables[0][mid[:, 1] > 24] == 0).all()
    assert (found.tables[0][mid[:, 1] < -24] == 1).all()
    assert (found.tables[0][np.abs(mid[:, 1]) < 14] == -1).all()
    assert found.name_of((-30, 40, 20)) == "left front"
    (tmp_path / "mine.txt").unlink()
    assert read_atlas(tmp_path / "mine.nii.gz").names == ("region 7", "region 9")


def test_labels_go_to_mne_and_back(tmp_path: Path) -> None:
    labels = gyri().labels()
    assert len(labels) == 62
    assert sum(len(label.vertices) for label in labels) == sum(
        int((table >= 0).sum()) for table in gyri().tables
    )
    assert {label.subject for label in labels} == {"fsaverage"}
    for label in labels[:2]:
        label.save(tmp_path / f"{label.hemi}.one.label")


def test_a_subjects_own_annotation_needs_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "ada" / "label"
    folder.mkdir(parents=True)
    colours = np.c_[np.eye(3, dtype=int) * 200, np.zeros((3, 1), int), np.arange(3)]
    for hemi, size in (("lh", 700), ("rh", 650)):
        nib.freesurfer.write_annot(
            folder / f"{hemi}.aparc.annot", np.arange(size) % 3, colours,
            [n.encode() for n in NAMES], fill_ctab=True,
        )  # fmt: skip
    found = read_atlas("aparc", subject="ada", subjects_dir=tmp_path)
    assert [len(table) for table in found.tables] == [700, 650]
    assert found.of_vertices(np.array([0, 1]), np.array([4, 2])).tolist() == [0, 1]
    with pytest.raises(MajorantError, match="of the subject ada"):
        found.name_of((-30, 0, 0))
    with pytest.raises(MajorantError, match="no size of fsaverage"):
        read_atlas(folder / "lh.aparc.annot")


def test_what_is_no_atlas_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MajorantError, match=r"no atlas 'gyry' \(did you mean 'gyri'\?\)"):
        read_atlas("gyry")
    text = tmp_path / "notes.txt"
    text.write_text("no atlas")
    with pytest.raises(MajorantError, match="no atlas by its name"):
        read_atlas(text)
    for name in ("lh.bad.annot", "bad.nii", "lh.bad.label.gii", "bad.dlabel.nii"):
        (tmp_path / name).write_bytes(b"nonsense" * 50)
        with pytest.raises(MajorantError, match="cannot be read as an atlas"):
            read_atlas(tmp_path / name)
    smooth = nib.Nifti1Image(np.random.default_rng(0).random((4, 4, 4)), np.eye(4))
    nib.save(smooth, tmp_path / "smooth.nii")
    with pytest.raises(MajorantError, match="no volume of whole numbers"):
        read_atlas(tmp_path / "smooth.nii")
