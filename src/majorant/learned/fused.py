"""The steps of MM-Net as compiled graphs: what lies between the matrix products becomes one.

For a single window the products are a few dozen microseconds each, and some three hundred small
operations between them take twice as long. ``torch.compile`` fuses them. It needs a C++ compiler at
run time and some seconds for every new shape, so it is worth it where windows of one shape come
again and again, as in live imaging. Where it fails, the plain step goes on, and one warning says
so.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from torch import Tensor

from majorant.energies.cosine import CosineEnergy, CosinePoint, SourceState
from majorant.learned.network import Geometry, UnrolledNetwork
from majorant.networks.autoencoder import Pass

P = ParamSpec("P")
R = TypeVar("R")


class Fused(Generic[P, R]):
    """A function of tensors, compiled when it is first called; plain where that fails.

    Parameters
    ----------
    plain : callable
        Without a host read, for a fixed shape.
    """

    def __init__(self, plain: Callable[P, R]) -> None:
        self.plain, self.works = plain, True
        self._compiled: Callable[P, R] | None = None

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return what the plain function does, up to rounding."""
        if self.works:
            try:
                if self._compiled is None:  # the compiler itself takes seconds to import
                    self._compiled = torch.compile(
                        self.plain, fullgraph=True, dynamic=False, options={"cpp.threads": 1}
                    )
                return self._compiled(*args, **kwargs)
            # Whatever stopped the compiler, or more shapes than it keeps: a fault of the function's
            # own shows again below.
            except Exception as error:
                self.works = False
                reason = str(error).strip().splitlines() or [type(error).__name__]
                warnings.warn(
                    f"MM-Net is not compiled and goes on without, slower: {reason[0][:160]}",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return self.plain(*args, **kwargs)


Numbers = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
Parts = tuple[Numbers, Tensor, tuple[Tensor, ...], Pass | None]


def _parts(energy: CosineEnergy, x: Tensor) -> Parts:
    """Everything a point holds, with its gradient."""
    point = CosineEnergy.evaluate(energy, x)
    gradient, arrived = point.slopes()
    numbers: Numbers = (
        *(point.energy, point.fidelity, point.prior, point.cos_data),
        *(point.norm_data, point.norm_x, point.cos_prior, point.norm_phi),
    )
    return numbers, gradient, arrived, point.kept


def _advanced(
    network: UnrolledNetwork[Any],
    energy: CosineEnergy,
    geometry: Geometry,
    x: Tensor,
    gradient: Tensor,
    memory: Any,
    steps: int,
) -> tuple[Tensor, Parts, Any]:
    """Some steps on end, and what the point they lead to holds."""
    for step in range(steps):
        proposed, memory = network.step(x, gradient, memory, geometry)
        x = energy.admissible(SourceState(x), SourceState(proposed)).x
        if step < steps - 1:
            gradient = energy.gradient(x)
    return x, _parts(energy, x), memory


_parts_fused = Fused(_parts)
_advanced_fused = Fused(_advanced)


def _point(x: Tensor, parts: Parts) -> CosinePoint:
    numbers, gradient, arrived, kept = parts
    return CosinePoint(x, *numbers, kept, lambda: (gradient, arrived))


def advanced(
    network: UnrolledNetwork[Any],
    energy: CosineEnergy,
    geometry: Geometry,
    x: Tensor,
    gradient: Tensor,
    memory: Any,
    steps: int,
) -> tuple[CosinePoint, Any]:
    """Take some steps as one graph: the point they lead to, and the memory after them.

    Parameters
    ----------
    network : UnrolledNetwork
    energy : CosineEnergy
    geometry : Geometry
        Of the energy's operator.
    x, gradient : Tensor, shape (n_batch, n_columns, n_times)
    memory
        The network's.
    steps : int
    """
    x, parts, memory = _advanced_fused(network, energy, geometry, x, gradient, memory, steps)
    return _point(x, parts), memory


class FusedEnergy(CosineEnergy):
    """The cosine energy, evaluated with its gradient in one compiled graph."""

    def evaluate(self, x: Tensor) -> CosinePoint:
        """Energy, its parts and its gradient."""
        return _point(x, _parts_fused(self, x))
