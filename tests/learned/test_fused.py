"""Compiled steps: one graph without a break, the same estimates, and a way on where it fails."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch

from majorant.learned import fused
from majorant.learned.mmnet import CompiledProposal, MMNet
from majorant.learned.unrolled import MMNetSettings, MMNetwork
from majorant.majorants.guard import Guard
from majorant.problem import MatrixOperator, Problem
from majorant.solvers.loop import solve

SMALL = MMNetSettings(
    n_sources=20, prior_hidden=6, prior_kernels=(1, 3, 1), hidden=5, outer=1, iterations=6
)
COMPILE = torch.compile


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def solver(scale: float = 1.0, **options: Any) -> MMNet:
    network = MMNetwork(SMALL, generator(1))
    with torch.no_grad():
        for p in network.parameters():
            p.mul_(scale)
    return MMNet(network, **options)


def problem(dtype: torch.dtype = torch.float32, batch: int = 1) -> Problem:
    gain = torch.randn(8, 20, generator=generator(2), dtype=torch.float64).to(dtype)
    y = torch.randn(batch, 8, 7, generator=generator(3), dtype=torch.float64).to(dtype)
    return Problem(MatrixOperator(gain), y)


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Trace as the compiler does, but run what was traced without it; count the graphs run."""
    graphs: list[int] = []

    def backend(graph: torch.fx.GraphModule, _: Any) -> Any:
        def run(*args: Any) -> Any:
            graphs.append(len(graph.graph.nodes))
            return graph(*args)

        return run

    def compile_(plain: Any, **_: Any) -> Any:
        return COMPILE(plain, backend=backend, fullgraph=True, dynamic=False)

    torch.compiler.reset()
    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(fused, "_parts_fused", fused.Fused(fused._parts))
    monkeypatch.setattr(fused, "_advanced_fused", fused.Fused(fused._advanced))
    return graphs


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_estimates_and_energies_are_those_of_the_plain_steps(
    dtype: torch.dtype, traced: list[int], recwarn: pytest.WarningsRecorder
) -> None:
    plain = solve(problem(dtype), solver())
    found = solve(problem(dtype), solver(compiled=True))
    assert not [w for w in recwarn if "not compiled" in str(w.message)]
    assert len(traced) >= 1 + SMALL.iterations // 2  # the start, and one for each window
    tolerance = 1e-4 if dtype == torch.float32 else 1e-9
    torch.testing.assert_close(found.estimate, plain.estimate, rtol=tolerance, atol=tolerance)
    energies = found.certificate.energy, plain.certificate.energy
    torch.testing.assert_close(*energies, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scale", [30.0, 1e20])
def test_the_guard_keeps_the_descent_of_compiled_steps(scale: float, traced: list[int]) -> None:
    bad = solver(scale, compiled=True)
    kept = solve(problem(), bad, max_iter=20)
    assert traced
    assert kept.certificate.holds()
    free = solve(problem(), bad, max_iter=20, guard=Guard("off", window=1))
    assert scale > 1e6 or not free.certificate.holds()


def test_several_windows_at_once_are_taken_by_plain_steps(traced: list[int]) -> None:
    given = problem(batch=3)
    found, plain = (solve(given, solver(compiled=c)) for c in (True, False))
    assert not traced
    assert torch.equal(found.estimate, plain.estimate)


def test_a_fault_of_ones_own_is_not_hidden(traced: list[int]) -> None:
    def wrong(x: torch.Tensor) -> torch.Tensor:
        return x @ torch.zeros(3, 3)

    with pytest.warns(RuntimeWarning), pytest.raises(RuntimeError):
        fused.Fused(wrong)(torch.zeros(2, 2))


def test_where_it_cannot_be_compiled_one_warning_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_compiler(plain: Any, **_: Any) -> Any:
        def fails(*args: Any) -> Any:
            raise RuntimeError("no C++ compiler was found\nand much more")

        return fails

    monkeypatch.setattr(torch, "compile", no_compiler)
    monkeypatch.setattr(fused, "_parts_fused", fused.Fused(fused._parts))
    monkeypatch.setattr(fused, "_advanced_fused", fused.Fused(fused._advanced))
    with pytest.warns(RuntimeWarning, match="not compiled and goes on without.*no C\\+\\+") as said:
        found = solve(problem(), solver(compiled=True))
    assert len(said) == 2  # once for each of the two graphs, not for every step
    plain = solve(problem(), solver())
    torch.testing.assert_close(found.estimate, plain.estimate, rtol=1e-4, atol=1e-4)


def test_a_proposal_of_a_compiled_solver_is_the_compiled_one() -> None:
    assert isinstance(solver(compiled=True).proposal(problem()), CompiledProposal)
    assert not isinstance(solver().proposal(problem()), CompiledProposal)
    assert solver(compiled=True).with_sfreq(100.0).compiled


def test_the_compiler_is_not_imported_before_it_is_asked_for() -> None:
    code = "import sys, majorant.learned.mmnet; sys.exit('torch._inductor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
