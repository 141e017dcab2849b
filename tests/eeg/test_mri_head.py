"""An MRI made ready: shells found or derived, coregistered, checked, drawn, and imaged on."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import mne
import numpy as np
import pytest
import torch

from majorant import SourceImager
from majorant.findings.regions import why_not
from majorant.findings.regions.simulated import Simulated
from majorant.forward.anatomy import Seen
from majorant.forward.bank import HeadBank
from majorant.forward.mesh import coarser_faces
from majorant.forward.template import template_head, template_surfaces
from majorant.head.around import forward_heads_around, subject_heads_around
from majorant.head.individual import individual_head
from majorant.head.shells import NAMES, find_shells
from majorant.problem import MajorantError
from majorant.report.heads import save_head, section

NAME = "eva"
SHEAR = np.array([[0.95, 0.02, 0.0], [0.0, 1.04, 0.03], [0.01, 0.0, 0.98]])
SHIFT = np.array([0.004, -0.006, 0.01])
FEW = 162


def warp(places: np.ndarray) -> np.ndarray:
    """From the template to the subject, metres: affine, and a little bent."""
    bend = 0.001 * np.sin(places[:, [1, 2, 0]] / 0.05)
    return places @ SHEAR.T + SHIFT + bend


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subject as FreeSurfer and a watershed leave it, with coarse skulls."""
    surfaces, head = template_surfaces(), template_head()
    root = tmp_path_factory.mktemp("mri")
    for folder in ("surf", "bem"):
        (root / NAME / folder).mkdir(parents=True)
    for side, name in enumerate(("lh", "rh")):
        for kind, places in (
            ("white", warp(surfaces.white[side].astype(float))),
            ("pial", warp(surfaces.pial[side].astype(float))),
            ("sphere", surfaces.sphere[side]),
            ("sphere.reg", surfaces.sphere[side]),
        ):
            path = root / NAME / "surf" / f"{name}.{kind}"
            mne.write_surface(path, 1e3 * places, surfaces.faces[side])
    coarse = coarser_faces(head.shell_faces)
    for k, name in enumerate(("inner_skull", "outer_skull", "outer_skin")):
        shell, faces = warp(head.shells[k]), head.shell_faces
        if k < 2:
            shell, faces = shell[:FEW], coarse
        mne.write_surface(root / NAME / "bem" / f"{name}.surf", 1e3 * shell, faces)
    return root


@pytest.fixture(scope="module")
def info() -> mne.Info:
    """32 electrodes on the subject's scalp, digitised with 1 mm of noise in the head's frame."""
    head, rng = template_head(), np.random.default_rng(0)
    above = np.flatnonzero(head.shells[2][:, 2] > 0.0)
    sites = warp(head.shells[2][rng.choice(above, 32, replace=False)])
    marks = warp(head.fiducials)
    origin = (marks[0] + marks[2]) / 2
    x = marks[2] - origin
    x /= np.linalg.norm(x)
    z = np.cross(x, marks[1] - origin)
    z /= np.linalg.norm(z)
    axes = np.stack([x, np.cross(z, x), z])
    placed = (sites - origin) @ axes.T + 0.001 * rng.standard_normal(sites.shape)
    names = [f"E{k}" for k in range(32)]
    lpa, nasion, rpa = (marks - origin) @ axes.T
    montage = mne.channels.make_dig_montage(
        dict(zip(names, placed, strict=True)), nasion, lpa, rpa, coord_frame="head"
    )
    return mne.create_info(names, 250.0, "eeg", verbose="error").set_montage(montage)


def test_a_head_is_made_ready_checked_drawn_and_imaged_on(
    subjects: Path, info: mne.Info, tmp_path: Path
) -> None:
    found = individual_head(NAME, str(subjects), info=info, spacing="ico3")
    assert found.coregistration is not None
    assert found.coregistration.median_mm < 2
    # The template's fiducials, carried over by the cortex, are the subject's up to the bend.
    assert found.fiducials_mm is not None
    assert found.fiducials_mm < 4
    assert not found.shells.derived
    assert found.outside == 0
    assert min(found.gaps_mm) > 0.5
    assert not found.sunk
    summary = save_head(found, tmp_path / "head")
    assert json.loads((tmp_path / "head" / "summary.json").read_text())["kind"] == "head"
    assert "<svg" in (tmp_path / "head" / "head.html").read_text()
    assert summary["coregistration"]["by"] == "fiducials and scalp"
    said: list[str] = []
    imager = SourceImager("sloreta", space="ico3", subject=NAME, subjects_dir=subjects)
    imager.fit(info, progress=said.append)
    assert not any("potentials" in line for line in said)
    evoked = mne.EvokedArray(1e-6 * np.random.default_rng(1).standard_normal((32, 3)), info)
    assert imager.apply(evoked).subject == NAME


