"""What is made once of weights, and of weights and an operator: the explicit record of a solver.

Solves are many and weights are few. Norms of layers (seconds), copies in other dtypes and weights
laid out for the compiled loops are made when they are first asked for, and kept for all solvers
that share the record: those that :meth:`majorant.learned.mmnet.MMNet.changed` returns, whatever
their rate or guard.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch

from majorant.learned.network import UnrolledNetwork
from majorant.majorants.prior import LayerNorms
from majorant.networks.autoencoder import Conv
from majorant.problem import Operator, Problem

if TYPE_CHECKING:  # the compiler of their loops is imported where it is needed
    from majorant.learned.fused.energy import Layers
    from majorant.learned.fused.step import FusedStep


class PreparedNetwork:
    """The record of one set of weights, which must not change.

    Copies and other processes get the weights alone, and make the rest anew.

    Parameters
    ----------
    network : UnrolledNetwork
    """

    def __init__(self, network: UnrolledNetwork[Any]) -> None:
        self.network = network
        self._norms: LayerNorms | None = None
        self._copies: dict[tuple[torch.dtype, torch.device], UnrolledNetwork[Any]] = {}
        self._step: FusedStep | None = None
        self._layers: tuple[Operator, Layers] | None = None

    def __reduce__(self) -> tuple[type[PreparedNetwork], tuple[UnrolledNetwork[Any]]]:
        return PreparedNetwork, (self.network,)

    @property
    def measured(self) -> LayerNorms | None:
        """The norms, where somebody needed them before."""
        return self._norms

    def norms(self) -> LayerNorms:
        """Return certified norms of the prior's layers."""
        if self._norms is None:
            self._norms = LayerNorms.of(self.network.prior)
        return self._norms

    def like(self, problem: Problem) -> UnrolledNetwork[Any]:
        """Return the network in the dtype and on the device of the data."""
        return self.copy(problem.y.dtype, problem.y.device)

    def copy(self, dtype: torch.dtype, device: torch.device) -> UnrolledNetwork[Any]:
        """Return the network in a dtype and on a device."""
        key = (dtype, device)
        if key not in self._copies:
            frozen = copy.deepcopy(self.network).to(device=key[1], dtype=key[0])
            for layer in frozen.requires_grad_(False).modules():
                if isinstance(layer, Conv):
                    layer.settle()
            self._copies[key] = frozen.eval()
        return self._copies[key]

    def step(self) -> FusedStep:
        """Return the weights as the compiled step reads them."""
        if self._step is None:
            from majorant.learned.fused.step import FusedStep
            from majorant.learned.unrolled import MMNetwork

            assert isinstance(self.network, MMNetwork)
            self._step = FusedStep(self.network)
        return self._step

    def layers(self, operator: Operator) -> Layers:
        """Return lead field and prior as the compiled energy reads them; the last one is kept."""
        if self._layers is None or self._layers[0] is not operator:
            from majorant.learned.fused.energy import Layers
            from majorant.learned.unrolled import MMNetwork

            assert isinstance(self.network, MMNetwork)
            self._layers = operator, Layers(operator, self.network)
        return self._layers[1]
