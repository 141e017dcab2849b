"""The unfolded solver in training: gradients, the same computation, weights on disk."""

from __future__ import annotations

import pytest
import torch

from majorant.learned.unfolded import UnfoldedSBL
from majorant.networks.corrections import Corrections, CorrectionSettings
from majorant.problem import DamagedFile, MajorantError
from majorant.solvers.loop import solve

from .unfolding import KINDS, disturbed, make_problem


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
