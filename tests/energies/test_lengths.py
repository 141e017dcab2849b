"""Norms and inner products of samples: right at every size, and with the derivatives they claim."""

from __future__ import annotations

import pytest
import torch

from majorant.energies.lengths import difference, dot, inverse, norm


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1.0, 1e15, 1e25, 1e37])
@pytest.mark.parametrize("turned", [False, True])
def test_a_norm_is_right_at_every_size(scale: float, turned: bool) -> None:
    x = scale * drawn(3, 40, 7)
    x = x.mT.contiguous().mT if turned else x
    torch.testing.assert_close(norm(x), x.double().flatten(1).norm(dim=1), rtol=1e-6, atol=0)


def test_samples_of_any_size_stand_beside_each_other() -> None:
    x = drawn(4, 40, 7) * torch.tensor([1e-30, 1.0, 1e25, 0.0])[:, None, None]
    torch.testing.assert_close(norm(x), x.double().flatten(1).norm(dim=1), rtol=1e-6, atol=0)
    assert torch.equal(norm(x)[1:2], norm(x[1:2]))  # not by a bit otherwise than alone
    assert norm(x)[3] == 0
    assert inverse(norm(x))[3] == 0
    x[1, 0, 0] = torch.nan
    found = norm(x)
    assert found.isnan().tolist() == [False, True, False, False]


def test_norm_and_product_have_the_derivatives_of_their_formulas() -> None:
    a, b = (drawn(2, 30, 5, seed=s).requires_grad_() for s in (1, 2))
    found = torch.autograd.grad((norm(a) + dot(a, b)).sum(), (a, b))
    plain = a.double().flatten(1).norm(dim=1) + (a.double() * b.double()).flatten(1).sum(1)
    for mine, theirs in zip(found, torch.autograd.grad(plain.sum(), (a, b)), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


def test_a_product_is_that_in_float64_up_to_the_rounding_of_its_terms() -> None:
    a, b = drawn(3, 994, 16), drawn(3, 994, 16, seed=1)
    exact = (a.double() * b.double()).flatten(1).sum(1)
    assert (dot(a, b) - exact).abs().max() < 1e-6 * float((norm(a) * norm(b)).max())
    torch.testing.assert_close(dot(a.double(), b.double()), exact, rtol=1e-12, atol=1e-9)


def test_a_difference_scales_every_sample_by_its_own_numbers() -> None:
    a, b = drawn(2, 4, 3), drawn(2, 4, 3, seed=1)
    alpha, beta = torch.tensor([2.0, 3.0]).double(), torch.tensor([0.5, -1.0]).double()
    found = difference(a, alpha, b, beta)
    torch.testing.assert_close(found[1], 3.0 * a[1] + b[1])
    assert found.dtype == a.dtype


def test_arrays_of_two_axes_are_samples_and_numbers() -> None:
    x = torch.randn(3, 40_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(norm(x), x.double().norm(dim=1))
    torch.testing.assert_close(dot(x, x), x.double().square().sum(1))
