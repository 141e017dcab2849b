"""Regions by their doors: the imager's method, the page's content, the cache, and what refuses.

The bank's heads are replaced by dipoles in an infinite medium: what is tested here is not physics.
"""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from majorant import SourceImager
from majorant.account import Account
from majorant.audit import regions
from majorant.audit.cap import Cap
from majorant.compare.run import _entry
from majorant.errors import MajorantError
from majorant.findings.regions import calibrate, find_regions, why_not
from majorant.findings.regions.calibrate import calibrated
from majorant.findings.regions.find import expected_areas
from majorant.findings.regions.simulated import Simulated, Window
from majorant.forward.bank import HeadBank
from majorant.forward.template_bank import template_anatomy
from majorant.head.skull import SkullSaid
from majorant.imaging.image import image
from majorant.imaging.result import ImageSettings
from majorant.recording.prepare import measured
from majorant.simulate.everyday.trials import drawn_trials

WINDOW = Window(20, 5, 100.0, 10.0)


def _infinite(self: HeadBank, electrodes: np.ndarray, *_: Any) -> Any:
    def seen(positions: np.ndarray, moments: np.ndarray) -> Tensor:
        ray = electrodes[:, None] - positions
        gain = np.einsum("ijk,jk->ij", ray, moments) / np.linalg.norm(ray, axis=2) ** 3
        return torch.from_numpy(gain)

    return seen


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeadBank, "_seen", _infinite)
    monkeypatch.setattr(calibrate, "TRIALS_LINEAR", 24)
    monkeypatch.setattr("majorant.simulate.everyday.trials.SEEDS", 60)


@pytest.fixture(scope="module")
def imager(averages: list[Any]) -> SourceImager:
    return SourceImager("sloreta", space="ico3", region=0.9).fit(averages[0].info)


