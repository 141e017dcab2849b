"""The template warped at the user's door: when it is, what is said, what a circumference does."""

from __future__ import annotations

import mne
import numpy as np
import pytest

from majorant.head.template import digitised, head_scale, template_forward
from majorant.imager.imager import SourceImager
from majorant.problem import MajorantError

MARKS = ("nasion", "lpa", "rpa")


def electrodes(measured: bool, marks: bool = True) -> mne.Info:
    """36 electrodes of the 10-20 system, as drawn, or as measured on a head of another shape."""
    listed = mne.channels.make_standard_montage("biosemi64").get_positions()
    names = list(listed["ch_pos"])[:36]
    place = {name: np.array(listed["ch_pos"][name]) for name in names}
    found = {key: np.array(listed[key]) for key in MARKS}
    if measured:
        rng, shape = np.random.default_rng(0), np.diag([0.95, 1.08, 1.02])
        place = {k: v @ shape + 0.002 * rng.standard_normal(3) for k, v in place.items()}
        found = {k: v @ shape for k, v in found.items()}
    montage = mne.channels.make_dig_montage(place, **(found if marks else {}), coord_frame="head")
    info = mne.create_info(names, 250.0, "eeg", verbose="error")
    return info.set_montage(montage)


def test_a_measured_head_is_warped_and_a_drawn_montage_is_not() -> None:
    assert digitised(electrodes(measured=True))
    assert not digitised(electrodes(measured=False))
    assert not digitised(electrodes(measured=True, marks=False))
    imager = SourceImager("sloreta", space="ico3").fit(electrodes(measured=True))
    assert imager.alignment_ is not None
    assert imager.alignment_.by == "warp"
    assert any("The template was warped to the fiducials" in note for note in imager.notes_)
    assert imager.alignment_.before_median_mm is not None


def test_a_warp_without_fiducials_is_refused() -> None:
    with pytest.raises(MajorantError, match="has no fiducials"):
        template_forward(electrodes(measured=True, marks=False), "ico3", head="warped")
    with pytest.raises(MajorantError, match="'auto', 'template' or 'warped'"):
        SourceImager("sloreta", head="bent")


def test_a_circumference_scales_amplitudes_alone() -> None:
    info = electrodes(measured=False)
    plain = template_forward(info, "ico3").leadfield
    small = SourceImager("sloreta", space="ico3", circumference=50).fit(info)
    factor = head_scale(50)
    assert 0.8 < factor < 0.95
    ratio = template_forward(info, "ico3", circumference=50).leadfield.gain / plain.gain
    np.testing.assert_allclose(ratio.numpy(), factor**-2)
    assert any("circumference of 50 cm" in note for note in small.notes_)
    assert small.alignment_ is not None
    assert small.alignment_.size == pytest.approx(factor)
    with pytest.raises(MajorantError, match="in cm"):
        head_scale(0.5)


def test_a_skull_that_conducts_more_lets_more_through() -> None:
    info = electrodes(measured=True)
    heads = [
        template_forward(info, "ico3", head="warped", skull=s).leadfield for s in (None, 0.012)
    ]
    usual, more = (x.gain - x.gain.mean(dim=0) for x in heads)
    assert float(more.norm()) > 1.1 * float(usual.norm())
    with pytest.raises(MajorantError, match=r"expected 0\.001 to 0\.03"):
        SourceImager("sloreta", space="ico3", skull=0.3).fit(info)


def test_a_child_has_a_small_head_and_a_thin_skull_that_conducts_more() -> None:
    info = electrodes(measured=False)
    child = SourceImager("sloreta", space="ico3", age="5 years").fit(info)
    assert child.alignment_ is not None
    assert child.alignment_.age == 5
    assert child.alignment_.size == pytest.approx(head_scale(50.3))
    assert any("At 5 years these were taken for typical" in note for note in child.notes_)
    adult = template_forward(info, "ico3").leadfield.gain
    assert adult.equal(template_forward(info, "ico3", age=30.0).leadfield.gain)
    young = child.leadfield_.gain
    assert float((young - young.mean(dim=0)).norm()) > 1.5 * float((adult - adult.mean(0)).norm())


def test_a_warped_child_has_the_skull_of_its_age() -> None:
    info = electrodes(measured=True)
    usual, child = (template_forward(info, "ico3", head="warped", age=age) for age in (None, 3.0))
    assert child.alignment.by == "warp"
    assert child.alignment.age == 3
    more = [g - g.mean(dim=0) for g in (usual.leadfield.gain, child.leadfield.gain)]
    assert float(more[1].norm()) > 1.2 * float(more[0].norm())
