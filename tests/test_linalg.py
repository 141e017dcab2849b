"""Batched algebra agrees with its definitions."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from majorant import linalg
from majorant.problem import MajorantError


def spd(n: int, seed: int, batch: int = 3) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(batch, n, n + 2, generator=g, dtype=torch.float64)
    return a @ a.mT


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 99), st.floats(-6, 6))
def test_the_spectral_norm_bound_is_never_below(n: int, s: int, seed: int, power: float) -> None:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(n, s, generator=g, dtype=torch.float64) * 10.0**power
    norm = torch.linalg.matrix_norm(a, 2)
    assert norm <= linalg.spectral_norm_bound(a) <= norm * (1 + 1e-8)


@pytest.mark.parametrize("shape", [(2, 16, 90), (3, 90), (90,), (0, 5, 90)])
def test_the_fast_product_is_the_product(shape: tuple[int, ...]) -> None:
    g = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(7, 90, generator=g), torch.randn(7, generator=g)
    x = torch.randn(shape, generator=g)
    exact = x.double() @ weight.double().mT + bias.double()
    strided = torch.stack([x, x], -1)[..., 0]
    for a, w in ((x, weight), (x, weight.mT.contiguous().mT), (strided, weight)):
        torch.testing.assert_close(linalg.linear(a, w, bias), exact.float(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        linalg.linear(x.double(), weight.double()), x.double() @ weight.double().mT
    )


def test_the_fast_product_keeps_derivatives_and_says_nan() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    linalg.linear(x, torch.full((4, 3), 2.0)).sum().backward()
    assert x.grad is not None
    assert (x.grad == 8).all()
    with torch.no_grad():
        torch.testing.assert_close(linalg.linear(x, torch.ones(4, 3)), torch.full((2, 4), 3.0))
        lost = linalg.linear(torch.tensor([[torch.nan, 1.0], [1.0, 1.0]]), torch.ones(3, 2))
    assert lost[0].isnan().all()
    assert (lost[1] == 2).all()


def test_totals_are_summed_in_double() -> None:
    x = torch.full((1, 2**20), 0.1, dtype=torch.float32)
    exact = float(torch.tensor(0.1, dtype=torch.float32).double()) * 2**20
    assert abs(float(linalg.total(x)) - exact) < 1e-6
    assert linalg.squared_norm(x).dtype == torch.float64


def test_cholesky_names_what_is_not_positive_definite() -> None:
    factor = linalg.cholesky(spd(4, 0), "the covariance")
    torch.testing.assert_close(linalg.log_determinant(factor), torch.logdet(spd(4, 0)))
    with pytest.raises(MajorantError, match="the covariance is not positive definite"):
        linalg.cholesky(-torch.eye(3), "the covariance")


def test_powers_multiply() -> None:
    a = spd(5, 1)
    half = linalg.spd_power(a, 0.5)
    torch.testing.assert_close(half @ half, a)
    torch.testing.assert_close(linalg.spd_power(a, -1.0), torch.linalg.inv(a))


def test_the_geometric_mean_solves_its_equation() -> None:
    w, q = spd(5, 2), spd(5, 3)
    x = linalg.geometric_mean(w, q)
    torch.testing.assert_close(x @ w @ x, q)


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A processor of another maker than the BLAS's."""
    monkeypatch.setattr(linalg, "_maker", lambda: "AuthenticAMD")
    linalg._onednn.cache_clear()
    yield
    linalg._onednn.cache_clear()


def test_the_maker_of_the_processor_has_its_own_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linalg, "_maker", lambda: "GenuineIntel")
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    linalg._onednn.cache_clear()
    weight = torch.randn(3, 4)
    assert linalg.packed(weight) is weight
    linalg._onednn.cache_clear()


@pytest.mark.usefixtures("elsewhere")
def test_a_packed_weight_multiplies_the_same_and_survives_copies() -> None:
    g = torch.Generator().manual_seed(3)
    x, weight = torch.randn(2, 5, 40, generator=g), torch.randn(30, 40, generator=g)
    bias = torch.randn(30, generator=g)
    laid_out = linalg.packed(weight)
    expected = torch.nn.functional.linear(x, weight, bias)
    torch.testing.assert_close(linalg.linear(x, laid_out, bias), expected)
    for again in (copy.deepcopy(laid_out), pickle.loads(pickle.dumps(laid_out))):
        torch.testing.assert_close(linalg.linear(x, again, bias), expected)


@pytest.mark.usefixtures("elsewhere")
def test_a_packed_weight_still_has_a_gradient_for_the_rows() -> None:
    g = torch.Generator().manual_seed(4)
    x, weight = torch.randn(5, 40, generator=g, requires_grad=True), torch.randn(30, 40)
    (slope,) = torch.autograd.grad(linalg.linear(x, linalg.packed(weight)).sum(), x)
    torch.testing.assert_close(slope, weight.sum(0).expand(5, -1))


def test_only_single_precision_is_packed() -> None:
    weight = torch.randn(3, 4, dtype=torch.float64)
    assert linalg.packed(weight) is weight
