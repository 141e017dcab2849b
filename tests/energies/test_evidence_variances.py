"""Variances as a state: logarithms, full covariances, and the update that all rules share."""

from __future__ import annotations

import torch
from torch import Tensor

from majorant import linalg
from majorant.energies.variances import Covariance, LogVariance, Variances, log_ratio, update


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blocks(*shape: int, seed: int = 0) -> Tensor:
    factor = normal(*shape, seed=seed)
    return factor @ factor.mT


def test_a_correction_of_zero_changes_no_bit() -> None:
    log, q = normal(2, 50), normal(2, 50, seed=1)
    assert torch.equal(update(log, q), update(log, q, 0.5, torch.zeros(2, 50)))
    assert torch.equal(update(log, q), update(log, q, torch.full((2, 50), 0.5).double()))
    torch.testing.assert_close(update(log, q).exp(), log.exp() * q.exp().sqrt())


def test_the_ratio_of_two_zeros_is_one() -> None:
    for dtype in (torch.float32, torch.float64):
        a = torch.tensor([0.0, 0.0, 2.0], dtype=dtype)
        z = torch.tensor([0.0, 1.0, 1.0], dtype=dtype)
        ratio = log_ratio(a, z)
        assert torch.isfinite(ratio).all()
        assert float(ratio[0]) == 0.0
        assert float(ratio[1]) < -80.0


def test_samples_are_chosen_without_leaking() -> None:
    good = Variances(LogVariance(normal(2, 3)), Covariance(blocks(2, 1, 4, 4)))
    bad = Variances(
        LogVariance(torch.full((2, 3), torch.nan)), Covariance(torch.full((2, 1, 4, 4), torch.nan))
    )
    chosen = good.where(torch.tensor([True, False]), bad)
    assert chosen.finite().tolist() == [True, False]
    assert good.where(torch.tensor([True, True]), bad).finite().all()


def test_part_of_the_way_is_geometric_for_variances_and_straight_for_matrices() -> None:
    a = Variances(LogVariance(normal(1, 3)), Covariance(blocks(1, 1, 4, 4)))
    b = Variances(LogVariance(normal(1, 3, seed=1)), Covariance(blocks(1, 1, 4, 4, seed=2)))
    half = a.toward(b, 0.5)
    torch.testing.assert_close(half.log_gamma.exp(), (a.log_gamma.exp() * b.log_gamma.exp()).sqrt())
    assert isinstance(half.noise, Covariance)
    torch.testing.assert_close(half.noise.matrix, (a.noise.matrix + b.noise.matrix) / 2)
    torch.testing.assert_close(a.toward(b, 1.0).log_gamma, b.log_gamma)


def test_matrices_are_brought_back_to_be_semi_definite() -> None:
    good, thin = blocks(1, 2, 3, 3), blocks(1, 2, 3, 1)
    assert torch.equal(linalg.psd_part(good), good)
    assert torch.equal(linalg.psd_part(thin), thin)
    mixed = torch.cat([good, good - 3.0 * torch.eye(3).double(), 0 * good], 1)
    mended = linalg.psd_part(mixed)
    assert torch.equal(mended[:, :2], good)
    assert float(torch.linalg.eigvalsh(mended).min()) > -1e-12
    assert torch.isnan(linalg.psd_part(mixed * torch.nan)).all()


def test_the_geometric_mean_of_a_singular_matrix_keeps_its_rank() -> None:
    w, thin = blocks(5, 3, 3), blocks(5, 3, 1, seed=1)
    mean = linalg.geometric_mean(w, thin)
    torch.testing.assert_close(mean @ w @ mean, thin)
    values = torch.linalg.eigvalsh(mean)
    assert bool((values[:, :2].abs() < 1e-13 * values[:, 2:]).all())
    assert torch.equal(linalg.geometric_mean(w, 0 * w), 0 * w)
