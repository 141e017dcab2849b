"""One training step of MM-Net in four ways: time and memory.

    python -m benchmarks.training_step        # the fast recipe
    python -m benchmarks.training_step paper  # the paper's sizes

``closed form`` is what training does, ``compiled`` the same through ``torch.compile``, and
``checkpointed`` recomputes iterations in the backward pass, all but the last ones. ``double
backward`` builds the gradient of the energy by automatic differentiation with ``create_graph``, as
a network written without closed forms has to. All four run through the training engine, Adam
included.

Memory is what the graph holds at its largest, when the backward pass begins; every storage counts
once.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from majorant.energies.cosine import CosineEnergy
from majorant.forward.leadfield import Leadfield
from majorant.learned.network import Geometry, UnrolledNetwork
from majorant.training.bilevel import distance, iterate
from majorant.training.engine import Engine
from majorant.training.fit import simulated
from majorant.training.presets import Recipe, preset

REPEATS = 5
BATCH = 16


def double_backward(
    network: UnrolledNetwork[Any], energy: CosineEnergy, x: Tensor, memory: Any, geometry: Geometry
) -> tuple[Tensor, Any]:
    """One iteration with the gradient of the energy through a graph of its own."""
    assert energy.prior is not None
    with torch.enable_grad():
        at = x if x.requires_grad else x.detach().requires_grad_()
        seen = energy.problem.operator.apply(at)
        value = distance(seen, energy.problem.y) + energy.weight * distance(at, energy.prior(at))
        gradient = torch.autograd.grad(value.sum(), at, create_graph=True)[0]
    return network.step(x, gradient, memory, geometry)


@dataclass(frozen=True)
class Cost:
    """What a step costs.

    Attributes
    ----------
    name : str
    seconds : float
        Median wall time.
    mebibytes : float
        What the graph holds at its largest.
    """

    name: str
    seconds: float
    mebibytes: float


class Ways:
    """The training step of a recipe in every way, side by side.

    Parameters
    ----------
    recipe : Recipe
        All of its iterations are unrolled.
    device : torch.device or str
    compiled : bool
        Whether to compile, which takes a minute or two.
    """

    def __init__(
        self, recipe: Recipe, device: torch.device | str = "cpu", compiled: bool = True
    ) -> None:
        recipe = replace(recipe, short=0, lengths=None)
        head = Leadfield.template_small()
        data = simulated(recipe, head, "train", recipe.n_train, device)
        self.recipe, self.said = recipe, list[str]()
        self.engines = {"closed form": Engine(recipe, data)}
        if compiled:
            made = Engine(recipe, data, compiled=True, say=self.said.append)
            if made.iteration is not iterate:
                self.engines["closed form, compiled"] = made
        light = replace(recipe, checkpointing=True)
        self.engines["closed form, checkpointed"] = Engine(light, data)
        self.engines["double backward"] = Engine(recipe, data)
        self.engines["double backward"].iteration = double_backward

    def costs(self, repeats: int = REPEATS) -> Iterator[Cost]:
        """Time all ways in turns, so that a busy moment hits them all."""
        seconds: dict[str, list[float]] = {name: [] for name in self.engines}
        for turn in range(repeats + 1):
            for name, engine in self.engines.items():
                taken = timed_update(engine)
                if turn:
                    seconds[name].append(taken)
        for name, engine in self.engines.items():
            yield Cost(name, statistics.median(seconds[name]), held(engine))

    def operations(self) -> int:
        """Floating-point operations of the matrix products of a step, forward and backward.

        What is made once for a lead field does not count.
        """
        engine = self.engines["closed form"]
        engine.loss(torch.arange(1))
        with FlopCounterMode(display=False) as counter:
            engine.loss(torch.arange(self.recipe.batch)).total.backward()
        engine.optimiser.zero_grad(set_to_none=True)
        return counter.get_total_flops()


def timed_update(engine: Engine) -> float:
    """Wall seconds of a step, all of the device's work included."""
    began = time.perf_counter()
    engine.update()
    if engine.device.type != "cpu":
        torch.accelerator.synchronize()
    return time.perf_counter() - began


def held(engine: Engine) -> float:
    """MiB that the graph of a step holds at its largest.

    Where iterations are recomputed that is when the backward pass begins: the last ones, which were
    kept, are let go before another is made again.
    """
    return _kept(engine) / 2**20


def _kept(engine: Engine) -> int:
    """Bytes kept for the backward pass."""
    sizes: dict[int, int] = {}

    def pack(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        engine.loss(torch.arange(engine.recipe.batch))
    return sum(sizes.values())


def main(arguments: Sequence[str]) -> None:
    """Print the table; argument: a preset."""
    recipe = replace(preset(arguments[0] if arguments else "cpu"), batch=BATCH)
    ways = Ways(recipe)
    for line in ways.said:
        print(line, file=sys.stderr)
    print("| step | s | MiB |\n|---|---|---|")
    for cost in ways.costs():
        print(f"| {cost.name} | {cost.seconds:.3f} | {cost.mebibytes:.0f} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
