"""The gate: the share of a correction that the bound pays for, and the short form of its sums."""

from __future__ import annotations

import pytest
import torch

from majorant.energies.evidence import EvidenceEnergy
from majorant.energies.gaussian import GaussianModel
from majorant.energies.variances import LogVariance, Variances
from majorant.learned.gate import gated, in_the_open, near_the_box, share_of
from majorant.majorants.evidence import EvidenceSurrogate
from majorant.problem import MatrixOperator, Problem


def surrogate(dtype: torch.dtype = torch.float64, seed: int = 0) -> EvidenceSurrogate:
    draw = torch.Generator().manual_seed(seed)
    lead = torch.randn(12, 60, generator=draw, dtype=torch.float64).to(dtype)
    y = torch.randn(3, 12, 7, generator=draw, dtype=torch.float64).to(dtype)
    model = GaussianModel(Problem(MatrixOperator(lead), y))
    return EvidenceSurrogate(EvidenceEnergy(model), model.start)


def corrections(scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    return tuple(scale * torch.randn(3, n, generator=draw).tanh() for n in (60, 12))  # type: ignore


def test_the_share_solves_its_quadratic():
    draw = torch.Generator().manual_seed(0)
    budget, clipped, open_ = torch.rand(3, 1000, generator=draw, dtype=torch.float64)
    tau = share_of(budget, clipped, open_)
    spent = tau * clipped + tau**2 * open_
    assert bool((spent <= budget * (1 + 1e-12)).all())
    bound = tau < 1
    torch.testing.assert_close(spent[bound], budget[bound])


def test_nothing_to_pay_with_moves_nothing():
    zero, one = torch.zeros(1).double(), torch.ones(1).double()
    assert float(share_of(zero, one, zero)) == 0.0
    assert float(share_of(zero, zero, one)) == 0.0
    assert float(share_of(zero, zero, zero)) == 1.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_short_form_is_the_long_one(dtype: torch.dtype):
    here = surrogate(dtype)
    part, s = here.state.gamma, here.statistics
    assert isinstance(part, LogVariance)
    arguments = (part, s.z, s.a, corrections()[0], *here.model.gamma_box)
    short, long = in_the_open(*arguments), near_the_box(*arguments)
    assert short is not None
    close = 1e-12 if dtype == torch.float64 else 1e-4
    for name in ("won", "clipped", "open_"):
        torch.testing.assert_close(
            getattr(short, name), getattr(long, name), rtol=close, atol=close
        )
    assert bool((short.won <= long.won).all())


def test_the_short_form_is_not_used_where_the_box_touches():
    here = surrogate()
    s, (low, high) = here.statistics, here.model.gamma_box
    floor = LogVariance(low.expand(3, 60).clone())
    assert in_the_open(floor, s.z, s.a, -10 + corrections()[0], low, high) is None


@pytest.mark.parametrize("seed", range(8))
def test_the_gate_keeps_the_bound_in_float32(seed: int):
    here = surrogate(torch.float32, seed)
    with torch.no_grad():
        for _ in range(8):
            point = gated(here, *corrections(3.0))
            assert bool((here.change(point) <= 1e-9 * here.energy.abs()).all())
            here = EvidenceSurrogate(EvidenceEnergy(here.model), point)


def test_no_correction_is_the_classical_step_bit_for_bit():
    here = surrogate()
    with torch.no_grad():
        point = gated(here, torch.zeros(3, 60), torch.zeros(3, 12))
    classical: Variances = here.minimiser()
    assert torch.equal(point.log_gamma, classical.log_gamma)
    assert torch.equal(point.log_noise, classical.log_noise)