def test_shells_are_derived_where_a_folder_has_none(subjects: Path, tmp_path: Path) -> None:
    shutil.copytree(subjects / NAME / "surf", tmp_path / NAME / "surf")
    found = find_shells(tmp_path / NAME, NAME, str(tmp_path))
    assert found.derived
    assert "not the subject’s" in found.sentence
    true = [warp(shell) for shell in template_head().shells]
    apart = [
        np.linalg.norm(surface[0] - shell, axis=1)
        for surface, shell in zip(found.surfaces, true, strict=True)
    ]
    assert max(float(np.median(part)) for part in apart) < 0.003
    checked = individual_head(NAME, str(tmp_path))
    assert checked.outside == 0
    assert min(checked.gaps_mm) > 1
    assert found.sentence in checked.cautions
    # A scalp of its own is kept: 4 mm farther out than the template's would be.
    centre = true[2].mean(axis=0)
    (tmp_path / NAME / "bem").mkdir()
    wide = centre + (true[2] - centre) * 1.05
    path = tmp_path / NAME / "bem" / "outer_skin.surf"
    mne.write_surface(path, 1e3 * wide, template_head().shell_faces)
    scalp = find_shells(tmp_path / NAME, NAME, str(tmp_path)).surfaces[2][0]
    above = scalp[:, 2] > 0.02
    near = np.linalg.norm(scalp[above][:, None] - wide[None], axis=2).min(axis=1)
    assert float(np.median(near)) < 0.004


def test_surfaces_of_a_watershed_are_taken_as_mne_names_them(
    subjects: Path, tmp_path: Path
) -> None:
    shells = tmp_path / NAME / "bem" / "watershed"
    shells.mkdir(parents=True)
    for name in NAMES:
        shutil.copy(subjects / NAME / "bem" / f"{name}.surf", shells / f"{NAME}_{name}_surface")
    found = find_shells(tmp_path / NAME, NAME, str(tmp_path))
    assert not found.derived
    assert "bem/watershed" in found.sentence
    own = find_shells(subjects / NAME, NAME, str(subjects))
    for mine, theirs in zip(found.surfaces, own.surfaces, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])


def test_shells_that_cross_and_folders_that_lack_are_refused(
    subjects: Path, tmp_path: Path
) -> None:
    shutil.copytree(subjects / NAME, tmp_path / NAME)
    bem, surf = tmp_path / NAME / "bem", tmp_path / NAME / "surf"
    places, faces, *_ = mne.read_surface(bem / "outer_skull.surf")
    middle = places.mean(axis=0)
    mne.write_surface(
        bem / "outer_skull.surf", middle + 0.8 * (places - middle), faces, overwrite=True
    )
    with pytest.raises(MajorantError, match=r"shells of eva cross: the outer skull"):
        individual_head(NAME, str(tmp_path))
    shutil.rmtree(bem)
    (surf / "lh.sphere.reg").unlink()
    with pytest.raises(MajorantError, match=r"without lh\.sphere\.reg they cannot be derived"):
        individual_head(NAME, str(tmp_path))


def test_a_plane_cuts_a_surface_in_closed_outlines() -> None:
    head = template_head()
    lines = section(head.shells[2], head.shell_faces, 2, 0.02)
    assert len(lines) > 20
    np.testing.assert_allclose(lines[:, :, 2], 0.02)
    ends = np.round(lines.reshape(-1, 3), 9)
    _, count = np.unique(ends, axis=0, return_counts=True)
    assert (count == 2).all()


def test_heads_are_drawn_around_a_subject_and_around_a_forward(
    subjects: Path, info: mne.Info
) -> None:
    imager = SourceImager("sloreta", space="ico3", subject=NAME, subjects_dir=subjects).fit(info)
    own = subject_heads_around(info, NAME, str(subjects), None, None)
    true = [warp(shell) for shell in template_head().shells]
    middle = true[0].mean(axis=0)
    found, known = (
        np.linalg.norm(np.stack(shells) - middle, axis=2) for shells in (own.anatomy.shells, true)
    )
    # The folder's skulls have 162 nodes each, whose planes cut corners.
    assert (np.abs(np.median(found - known, axis=1)) < 0.003).all()
    assert (np.diff(found, axis=0) > 0).all()
    moved = own.anatomy.positions - warp(template_surfaces().pial.reshape(-1, 3))
    assert np.quantile(np.linalg.norm(moved, axis=1), 0.99) < 1e-4
    assert imager.around_ is not None
    assert why_not(imager) is None
    # A forward says nothing of shells: they come by the extent of its cortex and by electrodes.
    given = SourceImager("sloreta").fit(info, imager.forward_)
    assert given.around_ is not None
    guessed = given.around_()
    assert len(guessed.anatomy.positions) == given.leadfield_.n_locations
    np.testing.assert_allclose(guessed.anatomy.positions, given.leadfield_.positions, atol=0.003)
    apart = guessed.electrodes - own.pick(guessed.ch_names).electrodes
    assert np.median(np.linalg.norm(apart, axis=1)) < 0.004


def test_a_forward_in_another_frame_has_no_regions(
    subjects: Path, info: mne.Info, monkeypatch: pytest.MonkeyPatch
) -> None:
    def infinite(self: HeadBank, electrodes: np.ndarray, *_: object) -> Seen:
        def seen(positions: np.ndarray, moments: np.ndarray) -> torch.Tensor:
            ray = electrodes[:, None] - positions
            gain = np.einsum("ijk,jk->ij", ray, moments) / np.linalg.norm(ray, axis=2) ** 3
            return torch.from_numpy(gain)

        return seen

    monkeypatch.setattr(HeadBank, "_seen", infinite)
    imager = SourceImager("sloreta", space="ico3", subject=NAME, subjects_dir=subjects).fit(info)
    given = SourceImager("sloreta").fit(info, imager.forward_)
    assert Simulated.of(given, 1).alike() > 0.8
    turned = info.copy()
    for channel in turned["chs"]:
        channel["loc"][:2] *= -1
    given.around_ = partial(forward_heads_around, imager.forward_, turned)
    with pytest.raises(MajorantError, match="share their frame"):
        Simulated.of(given, 1)
