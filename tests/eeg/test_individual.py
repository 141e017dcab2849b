"""A head of one's own: a subject written by the test, or any forward on its cortex."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
import torch

from majorant import SourceImager
from majorant.forward.leadfield import Leadfield
from majorant.forward.template import template_head, template_parcels, template_surfaces
from majorant.head import find as anatomy
from majorant.head.registration import MEMBERS, carry_regions
from majorant.head.subject import subject_forward
from majorant.problem import MajorantError
from majorant.registry import spec

NAME = "ada"
SCALE = np.array([0.94, 1.03, 0.97])


@pytest.fixture(scope="module")
def evoked(averages: list[Any]) -> Any:
    return averages[0].copy().pick("eeg", verbose="error")


@pytest.fixture(scope="module")
def order() -> np.ndarray:
    """The subject's vertices are numbered otherwise than fsaverage's."""
    return np.random.default_rng(0).permutation(10242)


@pytest.fixture(scope="module")
def subjects(tmp_path_factory: pytest.TempPathFactory, order: np.ndarray) -> Path:
    """A head that is narrower and longer than fsaverage, as FreeSurfer would leave it."""
    surfaces, head = template_surfaces(), template_head()
    root = tmp_path_factory.mktemp("subjects")
    for folder in ("surf", "bem"):
        (root / NAME / folder).mkdir(parents=True)
    rank = np.argsort(order)
    for side, name in enumerate(("lh", "rh")):
        faces = rank[surfaces.faces[side]]
        for kind, places in (
            ("white", 1e3 * SCALE * surfaces.white[side]),
            ("sphere", 1e3 * surfaces.sphere[side]),
            ("sphere.reg", 1e3 * surfaces.sphere[side]),
        ):
            mne.write_surface(root / NAME / "surf" / f"{name}.{kind}", places[order], faces)
    for shell, name in zip(head.shells, ("inner_skull", "outer_skull", "outer_skin"), strict=True):
        mne.write_surface(root / NAME / "bem" / f"{name}.surf", 1e3 * SCALE * shell, _few(head))
    moved = head.head_to_mri.copy()
    moved[:3] = np.diag(SCALE) @ moved[:3]
    turn, _, vt = np.linalg.svd(moved[:3, :3])
    moved[:3, :3] = turn @ vt
    trans = mne.transforms.Transform("head", "mri", moved)
    mne.write_trans(root / NAME / "bem" / f"{NAME}-trans.fif", trans, verbose="error")
    return root


def _few(head: Any) -> np.ndarray:
    return head.shell_faces


@pytest.fixture(scope="module")
def forward(evoked: Any, subjects: Path) -> Any:
    """On 2,562 vertices of each hemisphere, a sphere for a head: quick, and a surface."""
    src = mne.setup_source_space(
        NAME, "ico4", subjects_dir=subjects, add_dist=False, verbose="error"
    )
    trans = mne.read_trans(subjects / NAME / "bem" / f"{NAME}-trans.fif")
    sphere = mne.make_sphere_model("auto", "auto", evoked.info, verbose="error")
    return mne.make_forward_solution(evoked.info, trans, src, sphere, mindist=0.0, verbose="error")


def test_regions_are_area_weighted_means_by_the_registration(
    evoked: Any, forward: Any, subjects: Path, order: np.ndarray
) -> None:
    carried = carry_regions(forward, evoked.info, str(subjects), spec("mm-net"))
    lead, space = carried.leadfield, carried.space
    assert lead.n_locations == 994
    assert space.subject == NAME
    assert "carried over to ada" in carried.sentence
    parcels = template_parcels().numpy()
    assert space.index is not None
    expected = np.concatenate([p[order[v]] for p, v in zip(parcels, space.vertices, strict=True)])
    assert np.array_equal(space.index, expected)
    fixed = mne.convert_forward_solution(
        forward, surf_ori=True, force_fixed=True, use_cps=True, verbose="error"
    )
    region = int(space.index[0])
    all_labels = [p[order[s["vertno"]]] for p, s in zip(parcels, fixed["src"], strict=True)]
    members = np.concatenate(all_labels) == region
    columns = fixed["sol"]["data"][:, members] * MEMBERS
    found = lead.gain[:, region].numpy()
    assert ((columns.min(1) <= found + 1e-9) & (found <= columns.max(1) + 1e-9)).all()
    doubled = forward.copy()
    for part in doubled["src"]:
        part["rr"] = part["rr"] * 2
    again = carry_regions(doubled, evoked.info, str(subjects), spec("mm-net"))
    torch.testing.assert_close(again.leadfield.gain, lead.gain)


def test_on_fsaverage_itself_the_regions_are_its_own(evoked: Any, forward: Any) -> None:
    own = forward.copy()
    for part in own["src"]:
        part["subject_his_id"] = "fsaverage"
    carried = carry_regions(own, evoked.info, None, spec("mm-net"))
    parcels = template_parcels().numpy()
    expected = np.concatenate([p[v] for p, v in zip(parcels, carried.space.vertices, strict=True)])
    assert np.array_equal(carried.space.index, expected)


def test_shipped_weights_serve_an_individual_head(
    evoked: Any, forward: Any, subjects: Path
) -> None:
    short = evoked.copy().crop(0.0, 0.1)
    imager = SourceImager("mm-net", subjects_dir=subjects).fit(evoked.info, forward)
    stc = imager.apply(short)
    assert stc.subject == NAME
    for vertices, part in zip(stc.vertices, forward["src"], strict=True):
        assert np.isin(vertices, part["vertno"]).all()
    assert imager.certificate_.holds()
    assert imager.leadfield_.positions.equal(Leadfield.template_small().positions)
    linear = SourceImager("sloreta").fit(evoked.info, forward).apply(short)
    assert linear.subject == NAME
    assert linear.shape[0] == forward["nsource"]


def test_without_a_registration_learned_solvers_refuse_and_name_the_others(
    evoked: Any, forward: Any, sphere_forward: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.delenv("SUBJECTS_DIR", raising=False)
    for where, says in ((None, "without a spherical registration"), (tmp_path, "there is no")):
        with pytest.raises(MajorantError, match=rf"{says}.*mne, dspm, sloreta.*unfolded-sbl"):
            SourceImager("mm-net", subjects_dir=where).fit(evoked.info, forward)
    with pytest.raises(MajorantError, match=r"discrete source space.*mne, dspm, sloreta"):
        SourceImager("mm-net").fit(evoked.info, sphere_forward)
    with pytest.raises(MajorantError, match="regions are made of the two cortical surfaces"):
        SourceImager("mne", space="regions").fit(evoked.info, sphere_forward)


def test_a_subject_is_imaged_from_its_folder_alone(
    evoked: Any, subjects: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(anatomy, "REGIONS_FROM", "ico3")
    # As everywhere in MNE: what is not given is in the environment.
    monkeypatch.setenv("SUBJECTS_DIR", str(subjects))
    said: list[str] = []
    imager = SourceImager("sloreta", space="ico3", subject=NAME)
    stc = imager.fit(evoked.info, progress=said.append).apply(evoked)
    assert stc.subject == NAME
    assert [len(v) for v in stc.vertices] == [642, 642]
    assert imager.coregistration_ is not None
    assert imager.coregistration_.median_mm < 15
    assert "Head of ada, placed by ada-trans.fif" in " ".join(imager.notes_)
    assert any("potentials" in line for line in said)
    again: list[str] = []
    kept = SourceImager("sloreta", space="ico3", subject=NAME)
    kept.fit(evoked.info, progress=again.append)
    assert not any("potentials" in line for line in again)
    assert np.array_equal(kept.apply(evoked).data, stc.data)
    moved = evoked.copy()
    moved.info["chs"][0]["loc"][:3] *= 1.02
    kept.fit(moved.info, progress=again.append)
    assert any("potentials" in line for line in again)


def test_electrodes_far_from_the_scalp_are_named_in_millimetres(
    evoked: Any, subjects: Path, tmp_path: Path
) -> None:
    from majorant.head.coregistration import check_scalp

    scalp, faces, *_ = mne.read_surface(subjects / NAME / "bem" / "outer_skin.surf")
    trans = mne.read_trans(subjects / NAME / "bem" / f"{NAME}-trans.fif")
    moved = evoked.copy()
    moved.info["chs"][4]["loc"][:3] *= 1.3
    found = check_scalp(moved.info, trans["trans"], scalp / 1e3, faces, NAME, "hand")
    assert found.far[0].startswith(moved.ch_names[4])
    assert "far from it" in found.sentence()
    off = trans["trans"].copy()
    off[2, 3] += 0.15
    with pytest.raises(MajorantError, match="does not belong to this recording"):
        check_scalp(moved.info, off, scalp / 1e3, faces, NAME, "hand")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"subject": "eve"}, "no FreeSurfer subject 'eve' in .* \\(found: ada\\)"),
        ({"trans": "none-trans.fif"}, "there is no transformation"),
        ({"subjects_dir": None}, "is not known; give subjects_dir"),
    ],
)
def test_what_a_subject_lacks_is_said(
    evoked: Any, subjects: Path, change: dict[str, Any], says: str, monkeypatch: Any
) -> None:
    monkeypatch.delenv("SUBJECTS_DIR", raising=False)
    settings = {"subject": NAME, "subjects_dir": str(subjects), "trans": None, **change}
    with pytest.raises(MajorantError, match=says):
        subject_forward(evoked.info, spacing="ico3", **settings)


def test_a_forward_of_another_head_or_cap_is_refused(evoked: Any, forward: Any) -> None:
    with pytest.raises(MajorantError, match="were both given"):
        SourceImager("mne", subject=NAME).fit(evoked.info, forward)
    other = evoked.copy()
    for channel in other.info["chs"]:
        channel["loc"][:3] = channel["loc"][[1, 0, 2]]
    with pytest.raises(MajorantError, match="another subject or cap"):
        SourceImager("sloreta").fit(other.info, forward)
    near = evoked.copy()
    for channel in near.info["chs"]:
        channel["loc"][2] += 0.008
    imager = SourceImager("sloreta").fit(near.info, forward)
    assert "lie 8 mm (median) from those of the recording" in " ".join(imager.notes_)
