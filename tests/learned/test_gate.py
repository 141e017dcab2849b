"""The gate's short form: the long one where nothing is clipped, and unused where something is."""

from __future__ import annotations

import pytest
import torch

from majorant.energies.evidence import EvidenceEnergy
from majorant.energies.gaussian import GaussianModel
from majorant.energies.variances import LogVariance, Variances
from majorant.learned import gate
from majorant.majorants.evidence import EvidenceSurrogate
from majorant.problem import MatrixOperator, Problem


def surrogate(
    dtype: torch.dtype = torch.float64, noise: str = "diagonal", seed: int = 0
) -> EvidenceSurrogate:
    draw = torch.Generator().manual_seed(seed)
    lead = torch.randn(12, 60, generator=draw, dtype=torch.float64).to(dtype)
    y = torch.randn(3, 12, 7, generator=draw, dtype=torch.float64).to(dtype)
    model = GaussianModel(Problem(MatrixOperator(lead), y), noise=noise)  # type: ignore[arg-type]
    return EvidenceSurrogate(EvidenceEnergy(model), model.start)


def corrections(here: EvidenceSurrogate, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    shape = here.statistics.z.shape
    return (
        scale * torch.randn(shape, generator=draw).tanh(),
        scale * torch.randn(3, 12, generator=draw).tanh(),
    )


@pytest.mark.parametrize("noise", ["diagonal", "given"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_short_form_is_the_long_one(noise: str, dtype: torch.dtype):
    here = surrogate(dtype, noise)
    quick = gate._in_the_open(here, *corrections(here), 1.0)
    assert quick is not None
    slow = gate._near_the_box(here, *corrections(here), 1.0)
    close = 1e-10 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(quick.log_gamma, slow.log_gamma, rtol=close, atol=close)
    torch.testing.assert_close(quick.log_noise, slow.log_noise, rtol=close, atol=close)


def test_the_short_form_is_not_used_near_the_box():
    here = surrogate()
    low = here.model.gamma_box[0] + gate.LIMIT / 2
    floor = Variances(LogVariance(low.expand(3, 60).clone()), here.state.noise)
    near = EvidenceSurrogate(EvidenceEnergy(here.model), floor)
    assert gate._in_the_open(near, *corrections(near), 1.0) is None


@pytest.mark.parametrize("seed", range(8))
def test_the_short_form_keeps_the_bound(seed: int):
    here = surrogate(torch.float32, seed=seed)
    for _ in range(6):
        point = gate._in_the_open(here, *corrections(here, 3.0), 1.0)
        if point is None:
            return
        assert bool((here.change(point) <= 1e-9 * here.energy.abs()).all())
        here = EvidenceSurrogate(EvidenceEnergy(here.model), point)


def test_no_correction_is_the_classical_step_bit_for_bit():
    here = surrogate()
    still = torch.zeros(3, 60), torch.zeros(3, 12)
    quick = gate._in_the_open(here, *still, 1.0)
    assert quick is not None
    assert torch.equal(quick.log_gamma, here.minimiser().log_gamma)
    assert torch.equal(quick.log_noise, here.minimiser().log_noise)
