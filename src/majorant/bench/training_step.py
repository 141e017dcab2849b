"""One training step of MM-Net: time and memory of three ways to differentiate the unrolled solver.

    python -m majorant.bench.training_step        # the fast recipe
    python -m majorant.bench.training_step paper  # the paper's sizes

``closed form`` is what training does. ``autograd`` builds the gradient of the energy by automatic
differentiation with ``create_graph``. ``checkpointed`` recomputes every iteration in the backward
pass. Memory is what the graph keeps for the backward pass, counted once per storage.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from majorant.energies.cosine import CosineEnergy
from majorant.forward.leadfield import Leadfield
from majorant.learned.timegrid import TimeGrid
from majorant.learned.unrolled import MMNetwork
from majorant.networks.convlstm import Memory
from majorant.problem import Problem
from majorant.simulate.dataset import SereegaLike
from majorant.training.bilevel import bilevel_loss, distance
from majorant.training.presets import Recipe, preset

REPEATS = 3
Gradient = Callable[[CosineEnergy, Tensor], Tensor]


def closed_form(energy: CosineEnergy, x: Tensor) -> Tensor:
    """The gradient as training computes it."""
    return energy.gradient(x)


def by_autograd(energy: CosineEnergy, x: Tensor) -> Tensor:
    """The same gradient through a graph of the energy."""
    assert energy.prior is not None
    at = x if x.requires_grad else x.detach().requires_grad_()
    seen = energy.problem.operator.apply(at)
    value = distance(seen, energy.problem.y) + energy.weight * distance(at, energy.prior(at))
    return torch.autograd.grad(value.sum(), at, create_graph=True)[0]


class Step:
    """A training step of a recipe, on one fixed batch."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.network = MMNetwork(recipe.network, torch.Generator().manual_seed(0))
        data = SereegaLike(Leadfield.template_small(), recipe.batch)
        batch = data.batch(range(recipe.batch))
        grid = TimeGrid.between(batch.y.shape[2], data.sfreq, recipe.network.rate)
        down = torch.eye(batch.y.shape[2]) if grid is None else grid.down.float()
        operator = data.operator()
        self.problem = Problem(operator, (batch.y @ down).mT.contiguous().mT)
        self.truth = ((batch.time @ down)[:, :, None] * batch.space[:, None, :]).mT
        self.geometry = self.network.geometry(operator, torch.float32)

    def forward(self, gradient: Gradient, checkpointed: bool = False) -> Tensor:
        """The loss of the unrolled solver."""
        network, r = self.network, self.recipe
        energy = CosineEnergy(self.problem, network.prior, network.settings.weight)

        def once(x: Tensor, *cells: Tensor) -> tuple[Tensor, ...]:
            x, m = network.step(x, gradient(energy, x), Memory(*cells), self.geometry)
            return x, m.hidden_1, m.cell_1, m.hidden_2, m.cell_2

        with torch.autocast("cpu", torch.bfloat16, enabled=r.bfloat16):
            x = network.start(self.problem)
            memory = network.begin(x)
            cells = (memory.hidden_1, memory.cell_1, memory.hidden_2, memory.cell_2)
            iterates = []
            for _ in range(r.network.iterations):
                run = (
                    (lambda *a: checkpoint(once, *a, use_reentrant=False)) if checkpointed else once
                )
                x, *rest = run(x, *cells)
                cells = tuple(rest)
                iterates.append(x)
            return bilevel_loss(network, iterates, self.truth, deep=r.deep).total

    def measure(self, gradient: Gradient, checkpointed: bool = False) -> tuple[float, float]:
        """Median seconds of forward and backward, and MiB kept in between."""
        kept: dict[int, int] = {}

        def pack(t: Tensor) -> Tensor:
            storage = t.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return t

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            self.forward(gradient, checkpointed).backward()
        seconds = []
        for _ in range(REPEATS):
            began = time.process_time()
            self.forward(gradient, checkpointed).backward()
            seconds.append(time.process_time() - began)
        return statistics.median(seconds), sum(kept.values()) / 2**20


def main(arguments: Sequence[str]) -> None:
    """Print the table; argument: a preset."""
    recipe = preset(arguments[0] if arguments else "cpu")
    step = Step(replace(recipe, batch=16))
    print("| step | processor s | MiB kept |\n|---|---|---|")
    for name, gradient, checkpointed in (
        ("closed form", closed_form, False),
        ("closed form, checkpointed", closed_form, True),
        ("autograd with create_graph", by_autograd, False),
    ):
        seconds, size = step.measure(gradient, checkpointed)
        print(f"| {name} | {seconds:.3f} | {size:.0f} |", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1:])
