"""Agreement of maps, and what a comparison says."""

from __future__ import annotations

import numpy as np
import pytest

from majorant.compare.agree import agreement, region_means, together
from majorant.compare.run import check_names
from majorant.problem import MajorantError

LINE = np.c_[10.0 * np.arange(6), np.zeros(6), np.zeros(6)]


def test_a_map_agrees_with_itself_in_any_unit() -> None:
    one = np.array([0.0, 1.0, 3.0, 1.0, 0.0, 0.0])
    found = agreement(np.stack([one, 1e9 * one]), LINE[[2, 2]], LINE)
    assert found.correlation[0, 1] == pytest.approx(1.0)
    assert found.transport[0, 1] == pytest.approx(0.0, abs=1e-6)
    assert found.peaks[0, 1] == 0.0


def test_a_moved_map_is_as_far_as_it_was_moved() -> None:
    maps = np.zeros((2, 6))
    maps[0, 1], maps[1, 4] = 1.0, 1.0
    found = agreement(maps, LINE[[1, 4]], LINE)
    assert found.transport[0, 1] == pytest.approx(30.0)
    assert found.peaks[1, 0] == pytest.approx(30.0)


def test_a_map_of_zeros_has_no_peak_and_no_correlation() -> None:
    maps = np.zeros((2, 6))
    maps[0, 1] = 1.0
    found = agreement(maps, np.array([LINE[1], [np.nan] * 3]), LINE)
    assert np.isnan(found.correlation[0, 1])
    assert np.isnan(found.peaks[0, 1])
    assert together(found.peaks) == [0]


def test_the_largest_group_within_reach_is_found() -> None:
    apart = np.array([[0, 50, 12, 60], [50, 0, 55, 9], [12, 55, 0, 15], [60, 9, 15, 0.0]])
    assert together(apart) in ([2, 0, 3], [3, 1, 2])
    assert together(np.array([[0, 30.0], [30.0, 0]])) == [0]


def test_regions_take_the_mean_of_their_vertices() -> None:
    parcels = np.array([[0, 0, 1], [1, -1, 2]])
    mesh = np.array([[1.0, 3.0, -4.0], [2.0, 9.0, np.nan]])
    assert region_means(mesh, parcels).tolist() == [2.0, 3.0, 0.0]


def test_names_are_checked() -> None:
    with pytest.raises(MajorantError, match="did you mean 'champagne'"):
        check_names(["champane", "mne"])
    with pytest.raises(MajorantError, match="two or more"):
        check_names(["mne"])
    with pytest.raises(MajorantError, match="different"):
        check_names(["mne", "mne"])
