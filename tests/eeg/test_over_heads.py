"""The mean lead field over heads drawn around the template, weighed by a recording."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest
import torch

from majorant import SourceImager
from majorant.account import Account
from majorant.forward.bank import HeadSpread
from majorant.forward.mesh import coarser_faces
from majorant.forward.template_bank import template_anatomy
from majorant.head import elsewhere
from majorant.head.elsewhere import gains_elsewhere, mean_over_heads, spread_around
from majorant.head.skull import SkullSaid
from majorant.imager import fit
from majorant.imager.settings import ImagerSettings
from majorant.problem import MajorantError

STILL = HeadSpread(
    skull=(0.006, 0.006),
    moved_mm=(0, 0),
    cap_deg=(0, 0),
    deformed_mm=(0, 0),
    turned_deg=(0, 0),
    shapes=1,
)
SAID = SkullSaid(0.009, 0.0075, 0.0108, told=True, spread=0.11, prior=0.33, n=40)


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


def test_the_head_of_a_recording_weighs_most(evoked: Any) -> None:
    lead = SourceImager("sloreta", space="ico3").fit(evoked.info).leadfield_
    own, generator = lead.gain, torch.Generator().manual_seed(0)
    wrong = [
        own + 0.5 * own.std() * torch.randn(own.shape, generator=generator).double()
        for _ in range(3)
    ]
    chosen = torch.randint(own.shape[1], (20,), generator=generator)
    course = torch.randn(20, 1, 12, generator=generator).double()
    windows = own[:, chosen].mT[:, :, None] * course
    windows = windows + 0.05 * windows.std() * torch.randn(windows.shape, generator=generator)
    asked = mean_over_heads(lead, tuple(wrong), windows)
    assert asked.weights[0] > 0.9
    assert asked.effective < 1.3
    torch.testing.assert_close(mean_over_heads(lead, tuple(wrong), 7.0 * windows).gain, asked.gain)
    # The same windows twice are no second witness.
    twice = mean_over_heads(lead, tuple(wrong), torch.cat([windows, windows]))
    np.testing.assert_allclose(twice.weights, asked.weights)
    unasked = mean_over_heads(lead, tuple(wrong), None)
    assert np.array_equal(unasked.weights, np.full(4, 0.25))
    torch.testing.assert_close(unasked.gain, torch.stack([own, *wrong]).mean(0))


def test_any_solver_takes_the_mean_lead_field_and_keeps_it(
    evoked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = SourceImager("sloreta", space="ico3", heads=3).fit(evoked.info)
    assert any("mean over 3 heads" in note and "all alike" in note for note in several.notes_)
    assert several.skull_said_ is None
    believed = torch.from_numpy(several.forward_["sol"]["data"])
    apart = several.leadfield_.gain - believed
    assert 0.05 < float(apart.norm() / believed.norm()) < 0.6
    stc = several.apply(evoked)
    several.save(tmp_path / "heads.safetensors")
    again = SourceImager.load(tmp_path / "heads.safetensors")
    assert again.heads == 3
    np.testing.assert_allclose(again.apply(evoked).data, stc.data)
    # Too few windows say nothing, and that is said.
    short = SourceImager("sloreta", space="ico3", heads=2).fit(evoked)
    assert any("not asked about the head: the recording has" in note for note in short.notes_)
    monkeypatch.setattr(fit, "ask", lambda bank, windows, progress: SAID)
    rng, info = np.random.default_rng(1), evoked.info
    raw = mne.io.RawArray(1e-6 * rng.standard_normal((36, 1000)), info, verbose="error")
    told = SourceImager("sloreta", space="ico3", heads=2).fit(info, recording=raw)
    assert told.skull_said_ is SAID
    assert any("as likely as the recording makes them" in note for note in told.notes_)
    # A skull that was given is not asked for.
    account: Any = Account()
    given = fit._Around(
        ImagerSettings(skull=0.01), head=None, names=(), account=account, progress=None
    )  # type: ignore[arg-type]
    assert given._asked(None, None) is None  # type: ignore[arg-type]
    assert "was given" in account.decisions[-1]


def test_what_cannot_be_averaged_over_heads_is_refused(evoked: Any) -> None:
    with pytest.raises(MajorantError, match="whole number"):
        SourceImager("scan", heads=0).fit(evoked.info)
    imager = SourceImager("scan", space="ico3", loose=0.0).fit(evoked.info)
    with pytest.raises(MajorantError, match="drawn around the template"):
        SourceImager("scan", heads=2).fit(evoked.info, imager.leadfield_)
