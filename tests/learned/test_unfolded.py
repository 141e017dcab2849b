"""The unfolded solver: its parent without corrections, a cost that cannot rise, symmetries."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from majorant.learned.gate import share_of
from majorant.learned.unfolded import UnfoldedSBL
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

from .unfolding import GUARDED, KINDS, disturbed, make_problem, rises


class TestParent:
    @pytest.mark.parametrize("noise", ["diagonal", "scalar", "given", "full"])
    @pytest.mark.parametrize(
        ("orient", "orientation"), [(1, None), (3, "fixed"), (3, "tied"), (3, "block")]
    )
    def test_zero_corrections_equal_the_classical_solver_bit_for_bit(
        self, noise, orient, orientation
    ):
        problem = make_problem(sources=12, times=12, orient=orient)
        classical = Champagne("cb", noise, orientation, tol=0.0)
        parent = solve(problem, classical, max_iter=6)
        for kind, mode in itertools.product(KINDS, ("free", *GUARDED)):
            fresh = UnfoldedSBL(kind, mode, 6, noise=noise, orientation=orientation)
            child = solve(problem, fresh)
            assert torch.equal(child.estimate, parent.estimate), (kind, mode)
            assert torch.equal(child.certificate.energy, parent.certificate.energy)
            assert int(child.certificate.refused.sum()) == 0

    @pytest.mark.parametrize("mode", ["free", *GUARDED])
    def test_noise_that_is_given_is_kept(self, mode):
        problem = make_problem()
        noise = torch.linspace(0.05, 0.2, 10, dtype=torch.float64)
        known = Problem(problem.operator, problem.y, noise=noise)
        solver = disturbed(UnfoldedSBL("mlp", mode, 4, noise="given"))
        solution = solve(known, solver)
        kept = torch.tensor(solution.details["noise_variance"][0], dtype=torch.float64)
        torch.testing.assert_close(kept, noise)

    def test_a_disturbed_network_is_another_solver(self):
        problem = make_problem()
        parent = solve(problem, Champagne("cb", tol=0.0), max_iter=6)
        for mode in ("free", *GUARDED):
            child = solve(problem, disturbed(UnfoldedSBL("mlp", mode, 6)))
            assert not torch.allclose(child.estimate, parent.estimate, rtol=1e-2)

    @pytest.mark.parametrize("mode", ["theta", "gated"])
    def test_fixed_points_are_those_of_the_classical_solver(self, mode):
        problem = make_problem(n=6, sources=4, times=40, batch=1)
        settled = solve(problem, Champagne("cb", tol=0.0), max_iter=3_000).state
        solver = disturbed(UnfoldedSBL("mlp", mode, 1), 2)
        majorant = solver.majorant(problem)
        here = majorant.at(settled)
        point, _ = solver.proposal(problem).propose(
            here, solver.proposal(problem).begin(problem, here)
        )
        torch.testing.assert_close(point.log_gamma, settled.log_gamma, rtol=0, atol=1e-3)
        torch.testing.assert_close(point.log_noise, settled.log_noise, rtol=0, atol=1e-3)


class TestDescent:
    @pytest.mark.parametrize("mode", ["theta", "gated"])
    @given(
        seed=st.integers(0, 10_000),
        kind=st.sampled_from(KINDS),
        scale=st.floats(0.01, 30.0),
        kappa=st.floats(0.0, 1.0),
        noise=st.sampled_from(["diagonal", "scalar", "given"]),
    )
    @settings(max_examples=25, deadline=None)
    def test_steps_never_raise_the_cost_for_any_weights(
        self, mode, seed, kind, scale, kappa, noise
    ):
        problem = make_problem(seed=seed)
        solver = UnfoldedSBL(kind, mode, 6, kappa=kappa, noise=noise)
        solution = solve(problem, disturbed(solver, seed, scale), guard="off")
        assert rises(solution.certificate.energy) == 0

    @pytest.mark.parametrize("orientation", ["tied", "block"])
    @pytest.mark.parametrize("mode", ["theta", "gated"])
    def test_nor_where_a_location_has_three_columns(self, mode, orientation):
        for seed in range(8):
            problem = make_problem(sources=12, orient=3, seed=seed)
            solver = disturbed(UnfoldedSBL("mlp", mode, 8, orientation=orientation), seed)
            assert rises(solve(problem, solver, guard="off").certificate.energy) == 0

    def test_free_corrections_do_raise_it(self):
        counts = []
        for seed in range(8):
            solver = disturbed(UnfoldedSBL("mlp", "free", 6), seed)
            counts.append(rises(solve(make_problem(seed=seed), solver).certificate.energy))
        assert sum(counts) > 8

    @pytest.mark.parametrize("mode", ["theta", "gated"])
    def test_a_thousand_layers_of_shared_weights(self, mode):
        problem = make_problem(n=6, sources=14)
        solver = disturbed(UnfoldedSBL("mlp", mode, 10, shared=True), 3, 0.5)
        solution = solve(problem, solver, max_iter=1000, guard="off")
        assert rises(solution.certificate.energy) == 0
        assert bool(torch.isfinite(solution.estimate).all())

    def test_the_same_thousand_layers_rise_without_a_gate(self):
        problem = make_problem(n=6, sources=14)
        solver = disturbed(UnfoldedSBL("mlp", "free", 10, shared=True), 3, 0.5)
        assert rises(solve(problem, solver, max_iter=1000).certificate.energy) > 0

    @pytest.mark.parametrize(("mode", "safe"), [("theta", True), ("gated", True), ("free", False)])
    def test_weights_sought_by_gradient_to_raise_it(self, mode, safe):
        problem = make_problem(n=8, sources=20, batch=2)
        solver = disturbed(UnfoldedSBL("mlp", mode, 3), 1, 0.5)
        ascent = torch.optim.Adam(solver.corrections.parameters(), lr=0.05, maximize=True)
        worst = 0
        for _ in range(40):
            passed = solver.unfold(problem, 3)
            energy = torch.stack([here.energy for here in passed])
            worst = max(worst, rises(energy.detach()))
            ascent.zero_grad()
            (energy[1:] - energy[:-1]).sum().backward()
            ascent.step()
        assert (worst == 0) is safe

    @pytest.mark.parametrize("mode", ["theta", "gated"])
    def test_it_holds_with_the_floor_active(self, mode, monkeypatch):
        monkeypatch.setattr(
            "majorant.energies.gaussian.GAMMA_FLOOR", {torch.float64: 0.1, torch.float32: 0.1}
        )
        clipped = 0
        for seed in range(10):
            solver = disturbed(UnfoldedSBL("mlp", mode, 10), seed)
            solution = solve(make_problem(seed=seed), solver, guard="off")
            assert rises(solution.certificate.energy) == 0
            log = solution.state.log_gamma
            clipped += int((log == log.min(1, keepdim=True).values).sum()) - len(log)
        assert clipped > 20

    def test_a_gate_that_forgets_the_box_is_refuted(self, monkeypatch):
        """The square root alone is not safe where a step was clipped: the floors matter."""
        monkeypatch.setattr(
            "majorant.energies.gaussian.GAMMA_FLOOR", {torch.float64: 0.3, torch.float32: 0.3}
        )

        def careless(budget, clipped, open_):
            return (budget / (clipped + open_).clamp_min(1e-300)).sqrt().clamp_max(1.0)

        broken = 0
        for rule in (share_of, careless):
            monkeypatch.setattr("majorant.learned.gate.share_of", rule)
            for seed in range(30):
                solver = disturbed(UnfoldedSBL("mlp", "gated", 10), seed, 2.0)
                problem = make_problem(seed=seed)
                trace = solve(problem, solver, guard="off", keep_trace=True).trace
                majorant = solver.majorant(problem)
                for old, new in itertools.pairwise(trace):
                    over = majorant.at(old).change(new) > 1e-9
                    if rule is share_of:
                        assert not bool(over.any())
                    broken += int(over.sum())
        assert broken > 0

    def test_the_certificate_counts_what_the_paper_leaves_free(self):
        problem = make_problem()
        free = solve(problem, disturbed(UnfoldedSBL("mlp", "free", 10), 5))
        assert not free.certificate.holds()
        for mode in GUARDED:
            kept = solve(problem, disturbed(UnfoldedSBL("mlp", mode, 10), 5))
            assert kept.certificate.holds()


class TestSymmetry:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("mode", ["free", "theta", "gated"])
    def test_order_of_sources_and_sensors_does_not_matter(self, kind, mode):
        problem = make_problem(dtype=torch.float64)
        solver = disturbed(UnfoldedSBL(kind, mode, 3), scale=0.5)
        solver.corrections.double()
        draw = torch.Generator().manual_seed(1)
        columns, rows = torch.randperm(24, generator=draw), torch.randperm(10, generator=draw)
        lead = problem.operator.matrix()
        turned = Problem(MatrixOperator(lead[rows][:, columns]), problem.y[:, rows])
        one, other = solve(problem, solver).estimate, solve(turned, solver).estimate
        torch.testing.assert_close(other, one[:, columns], rtol=1e-8, atol=1e-10)

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("mode", ["free", "theta", "gated"])
    def test_units_do_not_matter(self, kind, mode):
        problem = make_problem()
        solver = disturbed(UnfoldedSBL(kind, mode, 3), scale=0.5)
        solver.corrections.double()
        lead = problem.operator.matrix()
        scaled = Problem(MatrixOperator(1e3 * lead), 1e-6 * problem.y)
        one, other = solve(problem, solver), solve(scaled, solver)
        torch.testing.assert_close(1e9 * other.estimate, one.estimate, rtol=1e-7, atol=1e-12)
        first, second = (
            torch.tensor(s.details["noise_variance"], dtype=torch.float64) for s in (one, other)
        )
        torch.testing.assert_close(1e12 * second, first, rtol=1e-7, atol=0.0)

    @pytest.mark.parametrize("kind", KINDS)
    def test_batch_mates_do_not_matter(self, kind):
        problem = make_problem()
        solver = disturbed(UnfoldedSBL(kind, "gated", 4), scale=0.5)
        together = solve(problem, solver).estimate
        for i in range(3):
            alone = solve(Problem(problem.operator, problem.y[i : i + 1]), solver).estimate
            torch.testing.assert_close(alone[0], together[i], rtol=1e-5, atol=1e-6)

    def test_a_lead_field_of_its_own_for_every_sample(self):
        problem = make_problem()
        solver = disturbed(UnfoldedSBL("attention", "gated", 3), scale=0.5)
        many = problem.operator.matrix().expand(3, -1, -1).contiguous()
        shared = solve(problem, solver).estimate
        own = solve(Problem(MatrixOperator(many), problem.y), solver).estimate
        torch.testing.assert_close(own, shared, rtol=1e-5, atol=1e-6)
