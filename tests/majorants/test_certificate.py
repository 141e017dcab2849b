"""Certificates to the letter: whose energy, in which precision, and what is true at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, CosinePoint, SourceState
from majorant.majorants.cosine import CosineMajorant
from majorant.majorants.guard import Guard
from majorant.networks.autoencoder import Autoencoder
from majorant.problem import Certificate, MatrixOperator, Problem
from majorant.solvers.champagne import Champagne
from majorant.solvers.linear import MinimumNorm
from majorant.solvers.loop import count_rises, ended, solve
from majorant.solvers.mm import ClassicalMM, Cosine, Squares

from .conftest import build, plain
from .proposals import Subject, along_gradient, constant


def test_start_and_end_are_computed_again_in_double_precision() -> None:
    energy, x = build(1, 3, dtype=torch.float32)
    out = Subject(energy, x, along_gradient(-1e-3), max_iter=8).run()
    assert isinstance(energy.prior, Autoencoder)
    matrix = torch.as_tensor(energy.problem.operator.matrix()).double()
    wide = CosineEnergy(
        Problem(MatrixOperator(matrix), energy.problem.y.double()), energy.prior.wide()
    )
    for row, state in ((0, out.trace[0]), (-1, out.trace[-1])):
        told = out.certificate.energy[row]
        for i in range(3):
            assert float(told[i]) == pytest.approx(
                float(plain(wide, i, state.x[i].double())), abs=1e-13
            )
    quick = Subject(energy, x, along_gradient(-1e-3), max_iter=8).run(recheck=False)
    assert torch.equal(quick.estimate, out.estimate)
    assert quick.certificate.gradient is None
    assert not torch.equal(
        quick.certificate.energy[0], out.certificate.energy[0]
    )  # single precision


class Flattered(CosineEnergy):
    """An energy that is told ever lower while nothing falls, and is sure of it."""

    looks = 0

    def evaluate(self, x: Tensor) -> CosinePoint:
        type(self).looks += 1
        point = super().evaluate(x)
        return replace(point, energy=point.energy - 0.5 * self.looks)

    def doubt(self, point: CosinePoint) -> Tensor:
        return torch.zeros_like(point.energy)


def test_an_end_above_the_start_is_a_violation_whatever_was_decided() -> None:
    energy, x = build(2, 3, dtype=torch.float32)
    lying = Flattered(energy.problem, energy.prior)
    out = Subject(lying, x, along_gradient(0.02), max_iter=4).run(guard=Guard("descent", window=1))
    assert int(out.certificate.refused.sum()) == 0  # nothing was noticed on the way
    assert (out.certificate.violations > 0).all()
    assert not out.certificate.holds()


class Doubted(Flattered):
    """The same, but it knows that it knows nothing."""

    def doubt(self, point: CosinePoint) -> Tensor:
        return torch.full_like(point.energy, 1e6)


def test_a_fall_within_the_doubt_is_looked_at_in_double_precision() -> None:
    energy, x = build(2, 1, dtype=torch.float32)
    doubted = Doubted(energy.problem, energy.prior)
    subject = Subject(doubted, x, along_gradient(0.02), max_iter=4)
    out = subject.run(guard=Guard("descent", window=1))
    assert out.certificate.holds()
    assert out.certificate.refused.tolist() == [4]  # every one of them rose


def test_nothing_is_taken_where_double_precision_does_not_know_either() -> None:
    class Unsure(CosineEnergy):
        def doubt(self, point: CosinePoint) -> Tensor:
            return torch.ones_like(point.energy)

    energy, x = build(2, 2)
    unsure = Unsure(energy.problem, energy.prior)
    out = Subject(unsure, x, along_gradient(-1e-3), max_iter=4).run()
    assert torch.equal(out.estimate, x)
    assert not torch.equal(Subject(energy, x, along_gradient(-1e-3), max_iter=4).run().estimate, x)


def test_many_rises_too_small_to_count_add_up_to_one_that_does() -> None:
    energy, x = build(2, 1)
    end = CosineMajorant(energy).at(SourceState(x))
    path = end.energy - 1e-6 * torch.linspace(4.5, 0.0, 10, dtype=torch.float64)[:, None]
    none = torch.zeros(1, dtype=torch.int64)
    kept = Certificate(path, count_rises(path), none, none, none, "energy", guard="energy")
    assert kept.holds()
    assert not ended(kept, end, Guard()).holds()
    assert ended(kept, end, Guard("off", window=1)).holds()  # which promises nothing of the end


def test_a_rise_counts_from_one_millionth() -> None:
    start = torch.tensor([0.5, 0.5, 300.0, 300.0], dtype=torch.float64)
    rise = torch.tensor([0.9e-6, 1.1e-6, 2.9e-4, 3.1e-4], dtype=torch.float64)
    assert count_rises(torch.stack([start, start + rise])).tolist() == [0, 1, 0, 1]
    assert count_rises(torch.tensor([[0.5], [torch.nan]], dtype=torch.float64)).tolist() == [1]


@pytest.mark.parametrize("bound", ["gram", "global"])
def test_the_gradient_at_the_end_is_that_of_what_is_returned(bound: str) -> None:
    energy, x = build(3, 3)
    out = Subject(energy, x, constant(torch.nan), bound=bound, max_iter=20).run()
    c = out.certificate
    point = energy.evaluate(out.state.x)
    assert c.gradient is not None
    assert c.stationarity is not None
    torch.testing.assert_close(c.gradient, point.gradient.flatten(1).norm(dim=1))
    curvature = CosineMajorant(energy, bound).curvature(point)
    own = c.gradient**2 * curvature.step_limit().flatten(1).amin(1)
    torch.testing.assert_close(c.stationarity, own)  # the solve has needed the norms
    # theorem 5: no more than what is left to win, shared out over as many windows
    assert (c.stationarity <= 2 * c.energy[0] / (1e-4 * 10)).all()
    names = [name for name, _ in c.ending()]
    assert len(names) == 2
    assert c.to_dict()["gradient"] == c.gradient.tolist()


@pytest.mark.parametrize("prior", [False, True])
def test_the_gap_of_squares_is_above_what_is_left_to_win(prior: bool) -> None:
    g = torch.Generator().manual_seed(0)
    gain, y = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((4, 7), (3, 4, 2)))
    weights = torch.linspace(0.5, 2.0, 7, dtype=torch.float64) if prior else None
    problem = Problem(MatrixOperator(gain), y, source_prior=weights)
    objective = Squares(0.3)
    best = solve(problem, MinimumNorm(snr=1 / 0.3, normalise=False)).estimate
    least = objective.majorant(problem).energy.value(SourceState(best))
    gaps = []
    for steps in (3, 30, 600):
        out = solve(problem, ClassicalMM(objective, steps, tolerance=0.0))
        assert out.certificate.gap is not None
        left = out.certificate.energy[-1] - least
        assert (out.certificate.gap >= left - 1e-12).all()
        gaps.append(float(out.certificate.gap.max()))
        # primal minus dual, with the residual as the dual variable
        nu, x = y - gain @ out.state.x, out.state.x
        own = torch.ones(7, dtype=torch.float64) if weights is None else weights
        primal = 0.5 * nu.square().sum((1, 2))
        primal += 0.5 * 0.3**2 * (x.square() / own[:, None]).sum((1, 2))
        dual = (nu * y).sum((1, 2)) - 0.5 * nu.square().sum((1, 2))
        dual -= ((gain.T @ nu).square() * own[:, None]).sum((1, 2)) / (2 * 0.3**2)
        torch.testing.assert_close(out.certificate.gap, primal - dual, rtol=1e-6, atol=1e-9)
    assert gaps[0] > gaps[1] > gaps[2]
    assert gaps[2] < 1e-6
    assert solve(problem, ClassicalMM(Squares(0.0), 3)).certificate.gap is None


def test_a_certificate_says_whose_energy_it_is() -> None:
    energy, _ = build(4, 2)
    assert isinstance(energy.prior, Autoencoder)
    problem = energy.problem
    with_prior = solve(problem, ClassicalMM(Cosine(energy.prior), 3)).certificate
    assert "of the iterate, before it is scaled to the data, never rose" in with_prior.sentence()
    alone = solve(problem, ClassicalMM(Cosine(), 3)).certificate  # sees no scale
    assert alone.sentence().startswith("The cosine energy never rose")
    variances = solve(problem, Champagne(max_iter=3)).certificate
    assert "of the learned variances" in variances.sentence()
    assert variances.gradient is not None
    many = replace(with_prior, windows=6)
    assert "mean over 6 windows before they are cross-faded" in many.sentence()
    assert many.to_dict()["windows"] == 6
    closed = solve(problem, MinimumNorm()).certificate.sentence()
    assert closed.startswith("Closed form, the minimum itself")


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_the_doubt_of_an_energy_is_above_its_error(scale: float) -> None:
    for seed in range(20):
        energy, x = build(seed, 8, gain=scale, dtype=torch.float32)
        matrix = torch.as_tensor(energy.problem.operator.matrix())
        # along the null space what the sensors see is rounding, more and more of it
        _, _, vh = torch.linalg.svd(matrix.double(), full_matrices=True)
        far = 10.0 ** torch.linspace(0, 7, 8, dtype=torch.float64)[:, None, None]
        x = x + (far * vh[-1][None, :, None]).float()
        point = energy.evaluate(x)
        every = torch.ones(8, dtype=torch.bool)
        exact, left = energy.exact(SourceState(x), every)
        assert ((point.energy - exact).abs() <= energy.doubt(point)).all()
        assert (left < 1e-6).all()
