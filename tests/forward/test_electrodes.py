"""Electrodes: every montage reaches the scalp, and digitised heads are mended."""

from __future__ import annotations

import dataclasses
import shutil

import numpy as np
import pytest
from mne.coreg import fit_matched_points

from majorant.forward import shells, template
from majorant.forward.electrodes import (
    align,
    digitised_electrodes,
    montage_electrodes,
    montage_names,
)
from majorant.forward.mesh import nearest_on_surface

pytestmark = pytest.mark.filterwarnings("default::DeprecationWarning:mne.*")


@pytest.fixture
def head(cached):
    """The template head."""
    return template.template_head()


def test_every_montage_of_mne_lands_on_the_scalp(head) -> None:
    """Finite positions on the surface; half of the electrodes within 8 mm before projection."""
    for name in montage_names():
        alignment = align(montage_electrodes(name), head)
        assert np.isfinite(alignment.positions).all(), name
        foot = nearest_on_surface(alignment.positions, head.scalp, head.scalp_faces)
        assert np.abs(foot - alignment.positions).max() < 1e-9, name
        assert alignment.median_mm < 8, name
        assert all(0.8 < factor < 1.5 for factor in alignment.scale), name


def test_old_and_new_names_are_the_same_montage() -> None:
    """colin27_1020 is standard_1020; standard_90 is it without T3, T4, T5, T6; any case."""
    old, new = montage_electrodes("standard_1020"), montage_electrodes("Colin27_1020")
    assert old.ch_names == new.ch_names
    np.testing.assert_array_equal(old.positions, new.positions)
    ninety = montage_electrodes("standard_90")
    assert ninety.ch_names == tuple(n for n in old.ch_names if n not in {"T3", "T4", "T5", "T6"})
    assert len(ninety.ch_names) == 90


def test_spherical_caps_come_near_the_true_places(head) -> None:
    """Against fsaverage's own 10-05 positions: within 5 mm, where fiducials alone leave 6 to 7."""
    truth = align(montage_electrodes("fsaverage_1005"), head)
    place = dict(zip(truth.ch_names, truth.positions, strict=True))
    for name in ("biosemi64", "easycap-M1", "brainproducts-RNP-BA-128"):
        cap = montage_electrodes(name)
        found = align(cap, head)
        common = [i for i, key in enumerate(found.ch_names) if key in place]
        target = np.stack([place[found.ch_names[i]] for i in common])
        error = np.median(np.linalg.norm(found.positions[common] - target, axis=1))
        assert error < 0.005, name
        rigid = fit_matched_points(cap.fiducials, head.fiducials, out="trans")
        placed = cap.positions @ rigid[:3, :3].T + rigid[:3, 3]
        plain = nearest_on_surface(placed, head.scalp, head.scalp_faces)[common]
        assert error < 0.85 * np.median(np.linalg.norm(plain - target, axis=1)), name


def test_a_moved_and_scaled_head_is_brought_back(head) -> None:
    """Another frame and 7 % in size do not change where electrodes land."""
    cap = montage_electrodes("biosemi64")
    angle = 0.4
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    moved = dataclasses.replace(
        cap,
        positions=cap.positions @ turn.T + 0.02,
        fiducials=cap.fiducials @ turn.T + 0.02,
    )
    straight, back = align(cap, head), align(moved, head)
    assert np.linalg.norm(straight.positions - back.positions, axis=1).max() < 1e-4
    larger = dataclasses.replace(
        cap, positions=cap.positions * 1.07, fiducials=cap.fiducials * 1.07
    )
    grown = align(larger, head)
    assert np.median(np.linalg.norm(straight.positions - grown.positions, axis=1)) < 0.002
    assert grown.scale[1] < straight.scale[1]


def test_positions_without_fiducials_go_by_the_head_frame(head) -> None:
    """A cap whose origin is 4 cm too low is found, and what was done is said."""
    cap = montage_electrodes("biosemi64")
    straight = align(cap, head)
    raised = cap.positions - [0, 0, 0.04] + [0, 0, 0.04015]
    bare = digitised_electrodes(dict(zip(cap.ch_names, raised, strict=True)))
    found = align(bare, head)
    assert found.by == "head frame"
    assert np.median(np.linalg.norm(straight.positions - found.positions, axis=1)) < 0.006
    assert "without fiducials" in found.sentence()
    assert "64 electrodes" in straight.sentence()


def test_one_wild_electrode_does_not_drag_the_others(head) -> None:
    """A position 6 cm off leaves the rest where they were, and shows in the residual."""
    cap = montage_electrodes("biosemi32")
    wild = cap.positions.copy()
    wild[3] *= 1.6
    straight, off = align(cap, head), align(dataclasses.replace(cap, positions=wild), head)
    others = np.arange(32) != 3
    shift = np.linalg.norm(straight.positions - off.positions, axis=1)[others]
    assert shift.max() < 0.006
    assert off.max_mm > 30


def test_digitised_positions_reach_the_forward_model(cached, tmp_path, monkeypatch) -> None:
    """The places of a montage, said as a mapping with fiducials, land where the montage does."""
    names = ["O1", "Fp1", "Cz"]
    cap = montage_electrodes("biosemi32", names)
    expected = align(cap, template.template_head())
    template.template_surfaces()
    for path in [*cached.glob("head-*"), *cached.glob("surfaces-*")]:
        shutil.copy(path, tmp_path)
    monkeypatch.setenv("MAJORANT_CACHE", str(tmp_path))
    monkeypatch.setattr(shells, "compute_gain", _fake_gain)
    marks = dict(zip(("lpa", "nasion", "rpa"), cap.fiducials, strict=True))
    places = dict(zip(cap.ch_names, cap.positions, strict=True))
    lead = template.template_leadfield(places, fiducials=marks)
    again = template.template_leadfield(places, fiducials=marks, ch_names=names[::-1])
    alignment = template.template_alignment(places, fiducials=marks)
    np.testing.assert_allclose(alignment.positions, expected.positions, atol=1e-12)
    assert alignment.sentence() == expected.sentence().replace("biosemi32", "digitised positions")
    assert lead.ch_names == tuple(names) == again.ch_names[::-1]
    assert lead.n_locations == 994


def _fake_gain(head, positions, normals, ch_names, electrodes) -> np.ndarray:
    """Stand in for the boundary elements: what each electrode's height says, everywhere."""
    return np.repeat(electrodes[:, 2:], 3 * len(positions), axis=1).astype(np.float32)
