"""Problems and disturbed solvers that the tests of the unfolded solver share."""

from __future__ import annotations

import torch

from majorant.learned.unfolded import Mode, UnfoldedSBL
from majorant.problem import MatrixOperator, Problem

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
