"""The unfolded solver: its classical parent without corrections, and a cost that cannot rise."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from majorant.learned.clues import read_clues, read_columns
from majorant.learned.gate import share_of
from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.majorants.evidence import EvidenceSurrogate
from majorant.networks.corrections import Corrections, CorrectionSettings
from majorant.problem import DamagedFile, MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.champagne import Champagne
from majorant.solvers.loop import solve

KINDS = ("bias", "mlp", "attention")
GUARDED: tuple[Mode, ...] = ("theta", "gated", "exact")


def make_problem(
    n: int = 10,
    sources: int = 24,
    times: int = 8,
    batch: int = 3,
    orient: int = 1,
    seed: int = 0,
    dtype: torch.dtype = torch.float64,
) -> Problem:
    """Four active columns, noise of three tenths."""
    draw = torch.Generator().manual_seed(seed)
    lead = torch.randn(n, sources * orient, generator=draw, dtype=torch.float64)
    active = torch.randn(batch, 4, times, generator=draw, dtype=torch.float64)
    y = lead[:, :4] @ active
    y = y + 0.3 * torch.randn(y.shape, generator=draw, dtype=torch.float64)
    return Problem(MatrixOperator(lead.to(dtype), orient), y.to(dtype))


def disturbed(solver: UnfoldedSBL, seed: int = 0, scale: float = 1.5) -> UnfoldedSBL:
    """Replace all weights by random ones."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in solver.corrections.parameters():
            weight.copy_(scale * torch.randn(weight.shape, generator=draw))
    return solver


def rises(energy: torch.Tensor) -> int:
    """Steps in which the cost rose by more than rounding."""
    allowed = energy[:-1] + 1e-9 * energy[:-1].abs().clamp_min(1.0)
    return int((~(energy[1:] <= allowed)).sum())


class TestParent:
    @pytest.mark.parametrize("noise", ["diagonal", "scalar", "given", "full"])
    @pytest.mark.parametrize(
        ("orient", "orientation"), [(1, None), (3, "fixed"), (3, "tied"), (3, "block")]
    )
    def test_zero_corrections_equal_the_classical_solver_bit_for_bit(
        self, noise, orient, orientation
    ):
        problem = make_problem(sources=12, times=12, orient=orient)
        classical = Champagne(noise=noise, orientation=orientation, tol=0.0)
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
        torch.testing.assert_close(solution.state.log_noise[0].exp(), noise)

    def test_a_disturbed_network_is_another_solver(self):
        problem = make_problem()
        parent = solve(problem, Champagne(tol=0.0), max_iter=6)
        for mode in ("free", *GUARDED):
            child = solve(problem, disturbed(UnfoldedSBL("mlp", mode, 6)))
            assert not torch.allclose(child.estimate, parent.estimate, rtol=1e-2)


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


class TestGate:
    def test_the_share_solves_its_quadratic(self):
        draw = torch.Generator().manual_seed(0)
        budget, clipped, open_ = torch.rand(3, 1000, generator=draw, dtype=torch.float64)
        tau = share_of(budget, clipped, open_)
        spent = tau * clipped + tau**2 * open_
        assert bool((spent <= budget * (1 + 1e-12)).all())
        bound = tau < 1
        torch.testing.assert_close(spent[bound], budget[bound])

    def test_nothing_to_pay_with_moves_nothing(self):
        zero, one = torch.zeros(1).double(), torch.ones(1).double()
        assert float(share_of(zero, one, zero)) == 0.0
        assert float(share_of(zero, zero, one)) == 0.0
        assert float(share_of(zero, zero, zero)) == 1.0

    @pytest.mark.parametrize("mode", ["theta", "gated"])
    def test_fixed_points_are_those_of_the_classical_solver(self, mode):
        problem = make_problem(n=6, sources=4, times=40, batch=1)
        settled = solve(problem, Champagne(tol=0.0), max_iter=3_000).state
        solver = disturbed(UnfoldedSBL("mlp", mode, 1), 2)
        majorant = solver.majorant(problem)
        here = majorant.at(settled)
        point, _ = solver.proposal(problem).propose(
            here, solver.proposal(problem).begin(problem, here)
        )
        torch.testing.assert_close(point.log_gamma, settled.log_gamma, rtol=0, atol=1e-3)
        torch.testing.assert_close(point.log_noise, settled.log_noise, rtol=0, atol=1e-3)


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
        shift = other.state.log_noise - one.state.log_noise
        torch.testing.assert_close(shift, torch.full_like(shift, -12).mul(2.302585092994046))

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


