"""The unfolded solver on unusual data, and what its corrections see of a problem."""

from __future__ import annotations

import pytest
import torch

from majorant.learned.clues import read_clues, read_columns
from majorant.learned.unfolded import UnfoldedSBL
from majorant.majorants.evidence import EvidenceSurrogate
from majorant.networks.corrections import Corrections, CorrectionSettings
from majorant.problem import MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.loop import solve

from .unfolding import GUARDED, disturbed, make_problem


class TestInput:
    def settled(self, problem: Problem) -> None:
        for mode in ("free", *GUARDED):
            solution = solve(problem, disturbed(UnfoldedSBL("mlp", mode, 5)))
            assert bool(torch.isfinite(solution.estimate).all()), mode
            assert solution.variance is not None
            assert bool(torch.isfinite(solution.variance).all())

    @pytest.mark.parametrize("times", [1, 7, 40])
    def test_any_number_of_times(self, times):
        self.settled(make_problem(times=times))

    def test_rank_deficient_data(self):
        problem = make_problem()
        self.settled(Problem(problem.operator, problem.y[:, :, :1].expand(-1, -1, 8).contiguous()))

    def test_duplicate_sensors_columns_and_a_column_of_zeros(self):
        problem = make_problem()
        lead, y = problem.operator.matrix().clone(), problem.y.clone()
        lead[:, 5], lead[:, 6] = lead[:, 4], 0.0
        lead[3], y[:, 3] = lead[2], y[:, 2]
        self.settled(Problem(MatrixOperator(lead), y))

    def test_data_without_noise(self):
        problem = make_problem()
        clean = problem.operator.matrix()[:, :4] @ torch.ones(3, 4, 8, dtype=torch.float64)
        self.settled(Problem(problem.operator, clean))

    def test_a_noise_variance_of_zero_is_refused(self):
        problem = make_problem()
        noise = torch.ones(10, dtype=torch.float64)
        noise[4] = 0.0
        silent = Problem(problem.operator, problem.y, noise=noise)
        with pytest.raises(MajorantError, match="sensors \\[4\\] are not positive"):
            solve(silent, UnfoldedSBL("mlp", "gated", 2, noise="given"))

    def test_data_of_zero(self):
        problem = make_problem()
        y = problem.y.clone()
        y[1] = 0.0
        solution = solve(Problem(problem.operator, y), disturbed(UnfoldedSBL("mlp", "gated", 3)))
        assert solution.status[1] is Status.NO_DATA
        assert bool((solution.estimate[1] == 0).all())

    def test_all_layers_are_an_end_and_fewer_are_not(self):
        problem, solver = make_problem(), UnfoldedSBL("mlp", "gated", 3)
        assert set(solve(problem, solver).status) == {Status.COMPLETE}
        assert set(solve(problem, solver, max_iter=2).status) == {Status.LIMIT}

    def test_more_layers_than_trained_are_classical(self):
        problem = make_problem()
        solver = disturbed(UnfoldedSBL("mlp", "gated", 3))
        solution = solve(problem, solver, max_iter=6, keep_trace=True)
        rest = EvidenceSurrogate(solver.majorant(problem).energy, solution.trace[3])
        for state in solution.trace[4:]:
            expected = rest.minimiser()
            assert torch.equal(state.log_gamma, expected.log_gamma)
            rest = EvidenceSurrogate(solver.majorant(problem).energy, expected)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"mode": "bold"}, "no mode 'bold'"),
            ({"kappa": 1.5}, "between 0 and 1"),
            ({"correction": "magic"}, "no correction 'magic'"),
            ({"layers": 0}, "at least 1"),
            ({"noise": "pink"}, "noise 'pink' is unknown"),
        ],
    )
    def test_settings_that_do_not_exist_are_refused(self, options, words):
        with pytest.raises(MajorantError, match=words):
            UnfoldedSBL(**options)


@pytest.mark.parametrize(
    ("kind", "own", "shared"),
    [("bias", 20, 2), ("mlp", 27_540, 2_754), ("attention", 69_470, 6_947)],
)
def test_ten_layers_have_as_many_numbers_as_the_page_says(kind, own, shared):
    for is_shared, count in ((False, own), (True, shared)):
        made = Corrections(CorrectionSettings(kind, 10, is_shared))
        assert sum(p.numel() for p in made.parameters()) == count


class TestClues:
    def test_are_bounded_and_finite(self):
        problem = make_problem()
        surrogate = UnfoldedSBL().majorant(problem).at(UnfoldedSBL().start(problem))
        clues = read_clues(surrogate, read_columns(surrogate.model, 4), 0.1, torch.float32)
        for values in (clues.sources, clues.sensors):
            assert bool((values.abs() <= 5.0).all())
        assert clues.sources.shape == (3, 24, 7)
        assert clues.sensors.shape == (3, 10, 5)

    def test_those_of_a_column_that_nobody_sees_are_cut_off(self):
        problem = make_problem()
        lead = problem.operator.matrix().clone()
        lead[:, 0] *= 1e-9
        unseen = Problem(MatrixOperator(lead), problem.y)
        surrogate = UnfoldedSBL().majorant(unseen).at(UnfoldedSBL().start(unseen))
        clues = read_clues(surrogate, read_columns(surrogate.model, 4), 0.1, torch.float32)
        assert float(clues.sources[:, 0].abs().max()) == 5.0

    def test_every_column_is_most_like_itself(self):
        problem = make_problem()
        model = UnfoldedSBL().majorant(problem).energy.model
        columns = read_columns(model, 4)
        assert columns.near is not None
        assert columns.near[0, :, 0].tolist() == list(range(24))
        torch.testing.assert_close(columns.similarity[0, :, 0], torch.ones(24).double())