def test_a_calibration_is_its_seeds_and_comes_from_the_cache(
    imager: SourceImager, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Simulated.of(imager, 4)
    first = calibrated(imager, WINDOW, 4, simulated=own)
    assert first.n_trials == 24
    assert len(first.lead) == 24
    assert set(first.lead_third) <= {0, 1, 2}
    areas = expected_areas(first, 0.9)
    assert areas.shape == (24,)
    assert (areas > expected_areas(first, 0.6)).all()
    assert areas.max() < own.cortex.area.sum() + 1e-3
    other = calibrated(imager, WINDOW, 4, seed=1, simulated=own)
    assert not np.array_equal(first.lead, other.lead)
    monkeypatch.setattr(calibrate, "_run", None)
    again = calibrated(imager, WINDOW, 4, simulated=own)
    assert np.array_equal(first.lead, again.lead)
    with pytest.raises(TypeError):
        calibrated(imager, WINDOW, 5)


def test_trials_solved_together_are_solved_alone(imager: SourceImager) -> None:
    own = Simulated.of(imager, 1)
    y = torch.randn(5, imager.rank_, 20, generator=torch.Generator().manual_seed(0)).double()
    together = list(own.estimates(y, 100.0))
    alone = [next(iter(own.estimates(y[k : k + 1], 100.0))) for k in range(5)]
    for a, b in zip(together, alone, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6 * np.abs(a).max())


def test_areas_add_up_to_a_cortex_and_thirds_to_a_third(imager: SourceImager) -> None:
    cortex = Simulated.of(imager, 1).cortex
    assert 1200 < cortex.area.sum() < 2400
    shares = np.bincount(cortex.third, cortex.area) / cortex.area.sum()
    np.testing.assert_allclose(shares, 1 / 3, atol=0.01)


def test_the_imager_and_the_page_say_the_same(imager: SourceImager, averages: list[Any]) -> None:
    evoked = averages[0]
    said = imager.regions(evoked)
    assert len(said.peaks) == len(said.of) > 0
    region = said.of[0]
    assert region is not None
    assert said.peaks[0].location in region.locations
    assert 0 < region.area_cm2 < 2400
    assert sum(share for _, share in region.places) == pytest.approx(1.0)
    assert said.found.shape == said.support.shape == (len(imager.leadfield_.positions),)
    assert not (said.supported() & said.unsupported()).any()
    # More certainty takes more cortex.
    values = np.abs(imager.apply(evoked).data)
    wider = find_regions(imager, evoked, values, said.peaks, 0.95).of[0]
    assert wider is not None
    assert set(region.locations) <= set(wider.locations)


def test_other_heads_have_none_and_say_so(
    averages: list[Any], imager: SourceImager, tmp_path: Any
) -> None:
    with pytest.raises(MajorantError, match=r"region=0\.9"):
        SourceImager("sloreta", space="ico3").fit(averages[0].info).regions(averages[0])
    given = SourceImager("sloreta", region=0.9).fit(averages[0].info, imager.forward_)
    assert "too little is known" in (why_not(given) or "")
    with pytest.raises(MajorantError, match="no regions can be had"):
        given.regions(averages[0])
    with pytest.raises(MajorantError, match=r"such as 0\.9"):
        SourceImager("sloreta", region=2)
    prepared = measured(averages[0], Account())
    imager.forward_.save(tmp_path / "own-fwd.fif", verbose="error")
    settings = ImageSettings(
        "sloreta", region=0.9, forward=str(tmp_path / "own-fwd.fif"), uncertainty="none"
    )
    result = image(prepared, settings)
    assert result.content.regions is None
    assert any(text.startswith("No regions: ") for text in result.content.decisions)
    assert result.summary()["regions"] is None


def test_a_person_has_regions_of_their_own_size(imager: SourceImager) -> None:
    """Sources of a warped template stay where they are; shells, electrodes and areas do not."""
    plain = Simulated.of(imager, 1)
    own, size = template_anatomy(), 1.1
    person = replace(
        own,
        shells=size * own.shells,
        scalp=size * own.scalp,
        positions=size * own.positions,
    )
    assert imager.alignment_ is not None
    alignment = replace(imager.alignment_, by="warp", size=size)
    names, sites = alignment.ch_names, size * alignment.positions
    warped = copy.copy(imager)
    warped.alignment_, warped.around_ = alignment, lambda: HeadBank(person, names, sites)
    there = Simulated.of(warped, 1)
    np.testing.assert_array_equal(there.cortex.home, plain.cortex.home)
    np.testing.assert_array_equal(there.cortex.third, plain.cortex.third)
    np.testing.assert_allclose(there.cortex.area, size**2 * plain.cortex.area)
    # Measured electrodes are where they are said to be, but for 3 mm.
    assert there.spread.moved_mm[1] < plain.spread.moved_mm[1]
    assert there.key(WINDOW, 5, 0) != plain.key(WINDOW, 5, 0)
    # A child's skull conducts more, and so do those around it.
    alignment = replace(imager.alignment_, age=5.0)
    warped.alignment_, warped.around_ = alignment, lambda: HeadBank(own, names, sites, skull=0.01)
    assert Simulated.of(warped, 1).spread.skull[1] > plain.spread.skull[1]
    # The same cap on another head sees other sources: nothing comes from the other's cache.
    a, b = (drawn_trials(each.bank, 2, 5, spread=there.spread) for each in (plain, there))
    assert not torch.equal(a.seen, b.seen)


def test_a_mean_over_heads_has_regions(averages: list[Any]) -> None:
    imager = SourceImager("scan", space="ico3", heads=2, n_most=1).fit(averages[0].info)
    assert why_not(imager) is None
    assert len(calibrated(imager, Window(6, 0, 100.0, 10.0), n=2).lead) == 2


def test_what_a_recording_says_of_the_skull_draws_the_heads(imager: SourceImager) -> None:
    said = SkullSaid(0.009, 0.0075, 0.0108, told=True, spread=0.11, prior=0.33, n=60)
    told, nothing = (Simulated.of(imager, 1, each) for each in (said, replace(said, told=False)))
    assert told.spread.said == (0.009, 0.11)
    assert nothing.spread == Simulated.of(imager, 1).spread
    assert told.key(WINDOW, 5, 0) != nothing.key(WINDOW, 5, 0)


def test_an_audit_foretells_sizes(
    montage: Any, averages: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = np.array(list(montage.get_positions()["ch_pos"].values()))
    cap = Cap("32", tuple(montage.ch_names), places, 32, 32)
    made = regions._info(cap)
    assert made["ch_names"] == montage.ch_names
    np.testing.assert_allclose([channel["loc"][:3] for channel in made["chs"]], places)
    # The lead field of the other tests will do.
    monkeypatch.setattr(regions, "_info", lambda cap: averages[0].info)
    whole, *lobes = regions.expected_regions("sloreta", cap, 9.0, 0.9)
    assert (whole.place, whole.trials) == ("all", 24)
    assert 0 < whole.area_cm2 < 2400
    assert [e.area_cm2 for e in lobes] == sorted(e.area_cm2 for e in lobes)


def test_the_main_job_and_a_comparison_have_them(averages: list[Any]) -> None:
    settings = ImageSettings("sloreta", space="ico3", region=0.9, uncertainty="none")
    found = _entry(measured(averages[0], Account()), settings, None)
    content = found.result.content
    assert content.regions is not None
    assert found.region is content.regions.of[content.leading or 0]
    assert len(content.doubts) == len(content.peaks) == len(content.regions.of)
    assert any(text.startswith("Regions: Calibrated on 24") for text in content.decisions)
    summary = json.loads(json.dumps(found.result.summary()["regions"]))
    assert summary["probability"] == 0.9
    first = summary["peaks"][0]
    assert len(first["locations"]) == len(content.regions.of[0].locations)
    assert 0 <= first["had_a_source"] <= 1