class TestGradient:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("mode", ["free", "theta", "gated"])
    def test_of_one_layer(self, kind, mode):
        problem = make_problem(n=5, sources=7, times=4, batch=1)
        solver = disturbed(UnfoldedSBL(kind, mode, 1), seed=4, scale=0.4)
        solver.corrections.double()
        names, weights = zip(*solver.corrections.named_parameters(), strict=True)

        def layer(*values: torch.Tensor) -> torch.Tensor:
            with torch.nn.utils.stateless._reparametrize_module(
                solver.corrections, dict(zip(names, values, strict=True))
            ):
                state = solver.unfold(problem, 1)[-1].state
            return torch.cat([state.log_gamma, state.log_noise], 1)

        inputs = tuple(w.detach().clone().requires_grad_() for w in weights)
        assert torch.autograd.gradcheck(layer, inputs, fast_mode=True)

    @pytest.mark.parametrize("mode", ["free", "theta", "gated"])
    @pytest.mark.parametrize("scale", [0.0, 0.01, 3.0])
    def test_is_finite_from_the_first_step_on(self, mode, scale):
        problem = make_problem(dtype=torch.float32)
        solver = disturbed(UnfoldedSBL("mlp", mode, 6), scale=scale)
        for here in solver.unfold(problem, 6)[1:]:
            solver.corrections.zero_grad()
            here.evidence.mean(problem.y).square().sum().backward(retain_graph=True)
            for weight in solver.corrections.parameters():
                assert weight.grad is None or bool(torch.isfinite(weight.grad).all())

    def test_recomputing_layers_changes_nothing(self):
        problem = make_problem()
        grads = []
        for checkpointing in (False, True):
            solver = disturbed(UnfoldedSBL("mlp", "gated", 4), scale=0.3)
            last = solver.unfold(problem, 4, checkpointing=checkpointing)[-1]
            last.energy.sum().backward()
            grads.append([w.grad for w in solver.corrections.parameters()])
        for one, other in zip(*grads, strict=True):
            torch.testing.assert_close(one, other)

    def test_training_and_solving_are_the_same_computation(self):
        problem = make_problem()
        solver = disturbed(UnfoldedSBL("mlp", "gated", 4))
        last = solver.unfold(problem, 4)[-1]
        solved = solve(problem, solver, guard="off").certificate.energy[-1]
        torch.testing.assert_close(last.energy, solved, rtol=1e-12, atol=0.0)

    def test_solving_leaves_no_graph(self):
        solution = solve(make_problem(), disturbed(UnfoldedSBL("mlp", "gated", 2)))
        assert not solution.estimate.requires_grad


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


class TestClues:
    def test_are_bounded_and_finite(self):
        problem = make_problem()
        surrogate = UnfoldedSBL().majorant(problem).at(UnfoldedSBL().start(problem))
        clues = read_clues(surrogate, read_columns(surrogate.model, 4), 0.1, torch.float32)
        for values in (clues.sources, clues.sensors):
            assert bool((values.abs() <= 5.0).all())
        assert clues.sources.shape == (3, 24, 7)
        assert clues.sensors.shape == (3, 10, 5)

    def test_every_column_is_most_like_itself(self):
        problem = make_problem()
        model = UnfoldedSBL().majorant(problem).energy.model
        columns = read_columns(model, 4)
        assert columns.near is not None
        assert columns.near[0, :, 0].tolist() == list(range(24))
        torch.testing.assert_close(columns.similarity[0, :, 0], torch.ones(24).double())


class TestFile:
    def test_what_is_saved_comes_back(self, tmp_path):
        solver = disturbed(UnfoldedSBL("mlp", "gated", 3))
        path = solver.corrections.save(tmp_path / "w.safetensors", {"mode": "gated"})
        back, card = Corrections.load(path)
        assert card == {"mode": "gated"}
        problem = make_problem()
        again = solve(problem, UnfoldedSBL(back, "gated")).estimate
        assert torch.equal(again, solve(problem, solver).estimate)

    def test_damage_is_named(self, tmp_path):
        path = Corrections(CorrectionSettings(layers=2)).save(tmp_path / "w.safetensors", {})
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        with pytest.raises(DamagedFile, match="sha256"):
            Corrections.load(path)
        with pytest.raises(MajorantError, match="no weights at"):
            Corrections.load(tmp_path / "none.safetensors")
