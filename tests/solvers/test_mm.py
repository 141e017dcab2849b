"""Classical minimisation: bounds that hold everywhere need no guard, and references agree."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from benchmarks.reference import LBFGS, compare_energies
from torch import Tensor

from majorant.bench.descent import GradientDescent
from majorant.majorants.guard import Guard
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import FunctionOperator, MajorantError, MatrixOperator, Problem, Status
from majorant.solvers.linear import MinimumNorm
from majorant.solvers.loop import solve
from majorant.solvers.mm import ClassicalMM, Cosine, Squares


def problem(seed: int = 0, batch: int = 3, dtype: torch.dtype = torch.float64) -> Problem:
    g = torch.Generator().manual_seed(seed)
    matrix = torch.randn(5, 9, generator=g, dtype=dtype)
    return Problem(MatrixOperator(matrix), torch.randn(batch, 5, 4, generator=g, dtype=dtype))


def prior(seed: int = 0, gain: float = 0.7) -> Autoencoder:
    g = torch.Generator().manual_seed(seed)
    network = Autoencoder((9, 6, 6, 9), generator=g).double().requires_grad_(False)
    for w in network.weights:
        w.mul_(gain)
    return network


def falls(energy: Tensor) -> bool:
    return bool((energy[1:] <= energy[:-1] + 1e-12).all())


@pytest.mark.parametrize("bound", ["global", "gram-global"])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 1.9])
def test_a_global_majorant_descends_without_a_guard(bound: str, gamma: float) -> None:
    for seed in range(4):
        solver = ClassicalMM(Cosine(prior(seed, 1.5), bound=bound), 60, gamma=gamma)
        out = solve(problem(seed), solver, guard="off")
        assert falls(out.certificate.energy)
        assert (out.certificate.energy[-1] < out.certificate.energy[0]).all()
        assert out.certificate.kind == "global"
    alone = solve(problem(), ClassicalMM(Cosine(bound=bound), 60, gamma=gamma), guard="off")
    assert falls(alone.certificate.energy)


def test_a_step_beyond_twice_the_minimiser_may_rise_without_the_guard() -> None:
    out = solve(problem(), ClassicalMM(Squares(0.1, "gram"), 5, gamma=2.5), guard="off")
    assert not out.certificate.holds()
    assert solve(problem(), ClassicalMM(Squares(0.1, "gram"), 5, gamma=2.5)).certificate.holds()


@pytest.mark.parametrize("bound", ["gram", "operator"])
def test_the_exact_majorant_of_squares_arrives_at_the_minimum_norm_estimate(bound: str) -> None:
    p = problem()
    out = solve(p, ClassicalMM(Squares(0.2, bound), 5))  # pyright: ignore[reportArgumentType]
    matrix = torch.as_tensor(p.operator.matrix())
    gram = matrix @ matrix.mT + 0.04 * torch.eye(5, dtype=torch.float64)
    expected = matrix.mT @ torch.linalg.solve(gram, p.y)
    assert torch.allclose(out.estimate, expected, atol=1e-6)
    assert out.status == (Status.CONVERGED,) * 3
    assert out.certificate.holds()


def test_matrix_free_and_matrix_give_the_same_estimate() -> None:
    p = problem()
    matrix = torch.as_tensor(p.operator.matrix())
    free = FunctionOperator(
        lambda x: matrix @ x,
        lambda v: matrix.mT @ v,
        n_sensors=5,
        n_columns=9,
        norm_bound=float(p.operator.norm_bound()),
    )
    for objective in (Squares(0.2), Squares(0.2, "operator"), Cosine(prior()), Cosine(bound="v2")):
        a = solve(p, ClassicalMM(objective, 20)).estimate
        b = solve(Problem(free, p.y), ClassicalMM(objective, 20)).estimate
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_a_fit_with_more_sources_than_sensors_reaches_the_data() -> None:
    out = solve(problem(), ClassicalMM(Cosine(bound="gram"), 300))
    assert (out.certificate.energy[-1] < 1e-6).all()
    seen = problem().operator.apply(out.estimate)
    assert torch.allclose(seen, problem().y, atol=2e-2)  # the amplitude is the data's


def test_data_that_point_the_other_way_are_explained_by_no_source() -> None:
    matrix = torch.tensor([[1.0, 2.0], [0.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)  # no source reaches this sensor
    out = solve(Problem(MatrixOperator(matrix), y), ClassicalMM(Cosine(bound="global"), 5))
    assert out.status == (Status.NO_SOURCE,)
    assert (out.estimate == 0).all()


def test_the_references_end_at_the_same_minimum_of_a_convex_energy() -> None:
    p = problem(1)
    exact = solve(p, ClassicalMM(Squares(0.5, "gram"), 3)).certificate.energy[-1]
    for solver in (
        ClassicalMM(Squares(0.5), 2000, tolerance=1e-14),
        GradientDescent(Squares(0.5), 2000, tolerance=1e-14),
        LBFGS(Squares(0.5)),
    ):
        out = solve(p, solver)
        assert torch.allclose(out.certificate.energy[-1], exact, rtol=1e-6)
        assert falls(out.certificate.energy)


def test_the_references_descend_on_the_cosine_energy_sample_by_sample() -> None:
    p, objective = problem(2), Cosine(prior(), bound="v2")
    for solver in (GradientDescent(objective, 60), LBFGS(objective, 2, evaluations=30)):
        whole = solve(p, solver)
        assert falls(whole.certificate.energy)
        alone = solve(Problem(p.operator, p.y[1:2]), solver)
        assert torch.allclose(whole.estimate[1], alone.estimate[0], rtol=1e-6, atol=1e-9)
        assert (whole.certificate.energy[-1] < whole.certificate.energy[0] - 0.1).all()


def test_batched_lead_fields_are_taken_apart() -> None:
    g = torch.Generator().manual_seed(0)
    matrices = torch.randn(3, 5, 9, generator=g, dtype=torch.float64)
    y = torch.randn(3, 5, 4, generator=g, dtype=torch.float64)
    whole = solve(Problem(MatrixOperator(matrices), y), LBFGS(Squares(0.5)))
    for i in range(3):
        one = solve(Problem(MatrixOperator(matrices[i]), y[i : i + 1]), LBFGS(Squares(0.5)))
        assert torch.allclose(whole.estimate[i], one.estimate[0], atol=1e-6)


@dataclass(frozen=True)
class Lazy(ClassicalMM):
    """Goes a thousandth of the way: violates nothing, and arrives nowhere."""

    objective: Cosine = field(default=Cosine(bound="v2"))
    gamma: float = 1e-3


def test_zero_violations_by_hardly_moving_is_no_success() -> None:
    p = problem(3)
    lazy = Lazy(max_iter=20, guard=Guard("descent", window=2))
    comparison = compare_energies(p, lazy, bounds=(None, "gram"))
    assert comparison.gradients == 21
    assert not comparison.no_worse_than("mm").any()
    assert not comparison.no_worse_than("mm gram").any()
    fair = ClassicalMM(Cosine(bound="v2"), 20)
    assert compare_energies(p, fair).no_worse_than("mm").all()
    assert {"mm", "gradient descent", "l-bfgs"} == set(compare_energies(p, fair).references)
    assert "this solver" in comparison.lines()[0]


def test_the_references_get_at_least_as_many_gradients() -> None:
    p = problem(4)
    comparison = compare_energies(p, ClassicalMM(Cosine(prior(), bound="v2"), 15, tolerance=-1.0))
    again = solve(
        p,
        ClassicalMM(Cosine(prior(), bound="v2"), comparison.gradients - 1, tolerance=-1.0),
    )
    assert torch.equal(comparison.references["mm"], again.certificate.energy[-1])
    assert torch.equal(comparison.energy, again.certificate.energy[-1])


def test_a_bound_of_another_energy_is_refused() -> None:
    with pytest.raises(MajorantError, match="is one of the cosine energy"):
        compare_energies(problem(), ClassicalMM(Squares(), 2), bounds=("gram",))


def test_float32_keeps_its_dtype_and_its_promise() -> None:
    p = problem(5, dtype=torch.float32)
    for solver in (
        ClassicalMM(Cosine(bound="gram"), 50),
        ClassicalMM(Squares(0.2), 50),
        GradientDescent(Cosine(), 50),
        LBFGS(Squares(0.2), 2),
    ):
        out = solve(p, solver)
        assert out.estimate.dtype == torch.float32
        u = out.certificate.energy
        assert (u[1:] <= u[:-1]).all()


def test_the_tikhonov_minimum_is_the_linear_solvers_minimum_norm() -> None:
    p = problem(6)
    linear = solve(p, MinimumNorm(snr=5.0, normalise=False)).estimate
    iterated = solve(p, ClassicalMM(Squares(0.2, "gram"), 5)).estimate
    assert torch.allclose(iterated, linear, atol=1e-9)
