"""Metrics of several sources, on cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from majorant.forward.leadfield import Leadfield
from majorant.metrics.transport import (
    SparseJudge,
    SparseScores,
    course_correlation,
    earth_mover,
    relative_error,
    row_norms,
)
from majorant.problem import MajorantError


def maps(*rows: list[float]) -> torch.Tensor:
    """Maps as estimates with a single time point."""
    return torch.tensor(rows, dtype=torch.float64)[:, :, None]


class TestEarthMover:
    cost = 10.0 * np.abs(np.arange(4)[:, None] - np.arange(4)[None])

    def test_of_two_spikes_is_their_distance(self):
        real, found = np.array([1.0, 0, 0, 0]), np.array([0, 0, 0, 5.0])
        assert earth_mover(real, found, self.cost) == pytest.approx(30.0)

    def test_half_of_the_mass_moved_by_two_steps(self):
        real, found = np.array([1.0, 1.0, 0, 0]), np.array([1.0, 0, 0, 1.0])
        assert earth_mover(real, found, self.cost) == pytest.approx(10.0)

    def test_unequal_masses_are_normalised_first(self):
        real, found = np.array([3.0, 1.0, 0, 0]), np.array([1.0, 1.0, 0, 0])
        assert earth_mover(real, found, self.cost) == pytest.approx(2.5)

    def test_of_equal_maps_is_zero(self):
        real = np.array([0.3, 0.0, 0.2, 0.1])
        assert earth_mover(real, 7.0 * real, self.cost) == pytest.approx(0.0, abs=1e-12)

    def test_what_is_below_a_thousandth_is_left_out(self):
        real, found = np.array([1.0, 0, 0, 9e-4]), np.array([1.0, 0, 0, 0])
        assert earth_mover(real, found, self.cost) == pytest.approx(0.0, abs=1e-12)

    def test_what_is_above_it_counts(self):
        real, found = np.array([1.0, 0, 0, 2e-3]), np.array([1.0, 0, 0, 0])
        assert earth_mover(real, found, self.cost) == pytest.approx(30.0 * 2e-3 / 1.002)

    def test_a_map_of_zeros_says_as_much_as_a_flat_one(self):
        real = np.array([1.0, 0, 0, 0])
        expected = earth_mover(real, np.ones(4), self.cost)
        assert earth_mover(real, np.zeros(4), self.cost) == expected == pytest.approx(15.0)


class TestJudge:
    def test_a_perfect_estimate(self, path: Leadfield):
        truth = torch.zeros(1, 10, 3, dtype=torch.float64)
        truth[0, 2], truth[0, 7] = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.0, 1.0, 2.0])
        scores = SparseJudge(path).score(truth, truth, torch.tensor([[2, 7, -1]]))
        for name, value in {"emd": 0, "auc": 1, "nmse": 0, "f1": 1, "correlation": 1}.items():
            assert float(getattr(scores, name)) == pytest.approx(value, abs=1e-12), name

    def test_a_spike_one_step_off(self, path: Leadfield):
        truth = maps([0, 0, 1.0, 0, 0, 0, 0, 0, 0, 0])
        estimate = maps([0, 0, 0, 1.0, 0, 0, 0, 0, 0, 0])
        scores = SparseJudge(path).score(truth, estimate, torch.tensor([[2]]))
        assert float(scores.emd) == pytest.approx(10.0)
        uniform = 10.0 * sum(abs(i - 2) for i in range(10)) / 10
        assert float(scores.emd_relative) == pytest.approx(10.0 / uniform)
        assert float(scores.f1) == 1.0
        assert float(scores.nmse) == pytest.approx(2.0)
        assert float(scores.auc) == pytest.approx(8 / 2 / 9)
        assert math.isnan(float(scores.correlation))

    def test_beyond_reach_nothing_is_found(self, path: Leadfield):
        truth = maps([1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        estimate = maps([0, 0, 0, 1.0, 0, 0, 0, 0, 0, 0])
        assert float(SparseJudge(path).score(truth, estimate, torch.tensor([[0]])).f1) == 0.0

    def test_two_sources_found_as_one_and_a_false_one(self, path: Leadfield):
        truth = maps([1.0, 0, 0, 1.0, 0, 0, 0, 0, 0, 0])
        estimate = maps([0, 1.0, 0, 0, 0, 0, 0, 0, 0, 1.0])
        scores = SparseJudge(path).score(truth, estimate, torch.tensor([[0, 3]]))
        assert float(scores.f1) == pytest.approx(2 * 1 / 4)

    def test_one_maximum_matches_one_source_only(self, path: Leadfield):
        truth = maps([1.0, 0, 1.0, 0, 0, 0, 0, 0, 0, 0])
        estimate = maps([0, 1.0, 0, 0, 0, 0, 0, 0, 0, 0])
        scores = SparseJudge(path).score(truth, estimate, torch.tensor([[0, 2]]))
        assert float(scores.f1) == pytest.approx(2 * 1 / 3)

    def test_a_plateau_is_one_maximum_and_a_tenth_is_none(self, path: Leadfield):
        map_ = torch.tensor([1.0, 1.0, 0, 0, 0.09, 0, 0, 0.11, 0, 0])
        assert SparseJudge(path).maxima(map_).tolist() == [0, 7]

    def test_truth_on_another_mesh(self, path: Leadfield):
        dense = Leadfield.from_arrays(
            torch.zeros(6, 3), positions=path.positions[[0, 4, 9]], edges=torch.tensor([[0, 1]])
        )
        truth = maps([1.0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        judge = SparseJudge(path, dense)
        scores = judge.score(truth, truth, torch.tensor([[0]]), torch.tensor([[0.0, 1.0, 0.0]]))
        assert float(scores.emd) == pytest.approx(40.0)

    def test_positive_scale_does_not_matter_but_for_the_error(self, path: Leadfield):
        draw = torch.Generator().manual_seed(0)
        truth, estimate = torch.randn(2, 3, 10, 4, generator=draw, dtype=torch.float64)
        truth[:, 6:] = 0.0
        seeds = torch.tensor([[1, 2]] * 3)
        one = SparseJudge(path).score(truth, estimate, seeds)
        other = SparseJudge(path).score(truth, 7.0 * estimate, seeds)
        for name in ("emd", "auc", "f1", "correlation"):
            torch.testing.assert_close(getattr(one, name), getattr(other, name))

    def test_a_summary_names_every_metric(self, path: Leadfield):
        truth = torch.eye(10, dtype=torch.float64)[:3, :, None].expand(3, 10, 2).clone()
        scores = SparseJudge(path).score(truth, truth, torch.tensor([[0], [1], [2]]))
        joined = SparseScores.cat([scores, scores])
        assert joined.emd.shape == (6,)
        assert joined.summary()["f1"].mean == 1.0

    def test_what_is_not_finite_is_an_error(self, path: Leadfield):
        truth = maps([1.0] + [0.0] * 9)
        with pytest.raises(MajorantError, match="finite"):
            SparseJudge(path).score(truth, truth * torch.nan, torch.tensor([[0]]))


def test_row_norms_are_norms_over_time():
    assert row_norms(torch.tensor([[[3.0, 4.0], [0.0, 0.0]]])).tolist() == [[5.0, 0.0]]


def test_relative_error_of_zero_is_one():
    truth = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    assert relative_error(truth, torch.zeros_like(truth)).tolist() == [1.0, 1.0]


def test_course_correlation_ignores_sign_and_offset():
    truth = torch.tensor([[[1.0, 2.0, 3.0], [1.0, 0.0, 1.0]]])
    estimate = torch.tensor([[[-2.0, -4.0, -6.0], [5.0, 5.0, 5.0]]])
    assert float(course_correlation(truth, estimate, torch.tensor([[0]]))) == pytest.approx(1.0)
    both = course_correlation(truth, estimate, torch.tensor([[0, 1, -1]]))
    assert float(both) == pytest.approx(0.5)
