"""The bridges to deepinv, with deepinv itself."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import pytest
import torch

from majorant import (
    FunctionOperator,
    Leadfield,
    MajorantError,
    MatrixOperator,
    Problem,
    make,
    solve,
)

UNUSED = ("", ".utils", ".transforms", ".transforms.functional", ".datasets", ".datasets.folder")
UNUSED += (".datasets.utils",)


@pytest.fixture(scope="module")
def bridge() -> Iterator[ModuleType]:
    """`majorant.deepinv`.

    deepinv imports torchvision for image data sets and figures. Its wheels go with the wheels of
    torch they were built for, and nothing here touches it: where it is not, something stands in.
    """
    pytest.importorskip("einops", reason="needs deepinv: pip install 'majorant[deepinv]'")
    put: list[str] = []
    try:
        import torchvision  # noqa: F401
    except Exception:
        put = [f"torchvision{name}" for name in UNUSED]
        sys.modules.update({name: MagicMock(name=name) for name in put})
        sys.modules["torchvision.datasets.folder"].IMG_EXTENSIONS = ()  # type: ignore[attr-defined]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            pytest.importorskip("deepinv")
            import majorant.deepinv as bridge

            yield bridge
        finally:
            for name in put:
                del sys.modules[name]


@pytest.fixture(scope="module")
def operator() -> MatrixOperator:
    return Leadfield.template_small().operator()


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blur(bridge: Any, side: int = 8) -> Any:
    from deepinv.physics import Blur

    taps = torch.ones(1, 1, 3, 3, dtype=torch.float64) / 9
    return Blur(filter=taps, padding="circular")


def test_deepinv_tests_and_inverts_our_lead_field(bridge: Any, operator: MatrixOperator) -> None:
    physics = bridge.physics_of(operator, max_iter=200, tol=1e-8)
    x = randn(2, operator.n_columns, 3)
    assert torch.equal(physics.A(x), operator.apply(x))
    assert float(physics.adjointness_test(x)) < 1e-10
    norm = physics.compute_sqnorm(x[:1], verbose=False, tol=1e-6)
    assert float(norm.sqrt()) <= float(operator.norm_bound()) * (1 + 1e-6)
    y = operator.apply(x)
    again = operator.apply(physics.A_dagger(y))
    assert float((again - y).norm() / y.norm()) < 1e-3


def test_there_and_back_is_the_same_object(bridge: Any, operator: MatrixOperator) -> None:
    assert bridge.operator_of(bridge.physics_of(operator), (operator.n_columns, 1)) is operator


def test_deepinvs_physics_is_our_operator(bridge: Any) -> None:
    physics = blur(bridge)
    dense = bridge.operator_of(physics, (1, 8, 8))
    free = bridge.operator_of(physics, (1, 8, 8), norm_bound=1.0)
    assert isinstance(dense, MatrixOperator)
    assert isinstance(free, FunctionOperator)
    x = randn(3, 64, 1)
    want = physics.A(x.reshape(3, 1, 8, 8)).reshape(3, 64, 1)
    torch.testing.assert_close(dense.apply(x), want)
    torch.testing.assert_close(free.apply(x), want)
    torch.testing.assert_close(dense.adjoint(x), free.adjoint(x))
    assert float(dense.norm_bound()) >= 1.0 - 1e-9  # a blur that keeps the mean has norm 1


def test_a_solver_is_a_reconstructor_with_its_certificate(bridge: Any) -> None:
    from deepinv.physics import GaussianNoise

    physics = blur(bridge)
    physics.noise_model = GaussianNoise(sigma=0.01)
    x = torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    x[0, 0, 2, 3], x[1, 0, 5, 5] = 1.0, -2.0
    y = physics.A(x) + 0.01 * randn(2, 1, 8, 8)
    model = bridge.SolverReconstructor("champagne")
    found = model(y, physics)
    assert found.shape == x.shape
    assert torch.equal(found.abs().flatten(1).argmax(1), x.abs().flatten(1).argmax(1))
    assert model.solution.certificate.holds()
    alone = model(y[1:], physics)
    torch.testing.assert_close(alone, found[1:], rtol=1e-8, atol=1e-10)


def test_a_reconstructor_on_our_physics_is_the_solver(
    bridge: Any, operator: MatrixOperator
) -> None:
    y = operator.apply(randn(1, operator.n_columns, 4))
    found = bridge.SolverReconstructor(make("mne"), noise=0.5)(y, bridge.physics_of(operator))
    noise = torch.full((operator.n_sensors,), 0.5, dtype=torch.float64)
    assert torch.equal(found, solve(Problem(operator, y, noise), make("mne")).estimate)


def test_what_cannot_be_bridged_is_refused_in_a_sentence(bridge: Any) -> None:
    from deepinv.physics import Physics

    with pytest.raises(MajorantError, match="LinearPhysics"):
        bridge.operator_of(Physics(), (1, 8, 8))
    with pytest.raises(MajorantError, match="norm_bound"):
        bridge.operator_of(blur(bridge), (1, 65, 65))
