"""Every solver of the registry keeps what every solver must."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from majorant.errors import MajorantError
from majorant.problem import Problem
from majorant.registry import SOLVERS, able, spec
from majorant.solvers.base import Kernel, KernelSolver
from majorant.solvers.linear import MinimumNorm
from majorant.testing import bench_of, check_solver

CASES = [
    (name, n_orient, dtype, n_batch)
    for name, own in SOLVERS.items()
    for n_orient in ((1,) if own.abilities.orientations == ("fixed",) else (1, 3))
    for dtype in (torch.float64, torch.float32)
    for n_batch in (1, 3)
]


@pytest.mark.parametrize(("name", "n_orient", "dtype", "n_batch"), CASES)
def test_a_solver_keeps_the_contract(
    name: str, n_orient: int, dtype: torch.dtype, n_batch: int
) -> None:
    check_solver(name, orientations=(n_orient,), dtypes=(dtype,), batches=(n_batch,))


@dataclass(frozen=True)
class Spoiled(KernelSolver):
    """Minimum norm, but for one thing."""

    how: str

    def kernel(self, problem: Problem) -> Kernel:
        kernel = MinimumNorm().kernel(problem)
        spoil: dict[str, Any] = {
            "sensors": lambda m: m * torch.arange(1, m.shape[1] + 1),
            "sources": lambda m: m * torch.arange(1, m.shape[0] + 1)[:, None],
            "mates": lambda m: m * problem.n_batch,
            "units": lambda m: m * problem.operator.norm_bound().to(m),
            "scale": lambda m: m * problem.y.abs().max(),
            "sign": lambda m: m * (1 + (problem.y.sum() > 0)),
            "silence": lambda m: m / problem.y.abs().sum(),
            "dtype": lambda m: m.to(torch.float16),
        }
        if self.how == "inputs":
            problem.y.mul_(1.0 + 1e-3)
        if self.how == "random":
            torch.rand(1)
        if self.how not in spoil:
            return kernel
        return replace(kernel, matrix=spoil[self.how](kernel.matrix))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("sensors", "order of the sensors"),
        ("sources", "order of the sources"),
        ("mates", "among its batch mates"),
        ("units", "unit of the sensors"),
        ("scale", "does not grow with the data"),
        ("sign", "sign of the data"),
        ("silence", "data of zeros"),
        ("dtype", "the estimate is torch.float16"),
        ("inputs", "changed in place"),
        ("random", "global random numbers"),
    ],
)
def test_what_a_solver_does_not_keep_is_found(how: str, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        check_solver(Spoiled(how), orientations=(1,), dtypes=(torch.float64,), batches=(3,))


def test_a_certificate_that_lies_is_found() -> None:
    @dataclass(frozen=True)
    class Boaster(KernelSolver):
        def kernel(self, problem: Problem) -> Kernel:
            kernel = MinimumNorm().kernel(problem)
            return replace(kernel, matrix=1.01 * kernel.matrix)

    with pytest.raises(AssertionError, match="normal equations miss"):
        check_solver(Boaster(), orientations=(1,), dtypes=(torch.float64,), batches=(1,))


def test_a_class_in_place_of_a_solver_is_said() -> None:
    with pytest.raises(MajorantError, match=r"give one that is made, as MinimumNorm\(\)"):
        check_solver(MinimumNorm)  # type: ignore[arg-type]


def test_the_registry_says_what_the_classes_are() -> None:
    import inspect

    for name, own in SOLVERS.items():
        can, solver = own.abilities, own.make()
        assert can.snr == ("snr" in inspect.signature(own.load()).parameters), name
        assert isinstance(solver, KernelSolver) == can.kernel, name
        assert (can.window is None) == can.kernel, name
        assert not (can.linear and can.adaptive)
        # Of weights that were read, the class can only say what all of them keep.
        assert replace(solver.abilities, window=can.window) == can, name
    assert able(lambda s: s.adaptive) == "lcmv"
    assert spec("mm-net").abilities.space == "regions"
    assert bench_of("mm-net").regions
