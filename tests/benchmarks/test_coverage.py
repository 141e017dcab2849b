"""The measurement of coverage measures coverage."""

from __future__ import annotations

import pytest
from benchmarks.coverage import coverage_of, simulate


def test_a_kernels_band_holds_repetitions_and_not_the_truth():
    row = coverage_of("mne", simulate(3))
    assert row.repetition == pytest.approx(0.9, abs=0.05)
    assert row.truth is not None
    assert row.truth < 0.2  # minimum norm smears: its noise is not its error
    assert row.line().startswith("| mne | standard deviation from noise | 0.")


def test_a_statistic_has_no_truth():
    row = coverage_of("dspm", simulate(1))
    assert row.truth is None
    assert row.line().endswith("|  |  |")
