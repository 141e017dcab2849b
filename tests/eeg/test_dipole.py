"""The dipole beside the map: MNE's, in the head of the estimate, with its distance and doubts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant import SourceImager
from majorant.account import Account
from majorant.findings.dipole import dipole_cautions, fit_dipole, why_no_dipole
from majorant.findings.facts import EquivalentDipole
from majorant.findings.peaks import find_peaks
from majorant.head.places import locate
from majorant.imaging.dipole import with_dipole
from majorant.imaging.image import image
from majorant.imaging.result import ImageSettings
from majorant.problem import MajorantError
from majorant.recording.file import load_recording
from majorant.recording.prepare import prepare
from majorant.recording.settings import Preparation
from majorant.report.dipole import dipole_words

MOMENT = 25e-9


@pytest.fixture(scope="module")
def info() -> Any:
    montage = mne.channels.make_standard_montage("biosemi32")
    made = mne.create_info(montage.ch_names, 100.0, "eeg", verbose="error")
    return made.set_montage(montage)


@pytest.fixture(scope="module")
def imager(info: Any) -> SourceImager:
    return SourceImager("sloreta", space="ico3").fit(info)


def response(imager: SourceImager, locations: tuple[int, ...]) -> Any:
    """What equal dipoles along the normals of some places would give at 0.1 s, and little noise."""
    gain = imager.leadfield_.gain.numpy()
    data = MOMENT * sum(gain[:, 3 * k + 2] for k in locations)
    times = np.exp(-0.5 * ((np.arange(20) - 10) / 2) ** 2)
    noise = 1e-8 * np.random.default_rng(0).standard_normal((len(gain), 20))
    made = mne.EvokedArray(np.outer(data, times) + noise, imager.info_, nave=30, verbose="error")
    return made.apply_proj(verbose="error")


@pytest.fixture(scope="module")
def gyral(imager: SourceImager) -> int:
    """A place that is neither deep nor at the rim."""
    mni = locate(imager.leadfield_).mni
    return int(np.linalg.norm(mni - (-45, -20, 50), axis=1).argmin())


def test_one_source_is_found_by_both(imager: SourceImager, gyral: int) -> None:
    evoked, places = response(imager, (gyral,)), locate(imager.leadfield_)
    stc = imager.apply(evoked)
    peaks = find_peaks(stc.data, evoked.times, places)
    found = fit_dipole(imager, evoked, 0.1, peaks, places)
    assert found.time == pytest.approx(0.1)
    assert np.linalg.norm(np.subtract(found.mni, places.mni[gyral])) < 4
    assert found.moment == pytest.approx(MOMENT, rel=0.15)
    assert found.explained > 0.97
    assert found.peak == 1
    assert found.apart_mm is not None
    assert found.apart_mm < 12
    assert found.volume_cm3 is not None
    assert found.volume_cm3 > 0
    turned = np.asarray(imager.model.axes)[gyral, 2]
    assert np.dot(turned, found.direction) > 0.95
    assert dipole_cautions(found) == ()
    assert "nAm, explains" in dipole_words(found)


def test_two_sources_are_said_to_be_no_dipole(imager: SourceImager) -> None:
    places = locate(imager.leadfield_)
    pair = tuple(int(np.linalg.norm(places.mni - (x, -25, 15), axis=1).argmin()) for x in (-55, 55))
    evoked = response(imager, pair)
    peaks = find_peaks(imager.apply(evoked).data, evoked.times, places)
    said = dipole_cautions(fit_dipole(imager, evoked, 0.1, peaks, places))
    assert said
    assert any("more than one source" in text or "map or dipole is wrong" in text for text in said)


def test_each_caution_says_what_it_saw() -> None:
    good = EquivalentDipole(
        0.1, (0.0, 0.0, 50.0), 3, "left", (0.0, 0.0, 1.0), 1e-8, 0.95, 2.0, 1, 8.0, "gyrus"
    )
    assert dipole_cautions(good) == ()
    assert "explains 61 %" in dipole_cautions(replace(good, explained=0.61))[0]
    assert "33 mm from the nearest peak" in dipole_cautions(replace(good, apart_mm=33.0))[0]
    assert len(dipole_cautions(replace(good, explained=0.1, apart_mm=33.0))) == 2
    # Where the map has no peak at that time, there is no distance to speak of.
    assert dipole_cautions(replace(good, peak=None, apart_mm=None)) == ()


def test_a_head_that_was_imported_is_refused_in_one_sentence(
    files: dict[str, Path], sphere_forward: Any, tmp_path: Path
) -> None:
    path = tmp_path / "own-fwd.fif"
    mne.write_forward_solution(path, sphere_forward, verbose="error")
    recording = load_recording(files["averages"])
    prepared = prepare(recording, Preparation(condition="loud"))
    settings = ImageSettings("mne", forward=str(path), uncertainty="none", dipole=True)
    result = image(prepared, settings)
    assert result.content.dipole is None
    assert result.summary()["dipole"] is None
    assert any("No dipole was fitted: a lead field" in said for said in result.content.decisions)
    assert why_no_dipole(result.imager) is not None
    with pytest.raises(MajorantError, match="take the template or --subject"):
        fit_dipole(result.imager, prepared.evoked, 0.1, (), result.places)
    quiet = with_dipole(
        result.content, result.imager, prepared, replace(settings, dipole=False), result.places,
        Account(),
    )  # fmt: skip
    assert quiet is result.content
