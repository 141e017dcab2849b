"""Spectral norms: bounds bound, estimates underestimate, and the code says which is which."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from majorant.linalg import spectral_norm_bound
from majorant.majorants.spectral import (
    column_sum_bound,
    conv_norm_bound,
    lanczos_estimate,
    norm_estimate,
    power_estimate,
    symbol_bound,
    tap_sum_bound,
)
from majorant.networks.autoencoder import Conv
from majorant.problem import MajorantError


def dense(weight: Tensor, n_times: int) -> Tensor:
    """The zero-padded convolution as a matrix."""
    n_out, n_in, kernel = weight.shape
    eye = torch.eye(n_in * n_times, dtype=weight.dtype).reshape(-1, n_in, n_times)
    out = torch.nn.functional.conv1d(eye, weight, padding=kernel // 2)
    return out.reshape(n_in * n_times, n_out * n_times).mT


def weight(seed: int, kernel: int, scale: float = 1.0) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(4, 3, kernel, generator=g, dtype=torch.float64)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    kernel=st.sampled_from([1, 3, 5, 7]),
    n_times=st.integers(1, 16),
    exponent=st.floats(-6, 6),
)
def test_bounds_of_a_convolution_are_never_below_its_norm(
    seed: int, kernel: int, n_times: int, exponent: float
) -> None:
    w = weight(seed, kernel, 10.0**exponent)
    true = torch.linalg.matrix_norm(dense(w, n_times), 2)
    assert conv_norm_bound(w) >= true
    assert tap_sum_bound(w) >= true
    assert symbol_bound(w) >= true
    assert column_sum_bound(w) >= dense(w, n_times).abs().sum(0).max() * (1 - 1e-12)


@pytest.mark.parametrize("kernel", [3, 5, 9])
def test_the_symbol_is_reached_by_long_convolutions(kernel: int) -> None:
    w = weight(1, kernel)
    true = torch.linalg.matrix_norm(dense(w, 60), 2)
    assert conv_norm_bound(w) <= 1.04 * true
    assert tap_sum_bound(w) > 1.1 * true


def test_the_margin_between_grid_points_is_needed() -> None:
    n_grid, kernel = 6, 5
    margin = math.cos(math.pi * 2 / n_grid)
    fine = 2 * math.pi / 3000 * torch.arange(3000, dtype=torch.float64)
    wave = torch.exp(1j * torch.outer(fine, torch.arange(kernel, dtype=torch.float64)))
    short = 0
    for seed in range(50):
        w = weight(seed, kernel)
        symbol = torch.einsum("wk,oik->woi", wave, w.to(wave.dtype))
        supremum = torch.linalg.matrix_norm(symbol, 2).max()
        bound = symbol_bound(w, n_grid)
        assert bound >= supremum
        short += int(bound * margin < 0.999 * supremum)
    assert short > 10  # the largest value on the grid alone is no bound


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), exponent=st.floats(-6, 6))
def test_the_bound_of_a_matrix_is_never_below_its_norm(seed: int, exponent: float) -> None:
    g = torch.Generator().manual_seed(seed)
    m = 10.0**exponent * torch.randn(6, 9, generator=g, dtype=torch.float64)
    true = torch.linalg.matrix_norm(m, 2)
    assert true <= spectral_norm_bound(m) <= true * (1 + 1e-9)


def test_a_grid_too_coarse_for_the_kernel_is_refused() -> None:
    with pytest.raises(MajorantError, match="4 frequencies cannot bound a convolution of 7 taps"):
        symbol_bound(weight(0, 7), 4)


def test_power_iteration_on_a_layer_stays_below_the_norm() -> None:
    g = torch.Generator().manual_seed(0)
    layer = Conv(7, 5, 3, generator=g).double().requires_grad_(False)
    start = torch.randn(200, 7, 12, generator=g, dtype=torch.float64)
    true = torch.linalg.matrix_norm(dense(layer.weight, 12), 2)
    few = norm_estimate(layer, layer.adjoint, start, 2)
    many = norm_estimate(layer, layer.adjoint, start, 60)
    assert (few < 0.999 * true).all()  # an estimate from below: no bound
    assert (many <= true * (1 + 1e-12)).all()
    assert (many > 0.98 * true).all()
    assert conv_norm_bound(layer.weight) >= true


def indefinite(seed: int, n: int = 12) -> Tensor:
    """Symmetric, with its eigenvalue of largest magnitude on the negative side."""
    g = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(n, n, generator=g, dtype=torch.float64))
    values = torch.linspace(-3.0, 1.0, n, dtype=torch.float64)
    return q @ torch.diag(values) @ q.mT


@pytest.mark.parametrize("seed", range(5))
def test_estimates_of_a_largest_eigenvalue_are_from_below(seed: int) -> None:
    h = indefinite(seed)
    g = torch.Generator().manual_seed(seed)
    start = torch.randn(50, 12, 1, generator=g, dtype=torch.float64)
    shift = torch.full((50,), 3.0, dtype=torch.float64)
    for n_iter in (1, 3, 6):
        power = power_estimate(lambda v: h @ v, start, shift, n_iter)
        lanczos = lanczos_estimate(lambda v: h @ v, start, n_iter)
        assert (power < 1.0).all()
        assert (lanczos <= 1.0 + 1e-12).all()
    assert lanczos.mean() > power.mean()  # per product, Lanczos is the closer one
    whole = lanczos_estimate(lambda v: h @ v, start, 12)
    assert torch.allclose(whole, torch.ones_like(whole), atol=1e-9)


def test_without_a_shift_power_iteration_finds_a_negative_eigenvalue() -> None:
    h = indefinite(0)
    start = torch.randn(20, 12, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = power_estimate(lambda v: h @ v, start, torch.zeros(20, dtype=torch.float64), 30)
    assert (plain < 0).all()  # no curvature at all
    shifted = power_estimate(lambda v: h @ v, start, torch.full((20,), 3.0), 100)
    assert (shifted > 0.9).all()


def test_lanczos_stops_at_an_invariant_subspace_without_inventing_eigenvalues() -> None:
    h = torch.diag(torch.tensor([-1.0, -2.0, -3.0, -4.0], dtype=torch.float64))
    start = torch.zeros(2, 4, 1, dtype=torch.float64)
    start[0, 1], start[1] = 1.0, 1.0
    found = lanczos_estimate(lambda v: h @ v, start, 4)
    assert torch.allclose(found, torch.tensor([-2.0, -1.0], dtype=torch.float64))
