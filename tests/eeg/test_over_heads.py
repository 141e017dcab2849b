"""Estimates that are means over heads drawn around the template."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
import torch

from majorant import SourceImager
from majorant.forward.bank import HeadSpread
from majorant.forward.mesh import coarser_faces
from majorant.forward.template_bank import template_anatomy
from majorant.head import elsewhere
from majorant.head.elsewhere import gains_elsewhere, spread_around
from majorant.problem import MajorantError

STILL = HeadSpread(
    skull=(0.006, 0.006),
    moved_mm=(0, 0),
    cap_deg=(0, 0),
    deformed_mm=(0, 0),
    turned_deg=(0, 0),
    shapes=1,
)


@pytest.fixture(autouse=True)
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skulls of 162 nodes: quick, and heads all the same."""
    anatomy = template_anatomy()
    few = replace(
        anatomy,
        shells=anatomy.shells[:, :162],
        shell_faces=coarser_faces(anatomy.shell_faces),
    )
    monkeypatch.setattr(elsewhere, "template_anatomy", lambda progress: few)


@pytest.fixture(scope="module")
def evoked() -> Any:
    # The cap of test_warped_head, so that its lead field is at hand.
    listed = mne.channels.make_standard_montage("biosemi64").get_positions()
    names = list(listed["ch_pos"])[:36]
    place = {name: np.array(listed["ch_pos"][name]) for name in names}
    marks = {key: np.array(listed[key]) for key in ("nasion", "lpa", "rpa")}
    montage = mne.channels.make_dig_montage(place, **marks, coord_frame="head")
    info = mne.create_info(names, 250.0, "eeg", verbose="error").set_montage(montage)
    rng = np.random.default_rng(0)
    data = 1e-6 * rng.standard_normal((36, 1)) @ rng.standard_normal((1, 20))
    return mne.EvokedArray(data + 1e-7 * rng.standard_normal(data.shape), info, verbose="error")


def test_a_head_that_differs_in_nothing_is_the_believed_one(evoked: Any) -> None:
    imager = SourceImager("scan", space="ico3", loose=0.0).fit(evoked.info)
    assert imager.alignment_ is not None
    names = list(imager.info_["ch_names"])
    places = imager.alignment_.positions
    bank = elsewhere.template_heads_around(imager.alignment_.ch_names, places, None, 1.0)
    (same,) = gains_elsewhere(bank, imager.model, names, 1, STILL)
    believed = bank.in_space("ico3").pick(names).believed.gain
    torch.testing.assert_close(same, believed, rtol=1e-4, atol=1e-4)
    loose = SourceImager("scan", space="ico3", n_most=1).fit(evoked.info)
    (three,) = gains_elsewhere(bank, loose.model, names, 1, STILL)
    assert three.shape == loose.leadfield_.gain.shape
    torch.testing.assert_close(three[:, 2::3], believed, rtol=1e-4, atol=1e-4)
    (other,) = gains_elsewhere(bank, imager.model, names, 1, spread_around(bank, digitised=False))
    assert float((other - believed).norm() / believed.norm()) > 0.1


def test_the_estimate_is_the_mean_over_heads_and_is_kept(evoked: Any, tmp_path: Path) -> None:
    one = SourceImager("scan", space="ico3", loose=0.0, n_most=1).fit(evoked.info)
    several = SourceImager("scan", space="ico3", loose=0.0, n_most=1, heads=3).fit(evoked.info)
    assert any("means over 3 heads" in note for note in several.notes_)
    stc = several.apply(evoked)
    assert several.certificate_.holds()
    assert set(several.solution_.details["members"]) == {"believed head", "head 1", "head 2"}
    assert not np.allclose(stc.data, one.apply(evoked).data, rtol=0.01, atol=0)
    # Heads that are all the believed one give its direction.
    own = one.leadfield_.gain
    several.inverse.others = (own, own)
    several.inverse._over_heads.clear()
    same = several.solve(evoked).estimate
    alone = one.solve(evoked).estimate
    cosine = torch.nn.functional.cosine_similarity(same.flatten(), alone.flatten(), dim=0)
    assert float(cosine) > 1 - 1e-6
    several.save(tmp_path / "heads.safetensors")
    again = SourceImager.load(tmp_path / "heads.safetensors")
    assert again.heads == 3
    torch.testing.assert_close(again.solve(evoked).estimate, same)


def test_what_cannot_be_averaged_over_heads_is_refused(evoked: Any) -> None:
    with pytest.raises(MajorantError, match="one matrix for all data"):
        SourceImager("sloreta", heads=2).fit(evoked.info)
    with pytest.raises(MajorantError, match="whole number"):
        SourceImager("scan", heads=0).fit(evoked.info)
    imager = SourceImager("scan", space="ico3", loose=0.0).fit(evoked.info)
    with pytest.raises(MajorantError, match="drawn around the template"):
        SourceImager("scan", heads=2).fit(evoked.info, imager.leadfield_)
