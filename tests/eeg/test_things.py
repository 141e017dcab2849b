"""Checks on a made-up participant whose response is occipital and whose noise is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from majorant.bench.things import table, trials_of
from majorant.bench.things_checks import Checked, CheckSettings, check, check_noise
from majorant.bench.things_synthetic import SyntheticSettings, write_synthetic
from majorant.bench.things_trials import ThingsTrials
from majorant.problem import MajorantError

SETTINGS = CheckSettings(flips=9, shuffles=9)


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> ThingsTrials:
    folder = tmp_path_factory.mktemp("things")
    made = SyntheticSettings(n_images=2, n_repetitions=32, noise=3e-6)
    paths = write_synthetic(folder, made)
    assert [path.name for path in paths] == ["raw_eeg_test.npy"]
    return trials_of(folder, None, say=lambda line: None)


def test_a_linear_estimate_passes_the_checks(trials: ThingsTrials):
    row = check("sloreta", trials, SETTINGS)
    assert row.share > row.chance
    assert row.share > row.flipped[1]
    assert row.p_flipped == pytest.approx(0.1)
    assert row.agreement > 0.8
    assert row.slope is None
    titles, cells = table([row])
    assert titles[0] == "solver"
    assert "noise slope" not in titles
    assert cells[0][0] == "sloreta"


def test_noise_alone_does_not_pass(trials: ThingsTrials):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(trials.data.shape).astype(np.float32) * 1e-6
    noise -= noise.mean(axis=1, keepdims=True)
    silent = ThingsTrials(noise, trials.times, trials.conditions, trials.info)
    row = check("sloreta", silent, SETTINGS)
    assert row.p_flipped > 0.1
    assert row.agreement < 0.7


def test_learned_noise_falls_as_repetitions_say(trials: ThingsTrials):
    nothing = Checked("champagne", 0, 0, 0, (0, 0), (0, 0), 1, 1, 0, 0)
    row = check_noise(nothing, trials, SETTINGS)
    assert row.slope == pytest.approx(-1.0, abs=0.25)
    assert row.ratio is not None
    assert 0.3 < row.ratio < 1.5
    assert row.noise_correlation is not None
    assert row.noise_correlation > 0.6


def test_exactly_one_source_of_data_is_asked_for(tmp_path: Path):
    with pytest.raises(MajorantError, match="give --data"):
        trials_of(None, None)
    with pytest.raises(MajorantError, match="give --data"):
        trials_of(tmp_path, tmp_path)
