"""The real recordings, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mne
import numpy as np
import pytest

from majorant.imaging.image import image
from majorant.imaging.result import ImageSettings
from majorant.imaging.write import save_results
from majorant.recording.file import ChoiceNeeded, load_recording
from majorant.recording.prepare import Prepared, prepare
from majorant.recording.settings import Preparation

pytestmark = pytest.mark.recordings


@pytest.fixture(scope="module")
def auditory(recordings: Path) -> Prepared:
    recording = load_recording(recordings / "audvis-ave.fif.gz")
    return prepare(recording, Preparation(condition="Left Auditory"))


@pytest.fixture(scope="module")
def visual(recordings: Path) -> Prepared:
    recording = load_recording(recordings / "test_raw.set")
    settings = Preparation(
        event="square",
        tmin=-0.2,
        tmax=0.4,
        filter=(1, 40),
        montage=str(recordings / "test_raw_chans.locs"),
    )
    return prepare(recording, settings)


def test_conditions_and_events_are_listed(recordings: Path) -> None:
    with pytest.raises(ChoiceNeeded) as found:
        prepare(load_recording(recordings / "audvis-ave.fif.gz"))
    assert found.value.options["Left Auditory"] == 3
    with pytest.raises(ChoiceNeeded) as found:
        prepare(load_recording(recordings / "test_raw.set"))
    assert found.value.options == {"square": 80, "rt": 74}


def test_an_average_with_digitised_head(auditory: Prepared, tmp_path: Path) -> None:
    assert len(auditory.evoked.ch_names) == 60
    assert auditory.eog_names == ("EOG 061",)
    assert any("not divided by the number of trials again" in d for d in auditory.decisions)
    found = image(auditory)
    assert found.imager.alignment_ is not None
    assert found.imager.alignment_.median_mm < 3
    assert found.imager.rank_ == 59
    assert any("an average of only 3 trials" in text for text in found.content.cautions)
    save_results(found, tmp_path / "aud")
    stc = mne.read_source_estimate(tmp_path / "aud" / "estimate")
    assert stc.data.shape == (5124, len(auditory.evoked.times))


def test_the_covariance_of_the_same_recording_serves_too(
    recordings: Path, auditory: Prepared
) -> None:
    recording = load_recording(recordings / "audvis-ave.fif.gz")
    settings = Preparation(
        condition="left auditory", noise_cov=str(recordings / "audvis-cov.fif"), tmin=0.0
    )
    found = prepare(recording, settings)
    assert found.noise_kind == "file"
    assert found.evoked.times[0] == pytest.approx(0, abs=1e-3)
    # Measured from the average's own baseline or from single trials, the noise is of one size.
    ours = np.trace(auditory.noise_cov.data)
    names = auditory.evoked.ch_names
    theirs = np.trace(mne.pick_channels_cov(found.noise_cov, names).data)
    assert 0.3 < ours / theirs < 3


def test_the_visual_response_is_found_in_occipital_cortex(visual: Prepared) -> None:
    assert visual.evoked.nave == 80
    assert visual.eog_names == ("EOG1", "EOG2")
    found = image(visual, ImageSettings("sloreta", loose=1))
    times, maps = found.content.times, found.content.sources
    values = maps.values * ((times >= 0.08) & (times <= 0.19))
    place, sample = np.unravel_index(values.argmax(), values.shape)
    x, y, z = maps.positions_mni[place]
    assert y < -60
    assert abs(times[sample] - 0.148) < 0.03
    assert np.linalg.norm(np.array([x, y, z]) - [28, -98, -13]) < 35


@pytest.mark.parametrize("loose", [0, 1])
def test_a_beamformer_is_that_of_mne(visual: Prepared, loose: int) -> None:
    found = image(visual, ImageSettings("lcmv", loose=loose))
    assert any(
        "Data covariance: from 80 trials, 0 to 0.398 s" in d for d in found.content.decisions
    )
    assert found.content.faint is None
    epochs = visual.epochs.copy().pick(visual.evoked.ch_names).apply_baseline((None, 0))
    seen = mne.compute_covariance(epochs, tmin=-1e-6, tmax=0.3985, verbose="error")
    filters = mne.beamformer.make_lcmv(
        visual.evoked.info,
        found.imager.forward_,
        seen,
        reg=0.05,
        noise_cov=found.imager.noise_cov_,
        pick_ori="vector" if loose else None,
        weight_norm="unit-noise-gain-invariant",
        depth=None,
        verbose="error",
    )
    stc = mne.beamformer.apply_lcmv(visual.evoked, filters, verbose="error")
    theirs = np.linalg.norm(stc.data, axis=1) if loose else np.abs(stc.data)
    # In units of the noise of the average, as all of our statistics are.
    theirs = np.sqrt(visual.evoked.nave) * theirs
    ours, times = np.abs(found.content.sources.values), found.content.times
    assert np.abs(ours - theirs).max() < 0.005 * theirs.max()
    early = (times > 0.05) & (times < 0.25)
    at = [np.unravel_index((m * early).argmax(), m.shape) for m in (ours, theirs)]
    assert at[0] == at[1]
    assert abs(times[at[0][1]] - 0.133) < 0.005
    assert found.content.sources.positions_mni[at[0][0]][1] < -60


def test_the_blink_is_said_where_it_wins(visual: Prepared) -> None:
    found: Any = image(visual, ImageSettings("sloreta", loose=0))
    said = found.content.cautions[0]
    assert said.startswith("Blinks or eye movements")
    assert "FPz" in said
    assert "EOG1" in said
    assert "281 ms" in said
    assert any("held to the normals" in text for text in found.content.cautions)
